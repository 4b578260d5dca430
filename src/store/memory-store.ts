/**
 * The store of messages that need not outlive the process: segments in memory, the least recently used of which go to a
 * scratch file each when messages take more memory than they may, and come back when somebody needs them.
 *
 * A record is the message and nothing else. Segments are filled one after the other. One in which no message is held any more
 * is dropped; the tail starts over at its beginning instead, so that a flow whose messages are settled as fast as they come
 * stays within one warm segment. A few messages that stay while everything around them goes do not keep their segment: they
 * are copied to the tail, and their positions lead there.
 *
 * A *position* is number of the segment * 2^16 + ordinal. It is below those of the journal.
 */

import { assert } from "../assert.ts";
import type { Turn } from "../turn.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { type Disk, isDiskError } from "./disk.ts";
import { type MemoryBudget, MemoryShare } from "./memory-budget.ts";
import type { FlushListener, Holder, MessageStore, Place, StandingAt } from "./message-store.ts";
import { Moves } from "./moves.ts";
import { NumberTable } from "./number-table.ts";
import { Segment } from "./segment.ts";

export const SEGMENT_BYTES = 1 << 20;
/** A larger message gets a segment of its own, so that it goes when it is settled and wastes no tail. */
const MESSAGE_BYTES_MAX = SEGMENT_BYTES / 4;
/** A segment has fewer messages than that. */
const ORDINALS_MAX = 2 ** 16;
/** A segment with less than one held byte in so many is given up: what is held in it moves. */
const SPARSE_RATIO = 4;
/** But not while it is so near the tail, in segments: most of what is held there will go by itself. */
const RECENT_SEGMENTS = 8;

const SCRATCH_NAME = /^transient-\d+$/;

export interface MemoryStoreOptions {
  readonly turn: Turn;
  readonly budget: MemoryBudget;
  /** Where segments go that there is no memory for; without it they stay in memory. */
  readonly disk: Disk | undefined;
  /** A segment could not be written, so that it stays in memory; or one could again (undefined). */
  readonly onWriteTrouble: (error: Error | undefined) => void;
}

interface Home extends MemoryStoreOptions {
  readonly pool: BufferPool;
}

class MemorySegment extends Segment {
  readonly #home: Home;
  /** Whether its bytes are in its scratch file. */
  #isOnDisk = false;
  isTail = false;

  constructor(number: number, home: Home) {
    super(number, number * ORDINALS_MAX, home);
    this.#home = home;
  }

