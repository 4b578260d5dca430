/**
 * The messages of a queue that wait for a consumer, in the order in which they leave.
 *
 * Each message gets a *sequence*, an opaque number that is its place in the queue: whoever takes a message keeps it and
 * gives it back on requeue, and the message stands where it stood. With priorities the higher one leaves first; within
 * one, first in first out.
 *
 * The 32 bits of an entry:
 *
 *     bits 3..31  body bytes
 *     bit 2       EXPIRES: it, or its queue, has a time to live
 *     bit 1       PERSISTENT
 *     bit 0       REDELIVERED
 */

import { assert } from "../assert.ts";
import type { MemoryCounter } from "../store/memory-budget.ts";
import { Fifo } from "./fifo.ts";
import { Returned } from "./returned.ts";

export const REDELIVERED = 1;
export const PERSISTENT = 2;
export const EXPIRES = 4;
const BODY_SHIFT = 3;
/** The largest body that an entry can tell of: 512 MiB less one byte. */
export const ENTRY_BODY_BYTES_MAX = 2 ** (32 - BODY_SHIFT) - 1;

export function entryBits(bodyBytes: number, flags: number): number {
  return ((bodyBytes << BODY_SHIFT) | flags) >>> 0;
}

export function entryBodyBytes(bits: number): number {
  return bits >>> BODY_SHIFT;
}

/** What a queue asks of the messages that wait in it: the order in which they leave is up to the type of the queue. */
export interface ReadyMessages {
  readonly length: number;
  /** Of their bodies. */
  readonly bodyBytes: number;
  /** The persistent ones among them. */
  readonly persistentCount: number;
  readonly persistentBytes: number;
  /** The first message, as of the last call of `first`. */
  readonly position: number;
  readonly sequence: number;
  readonly bits: number;
  push(position: number, bits: number, priority: number): void;
  /** The sequence of a message that is delivered at once; only while nothing is ready. */
  pass(priority: number): number;
  /** Takes a delivered message back. */
  restore(position: number, sequence: number, bits: number): void;
  /** Looks at the first message: false when there is none, else its position, sequence and bits are set. */
  first(): boolean;
  /** Removes the message that `first` has just looked at. */
  shift(): void;
}

/** Sequences of one priority lie in a range of their own: 2^45 messages, far more than pass a queue in its life. */
const PRIORITY_SPAN = 2 ** 45;

/** The messages of one priority. */
class Level {
  readonly #memory: MemoryCounter;
  readonly #fifo: Fifo;
  #returned: Returned | undefined = undefined;
  /** The sequence of the fifo's first entry; those behind it follow without gaps. */
  #sequence: number;

  constructor(priority: number, memory: MemoryCounter) {
    this.#memory = memory;
    this.#fifo = new Fifo(memory);
    this.#sequence = priority * PRIORITY_SPAN;
  }

  get length(): number {
    return this.#fifo.length + (this.#returned?.length ?? 0);
  }

  push(position: number, bits: number): void {
    this.#fifo.push(position, bits);
  }

  /** The sequence of a message that passes an empty level without waiting in it. */
  pass(): number {
    return this.#sequence++;
  }

  restore(sequence: number, position: number, bits: number): void {
    this.#returned ??= new Returned(this.#memory);
    this.#returned.add(sequence, position, bits);
  }

  /** Points `ready` at the first message. */
  first(ready: Ready): void {
    const returned = this.#returned;
    if (returned !== undefined && returned.length > 0) {
      ready.sequence = returned.sequence;
      ready.position = returned.position;
      ready.bits = returned.bits;
    } else {
      ready.sequence = this.#sequence;
      ready.position = this.#fifo.position;
      ready.bits = this.#fifo.bits;
    }
  }

  shift(): void {
    if (this.#returned !== undefined && this.#returned.length > 0) {
      this.#returned.shift();
    } else {
      this.#fifo.shift();
      this.#sequence++;
    }
  }
}

export class Ready implements ReadyMessages {
  /** How many messages are ready. */
  length = 0;
  /** Their bodies. */
  bodyBytes = 0;
  /** The persistent ones among them. */
  persistentCount = 0;
  persistentBytes = 0;
  /** Of the first message, as of the last call of `first`. */
  position = 0;
  sequence = 0;
  bits = 0;
  readonly #memory: MemoryCounter;
  readonly #levels: (Level | undefined)[];
  /** No higher level has messages. */
  #highest = 0;

  /** Priorities go from 0 to `priorityMax`; a higher one counts as the highest. */
  constructor(priorityMax: number, memory: MemoryCounter) {
    this.#memory = memory;
    this.#levels = new Array<Level | undefined>(priorityMax + 1).fill(undefined);
    this.#levels[0] = new Level(0, memory);
  }

  push(position: number, bits: number, priority: number): void {
    const level = Math.min(priority, this.#levels.length - 1);
    this.#level(level).push(position, bits);
    this.#count(level, bits);
  }

  /** The sequence of a message that is delivered at once; only while nothing is ready. */
  pass(priority: number): number {
    assert(this.length === 0, "a message may not overtake those that wait");
    return this.#level(Math.min(priority, this.#levels.length - 1)).pass();
  }

  /** Puts a message back to its place. */
  restore(position: number, sequence: number, bits: number): void {
    const level = Math.floor(sequence / PRIORITY_SPAN);
    this.#level(level).restore(sequence, position, bits);
    this.#count(level, bits);
  }

  #level(priority: number): Level {
    let level = this.#levels[priority];
    if (level === undefined) {
      level = new Level(priority, this.#memory);
      this.#levels[priority] = level;
    }
    return level;
  }

  #count(level: number, bits: number): void {
    if (level > this.#highest) this.#highest = level;
    this.length++;
    this.bodyBytes += entryBodyBytes(bits);
    if ((bits & PERSISTENT) !== 0) {
      this.persistentCount++;
      this.persistentBytes += entryBodyBytes(bits);
    }
  }

  /** Looks at the first message: false when there is none, else its position, sequence and bits are set. */
  first(): boolean {
    if (this.length === 0) return false;
    while ((this.#levels[this.#highest]?.length ?? 0) === 0) this.#highest--;
    this.#levels[this.#highest]!.first(this);
    return true;
  }

  /** Removes the message that `first` has just looked at. */
  shift(): void {
    this.#levels[this.#highest]!.shift();
    this.length--;
    this.bodyBytes -= entryBodyBytes(this.bits);
    if ((this.bits & PERSISTENT) !== 0) {
      this.persistentCount--;
      this.persistentBytes -= entryBodyBytes(this.bits);
    }
  }
}
