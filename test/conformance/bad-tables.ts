/**
 * Field tables that cannot be decoded, one function for each way to be wrong. Each returns a whole table, its
 * length in front, that no reading of the specification could make sense of: not one that is merely odd.
 */

import type { Random } from "./random.ts";
import { array, longstr, shortstr, table, typed, u8, u16, u32, u64 } from "./raw-client.ts";

/** Every letter that stands for a type, in the specification or in RabbitMQ. */
const LETTERS = "tbBUsuIilLfdDSATFxV";

/** The bytes a value of each of these types needs. */
const FIXED_SIZES: Record<string, number> = {
  ...{ t: 1, b: 1, B: 1, s: 2, u: 2, I: 4, i: 4, l: 8, f: 4, d: 8, D: 5, T: 8 },
};

function key(random: Random): string {
  return `key-${random.between(0, 999)}`;
}

/** A value that is fine. */
export function goodValue(random: Random, depth = 0): Buffer {
  const kind = random.between(0, depth < 3 ? 6 : 4);
  if (kind === 0) return typed("S", longstr("x".repeat(random.between(0, 40))));
  if (kind === 1) return typed("I", u32(random.between(0, 0xffff)));
  if (kind === 2) return typed("l", u64(random.between(0, 0xffff)));
  if (kind === 3) return typed("t", u8(random.between(0, 1)));
  if (kind === 4) return typed("V");
  if (kind === 5) return typed("F", goodTable(random, depth + 1));
  return typed("A", array(goodValue(random, depth + 1), goodValue(random, depth + 1)));
}

export function goodTable(random: Random, depth = 0): Buffer {
  const entries: Record<string, Buffer> = {};
  for (let n = random.between(0, 4); n > 0; n--) entries[key(random)] = goodValue(random, depth);
  return table(entries);
}

/** A table whose last entry is this value, behind some that are fine. */
function endingWith(random: Random, value: Buffer): Buffer {
  const before = goodTable(random).subarray(4);
  return longstr(Buffer.concat([before, shortstr(key(random)), value]));
}

function unknownLetter(random: Random): Buffer {
  for (;;) {
    const letter = random.between(0, 255);
    if (!LETTERS.includes(String.fromCharCode(letter))) return u8(letter);
  }
}

function lengthBeyondMethod(random: Random): Buffer {
  const entries = goodTable(random).subarray(4);
  return Buffer.concat([u32(entries.length + random.between(1, 0xffff)), entries]);
}

function lengthOfAllBits(random: Random): Buffer {
  return Buffer.concat([u32(0xffff_ffff), random.bytes(random.between(0, 20))]);
}

/** What is left behind the table is no field that any method has. */
function lengthTooShort(random: Random): Buffer {
  const entries = endingWith(random, goodValue(random)).subarray(4);
  return Buffer.concat([u32(entries.length), entries, Buffer.alloc(random.between(1, 9), 0xff)]);
}

function unknownType(random: Random): Buffer {
  return endingWith(random, Buffer.concat([unknownLetter(random), random.bytes(8)]));
}

function unknownTypeInside(random: Random): Buffer {
  const value = unknownLetter(random);
  const inner = random.between(0, 1) === 0 ? typed("A", array(value)) : undefined;
  return endingWith(random, inner ?? typed("F", table({ inner: value })));
}

/** Unknown type at the bottom of many tables or arrays in one another. */
function unknownTypeDeepInside(random: Random): Buffer {
  return endingWith(random, nested(random.between(10, 5_000), unknownLetter(random)));
}

function keyBeyondTable(random: Random): Buffer {
  const before = goodTable(random).subarray(4);
  const length = random.between(10, 255);
  return longstr(Buffer.concat([before, u8(length), random.bytes(random.between(0, 9))]));
}

function keyWithoutValue(random: Random): Buffer {
  return endingWith(random, Buffer.alloc(0));
}

function valueCutShort(random: Random): Buffer {
  const letter = random.pick(Object.keys(FIXED_SIZES));
  const size = random.between(0, (FIXED_SIZES[letter] ?? 1) - 1);
  return endingWith(random, typed(letter, Buffer.alloc(size)));
}

function innerLengthBeyondTable(random: Random): Buffer {
  const bytes = random.bytes(random.between(0, 20));
  const length = bytes.length + random.between(1, 1_000);
  return endingWith(random, typed(random.pick(["S", "x", "F", "A"]), concat(u32(length), bytes)));
}

function innerLengthOfAllBits(random: Random): Buffer {
  const letter = random.pick(["S", "x", "F", "A"]);
  return endingWith(random, typed(letter, concat(u32(0xffff_ffff), random.bytes(3))));
}

/** The inner table ends in the middle of its last value, though the outer one has the rest of it. */
function innerLengthTooShort(random: Random): Buffer {
  const inner = table({ a: typed("I", u32(0xffff_ffff)) });
  const shorter = concat(u32(inner.length - 4 - random.between(1, 3)), inner.subarray(4));
  return endingWith(random, typed("F", shorter));
}

function innerLengthIncomplete(random: Random): Buffer {
  const letter = random.pick(["S", "x", "F", "A"]);
  return endingWith(random, typed(letter, Buffer.alloc(random.between(0, 3))));
}

function concat(...parts: Buffer[]): Buffer {
  return Buffer.concat(parts);
}

/** Tables and arrays by turns, each in the one before, around the value in the middle. */
export function nested(depth: number, middle: Buffer): Buffer {
  const heads: Buffer[] = [];
  let length = middle.length;
  for (let level = 0; level < depth; level++) {
    // Built from the inside, so that no level copies what it holds.
    const isTable = level % 2 === 0;
    const head = isTable ? concat(shortstr("k")) : Buffer.alloc(0);
    length += head.length;
    heads.push(concat(typed(isTable ? "F" : "A", u32(length)), head));
    length += 5;
  }
  return concat(...heads.reverse(), middle);
}

export const BAD_TABLES: ((random: Random) => Buffer)[] = [
  ...[lengthBeyondMethod, lengthOfAllBits, lengthTooShort],
  ...[unknownType, unknownTypeInside, unknownTypeDeepInside],
  ...[keyBeyondTable, keyWithoutValue, valueCutShort],
  ...[innerLengthBeyondTable, innerLengthOfAllBits, innerLengthTooShort, innerLengthIncomplete],
];

/** A table of values that are two bytes wide each, as many as fit into these bytes. */
export function wide(bytes: number): Buffer {
  return table({ wide: typed("A", longstr(Buffer.alloc(bytes, "V"))), also: typed("s", u16(1)) });
}
