/**
 * Buffers of one size that are used again: a flow of messages needs a new one all the time, and fresh memory costs more than
 * the messages that go into it. Those that wait to be used again count as used memory, because that is what they are.
 *
 * Within a turn bytes stay where they are, whoever lets go of them: what is given back can be taken after `endTurn`.
 */

import type { MemoryBudget } from "./memory-budget.ts";

const KEPT_MAX = 2;

export class BufferPool {
  readonly bufferBytes: number;
  readonly #budget: MemoryBudget;
  readonly #spare: Buffer[] = [];
  #resting: Buffer[] = [];
  #wasTaken = false;

  constructor(bufferBytes: number, budget: MemoryBudget) {
    this.bufferBytes = bufferBytes;
    this.#budget = budget;
  }

  /** A buffer of at least so many bytes, with anything in it. Room for it is made when there is none. */
  take(bytes: number): Buffer {
    const isOurs = bytes <= this.bufferBytes && bytes * 2 >= this.bufferBytes;
    const spare = isOurs ? this.#spare.pop() : undefined;
    const buffer = spare ?? this.#fresh(isOurs ? this.bufferBytes : bytes);
    if (spare !== undefined) this.#budget.reuse(spare.length);
    if (isOurs) this.#wasTaken = true;
    return buffer;
  }

  #fresh(bytes: number): Buffer {
    this.#budget.makeRoom(bytes);
    this.#budget.take(bytes);
    return Buffer.allocUnsafeSlow(bytes);
  }

  /** A buffer that nobody will look at after this turn. */
  give(buffer: Buffer): void {
    const isKept =
      buffer.length === this.bufferBytes && this.#spare.length + this.#resting.length < KEPT_MAX;
    if (isKept) this.#resting.push(buffer);
    if (isKept) this.#budget.keep(buffer.length);
    else this.#budget.take(-buffer.length);
  }

  /** Nobody looks any more at what was given back. Whoever needs the next buffer finds one that goes now, when memory is short. */
  endTurn(): void {
    if (this.#wasTaken && this.#spare.length === 0) this.#budget.makeRoom(this.bufferBytes);
    this.#wasTaken = false;
    if (this.#resting.length === 0) return;
    this.#spare.push(...this.#resting);
    this.#resting = [];
  }
}
