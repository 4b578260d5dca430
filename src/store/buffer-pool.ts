/**
 * Buffers that are used again: a flow of messages needs a new one all the time, and fresh memory costs more than the
 * messages that go into it. Those that wait to be used again count as used memory, because that is what they are.
 *
 * Within a turn bytes stay where they are, whoever lets go of them: what is given back can be taken after `endTurn`. Sockets
 * may refer to bytes for longer than that, and borrow them: then it can be taken when the last of them has written.
 */

import type { MemoryBudget } from "./memory-budget.ts";
import type { Memory } from "./message-store.ts";

/** Spare buffers are kept up to so many bytes together, and two in any case. */
const KEPT_BYTES_MAX = 1 << 24;
const KEPT_MIN = 2;
/** A buffer of an unusual size is kept when it is no larger: the next one may be of another size. */
const UNUSUAL_BYTES_MAX = 1 << 22;

/** A buffer of a pool's, of which nobody knows what is in it. */
export class PooledBuffer implements Memory {
  readonly buffer: Buffer;
  readonly view: DataView;
  readonly #pool: BufferPool;
  #borrowers = 0;
  #isAdopted = false;
  /** Who took it, and who adopted it, as long as they need it. */
  #owners = 1;

  constructor(bytes: number, pool: BufferPool) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
    this.view = new DataView(this.buffer.buffer, this.buffer.byteOffset, bytes);
    this.#pool = pool;
  }

  get isBorrowed(): boolean {
    return this.#borrowers > 0;
  }

  borrow(): void {
    this.#borrowers++;
  }

  giveBack(): void {
    this.#borrowers--;
    if (this.#borrowers === 0 && this.#owners === 0) this.#pool.returned(this);
  }

  adopt(): boolean {
    if (this.#isAdopted) return false;
    this.#isAdopted = true;
    this.#owners++;
    return true;
  }

  free(): void {
    this.#owners--;
    if (this.#owners === 0) this.#pool.freed(this);
  }

  drop(): void {
    if (this.#isAdopted) {
      this.free();
      return;
    }
    this.#owners = 0;
    this.#pool.dropped(this);
  }

  /** It is somebody's again. */
  reuse(): void {
    this.#isAdopted = false;
    this.#owners = 1;
  }
}

export class BufferPool {
  readonly bufferBytes: number;
  readonly #budget: MemoryBudget;
  readonly #spare: PooledBuffer[] = [];
  #resting: PooledBuffer[] = [];
  /** Of both. */
  #keptBytes = 0;
  #wasTaken = false;

  constructor(bufferBytes: number, budget: MemoryBudget) {
    this.bufferBytes = bufferBytes;
    this.#budget = budget;
  }

  /** A buffer of at least so many bytes, and at most twice as many. Room for it is made when there is none. */
  take(bytes: number): PooledBuffer {
    const isUsual = fits(this.bufferBytes, bytes);
    if (isUsual) this.#wasTaken = true;
    const wanted = isUsual ? this.bufferBytes : bytes;
    const index = this.#spare.findLastIndex(({ buffer: { length } }) =>
      isUsual ? length === wanted : fits(length, wanted),
    );
    if (index < 0) return this.#fresh(wanted);
    const spare = this.#spare[index]!;
    this.#spare.splice(index, 1);
    this.#keptBytes -= spare.buffer.length;
    this.#budget.reuse(spare.buffer.length);
    spare.reuse();
    return spare;
  }

  #fresh(bytes: number): PooledBuffer {
    this.#budget.makeRoom(bytes);
    this.#budget.takeBuffer(bytes);
    return new PooledBuffer(bytes, this);
  }

  /** What sockets still borrow is theirs: nobody can make them write. */
  freed(buffer: PooledBuffer): void {
    if (buffer.isBorrowed) this.#budget.takeBuffer(-buffer.buffer.length);
    else this.#keep(buffer, this.#resting);
  }

  /** Nobody looks at it in this turn, either. */
  dropped(buffer: PooledBuffer): void {
    this.#keep(buffer, this.#spare);
  }

  /** The last socket has written what it had of a buffer that is free. */
  returned(buffer: PooledBuffer): void {
    this.#budget.takeBuffer(buffer.buffer.length);
    this.#keep(buffer, this.#resting);
  }

  /** Keeps it in the place of those that have waited longest, when there are enough. */
  #keep(buffer: PooledBuffer, among: PooledBuffer[]): void {
    const { length } = buffer.buffer;
    const isWelcome = length <= UNUSUAL_BYTES_MAX || length === this.bufferBytes;
    while (isWelcome && !this.#hasPlaceFor(length) && this.#spare.length > 0)
      this.#drop(this.#spare.shift()!);
    if (!isWelcome || !this.#hasPlaceFor(length)) {
      this.#budget.takeBuffer(-length);
      return;
    }
    among.push(buffer);
    this.#keptBytes += length;
    this.#budget.keep(length);
  }

  #hasPlaceFor(bytes: number): boolean {
    if (this.#spare.length + this.#resting.length < KEPT_MIN) return true;
    return this.#keptBytes + bytes <= KEPT_BYTES_MAX && !this.#budget.isShort;
  }

  /** Memory is short: as few as possible are kept. */
  trim(): void {
    for (const buffer of this.#spare.splice(0, Math.max(0, this.#spare.length - KEPT_MIN)))
      this.#drop(buffer);
  }

  #drop({ buffer }: PooledBuffer): void {
    this.#keptBytes -= buffer.length;
    this.#budget.reuse(buffer.length);
    this.#budget.takeBuffer(-buffer.length);
  }

  /**
   * Nobody looks any more at what was given back. When memory is short, also for what is kept about messages, segments go now;
   * whoever needs the next buffer finds one, and no more of them wait.
   */
  endTurn(): void {
    const needsNext = this.#wasTaken && this.#spare.length === 0;
    this.#budget.makeRoom(needsNext ? this.bufferBytes : 0);
    this.#wasTaken = false;
    if (this.#resting.length === 0) return;
    this.#spare.push(...this.#resting);
    this.#resting = [];
    while (this.#spare.length > 1 && this.#budget.isShort) this.#drop(this.#spare.shift()!);
  }
}

/** Whether a buffer is large enough, and not much too large. */
function fits(bufferBytes: number, bytes: number): boolean {
  return bytes <= bufferBytes && bytes * 2 >= bufferBytes;
}
