/**
 * How often queues have delivered the messages that they have delivered more than once, and what of that is not in the log yet.
 *
 * Only messages that are held are in it: of all others, one delivery or none says the mark up to which a queue has delivered.
 */

import type { MemoryCounter } from "./memory-budget.ts";
import { NumberTable } from "./number-table.ts";

export class Redeliveries {
  /** By queue and position. */
  readonly #deliveries = new Map<number, NumberTable>();
  readonly #unwritten = new Map<number, Set<number>>();
  readonly #memory: MemoryCounter;

  constructor(memory: MemoryCounter) {
    this.#memory = memory;
  }

  /** A message has now been delivered so often, which is more than once. */
  note(queueId: number, position: number, deliveries: number): void {
    this.adopt(queueId, position, deliveries);
    this.#write(queueId, position);
  }

  /** As `note`, for what is in the log. */
  adopt(queueId: number, position: number, deliveries: number): void {
    let ofQueue = this.#deliveries.get(queueId);
    if (ofQueue === undefined) {
      ofQueue = new NumberTable(this.#memory);
      this.#deliveries.set(queueId, ofQueue);
    }
    ofQueue.set(position, deliveries);
  }

  /** What is known of a queue, by position; undefined when there is nothing. */
  ofQueue(queueId: number): NumberTable | undefined {
    return this.#deliveries.get(queueId);
  }

  /** Forgets what `isHeld` says is in a queue no more. */
  keepHeld(isHeld: (queueId: number, position: number) => boolean): void {
    for (const [queueId, ofQueue] of [...this.#deliveries]) {
      for (const position of ofQueue.keys())
        if (!isHeld(queueId, position)) this.forget(queueId, position);
    }
  }

  /** What the log says of a message may go: it is to be said again. */
  repeat(queueId: number, position: number): void {
    if (this.#deliveries.get(queueId)?.get(position) !== undefined) this.#write(queueId, position);
  }

  #write(queueId: number, position: number): void {
    const ofQueue = this.#unwritten.get(queueId);
    if (ofQueue === undefined) this.#unwritten.set(queueId, new Set([position]));
    else ofQueue.add(position);
  }

  /** The queue is done with the message. */
  forget(queueId: number, position: number): void {
    const ofQueue = this.#deliveries.get(queueId);
    if (ofQueue?.delete(position) && ofQueue.size === 0) this.#deliveries.delete(queueId);
  }

  /** Nobody asks any more. */
  clear(): void {
    for (const ofQueue of this.#deliveries.values()) ofQueue.clear();
    this.#deliveries.clear();
  }

  /** Hands over what is not in the log yet, and calls it written. */
  takeUnwritten(write: (queueId: number, position: number, deliveries: number) => void): void {
    for (const [queueId, positions] of this.#unwritten) {
      for (const position of positions) {
        // What is settled meanwhile need not be said.
        const deliveries = this.#deliveries.get(queueId)?.get(position);
        if (deliveries !== undefined) write(queueId, position, deliveries);
      }
    }
    this.#unwritten.clear();
  }
}
