/**
 * Field tables: the typed maps of arguments and headers, in RabbitMQ's dialect.
 *
 * A value keeps the letter of its type, so that what is decoded is encoded again to the same bytes: a queue's argument
 * compares by value, a headers binding by type, and a dead-lettered message must not change its headers.
 *
 * | letter | type              | value in memory         |
 * |--------|-------------------|-------------------------|
 * | t      | boolean           | boolean                 |
 * | b B    | int8, uint8       | number                  |
 * | s u    | int16, uint16     | number                  |
 * | I i    | int32, uint32     | number                  |
 * | l L    | int64             | bigint                  |
 * | T      | timestamp, uint64 seconds | bigint          |
 * | f d    | float, double     | number                  |
 * | D      | decimal           | { scale, unscaled }     |
 * | S x    | longstr, bytes    | Buffer                  |
 * | A      | array             | FieldValue[]            |
 * | F      | table             | FieldTable              |
 * | V      | void              | undefined               |
 *
 * `s` is a signed 16-bit integer and not a short string, `i` and `u` are unsigned [RabbitMQ's errata to AMQP 0-9-1].
 */

import { type ByteReader, checkUtf8, cut, longAt } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { type AmqpError, DecodeError } from "./errors.ts";

/** In order of the wire; of two entries with one key the later counts. */
export type FieldTable = Map<string, FieldValue>;

export type FieldValue =
  | { type: "t"; value: boolean }
  | { type: "b" | "B" | "s" | "u" | "I" | "i" | "f" | "d"; value: number }
  | { type: "l" | "L" | "T"; value: bigint }
  | { type: "D"; value: { scale: number; unscaled: number } }
  | { type: "S" | "x"; value: Buffer }
  | { type: "A"; value: FieldValue[] }
  | { type: "F"; value: FieldTable }
  | { type: "V"; value: undefined };

/** Tables and arrays within each other, at most. Deeper nesting could only be meant to exhaust the stack. */
export const NESTING_MAX = 64;

function deeper(depth: number): number {
  if (depth >= NESTING_MAX) {
    throw new DecodeError(`tables are nested deeper than ${NESTING_MAX}`);
  }
  return depth + 1;
}

/** The end of what a length prefix announces, which must lie within the surrounding range. */
function announcedEnd(reader: ByteReader): number {
  const bytes = reader.long();
  if (bytes > reader.remaining) {
    throw new DecodeError(`a table of ${bytes} bytes where ${reader.remaining} are left`);
  }
  return reader.offset + bytes;
}

function expectEnd(reader: ByteReader, end: number): void {
  if (reader.offset !== end) {
    throw new DecodeError("a field table's entries overrun its length");
  }
}

/** Reads a table with its length prefix. */
export function readTable(reader: ByteReader, depth = 0): FieldTable {
  const end = announcedEnd(reader);
  const table: FieldTable = new Map();
  while (reader.offset < end) {
    const key = reader.shortstr();
    table.set(key, readValue(reader, depth));
  }
  expectEnd(reader, end);
  return table;
}

/** Reads entries up to the reader's end, with no length before them [AMQPLAIN]. */
export function readTableEntries(reader: ByteReader): FieldTable {
  const table: FieldTable = new Map();
  while (reader.remaining > 0) {
    const key = reader.shortstr();
    table.set(key, readValue(reader, 0));
  }
  return table;
}

function readArray(reader: ByteReader, depth: number): FieldValue[] {
  const end = announcedEnd(reader);
  const values: FieldValue[] = [];
  while (reader.offset < end) values.push(readValue(reader, depth));
  expectEnd(reader, end);
  return values;
}

function readValue(reader: ByteReader, depth: number): FieldValue {
  const letter = String.fromCharCode(reader.octet());
  const { buffer } = reader;
  switch (letter) {
    case "t":
      return { type: letter, value: reader.octet() !== 0 };
    case "b":
      return { type: letter, value: buffer.readInt8(reader.take(1)) };
    case "B":
      return { type: letter, value: reader.octet() };
    case "s":
      return { type: letter, value: buffer.readInt16BE(reader.take(2)) };
    case "u":
      return { type: letter, value: reader.short() };
    case "I":
      return { type: letter, value: buffer.readInt32BE(reader.take(4)) };
    case "i":
      return { type: letter, value: reader.long() };
    case "l":
    case "L":
      return { type: letter, value: buffer.readBigInt64BE(reader.take(8)) };
    case "T":
      return { type: letter, value: buffer.readBigUInt64BE(reader.take(8)) };
    case "f":
      return { type: letter, value: buffer.readFloatBE(reader.take(4)) };
    case "d":
      return { type: letter, value: buffer.readDoubleBE(reader.take(8)) };
    case "D":
      return { type: letter, value: { scale: reader.octet(), unscaled: reader.long() } };
    case "S":
    case "x":
      return { type: letter, value: reader.longstr() };
    case "A":
      return { type: letter, value: readArray(reader, deeper(depth)) };
    case "F":
      return { type: letter, value: readTable(reader, deeper(depth)) };
    case "V":
      return { type: letter, value: undefined };
    default:
      throw unknownType(letter.charCodeAt(0));
  }
}

