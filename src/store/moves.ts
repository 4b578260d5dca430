/**
 * Records that have moved: from the position that their holders know to where they are now.
 *
 * Holders keep the position under which a message was stored first, for as long as they hold it. A million messages may have
 * moved, so this counts as memory that messages take.
 */

import type { MemoryCounter } from "./memory-budget.ts";
import { NumberTable } from "./number-table.ts";

export class Moves {
  readonly #to: NumberTable;

  constructor(memory: MemoryCounter) {
    this.#to = new NumberTable(memory);
  }

  get size(): number {
    return this.#to.size;
  }

  /** Where the record that is known by `position` is now. */
  current(position: number): number {
    return this.#to.size === 0 ? position : (this.#to.get(position) ?? position);
  }

  /** The record that is known by `known` is at `now` from now on. */
  move(known: number, now: number): void {
    this.#to.set(known, now);
  }

  /** Nobody holds the record any more that is known by `position`. */
  forget(position: number): void {
    this.#to.delete(position);
  }

  /** All of them, in no order; nothing may be changed meanwhile. */
  forEach(visit: (known: number, now: number) => void): void {
    this.#to.forEach(visit);
  }

  /** Nobody asks any more. */
  clear(): void {
    this.#to.clear();
  }
}
