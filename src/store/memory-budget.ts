/**
 * How much memory messages may take, over all stores of a broker: their bytes in segments, and what is kept about each.
 *
 * Who takes memory says so here. When it becomes too much, segments whose bytes can be had again let go of them, the one
 * that was used least recently first. What cannot be let go of may go beyond the limit.
 */

import { BufferPool } from "./buffer-pool.ts";

/** Something in memory that can be had again from the disk. */
export interface Evictable {
  /** Lets go of the memory, and gives it back to the budget; false when that cannot be done now. */
  evict(): boolean;
}

export class MemoryBudget {
  readonly limitBytes: number;
  usedBytes = 0;
  /** Of the used bytes: those of buffers that wait to be used again. */
  keptBytes = 0;
  readonly #pools = new Map<number, BufferPool>();
  /** In order of use: a set remembers the order in which its members were added. */
  readonly #evictables = new Set<Evictable>();
  #last: Evictable | undefined;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** So many bytes more are in use; fewer, when negative. */
  take(bytes: number): void {
    this.usedBytes += bytes;
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
    if (this.usedBytes + bytes <= this.limitBytes) return;
    for (const pool of this.#pools.values()) pool.trim();
    if (this.#hasRoom(bytes)) return;
    for (const evictable of this.#evictables) {
      if (this.#hasRoom(bytes)) return;
      if (evictable !== this.#last && evictable.evict()) this.#evictables.delete(evictable);
    }
  }

  /** Whether nothing more can be taken without letting go of something. */
  get isShort(): boolean {
    return this.usedBytes > this.limitBytes;
  }

  #hasRoom(bytes: number): boolean {
    return this.usedBytes - this.keptBytes + bytes <= this.limitBytes;
  }
}
