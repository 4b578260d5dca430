/** Content headers: what a scan finds, what it refuses, and that a rewritten header changes only where it is told to. */
import { describe, expect, test } from "vitest";
import { ByteReader } from "../../src/amqp/byte-reader.ts";
import { AmqpError } from "../../src/amqp/errors.ts";
import { type FieldTable, longstr, readTable } from "../../src/amqp/field-table.ts";
import { type HeaderChanges, PropertyScan, rewriteHeader } from "../../src/amqp/properties.ts";
import { seeded } from "../seeded.ts";
import {
  decodeModel,
  encodeModel,
  encodeTable,
  type Properties,
  propertyTypes,
  randomHeader,
  shortstr,
} from "./header-model.ts";
import { randomTable, randomText } from "./random-values.ts";
import { table, wire } from "./wire.ts";

function scanned(header: Buffer, scan = new PropertyScan()): PropertyScan {
  const buffer = Buffer.concat([Buffer.alloc(5, 0xff), header, Buffer.alloc(300, 0xff)]);
  scan.scan(buffer, 5, 5 + header.length);
  return scan;
}

/** Bytes in hexadecimal: those of a range, and those of a property of the model. */
function hexOf(scan: PropertyScan, start: number, end: number): string | undefined {
  return start < 0 ? undefined : scan.buffer.toString("hex", start, end);
}

function hex(properties: Properties): [string, string][] {
  return [...properties].map(([name, value]) => [name, value.toString("hex")]);
}

function refused(header: Buffer): boolean {
  try {
    scanned(header);
    return false;
  } catch (error) {
    if (error instanceof AmqpError) return true;
    throw error;
  }
}

function expectFound(scan: PropertyScan, properties: Properties): void {
  const found = {
    deliveryMode: scan.deliveryMode,
    priority: scan.priority,
    // With the octet of their length.
    replyTo: hexOf(scan, scan.replyTo.start - 1, scan.replyTo.end),
    expiration: hexOf(scan, scan.expiration.start - 1, scan.expiration.end),
    userId: hexOf(scan, scan.userId.start - 1, scan.userId.end),
    headers: hexOf(scan, scan.headers.start, scan.headers.end),
  };
  expect(found).toEqual({
    deliveryMode: properties.get("deliveryMode")?.[0] ?? 0,
    priority: properties.get("priority")?.[0] ?? 0,
    replyTo: properties.get("replyTo")?.toString("hex"),
    expiration: properties.get("expiration")?.toString("hex"),
    userId: properties.get("userId")?.toString("hex"),
    headers: properties.get("headers")?.toString("hex"),
  });
  expect(scan.text(scan.replyTo)).toBe(properties.get("replyTo")?.toString("utf8", 1));
  const headers = properties.get("headers");
  const decoded = headers === undefined ? new Map() : readTable(new ByteReader(headers));
  expect(encodeTable(scan.decodeHeaders()).equals(encodeTable(decoded))).toBe(true);
}

