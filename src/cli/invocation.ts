/**
 * A command line taken apart as RabbitMQ's tools do it: options may stand anywhere, before the command's name too, and what
 * begins with a dash and belongs to an option is its value.
 *
 * Which commands there are is not known here; whoever knows says which options a command has.
 */

import { parseArgs } from "node:util";
import type { Options } from "./command.ts";
import { UsageFailure } from "./failure.ts";

/** Every command takes these, whether they mean something to it or not [RabbitMQ]. */
const general = {
  node: "text",
  timeout: "text",
  longnames: "flag",
  quiet: "flag",
  silent: "flag",
  vhost: "text",
  formatter: "text",
  printer: "text",
  help: "flag",
  version: "flag",
  "table-headers": "flag",
  "no-table-headers": "flag",
  "dry-run": "flag",
  "erlang-cookie": "text",
  "script-name": "text",
  "rabbitmq-home": "text",
  "mnesia-dir": "text",
  "data-dir": "text",
  "plugins-dir": "text",
  "enabled-plugins-file": "text",
  "aliases-file": "text",
  "print-stacktrace": "flag",
} as const satisfies Options;

/** Of general options, and of those that commands have. */
const letters: Readonly<Record<string, string>> = {
  node: "n",
  timeout: "t",
  longnames: "l",
  quiet: "q",
  silent: "s",
  vhost: "p",
  formatter: "f",
  help: "?",
  enabled: "E",
  "implicitly-enabled": "e",
  minimal: "m",
  verbose: "v",
  pid: "P",
};

export interface Invocation {
  /** Undefined when there is none. */
  readonly command: string | undefined;
  readonly arguments: readonly string[];
  readonly options: Readonly<Record<string, string | number | boolean>>;
}

interface Parsed {
  readonly positionals: readonly string[];
  /** As they were written; a flag has no text. */
  readonly given: readonly (readonly [name: string, text: string | undefined])[];
}

function parse(argv: readonly string[], own: Options): Parsed {
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {};
  for (const [name, kind] of Object.entries({ ...own, ...general })) {
    const short = letters[name];
    options[name] = {
      type: kind === "flag" ? "boolean" : "string",
      ...(short !== undefined && { short }),
    };
  }
  const { tokens } = parseArgs({
    ...{ args: [...argv], options, strict: false, allowPositionals: true, tokens: true },
  });
  const positionals: string[] = [];
  const given: [string, string | undefined][] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    else if (token.kind === "option") given.push([token.name, token.value]);
  }
  return { positionals, given };
}

/** Throws a `UsageFailure` that names all options that the command does not have, or cannot understand. */
function optionsOf({ given }: Parsed, own: Options): Invocation["options"] {
  const kinds: Options = { ...own, ...general };
  const options: Record<string, string | number | boolean> = {};
  const wrong: string[] = [];
  for (const [name, text] of given) {
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (kind === "flag") options[name] = text !== "false";
    else if (kind === "text" && text !== undefined) options[name] = text;
    else if (kind === "integer" && /^-?\d+$/.test(text ?? "")) options[name] = Number(text);
    else wrong.push(`--${name} : ${text ?? ""}`);
  }
  if (wrong.length > 0)
    throw new UsageFailure("usage", `Invalid options for this command:\n${wrong.join("\n")}`);
  return options;
}

/** The name of the command alone: before anybody knows which options it has. */
export function commandName(argv: readonly string[]): string | undefined {
  return parse(argv, {}).positionals[0];
}

/** Whether a flag such as `help` is there, for a command line without a command. */
export function hasFlag(argv: readonly string[], flag: keyof typeof general): boolean {
  return parse(argv, {}).given.some(([name]) => name === flag);
}

export function invocation(argv: readonly string[], own: Options): Invocation {
  const parsed = parse(argv, own);
  const [command, ...rest] = parsed.positionals;
  return { command, arguments: rest, options: optionsOf(parsed, own) };
}
