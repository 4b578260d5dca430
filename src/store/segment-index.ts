/**
 * The index of a sealed segment: all that its records say, without the messages themselves, so that a restart need not read
 * these. It stands behind the blocks and ends the file. Columns come first, one behind the other, then their measure:
 *
 *     labels                    float64 each     n of them, or one that all have
 *     settled: first position   float64 each     m
 *     delivered: position       float64 each     d
 *     moved: first position     float64 each     k
 *     offsets of records        uint32 each      n
 *     queues                    uint32 each      n, or one that all have; 0 when not exactly one queue took the message
 *     settled: queue            uint32 each      m
 *     settled: how many         uint32 each      m
 *     delivered: queue          uint32 each      d
 *     delivered: how often      uint32 each      d
 *     moved: ordinal            uint32 each      k
 *     queues of the others      uint32 each      s: ordinal, how many, their ids; and so on
 *     sizes of records          uint16 each      n, in 64 bytes, rounded up, 65,535 at most
 *     footer
 *     0   magic "LVRY"                                        uint32
 *     4   bytes of the index, this footer included            uint32
 *     8   number of the segment's first block                 float64
 *     16  number of its last block                            float64
 *     24  number of a block up to which all were on the disk when the last one was written   float64
 *     32  1 when the last block's flush goes on in the next segment, and 2 more when the first one's began in the one before
 *     36  n, 40 m, 44 d, 48 k, 52 s                           uint32 each
 *     56  1 when one label stands for all, and 2 more when one queue does   uint32
 *     60  CRC-32 of the index without these four bytes, begun with the segment's salt   uint32
 *
 * An index is valid if and only if its magic, size and checksum are right. It may be used in place of the records if and only
 * if all blocks of the segment, and all of the flush that its last one belongs to, are known to have been on the disk.
 */

import { endianness } from "node:os";
import { assert } from "../assert.ts";
import { float64Column, uint16Column, uint32Column } from "./column.ts";
import { Segment } from "./segment.ts";
import {
  BLOCK_HEADER_BYTES,
  type BlockHeader,
  checksum,
  DELIVERED,
  DELIVERED_BYTES,
  MESSAGE,
  MESSAGE_HEADER_BYTES,
  queueCount,
  recordBytes,
  SETTLED,
  SETTLED_BYTES,
} from "./segment-format.ts";

// Columns are read and written as the machine has them.
assert(endianness() === "LE", "a journal needs a machine that is little-endian");

const MAGIC = 0x5952564c;
export const FOOTER_BYTES = 64;
const CRC_IN_FOOTER = 60;
const GOES_ON = 1;
const CONTINUES = 2;
const ONE_LABEL = 1;
const ONE_QUEUE = 2;

/** The blocks of a segment, as far as others have to know them. */
export interface BlockSpan {
  readonly first: number;
  readonly last: number;
  readonly synced: number;
  readonly continues: boolean;
  readonly goesOn: boolean;
}

/** What a segment's records say; in columns, which are by ordinal where nothing else is said. */
export interface SegmentIndex {
  readonly blocks: BlockSpan;
  readonly count: number;
  /** One that all messages have, or one each. */
  readonly labels: Float64Array;
  /** The queue that took each message, or one that took all; 0: see `several`. */
  readonly queues: Uint32Array;
  readonly several: SeveralQueues;
  readonly offsets: Uint32Array;
  readonly sizes: Uint16Array;
  readonly settled: {
    readonly queues: Uint32Array;
    readonly firsts: Float64Array;
    readonly counts: Uint32Array;
  };
  readonly delivered: {
    readonly queues: Uint32Array;
    readonly positions: Float64Array;
    /** Of the message at the position, or 0: see segment-format.ts. */
    readonly deliveries: Uint32Array;
  };
  /** Messages that have moved here, and the positions under which they were stored first. */
  readonly moved: { readonly ordinals: Uint32Array; readonly known: Float64Array };
}

export function labelOf({ labels }: SegmentIndex, ordinal: number): number {
  return labels.length === 1 ? labels[0]! : labels[ordinal]!;
}

