/** Time in hand: what falls due when, and how durations are written. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parseDuration, SystemClock, VirtualClock } from "../src/clock.ts";
import { seeded } from "./seeded.ts";

describe("a duration", () => {
  test.each([
    ["250ms", 250],
    ["0ms", 0],
    ["1s", 1000],
    ["90s", 90_000],
    ["10m", 600_000],
    ["2h", 7_200_000],
    ["7d", 604_800_000],
    ["1.5s", 1500],
    ["0.5d", 43_200_000],
    [17, 17],
    [0, 0],
  ])("of %o is %i milliseconds", (duration, ms) => {
    expect(parseDuration(duration)).toBe(ms);
  });

  test.each(["", "10", "m", "10 m", "10M", "-1s", "1e3s", "1..5s", ".5s", "1w", "10m ", "ms10"])(
    "is not %o, and the error says how it is written",
    (text) => {
      expect(() => parseDuration(text)).toThrow(RangeError);
      expect(() => parseDuration(text)).toThrow(
        `"${text}" is no duration: write a number and ms, s, m, h or d, such as "10m"`,
      );
    },
  );
});

describe("virtual time", () => {
  test("stands still until it is advanced", () => {
    const clock = new VirtualClock(1000);
    expect(clock.now()).toBe(1000);
    clock.advance("2s");
    expect(clock.now()).toBe(3000);
    clock.advance(0);
    expect(clock.now()).toBe(3000);
    expect(new VirtualClock().now()).toBe(Date.UTC(2026, 0, 1));
  });

  test("does not run backwards", () => {
    const clock = new VirtualClock();
    expect(() => clock.advance(-1)).toThrow("time does not run backwards");
    expect(() => clock.advance(Number.NaN)).toThrow("time does not run backwards");
  });

  test("shows each timer the moment for which it was set", () => {
    const clock = new VirtualClock(0);
    const seen: [string, number][] = [];
    for (const [name, ms] of [
      ["c", 30],
      ["a", 10],
      ["b", 20],
    ] as const)
      clock.setTimer(ms, () => seen.push([name, clock.now()]));
    clock.advance(9);
    expect(seen).toEqual([]);
    clock.advance(11);
    expect(seen).toEqual([
      ["a", 10],
      ["b", 20],
    ]);
    clock.advance("1h");
    expect(seen.at(-1)).toEqual(["c", 30]);
    expect(seen).toHaveLength(3);
  });

  test("lets timers of one moment ring in the order in which they were set", () => {
    const clock = new VirtualClock(0);
    const rung: number[] = [];
    clock.setTimer(10, () => rung.push(1));
    clock.advance(5);
    clock.setTimer(5, () => rung.push(2));
    clock.setTimer(5, () => rung.push(3));
    clock.advance(5);
    expect(rung).toEqual([1, 2, 3]);
  });

  test("runs a timer set on the way when it falls due before the end", () => {
    const clock = new VirtualClock(0);
    const rung: number[] = [];
    const again = (): void => {
      rung.push(clock.now());
      clock.setTimer(10, again);
    };
    clock.setTimer(10, again);
    clock.advance(35);
    expect([rung, clock.now()]).toEqual([[10, 20, 30], 35]);
    clock.setTimer(0, () => rung.push(-1));
    clock.setTimer(-5, () => rung.push(-2));
    expect(rung).toHaveLength(3);
    clock.advance(0);
    expect(rung.slice(3)).toEqual([-1, -2]);
  });

  test("lets a cancelled timer not ring, whoever cancels it and how often", () => {
    const clock = new VirtualClock(0);
    const rung: string[] = [];
    const second = clock.setTimer(20, () => rung.push("second"));
    const first = clock.setTimer(10, () => {
      rung.push("first");
      second.cancel();
      first.cancel();
    });
    clock.setTimer(30, () => rung.push("third"));
    clock.advance(100);
    second.cancel();
    expect(rung).toEqual(["first", "third"]);
  });

  seeded("rings every timer once, in order, at its time, however it is advanced", 100, (random) => {
    const clock = new VirtualClock(0);
    const due: { dueMs: number; number: number }[] = [];
    const rung: { dueMs: number; number: number }[] = [];
    for (let number = 0; number < 50; number++) {
      const delayMs = random.below(100);
      const timer = { dueMs: clock.now() + delayMs, number };
      const handle = clock.setTimer(delayMs, () => {
        expect(clock.now()).toBe(timer.dueMs);
        rung.push(timer);
      });
      if (random.chance(20)) handle.cancel();
      else due.push(timer);
      if (random.chance(20)) clock.advance(random.below(30));
    }
    clock.advance("1h");
    expect(rung).toEqual(due.sort((a, b) => a.dueMs - b.dueMs || a.number - b.number));
  });
});

describe("the host's time", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  test("is read once a turn of the event loop", () => {
    const clock = new SystemClock();
    const first = clock.now();
    vi.setSystemTime(first + 500);
    expect(clock.now()).toBe(first);
    vi.runOnlyPendingTimers(); // setImmediate
    expect(clock.now()).toBe(first + 500);
  });

  test("lets timers ring when they are due, and not when they are cancelled", () => {
    const clock = new SystemClock();
    const rung: string[] = [];
    clock.setTimer(1000, () => rung.push("kept"));
    clock.setTimer(1000, () => rung.push("cancelled")).cancel();
    vi.advanceTimersByTime(999);
    expect(rung).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(rung).toEqual(["kept"]);
  });

  test("takes delays beyond what setTimeout can hold", () => {
    const clock = new SystemClock();
    const tenYearsMs = 315_360_000_000;
    let rung = 0;
    clock.setTimer(tenYearsMs, () => rung++);
    const cancelled = clock.setTimer(tenYearsMs, () => rung++);
    vi.advanceTimersByTime(tenYearsMs / 2);
    cancelled.cancel();
    vi.advanceTimersByTime(tenYearsMs / 2 - 1);
    expect(rung).toBe(0);
    vi.advanceTimersByTime(1);
    expect(rung).toBe(1);
  });
});
