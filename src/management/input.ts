/**
 * What a request says: its JSON body and its query, checked. Whatever is not as it must be is a 400 that says what.
 *
 * The words for it are RabbitMQ's, and so is what it lets pass: numbers and booleans may be written as texts.
 */

import { NESTING_MAX } from "../amqp/field-table.ts";
import { badRequest } from "./http-error.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const TEXT_FOR_JSON =
  "invalid payload: the request body JSON-decoded to a string. Is the input doubly-JSON-encoded?";

/** The object that a body is; an empty body is an empty object. */
export function parseObject(body: Buffer): JsonObject {
  if (body.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch {
    throw badRequest("not_json");
  }
  if (typeof value === "string") throw badRequest(TEXT_FOR_JSON);
  if (!isObject(value)) throw badRequest("not_json");
  checkNesting(value, 0);
  return value;
}

/** So that whoever walks through it, or writes it, does not exhaust the stack. */
function checkNesting(value: unknown, depth: number): void {
  if (typeof value !== "object" || value === null) return;
  if (depth > NESTING_MAX) throw badRequest("nested too deeply");
  for (const inner of Object.values(value)) checkNesting(inner, depth + 1);
}

/** A value of the body, or undefined when it is absent or null. */
export function given(body: JsonObject, name: string): unknown {
  return Object.hasOwn(body, name) ? (body[name] ?? undefined) : undefined;
}

/** Throws unless all of these are there. */
export function require(body: JsonObject, ...names: readonly string[]): void {
  for (const name of names)
    if (given(body, name) === undefined) throw badRequest(`[{key_missing,${name}}]`);
}

export function text(body: JsonObject, name: string): string | undefined {
  const value = given(body, name);
  if (value === undefined || typeof value === "string") return value;
  throw badRequest(["not_string", name]);
}

export function requiredText(body: JsonObject, name: string): string {
  require(body, name);
  return text(body, name)!;
}

export function parseBoolean(value: unknown): boolean {
  if (value === true || value === "true") return true;
  if (value === false || value === "false") return false;
  throw badRequest(["not_boolean", value]);
}

export function flag(body: JsonObject, name: string): boolean {
  const value = given(body, name);
  return value === undefined ? false : parseBoolean(value);
}

export function parseInteger(value: unknown): number {
  const number = typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value;
  if (Number.isSafeInteger(number)) return number as number;
  throw badRequest(["not_integer", value]);
}

export function integer(body: JsonObject, name: string): number | undefined {
  const value = given(body, name);
  return value === undefined ? undefined : parseInteger(value);
}

/** An object of the body. An empty list stands for an empty object [RabbitMQ]. */
export function object(body: JsonObject, name: string): JsonObject | undefined {
  const value = given(body, name);
  if (value === undefined || isObject(value)) return value;
  if (Array.isArray(value) && value.length === 0) return {};
  throw badRequest(["not_object", name]);
}

/** A list of texts, or one text with commas between. */
export function tags(body: JsonObject, name: string): string[] | undefined {
  const value = given(body, name);
  if (value === undefined) return undefined;
  const list = typeof value === "string" ? value.split(",") : value;
  if (!Array.isArray(list) || !list.every((tag) => typeof tag === "string"))
    throw badRequest(["not_tags", name]);
  return list.map((tag: string) => tag.trim()).filter((tag) => tag !== "");
}
