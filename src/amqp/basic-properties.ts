/**
 * All properties of a message, decoded: for whoever shows or writes them one by one. The message's own way through the
 * broker does without (properties.ts, where the layout is).
 */

import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import { type FieldTable, readTable, writeTable } from "./field-table.ts";

/** In order of the wire; names as in the specification, with underscores. */
export const basicProperties = [
  ["content_type", "shortstr"],
  ["content_encoding", "shortstr"],
  ["headers", "table"],
  ["delivery_mode", "octet"],
  ["priority", "octet"],
  ["correlation_id", "shortstr"],
  ["reply_to", "shortstr"],
  ["expiration", "shortstr"],
  ["message_id", "shortstr"],
  ["timestamp", "timestamp"],
  ["type", "shortstr"],
  ["user_id", "shortstr"],
  ["app_id", "shortstr"],
  ["cluster_id", "shortstr"],
] as const;

export type PropertyName = (typeof basicProperties)[number][0];
export type PropertyKind = (typeof basicProperties)[number][1];
/** A shortstr's text, an octet, a timestamp in seconds, or the headers. */
export type PropertyValue = string | number | FieldTable;
export type BasicProperties = Map<PropertyName, PropertyValue>;

const CLASS_BASIC = 60;
const FIXED_BYTES = 12;
const FIRST_FLAG = 1 << 15;

/** The payload of a content header frame. A shortstr of more than 255 bytes is an assertion that fails. */
export function writeHeader(properties: BasicProperties, bodyBytes: number): Buffer {
  const writer = new ByteWriter();
  writer.short(CLASS_BASIC);
  writer.short(0);
  writer.longlong(bodyBytes);
  let flags = 0;
  basicProperties.forEach(([name], index) => {
    if (properties.has(name)) flags |= FIRST_FLAG >>> index;
  });
  writer.short(flags);
  for (const [name, kind] of basicProperties) {
    const value = properties.get(name);
    if (value !== undefined) writeProperty(writer, kind, value);
  }
  return writer.bytes();
}

function writeProperty(writer: ByteWriter, kind: PropertyKind, value: PropertyValue): void {
  if (kind === "shortstr") writer.shortstr(value as string);
  else if (kind === "octet") writer.octet(value as number);
  else if (kind === "timestamp") writer.longlong(value as number);
  else writeTable(writer, value as FieldTable);
}

/** What a header that has been checked before says (borrowed). */
export function readHeader(buffer: Buffer, start: number, end: number): BasicProperties {
  const reader = new ByteReader(buffer, start + FIXED_BYTES, end);
  const flags = reader.short();
  const properties: BasicProperties = new Map();
  basicProperties.forEach(([name, kind], index) => {
    if ((flags & (FIRST_FLAG >>> index)) !== 0) properties.set(name, readProperty(reader, kind));
  });
  return properties;
}

function readProperty(reader: ByteReader, kind: PropertyKind): PropertyValue {
  if (kind === "shortstr") return reader.shortstr();
  if (kind === "octet") return reader.octet();
  if (kind === "timestamp") return Number(reader.buffer.readBigUInt64BE(reader.take(8)));
  return readTable(reader);
}
