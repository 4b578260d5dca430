/**
 * A segment while the broker runs: the bytes of its messages, when they are in memory, and who still holds what.
 *
 * A message is known by its ordinal in the segment. For each there are eight bytes besides its own: where its record begins,
 * about how large that is, and how many hold it. A segment of the journal and one of memory only differ in what stands
 * around the messages.
 */

import { broken } from "../assert.ts";
import type { BufferPool } from "./buffer-pool.ts";
import type { Evictable, MemoryBudget } from "./memory-budget.ts";
import type { Memory } from "./message-store.ts";
import { NumberTable } from "./number-table.ts";

const FIRST_MESSAGES = 64;
const TABLE_BYTES_PER_MESSAGE = 8;
/** Sizes of records are kept in 16 bits each. */
const SIZE_UNIT = 64;
const SIZES_MAX = 2 ** 16 - 1;
/** In place of a number of holders that does not fit into its 16 bits. */
export const MANY_HOLDERS = 2 ** 16 - 1;
/** Ordinals are below 2^20, and what queues are done with is kept for 32 of them together. */
const DONE_GROUPS_MAX = 2 ** 15;

/** What is known of the messages of a segment, by ordinal. */
export interface MessageTable {
  readonly count: number;
  /** Where the record begins. */
  readonly offsets: Uint32Array;
  /** About its size, as `Segment.sizeOf` has it. */
  readonly sizes: Uint16Array;
  /** How many hold the message. */
  readonly holders: Uint16Array;
  /** Where 16 bits do not hold how many, by ordinal. */
  readonly many: ReadonlyMap<number, number>;
}

/** What segments of a store share. */
export interface SegmentMemory {
  readonly budget: MemoryBudget;
  readonly pool: BufferPool;
}

export abstract class Segment implements Evictable {
  readonly number: number;
  /** The position of ordinal 0. */
  readonly start: number;
  readonly #memory: SegmentMemory;
  #buffer: Memory | undefined;
  /** Bytes in use, of the buffer or of the file. */
  usedBytes = 0;
  /** Messages in it. */
  count = 0;
  /** Messages that somebody holds, and about the bytes of their records. */
  heldCount = 0;
  heldBytes = 0;
  #offsets: Uint32Array = new Uint32Array(FIRST_MESSAGES);
  #holders: Uint16Array = new Uint16Array(FIRST_MESSAGES);
  #sizes: Uint16Array = new Uint16Array(FIRST_MESSAGES);
  /** Of messages with `MANY_HOLDERS` holders: how many they are. */
  readonly #many = new Map<number, number>();
  /** Of messages whose records are too large for `sizes`, by ordinal: how large they are. */
  readonly #large = new Map<number, number>();
  /** Of messages that several durable queues took, in groups of 32, a bit each: whether a queue is done with it. */
  #doneWith: NumberTable | undefined;

  constructor(number: number, start: number, memory: SegmentMemory) {
    this.number = number;
    this.start = start;
    this.#memory = memory;
    memory.budget.take(FIRST_MESSAGES * TABLE_BYTES_PER_MESSAGE);
  }

  get resident(): boolean {
    return this.#buffer !== undefined;
  }

