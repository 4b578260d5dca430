/** How much of the limit is for what. */
import { expect, test } from "vitest";
import { MemoryBudget, MemoryShare } from "../../src/store/memory-budget.ts";

const LIMIT = 900;

/** Segments of 100 bytes that can be had again; returns how many are left. */
function withSegments(count: number): { budget: MemoryBudget; left: () => number } {
  const budget = new MemoryBudget(LIMIT);
  let left = count;
  for (let segment = 0; segment < count; segment++) {
    budget.takeBuffer(100);
    budget.touch({
      evict: () => {
        left--;
        budget.takeBuffer(-100);
        return true;
      },
    });
  }
  return { budget, left: () => left };
}

test("what is kept about messages makes segments go, down to two thirds of the limit", () => {
  const { budget, left } = withSegments(9);
  for (const [bytes, expected] of [
    [1, 8],
    [66, 7],
    [5000, 6],
  ] as const) {
    budget.take(bytes);
    budget.makeRoom(0);
    expect(left()).toBe(expected);
  }
  budget.take(-5067);
  expect([left(), budget.usedBytes]).toEqual([6, 600]);
});

test("what a store has taken is given back as a whole, once", () => {
  const budget = new MemoryBudget(LIMIT);
  const share = new MemoryShare(budget);
  const other = new MemoryShare(budget);
  other.take(50);
  share.take(300);
  share.take(-100);
  share.giveBack();
  share.take(-200);
  share.take(10);
  expect(budget.usedBytes).toBe(50);
});
