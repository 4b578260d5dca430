/**
 * How often each message of a quorum queue has come back: after too often it is not delivered again.
 *
 * Only messages that have come back are in it, until they leave the queue: a queue whose consumers do their work keeps
 * nothing here.
 */

import type { MemoryCounter } from "../store/memory-budget.ts";
import { NumberTable } from "../store/number-table.ts";

export class DeliveryCounts {
  readonly #counts: NumberTable;

  constructor(memory: MemoryCounter) {
    this.#counts = new NumberTable(memory);
  }

  /** 0 for a message that has never come back. */
  of(position: number): number {
    return this.#counts.get(position) ?? 0;
  }

  set(position: number, count: number): void {
    this.#counts.set(position, count);
  }

  /** One more; returns how many that makes. */
  increase(position: number): number {
    const count = this.of(position) + 1;
    this.#counts.set(position, count);
    return count;
  }

  /** The message has left the queue. */
  forget(position: number): void {
    this.#counts.delete(position);
  }
}
