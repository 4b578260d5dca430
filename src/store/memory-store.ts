/**
 * The store that keeps nothing beyond the process: segments in memory.
 *
 *     record
 *     0   bytes of the message          uint32
 *     4   how many hold it              uint32
 *     8   the message
 *
 * Segments are filled one after the other. One in which no record is held any more is dropped; the tail starts over at its
 * beginning instead, so that a flow whose messages are settled as fast as they come stays within one warm segment. A few
 * messages that stay while everything around them goes do not keep their segment: they are copied to the tail, and their
 * positions lead there.
 */

import { assert } from "../assert.ts";
import type { Turn } from "../turn.ts";
import type { FlushListener, Holder, MessageStore, Place } from "./message-store.ts";
import { Moves } from "./moves.ts";

/** Segments begin at multiples of it, so that a position tells its segment. */
const SEGMENT_BYTES = 1 << 20;
/** A larger record gets a segment of its own, so that it goes when it is settled and wastes no tail. */
const RECORD_BYTES_MAX = SEGMENT_BYTES / 4;
const RECORD_HEADER_BYTES = 8;
const HOLDERS_AT = 4;
/** Sockets may refer to records from this size on until they are written, so their bytes are not written over. */
const SHARED_RECORD_BYTES_MIN = 4096;
/** A segment with less than one held byte in so many is given up: what is held in it moves. */
const SPARSE_RATIO = 4;
/** But not while it is so near the tail: most of what is held there will go by itself. */
const RECENT_BYTES = 8 * SEGMENT_BYTES;

class Segment {
  /** The position of its first byte. */
  readonly start: number;
  readonly buffer: Buffer;
  readonly view: DataView;
  usedBytes = 0;
  /** Of records that somebody holds. */
  heldBytes = 0;
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
  readonly #segments = new Map<number, Segment>();
  readonly #moves = new Moves();
  #tail: Segment;
  /** The segment of the last position looked up: mostly the next one's too. */
  #recent: Segment;
  #nextStart = 0;
  #listeners: FlushListener[] = [];
  readonly #place: { buffer: Buffer; view: DataView; offset: number };
  /** Bytes of all segments. */
  allocatedBytes = 0;

  constructor(turn: Turn) {
    this.#turn = turn;
    this.#tail = this.#addSegment(SEGMENT_BYTES);
    this.#recent = this.#tail;
    this.#place = { buffer: this.#tail.buffer, view: this.#tail.view, offset: 0 };
  }

  append(bytes: number, holders: readonly Holder[]): number {
    return this.#append(bytes, holders.length);
  }

  #append(bytes: number, holders: number): number {
    const recordBytes = RECORD_HEADER_BYTES + bytes;
    const segment = this.#segmentFor(recordBytes);
    const offset = segment.usedBytes;
    segment.usedBytes = offset + recordBytes;
    segment.heldBytes += recordBytes;
    if (recordBytes >= SHARED_RECORD_BYTES_MIN) segment.shared = true;
    segment.view.setUint32(offset, bytes, true);
    segment.view.setUint32(offset + HOLDERS_AT, holders, true);
    return segment.start + offset;
  }

  #segmentFor(recordBytes: number): Segment {
    if (recordBytes > RECORD_BYTES_MAX) return this.#addSegment(recordBytes);
    const tail = this.#tail;
    if (tail.heldBytes === 0 && !tail.shared) tail.usedBytes = 0;
    if (tail.usedBytes + recordBytes <= SEGMENT_BYTES) return tail;
    this.#tail = this.#addSegment(SEGMENT_BYTES);
    if (tail.heldBytes === 0) this.#drop(tail);
    const aging = this.#segments.get(this.#tail.start - RECENT_BYTES);
    if (aging !== undefined) this.#giveUpIfSparse(aging);
    // What moved has gone to the tail.
    return this.#tail.usedBytes + recordBytes <= SEGMENT_BYTES
      ? this.#tail
      : this.#segmentFor(recordBytes);
  }

  #addSegment(bytes: number): Segment {
    const segment = new Segment(this.#nextStart, bytes);
    this.#nextStart += Math.ceil(bytes / SEGMENT_BYTES) * SEGMENT_BYTES;
    this.#segments.set(segment.start, segment);
    this.allocatedBytes += bytes;
    return segment;
  }

  #drop(segment: Segment): void {
    this.#segments.delete(segment.start);
    this.allocatedBytes -= segment.buffer.length;
    if (this.#recent === segment) this.#recent = this.#tail;
  }

  /** The segment of a position where a record is now, or undefined when it has moved from there. */
  #segmentAt(position: number): Segment | undefined {
    const recent = this.#recent;
    const offset = position - recent.start;
    if (offset >= 0 && offset < recent.buffer.length) return recent;
    const segment = this.#segments.get(position - (position % SEGMENT_BYTES));
    if (segment !== undefined) this.#recent = segment;
    return segment;
  }

  /** Points `#place` at a record, and returns its segment. */
  #find(position: number): Segment {
    let segment = this.#segmentAt(position);
    let now = position;
    if (segment === undefined) {
      now = this.#moves.current(position);
      segment = this.#segmentAt(now);
      assert(segment !== undefined, `position ${position} is in no segment`);
    }
    const place = this.#place;
    place.buffer = segment.buffer;
    place.view = segment.view;
    place.offset = now - segment.start;
    return segment;
  }

  locate(position: number): Place {
    this.#find(position);
    this.#place.offset += RECORD_HEADER_BYTES;
    return this.#place;
  }

  hold(position: number): void {
    const { view } = this.#find(position);
    const at = this.#place.offset + HOLDERS_AT;
    view.setUint32(at, view.getUint32(at, true) + 1, true);
  }

  release(position: number, _holder: Holder): void {
    this.letGo(position);
  }

  letGo(position: number): void {
    const segment = this.#find(position);
    const { offset } = this.#place;
    const holders = segment.view.getUint32(offset + HOLDERS_AT, true);
    assert(holders > 0, `position ${position} is released more often than it is held`);
    segment.view.setUint32(offset + HOLDERS_AT, holders - 1, true);
    if (holders > 1) return;
    segment.heldBytes -= RECORD_HEADER_BYTES + segment.view.getUint32(offset, true);
    this.#moves.forget(segment.start + offset);
    if (segment === this.#tail) return;
    if (segment.heldBytes === 0) this.#drop(segment);
    else this.#giveUpIfSparse(segment);
  }

  /** Copies what is held in a sparse segment to the tail, and drops the segment. */
  #giveUpIfSparse(segment: Segment): void {
    if (this.#tail.start - segment.start < RECENT_BYTES) return;
    if (segment.heldBytes * SPARSE_RATIO >= segment.usedBytes) return;
    const { buffer, view, start } = segment;
    for (let offset = 0; offset < segment.usedBytes; ) {
      const bytes = view.getUint32(offset, true);
      const holders = view.getUint32(offset + HOLDERS_AT, true);
      if (holders > 0)
        this.#move(start + offset, buffer.subarray(offset + RECORD_HEADER_BYTES), bytes, holders);
      offset += RECORD_HEADER_BYTES + bytes;
    }
    this.#drop(segment);
  }

  #move(from: number, message: Buffer, bytes: number, holders: number): void {
    const to = this.#append(bytes, holders);
    const segment = this.#segmentAt(to)!;
    message.copy(segment.buffer, to - segment.start + RECORD_HEADER_BYTES, 0, bytes);
    this.#moves.move(from, to);
  }

  /** Nothing comes back after a restart. */
  delivered(): void {}

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
