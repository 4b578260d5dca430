/**
 * The one source of time.
 *
 * Everything that waits or looks at the time does so through a `Clock`, so that a test, a simulation or the program
 * that embeds the broker can hold time in its hand. `SystemClock` is coarse on purpose: it reads the host's clock once
 * a turn of the event loop, because reading it for each message costs more than routing one.
 */

import { assert } from "./assert.ts";

export interface Timer {
  /** Idempotent; after it the callback is not called. */
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the epoch; does not change within a turn of the event loop. */
  now(): number;
  /** The same, read anew: for work that takes long within one turn. */
  exactNow(): number;
  /** Calls `callback` once, not before `delayMs` from now. Delays of years are allowed. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** setTimeout takes a signed 32-bit count of milliseconds, and fires at once beyond it. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

class SystemTimer implements Timer {
  #timeout: NodeJS.Timeout;

  constructor(delayMs: number, callback: () => void) {
    this.#timeout = this.#arm(delayMs, callback);
  }

  #arm(delayMs: number, callback: () => void): NodeJS.Timeout {
    const legMs = Math.min(delayMs, TIMEOUT_MS_MAX);
    const fire = (): void => {
      if (delayMs > legMs) this.#timeout = this.#arm(delayMs - legMs, callback);
      else callback();
    };
    // A pending timer must not keep a process alive whose broker has been closed or forgotten.
    return setTimeout(fire, legMs).unref();
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }
}

/** The host's clock. */
export class SystemClock implements Clock {
  #nowMs = 0;
  #fresh = false;
  readonly #expire = (): void => {
    this.#fresh = false;
  };

  now(): number {
    if (!this.#fresh) {
      this.#nowMs = Date.now();
      this.#fresh = true;
      setImmediate(this.#expire);
    }
    return this.#nowMs;
  }

  exactNow(): number {
    return Date.now();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return new SystemTimer(delayMs, callback);
  }
}

class VirtualTimer implements Timer {
  readonly dueMs: number;
  readonly callback: () => void;
  readonly #timers: Set<VirtualTimer>;

  constructor(dueMs: number, callback: () => void, timers: Set<VirtualTimer>) {
    this.dueMs = dueMs;
    this.callback = callback;
    this.#timers = timers;
    timers.add(this);
  }

  cancel(): void {
    this.#timers.delete(this);
  }
}

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `"250ms"`, `"90s"`, `"10m"`, `"2h"`, `"7d"` or a number of milliseconds -> milliseconds. */
export function parseDuration(duration: string | number): number {
  if (typeof duration === "number") return duration;
  const parts = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration);
  if (parts === null) {
    throw new RangeError(
      `"${duration}" is no duration: write a number and ms, s, m, h or d, such as "10m"`,
    );
  }
  return Number(parts[1]) * unitMs[parts[2]!]!;
}

/** Time that stands still until `advance` is called: for tests and for simulations. */
export class VirtualClock implements Clock {
  #nowMs: number;
  readonly #timers = new Set<VirtualTimer>();

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  exactNow(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return new VirtualTimer(this.#nowMs + Math.max(0, delayMs), callback, this.#timers);
  }

  /**
   * Moves time forward and runs what falls due on the way, in the order in which it falls due; a timer set on the way
   * runs too when it falls due before the end. What the callbacks send to clients leaves at the end of the turn.
   */
  advance(duration: string | number): void {
    const durationMs = parseDuration(duration);
    assert(durationMs >= 0, "time does not run backwards");
    const endMs = this.#nowMs + durationMs;
    for (let timer = this.#next(endMs); timer !== undefined; timer = this.#next(endMs)) {
      this.#timers.delete(timer);
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
      timer.callback();
    }
    this.#nowMs = endMs;
  }

  /** The first timer due by `endMs`; among those due together the one that was set first. */
  #next(endMs: number): VirtualTimer | undefined {
    let next: VirtualTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs <= endMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }
}
