/** How RabbitMQ names and shows the values of field tables in its error texts. */

import type { FieldValue } from "./field-table.ts";

const names: Record<FieldValue["type"], string> = {
  t: "bool",
  b: "byte",
  B: "unsignedbyte",
  s: "short",
  u: "unsignedshort",
  I: "signedint",
  i: "unsignedint",
  l: "long",
  L: "long",
  T: "timestamp",
  f: "float",
  d: "double",
  D: "decimal",
  S: "longstr",
  x: "binary",
  A: "array",
  F: "table",
  V: "void",
};

/** The name of a value's type, as `longstr` or `signedint`. */
export function typeName(field: FieldValue): string {
  return names[field.type];
}

/** A value as text, as it stands between quotes in an error. */
export function valueText(field: FieldValue): string {
  if (field.type === "S" || field.type === "x") return field.value.toString();
  const text = String(field.value);
  const isWholeFloat = (field.type === "f" || field.type === "d") && Number.isInteger(field.value);
  return isWholeFloat ? `${text}.0` : text;
}

/** Bytes as Erlang prints a binary: as text when all of it is printable, else as numbers. */
export function erlangBinary(bytes: Uint8Array): string {
  const printable = bytes.every((byte) => byte >= 0x20 && byte < 0x7f);
  return printable && bytes.length > 0
    ? `<<"${Buffer.from(bytes).toString("latin1")}">>`
    : `<<${Array.from(bytes).join(",")}>>`;
}

/** A name as Erlang prints an atom: in quotes, unless it is a word that begins with a small letter. */
export function erlangAtom(name: string): string {
  return /^[a-z][\w@]*$/.test(name) ? name : `'${name}'`;
}
