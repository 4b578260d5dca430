/**
 * The store that keeps nothing beyond the process: segments in memory.
 *
 * A record is four bytes that count its holders, then the message. Segments are filled one after the other. One in
 * which no record is held any more is dropped; the tail starts over at its beginning instead, so that a flow whose
 * messages are settled as fast as they come stays within one warm segment.
 */

import { assert } from "../assert.ts";
import type { Turn } from "../turn.ts";
import type { FlushListener, Holder, MessageStore, Segment } from "./message-store.ts";

/** Segments begin at multiples of it, so that a position tells its segment. */
const SEGMENT_BYTES = 1 << 20;
/** A larger record gets a segment of its own, so that it goes when it is settled and wastes no tail. */
const RECORD_BYTES_MAX = SEGMENT_BYTES / 4;
const RECORD_HEADER_BYTES = 4;
/** Sockets may refer to records from this size on until they are written, so their bytes are not written over. */
const SHARED_RECORD_BYTES_MIN = 4096;

class MemorySegment implements Segment {
  readonly start: number;
  readonly buffer: Buffer;
  readonly view: DataView;
  usedBytes = 0;
  /** Holders of all records in it. */
  holders = 0;
  /** Whether a socket may still refer to its bytes after they were settled. */
  shared = false;

  constructor(start: number, bytes: number) {
    this.start = start;
    this.buffer = Buffer.allocUnsafeSlow(bytes);
    this.view = new DataView(this.buffer.buffer, this.buffer.byteOffset, bytes);
  }
}

export class MemoryStore implements MessageStore {
  readonly #turn: Turn;
  /** By their start. */
  readonly #segments = new Map<number, MemorySegment>();
  #tail: MemorySegment;
  /** The segment of the last position looked up: mostly the next one's too. */
  #recent: MemorySegment;
  #nextStart = 0;
  #listeners: FlushListener[] = [];
  /** Bytes of all segments. */
  allocatedBytes = 0;

  constructor(turn: Turn) {
    this.#turn = turn;
    this.#tail = this.#addSegment(SEGMENT_BYTES);
    this.#recent = this.#tail;
  }

  append(bytes: number, holders: readonly Holder[], _persistent: boolean): number {
    const recordBytes = RECORD_HEADER_BYTES + bytes;
    const segment = this.#segmentFor(recordBytes);
    const offset = segment.usedBytes;
    segment.usedBytes = offset + recordBytes;
    segment.holders += holders.length;
    if (recordBytes >= SHARED_RECORD_BYTES_MIN) segment.shared = true;
    segment.view.setUint32(offset, holders.length, true);
    return segment.start + offset + RECORD_HEADER_BYTES;
  }

  #segmentFor(recordBytes: number): MemorySegment {
    if (recordBytes > RECORD_BYTES_MAX) return this.#addSegment(recordBytes);
    const tail = this.#tail;
    if (tail.usedBytes + recordBytes <= SEGMENT_BYTES) {
      if (tail.holders === 0 && !tail.shared) tail.usedBytes = 0;
      return tail;
    }
    if (tail.holders === 0 && !tail.shared) {
      tail.usedBytes = 0;
      return tail;
    }
    this.#tail = this.#addSegment(SEGMENT_BYTES);
    if (tail.holders === 0) this.#drop(tail);
    return this.#tail;
  }

  #addSegment(bytes: number): MemorySegment {
    const segment = new MemorySegment(this.#nextStart, bytes);
    this.#nextStart += Math.ceil(bytes / SEGMENT_BYTES) * SEGMENT_BYTES;
    this.#segments.set(segment.start, segment);
    this.allocatedBytes += bytes;
    return segment;
  }

  #drop(segment: MemorySegment): void {
    this.#segments.delete(segment.start);
    this.allocatedBytes -= segment.buffer.length;
    if (this.#recent === segment) this.#recent = this.#tail;
  }

  segment(position: number): MemorySegment {
    const recent = this.#recent;
    const offset = position - recent.start;
    if (offset >= 0 && offset < recent.buffer.length) return recent;
    const segment = this.#segments.get(position - (position % SEGMENT_BYTES));
    assert(segment !== undefined, `position ${position} is in no segment`);
    this.#recent = segment;
    return segment;
  }

  hold(position: number): void {
    const segment = this.segment(position);
    const offset = position - segment.start - RECORD_HEADER_BYTES;
    segment.view.setUint32(offset, segment.view.getUint32(offset, true) + 1, true);
    segment.holders++;
  }

  release(position: number, _holder: Holder): void {
    const segment = this.segment(position);
    const offset = position - segment.start - RECORD_HEADER_BYTES;
    const holders = segment.view.getUint32(offset, true);
    assert(holders > 0, `position ${position} is released more often than it is held`);
    segment.view.setUint32(offset, holders - 1, true);
    segment.holders--;
    if (segment.holders === 0 && segment !== this.#tail) this.#drop(segment);
  }

  afterFlush(listener: FlushListener): void {
    if (this.#listeners.length === 0) this.#turn.flushStore(this);
    this.#listeners.push(listener);
  }

  /** Memory is as safe as this store gets: whoever waited is told. */
  endTurn(): void {
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener.onFlushed();
  }
}
