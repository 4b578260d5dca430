/**
 * The journal against its model, on a disk that loses, tears, fills up and stops: what anybody was told is safe is back after
 * every crash, and what happened in one turn has happened whole or not at all.
 *
 * `npm run simulate -- --seeds 100000` runs more, `--seed 17` one.
 */
import { describe, expect, test } from "vitest";
import { cutJournal, runJournal } from "../simulation/seeds.ts";
import {
  confirmsBeforeSync,
  dropLastBlock,
  flipLastMessage,
  ignoreChecksums,
  skipsSettled,
} from "./broken-disk.ts";
import { JournalRun, type RunOptions } from "./journal-model.ts";

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
    expect(noticed(20, { sabotage: { syncsNothing: () => true } })).toBeGreaterThan(2);
  });

  test("a confirm before the sync", () => {
    expect(noticed(40, { sabotage: confirmsBeforeSync })).toBeGreaterThan(2);
  });

  test("names that are not on the disk when the folder has been synced", () => {
    expect(noticed(20, { sabotage: { syncsNoNames: true } })).toBeGreaterThan(2);
  });

  test("settled messages that are not noted", () => {
    expect(noticed(20, { sabotage: skipsSettled })).toBeGreaterThan(10);
  });

  test("a changed byte under a right checksum", () => {
    expect(noticed(20, { tamper: flipLastMessage })).toBeGreaterThan(10);
  });

  test("checksums that nobody looks at", () => {
    expect(noticed(200, { tamper: ignoreChecksums })).toBeGreaterThan(1);
  });

  test("a block that is lost although it was safe", () => {
    expect(noticed(40, { tamper: dropLastBlock })).toBeGreaterThan(2);
  });
});
