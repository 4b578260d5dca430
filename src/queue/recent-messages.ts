/**
 * The last messages of an exchange, kept for those who bind later.
 *
 * The store has the bytes, each message as a copy that nobody else holds; here are positions. Nothing of it outlives the
 * process [RabbitMQ: recent history].
 */

import type { Holder, MessageStore } from "../store/message-store.ts";
import { Fifo } from "./fifo.ts";

export class RecentMessages implements Holder {
  readonly kind = "shelf";
  /** Never asked for, as nothing persists. */
  readonly id = 0;
  readonly persists = false;
  /** The exchange's. */
  readonly name: string;
  readonly #lengthMax: number;
  readonly #fifo: Fifo;
  readonly #store: MessageStore;
  /** What comes in while the others are visited. */
  #meanwhile: number[] | undefined;

  constructor(name: string, lengthMax: number, store: MessageStore) {
    this.name = name;
    this.#lengthMax = lengthMax;
    this.#store = store;
    this.#fifo = new Fifo(store.memory);
  }

  get length(): number {
    return this.#fifo.length;
  }

  /** Takes a message of which it is the holder, and lets go of the oldest when that is one too many. */
  add(position: number): void {
    if (this.#meanwhile !== undefined) {
      this.#meanwhile.push(position);
      return;
    }
    this.#fifo.push(position, 0);
    if (this.#fifo.length > this.#lengthMax) this.#releaseFirst();
  }

  /** The oldest first. What is added meanwhile, as a message may lead back here, comes behind them and is not visited. */
  forEach(visit: (position: number) => void): void {
    const fifo = this.#fifo;
    const meanwhile: number[] = [];
    this.#meanwhile = meanwhile;
    for (let left = fifo.length; left > 0; left--) {
      const { position } = fifo;
      visit(position);
      fifo.shift();
      fifo.push(position, 0);
    }
    this.#meanwhile = undefined;
    for (const position of meanwhile) this.add(position);
  }

  /** Lets go of everything: the exchange is gone. */
  discard(): void {
    while (this.#fifo.length > 0) this.#releaseFirst();
  }

  #releaseFirst(): void {
    const { position } = this.#fifo;
    this.#fifo.shift();
    this.#store.release(position, this);
  }
}
