/**
 * The command line of rabbitmqadmin, in either grammar.
 *
 * Options that both have come first or anywhere; then a verb and, of most, a noun. The newer grammar also says it the other
 * way round, `queues declare`, and writes fields as options. What cannot be understood is a failure in the words, and with
 * the exit code, of the generation that it is meant for.
 */

import { parseArgs } from "node:util";
import { type Action, AdminFailure, type Generation } from "./action.ts";
import { actions } from "./actions.ts";

const texts = [
  ...["config", "node", "host", "hostname", "port", "path-prefix", "vhost", "username", "password"],
  ...["base-uri", "request-timeout", "timeout", "format", "sort", "depth", "table-style"],
  ...["ssl-key-file", "ssl-cert-file", "ssl-ca-cert-file", "tls-ca-cert-file", "tls-cert-file"],
  "tls-key-file",
];
const flags = [
  ...["quiet", "ssl", "use-tls", "ssl-insecure", "insecure", "sort-reverse", "version", "help"],
  ...["non-interactive", "ssl-disable-hostname-verification"],
];
const letters: Readonly<Record<string, string>> = {
  ...{ config: "c", node: "N", host: "H", port: "P", vhost: "V", username: "u", password: "p" },
  ...{ "base-uri": "U", quiet: "q", ssl: "s", insecure: "k", "request-timeout": "t" },
  ...{ format: "f", sort: "S", "sort-reverse": "R", depth: "d", help: "h" },
};
/** Fields of the newer grammar that stand alone. */
const fieldFlags = ["idempotently", "stdout", "stdin"];
/** Options that the older generation does not have. */
const newer = ["non-interactive", "table-style", "use-tls", "tls-ca-cert-file", "insecure"];

/** Verbs of the newer grammar's groups where they are not those of the table. */
const verbs: Readonly<Record<string, string>> = { set: "declare", clear: "delete" };
const nouns: Readonly<Record<string, string>> = { policies: "policy" };
const groups: Readonly<Record<string, readonly [verb: string, noun: string]>> = {
  "definitions export": ["export", ""],
  "definitions import": ["import", ""],
  "definitions export_from_vhost": ["export", ""],
  "definitions import_into_vhost": ["import", ""],
  "export definitions": ["export", ""],
  "import definitions": ["import", ""],
  "exchanges bind": ["declare", "binding"],
  "exchanges unbind": ["delete", "binding"],
  "users permissions": ["list", "permissions"],
  "users limits": ["list", "user_limits"],
  "vhosts limits": ["list", "vhost_limits"],
  "policies list_in": ["list", "policies"],
  "parameters list_all": ["list", "parameters"],
  "parameters list_in": ["list", "parameters"],
  "queues rebalance": ["rebalance", "queues"],
  "feature_flags enable": ["enable", "feature_flag"],
  "get messages": ["get", ""],
  "publish message": ["publish", ""],
};

export type Options = Readonly<Record<string, string | boolean>>;

export interface AdminCommandLine {
  readonly options: Options;
  readonly generation: Generation;
  /** Undefined when there is no word at all. */
  readonly action: Action | undefined;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly words: readonly string[];
}

interface Parsed {
  readonly options: readonly { name: string; value: string | boolean; at: number }[];
  readonly words: readonly { text: string; at: number }[];
}

function parse(argv: readonly string[], own: readonly string[]): Parsed {
  const config: Record<string, { type: "string" | "boolean"; short?: string }> = {};
  for (const name of [...flags, ...fieldFlags, ...own, ...texts]) {
    const isFlag = flags.includes(name) || fieldFlags.includes(name);
    const short = letters[name];
    config[name] = {
      type: isFlag ? "boolean" : "string",
      ...(short !== undefined && { short }),
    };
  }
  const { tokens } = parseArgs({
    ...{ args: [...argv], options: config, strict: false, allowPositionals: true, tokens: true },
  });
  const options: { name: string; value: string | boolean; at: number }[] = [];
  const words: { text: string; at: number }[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") words.push({ text: token.value, at: token.index });
    else if (token.kind === "option")
      options.push({ name: token.name, value: token.value ?? true, at: token.index });
  }
  return { options, words };
}

function usageFailure(generation: Generation, message: string): AdminFailure {
  const text =
    generation === 1
      ? `\nERROR: ${message}\n\nrabbitmqadmin --help for help\n`
      : `error: ${message}\n\nFor more information, try '--help'.`;
  return new AdminFailure(generation === 1 ? 1 : 64, text);
}

function find(verb: string, noun: string): Action | undefined {
  return actions.find((action) => action.verb === verb && action.noun === noun);
}