function unknownType(octet: number): AmqpError {
  return new DecodeError(`unknown field table type ${octet}`);
}

/** Bytes of the values whose size does not depend on their content, by letter. */
const fixedBytes: Readonly<Record<string, number>> = {
  t: 1,
  b: 1,
  B: 1,
  s: 2,
  u: 2,
  I: 4,
  i: 4,
  l: 8,
  L: 8,
  T: 8,
  f: 4,
  d: 8,
  D: 5,
  V: 0,
};
const fixedBytesByOctet = new Int8Array(256).fill(-1);
for (const [letter, bytes] of Object.entries(fixedBytes))
  fixedBytesByOctet[letter.charCodeAt(0)] = bytes;

/** Of the length before a long string, an array or a table. */
export const LENGTH_BYTES = 4;

const LONGSTR = "S".charCodeAt(0);
const BYTE_ARRAY = "x".charCodeAt(0);
const ARRAY = "A".charCodeAt(0);
const TABLE = "F".charCodeAt(0);

/** Where the value at `at` ends, at the latest at `end`: checks it as `readTable` would, and allocates nothing. */
export function valueEnd(buffer: Buffer, at: number, end: number, depth: number): number {
  const octet = at < end ? buffer[at]! : cut(1, 0);
  const from = at + 1;
  const bytes = fixedBytesByOctet[octet]!;
  if (bytes >= 0) return from + bytes <= end ? from + bytes : cut(bytes, end - from);
  if (octet === LONGSTR || octet === BYTE_ARRAY) return rangeEnd(buffer, from, end);
  if (octet === TABLE) return tableEnd(buffer, from, end, deeper(depth));
  if (octet !== ARRAY) throw unknownType(octet);
  const arrayEnd = rangeEnd(buffer, from, end);
  const inner = deeper(depth);
  let next = from + LENGTH_BYTES;
  while (next < arrayEnd) next = valueEnd(buffer, next, arrayEnd, inner);
  return arrayEnd;
}

/** Where the table at `at` ends, with its length prefix; as `valueEnd`. */
export function tableEnd(buffer: Buffer, at: number, end: number, depth = 0): number {
  const last = rangeEnd(buffer, at, end);
  let next = at + LENGTH_BYTES;
  while (next < last) next = valueEnd(buffer, keyEnd(buffer, next, last), last, depth);
  return last;
}

/** Where what begins at `at` with its length in four bytes ends. */
export function rangeEnd(buffer: Buffer, at: number, end: number): number {
  const from = at + LENGTH_BYTES;
  if (from > end) cut(LENGTH_BYTES, end - at);
  const bytes = longAt(buffer, at);
  return bytes <= end - from ? from + bytes : cut(bytes, end - from);
}

/** Where a key of a table ends, which must be text. */
export function keyEnd(buffer: Buffer, at: number, end: number): number {
  const from = at + 1;
  const bytes = at < end ? buffer[at]! : cut(1, 0);
  const to = from + bytes;
  if (to > end) cut(bytes, end - from);
  for (let index = from; index < to; index++) {
    if (buffer[index]! > 0x7f) {
      checkUtf8(buffer.subarray(from, to));
      break;
    }
  }
  return to;
}

/** Writes a table with its length prefix. */
export function writeTable(writer: ByteWriter, table: FieldTable): void {
  const lengthAt = writer.hole(4);
  for (const [key, value] of table) {
    writer.shortstr(key);
    writeValue(writer, value);
  }
  writer.fillLength(lengthAt);
}

function writeValue(writer: ByteWriter, field: FieldValue): void {
  writer.octet(field.type.charCodeAt(0));
  switch (field.type) {
    case "t":
      writer.octet(field.value ? 1 : 0);
      break;
    case "b":
    case "B":
      writer.octet(field.value & 0xff);
      break;
    case "s":
    case "u":
      writer.short(field.value & 0xffff);
      break;
    case "I":
    case "i":
      writer.long(field.value >>> 0);
      break;
    case "l":
    case "L":
    case "T":
      writer.longlongBits(BigInt.asUintN(64, field.value));
      break;
    case "f":
      writer.float(field.value);
      break;
    case "d":
      writer.double(field.value);
      break;
    case "D":
      writer.octet(field.value.scale);
      writer.long(field.value.unscaled);
      break;
    case "S":
    case "x":
      writer.longstr(field.value);
      break;
    case "A": {
      const lengthAt = writer.hole(4);
      for (const value of field.value) writeValue(writer, value);
      writer.fillLength(lengthAt);
      break;
    }
    case "F":
      writeTable(writer, field.value);
      break;
    case "V":
      break;
  }
}

/** Shorthand for building tables: text as a longstr. */
export function longstr(text: string): FieldValue {
  return { type: "S", value: Buffer.from(text) };
}
