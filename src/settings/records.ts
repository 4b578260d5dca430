/**
 * Settings that are several objects with a name each: `default_users.NAME.password`, where NAME is of the user's choosing.
 *
 * A field is `vhostPattern` in a program and `vhost_pattern` in a file.
 */

import type { Kind } from "./kinds.ts";

type Fields = Readonly<Record<string, Kind<unknown>>>;

type RecordOf<Of extends Fields> = { readonly name: string } & {
  readonly [Field in keyof Of]?: Of[Field] extends Kind<infer Value> ? Value : never;
};

export interface RecordsKind<Of extends Fields> extends Kind<readonly RecordOf<Of>[]> {
  readonly fields: Of;
}

/** As a file has it. */
function written(field: string): string {
  return field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export function records<const Of extends Fields>(fields: Of): RecordsKind<Of> {
  return {
    allowed: `for each NAME the fields ${Object.keys(fields).map(written).join(", ")}`,
    placeholder: "",
    fields,
    // A single text cannot say it.
    parse: () => undefined,
  };
}

export function isRecords(kind: Kind<unknown>): kind is RecordsKind<Fields> {
  return Object.hasOwn(kind, "fields");
}

/** A field of one of them, as it was written. */
export interface FieldText {
  readonly name: string;
  readonly field: string;
  readonly text: string;
}

/** All of them, in the order of their first field; `wrong` is told what is not allowed, and throws. */
export function readRecords<Text extends FieldText>(
  { fields, allowed }: RecordsKind<Fields>,
  texts: readonly Text[],
  wrong: (text: Text, allowed: string) => never,
): object[] {
  const byName = new Map<string, Record<string, unknown>>();
  for (const given of texts) {
    const { name, field, text } = given;
    const found = Object.keys(fields).find((each) => written(each) === field);
    if (found === undefined) wrong(given, allowed);
    const value = fields[found]!.parse(text);
    if (value === undefined) wrong(given, fields[found]!.allowed);
    const record = byName.get(name) ?? { name };
    record[found] = value;
    byName.set(name, record);
  }
  return [...byName.values()];
}