  get #name(): string {
    return `transient-${this.number}`;
  }

  evict(): boolean {
    const { disk, onWriteTrouble } = this.#home;
    if (disk === undefined || this.isTail) return false;
    if (!this.#isOnDisk) {
      try {
        this.#write(disk);
        onWriteTrouble(undefined);
      } catch (error) {
        onWriteTrouble(error as Error);
        return false;
      }
    }
    this.dropBuffer();
    return true;
  }

  #write(disk: Disk): void {
    const file = disk.open(this.#name);
    try {
      file.write(this.buffer, 0, this.usedBytes, 0);
      this.#isOnDisk = true;
    } finally {
      file.close();
      // Half a segment takes what others need.
      if (!this.#isOnDisk) this.#removeFile(disk);
    }
  }

  /** What cannot be removed stays until the next start. */
  #removeFile(disk: Disk): void {
    try {
      disk.remove(this.#name);
    } catch (error) {
      if (!isDiskError(error)) throw error;
    }
  }

  /** Reads its bytes back. */
  load(): void {
    const buffer = this.takeBuffer(this.usedBytes);
    const bytes = this.filled(() => {
      const file = this.#home.disk!.open(this.#name);
      try {
        return file.read(buffer, 0, this.usedBytes, 0);
      } finally {
        file.close();
      }
    });
    assert(bytes === this.usedBytes, `${this.#name} has ${bytes} of ${this.usedBytes} bytes`);
  }

  /** Nothing is to be asked of it after that. */
  remove(): void {
    this.dispose();
    if (this.#isOnDisk) this.#removeFile(this.#home.disk!);
  }
}

export class MemoryStore implements MessageStore {
  readonly memory: MemoryShare;
  readonly #home: Home;
  /** By their number. */
  readonly #segments = new Map<number, MemorySegment>();
  readonly #moves: Moves;
  /** Of records that have moved: by which position they are known, by where they are. */
  readonly #known: NumberTable;
  #tail: MemorySegment;
  /** The segment of the last position looked up: mostly the next one's too. */
  #recent: MemorySegment;
  #nextNumber = 0;
  #listeners: FlushListener[] = [];
  #scheduled = false;
  #closed = false;
  readonly #place: { -readonly [Key in keyof Place]: Place[Key] };

  constructor(options: MemoryStoreOptions) {
    this.#home = { ...options, pool: options.budget.pool(SEGMENT_BYTES) };
    const { disk, budget } = options;
    this.memory = new MemoryShare(budget);
    this.#moves = new Moves(this.memory);
    this.#known = new NumberTable(this.memory);
    // What the process before this one has left.
    for (const name of disk?.list() ?? []) if (SCRATCH_NAME.test(name)) disk?.remove(name);
    this.#tail = this.#addSegment(SEGMENT_BYTES);
    this.#tail.isTail = true;
    this.#recent = this.#tail;
    const { buffer, view, keeper } = this.#tail;
    this.#place = { buffer, view, keeper, offset: 0 };
  }

  append(
    bytes: number,
    holders: readonly Holder[],
    _persistent?: boolean,
    _label?: number,
    at?: StandingAt,
  ): number {
    if (at !== undefined && bytes > MESSAGE_BYTES_MAX && at.memory.adopt())
      return this.#adopt(bytes, holders.length, at);
    return this.#append(bytes, holders.length);
  }

  /** A large message gets a segment of its own, and where it stands is as good as any other place. */
  #adopt(bytes: number, holders: number, { memory, offset }: StandingAt): number {
    this.#schedule();
    const segment = new MemorySegment(this.#nextNumber++, this.#home);
    segment.adopted(memory);
    this.#segments.set(segment.number, segment);
    segment.usedBytes = offset + bytes;
    segment.touch();
    return segment.start + segment.add(offset, bytes, holders);
  }

  #append(bytes: number, holders: number): number {
    const segment = this.#segmentFor(bytes);
    const offset = segment.usedBytes;
    segment.usedBytes = offset + bytes;
    return segment.start + segment.add(offset, bytes, holders);
  }

  #segmentFor(bytes: number): MemorySegment {
    if (bytes > MESSAGE_BYTES_MAX) {
      const segment = this.#addSegment(bytes);
      segment.touch();
      return segment;
    }
    const tail = this.#tail;
    if (tail.heldCount === 0 && tail.count > 0 && !tail.keeper.isBorrowed) tail.restart();
    if (tail.usedBytes + bytes <= SEGMENT_BYTES && tail.count < ORDINALS_MAX) return tail;
    this.#newTail();
    // What moved has gone to the tail.
    return this.#segmentFor(bytes);
  }

  #newTail(): void {
    const before = this.#tail;
    before.isTail = false;
    this.#tail = this.#addSegment(SEGMENT_BYTES);
    this.#tail.isTail = true;
    if (before.heldCount === 0) {
      this.#drop(before);
    } else {
      before.seal();
      before.touch();
    }
    const aging = this.#segments.get(this.#tail.number - RECENT_SEGMENTS);
    if (aging !== undefined) this.#giveUpIfSparse(aging);
  }

  #addSegment(bytes: number): MemorySegment {
    this.#schedule();
    const segment = new MemorySegment(this.#nextNumber++, this.#home);
    segment.takeBuffer(bytes);
    this.#segments.set(segment.number, segment);
    return segment;
  }

  #drop(segment: MemorySegment): void {
    this.#segments.delete(segment.number);
    if (this.#recent === segment) this.#recent = this.#tail;
    segment.remove();
  }

  /** The segment of a position where a message is now, or undefined when it has moved from there. */
  #segmentAt(position: number): MemorySegment | undefined {
    const recent = this.#recent;
    const ordinal = position - recent.start;
    if (ordinal >= 0 && ordinal < ORDINALS_MAX) return recent;
    const segment = this.#segments.get(Math.floor(position / ORDINALS_MAX));
    if (segment !== undefined) this.#recent = segment;
    return segment;
  }

  /** The segment where a message is now; `ordinal` is in `#ordinal`. */
  #ordinal = 0;
  #find(position: number): MemorySegment {
    let now = position;
    let segment = this.#segmentAt(position);
    if (segment === undefined) {
      now = this.#moves.current(position);
      segment = this.#segmentAt(now);
      assert(segment !== undefined, `position ${position} is in no segment`);
    }
    this.#ordinal = now - segment.start;
    return segment;
  }

  locate(position: number): Place {
    const segment = this.#find(position);
    const ordinal = this.#ordinal;
    this.#use(segment);
    const place = this.#place;
    const { keeper } = segment;
    place.buffer = keeper.buffer;
    place.view = keeper.view;
    place.keeper = keeper;
    place.offset = segment.recordStart(ordinal);
    return place;
  }

  /** Its bytes are in memory. */
  #use(segment: MemorySegment): void {
    if (segment === this.#tail) return;
    if (!segment.resident) segment.load();
    segment.touch();
  }

  /** Nothing is lost from memory, and what is read from a scratch file was written by this process. */
  isWhole(position: number): boolean {
    this.#use(this.#find(position));
    return true;
  }

  close(): void {
    this.#closed = true;
    for (const segment of this.#segments.values()) segment.remove();
    this.memory.giveBack();
  }

  discard(): void {
    this.close();
  }

  release(position: number): void {
    if (this.#closed) return;
    const segment = this.#find(position);
    const ordinal = this.#ordinal;
    if (!segment.letGo(ordinal, 0)) return;
    this.#moves.forget(position);
    this.#known.delete(segment.start + ordinal);
    if (segment === this.#tail) return;
    if (segment.heldCount === 0) this.#drop(segment);
    else this.#giveUpIfSparse(segment);
  }

  /** Copies what is held in a sparse segment to the tail, and drops the segment. */
  #giveUpIfSparse(segment: MemorySegment): void {
    if (this.#tail.number - segment.number < RECENT_SEGMENTS) return;
    if (segment.heldBytes * SPARSE_RATIO >= segment.usedBytes) return;
    try {
      this.#use(segment);
    } catch (error) {
      // It stays as it is until somebody lets go of more of it: who does has nothing to do with that.
      if (isDiskError(error)) return;
      throw error;
    }
    const { buffer, usedBytes } = segment;
    for (let ordinal = 0; ordinal < segment.count; ordinal++) {
      const holders = segment.holders(ordinal);
      if (holders === 0) continue;
      const start = segment.recordStart(ordinal);
      const end = ordinal + 1 < segment.count ? segment.recordStart(ordinal + 1) : usedBytes;
      this.#move(segment.start + ordinal, buffer.subarray(start, end), holders);
    }
    this.#drop(segment);
  }

  #move(from: number, message: Buffer, holders: number): void {
    const to = this.#append(message.length, holders);
    const segment = this.#segmentAt(to)!;
    message.copy(segment.buffer, segment.recordStart(to - segment.start));
    const known = this.#known.get(from) ?? from;
    this.#known.delete(from);
    this.#known.set(to, known);
    this.#moves.move(known, to);
  }

  /** Nothing comes back after a restart. */
  delivered(): void {}

  forget(): void {}

  afterFlush(listener: FlushListener): void {
    this.#schedule();
    this.#listeners.push(listener);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#home.turn.flushStore(this);
  }

  /** Memory is as safe as this store gets: whoever waited is told. */
  endTurn(): void {
    this.#scheduled = false;
    this.#home.pool.endTurn();
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener.onFlushed();
  }
}
