import { expect, test } from "vitest";
import { TimesToLive } from "../../src/queue/times-to-live.ts";

test("Q15 V6 a message keeps the time to live of the time at which it came", () => {
  const times = new TimesToLive(undefined);
  expect(times.at(5)).toBe(Number.POSITIVE_INFINITY);
  times.change(100, 10);
  times.change(50, 20);
  times.change(undefined, 30);
  const at = [9, 11, 19, 21, 29, 31].map((arrivalMs) => times.at(arrivalMs));
  expect(at).toEqual([Number.POSITIVE_INFINITY, 100, 100, 50, 50, Number.POSITIVE_INFINITY]);
});

test("Q15 V6 what came in the millisecond of a change has the lower of the two times to live", () => {
  const times = new TimesToLive(undefined);
  times.change(100, 10);
  times.change(undefined, 20);
  expect([times.at(10), times.at(20)]).toEqual([100, 100]);
});

test("Q15 V6 of very many changes the oldest are forgotten, and nothing expires too early for that", () => {
  const times = new TimesToLive(1);
  for (let change = 1; change <= 1000; change++) times.change(change, change);
  expect(times.at(999.5)).toBe(999);
  expect(times.at(0)).toBeGreaterThanOrEqual(1);
  expect(times.at(500)).toBeGreaterThanOrEqual(500);
});