describe("a scan", () => {
  test("finds nothing in a header without properties", () => {
    const scan = scanned(wire(0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0));
    expectFound(scan, new Map());
    expect(scan.hasSenderSelectedKeys).toBe(false);
  });

  test("finds every property in a literal header", () => {
    const header = wire(
      ...[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0b1111_1111, 0b1111_1100],
      ...[10, "text/plain", 4, "gzip", table(1, "h", "V"), 2, 7, 1, "c", 5, "reply", 4, "5000"],
      ...[1, "m", 0, 0, 0, 0, 0x65, 0x53, 0xf1, 0, 1, "t", 5, "guest", 3, "app", 0],
    );
    const scan = scanned(header);
    expect([scan.deliveryMode, scan.priority]).toEqual([2, 7]);
    const texts = [scan.replyTo, scan.expiration, scan.userId].map((range) => scan.text(range));
    expect(texts).toEqual(["reply", "5000", "guest"]);
    expect(scan.decodeHeaders()).toEqual(new Map([["h", { type: "V", value: undefined }]]));
  });

  test("finds each property alone", () => {
    for (const [name, type] of propertyTypes) {
      const value = {
        octet: wire(9),
        timestamp: wire(1, 2, 3, 4, 5, 6, 7, 8),
        shortstr: shortstr(name),
        table: table(2, "CC", "A", table("S", table("k"))),
      }[type];
      const properties: Properties = new Map([[name, value]]);
      expectFound(scanned(encodeModel({ bodyBytes: 0, properties })), properties);
    }
  });

  seeded("finds the properties of random headers, whatever was scanned before", 200, (random) => {
    const scan = new PropertyScan();
    for (let headers = 0; headers < 5; headers++) {
      const model = randomHeader(random);
      expectFound(scanned(encodeModel(model), scan), model.properties);
    }
  });

  test("forgets what it found in the header before", () => {
    const scan = new PropertyScan();
    const full: Properties = new Map([
      ["headers", table(3, "BCC", "A", table())],
      ["deliveryMode", wire(2)],
      ["priority", wire(3)],
      ["replyTo", shortstr("reply")],
      ["expiration", shortstr("1")],
      ["userId", shortstr("guest")],
    ]);
    expectFound(scanned(encodeModel({ bodyBytes: 1, properties: full }), scan), full);
    expect(scan.hasSenderSelectedKeys).toBe(true);
    expectFound(scanned(encodeModel({ bodyBytes: 1, properties: new Map() }), scan), new Map());
    expect(scan.hasSenderSelectedKeys).toBe(false);
  });
});

describe("the headers CC and BCC", () => {
  const withHeaders = (...entries: (number | string | Buffer)[]) =>
    scanned(encodeModel({ bodyBytes: 0, properties: new Map([["headers", table(...entries)]]) }));

  test.each(["CC", "BCC"])("are noticed: %s, first or last", (key) => {
    expect(withHeaders(key.length, key, "V").hasSenderSelectedKeys).toBe(true);
    expect(withHeaders(1, "a", "t", 1, key.length, key, "V").hasSenderSelectedKeys).toBe(true);
    expect(withHeaders(key.length, key, "V", 1, "a", "t", 1).hasSenderSelectedKeys).toBe(true);
  });

  test.each(["cc", "CB", "BC", "ACC", "CCC", "BCB", "bCC", "BCCC", "C", "B", ""])(
    "are not taken for %o",
    (key) => {
      expect(withHeaders(key.length, key, "V").hasSenderSelectedKeys).toBe(false);
    },
  );

  test("are not looked for in values and in tables within the headers", () => {
    expect(withHeaders(1, "k", "S", 0, 0, 0, 3, 2, "CC").hasSenderSelectedKeys).toBe(false);
    expect(withHeaders(1, "k", "F", table(2, "CC", "V")).hasSenderSelectedKeys).toBe(false);
  });
});