  /** Whose bytes it has. */
  get keeper(): Memory {
    if (this.#buffer === undefined) broken(`segment ${this.number} is not in memory`);
    return this.#buffer;
  }

  get buffer(): Buffer {
    return this.keeper.buffer;
  }

  get view(): DataView {
    return this.keeper.view;
  }

  /** Its bytes are to be in memory from now on: makes room for so many, and returns the buffer for them. */
  takeBuffer(bytes: number): Buffer {
    this.#buffer = this.#memory.pool.take(bytes);
    return this.#buffer.buffer;
  }

  /** Its bytes are in this memory, which it has adopted. */
  adopted(memory: Memory): void {
    this.#buffer = memory;
  }

  /** What `fill` returns, which reads the bytes into the buffer just taken: without them there is nothing in memory. */
  protected filled<Result>(fill: () => Result): Result {
    try {
      return fill();
    } catch (error) {
      this.dropBuffer();
      throw error;
    }
  }

  /** Lets go of the bytes in memory. */
  dropBuffer(): void {
    this.#memory.budget.forget(this);
    this.#buffer?.free();
    this.#buffer = undefined;
  }

  abstract evict(): boolean;

  /** It has just been used. */
  touch(): void {
    this.#memory.budget.touch(this);
  }

  /** It is no longer needed: neither its bytes nor what was known of its messages. */
  dispose(): void {
    this.dropBuffer();
    this.#doneWith?.clear();
    this.#memory.budget.take(-this.#offsets.length * TABLE_BYTES_PER_MESSAGE);
  }

  /** What `sizes` says of a record. */
  static sizeOf(recordBytes: number): number {
    return Math.min(SIZES_MAX, Math.ceil(recordBytes / SIZE_UNIT));
  }

  /** Of the record of a message, about; always the same. */
  messageBytes(ordinal: number): number {
    const size = this.#sizes[ordinal]!;
    return size === SIZES_MAX ? this.#large.get(ordinal)! : size * SIZE_UNIT;
  }

  /** Notes a message whose record of `bytes` bytes begins at `offset`, and which is held by `holders`; returns its ordinal. */
  add(offset: number, bytes: number, holders: number): number {
    if (this.count === this.#offsets.length) this.#resize(Math.max(FIRST_MESSAGES, this.count * 2));
    const ordinal = this.count++;
    this.#offsets[ordinal] = offset;
    const size = Segment.sizeOf(bytes);
    this.#sizes[ordinal] = size;
    if (size === SIZES_MAX) this.#large.set(ordinal, bytes);
    this.#setHolders(ordinal, holders);
    if (holders > 0) {
      this.heldCount++;
      this.heldBytes += this.messageBytes(ordinal);
    }
    return ordinal;
  }

  /** Takes over what is known of all its messages; the arrays are kept. */
  adoptTable({ count, offsets, sizes, holders, many }: MessageTable): void {
    this.#memory.budget.take((count - this.#offsets.length) * TABLE_BYTES_PER_MESSAGE);
    this.count = count;
    this.#offsets = offsets;
    this.#sizes = sizes;
    this.#holders = holders;
    for (const [ordinal, holding] of many) this.#setHolders(ordinal, holding);
    this.heldCount = 0;
    this.heldBytes = 0;
    for (let ordinal = 0; ordinal < count; ordinal++) {
      if (sizes[ordinal] === SIZES_MAX)
        this.#large.set(ordinal, (offsets[ordinal + 1] ?? this.usedBytes) - offsets[ordinal]!);
      if (holders[ordinal] === 0) continue;
      this.heldCount++;
      this.heldBytes += this.messageBytes(ordinal);
    }
  }

  #resize(capacity: number): void {
    this.#memory.budget.take((capacity - this.#offsets.length) * TABLE_BYTES_PER_MESSAGE);
    const count = Math.min(this.count, capacity);
    const offsets = new Uint32Array(capacity);
    offsets.set(this.#offsets.subarray(0, count));
    this.#offsets = offsets;
    const holders = new Uint16Array(capacity);
    holders.set(this.#holders.subarray(0, count));
    this.#holders = holders;
    const sizes = new Uint16Array(capacity);
    sizes.set(this.#sizes.subarray(0, count));
    this.#sizes = sizes;
  }

  /** It is full: the room for more messages goes. */
  seal(): void {
    this.#resize(this.count);
  }

  /** Nobody holds anything in it: it begins again, and its positions with it. */
  restart(): void {
    if (this.heldCount !== 0) broken(`segment ${this.number} is still needed`);
    this.usedBytes = 0;
    this.count = 0;
    if (this.#many.size > 0) this.#many.clear();
    if (this.#large.size > 0) this.#large.clear();
  }

  /** Where the record of the message with this ordinal begins. */
  recordStart(ordinal: number): number {
    return this.#offsets[ordinal]!;
  }

  /** How many hold the message. */
  holders(ordinal: number): number {
    const holders = this.#holders[ordinal]!;
    return holders === MANY_HOLDERS ? this.#many.get(ordinal)! : holders;
  }

  #setHolders(ordinal: number, holders: number): void {
    if (holders >= MANY_HOLDERS) this.#many.set(ordinal, holders);
    this.#holders[ordinal] = Math.min(holders, MANY_HOLDERS);
  }

  /** One holder less: a durable queue, or another one when `queueId` is 0. Whether it was the last. */
  letGo(ordinal: number, queueId: number): boolean {
    const holders = this.holders(ordinal);
    if (holders === 0)
      broken(`message ${ordinal} of segment ${this.number} is released more often than held`);
    this.#setHolders(ordinal, holders - 1);
    if (holders > 1) {
      if (queueId > 0) this.#noteDone(ordinal, queueId);
      return false;
    }
    this.#forget(ordinal);
    return true;
  }

  /** Nobody holds the message here any more: it has moved. */
  discard(ordinal: number): void {
    if (ordinal >= this.count || this.#holders[ordinal] === 0) return;
    this.#holders[ordinal] = 0;
    this.#forget(ordinal);
  }

  #forget(ordinal: number): void {
    this.heldCount--;
    this.heldBytes -= this.messageBytes(ordinal);
  }

  #noteDone(ordinal: number, queueId: number): void {
    this.#doneWith ??= new NumberTable(this.#memory.budget);
    const group = queueId * DONE_GROUPS_MAX + (ordinal >>> 5);
    const done = this.#doneWith.get(group) ?? 0;
    this.#doneWith.set(group, (done | (1 << (ordinal & 31))) >>> 0);
  }

  /** Whether a durable queue is done with a message that others still hold. */
  isDoneWith(ordinal: number, queueId: number): boolean {
    const done = this.#doneWith?.get(queueId * DONE_GROUPS_MAX + (ordinal >>> 5)) ?? 0;
    return (done & (1 << (ordinal & 31))) !== 0;
  }
}
