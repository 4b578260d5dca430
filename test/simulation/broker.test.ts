/**
 * The whole broker from a seed: simulated clients, a clock that stands still, a disk that loses, tears and fails, and no
 * sockets. `npm run simulate -- --seeds 10000` runs more, `--seed 17` one.
 */
import { describe, expect, test } from "vitest";
import {
  answersTopologyBeforeSync,
  confirmsBeforeSync,
  dropLastBlock,
  flipLastMessage,
  ignoreChecksums,
  skipsSettled,
} from "../store/broken-disk.ts";
import type { SimulatedDisk } from "../store/simulated-disk.ts";
import { BrokerRun, type RunOptions } from "./broker-run.ts";
import { runBroker } from "./seeds.ts";

const SEEDS = 200;
const TIMEOUT_MS = 120_000;

test("what clients were told holds after every crash of the broker", {
  timeout: TIMEOUT_MS,
}, () => {
  const seen = { lives: 0, messages: 0, redelivered: 0, dead: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { counts } = runBroker(seed);
    for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += counts[key];
  }
  // A run that saw nothing proved nothing.
  expect(seen.lives).toBeGreaterThan(SEEDS * 2);
  expect(seen.messages).toBeGreaterThan(SEEDS * 50);
  expect(seen.redelivered).toBeGreaterThan(SEEDS);
  expect(seen.dead).toBeGreaterThan(SEEDS);
});

test("dead letters that the disk does not give to be read keep their order", () => {
  for (const seed of [700274, 700505, 701187, 701263]) runBroker(seed);
});

test("the same seed does the same again", () => {
  for (const seed of [1, 2, 3]) expect(runBroker(seed).counts).toEqual(runBroker(seed).counts);
});

/** How many of the first seeds notice. */
function noticed(seeds: number, options: Omit<RunOptions, "seed">): number {
  let count = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      new BrokerRun({ seed, ...options }).run();
    } catch {
      count++;
    }
  }
  return count;
}

/** What happens to the journal of the one virtual host there is. */
function ofJournal(tamper: (disk: SimulatedDisk) => void): Omit<RunOptions, "seed"> {
  return {
    tamper: (disk) => {
      if (disk.list().includes("vhost-2f")) tamper(disk.subfolder("vhost-2f"));
    },
  };
}

describe("it is noticed", { timeout: TIMEOUT_MS }, () => {
  test("when nothing is broken, that nothing is", () => {
    expect(noticed(20, {})).toBe(0);
  });

  test("when something is confirmed before its sync", () => {
    expect(noticed(20, { sabotage: confirmsBeforeSync })).toBeGreaterThan(2);
  });

  test("when the topology is answered before its sync", () => {
    expect(noticed(20, { sabotage: answersTopologyBeforeSync })).toBeGreaterThan(2);
  });

  test("when a sync leaves nothing on the disk", () => {
    expect(noticed(20, { sabotage: { syncsNothing: () => true } })).toBeGreaterThan(5);
  });

  test("when names are not on the disk though the folder has been synced", () => {
    expect(noticed(20, { sabotage: { syncsNoNames: true } })).toBeGreaterThan(5);
  });

  test("when settled messages are not noted", () => {
    expect(noticed(20, { sabotage: skipsSettled })).toBeGreaterThan(5);
  });

  test("when checksums are not looked at", () => {
    expect(noticed(100, ofJournal(ignoreChecksums))).toBeGreaterThan(0);
  });

  test("when a byte has changed under a right checksum", () => {
    expect(noticed(20, ofJournal(flipLastMessage))).toBeGreaterThan(5);
  });

  test("when a block is lost that was safe", () => {
    expect(noticed(40, ofJournal(dropLastBlock))).toBeGreaterThan(2);
  });
});
