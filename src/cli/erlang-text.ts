/**
 * Values as RabbitMQ's tools write them: Erlang terms in tables, typed triples in JSON.
 *
 * The management API has lost a number's type, so an integer is always a `long` here.
 */

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Control characters, `\011` for a tab: they would break a line of a table apart, or tell a terminal something. */
export function escaped(text: string): string {
  return text.replace(
    /\p{Cc}/gu,
    (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
}

/** By name, as RabbitMQ keeps them. */
function sortedEntries(table: object): [name: string, value: unknown][] {
  return Object.entries(table).sort(([one], [other]) => (one < other ? -1 : 1));
}

/** `[{"x-max-length",10},{"x-queue-type","quorum"}]` */
export function term(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(term).join(",")}]`;
  if (isObject(value)) {
    const pairs = sortedEntries(value).map(([name, inner]) => `{"${name}",${term(inner)}}`);
    return `[${pairs.join(",")}]`;
  }
  return typeof value === "string" ? `"${value}"` : String(value ?? "undefined");
}

/** A cell of a table. Lists of names stand without quotes: `[administrator, monitoring]`. */
export function cell(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value) && value.every((each) => typeof each === "string"))
    return escaped(`[${value.join(", ")}]`);
  return typeof value === "object" ? escaped(term(value)) : escaped(String(value));
}

function typed(value: unknown): readonly [type: string, value: unknown] {
  if (typeof value === "boolean") return ["bool", value];
  if (typeof value === "number") return [Number.isInteger(value) ? "long" : "double", value];
  if (typeof value === "string") return ["longstr", value];
  if (Array.isArray(value)) return ["array", value.map(typed)];
  return isObject(value) ? ["table", typedTable(value)] : ["void", "undefined"];
}

/** `[["x-max-length","long",10]]` */
export function typedTable(table: unknown): unknown {
  if (!isObject(table)) return table;
  return sortedEntries(table).map(([name, value]) => [name, ...typed(value)]);
}
