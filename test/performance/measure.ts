/**
 * Measures one path in a process of its own, and prints the counts as JSON; with `object` or `buffer` behind its name, a
 * broker that is worse by that for each message.
 *
 * The garbage collector is called before, and must not run while it is counted: then what the heap has grown by is all that
 * was allocated. The flags it needs are in per-message.test.ts.
 */
import { PerformanceObserver } from "node:perf_hooks";
import { setImmediate as nextTurn } from "node:timers/promises";
import { CountedBroker, type Counts } from "./counted-broker.ts";
import { Path, type PathName, paths } from "./paths.ts";

export interface Measured extends Counts {
  readonly messages: number;
  /** Allocated on the heap: `WINDOWS` times the least of a window, as the compiler allocates, too, when it improves something. */
  readonly heapBytes: number;
  /** Of buffers and typed arrays beside it. */
  readonly bufferBytes: number;
  /** Times that the garbage collector ran while it was counted: then the figures say nothing. */
  readonly collections: number;
}

/** Until the compiler is done with what is run all the time. */
const WARM_UP_ROUNDS = 1000;
const WINDOWS = 8;
const ROUNDS_A_WINDOW = 20;

/** What a window allocates on the heap. */
function window(path: Path): number {
  const before = process.memoryUsage().heapUsed;
  for (let round = 0; round < ROUNDS_A_WINDOW; round++) path.round();
  return process.memoryUsage().heapUsed - before;
}

async function measure(name: PathName, waste: string | undefined): Promise<Measured> {
  const broker = new CountedBroker();
  if (waste === "object") broker.wasteObjects();
  if (waste === "buffer") broker.wasteBuffers();
  const path = new Path(broker, paths[name]);
  for (let round = 0; round < WARM_UP_ROUNDS; round++) path.round();
  path.checkDone();

  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  globalThis.gc!();
  await nextTurn();
  observer.observe({ entryTypes: ["gc"] });
  const before = { ...broker.counts };
  const buffersBefore = process.memoryUsage().arrayBuffers;
  let heapBytes = Number.POSITIVE_INFINITY;
  for (let at = 0; at < WINDOWS; at++) heapBytes = Math.min(heapBytes, window(path));
  const bufferBytes = process.memoryUsage().arrayBuffers - buffersBefore;
  const after = { ...broker.counts };
  // Entries come in a later turn.
  await nextTurn();
  await nextTurn();
  observer.disconnect();
  path.checkDone();

  const counts = Object.fromEntries(
    Object.entries(after).map(([key, value]) => [key, value - before[key as keyof Counts]]),
  ) as unknown as Counts;
  return {
    ...counts,
    messages: WINDOWS * ROUNDS_A_WINDOW * paths[name].messages,
    heapBytes: heapBytes * WINDOWS,
    bufferBytes,
    collections,
  };
}

const [, , name, waste] = process.argv;
process.stdout.write(JSON.stringify(await measure(name as PathName, waste)));