/** The queue that took a message, when it was exactly one; else 0. */
export function onlyQueueOf({ queues }: SegmentIndex, ordinal: number): number {
  return queues.length === 1 ? queues[0]! : queues[ordinal]!;
}

const noQueues = new Uint32Array(0);

/** The queues of messages that several queues took: ordinal, how many, their ids; and so on, by ordinal. */
export class SeveralQueues {
  readonly column: Uint32Array;
  /** Where in it the messages begin. */
  readonly #starts: Uint32Array;
  /** Which of them was asked for last. */
  #recent = 0;

  constructor(column: Uint32Array) {
    this.column = column;
    let messages = 0;
    for (let at = 0; at < column.length; at += 2 + column[at + 1]!) messages++;
    this.#starts = new Uint32Array(messages);
    for (let at = 0, message = 0; at < column.length; at += 2 + column[at + 1]!)
      this.#starts[message++] = at;
  }

  /** Calls back with each message and how many queues took it. */
  forEach(visit: (ordinal: number, queues: number) => void): void {
    for (const at of this.#starts) visit(this.column[at]!, this.column[at + 1]!);
  }

  /** Whether the same queues took both messages, in the same order. */
  isSame(one: number, other: number): boolean {
    const { column } = this;
    const from = this.#startOf(one);
    const otherFrom = this.#startOf(other);
    if (from < 0 || otherFrom < 0) return false;
    const end = from + 2 + column[from + 1]!;
    for (let at = from + 1; at < end; at++)
      if (column[at] !== column[otherFrom + at - from]) return false;
    return true;
  }

  /** The queues that took a message; none when it is not one of these. */
  of(ordinal: number): Uint32Array {
    const at = this.#startOf(ordinal);
    if (at < 0) return noQueues;
    return this.column.subarray(at + 2, at + 2 + this.column[at + 1]!);
  }

  /** Where a message begins; -1 when it is not one of these. Who asks for one after the other has the answer at once. */
  #startOf(ordinal: number): number {
    const { column } = this;
    const starts = this.#starts;
    let from = this.#recent;
    if (column[starts[from]!] !== ordinal) {
      from++;
      if (column[starts[from]!] !== ordinal) from = this.#firstFrom(ordinal);
    }
    const at = starts[from];
    if (at === undefined || column[at] !== ordinal) return -1;
    this.#recent = from;
    return at;
  }

