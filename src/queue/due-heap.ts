/**
 * Messages by the time at which they are due: a heap in flat arrays, 16 bytes a message, the earliest first.
 *
 * Of those that are due at the same time the one with the lower position comes first: of one store that is the one that
 * was stored first.
 */

import type { MemoryCounter } from "../store/memory-budget.ts";

/** What it has while it is empty, and is not counted. */
const FIRST_ENTRIES = 8;
const ENTRY_BYTES = 16;

export class DueHeap {
  #dues = new Float64Array(FIRST_ENTRIES);
  #positions = new Float64Array(FIRST_ENTRIES);
  length = 0;
  readonly #memory: MemoryCounter;

  constructor(memory: MemoryCounter) {
    this.#memory = memory;
  }

  /** When the first is due, in milliseconds since the epoch; there must be one. */
  get dueMs(): number {
    return this.#dues[0]!;
  }

  /** The first one's position. */
  get position(): number {
    return this.#positions[0]!;
  }

  add(dueMs: number, position: number): void {
    if (this.length === this.#dues.length) this.#resize(this.length * 2);
    let index = this.length++;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#isBefore(dueMs, position, parent)) break;
      this.#move(parent, index);
      index = parent;
    }
    this.#dues[index] = dueMs;
    this.#positions[index] = position;
  }

  /** Removes the first. */
  shift(): void {
    const last = --this.length;
    const dueMs = this.#dues[last]!;
    const position = this.#positions[last]!;
    let index = 0;
    for (let child = 1; child < last; child = 2 * index + 1) {
      const right = child + 1;
      if (right < last && this.#isBefore(this.#dues[right]!, this.#positions[right]!, child))
        child++;
      if (this.#isBefore(dueMs, position, child)) break;
      this.#move(child, index);
      index = child;
    }
    this.#dues[index] = dueMs;
    this.#positions[index] = position;
    if (last === 0 && this.#dues.length > FIRST_ENTRIES) this.#resize(FIRST_ENTRIES);
  }

  #isBefore(dueMs: number, position: number, index: number): boolean {
    const other = this.#dues[index]!;
    return dueMs < other || (dueMs === other && position < this.#positions[index]!);
  }

  #move(from: number, to: number): void {
    this.#dues[to] = this.#dues[from]!;
    this.#positions[to] = this.#positions[from]!;
  }

  #resize(entries: number): void {
    this.#memory.take((entries - this.#dues.length) * ENTRY_BYTES);
    const kept = Math.min(entries, this.length);
    const dues = new Float64Array(entries);
    dues.set(this.#dues.subarray(0, kept));
    const positions = new Float64Array(entries);
    positions.set(this.#positions.subarray(0, kept));
    this.#dues = dues;
    this.#positions = positions;
  }
}
