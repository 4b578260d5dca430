/**
 * Deliveries by index, in order of their tags: flat, 36 bytes each and no object, in blocks that come and go.
 *
 * A block is as small as it can be while it is the only one, because most channels have little outstanding, and blocks are never
 * copied into larger ones once there are several: a backlog of a million is not there twice. An index is good until the next
 * entry is added. What is settled leaves a gap, and gaps are squeezed out when they are more than the rest.
 */

/** Is told when many entries take more memory, in bytes; fewer, when negative. */
export interface Memory {
  take(bytes: number): void;
}

const BLOCK_SHIFT = 12;
const BLOCK_ENTRIES = 1 << BLOCK_SHIFT;
/** An entry's place in its block is `index & BLOCK_MASK`. */
export const BLOCK_MASK = BLOCK_ENTRIES - 1;
const FIRST_ENTRIES = 16;
const ENTRY_BYTES = 36;
const BLOCK_BYTES = BLOCK_ENTRIES * ENTRY_BYTES;

/** In the place of a position: the entry is settled. */
export const SETTLED = -1;

export class Block {
  readonly entries: number;
  readonly tags: Float64Array;
  readonly positions: Float64Array;
  readonly sequences: Float64Array;
  readonly bits: Uint32Array;
  /** When it was delivered, in seconds since 1970, rounded up: nobody looks more often than once a minute. */
  readonly seconds: Uint32Array;
  readonly sources: Uint32Array;

  constructor(entries: number) {
    const bytes = new ArrayBuffer(entries * ENTRY_BYTES);
    this.entries = entries;
    this.tags = new Float64Array(bytes, 0, entries);
    this.positions = new Float64Array(bytes, entries * 8, entries);
    this.sequences = new Float64Array(bytes, entries * 16, entries);
    this.bits = new Uint32Array(bytes, entries * 24, entries);
    this.seconds = new Uint32Array(bytes, entries * 28, entries);
    this.sources = new Uint32Array(bytes, entries * 32, entries);
  }

  copy(to: number, from: Block, at: number): void {
    this.tags[to] = from.tags[at]!;
    this.positions[to] = from.positions[at]!;
    this.sequences[to] = from.sequences[at]!;
    this.bits[to] = from.bits[at]!;
    this.seconds[to] = from.seconds[at]!;
    this.sources[to] = from.sources[at]!;
  }
}

export class UnackedBlocks {
  /** The first entry that is outstanding; those before it are not, and their blocks are gone. */
  head = 0;
  end = 0;
  /** How many are outstanding. */
  count = 0;
  readonly #memory: Memory;
  #blocks: (Block | undefined)[] = [];
  #tail: Block | undefined;
  /** One that is not needed now, for the next time. */
  #spare: Block | undefined;
  /** Entries for which there are blocks. */
  #room = 0;
  #countedBytes = 0;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** The block of an entry that is not before `head`. */
  blockOf(index: number): Block {
    return this.#blocks[index >> BLOCK_SHIFT]!;
  }

  isOutstanding(index: number): boolean {
    return this.blockOf(index).positions[index & BLOCK_MASK] !== SETTLED;
  }

  /** One more entry, the last in its block, which is returned: the caller sets it. */
  append(): Block {
    if (this.end === this.#room) this.#makeRoom();
    this.end++;
    this.count++;
    return this.#tail!;
  }

  /** An entry, which is in `block`, is no longer outstanding. */
  remove(block: Block, index: number): void {
    block.positions[index & BLOCK_MASK] = SETTLED;
    this.count--;
    if (this.count === 0) this.clear();
    else if (index === this.head) this.#advance(block);
  }

  /** The head, which is in `block`, is the next outstanding one: there is one. */
  #advance(block: Block): void {
    let { head } = this;
    let { positions } = block;
    do {
      head++;
      if ((head & BLOCK_MASK) === 0) positions = this.#leave(head);
    } while (positions[head & BLOCK_MASK] === SETTLED);
    this.head = head;
  }

  /** The head is the first entry of the next block now: returns the positions in that. */
  #leave(head: number): Float64Array {
    const left = (head >> BLOCK_SHIFT) - 1;
    this.#spare = this.#blocks[left];
    this.#blocks[left] = undefined;
    this.head = head;
    this.#countMemory();
    return this.blockOf(head).positions;
  }

  /** Nothing is outstanding any more. */
  clear(): void {
    this.head = 0;
    this.end = 0;
    this.count = 0;
    if (this.#blocks.length <= 1) return;
    this.#blocks = [this.#tail];
    this.#spare = undefined;
    this.#changed();
  }

  #makeRoom(): void {
    const gone = this.head >> BLOCK_SHIFT;
    if (gone > 0) {
      this.#blocks.splice(0, gone);
      this.head -= gone << BLOCK_SHIFT;
      this.end -= gone << BLOCK_SHIFT;
    }
    if (this.end > 0 && this.count * 2 <= this.end) this.#squeeze();
    else this.#grow();
    this.#changed();
  }

  #grow(): void {
    const before = this.#tail;
    if (before !== undefined && before.entries < BLOCK_ENTRIES) {
      const block = new Block(before.entries * 4);
      for (let at = this.head; at < this.end; at++) block.copy(at, before, at);
      this.#blocks = [block];
    } else {
      const block = this.#spare ?? new Block(before === undefined ? FIRST_ENTRIES : BLOCK_ENTRIES);
      this.#spare = undefined;
      this.#blocks.push(block);
    }
  }

  #squeeze(): void {
    let to = 0;
    for (let from = this.head; from < this.end; from++) {
      if (!this.isOutstanding(from)) continue;
      this.blockOf(to).copy(to & BLOCK_MASK, this.blockOf(from), from & BLOCK_MASK);
      to++;
    }
    this.head = 0;
    this.end = to;
    this.#blocks.length = (to >> BLOCK_SHIFT) + 1;
  }

  /** There are other blocks than before. */
  #changed(): void {
    const tail = this.#blocks.at(-1)!;
    this.#tail = tail;
    this.#room = (this.#blocks.length - 1) * BLOCK_ENTRIES + tail.entries;
    this.#countMemory();
  }

  /** What a channel keeps anyhow, up to a block, is not counted: only what is for a consumer that holds a backlog. */
  #countMemory(): void {
    const gone = this.head >> BLOCK_SHIFT;
    const more = this.#blocks.length - gone - 1 + (this.#spare === undefined ? 0 : 1);
    const bytes = more * BLOCK_BYTES;
    if (bytes === this.#countedBytes) return;
    this.#memory.take(bytes - this.#countedBytes);
    this.#countedBytes = bytes;
  }
}
