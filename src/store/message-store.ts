/**
 * The store's port: where the bytes of messages are, and until when.
 *
 * A message is there once, however many queues hold it, and is known by its *position*. A position is opaque and never
 * used again while anyone holds it; it says nothing about the order of messages in a queue. The store does not know
 * what its bytes mean.
 */

import type { MemoryCounter } from "./memory-budget.ts";

/** Who goes on referring to its bytes when the turn is over borrows them, or they are written over. */
export interface Keeper {
  borrow(): void;
  giveBack(): void;
}

/** A buffer that is used again when nobody needs it any more. */
export interface Memory extends Keeper {
  readonly buffer: Buffer;
  readonly view: DataView;
  /** Whether a socket still refers to it. */
  readonly isBorrowed: boolean;
  /** From now on somebody else needs it, too, until a `free` of its own; false when somebody has adopted it before. */
  adopt(): boolean;
  /** Who took or adopted it keeps nothing in it after this turn. */
  free(): void;
  /** Who took it keeps nothing in it, not even for this turn. */
  drop(): void;
}

/** Where a message is now: `view` is over the same bytes as `buffer`. A scratch object of the store's. */
export interface Place {
  readonly buffer: Buffer;
  readonly view: DataView;
  readonly keeper: Keeper;
  readonly offset: number;
}

/** A queue, as far as the store must know it. */
export interface Holder {
  /** Never used again for another queue of the same store. */
  readonly id: number;
  /** Whether what it holds of persistent messages has to outlive the process. */
  readonly persists: boolean;
}

/** Waits until what was appended is as safe as the store makes it. */
export interface FlushListener {
  onFlushed(): void;
}

/** Where bytes of a message stand before it is stored. */
export interface StandingAt {
  readonly memory: Memory;
  readonly offset: number;
}

export interface MessageStore {
  /** Counts what holders keep about messages, until the store is closed. */
  readonly memory: MemoryCounter;

  /**
   * Makes room for `bytes` bytes that each of `holders` will hold, and returns their position. The caller writes the
   * bytes at `locate(position)` before it calls the store again. A persistent message of durable holders is given back
   * with its `label` after a restart. `at` is where much of the message stands already, with room for all of it: the store may
   * adopt that memory.
   */
  append(
    bytes: number,
    holders: readonly Holder[],
    persistent: boolean,
    label: number,
    at?: StandingAt,
  ): number;

  /** Where a held message is. The answer is good until the next call; the bytes stay as they are for the turn, or while they are borrowed. */
  locate(position: number): Place;

  /**
   * Whether the bytes of a held message are still what was stored; false when the disk has lost them, and then the message
   * can only be released. They are in memory then: throws the system's error when they cannot be read now, and can be asked again.
   */
  isWhole(position: number): boolean;

  /** `holder` is done with the message; after its last holder the bytes may go. */
  release(position: number, holder: Holder): void;

  /**
   * `holder` delivers the message, for the time that `deliveries` says: should it come back after a restart, it comes back with
   * that. Who does not count says 1 each time.
   */
  delivered(position: number, holder: Holder, deliveries: number): void;

  /** The holder is gone: it delivers nothing any more. What it still holds it releases. */
  forget(holder: Holder): void;

  /**
   * Calls the listener once, at the end of the turn or, when it waits for something `durable`, when all that has been
   * appended so far is safe; never within the call.
   */
  afterFlush(listener: FlushListener, durable: boolean): void;

  /** Makes everything safe and lets go of files and memory. After that only releases are allowed, and do nothing. */
  close(): void;

  /** As `close`, where nothing of it is needed any more: it succeeds whatever the disk does, and whoever waits is told. */
  discard(): void;
}
