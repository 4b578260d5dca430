/** Random field values, tables and method arguments: every type, every border of its range. */
import type { FieldTable, FieldValue } from "../../src/amqp/field-table.ts";
import {
  type FieldType,
  type MethodArguments,
  type MethodName,
  methods,
} from "../../src/amqp/methods.ts";
import type { Random } from "../seeded.ts";

const letters = "tbBsuIilLTfdDSxAFV";
const characters = ["a", "B", "-", ".", "*", "#", " ", "\0", "é", "ß", "漢", "🐇"];

/** Text of at most 255 bytes, mostly short. */
export function randomText(random: Random): string {
  if (random.chance(2)) return "x".repeat(255);
  let text = "";
  for (let length = random.below(12); length > 0; length--) text += random.pick(characters);
  return text;
}

function signed(random: Random, bits: number): number {
  const half = 2 ** (bits - 1);
  return random.chance(30) ? random.pick([-half, -1, 0, half - 1]) : (random.next() % half) - 1;
}

function unsigned(random: Random, bits: number): number {
  const span = 2 ** bits;
  return random.chance(30) ? random.pick([0, 1, span / 2, span - 1]) : random.next() % span;
}

/** `depth` more levels of tables and arrays at most. */
export function randomValue(random: Random, depth: number): FieldValue {
  const type = random.pick([...(depth > 0 ? letters : letters.replace(/[AF]/g, ""))]);
  switch (type) {
    case "t":
      return { type, value: random.chance(50) };
    case "b":
      return { type, value: signed(random, 8) };
    case "s":
      return { type, value: signed(random, 16) };
    case "I":
      return { type, value: signed(random, 32) };
    case "B":
      return { type, value: unsigned(random, 8) };
    case "u":
      return { type, value: unsigned(random, 16) };
    case "i":
      return { type, value: unsigned(random, 32) };
    case "l":
    case "L":
      return { type, value: BigInt.asIntN(64, random.bits64()) };
    case "T":
      return { type, value: random.bits64() };
    case "f":
      return { type, value: Math.fround(signed(random, 32) / 7) };
    case "d":
      return { type, value: signed(random, 32) / 7 };
    case "D":
      return { type, value: { scale: unsigned(random, 8), unscaled: unsigned(random, 32) } };
    case "S":
    case "x":
      return { type, value: random.bytes(random.below(20)) };
    case "A":
      return {
        type,
        value: Array.from({ length: random.below(4) }, () => randomValue(random, depth - 1)),
      };
    case "F":
      return { type, value: randomTable(random, depth - 1) };
    default:
      return { type: "V", value: undefined };
  }
}

/** A table of up to five entries, with up to `depth` levels of tables and arrays in it. */
export function randomTable(random: Random, depth = 3): FieldTable {
  const table: FieldTable = new Map();
  for (let entries = random.below(6); entries > 0; entries--) {
    table.set(randomText(random), randomValue(random, depth));
  }
  return table;
}

function randomField(random: Random, type: FieldType): unknown {
  switch (type) {
    case "bit":
      return random.chance(50);
    case "octet":
      return unsigned(random, 8);
    case "short":
      return unsigned(random, 16);
    case "long":
      return unsigned(random, 32);
    case "longlong":
      return random.pick([0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, unsigned(random, 32)]);
    case "shortstr":
      return randomText(random);
    case "longstr":
      return random.bytes(random.below(40));
    case "table":
      return randomTable(random);
  }
}

export function randomArguments<Name extends MethodName>(
  random: Random,
  name: Name,
): MethodArguments<Name> {
  const fields: Record<string, FieldType> = methods[name].fields;
  const entries = Object.entries(fields).map(([field, type]) => [field, randomField(random, type)]);
  return Object.fromEntries(entries) as MethodArguments<Name>;
}
