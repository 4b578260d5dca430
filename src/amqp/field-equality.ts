/** When two field values are the same, in the senses that RabbitMQ's rules need. */

import type { FieldTable, FieldValue } from "./field-table.ts";

const integerTypes = "bBsuIilL";

/** The same type and the same value; the two letters of int64 are one type. */
export function equalValues(a: FieldValue, b: FieldValue): boolean {
  if (a.type === "S" || a.type === "x")
    return a.type === b.type && a.value.equals(b.value as Buffer);
  if (a.type === "F") return b.type === "F" && equalTables(a.value, b.value);
  if (a.type === "A") {
    return (
      b.type === "A" &&
      a.value.length === b.value.length &&
      a.value.every((value, index) => equalValues(value, b.value[index]!))
    );
  }
  if (a.type === "D") {
    return (
      b.type === "D" && a.value.scale === b.value.scale && a.value.unscaled === b.value.unscaled
    );
  }
  const sameType = a.type === b.type || (isInt64(a) && isInt64(b));
  return sameType && a.value === b.value;
}

function isInt64(field: FieldValue): boolean {
  return field.type === "l" || field.type === "L";
}

function equalTables(a: FieldTable, b: FieldTable): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) {
    const other = b.get(key);
    if (other === undefined || !equalValues(value, other)) return false;
  }
  return true;
}

/** An integer of any width as a number, or undefined when the field is none. */
export function integerValue(field: FieldValue): number | undefined {
  return isInteger(field) ? Number(field.value) : undefined;
}

/** Exactly, also beyond what a number can tell apart. */
function sameIntegers(a: FieldValue, b: FieldValue): boolean {
  return BigInt(a.value as number | bigint) === BigInt(b.value as number | bigint);
}

/** As `equalValues`, but integers compare by value whatever their width [RabbitMQ: property equivalence]. */
export function equivalentValues(a: FieldValue, b: FieldValue): boolean {
  return isInteger(a) && isInteger(b) ? sameIntegers(a, b) : equalValues(a, b);
}

const isInteger = (field: FieldValue): boolean => integerTypes.includes(field.type);

const isBytes = (field: FieldValue): field is FieldValue & { value: Buffer } =>
  field.type === "S" || field.type === "x";

const isFloat = (field: FieldValue): boolean => field.type === "f" || field.type === "d";

const isWhole = (field: FieldValue): boolean => field.type === "T" || isInteger(field);

/** The same value whatever its width: whole numbers and timestamps, floats, or bytes [RabbitMQ: headers exchange]. */
export function sameValues(a: FieldValue, b: FieldValue): boolean {
  if (isBytes(a)) return isBytes(b) && a.value.equals(b.value);
  if (isWhole(a)) return isWhole(b) && sameIntegers(a, b);
  if (isFloat(a)) return isFloat(b) && a.value === b.value;
  return equalValues(a, b);
}
