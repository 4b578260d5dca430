/**
 * First in, first out, for messages that were never delivered: a position and 32 bits each, in blocks of flat arrays.
 *
 * Twelve bytes a message and no object, so that a backlog of millions is no work for the garbage collector. Blocks
 * begin small, because most queues are nearly empty, and grow with the backlog.
 */

import { assert } from "../assert.ts";
import type { MemoryCounter } from "../store/memory-budget.ts";

const FIRST_BLOCK_ENTRIES = 8;
const BLOCK_ENTRIES_MAX = 4096;
/** What a queue that has run empty keeps, and is not counted; a larger block is for a backlog. */
const KEPT_ENTRIES_MAX = 512;
const ENTRY_BYTES = 12;

class Block {
  readonly positions: Float64Array;
  readonly bits: Uint32Array;
  next: Block | undefined = undefined;

  constructor(entries: number) {
    this.positions = new Float64Array(entries);
    this.bits = new Uint32Array(entries);
  }

  get countedBytes(): number {
    const entries = this.bits.length;
    return entries > KEPT_ENTRIES_MAX ? entries * ENTRY_BYTES : 0;
  }
}

export class Fifo {
  #head: Block;
  #tail: Block;
  /** Of the head block: entries taken. */
  #taken = 0;
  /** Of the tail block: entries filled. */
  #filled = 0;
  length = 0;
  readonly #memory: MemoryCounter;

  constructor(memory: MemoryCounter) {
    this.#memory = memory;
    this.#head = new Block(FIRST_BLOCK_ENTRIES);
    this.#tail = this.#head;
  }

  push(position: number, bits: number): void {
    if (this.#filled === this.#tail.positions.length) this.#grow();
    this.#tail.positions[this.#filled] = position;
    this.#tail.bits[this.#filled] = bits;
    this.#filled++;
    this.length++;
  }

  #grow(): void {
    const block = new Block(Math.min(BLOCK_ENTRIES_MAX, this.#tail.positions.length * 4));
    this.#memory.take(block.countedBytes);
    this.#tail.next = block;
    this.#tail = block;
    this.#filled = 0;
  }

  /** The position of the first entry; there must be one. */
  get position(): number {
    return this.#head.positions[this.#taken]!;
  }

  /** The bits of the first entry; there must be one. */
  get bits(): number {
    return this.#head.bits[this.#taken]!;
  }

  /** Removes the first entry. */
  shift(): void {
    assert(this.length > 0, "nothing to take from an empty queue");
    this.#taken++;
    this.length--;
    if (this.length === 0) {
      if (this.#tail.positions.length > KEPT_ENTRIES_MAX) {
        this.#memory.take(-this.#tail.countedBytes);
        this.#tail = new Block(FIRST_BLOCK_ENTRIES);
      }
      this.#head = this.#tail;
      this.#taken = 0;
      this.#filled = 0;
    } else if (this.#taken === this.#head.positions.length) {
      this.#memory.take(-this.#head.countedBytes);
      this.#head = this.#head.next!;
      this.#taken = 0;
    }
  }
}
