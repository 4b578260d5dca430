/**
 * Keys that have been seen, each for a time, and no more than so many: the oldest go first.
 *
 * lru-cache would make room for all of them at once, for whatever number a client asks, and has a clock of its own.
 */

import type { Clock } from "../clock.ts";

export class SeenKeys {
  readonly #sizeMax: number;
  readonly #clock: Clock;
  /** When each is forgotten, the one first that has been here longest. */
  readonly #untilMs = new Map<string, number>();

  constructor(sizeMax: number, clock: Clock) {
    this.#sizeMax = sizeMax;
    this.#clock = clock;
  }

  /** Whether the key is new; from now on it has been seen, for `ttlMs`. */
  claim(key: string, ttlMs: number): boolean {
    const nowMs = this.#clock.now();
    const untilMs = this.#untilMs.get(key);
    if (untilMs !== undefined) {
      if (nowMs < untilMs) return false;
      this.#untilMs.delete(key);
    } else if (this.#untilMs.size >= this.#sizeMax) {
      this.#forgetOldest();
    }
    this.#untilMs.set(key, nowMs + ttlMs);
    return true;
  }

  #forgetOldest(): void {
    for (const key of this.#untilMs.keys()) {
      this.#untilMs.delete(key);
      return;
    }
  }
}