describe("a header is refused", () => {
  const whole = encodeModel({
    bodyBytes: 0,
    properties: new Map([
      ["contentType", shortstr("text/plain")],
      ["headers", table(1, "a", "F", table(1, "b", "A", table("I", 0, 0, 0, 1)))],
      ["expiration", shortstr("60000")],
      ["timestamp", Buffer.alloc(8)],
      ["clusterId", shortstr("c")],
    ]),
  });

  test("that is cut short anywhere", () => {
    for (let length = 0; length < whole.length; length++)
      expect([length, refused(whole.subarray(0, length))]).toEqual([length, true]);
    expect(refused(whole)).toBe(false);
  });

  test("that has bytes behind its properties", () => {
    expect(refused(wire(whole, 0))).toBe(true);
    expect(refused(wire(encodeModel({ bodyBytes: 0, properties: new Map() }), 0))).toBe(true);
  });

  test.each([1, 2, 3])("that has the unknown flags %i", (flags) => {
    const header = Buffer.from(whole);
    header[13]! |= flags;
    expect(refused(header)).toBe(true);
    expect(refused(wire(0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, flags))).toBe(true);
  });

  test.each<[string, Buffer]>([
    ["longer than the frame", wire(0, 0, 0, 9, 1, "a", "V")],
    ["of an unknown type", table(1, "a", "Q", 1)],
    ["whose value overruns them", table(1, "a", "S", 0, 0, 0, 50)],
    ["whose inner table overruns them", table(1, "a", "F", 0, 0, 0, 50)],
    ["whose key is cut", table(9, "a")],
    ["without a value", table(1, "a")],
  ])("whose headers are %s", (_, headers) => {
    const properties: Properties = new Map([
      ["headers", headers],
      ["type", shortstr("x".repeat(60))],
    ]);
    expect(refused(encodeModel({ bodyBytes: 0, properties }))).toBe(true);
  });

  seeded("or can be decoded in full, when it is damaged", 3000, (random) => {
    const header = encodeModel(randomHeader(random));
    for (let changes = random.between(1, 3); changes > 0; changes--) {
      const at = random.between(12, header.length - 1);
      header[at] = random.chance(50) ? random.next() : header[at]! ^ (1 << random.below(8));
    }
    if (refused(header)) return;
    const scan = scanned(header);
    expectFound(scan, decodeModel(header).properties);
    // What the broker may do later with an accepted message must not fail.
    rewriteHeader(scan, { headers: scan.decodeHeaders(), removeExpiration: true });
  });
});

function inOrder(properties: Properties): Properties {
  const entries = propertyTypes.flatMap(([name]): [string, Buffer][] => {
    const value = properties.get(name);
    return value === undefined ? [] : [[name, value]];
  });
  return new Map(entries);
}

const changesOf: Record<string, (random: { text: string; fields: FieldTable }) => HeaderChanges> = {
  nothing: () => ({}),
  headers: ({ fields }) => ({ headers: fields }),
  expiration: () => ({ removeExpiration: true }),
  "reply-to": ({ text }) => ({ replyTo: text }),
  "headers and expiration": ({ fields }) => ({ headers: fields, removeExpiration: true }),
  timestamp: () => ({ timestamp: 1_700_000_000 }),
  "timestamp and expiration": () => ({ timestamp: 5_000_000_000, removeExpiration: true }),
  everything: ({ fields, text }) => ({
    ...{ headers: fields, removeExpiration: true, replyTo: text, timestamp: 7 },
  }),
};

describe("a rewritten header differs from the first in", () => {
  describe.each(Object.keys(changesOf))("%s", (name) => {
    seeded("and in nothing else", 200, (random) => {
      const model = randomHeader(random);
      const changes = changesOf[name]!({ text: randomText(random), fields: randomTable(random) });
      const expected = new Map(model.properties);
      if (changes.headers !== undefined) expected.set("headers", encodeTable(changes.headers));
      if (changes.removeExpiration) expected.delete("expiration");
      if (changes.replyTo !== undefined) expected.set("replyTo", shortstr(changes.replyTo));
      if (changes.timestamp !== undefined) {
        const seconds = Buffer.alloc(8);
        seconds.writeBigUInt64BE(BigInt(changes.timestamp));
        expected.set("timestamp", seconds);
      }
      const rewritten = rewriteHeader(scanned(encodeModel(model)), changes);
      const decoded = decodeModel(rewritten);
      expect(hex(decoded.properties)).toEqual(hex(inOrder(expected)));
      const whole = encodeModel({ bodyBytes: model.bodyBytes, properties: expected });
      expect(rewritten.toString("hex")).toBe(whole.toString("hex"));
    });
  });

  test("its own buffer, so that the first one may go", () => {
    const scan = scanned(encodeModel({ bodyBytes: 3, properties: new Map() }));
    const rewritten = rewriteHeader(scan, { headers: new Map([["a", longstr("b")]]) });
    const before = Buffer.from(rewritten);
    scan.buffer.fill(0);
    expect(rewritten).toEqual(before);
  });
});
