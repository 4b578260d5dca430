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
  return integerTypes.includes(field.type) ? Number(field.value) : undefined;
}

/** As `equalValues`, but integers compare by value whatever their width [RabbitMQ: property equivalence]. */
export function equivalentValues(a: FieldValue, b: FieldValue): boolean {
  const integer = integerValue(a);
  return integer === undefined ? equalValues(a, b) : integer === integerValue(b);
}

const isBytes = (field: FieldValue): field is FieldValue & { value: Buffer } =>
  field.type === "S" || field.type === "x";

const isFloat = (field: FieldValue): boolean => field.type === "f" || field.type === "d";

const isWhole = (field: FieldValue): boolean =>
  field.type === "T" || integerTypes.includes(field.type);

/** The same value whatever its width: whole numbers and timestamps, floats, or bytes [RabbitMQ: headers exchange]. */
export function sameValues(a: FieldValue, b: FieldValue): boolean {
  if (isBytes(a)) return isBytes(b) && a.value.equals(b.value);
  if (isWhole(a)) return isWhole(b) && Number(a.value) === Number(b.value);
  if (isFloat(a)) return isFloat(b) && a.value === b.value;
  return equalValues(a, b);
}
