/**
 * The format of a journal's segment files. Integers are little-endian, offsets count from the beginning of the file.
 *
 * A file is named segment-NNNNNNNNNN-SSSSSSSS: its number in ten decimal digits, and its *salt*, eight hexadecimal digits
 * that were drawn when it was made. Checksums begin with the salt, so that no octets that a client sends can be taken for a
 * block or an index when they come to light in a torn write.
 *
 * A segment is blocks, one behind the other from offset 0, and, once it is sealed, an index behind them (segment-index.ts).
 * As long as it is not, zeros may follow that are room for what comes (room-ahead.ts).
 * What one flush writes is one block, or several when it fills a segment: all of them count, or none.
 *
 *     block
 *     0   magic "LVRT"                                        uint32
 *     4   bytes of the block, this header included            uint32
 *     8   number of the block in the journal, from 1          float64
 *     16  1 when the flush goes on in the next block, and 2 more when it began in the one before   uint32
 *     20  MESSAGE records of the segment before this block    uint32
 *     24  number of a block up to which all were on the disk when this one was written   float64
 *     32  CRC-32 of the block without these four bytes, begun with the salt   uint32
 *     36  records, one behind the other
 *
 * A block is valid if and only if
 *   - its magic is there and its bytes lie within the file,
 *   - its CRC is right,
 *   - its number is higher than that of the block before it in the journal,
 *   - no block before it is missing that was not on the disk when some block was written (a crash may keep a later
 *     write and lose an earlier one; nothing after such a gap was promised to anybody),
 *   - the block before it says that its flush goes on, when this one says that its flush began there,
 *   - and, when it says that its flush goes on, the next block is valid.
 *
 *     record MESSAGE: a message and the durable queues that took it. Its ordinal is the number of MESSAGE records before
 *     it in the segment.
 *     0   1                                                   uint8
 *     1   number of queues n                                  uint24
 *     4   bytes of the message b                              uint32
 *     8   label, of which the store knows nothing             float64
 *     16  position under which it was stored first, or 0      float64
 *     24  n ids of queues                                     uint32 each
 *     ..  b bytes
 *
 *     record SETTLED: messages of consecutive ordinals that a queue is done with.
 *     0   2                                                   uint8
 *     1   0, and two more bytes of 0
 *     4   id of the queue                                     uint32
 *     8   position of the first                               float64
 *     16  how many                                            uint32
 *
 *     record DELIVERED: what a queue held up to this position may have been delivered once; or, when it says how often, the
 *     message at this very position has been delivered so often, and more often than once.
 *     0   3                                                   uint8
 *     1   how often, or 0                                     uint24
 *     4   id of the queue                                     uint32
 *     8   position                                            float64
 *
 * A *position* is 2^52 + number of the segment * 2^20 + ordinal.
 */

import { crc32 } from "node:zlib";

const FILE_NAME = /^segment-(\d{10})-([0-9a-f]{8})$/;

export interface SegmentName {
  readonly number: number;
  readonly salt: number;
}

export function segmentFileName({ number, salt }: SegmentName): string {
  return `segment-${String(number).padStart(10, "0")}-${salt.toString(16).padStart(8, "0")}`;
}

/** What a file's name says, if it is a segment's. */
export function parseSegmentName(name: string): SegmentName | undefined {
  const match = FILE_NAME.exec(name);
  return match === null
    ? undefined
    : { number: Number(match[1]), salt: Number.parseInt(match[2]!, 16) };
}

export const BLOCK_HEADER_BYTES = 36;
const MAGIC = 0x5452564c;
const MAGIC_OCTETS = Buffer.from("LVRT");
const GOES_ON = 1;
const CONTINUES = 2;
const CRC_AT = 32;

export const MESSAGE = 1;
export const SETTLED = 2;
export const DELIVERED = 3;

export const MESSAGE_HEADER_BYTES = 24;
export const SETTLED_BYTES = 20;
export const DELIVERED_BYTES = 16;

/** What a DELIVERED record can say of a message; more often is as good as that. */
export const DELIVERIES_MAX = 2 ** 24 - 1;

/** Positions below are those of messages that are kept in memory only. */
export const POSITION_BASE = 2 ** 52;
/** A segment has fewer records than that. */
export const ORDINALS_MAX = 2 ** 20;

export function segmentStart(number: number): number {
  return POSITION_BASE + number * ORDINALS_MAX;
}

/** The number of the segment that a position is in. */
export function segmentNumber(position: number): number {
  return Math.floor((position - POSITION_BASE) / ORDINALS_MAX);
}

