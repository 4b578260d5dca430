/**
 * What a message costs, counted and not timed, so that no machine is too slow for it: bytes allocated, turns of the event
 * loop, writes and syncs. What is lost here is lost on every machine.
 *
 * The bounds are generous, and yet one object more for each message is beyond them. Whoever exceeds one finds the reason
 * (`node --heap-prof`, or V8's sampling of the heap with what has been collected), or says in DECISIONS.md what the new
 * cost is for. A figure that has become much smaller gets a smaller bound.
 *
 * It measures what is compiled in dist/.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { Measured } from "./measure.ts";
import type { PathName } from "./paths.ts";

/**
 * One thread, so that what is compiled when does not depend on what else the machine does; and room for young objects that
 * is not exhausted while it is counted.
 */
const FLAGS = [
  "--expose-gc",
  "--single-threaded",
  "--min-semi-space-size=64",
  "--max-semi-space-size=64",
];
const program = fileURLToPath(new URL("../../dist/test/performance/measure.js", import.meta.url));

/** For a process that works for a second, on a machine that has much else to do. */
const PROCESS_MS_MAX = 60_000;

type Bounds = Readonly<Record<keyof Omit<Measured, "messages" | "collections">, number>>;

const notOnDisk = { diskWrites: 0, diskBytes: 0, diskSyncs: 0 };
/** Of 500 messages in one read: one turn, and one write to the consumer. */
const oneTurnARead = { turns: 4, socketWrites: 4, ...notOnDisk, routings: 0, unknownKeys: 0 };

/** For each thousand messages, at most; above it what Node 20 and Node 24 came to when it was set. */
const bounds: Readonly<Record<PathName, Bounds>> = {
  // heap 2,400 and 6,400; turns 2; writes 2
  transient: { heapBytes: 12_000, bufferBytes: 1000, ...oneTurnARead },
  // heap 2,600 and 6,900; turns 2; writes 4
  properties: { heapBytes: 12_000, bufferBytes: 1000, ...oneTurnARead, socketWrites: 7 },
  // heap 2,500 and 7,900; turns 2; writes 2
  acks: { heapBytes: 12_000, bufferBytes: 1000, ...oneTurnARead },
  // Of a message its position as an object, twice:
  // heap 44,600 and 55,400; buffers 100,000; turns 6; writes 4; on disk 4 writes, 107,000 bytes and 2 syncs
  persistent: {
    heapBytes: 68_000,
    bufferBytes: 160_000,
    turns: 10,
    socketWrites: 7,
    diskWrites: 7,
    diskBytes: 160_000,
    diskSyncs: 4,
    routings: 0,
    unknownKeys: 0,
  },
  // Of a thousand published, ten thousand are delivered:
  // heap 14,400 and 18,200; turns 2; writes 20
  "fan-out": { heapBytes: 30_000, bufferBytes: 1000, ...oneTurnARead, socketWrites: 35 },
  // With another routing key than the message before, each of which is known:
  // heap 2,200 and 3,900; turns 2; writes 2; routings 0
  topic: { heapBytes: 12_000, bufferBytes: 1000, ...oneTurnARead, routings: 40 },
  // No buffer, but an object for each part that is referred to:
  // heap 1,390,000 and 2,170,000; buffers 10,000; turns 200; writes 2600
  large: {
    ...{ heapBytes: 3_000_000, bufferBytes: 100_000, ...oneTurnARead },
    ...{ turns: 300, socketWrites: 4000 },
  },
  // heap 9,020,000 and 9,200,000; buffers 563,000; turns 1000; writes 17,000
  huge: {
    ...{ heapBytes: 14_000_000, bufferBytes: 2_000_000, ...oneTurnARead },
    ...{ turns: 1500, socketWrites: 25_000 },
  },
};

async function measure(...args: string[]): Promise<Measured> {
  const { stdout } = await promisify(execFile)(process.execPath, [...FLAGS, program, ...args]);
  return JSON.parse(stdout) as Measured;
}

/** What exceeds its bound; garbage that is collected meanwhile does in any case. */
function exceeded(path: PathName, measured: Measured): Record<string, number> {
  const perThousand = Object.entries(bounds[path]).map(
    ([count, bound]) =>
      [count, (measured[count as keyof Bounds] * 1000) / measured.messages, bound] as const,
  );
  const beyond = perThousand.filter(([, value, bound]) => value > bound);
  if (measured.collections > 0) beyond.push(["collections", measured.collections, 0]);
  return Object.fromEntries(beyond.map(([count, value]) => [count, value]));
}

const smallPaths: readonly [string, PathName][] = [
  ["a transient message, delivered without acknowledgement,", "transient"],
  ["a message with headers, an expiration and a user-id", "properties"],
  ["a message acknowledged by itself", "acks"],
  ["a persistent message with confirm and acknowledgement", "persistent"],
  ["a message for ten queues", "fan-out"],
  ["a message by a topic exchange with a thousand patterns", "topic"],
];

const largePaths: readonly [string, PathName][] = [
  ["a message of 100 KB", "large"],
  ["a message of 1 MiB", "huge"],
];

test.each([...smallPaths, ...largePaths])(
  "%s costs no more than it did",
  async (_what, path) => {
    expect(exceeded(path, await measure(path))).toEqual({});
  },
  PROCESS_MS_MAX,
);

test.each(smallPaths)(
  "that %s costs an object more is noticed",
  async (_what, path) => {
    expect(Object.keys(exceeded(path, await measure(path, "object")))).toEqual(["heapBytes"]);
  },
  PROCESS_MS_MAX,
);

test.each(largePaths)(
  "that %s costs a buffer more is noticed",
  async (_what, path) => {
    expect(Object.keys(exceeded(path, await measure(path, "buffer")))).toContain("bufferBytes");
  },
  PROCESS_MS_MAX,
);
