/**
 * Messages that came back: a heap in flat arrays, the smallest sequence first.
 *
 * What was delivered and is requeued goes to its original place, which is always before everything never delivered. A
 * heap does that at the same small cost whether one message comes back or a lost connection's hundred thousand.
 */

import type { MemoryCounter } from "../store/memory-budget.ts";

/** What it has while it is empty, and is not counted. */
const FIRST_ENTRIES = 8;
const ENTRY_BYTES = 20;

export class Returned {
  #sequences = new Float64Array(FIRST_ENTRIES);
  #positions = new Float64Array(FIRST_ENTRIES);
  #bits = new Uint32Array(FIRST_ENTRIES);
  length = 0;
  readonly #memory: MemoryCounter;

  constructor(memory: MemoryCounter) {
    this.#memory = memory;
  }

  /** The first entry's; there must be one. */
  get sequence(): number {
    return this.#sequences[0]!;
  }

  get position(): number {
    return this.#positions[0]!;
  }

  get bits(): number {
    return this.#bits[0]!;
  }

  add(sequence: number, position: number, bits: number): void {
    if (this.length === this.#sequences.length) this.#resize(this.length * 2);
    let index = this.length++;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#sequences[parent]! <= sequence) break;
      this.#move(parent, index);
      index = parent;
    }
    this.#set(index, sequence, position, bits);
  }

  /** Removes the first entry. */
  shift(): void {
    const last = --this.length;
    const sequence = this.#sequences[last]!;
    const position = this.#positions[last]!;
    const bits = this.#bits[last]!;
    let index = 0;
    for (let child = 1; child < last; child = 2 * index + 1) {
      if (child + 1 < last && this.#sequences[child + 1]! < this.#sequences[child]!) child++;
      if (this.#sequences[child]! >= sequence) break;
      this.#move(child, index);
      index = child;
    }
    this.#set(index, sequence, position, bits);
    if (last === 0 && this.#sequences.length > FIRST_ENTRIES) this.#resize(FIRST_ENTRIES);
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#sequences[from]!, this.#positions[from]!, this.#bits[from]!);
  }

  #set(index: number, sequence: number, position: number, bits: number): void {
    this.#sequences[index] = sequence;
    this.#positions[index] = position;
    this.#bits[index] = bits;
  }

  #resize(entries: number): void {
    this.#memory.take((entries - this.#bits.length) * ENTRY_BYTES);
    const kept = Math.min(entries, this.length);
    const sequences = new Float64Array(entries);
    sequences.set(this.#sequences.subarray(0, kept));
    const positions = new Float64Array(entries);
    positions.set(this.#positions.subarray(0, kept));
    const bits = new Uint32Array(entries);
    bits.set(this.#bits.subarray(0, kept));
    this.#sequences = sequences;
    this.#positions = positions;
    this.#bits = bits;
  }
}
