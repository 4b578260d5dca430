/**
 * Field tables as JSON and back.
 *
 * A JSON number without a fraction becomes a signed 64-bit integer, another a double, a text a longstr [RabbitMQ]. The way
 * to JSON loses the types' widths, and integers beyond 2^53 their last digits.
 */

import { isUtf8 } from "node:buffer";
import { type FieldTable, type FieldValue, longstr } from "../amqp/field-table.ts";
import { badRequest } from "./http-error.ts";
import { isObject, type JsonObject } from "./input.ts";

/** A key of a table is a shortstr. */
const KEY_BYTES_MAX = 255;

export function tableToJson(table: FieldTable): Record<string, unknown> {
  return Object.fromEntries([...table].map(([key, value]) => [key, valueToJson(value)]));
}

export function textOf(bytes: Buffer): string {
  return isUtf8(bytes) ? bytes.toString() : `Invalid UTF-8, base64 is: ${bytes.toString("base64")}`;
}

function valueToJson(field: FieldValue): unknown {
  switch (field.type) {
    case "S":
    case "x":
      return textOf(field.value);
    case "l":
    case "L":
    case "T":
      return Number(field.value);
    case "D":
      return field.value.unscaled / 10 ** field.value.scale;
    case "A":
      return field.value.map(valueToJson);
    case "F":
      return tableToJson(field.value);
    case "V":
      return null;
    default:
      return field.value;
  }
}

export function tableFromJson(json: JsonObject): FieldTable {
  const entries = Object.entries(json).map(([key, value]) => {
    if (Buffer.byteLength(key) > KEY_BYTES_MAX) throw badRequest(["key_too_long", key]);
    return [key, valueFromJson(value)] as const;
  });
  return new Map(entries);
}

function valueFromJson(value: unknown): FieldValue {
  if (typeof value === "string") return longstr(value);
  if (typeof value === "boolean") return { type: "t", value };
  if (typeof value === "number") {
    return Number.isSafeInteger(value) ? { type: "l", value: BigInt(value) } : { type: "d", value };
  }
  if (Array.isArray(value)) return { type: "A", value: value.map((item) => valueFromJson(item)) };
  if (isObject(value)) return { type: "F", value: tableFromJson(value) };
  throw badRequest("null_not_allowed");
}
