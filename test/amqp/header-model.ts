/**
 * A naive model of content headers: random ones to encode, and a decoder that takes a header apart into its
 * properties, independent of the one under test.
 */
import { ByteWriter } from "../../src/amqp/byte-writer.ts";
import { type FieldTable, writeTable } from "../../src/amqp/field-table.ts";
import type { Random } from "../seeded.ts";
import { randomTable, randomText } from "./random-values.ts";
import { wire } from "./wire.ts";

export type PropertyType = "shortstr" | "table" | "octet" | "timestamp";

/** The fourteen properties of class basic in order, the first in the highest bit of the flags. */
export const propertyTypes: readonly [name: string, type: PropertyType][] = [
  ["contentType", "shortstr"],
  ["contentEncoding", "shortstr"],
  ["headers", "table"],
  ["deliveryMode", "octet"],
  ["priority", "octet"],
  ["correlationId", "shortstr"],
  ["replyTo", "shortstr"],
  ["expiration", "shortstr"],
  ["messageId", "shortstr"],
  ["timestamp", "timestamp"],
  ["type", "shortstr"],
  ["userId", "shortstr"],
  ["appId", "shortstr"],
  ["clusterId", "shortstr"],
];

/** The properties that are there, each in the bytes of the wire. */
export type Properties = Map<string, Buffer>;

export interface HeaderModel {
  bodyBytes: number;
  properties: Properties;
}

export function shortstr(text: string): Buffer {
  return wire(Buffer.byteLength(text), text);
}

export function encodeTable(fields: FieldTable): Buffer {
  const writer = new ByteWriter(4096);
  writeTable(writer, fields);
  return writer.bytes();
}

/** A content header frame's payload. */
export function encodeModel({ bodyBytes, properties }: HeaderModel): Buffer {
  const start = Buffer.alloc(14);
  start.writeUInt16BE(60, 0);
  start.writeUInt32BE(bodyBytes, 8);
  let flags = 0;
  const values: Buffer[] = [];
  for (const [index, [name]] of propertyTypes.entries()) {
    const value = properties.get(name);
    if (value === undefined) continue;
    flags |= 1 << (15 - index);
    values.push(value);
  }
  start.writeUInt16BE(flags, 12);
  return Buffer.concat([start, ...values]);
}

/** Takes a well-formed header apart; the places of the values come with them. */
export function decodeModel(header: Buffer): HeaderModel & { places: Map<string, number> } {
  const flags = header.readUInt16BE(12);
  const properties: Properties = new Map();
  const places = new Map<string, number>();
  let at = 14;
  for (const [index, [name, type]] of propertyTypes.entries()) {
    if ((flags & (1 << (15 - index))) === 0) continue;
    const bytes = {
      octet: () => 1,
      timestamp: () => 8,
      shortstr: () => 1 + header.readUInt8(at),
      table: () => 4 + header.readUInt32BE(at),
    }[type]();
    properties.set(name, header.subarray(at, at + bytes));
    places.set(name, at);
    at += bytes;
  }
  if (at !== header.length) throw new Error(`${header.length - at} bytes are left`);
  return { bodyBytes: header.readUInt32BE(8), properties, places };
}

function randomProperty(random: Random, type: PropertyType): Buffer {
  if (type === "octet") return random.bytes(1);
  if (type === "timestamp") return random.bytes(8);
  return type === "table" ? encodeTable(randomTable(random)) : shortstr(randomText(random));
}

export function randomHeader(random: Random): HeaderModel {
  const properties: Properties = new Map();
  const percent = random.pick([0, 20, 50, 80, 100]);
  for (const [name, type] of propertyTypes) {
    if (random.chance(percent)) properties.set(name, randomProperty(random, type));
  }
  return { bodyBytes: random.next(), properties };
}
