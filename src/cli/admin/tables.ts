/** How rabbitmqadmin shows rows: in the formats of the Python script, and in the table styles of the Rust program. */

import { framed } from "../formatters.ts";
import type { Row } from "../management.ts";
import { AdminFailure } from "./action.ts";

/** These come first when nobody chose columns. */
const promoted = [
  ...["vhost", "name", "type", "source", "destination", "destination_type", "routing_key"],
];

function isObject(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** JSON with the spaces that Python puts. */
function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(", ")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const pairs = Object.entries(value).map(([name, each]) => `"${name}": ${pythonJson(each)}`);
  return `{${pairs.join(", ")}}`;
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (!Array.isArray(value)) return String(value);
  return value.every((each) => typeof each === "string") ? value.join(" ") : pythonJson(value);
}

type Flat = Map<string, string>;

/** Objects within objects are columns `a.b` down to a depth. */
function flatten(
  row: Row,
  depth: number,
  json: readonly string[],
  prefix = "",
  into: Flat = new Map(),
) {
  for (const [name, value] of Object.entries(row)) {
    const column = `${prefix}${name}`;
    if (!isObject(value)) into.set(column, cellText(value));
    else if (json.includes(name)) into.set(column, pythonJson(value));
    else if (depth > 1) flatten(value, depth - 1, json, `${column}.`, into);
  }
  return into;
}

function byPromotion(one: string, other: string): number {
  const [first, second] = [promoted.indexOf(one), promoted.indexOf(other)];
  if (first >= 0 && second >= 0) return first - second;
  if (first >= 0 || second >= 0) return first >= 0 ? -1 : 1;
  return one < other ? -1 : 1;
}

export interface Shown {
  readonly rows: readonly Row[];
  readonly columns?: readonly string[];
  readonly json?: readonly string[];
}

export interface Look {
  readonly format: string;
  readonly depth: number;
  readonly quiet: boolean;
}

type Lines = readonly string[];
type Format = (columns: Lines, table: readonly Lines[], look: Look) => Lines;

function asciiTable(columns: Lines, table: readonly Lines[]): Lines {
  const widths = columns.map((name, index) =>
    Math.max(name.length, ...table.map((row) => row[index]!.length)),
  );
  const bar = `+${widths.map((width) => "-".repeat(width + 2)).join("+")}+`;
  const centred = columns.map((name, index) => {
    const space = widths[index]! - name.length;
    return name.padStart(name.length + Math.floor(space / 2)).padEnd(widths[index]!);
  });
  const line = (row: Lines): string => `| ${row.join(" | ")} |`;
  const rows = table.map((row) => line(row.map((text, index) => text.padEnd(widths[index]!))));
  return [bar, line(centred), bar, ...rows, bar];
}

function long(columns: Lines, table: readonly Lines[]): Lines {
  const width = Math.max(...columns.map((name) => name.length));
  const rule = `\n${"-".repeat(80)}\n`;
  const entries = table.flatMap((row) => [
    ...columns.map((name, index) => `${name.padStart(width)}: ${row[index]}`),
    rule,
  ]);
  return [rule, ...entries];
}

const formats: Readonly<Record<string, Format>> = {
  table: asciiTable,
  tsv: (columns, table, { quiet }) => [
    ...(quiet ? [] : [columns.join("\t")]),
    ...table.map((row) => row.join("\t")),
  ],
  long,
  kvp: (columns, table) =>
    table.map((row) => columns.map((name, index) => `${name}="${row[index]}"`).join(" ")),
  bash: (columns, table) => {
    const index = columns.indexOf("name");
    return index < 0 ? [] : [table.map((row) => row[index]).join(" ")];
  },
};

/** Keys in their order, two spaces for each level. */
function prettyJson(value: unknown): string {
  const sorted = (inner: unknown): unknown => {
    if (Array.isArray(inner)) return inner.map(sorted);
    if (!isObject(inner)) return inner;
    return Object.fromEntries(
      Object.entries(inner)
        .sort(([one], [other]) => (one < other ? -1 : 1))
        .map(([name, each]) => [name, sorted(each)]),
    );
  };
  return JSON.stringify(sorted(value), undefined, 2);
}

function tabled({ rows, columns: chosen, json = [] }: Shown, depth: number) {
  const flat = rows.map((row) => flatten(row, chosen === undefined ? depth : 100, json));
  const columns = chosen ?? [...new Set(flat.flatMap((row) => [...row.keys()]))].sort(byPromotion);
  return { columns, table: flat.map((row) => columns.map((name) => row.get(name) ?? "")) };
}

/** As the Python script prints it. */
export function older(shown: Shown, look: Look): string {
  if (look.format === "raw_json") return `${JSON.stringify(shown.rows)}\n`;
  if (look.format === "pretty_json") return `${prettyJson(shown.rows)}\n`;
  const format = Object.hasOwn(formats, look.format) ? formats[look.format] : undefined;
  if (format === undefined)
    throw new AdminFailure(
      1,
      `\nERROR: Format ${look.format} not recognised\n\nrabbitmqadmin --help for help\n`,
    );
  const { columns, table } = tabled(shown, look.depth);
  if (table.length === 0) return look.quiet ? "" : "No items\n";
  return format(columns, table, look)
    .map((line) => `${line}\n`)
    .join("");
}

/** As the Rust program prints it: framed, or bare and without a heading for scripts. */
export function newer(shown: Shown, style: string): string {
  const { columns, table } = tabled(shown, 1);
  if (style === "ascii" || style === "psql") return `${asciiTable(columns, table).join("\n")}\n`;
  if (style !== "borderless") return framed([columns, ...table]);
  const widths = columns.map((_, index) => Math.max(0, ...table.map((row) => row[index]!.length)));
  return table
    .map((row) => `${row.map((text, index) => `${text.padEnd(widths[index]!)} `).join("")}\n`)
    .join("");
}
