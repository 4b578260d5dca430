/** Runs of settled messages against a list of them. */
import { expect, test } from "vitest";
import { SettledRuns } from "../../src/store/settled-runs.ts";
import { seeded } from "../seeded.ts";

function unfolded(runs: SettledRuns): string[] {
  const all: string[] = [];
  for (let run = 0; run < runs.length; run++)
    for (let index = 0; index < runs.count(run); index++)
      all.push(`${runs.queue(run)}:${runs.first(run) + index}`);
  return all;
}

seeded("runs say what was added, in order, whatever was added", 300, (random) => {
  const runs = new SettledRuns();
  for (let round = 0; round < 3; round++) {
    const added: string[] = [];
    let position = 2 ** 52 + random.below(1000);
    let queue = random.pick([1, 2, 2 ** 32 - 1]);
    for (let count = random.below(200); count > 0; count--) {
      if (random.chance(20)) queue = random.pick([1, 2, 2 ** 32 - 1]);
      position += random.chance(70) ? 1 : random.between(-5, 5);
      runs.add(queue, position);
      added.push(`${queue}:${position}`);
    }
    expect(unfolded(runs)).toEqual(added);
    runs.clear();
    expect(runs.length).toBe(0);
  }
});

test("a queue that is worked off in order is one run", () => {
  const runs = new SettledRuns();
  for (let index = 0; index < 100_000; index++) runs.add(7, 2 ** 52 + index);
  expect([runs.length, runs.queue(0), runs.first(0), runs.count(0)]).toEqual([
    1,
    7,
    2 ** 52,
    100_000,
  ]);
});

test("two queues that settle the same messages are two runs when one follows the other", () => {
  const runs = new SettledRuns();
  for (const queue of [1, 2])
    for (let index = 0; index < 10; index++) runs.add(queue, 2 ** 52 + index);
  expect(runs.length).toBe(2);
});
