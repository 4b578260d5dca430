/** The primitive types: the reader keeps within its range, the writer grows at any byte. */
import { describe, expect, test } from "vitest";
import { ByteReader, isText } from "../../src/amqp/byte-reader.ts";
import { ByteWriter } from "../../src/amqp/byte-writer.ts";
import { AmqpError } from "../../src/amqp/errors.ts";
import { type Random, seeded } from "../seeded.ts";
import { randomText } from "./random-values.ts";
import { wire } from "./wire.ts";

type Operation = [name: string, bytes: Buffer, write: (writer: ByteWriter) => void];

function longlong(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function randomOperation(random: Random): Operation {
  const number = random.next();
  const text = randomText(random);
  const [utf8, bytes] = [Buffer.from(text), random.bytes(random.below(9))];
  const exact = number * 2 ** random.below(22);
  return random.pick<Operation>([
    ["octet", Buffer.of(number & 0xff), (writer) => writer.octet(number & 0xff)],
    ["short", wire(0, 7), (writer) => writer.short(7)],
    ["long", wire(0xff, 0xff, 0xff, 0xfe), (writer) => writer.long(0xffff_fffe)],
    ["longlong", longlong(exact), (writer) => writer.longlong(exact)],
    ["shortstr", wire(utf8.length, utf8), (writer) => writer.shortstr(text)],
    ["longstr", wire(0, 0, 0, bytes.length, bytes), (writer) => writer.longstr(bytes)],
    ["raw", bytes, (writer) => writer.raw(wire(1, bytes, 2), 1, bytes.length + 1)],
  ]);
}

describe("the writer", () => {
  seeded("writes the same bytes wherever it has to grow", 300, (random) => {
    const writer = new ByteWriter(random.between(1, 40));
    const expected: Buffer[] = [];
    for (let operations = random.between(1, 40); operations > 0; operations--) {
      const [, bytes, write] = randomOperation(random);
      expected.push(bytes);
      write(writer);
    }
    expect(writer.bytes()).toEqual(Buffer.concat(expected));
  });

  test("keeps each octet when it has to grow for it", () => {
    for (let room = 1; room <= 8; room++) {
      const writer = new ByteWriter(room);
      const octets = Array.from({ length: 64 }, (_, index) => index + 100);
      for (const octet of octets) writer.octet(octet);
      expect([room, ...writer.bytes()]).toEqual([room, ...octets]);
    }
  });

  test("fills in how long something became", () => {
    const writer = new ByteWriter(2);
    const lengthAt = writer.hole(4);
    writer.shortstr("abc");
    writer.fillLength(lengthAt);
    expect(writer.bytes()).toEqual(wire(0, 0, 0, 4, 3, "abc"));
  });

  test("takes a shortstr of 255 bytes and asserts that none is longer", () => {
    const writer = new ByteWriter();
    writer.shortstr("é".repeat(127));
    expect(() => writer.shortstr("é".repeat(128))).toThrow("a shortstr holds 255 bytes, not 256");
  });
});

const reads = {
  octet: (reader: ByteReader) => reader.octet(),
  short: (reader: ByteReader) => reader.short(),
  long: (reader: ByteReader) => reader.long(),
  longlong: (reader: ByteReader) => reader.longlong(),
  shortstr: (reader: ByteReader) => reader.shortstr(),
  longstr: (reader: ByteReader) => reader.longstr(),
};

const encodings: [keyof typeof reads, Buffer, unknown][] = [
  ["octet", wire(0xff), 255],
  ["short", wire(0xff, 0xfe), 65_534],
  ["long", wire(0xff, 0xff, 0xff, 0xfe), 4_294_967_294],
  ["longlong", wire(0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), Number.MAX_SAFE_INTEGER],
  ["shortstr", wire(0), ""],
  ["shortstr", wire(3, "abc"), "abc"],
  ["shortstr", wire(7, "é", "漢", 0, "z"), "é漢\0z"],
  ["longstr", wire(0, 0, 0, 0), Buffer.alloc(0)],
  ["longstr", wire(0, 0, 0, 2, 0xff, 0), Buffer.of(0xff, 0)],
];

describe("the reader", () => {
  test.each(encodings)("reads a %s from %o and nothing behind it", (type, bytes, value) => {
    const reader = new ByteReader(Buffer.concat([wire(9), bytes, wire(9)]), 1, 1 + bytes.length);
    expect(reads[type](reader)).toEqual(value);
    expect(reader.remaining).toBe(0);
  });

  test.each(encodings)("refuses a %s of which %o is cut short at any byte", (type, bytes) => {
    for (let length = 0; length < bytes.length; length++) {
      const reader = new ByteReader(Buffer.concat([bytes, bytes]), 0, length);
      expect(() => reads[type](reader)).toThrow(AmqpError);
    }
  });

  test("copies a longstr, so that nothing of the chunk is kept", () => {
    const chunk = wire(0, 0, 0, 2, "ab");
    const text = new ByteReader(chunk).longstr();
    chunk.fill(0);
    expect(text.toString()).toBe("ab");
  });
});

describe("whether bytes are a text", () => {
  seeded("is told as if they were decoded", 500, (random) => {
    const text = randomText(random);
    const bytes = Buffer.from(text);
    expect(isText(wire(9, bytes, 9), 1, 1 + bytes.length, text)).toBe(true);
    const other = random.chance(50) ? randomText(random) : text.slice(0, random.below(4));
    expect(isText(wire(9, bytes, 9), 1, 1 + bytes.length, other)).toBe(other === text);
  });

  test.each([
    ["", "a"],
    ["a", ""],
    ["abc", "ab"],
    ["ab", "abc"],
    ["é", "\u00c3\u00a9"],
    ["é", "e"],
    ["e", "é"],
    ["éa", "éb"],
  ])("%o is not %o", (one, other) => {
    const bytes = Buffer.from(one);
    expect(isText(bytes, 0, bytes.length, other)).toBe(false);
  });
});
