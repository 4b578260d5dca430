/**
 * The journal against its model, on a disk that loses, tears, fills up and stops: what anybody was told is safe is back after
 * every crash, and what happened in one turn has happened whole or not at all.
 *
 * `npm run simulate -- --seeds 100000` runs more, `--seed 17` one.
 */
import { describe, expect, test } from "vitest";
import { BLOCK_HEADER_BYTES, MESSAGE, SETTLED } from "../../src/store/segment-format.ts";
import { cutJournal, runJournal } from "../simulation/seeds.ts";
import { reseal, walkBlocks, walkRecords } from "./journal-bytes.ts";
import { JournalRun, type RunOptions } from "./journal-model.ts";
import type { SimulatedDisk } from "./simulated-disk.ts";

const SEEDS = 3000;
const FULL_DISK_SEEDS = 1000;
const CUT_SEEDS = 4;
const TIMEOUT_MS = 120_000;

describe("after every crash the journal is where it was after some turn", () => {
  test("and no turn is lost that anybody was told is safe", { timeout: TIMEOUT_MS }, () => {
    for (let seed = 1; seed <= SEEDS; seed++) runJournal({ seed });
  });

  test("also when the disk was full now and then", { timeout: TIMEOUT_MS }, () => {
    for (let seed = 1; seed <= FULL_DISK_SEEDS; seed++) runJournal({ seed, faults: true });
  });

  test("at whichever operation of the disk it ended", { timeout: TIMEOUT_MS }, () => {
    for (let seed = 1; seed <= CUT_SEEDS; seed++) cutJournal(seed);
  });

  test("and the same seed does the same again", () => {
    const [one, other] = [runJournal({ seed: 1 }), runJournal({ seed: 1 })];
    expect(one.disk.list()).toEqual(other.disk.list());
    for (const name of one.disk.list())
      expect(one.disk.bytesOf(name).equals(other.disk.bytesOf(name))).toBe(true);
  });
});

/** Writes the block as if its queues were done with nothing. */
function forgetSettled(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (const block of walkBlocks(copy)) {
    for (const { type, at } of walkRecords(copy, block))
      if (type === SETTLED) copy.writeUInt32LE(0, at + 16);
    reseal(copy, block);
  }
  return copy;
}

/** Changes a byte of the last message in each file, and makes its checksum right. */
function flipLastMessage(disk: SimulatedDisk): void {
  for (const name of disk.list()) {
    const bytes = disk.bytesOf(name);
    for (const block of walkBlocks(bytes).reverse()) {
      const message = walkRecords(bytes, block).findLast(({ type }) => type === MESSAGE);
      if (message === undefined) continue;
      bytes[message.end - 1]! ^= 1;
      reseal(bytes, block);
      break;
    }
  }
}

/** The last block of the youngest file that has any is missing, as if it had never been written. */
function dropLastBlock(disk: SimulatedDisk): void {
  for (const name of disk.list().reverse()) {
    const last = walkBlocks(disk.bytesOf(name)).at(-1);
    if (last === undefined) continue;
    disk.bytesOf(name).fill(0, last.start, last.start + BLOCK_HEADER_BYTES);
    return;
  }
}

/** How many of the first seeds notice. */
function noticed(seeds: number, options: Omit<RunOptions, "seed">): number {
  let count = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      new JournalRun({ seed, ...options }).run();
    } catch {
      count++;
    }
  }
  return count;
}

describe("the model notices", () => {
  // What nothing breaks must not be noticed, or the tests below say nothing.
  test("nothing where nothing is broken", () => {
    expect(noticed(20, {})).toBe(0);
  });

  test("a sync after which nothing is on the disk", () => {
    expect(noticed(20, { sabotage: { syncsNothing: true } })).toBeGreaterThan(2);
  });

  test("names that are not on the disk when the folder has been synced", () => {
    expect(noticed(20, { sabotage: { syncsNoNames: true } })).toBeGreaterThan(2);
  });

  test("settled messages that are not noted", () => {
    expect(noticed(20, { sabotage: { onWrite: forgetSettled } })).toBeGreaterThan(10);
  });

  test("a changed byte under a right checksum", () => {
    expect(noticed(20, { tamper: flipLastMessage })).toBeGreaterThan(10);
  });

  test("a block that is lost although it was safe", () => {
    expect(noticed(40, { tamper: dropLastBlock })).toBeGreaterThan(2);
  });
});