  /** The first message whose ordinal is not lower. */
  #firstFrom(ordinal: number): number {
    let from = 0;
    let to = this.#starts.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.column[this.#starts[middle]!]! < ordinal) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

/** The one value of a column, or all of them. */
function squeeze<Column extends Float64Array | Uint32Array>(column: Column): Column {
  if (column.length === 0) return column;
  for (let at = 1; at < column.length; at++) if (column[at] !== column[0]) return column;
  return column.slice(0, 1) as Column;
}

/** Puts an index together from the blocks of its segment, one after the other. */
export class IndexBuilder {
  readonly #offsets = uint32Column();
  readonly #sizes = uint16Column();
  readonly #labels = float64Column();
  readonly #queues = uint32Column();
  readonly #several = uint32Column();
  readonly #settled = {
    queues: uint32Column(),
    firsts: float64Column(),
    counts: uint32Column(),
  };
  readonly #delivered = {
    queues: uint32Column(),
    positions: float64Column(),
    deliveries: uint32Column(),
  };
  readonly #moved = { ordinals: uint32Column(), known: float64Column() };
  /** Of the segment, for errors. */
  readonly #name: string;
  #first: BlockHeader | undefined;
  #last: BlockHeader | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  /** Messages so far. */
  get count(): number {
    return this.#offsets.length;
  }

  /** Messages up to this ordinal are lost: no queue has them. */
  skipTo(ordinal: number): void {
    while (this.count < ordinal) this.#message(0, 0, 0, 0);
  }

  /**
   * Adds the records of a valid block that begins at `start` of `view` and at `fileOffset` of its file. Throws when there is
   * one of an unknown type.
   */
  addBlock(header: BlockHeader, view: DataView, start: number, fileOffset: number): void {
    this.#first ??= header;
    this.#last = header;
    this.skipTo(header.ordinal);
    const end = start + header.bytes;
    for (let at = start + BLOCK_HEADER_BYTES; at < end; ) {
      const type = view.getUint8(at);
      if (type === MESSAGE) {
        at += this.#addMessage(view, at, fileOffset + at - start);
      } else if (type === SETTLED) {
        this.#settled.queues.push(view.getUint32(at + 4, true));
        this.#settled.firsts.push(view.getFloat64(at + 8, true));
        this.#settled.counts.push(view.getUint32(at + 16, true));
        at += SETTLED_BYTES;
      } else if (type === DELIVERED) {
        this.#delivered.queues.push(view.getUint32(at + 4, true));
        this.#delivered.positions.push(view.getFloat64(at + 8, true));
        this.#delivered.deliveries.push(view.getUint32(at, true) >>> 8);
        at += DELIVERED_BYTES;
      } else {
        throw new Error(
          `record of unknown type ${type} at ${fileOffset + at - start} of ${this.#name}: written by a later version?`,
        );
      }
    }
  }

  #addMessage(view: DataView, at: number, fileOffset: number): number {
    const queues = queueCount(view, at);
    const bytes = recordBytes(queues, view.getUint32(at + 4, true));
    const known = view.getFloat64(at + 16, true);
    if (known > 0) {
      this.#moved.ordinals.push(this.count);
      this.#moved.known.push(known);
    }
    const only = queues === 1 ? view.getUint32(at + MESSAGE_HEADER_BYTES, true) : 0;
    if (queues > 1) this.#addSeveral(view, at, queues);
    this.#message(fileOffset, bytes, view.getFloat64(at + 8, true), only);
    return bytes;
  }

  #addSeveral(view: DataView, at: number, queues: number): void {
    this.#several.push(this.count);
    this.#several.push(queues);
    for (let index = 0; index < queues; index++)
      this.#several.push(view.getUint32(at + MESSAGE_HEADER_BYTES + 4 * index, true));
  }

  #message(fileOffset: number, bytes: number, label: number, queue: number): void {
    this.#queues.push(queue);
    this.#labels.push(label);
    this.#sizes.push(Segment.sizeOf(bytes));
    this.#offsets.push(fileOffset);
  }

  /** The index of all that has been added; nothing can be added after that. */
  build(): SegmentIndex {
    const { queues, firsts, counts } = this.#settled;
    return {
      blocks: {
        first: this.#first?.number ?? 0,
        last: this.#last?.number ?? 0,
        synced: this.#last?.synced ?? 0,
        continues: this.#first?.continues ?? false,
        goesOn: this.#last?.goesOn ?? false,
      },
      count: this.count,
      labels: squeeze(this.#labels.values),
      queues: squeeze(this.#queues.values),
      several: new SeveralQueues(this.#several.values),
      offsets: this.#offsets.values,
      sizes: this.#sizes.values,
      settled: { queues: queues.values, firsts: firsts.values, counts: counts.values },
      delivered: {
        queues: this.#delivered.queues.values,
        positions: this.#delivered.positions.values,
        deliveries: this.#delivered.deliveries.values,
      },
      moved: { ordinals: this.#moved.ordinals.values, known: this.#moved.known.values },
    };
  }
}

/** The bytes of an index. */
export function encodeIndex(index: SegmentIndex, salt: number): Buffer {
  const { blocks, labels, queues, offsets, sizes, settled, delivered, moved } = index;
  const several = index.several.column;
  const columns = [
    labels,
    settled.firsts,
    delivered.positions,
    moved.known,
    offsets,
    queues,
    settled.queues,
    settled.counts,
    delivered.queues,
    delivered.deliveries,
    moved.ordinals,
    several,
    sizes,
  ];
  const columnBytes = columns.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const buffer = Buffer.alloc(columnBytes + FOOTER_BYTES);
  let at = 0;
  for (const column of columns) {
    buffer.set(new Uint8Array(column.buffer, column.byteOffset, column.byteLength), at);
    at += column.byteLength;
  }
  buffer.writeUInt32LE(MAGIC, at);
  buffer.writeUInt32LE(buffer.length, at + 4);
  buffer.writeDoubleLE(blocks.first, at + 8);
  buffer.writeDoubleLE(blocks.last, at + 16);
  buffer.writeDoubleLE(blocks.synced, at + 24);
  buffer.writeUInt32LE((blocks.goesOn ? GOES_ON : 0) | (blocks.continues ? CONTINUES : 0), at + 32);
  buffer.writeUInt32LE(index.count, at + 36);
  buffer.writeUInt32LE(settled.queues.length, at + 40);
  buffer.writeUInt32LE(delivered.queues.length, at + 44);
  buffer.writeUInt32LE(moved.ordinals.length, at + 48);
  buffer.writeUInt32LE(several.length, at + 52);
  const isOneLabel = labels.length === 1 && index.count !== 1;
  const isOneQueue = queues.length === 1 && index.count !== 1;
  buffer.writeUInt32LE((isOneLabel ? ONE_LABEL : 0) | (isOneQueue ? ONE_QUEUE : 0), at + 56);
  const crcAt = at + CRC_IN_FOOTER;
  buffer.writeUInt32LE(checksum(buffer, 0, buffer.length, { crcAt, salt }), crcAt);
  return buffer;
}

/** How many bytes the index has that ends with this footer; 0 when there is none. */
export function indexBytes(footer: Buffer, fileBytes: number): number {
  if (footer.length < FOOTER_BYTES || footer.readUInt32LE(0) !== MAGIC) return 0;
  const bytes = footer.readUInt32LE(4);
  return bytes >= FOOTER_BYTES && bytes <= fileBytes ? bytes : 0;
}

/** Cuts columns out of a buffer, one after the other. */
class Columns {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  #next(bytes: number): [ArrayBufferLike, number] {
    const at = this.#at;
    this.#at += bytes;
    return [this.#buffer.buffer, this.#buffer.byteOffset + at];
  }

  float64(count: number): Float64Array {
    return new Float64Array(...this.#next(8 * count), count);
  }

  uint32(count: number): Uint32Array {
    return new Uint32Array(...this.#next(4 * count), count);
  }

  uint16(count: number): Uint16Array {
    return new Uint16Array(...this.#next(2 * count), count);
  }
}

/** The index in a buffer of its own, which is kept; undefined when it is not valid. */
export function decodeIndex(buffer: Buffer, salt: number): SegmentIndex | undefined {
  const at = buffer.length - FOOTER_BYTES;
  if (at < 0 || indexBytes(buffer.subarray(at), buffer.length) !== buffer.length) return undefined;
  const crcAt = at + CRC_IN_FOOTER;
  const found = checksum(buffer, 0, buffer.length, { crcAt, salt });
  if (found !== buffer.readUInt32LE(crcAt)) return undefined;
  const flags = buffer.readUInt32LE(at + 32);
  const [count, settled, delivered, moved, several, ones] = [36, 40, 44, 48, 52, 56].map((field) =>
    buffer.readUInt32LE(at + field),
  ) as [number, number, number, number, number, number];
  const columns = new Columns(buffer);
  const labels = columns.float64((ones & ONE_LABEL) !== 0 ? 1 : count);
  const firsts = columns.float64(settled);
  const positions = columns.float64(delivered);
  const known = columns.float64(moved);
  const offsets = columns.uint32(count);
  const queues = columns.uint32((ones & ONE_QUEUE) !== 0 ? 1 : count);
  return {
    blocks: {
      first: buffer.readDoubleLE(at + 8),
      last: buffer.readDoubleLE(at + 16),
      synced: buffer.readDoubleLE(at + 24),
      goesOn: (flags & GOES_ON) !== 0,
      continues: (flags & CONTINUES) !== 0,
    },
    count,
    labels,
    queues,
    offsets,
    settled: { firsts, queues: columns.uint32(settled), counts: columns.uint32(settled) },
    delivered: {
      positions,
      queues: columns.uint32(delivered),
      deliveries: columns.uint32(delivered),
    },
    moved: { known, ordinals: columns.uint32(moved) },
    several: new SeveralQueues(columns.uint32(several)),
    sizes: columns.uint16(count),
  };
}