/** The ordinal of a position in its segment. */
export function ordinalOf(position: number): number {
  return (position - POSITION_BASE) % ORDINALS_MAX;
}

export interface BlockHeader {
  readonly bytes: number;
  readonly number: number;
  /** Whether its flush began in the block before it, and whether it goes on in the one behind it. */
  readonly continues: boolean;
  readonly goesOn: boolean;
  /** Of the first message in it, so that positions hold although a block before it is lost. */
  readonly ordinal: number;
  /** Blocks up to this number were on the disk: what is missing of them is damage, of later ones a crash's doing. */
  readonly synced: number;
}

/** The checksum of the bytes from `start` to `end`, without the four at `crcAt`. */
export function checksum(
  buffer: Buffer,
  start: number,
  end: number,
  { crcAt, salt }: { crcAt: number; salt: number },
): number {
  const before = crc32(buffer.subarray(start, crcAt), salt);
  return crc32(buffer.subarray(crcAt + 4, end), before);
}

/** Fills in the header of the block from `start` to `end`, whose records are written. */
export function sealBlock(
  buffer: Buffer,
  start: number,
  end: number,
  header: Omit<BlockHeader, "bytes"> & { salt: number },
): void {
  const { number, continues, goesOn, ordinal, synced, salt } = header;
  buffer.writeUInt32LE(MAGIC, start);
  buffer.writeUInt32LE(end - start, start + 4);
  buffer.writeDoubleLE(number, start + 8);
  buffer.writeUInt32LE((goesOn ? GOES_ON : 0) | (continues ? CONTINUES : 0), start + 16);
  buffer.writeUInt32LE(ordinal, start + 20);
  buffer.writeDoubleLE(synced, start + 24);
  const crcAt = start + CRC_AT;
  buffer.writeUInt32LE(checksum(buffer, start, end, { crcAt, salt }), crcAt);
}

/** What the header of the block at `start` says; that it is valid is for the caller to know. */
export function blockHeader(buffer: Buffer, start: number): BlockHeader {
  const flags = buffer.readUInt32LE(start + 16);
  return {
    bytes: buffer.readUInt32LE(start + 4),
    number: buffer.readDoubleLE(start + 8),
    goesOn: (flags & GOES_ON) !== 0,
    continues: (flags & CONTINUES) !== 0,
    ordinal: buffer.readUInt32LE(start + 20),
    synced: buffer.readDoubleLE(start + 24),
  };
}

/** The block at `start` when its magic, size and checksum are right, else undefined. */
export function readBlock(
  buffer: Buffer,
  start: number,
  end: number,
  salt: number,
): BlockHeader | undefined {
  if (end - start < BLOCK_HEADER_BYTES || buffer.readUInt32LE(start) !== MAGIC) return undefined;
  const bytes = buffer.readUInt32LE(start + 4);
  if (bytes < BLOCK_HEADER_BYTES || bytes > end - start) return undefined;
  const crcAt = start + CRC_AT;
  const found = checksum(buffer, start, start + bytes, { crcAt, salt });
  if (found !== buffer.readUInt32LE(crcAt)) return undefined;
  return blockHeader(buffer, start);
}

/** Bytes of a MESSAGE record. */
export function recordBytes(queues: number, messageBytes: number): number {
  return MESSAGE_HEADER_BYTES + 4 * queues + messageBytes;
}

/** How many queues took the message whose record begins at `at`. */
export function queueCount(view: DataView, at: number): number {
  return view.getUint32(at, true) >>> 8;
}

/** The durable queues that took the message whose record begins at `at`. */
export function queuesOf(view: DataView, at: number): number[] {
  const queues: number[] = [];
  const count = queueCount(view, at);
  for (let index = 0; index < count; index++) {
    queues.push(view.getUint32(at + MESSAGE_HEADER_BYTES + 4 * index, true));
  }
  return queues;
}

/** Under which position the message was stored first whose record begins at `at`, or 0 for its own. */
export function knownPosition(view: DataView, at: number): number {
  return view.getFloat64(at + 16, true);
}

/** Where the message begins whose record begins at `at`. */
export function messageStart(view: DataView, at: number): number {
  return at + MESSAGE_HEADER_BYTES + 4 * queueCount(view, at);
}

/** Where the next valid block begins, or `end`. */
export function nextBlock(buffer: Buffer, from: number, end: number, salt: number): number {
  for (let at = buffer.indexOf(MAGIC_OCTETS, from); at >= 0 && at < end; ) {
    if (readBlock(buffer, at, end, salt) !== undefined) return at;
    at = buffer.indexOf(MAGIC_OCTETS, at + 1);
  }
  return end;
}
