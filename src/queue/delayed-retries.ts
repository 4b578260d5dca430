/**
 * Messages of a quorum queue that have come back and wait before they are delivered again [RabbitMQ 4.3: delayed retry].
 *
 * They are neither ready nor unacked. It holds positions, and does not know what becomes of them.
 */

import type { Clock, Timer } from "../clock.ts";
import type { MemoryCounter } from "../store/memory-budget.ts";
import { NumberTable } from "../store/number-table.ts";
import { DueHeap } from "./due-heap.ts";

export class DelayedRetries {
  readonly #heap: DueHeap;
  readonly #bits: NumberTable;
  readonly #clock: Clock;
  readonly #onDue: () => void;
  #timer: Timer | undefined;
  #timerDueMs = Number.POSITIVE_INFINITY;

  /** `onDue` is called when some are due, to `take` them. */
  constructor(clock: Clock, memory: MemoryCounter, onDue: () => void) {
    this.#heap = new DueHeap(memory);
    this.#bits = new NumberTable(memory);
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get length(): number {
    return this.#heap.length;
  }

  add(position: number, bits: number, delayMs: number): void {
    this.#heap.add(this.#clock.now() + delayMs, position);
    this.#bits.set(position, bits);
    this.#watch();
  }

  /** Hands over what is due, or `all`, the earliest first. */
  take(receive: (position: number, bits: number) => void, all = false): void {
    const heap = this.#heap;
    while (heap.length > 0 && (all || heap.dueMs <= this.#clock.now())) {
      const { position } = heap;
      heap.shift();
      const bits = this.#bits.get(position)!;
      this.#bits.delete(position);
      receive(position, bits);
    }
    this.#watch();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** One timer, for the earliest. */
  #watch(): void {
    if (this.#heap.length === 0 || this.#heap.dueMs >= this.#timerDueMs) return;
    this.#timer?.cancel();
    this.#timerDueMs = this.#heap.dueMs;
    this.#timer = this.#clock.setTimer(Math.max(0, this.#timerDueMs - this.#clock.now()), () => {
      this.#timerDueMs = Number.POSITIVE_INFINITY;
      this.#timer = undefined;
      this.#onDue();
    });
  }
}
