/**
 * Where the outstanding deliveries of a channel came from, by number: so that a delivery keeps a number and no reference.
 *
 * A source has its number while it has deliveries out; the one that was used last keeps it beyond that.
 */

import type { Queue } from "../queue/queue.ts";

/** Where a delivery came from and who is told when it is settled. */
export interface DeliverySource {
  readonly queue: Queue;
  /** One of its deliveries has been settled or requeued: it counts one less. */
  settled(): void;
  /** It may have credit again. */
  wake(): void;
}

export class DeliverySources {
  /** By number; some are free. */
  readonly #sources: (DeliverySource | undefined)[] = [];
  /** Deliveries that each has out. */
  readonly #counts: number[] = [];
  readonly #free: number[] = [];
  readonly #numbers = new Map<DeliverySource, number>();
  #last: DeliverySource | undefined;
  #lastNumber = 0;

  at(number: number): DeliverySource {
    return this.#sources[number]!;
  }

  /** The source has one more delivery out; returns its number. */
  add(source: DeliverySource): number {
    if (source !== this.#last) this.#use(source);
    this.#counts[this.#lastNumber]!++;
    return this.#lastNumber;
  }

  /** One delivery less. */
  remove(number: number): void {
    const left = --this.#counts[number]!;
    if (left === 0 && number !== this.#lastNumber) this.#forget(number);
  }

  #use(source: DeliverySource): void {
    if (this.#last !== undefined && this.#counts[this.#lastNumber] === 0)
      this.#forget(this.#lastNumber);
    let number = this.#numbers.get(source);
    if (number === undefined) {
      number = this.#free.pop() ?? this.#sources.length;
      this.#sources[number] = source;
      this.#counts[number] = 0;
      this.#numbers.set(source, number);
    }
    this.#last = source;
    this.#lastNumber = number;
  }

  #forget(number: number): void {
    this.#numbers.delete(this.#sources[number]!);
    this.#sources[number] = undefined;
    this.#free.push(number);
  }
}
