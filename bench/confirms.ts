/**
 * The publisher confirms outstanding on one channel.
 *
 * Brokers may confirm out of order and several at a time; what they may not do is confirm a message
 * twice or one that was never published. Both throw.
 */

import type { Confirms } from "./client.ts";

/** How many windows of messages may be confirmed ahead of one that is not. */
const OVERTAKING_MAX = 64;

export class ConfirmWindow implements Confirms {
  /** Published and not confirmed. */
  outstanding = 0;
  /** The lowest tag not confirmed, and the tag of the next message. */
  #lowest = 1;
  #next = 1;
  /** Of the tags from `#lowest` on: 1 if confirmed ahead of a lower one. A ring. */
  readonly #confirmed: Uint8Array;
  readonly #mask: number;

  /**
   * `capacity` is the most messages ever outstanding: the window plus what one write may add. One of them may stay so while
   * many behind it are confirmed.
   */
  constructor(capacity: number) {
    const size = 2 ** Math.ceil(Math.log2((capacity + 1) * OVERTAKING_MAX));
    this.#confirmed = new Uint8Array(size);
    this.#mask = size - 1;
  }

  onPublished(count: number): void {
    this.#next += count;
    this.outstanding += count;
    if (this.#next - this.#lowest > this.#mask) throw new Error("more unconfirmed than the window");
  }

  onConfirm(deliveryTag: number, multiple: boolean): void {
    if (deliveryTag >= this.#next) throw new Error(`confirm ${deliveryTag} of nothing published`);
    if (deliveryTag < this.#lowest) throw new Error(`confirm ${deliveryTag} came twice`);
    if (multiple) {
      while (this.#lowest <= deliveryTag) this.#settleLowest();
      return;
    }
    const slot = deliveryTag & this.#mask;
    if (this.#confirmed[slot] === 1) throw new Error(`confirm ${deliveryTag} came twice`);
    this.#confirmed[slot] = 1;
    this.outstanding--;
    while (this.#confirmed[this.#lowest & this.#mask] === 1) this.#settleLowest();
  }

  #settleLowest(): void {
    const slot = this.#lowest & this.#mask;
    if (this.#confirmed[slot] === 0) this.outstanding--;
    this.#confirmed[slot] = 0;
    this.#lowest++;
  }
}
