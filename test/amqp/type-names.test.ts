/** How values are named and shown in error texts: RabbitMQ's words, which clients match on. */
import { describe, expect, test } from "vitest";
import { type FieldValue, longstr } from "../../src/amqp/field-table.ts";
import { erlangAtom, erlangBinary, typeName, valueText } from "../../src/amqp/type-names.ts";

const named: [string, string, FieldValue][] = [
  ["bool", "true", { type: "t", value: true }],
  ["byte", "-1", { type: "b", value: -1 }],
  ["unsignedbyte", "255", { type: "B", value: 255 }],
  ["short", "-2", { type: "s", value: -2 }],
  ["unsignedshort", "65535", { type: "u", value: 65_535 }],
  ["signedint", "-3", { type: "I", value: -3 }],
  ["unsignedint", "4294967295", { type: "i", value: 4_294_967_295 }],
  ["long", "-9223372036854775808", { type: "l", value: -9_223_372_036_854_775_808n }],
  ["long", "9007199254740993", { type: "L", value: 9_007_199_254_740_993n }],
  ["timestamp", "1700000000", { type: "T", value: 1_700_000_000n }],
  ["float", "1.5", { type: "f", value: 1.5 }],
  ["double", "0.1", { type: "d", value: 0.1 }],
  ["longstr", "some text", longstr("some text")],
  ["binary", "bytes", { type: "x", value: Buffer.from("bytes") }],
  ["void", "undefined", { type: "V", value: undefined }],
];

describe("a value of type", () => {
  test.each(named)("%s shows as %s", (name, text, value) => {
    expect(typeName(value)).toBe(name);
    expect(valueText(value)).toBe(text);
  });

  test("decimal, array and table have names", () => {
    expect(typeName({ type: "D", value: { scale: 0, unscaled: 1 } })).toBe("decimal");
    expect(typeName({ type: "A", value: [] })).toBe("array");
    expect(typeName({ type: "F", value: new Map() })).toBe("table");
  });
});

test.each<[number[], string]>([
  [[], "<<>>"],
  [[0x61, 0x62], '<<"ab">>'],
  [[0x20, 0x7e], '<<" ~">>'],
  [[0x61, 0x0a], "<<97,10>>"],
  [[0x7f], "<<127>>"],
  [[0, 255], "<<0,255>>"],
])("the bytes %j are shown as %s", (bytes, text) => {
  expect(erlangBinary(Uint8Array.from(bytes))).toBe(text);
});

test.each([
  ["fanout", "fanout"],
  ["a_b2@C", "a_b2@C"],
  ["x-random", "'x-random'"],
  ["Direct", "'Direct'"],
  ["", "''"],
])("the atom %j is shown as %s", (name, text) => {
  expect(erlangAtom(name)).toBe(text);
});
