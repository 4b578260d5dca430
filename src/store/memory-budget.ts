/**
 * How much memory messages may take, over all stores of a broker: their bytes in segments, and what is kept about each.
 *
 * Who takes memory says so here. When it becomes too much, segments whose bytes can be had again let go of them, the one
 * that was used least recently first. What cannot be let go of may go beyond the limit.
 */

import { BufferPool } from "./buffer-pool.ts";

/** Is told what is kept about messages. */
export interface MemoryCounter {
  /** So many bytes more are in use; fewer, when negative. */
  take(bytes: number): void;
}

/** Something in memory that can be had again from the disk. */
export interface Evictable {
  /** Lets go of the memory, and gives it back to the budget; false when that cannot be done now. */
  evict(): boolean;
}

/**
 * What is for segments however much is kept about messages, as a part of the limit and in bytes: with less than the one that is
 * filled, the one before it, one that is read and one that comes next, each message would be read again and again.
 */
const SEGMENTS_SHARE = 2 / 3;
const SEGMENT_BYTES_MIN = 32 << 20;
/** What is kept about messages counts for more, because what is given back of it is garbage first, and lies between the rest. */
const ENTRY_WEIGHT = 3 / 2;

export class MemoryBudget implements MemoryCounter {
  readonly limitBytes: number;
  /** Buffers of segments. */
  #bufferBytes = 0;
  /** What is kept about messages. */
  #entryBytes = 0;
  /** Of the used bytes: those of buffers that wait to be used again. */
  keptBytes = 0;
  readonly #pools = new Map<number, BufferPool>();
  /** In order of use: a set remembers the order in which its members were added. */
  readonly #evictables = new Set<Evictable>();
  #last: Evictable | undefined;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#bufferBytes + this.#entryBytes;
  }

  /** Nothing is evicted for that before the turn ends, so that buffers that become free then are of use. */
  take(bytes: number): void {
    this.#entryBytes += bytes;
  }

  /** As `take`, for buffers of segments: for those room has been made. */
  takeBuffer(bytes: number): void {
    this.#bufferBytes += bytes;
  }

  /** Used bytes are in nobody's use any more, but stay for whoever needs as many. */
  keep(bytes: number): void {
    this.keptBytes += bytes;
  }

  /** Bytes that were kept are in somebody's use again. */
  reuse(bytes: number): void {
    this.keptBytes -= bytes;
  }

  /** Buffers of one size are shared by all stores, so that not each of them keeps some. */
  pool(bufferBytes: number): BufferPool {
    let pool = this.#pools.get(bufferBytes);
    if (pool === undefined) {
      pool = new BufferPool(bufferBytes, this);
      this.#pools.set(bufferBytes, pool);
    }
    return pool;
  }

  /** `evictable` has just been used, and may be evicted from now on. */
  touch(evictable: Evictable): void {
    if (evictable === this.#last) return;
    this.#last = evictable;
    this.#evictables.delete(evictable);
    this.#evictables.add(evictable);
  }

  /** It has no memory that it could give back any more. */
  forget(evictable: Evictable): void {
    this.#evictables.delete(evictable);
    if (this.#last === evictable) this.#last = undefined;
  }

  /** Makes room for what is going to be taken, as far as there is something to evict; what was used last stays. */
  makeRoom(bytes: number): void {
    if (this.#bufferBytes + bytes <= this.#segmentBytes) return;
    for (const pool of this.#pools.values()) pool.trim();
    if (this.#hasRoom(bytes)) return;
    for (const evictable of this.#evictables) {
      if (this.#hasRoom(bytes)) return;
      if (evictable !== this.#last && evictable.evict()) this.#evictables.delete(evictable);
    }
  }

  /** Whether nothing more can be taken without letting go of something. */
  get isShort(): boolean {
    return this.#bufferBytes > this.#segmentBytes;
  }

  #hasRoom(bytes: number): boolean {
    return this.#bufferBytes - this.keptBytes + bytes <= this.#segmentBytes;
  }

  /** What of the limit is for segments. */
  get #segmentBytes(): number {
    const { limitBytes } = this;
    const least = Math.min(SEGMENT_BYTES_MIN, limitBytes * SEGMENTS_SHARE);
    return Math.max(limitBytes - this.#entryBytes * ENTRY_WEIGHT, least);
  }
}

/** What one store has taken, so that all of it can be given back when the store goes and what it was taken for with it. */
export class MemoryShare implements MemoryCounter {
  readonly #memory: MemoryCounter;
  #bytes = 0;
  #isOver = false;

  constructor(memory: MemoryCounter) {
    this.#memory = memory;
  }

  take(bytes: number): void {
    if (this.#isOver) return;
    this.#bytes += bytes;
    this.#memory.take(bytes);
  }

  /** Nothing is counted any more after that. */
  giveBack(): void {
    this.take(-this.#bytes);
    this.#isOver = true;
  }
}
