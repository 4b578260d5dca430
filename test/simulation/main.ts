/**
 * The simulations by themselves: `npm run simulate -- --seeds 100000` runs so many seeds, `--seed 17` one, exactly as it ran
 * before. Each seed runs the journal against its model and the whole broker. The exit code is 1 when one has failed.
 */
import { parseArgs } from "node:util";
import { cutJournal, named, runBroker, runJournal } from "./seeds.ts";

const PROGRESS_MS = 2000;
const FAILURES_MAX = 10;
/** In how many seeds the journal is cut at every operation, which takes as long as some fifty of the others. */
const CUTS_EVERY = 50;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function runSeed(seed: number, withCuts: boolean): void {
  runJournal({ seed });
  runJournal({ seed, faults: true });
  if (withCuts) named(seed, () => cutJournal(seed));
  runBroker(seed);
}

function seedsAsked(): [first: number, last: number] {
  const { values } = parseArgs({
    options: { seeds: { type: "string" }, seed: { type: "string" }, from: { type: "string" } },
  });
  if (values.seed !== undefined) return [Number(values.seed), Number(values.seed)];
  const first = Number(values.from ?? 1);
  return [first, first + Number(values.seeds ?? 1000) - 1];
}

function main(): void {
  const [first, last] = seedsAsked();
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last) || last < first) {
    say("usage: npm run simulate -- [--seeds COUNT] [--from SEED] [--seed SEED]");
    process.exitCode = 2;
    return;
  }
  let failures = 0;
  let saidAtMs = Date.now();
  for (let seed = first; seed <= last && failures < FAILURES_MAX; seed++) {
    try {
      runSeed(seed, first === last || seed % CUTS_EVERY === 0);
    } catch (error) {
      failures++;
      say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
    if (Date.now() - saidAtMs < PROGRESS_MS) continue;
    saidAtMs = Date.now();
    say(`${seed - first + 1} of ${last - first + 1} seeds, ${failures} failed`);
  }
  say(failures === 0 ? `seeds ${first} to ${last}: all is well` : `${failures} seeds failed`);
  if (failures > 0) process.exitCode = 1;
}

main();
