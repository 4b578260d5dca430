/** When two field values are the same: strictly, and as queue arguments compare. */
import { describe, expect, test } from "vitest";
import {
  equalValues,
  equivalentValues,
  integerValue,
  sameValues,
} from "../../src/amqp/field-equality.ts";
import { type FieldValue, longstr } from "../../src/amqp/field-table.ts";
import { seeded } from "../seeded.ts";
import { randomValue } from "./random-values.ts";

function array(...value: FieldValue[]): FieldValue {
  return { type: "A", value };
}

function fields(entries: Record<string, FieldValue>): FieldValue {
  return { type: "F", value: new Map(Object.entries(entries)) };
}

const one: FieldValue = { type: "I", value: 1 };

const different: [string, FieldValue, FieldValue][] = [
  ["other numbers", one, { type: "I", value: 2 }],
  ["a number and a string", one, longstr("1")],
  ["a number and a boolean", one, { type: "t", value: true }],
  ["an integer and a double", one, { type: "d", value: 1 }],
  ["a float and a double", { type: "f", value: 1 }, { type: "d", value: 1 }],
  ["an integer and a timestamp", { type: "l", value: 1n }, { type: "T", value: 1n }],
  ["strings in other case", longstr("a"), longstr("A")],
  ["a string and bytes", longstr("a"), { type: "x", value: Buffer.from("a") }],
  ["a string and nothing", longstr(""), { type: "V", value: undefined }],
  ["true and false", { type: "t", value: true }, { type: "t", value: false }],
  [
    "decimals that mean the same number",
    { type: "D", value: { scale: 1, unscaled: 10 } },
    { type: "D", value: { scale: 2, unscaled: 100 } },
  ],
  ["arrays in another order", array(one, longstr("a")), array(longstr("a"), one)],
  ["an array and its beginning", array(one, one), array(one)],
  ["a beginning and its array", array(one), array(one, one)],
  ["tables with other keys", fields({ a: one }), fields({ b: one })],
  ["a table and a part of it", fields({ a: one, b: one }), fields({ a: one })],
  ["a part of a table and the table", fields({ a: one }), fields({ a: one, b: one })],
  ["tables with other values", fields({ a: one }), fields({ a: longstr("1") })],
  ["an empty array and an empty table", array(), fields({})],
];

const same: [string, FieldValue, FieldValue][] = [
  ["strings", longstr("é"), longstr("é")],
  ["the two letters of int64", { type: "l", value: 5n }, { type: "L", value: 5n }],
  ["timestamps", { type: "T", value: 5n }, { type: "T", value: 5n }],
  [
    "decimals",
    { type: "D", value: { scale: 1, unscaled: 10 } },
    { type: "D", value: { scale: 1, unscaled: 10 } },
  ],
  ["tables in another order", fields({ a: one, b: array() }), fields({ b: array(), a: one })],
  ["nothing and nothing", { type: "V", value: undefined }, { type: "V", value: undefined }],
];

describe("equal", () => {
  test.each(same)("are %s", (_, a, b) => {
    expect([equalValues(a, b), equalValues(b, a)]).toEqual([true, true]);
    expect([equivalentValues(a, b), equivalentValues(b, a)]).toEqual([true, true]);
  });

  test.each(different)("are not %s", (_, a, b) => {
    expect([equalValues(a, b), equalValues(b, a)]).toEqual([false, false]);
    expect([equivalentValues(a, b), equivalentValues(b, a)]).toEqual([false, false]);
  });

  seeded("is a value with its copy, and mostly not with another value", 500, (random) => {
    const value = randomValue(random, 3);
    expect(equalValues(value, structuredCloneOf(value))).toBe(!holdsNaN(value));
    const other = randomValue(random, 3);
    expect(equalValues(value, other)).toBe(equalValues(other, value));
    if (equalValues(value, other)) expect(shown(value)).toBe(shown(other));
  });
});

/** Buffers become plain byte arrays in a structured clone, so the copy is made by hand. */
function structuredCloneOf(field: FieldValue): FieldValue {
  if (field.type === "A") return { type: "A", value: field.value.map(structuredCloneOf) };
  if (field.type === "F") {
    const entries = [...field.value].map(
      ([key, value]) => [key, structuredCloneOf(value)] as [string, FieldValue],
    );
    return { type: "F", value: new Map(entries) };
  }
  if (field.type === "S" || field.type === "x")
    return { type: field.type, value: Buffer.from(field.value) };
  return { ...field };
}

