/**
 * What JSON holds, as RabbitMQ shows it in its refusals: the Erlang term that it decodes to, printed by `~tp`. Texts are
 * binaries, objects are maps, and what does not fit in a line of 80 columns is broken.
 */

import { erlangBinary } from "../amqp/type-names.ts";

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [name: string]: Json };

/** Members of a JSON object, or settings of a policy, in the order of Erlang's maps. */
export function sortedEntries(object: Readonly<Record<string, Json>>): [string, Json][] {
  return Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1));
}

const LINE_COLUMNS = 80;

/** A term before it is laid out; one with a key is a member of a map. */
type Term =
  | string
  | { readonly open: string; readonly items: readonly Term[]; readonly close: string }
  | { readonly key: Term; readonly value: Term };

const escapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\b": "\\b",
  "\f": "\\f",
  "\v": "\\v",
  "\u001b": "\\e",
};

function quoted(text: string): string {
  const shown = [...text].map((character) => escapes[character] ?? character).join("");
  return `"${shown}"`;
}

/** A JSON text as the binary of its UTF-8. */
export function erlangText(text: string): string {
  const bytes = Buffer.from(text);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what cannot be printed
  if (text === "" || /[\0-\x07\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffd]/.test(text))
    return erlangBinary(bytes);
  return `<<${quoted(text)}${bytes.length === text.length ? "" : "/utf8"}>>`;
}

function numberText(value: number): string {
  if (Number.isInteger(value)) return BigInt(value).toString();
  const text = String(value);
  return /^-?\d+e/.test(text) ? text.replace("e", ".0e") : text;
}

/** A list of printable characters is a text in Erlang. */
function isCharacters(values: readonly Json[]): boolean {
  return (
    values.length > 0 &&
    values.every((value) => typeof value === "number" && value >= 0x20 && value < 0x7f) &&
    values.every(Number.isInteger)
  );
}

function termOf(value: Json): Term {
  if (typeof value === "string") return erlangText(value);
  if (typeof value === "number") return numberText(value);
  if (value === null || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) {
    if (isCharacters(value)) return quoted(String.fromCharCode(...(value as number[])));
    return { open: "[", items: value.map(termOf), close: "]" };
  }
  const members = sortedEntries(value as Record<string, Json>);
  const items = members.map(([key, member]) => ({ key: erlangText(key), value: termOf(member) }));
  return { open: "#{", items, close: "}" };
}

function flat(term: Term): string {
  if (typeof term === "string") return term;
  if ("key" in term) return `${flat(term.key)} => ${flat(term.value)}`;
  return term.open + term.items.map(flat).join() + term.close;
}

function layOut(term: Term, column: number): string {
  const line = flat(term);
  if (typeof term === "string" || column + line.length <= LINE_COLUMNS) return line;
  if ("key" in term) {
    const indent = column + 4;
    return `${flat(term.key)} =>\n${" ".repeat(indent)}${layOut(term.value, indent)}`;
  }
  const indent = column + term.open.length;
  const items = term.items.map((item) => layOut(item, indent));
  return term.open + items.join(`,\n${" ".repeat(indent)}`) + term.close;
}

/** A JSON value as `~tp` shows it at the beginning of a line. */
export function erlangTerm(value: Json): string {
  return layOut(termOf(value), 0);
}

/** The members of an object as a list of pairs, as `~tp` shows it at the beginning of a line. */
export function erlangPairs(members: readonly (readonly [string, Json])[]): string {
  const items = members.map(([name, value]) => ({
    open: "{",
    items: [erlangText(name), termOf(value)],
    close: "}",
  }));
  return layOut({ open: "[", items, close: "]" }, 0);
}
