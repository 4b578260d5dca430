/**
 * Whether two brokers behave the same under a sequence of operations, and the shortest sequence under which they do not.
 */
import { Random } from "../seeded.ts";
import { type Operation, sequence } from "./operations.ts";
import { play, type Transcript } from "./player.ts";

export interface Difference {
  readonly seed: number;
  readonly operations: readonly Operation[];
  /** Which of the operations it was seen after; their number: only in what was left at the end. */
  readonly step: number;
  readonly seen: readonly [readonly string[], readonly string[]];
}

export interface Pair {
  readonly urls: readonly [string, string];
  readonly operationCount: number;
}

const QUIET_MS = 12;
/** A difference is believed when it is there again with so much time. */
const PATIENT_QUIET_MS = [40, 100];

let runs = 0;

async function playBoth(
  operations: readonly Operation[],
  urls: readonly [string, string],
  quietMs: number,
): Promise<[Transcript, Transcript]> {
  const prefix = `d${process.pid}.${runs++}.`;
  const [one, other] = await Promise.all(
    urls.map((url) => play(operations, { url, prefix, quietMs })),
  );
  return [one!, other!];
}

/** The first step after which not the same was seen. */
export function firstDifference(
  operations: readonly Operation[],
  [one, other]: readonly [Transcript, Transcript],
  seed: number,
): Difference | undefined {
  const step = one.findIndex((lines, index) => lines.join("\n") !== other[index]!.join("\n"));
  return step < 0 ? undefined : { seed, operations, step, seen: [one[step]!, other[step]!] };
}

/** The difference that is still there when there is more time; with what was seen then. */
async function confirmed(
  operations: readonly Operation[],
  pair: Pair,
  seed: number,
): Promise<Difference | undefined> {
  let difference: Difference | undefined;
  for (const quietMs of PATIENT_QUIET_MS) {
    difference = firstDifference(operations, await playBoth(operations, pair.urls, quietMs), seed);
    if (difference === undefined) return undefined;
  }
  return difference;
}

/** Plays the sequence of a seed to both brokers. */
export async function compare(seed: number, pair: Pair): Promise<Difference | undefined> {
  const operations = sequence(new Random(seed), pair.operationCount);
  const transcripts = await playBoth(operations, pair.urls, QUIET_MS);
  const difference = firstDifference(operations, transcripts, seed);
  return difference && confirmed(operations, pair, seed);
}

/** Leaves out operations as long as the brokers still differ at the last one. */
export async function minimize(found: Difference, pair: Pair): Promise<Difference> {
  let best = { ...found, operations: found.operations.slice(0, found.step + 1) };
  for (let size = Math.max(1, best.operations.length >> 1); size >= 1; size >>= 1) {
    for (let from = best.operations.length - size - 1; from >= 0; from -= size) {
      const without = [...best.operations.slice(0, from), ...best.operations.slice(from + size)];
      const transcripts = await playBoth(without, pair.urls, PATIENT_QUIET_MS[0]!);
      const still = firstDifference(without, transcripts, found.seed);
      if (still !== undefined) best = { ...still, operations: without.slice(0, still.step + 1) };
      if (from > best.operations.length - 1) from = best.operations.length - 1;
    }
  }
  return best;
}

export function describeDifference(
  { seed, operations, step, seen }: Difference,
  names: readonly [string, string],
): string {
  const where = step < operations.length ? `after operation ${step + 1}` : "in what was left";
  return [
    `seed ${seed}: the brokers differ ${where}`,
    ...operations.map((operation, index) => `${index + 1}. ${JSON.stringify(operation)}`),
    ...names.flatMap((name, index) => [`${name}:`, ...seen[index]!.map((line) => `  ${line}`)]),
  ].join("\n");
}