function holdsNaN(field: FieldValue): boolean {
  if (field.type === "A") return field.value.some(holdsNaN);
  if (field.type === "F") return [...field.value.values()].some(holdsNaN);
  return Number.isNaN(field.value);
}

/** A text that is the same for equal values: int64 under one letter, tables in order of their keys. */
function shown(field: FieldValue): string {
  if (field.type === "A") return `A(${field.value.map(shown).join()})`;
  if (field.type === "F") {
    const entries = [...field.value].map(
      ([key, value]) => `${JSON.stringify(key)}:${shown(value)}`,
    );
    return `F(${entries.sort().join()})`;
  }
  if (field.type === "S" || field.type === "x")
    return `${field.type}(${field.value.toString("hex")})`;
  if (field.type === "D") return `D(${field.value.scale},${field.value.unscaled})`;
  const value = Object.is(field.value, -0) ? 0 : field.value;
  return `${field.type === "L" ? "l" : field.type}(${value})`;
}

describe("as arguments of a queue", () => {
  const ten: FieldValue[] = [
    { type: "b", value: 10 },
    { type: "B", value: 10 },
    { type: "s", value: 10 },
    { type: "u", value: 10 },
    { type: "I", value: 10 },
    { type: "i", value: 10 },
    { type: "l", value: 10n },
    { type: "L", value: 10n },
  ];

  test("integers compare by value, whatever their width", () => {
    for (const a of ten) {
      expect(integerValue(a)).toBe(10);
      for (const b of ten) expect(equivalentValues(a, b)).toBe(true);
      expect(equivalentValues(a, { type: "l", value: 11n })).toBe(false);
      expect(equivalentValues(a, { type: "T", value: 10n })).toBe(false);
      expect(equivalentValues(a, { type: "d", value: 10 })).toBe(false);
      expect(equivalentValues({ type: "d", value: 10 }, a)).toBe(false);
      expect(equivalentValues(a, longstr("10"))).toBe(false);
    }
  });

  test("integers differ though no double could tell them apart", () => {
    const [a, b] = [2n ** 53n, 2n ** 53n + 1n] as const;
    expect(equivalentValues({ type: "l", value: a }, { type: "l", value: b })).toBe(false);
    expect(equivalentValues({ type: "l", value: b }, { type: "L", value: b })).toBe(true);
  });

  test("only integers are integers", () => {
    const others: FieldValue[] = [
      { type: "T", value: 10n },
      { type: "d", value: 10 },
      { type: "f", value: 10 },
      { type: "t", value: true },
      { type: "D", value: { scale: 0, unscaled: 10 } },
      longstr("10"),
      { type: "V", value: undefined },
    ];
    for (const field of others) expect(integerValue(field)).toBeUndefined();
  });
});

describe("as headers of a binding", () => {
  const families: FieldValue[][] = [
    [
      { type: "b", value: 7 },
      { type: "u", value: 7 },
      { type: "I", value: 7 },
      { type: "l", value: 7n },
      { type: "T", value: 7n },
    ],
    [
      { type: "f", value: 7 },
      { type: "d", value: 7 },
    ],
    [longstr("7"), { type: "x", value: Buffer.from("7") }],
    [{ type: "t", value: true }],
    [{ type: "V", value: undefined }],
    [array({ type: "I", value: 7 })],
    [fields({ a: { type: "I", value: 7 } })],
  ];

  test("values are the same within a family of types, and never across", () => {
    for (const [index, family] of families.entries()) {
      for (const a of family) {
        for (const [other, members] of families.entries()) {
          for (const b of members) {
            expect([a.type, b.type, sameValues(a, b)]).toEqual([a.type, b.type, index === other]);
          }
        }
      }
    }
  });

  test("values of one family differ when their values do", () => {
    expect(sameValues({ type: "b", value: 7 }, { type: "l", value: 8n })).toBe(false);
    expect(sameValues({ type: "f", value: 1.5 }, { type: "d", value: 2.5 })).toBe(false);
    expect(sameValues(longstr("a"), longstr("b"))).toBe(false);
    expect(sameValues({ type: "l", value: 2n ** 53n }, { type: "l", value: 2n ** 53n + 1n })).toBe(
      false,
    );
  });
});
