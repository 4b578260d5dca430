/**
 * One segment of a journal while the broker runs: its file, what of it is in memory, and who still holds what.
 *
 * For each message it keeps eight bytes: where its record begins, about how large it is, and how many hold it. It does not write: that is the
 * journal's.
 */

import { assert } from "../assert.ts";
import type { DiskFile } from "./disk.ts";
import { MESSAGE_HEADER_BYTES, segmentStart } from "./segment-format.ts";

const FIRST_RECORDS = 64;
/** Sizes of records are kept in 16 bits each. */
const SIZE_UNIT = 64;
const SIZES_MAX = 2 ** 16 - 1;

export class JournalSegment {
  readonly number: number;
  /** The position of ordinal 0. */
  readonly start: number;
  readonly file: DiskFile;
  /** Undefined while the bytes are only on disk. */
  #buffer: Buffer | undefined;
  #view: DataView | undefined;
  /** Bytes in use: of the buffer, and of the file once they are written. */
  usedBytes = 0;
  /** Messages in it. */
  count = 0;
  /** Messages that somebody holds, and about the bytes of their records. */
  heldCount = 0;
  heldBytes = 0;
  /** Of each message: where its record begins, and how many hold it. */
  #offsets = new Uint32Array(FIRST_RECORDS);
  #holders = new Uint16Array(FIRST_RECORDS);
  /** And how large its record is, in units. */
  #sizes = new Uint16Array(FIRST_RECORDS);
  /** Of messages that several durable queues took: the queues that are done with it. */
  readonly #doneWith = new Map<number, number[]>();

  constructor(number: number, file: DiskFile) {
    this.number = number;
    this.start = segmentStart(number);
    this.file = file;
  }

  get resident(): boolean {
    return this.#buffer !== undefined;
  }

  get buffer(): Buffer {
    assert(this.#buffer !== undefined, `segment ${this.number} is not in memory`);
    return this.#buffer;
  }

  get view(): DataView {
    assert(this.#view !== undefined, `segment ${this.number} is not in memory`);
    return this.#view;
  }

  /** Its bytes are in memory from now on; `buffer` is kept. */
  keep(buffer: Buffer): void {
    this.#buffer = buffer;
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  }

  /** Reads its bytes back from the file. */
  load(): void {
    const buffer = Buffer.allocUnsafeSlow(this.usedBytes);
    const bytes = this.file.read(buffer, 0, this.usedBytes, 0);
    assert(
      bytes === this.usedBytes,
      `segment ${this.number} has ${bytes} of ${this.usedBytes} bytes`,
    );
    this.keep(buffer);
  }

  /** Lets go of the bytes in memory; they are in the file. */
  evict(): void {
    this.#buffer = undefined;
    this.#view = undefined;
  }

  /** Of the record of a message, rounded up; of one beyond 4 MiB, which has a segment to itself, all of that. */
  messageBytes(ordinal: number): number {
    const size = this.#sizes[ordinal]!;
    return size === SIZES_MAX ? this.usedBytes : size * SIZE_UNIT;
  }

  /** Notes a message whose record begins at `offset` and that is held by `holders`; returns its ordinal. */
  add(offset: number, bytes: number, holders: number): number {
    if (this.count === this.#offsets.length) this.#grow();
    const ordinal = this.count++;
    this.#offsets[ordinal] = offset;
    this.#holders[ordinal] = holders;
    this.#sizes[ordinal] = Math.min(SIZES_MAX, Math.ceil(bytes / SIZE_UNIT));
    if (holders > 0) {
      this.heldCount++;
      this.heldBytes += this.messageBytes(ordinal);
    }
    return ordinal;
  }

  /** Messages up to this ordinal are lost: nobody holds them. */
  skipTo(ordinal: number): void {
    while (this.count < ordinal) this.add(0, 0, 0);
  }

  #grow(): void {
    const offsets = new Uint32Array(this.count * 2);
    offsets.set(this.#offsets);
    this.#offsets = offsets;
    const holders = new Uint16Array(this.count * 2);
    holders.set(this.#holders);
    this.#holders = holders;
    const sizes = new Uint16Array(this.count * 2);
    sizes.set(this.#sizes);
    this.#sizes = sizes;
  }

  /** It is full: the room for more messages goes. */
  seal(): void {
    this.#offsets = this.#offsets.slice(0, this.count);
    this.#holders = this.#holders.slice(0, this.count);
    this.#sizes = this.#sizes.slice(0, this.count);
  }

  /** Where the record of the message with this ordinal begins. */
  recordStart(ordinal: number): number {
    return this.#offsets[ordinal]!;
  }

  /** How many hold the message. */
  holders(ordinal: number): number {
    return this.#holders[ordinal]!;
  }

  hold(ordinal: number): void {
    this.#holders[ordinal]!++;
  }

  /** One holder less: a durable queue, or another one when `queueId` is 0. Whether it was the last. */
  letGo(ordinal: number, queueId: number): boolean {
    const holders = this.#holders[ordinal]!;
    assert(
      holders > 0,
      `message ${ordinal} of segment ${this.number} is released more often than it is held`,
    );
    this.#holders[ordinal] = holders - 1;
    if (holders > 1) {
      if (queueId > 0) this.#noteDone(ordinal, queueId);
      return false;
    }
    this.#forget(ordinal);
    return true;
  }

  /** Nobody holds the message here any more: it has moved. */
  discard(ordinal: number): void {
    if (this.#holders[ordinal] === 0) return;
    this.#holders[ordinal] = 0;
    this.#forget(ordinal);
  }

  #forget(ordinal: number): void {
    this.#doneWith.delete(ordinal);
    this.heldCount--;
    this.heldBytes -= this.messageBytes(ordinal);
  }

  #noteDone(ordinal: number, queueId: number): void {
    const done = this.#doneWith.get(ordinal);
    if (done === undefined) this.#doneWith.set(ordinal, [queueId]);
    else done.push(queueId);
  }

  /** Whether a durable queue is done with a message that others still hold. */
  isDoneWith(ordinal: number, queueId: number): boolean {
    return this.#doneWith.get(ordinal)?.includes(queueId) ?? false;
  }
}

/** Bytes of a MESSAGE record. */
export function recordBytes(queues: number, messageBytes: number): number {
  return MESSAGE_HEADER_BYTES + 4 * queues + messageBytes;
}

/** The durable queues that took the message whose record begins at `recordAt`. */
export function queuesOf({ view }: Pick<JournalSegment, "view">, recordAt: number): number[] {
  const queues: number[] = [];
  const count = view.getUint16(recordAt + 2, true);
  for (let index = 0; index < count; index++) {
    queues.push(view.getUint32(recordAt + MESSAGE_HEADER_BYTES + 4 * index, true));
  }
  return queues;
}

/** Behind its record's header and ids. */
export function messageStart({ view }: JournalSegment, recordAt: number): number {
  return recordAt + MESSAGE_HEADER_BYTES + 4 * view.getUint16(recordAt + 2, true);
}
