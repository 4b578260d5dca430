/** The forms of output: `table`, `json`, `csv`, `pretty_table` and `erlang`, as RabbitMQ's tools print them. */

import type { Output, Table, Text } from "./command.ts";
import { cell, term, typedTable } from "./erlang-text.ts";
import type { Row } from "./management.ts";

export interface Style {
  readonly formatter: string;
  /** Whether a table has its columns' names above it. */
  readonly heading: boolean;
}

type Formatter = (output: Table | Text, style: Style) => string;

/** Formatters under which nothing but the result is printed. */
const bare = new Set(["json", "csv"]);

export function saysMore(formatter: string): boolean {
  return !bare.has(formatter);
}

function isText(output: Table | Text): output is Text {
  return "text" in output;
}

function lines(rows: readonly (readonly string[])[], separator: string): string {
  return rows.map((row) => `${row.join(separator)}\n`).join("");
}

function rowsOf({ columns, rows, noHeading }: Table, { heading }: Style): readonly string[][] {
  const cells = rows.map((row) => columns.map((column) => cell(row[column])));
  return heading && !noHeading && rows.length > 0 ? [[...columns], ...cells] : cells;
}

function table(output: Table | Text, style: Style): string {
  if (isText(output)) return `${output.text}\n`;
  if (output.collected && output.rows.length === 0) return "\n";
  return lines(rowsOf(output, style), "\t");
}

/** Tables of fields are lists of triples; a list of names is one. */
function jsonCell(value: unknown): unknown {
  return value === undefined || value === null ? "" : typedTable(value);
}

function jsonRow(columns: readonly string[], row: Row): string {
  return JSON.stringify(Object.fromEntries(columns.map((name) => [name, jsonCell(row[name])])));
}

function json(output: Table | Text): string {
  if (isText(output)) return `${JSON.stringify(output.json ?? { message: output.text })}\n`;
  const { columns, rows, collected } = output;
  if (collected && rows.length === 0) return "[]\n";
  const objects = rows.map((row) => `${jsonRow(columns, row)}\n`);
  return `[\n${objects.join(",")}]\n`;
}

function csv(output: Table | Text, style: Style): string {
  if (isText(output)) return table(output, style);
  const quoted = rowsOf(output, style).map((row) =>
    row.map((text) => `"${text.replaceAll('"', '""')}"`),
  );
  return lines(quoted, ",");
}

/** A table in a frame, its first row the heading. */
export function framed(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, index) =>
    Math.max(...rows.map((row) => row[index]!.length)),
  );
  const rule = (left: string, middle: string, right: string): string =>
    `${left}${widths.map((width) => "─".repeat(width + 2)).join(middle)}${right}\n`;
  const body = rows.map(
    (row) => `│ ${row.map((text, index) => text.padEnd(widths[index]!)).join(" │ ")} │\n`,
  );
  return rule("┌", "┬", "┐") + body.join(rule("├", "┼", "┤")) + rule("└", "┴", "┘");
}

function prettyTable(output: Table | Text, style: Style): string {
  if (isText(output)) return table(output, style);
  const rows = rowsOf(output, { ...style, heading: true });
  return rows.length === 0 ? "" : framed(rows);
}

function erlangValue(value: unknown): string {
  if (typeof value === "string") return `<<"${value}">>`;
  return typeof value === "object" && value !== null ? term(value) : String(value ?? "undefined");
}

function erlang(output: Table | Text): string {
  if (isText(output)) return `{ok,<<"${output.text}">>}\n`;
  const { columns, rows } = output;
  const lists = rows.map(
    (row) => `[${columns.map((name) => `{${name},${erlangValue(row[name])}}`).join(",")}]`,
  );
  return `[${lists.join(",\n ")}]\n`;
}

const formatters: Readonly<Record<string, Formatter>> = {
  table,
  string: table,
  plugins: table,
  json,
  json_stream: json,
  csv,
  pretty_table: prettyTable,
  erlang,
  inspect: erlang,
};

export function isFormatter(name: string): boolean {
  return Object.hasOwn(formatters, name);
}

/** What is printed for it; nothing for no output. */
export function formatted(output: Output, style: Style): string {
  return output === undefined ? "" : formatters[style.formatter]!(output, style);
}
