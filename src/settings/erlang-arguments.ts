/**
 * RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS, in which compose files set what they have no file for:
 * `-rabbit consumer_timeout 3600000 -rabbitmq_management load_definitions "/definitions.json"`.
 *
 * What sets a variable of an application becomes a key of rabbitmq.conf, and is stronger than the files as in RabbitMQ. Flags
 * for the Erlang machine mean nothing here. Nothing here knows which settings there are.
 */

import type { ConfEntry } from "./rabbitmq-conf.ts";
import type { ConfFile } from "./sources.ts";

const VARIABLES = ["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "RABBITMQ_SERVER_START_ARGS"] as const;

/** Applications of RabbitMQ, and what their keys begin with in rabbitmq.conf. */
const prefixes: ReadonlyMap<string, readonly string[]> = new Map([
  ["rabbit", []],
  ["rabbitmq_management", ["management"]],
  ["rabbitmq_prometheus", ["prometheus"]],
]);

/** What stands between blanks; in quotes, brackets and braces there may be some. */
const TOKEN = /(?:"[^"]*"|'[^']*'|\[[^\]]*\]|\{[^}]*\}|\S)+/g;

/** `{absolute,"2GB"}` and `{mem_relative,1.5}`. */
const TAGGED = /^\{(absolute|mem_relative|relative),(.*)\}$/;

/** A term as rabbitmq.conf has it: without quotes, without `<<` and `>>`; an empty list is `none`. */
function plain(term: string): string {
  const text = term.trim();
  if (/^\[\s*\]$/.test(text)) return "none";
  const inner = /^<<(.*)>>$/.exec(text)?.[1] ?? /^(["'])(.*)\1$/.exec(text)?.[2];
  // A shell's quotes around Erlang's.
  return inner === undefined ? text : plain(inner);
}

/** `log_levels` has a list of levels, and limits a number or a pair with a tag. */
function entryOf(name: string, term: string): Omit<ConfEntry, "line"> {
  if (name === "log_levels") {
    const level = /\{default,\s*(\w+)\}/.exec(term)?.[1];
    if (level !== undefined) return { key: ["log", "default", "level"], value: level };
  }
  if (name !== "disk_free_limit" && name !== "vm_memory_high_watermark")
    return { key: [name], value: plain(term) };
  const [, tag, tagged] = TAGGED.exec(plain(term)) ?? [];
  const isRelative = tag === undefined ? /^\d*\.\d+$/.test(plain(term)) : tag !== "absolute";
  const value = tagged === undefined ? plain(term) : plain(tagged);
  return { key: [name, isRelative ? "relative" : "absolute"], value };
}

function readArguments(text: string): ConfEntry[] {
  const entries: ConfEntry[] = [];
  // Quotes that are there for Erlang and not for a shell.
  const tokens = text.replaceAll('\\"', '"').match(TOKEN) ?? [];
  let prefix: readonly string[] | undefined;
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    if (/^[-+][a-zA-Z]/.test(token)) {
      prefix = token.startsWith("-") ? prefixes.get(token.slice(1)) : undefined;
    } else if (prefix !== undefined && at + 1 < tokens.length) {
      const { key, value } = entryOf(plain(token), tokens[++at]!);
      entries.push({ key: [...prefix, ...key], value, line: entries.length + 1 });
    }
  }
  return entries;
}

/** What the variables set, as files that come after all others; what stands for the line of each is its place among them. */
export function readErlangArguments(environment: NodeJS.ProcessEnv): ConfFile[] {
  return VARIABLES.flatMap((path) => {
    const text = environment[path];
    return text === undefined ? [] : [{ path, entries: readArguments(text) }];
  });
}
