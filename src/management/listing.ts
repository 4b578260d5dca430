/**
 * Lists and single objects as a query wants them: filtered by name, sorted, by pages, and with some columns only.
 *
 * The parameters are RabbitMQ's: `name`, `use_regex`, `sort`, `sort_reverse`, `page`, `page_size`, `columns`.
 */

import { Pattern } from "../broker/pattern.ts";
import { badRequest, HttpError } from "./http-error.ts";
import { isObject } from "./input.ts";

type Row = Record<string, unknown>;
/** Parameters of a query; one that is given twice has the value that came last. */
export type Query = ReadonlyMap<string, string>;

const PAGE_SIZE_DEFAULT = 100;
const PAGE_SIZE_MAX = 500;

/** `a.b.c` of an object within objects. */
function at(row: unknown, path: readonly string[]): unknown {
  let value = row;
  for (const name of path) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** Numbers before texts before everything else. */
function compare(a: unknown, b: unknown): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  const [left, right] = [rank(a), rank(b)];
  if (left !== right) return left - right;
  const [first, second] = [String(a), String(b)];
  return first < second ? -1 : first > second ? 1 : 0;
}

function rank(value: unknown): number {
  if (typeof value === "number") return 0;
  if (typeof value === "boolean" || value === undefined || value === null) return 1;
  return 2;
}

/** By virtual host, then by what names a row in it [RabbitMQ]. */
const usualOrder = ["vhost", "name", "user", "source", "destination", "routing_key"];

function sorted(rows: Row[], query: Query): Row[] {
  const column = query.get("sort");
  const reverse = query.get("sort_reverse") === "true";
  const paths =
    column === undefined || column === "" ? usualOrder.map((name) => [name]) : [column.split(".")];
  const ordered = rows.sort((a, b) => {
    for (const path of paths) {
      const difference = compare(at(a, path), at(b, path));
      if (difference !== 0) return difference;
    }
    return 0;
  });
  return reverse ? ordered.reverse() : ordered;
}

function putAt(row: Row, [name, ...rest]: readonly string[], value: unknown): void {
  if (name === undefined) return;
  if (rest.length === 0) row[name] = value;
  else {
    const inner = Object.hasOwn(row, name) && isObject(row[name]) ? (row[name] as Row) : {};
    row[name] = inner;
    putAt(inner, rest, value);
  }
}

/** With the columns alone that the query asks for, all of them when it does not ask. */
export function chosenColumns(row: Row, query: Query): Row {
  const columns = query.get("columns");
  if (columns === undefined || columns === "") return row;
  const chosen: Row = {};
  for (const column of columns.split(",")) {
    const path = column.split(".");
    const value = at(row, path);
    if (value !== undefined) putAt(chosen, path, value);
    else if (path.length > 1 && isObject(at(row, path.slice(0, 1)))) chosen[path[0]!] ??= {};
  }
  return chosen;
}

function nameOf({ name }: { name?: unknown }): string {
  return String(name ?? "");
}

function nameFilter(query: Query): (row: Row) => boolean {
  const name = query.get("name");
  if (name === undefined || name === "") return () => true;
  if (query.get("use_regex") !== "true") {
    const wanted = name.toLowerCase();
    return (row) => nameOf(row).toLowerCase().includes(wanted);
  }
  let pattern: Pattern;
  try {
    pattern = new Pattern(name);
  } catch {
    throw badRequest("Pagination parameters are invalid");
  }
  return (row) => pattern.matches(nameOf(row));
}

function pageNumber(query: Query, name: string): number | undefined {
  const text = query.get(name);
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw badRequest("Pagination parameters are invalid");
  return Number(text);
}

function invalidPage(page: number, size: number | undefined): HttpError {
  return new HttpError(400, {
    error: "invalid_pagination_parameters",
    reason: `Invalid pagination parameters: page number ${page}, page size ${size ?? "undefined"}`,
  });
}

/** Makes the whole row of a sketch, which has its name and whatever else is cheap. */
export type Expand = (sketch: Row) => Row;

function onePage(rows: Row[], total: number, query: Query, page: number): Row & { items: Row[] } {
  const givenSize = pageNumber(query, "page_size");
  const size = givenSize ?? PAGE_SIZE_DEFAULT;
  if (!(page >= 1) || !(size >= 1 && size <= PAGE_SIZE_MAX)) throw invalidPage(page, givenSize);
  const pageCount = Math.ceil(rows.length / size);
  if (page > Math.max(1, pageCount)) {
    throw new HttpError(400, {
      error: "page_out_of_range",
      reason: `Page out of range, page: ${page} page size: ${size}, len: ${rows.length}`,
    });
  }
  const items = rows.slice((page - 1) * size, page * size);
  return {
    filtered_count: rows.length,
    item_count: items.length,
    items,
    page,
    page_count: pageCount,
    page_size: size,
    total_count: total,
  };
}

function identity(row: Row): Row {
  return row;
}

/** Whether the query wants a member of a row. */
export function wantsColumn(query: Query, name: string): boolean {
  const columns = query.get("columns");
  if (columns === undefined || columns === "") return true;
  return columns.split(",").some((column) => column === name || column.startsWith(`${name}.`));
}

/** Whether the rows can be put in order before they are whole. */
function ordersBySketch(sketches: readonly Row[], query: Query): boolean {
  const column = query.get("sort");
  if (column === undefined || column === "") return true;
  return sketches[0] !== undefined && Object.hasOwn(sketches[0], column.split(".")[0]!);
}

/** All of the rows as the query wants them. */
export function listing(rows: Iterable<Row>, query: Query): object {
  return sorted([...rows], query).map((row) => chosenColumns(row, query));
}

/**
 * The same, and if the query asks for a page, that page of those with the name. With `expand` the rows are sketches, and as few
 * as possible are made whole. Throws an `HttpError` for a page that is none.
 */
export function pagedListing(rows: Iterable<Row>, query: Query, expand: Expand = identity): object {
  const page = pageNumber(query, "page");
  const given = [...rows];
  const isLate = ordersBySketch(given, query);
  const filtered = page === undefined ? given : given.filter(nameFilter(query));
  const ordered = sorted(isLate ? filtered : filtered.map(expand), query);
  const whole = (row: Row): Row => chosenColumns(isLate ? expand(row) : row, query);
  if (page === undefined) return ordered.map(whole);
  const { items, ...about } = onePage(ordered, given.length, query, page);
  return { ...about, items: items.map(whole) };
}