interface Found {
  readonly action: Action;
  /** How many words name it. */
  readonly words: number;
  /** Whether only the newer grammar says it so. */
  readonly isNewer: boolean;
}

function singular(group: string): string {
  return nouns[group] ?? group.replace(/s$/, "");
}

function findAction([first = "", second = ""]: readonly string[]): Found {
  const named = groups[`${first} ${second}`];
  if (named !== undefined) return { action: find(...named)!, words: 2, isNewer: true };
  const plain = find(first, second);
  if (plain !== undefined) return { action: plain, words: 2, isNewer: first === "health_check" };
  const alone = find(first, "");
  if (alone !== undefined) return { action: alone, words: 1, isNewer: false };
  const verb = verbs[second] ?? second;
  const turned = find(verb, verb === "list" ? first : singular(first));
  if (turned !== undefined) return { action: turned, words: 2, isNewer: true };
  const isVerb = actions.some((action) => action.verb === first);
  if (!isVerb) throw usageFailure(1, `Action ${first} not understood`);
  if (second === "") throw usageFailure(1, "Type not specified");
  const isShown = first === "list" || first === "show";
  throw usageFailure(
    1,
    isShown ? `Don't know how to ${first} ${second}` : `Type ${second} not recognised`,
  );
}

function namesOf({ required = [], optional = {} }: Action): readonly string[] {
  return [...required.flatMap((name) => name.split("|")), ...Object.keys(optional)];
}

function parseJson(text: unknown): unknown {
  if (typeof text !== "string") return text;
  try {
    return JSON.parse(text);
  } catch {
    throw new AdminFailure(1, `ERROR: Could not parse JSON:\n  ${text}\n`);
  }
}

/** Fields from `name=value` and `--name value`, checked, with what is assumed for the others. */
function fieldsOf(
  action: Action,
  given: readonly (readonly [name: string, value: unknown])[],
  generation: Generation,
): Readonly<Record<string, unknown>> {
  const { required = [], optional = {}, assumed = {}, json = [] } = action;
  const fields: Record<string, unknown> = { ...optional, ...(generation === 2 && assumed) };
  const names = namesOf(action);
  for (const [written, value] of given) {
    const name = written.replaceAll("-", "_");
    if (!names.includes(name))
      throw usageFailure(generation, `Argument "${written}" is not recognised`);
    fields[name] = json.includes(name) ? parseJson(value) : value;
  }
  for (const name of required) {
    if (name.split("|").some((each) => fields[each] !== undefined)) continue;
    const alternatives = name.includes("|")
      ? `one of mandatory arguments "${name.replaceAll("|", ", ")}" is required`
      : `mandatory argument "${name}" is required`;
    throw usageFailure(generation, alternatives);
  }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function asOptions(parsed: Parsed["options"]): Options {
  return Object.fromEntries(parsed.map(({ name, value }) => [name, value]));
}

/** Whether help is asked for, in any of the ways. */
export function wantsHelp(argv: readonly string[]): boolean {
  const { options, words } = parse(argv, []);
  return words[0]?.text === "help" || options.some(({ name }) => name === "help");
}

/** An option that both have is the action's own behind the action: `--password` of a user, `--port` of a check. */
export function adminCommandLine(argv: readonly string[]): AdminCommandLine {
  const rough = parse(argv, []);
  if (rough.words.length === 0) {
    const options = asOptions(rough.options);
    return { options, generation: 1, action: undefined, fields: {}, words: [] };
  }
  const { action, words: count, isNewer } = findAction(rough.words.map(({ text }) => text));
  const own = namesOf(action).map((name) => name.replaceAll("_", "-"));
  const { options: all, words } = parse(argv, own);
  const behind = words[Math.min(count, words.length) - 1]!.at;
  const isGeneral = (name: string): boolean => texts.includes(name) || flags.includes(name);
  const isField = ({ name, at }: Parsed["options"][number]): boolean =>
    !isGeneral(name) || (at > behind && own.includes(name));
  const options = asOptions(all.filter((option) => !isField(option)));
  const written = all.filter(isField).map(({ name, value }) => [name, value] as const);
  const generation: Generation =
    isNewer || written.length > 0 || newer.some((name) => name in options) ? 2 : 1;
  const rest = words.slice(count).map(({ text }) => text);
  const pairs = (action.takesWords ? [] : rest).map((pair): readonly [string, unknown] => {
    const at = pair.indexOf("=");
    if (at < 0) throw usageFailure(generation, `Argument "${pair}" not in the name=value format`);
    return [pair.slice(0, at), pair.slice(at + 1)];
  });
  const fields = fieldsOf(action, [...pairs, ...written], generation);
  return { options, generation, action, fields, words: action.takesWords ? rest : [] };
}
