/**
 * Numbers by number, as a Map would have them, in flat arrays: there may be a million entries, or a hundred. An entry takes
 * 16 bytes, and the arrays are between a quarter and three quarters full; a Map takes four times as much, all of it work for
 * the garbage collector, and ends at 16.7 million entries.
 *
 * Keys are integers from 0 to 2^53; values are any numbers. Entries lie where the hash of their key says or, when that is
 * taken, in the next free place behind it.
 */

import type { MemoryCounter } from "./memory-budget.ts";

const FIRST_PLACES = 8;
const NO_KEY = -1;
const TWO_TO_32 = 2 ** 32;
/** 2^32 divided by the golden ratio: neighbouring groups end up far from each other. */
const SPREAD = 0x9e3779b1;
/** Keys that differ in their last bits alone lie together, in a line of the cache: mostly one is asked for after the other. */
const GROUP_SHIFT = 3;
const GROUP_MASK = (1 << GROUP_SHIFT) - 1;

const noKeys = new Float64Array(0);

export class NumberTable {
  #keys: Float64Array = noKeys;
  #values: Float64Array = noKeys;
  /** A hash has 32 bits; its upper ones are the place. */
  #shift = 32;
  size = 0;
  readonly #memory: MemoryCounter;

  constructor(memory: MemoryCounter) {
    this.#memory = memory;
  }

  /** The place of a key, or the one where it would go. */
  #placeOf(key: number): number {
    const keys = this.#keys;
    const mask = keys.length - 1;
    let place = this.#home(key);
    while (keys[place] !== key && keys[place] !== NO_KEY) place = (place + 1) & mask;
    return place;
  }

  #home(key: number): number {
    const upper = Math.floor(key / TWO_TO_32);
    const low = key >>> 0;
    const group = Math.imul((low >>> GROUP_SHIFT) ^ Math.imul(upper, SPREAD), SPREAD);
    return ((group >>> this.#shift) & ~GROUP_MASK) | (low & GROUP_MASK);
  }

  get(key: number): number | undefined {
    if (this.size === 0) return undefined;
    const place = this.#placeOf(key);
    return this.#keys[place] === key ? this.#values[place] : undefined;
  }

  set(key: number, value: number): void {
    if (4 * this.size >= 3 * this.#keys.length)
      this.#resize(Math.max(FIRST_PLACES, 2 * this.#keys.length));
    const place = this.#placeOf(key);
    if (this.#keys[place] !== key) {
      this.#keys[place] = key;
      this.size++;
    }
    this.#values[place] = value;
  }

  /** Whether there was one. */
  delete(key: number): boolean {
    if (this.size === 0) return false;
    const place = this.#placeOf(key);
    if (this.#keys[place] !== key) return false;
    this.size--;
    if (this.size === 0) this.clear();
    else {
      this.#close(place);
      if (8 * this.size < this.#keys.length && this.#keys.length > FIRST_PLACES)
        this.#resize(this.#keys.length / 4);
    }
    return true;
  }

  /** Makes a place free: what lies behind it and would not be found any more moves up. */
  #close(free: number): void {
    const keys = this.#keys;
    const values = this.#values;
    const mask = keys.length - 1;
    let gap = free;
    for (let place = (gap + 1) & mask; keys[place] !== NO_KEY; place = (place + 1) & mask) {
      const way = (place - this.#home(keys[place]!)) & mask;
      if (way < ((place - gap) & mask)) continue;
      keys[gap] = keys[place]!;
      values[gap] = values[place]!;
      gap = place;
    }
    keys[gap] = NO_KEY;
  }

  #resize(places: number): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = new Float64Array(places).fill(NO_KEY);
    this.#values = new Float64Array(places);
    this.#shift = Math.clz32(places) + 1;
    for (let place = 0; place < keys.length; place++) {
      const key = keys[place]!;
      if (key === NO_KEY) continue;
      const to = this.#placeOf(key);
      this.#keys[to] = key;
      this.#values[to] = values[place]!;
    }
    this.#memory.take(16 * (places - keys.length));
  }

  clear(): void {
    this.#memory.take(-16 * this.#keys.length);
    this.#keys = noKeys;
    this.#values = noKeys;
    this.size = 0;
  }

  /** In no order. Nothing may be changed meanwhile. */
  forEach(visit: (key: number, value: number) => void): void {
    const keys = this.#keys;
    for (let place = 0; place < keys.length; place++)
      if (keys[place] !== NO_KEY) visit(keys[place]!, this.#values[place]!);
  }

  /** In no order. */
  keys(): Float64Array {
    const keys = new Float64Array(this.size);
    let at = 0;
    for (const key of this.#keys) if (key !== NO_KEY) keys[at++] = key;
    return keys;
  }
}
