/**
 * The store of a broker with a data folder: persistent messages of durable queues are in the journal, everything else is in
 * memory. A position tells where it belongs.
 */

import type { Journal } from "./journal.ts";
import type { MemoryCounter } from "./memory-budget.ts";
import type { MemoryStore } from "./memory-store.ts";
import type { FlushListener, Holder, MessageStore, Place, StandingAt } from "./message-store.ts";
import { POSITION_BASE } from "./segment-format.ts";

export class DurableStore implements MessageStore {
  readonly #memory: MemoryStore;
  readonly #journal: Journal;

  constructor(memory: MemoryStore, journal: Journal) {
    this.#memory = memory;
    this.#journal = journal;
  }

  get memory(): MemoryCounter {
    return this.#memory.memory;
  }

  append(
    bytes: number,
    holders: readonly Holder[],
    persistent: boolean,
    label: number,
    at?: StandingAt,
  ): number {
    return persistent && holders.some((holder) => holder.persists)
      ? this.#journal.append(bytes, holders, label)
      : this.#memory.append(bytes, holders, persistent, label, at);
  }

  locate(position: number): Place {
    return this.#of(position).locate(position);
  }

  isWhole(position: number): boolean {
    return this.#of(position).isWhole(position);
  }

  release(position: number, holder: Holder): void {
    if (position < POSITION_BASE) this.#memory.release(position);
    else this.#journal.release(position, holder);
  }

  #of(position: number): MemoryStore | Journal {
    return position < POSITION_BASE ? this.#memory : this.#journal;
  }

  close(): void {
    try {
      this.#journal.close();
    } finally {
      this.#memory.close();
    }
  }

  discard(): void {
    this.#journal.discard();
    this.#memory.discard();
  }

  delivered(position: number, holder: Holder, deliveries: number): void {
    if (holder.persists && position >= POSITION_BASE)
      this.#journal.noteDelivered(holder.id, position, deliveries);
  }

  forget(holder: Holder): void {
    this.#journal.forget(holder.id);
  }

  afterFlush(listener: FlushListener, durable: boolean): void {
    if (durable) this.#journal.afterFlush(listener);
    else this.#memory.afterFlush(listener);
  }
}
