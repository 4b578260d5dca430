/**
 * Random input that can be had again: a generator that depends on nothing but its seed, and a test that runs
 * under many of them.
 *
 * A failure begins with its seed; `SEED=17 npx vitest run test/queue/fifo.test.ts` runs that one alone.
 */
import { test } from "vitest";

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 32 bits. */
  next(): number {
    // A Weyl sequence, its bits mixed by two rounds of multiply and shift.
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let bits = this.#state;
    bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    return (bits ^ (bits >>> 15)) >>> 0;
  }

  /** An integer from 0 up to `limit`, without it. */
  below(limit: number): number {
    return Math.floor((this.next() / 2 ** 32) * limit);
  }

  /** An integer from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True in `percent` of all cases. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let index = 0; index < length; index++) bytes[index] = this.next();
    return bytes;
  }

  bits64(): bigint {
    return (BigInt(this.next()) << 32n) | BigInt(this.next());
  }
}

/** A test that runs `body` once for each seed from 1 to `seeds`. */
export function seeded(name: string, seeds: number, body: (random: Random) => void): void {
  test(name, () => {
    const { SEED: only } = process.env;
    const first = only === undefined ? 1 : Number(only);
    const last = only === undefined ? seeds : first;
    for (let seed = first; seed <= last; seed++) {
      try {
        body(new Random(seed));
      } catch (error) {
        if (error instanceof Error) error.message = `seed ${seed}: ${error.message}`;
        throw error;
      }
    }
  });
}
