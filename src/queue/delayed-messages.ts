/**
 * Messages that an exchange holds back until they are due.
 *
 * Like a queue it holds positions, 16 bytes a message, and the store has the bytes; those of a durable exchange come back
 * after a restart with the times at which they are due. It does not know where messages go: whoever owns it publishes them.
 */

import type { Clock, Timer } from "../clock.ts";
import type { Holder, MessageStore } from "../store/message-store.ts";
import { DueHeap } from "./due-heap.ts";

/** Declared here, implemented by the virtual host. */
export interface DelayedOwner {
  /** Routes the message by the exchange, and then releases it. */
  publishDue(delayed: DelayedMessages, position: number): void;
  /** What is due cannot be read now: it is tried again. Throws an error that is not the disk's. */
  unreadable(delayed: DelayedMessages, error: unknown): void;
}

export interface DelayedContext {
  readonly store: MessageStore;
  readonly clock: Clock;
  readonly owner: DelayedOwner;
}

/** How often it is tried to read what the disk does not give. */
const RETRY_MS = 1000;
/** Published in one go; the rest follow in the next turn, so that nobody else waits long. */
const DUE_AT_ONCE_MAX = 1000;

export class DelayedMessages implements Holder {
  readonly kind = "shelf";
  /** One among the ids of queues. */
  readonly id: number;
  /** The exchange's. */
  readonly name: string;
  readonly persists: boolean;
  deleted = false;
  readonly #heap: DueHeap;
  readonly #store: MessageStore;
  readonly #clock: Clock;
  readonly #owner: DelayedOwner;
  #timer: Timer | undefined;
  #timerDueMs = Number.POSITIVE_INFINITY;
  /** Nothing is read before that. */
  #retryAtMs = 0;

  constructor(id: number, name: string, persists: boolean, context: DelayedContext) {
    this.id = id;
    this.name = name;
    this.persists = persists;
    this.#store = context.store;
    this.#heap = new DueHeap(context.store.memory);
    this.#clock = context.clock;
    this.#owner = context.owner;
  }

  /** How many messages are held back. */
  get length(): number {
    return this.#heap.length;
  }

  /** Takes a message of which it is the holder, until `dueMs`. */
  add(position: number, dueMs: number): void {
    this.#heap.add(dueMs, position);
    this.#watch();
  }

  /** Takes a message back after a restart; `start` follows. */
  recover(position: number, dueMs: number): void {
    this.#heap.add(dueMs, position);
  }

  /** From now on what is due goes out. */
  start(): void {
    this.#watch();
  }

  /** The broker stops: no timer rings any more. */
  stop(): void {
    this.#timer?.cancel();
  }

  /** Lets go of everything: the exchange is gone. */
  discard(): void {
    this.deleted = true;
    this.stop();
    const heap = this.#heap;
    while (heap.length > 0) {
      const { position } = heap;
      heap.shift();
      this.#store.release(position, this);
    }
  }

  /** One timer, for the earliest. */
  #watch(): void {
    if (this.#heap.length === 0) return;
    const dueMs = Math.max(this.#heap.dueMs, this.#retryAtMs);
    if (dueMs >= this.#timerDueMs) return;
    this.#timer?.cancel();
    this.#timerDueMs = dueMs;
    this.#timer = this.#clock.setTimer(Math.max(0, this.#timerDueMs - this.#clock.now()), () => {
      this.#timerDueMs = Number.POSITIVE_INFINITY;
      this.#timer = undefined;
      this.#publishDue();
      if (!this.deleted) this.#watch();
    });
  }

  #publishDue(): void {
    const heap = this.#heap;
    const nowMs = this.#clock.now();
    for (let published = 0; published < DUE_AT_ONCE_MAX; published++) {
      if (heap.length === 0 || heap.dueMs > nowMs) return;
      const { position } = heap;
      let isWhole: boolean;
      try {
        isWhole = this.#store.isWhole(position);
      } catch (error) {
        this.#owner.unreadable(this, error);
        this.#retryAtMs = nowMs + RETRY_MS;
        return;
      }
      heap.shift();
      // What the disk has lost has been reported.
      if (isWhole) this.#owner.publishDue(this, position);
      else this.#store.release(position, this);
    }
  }
}
