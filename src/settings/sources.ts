/**
 * Where settings come from: command line, environment and rabbitmq.conf, each read into values as they were written, with the
 * place that an error can point to.
 *
 * No kind of value is known here. A name that means nothing on the command line is an error, since somebody has just
 * typed it; in a file it is a notice.
 */

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { isForeignKey, isMet } from "./known-keys.ts";
import type { ConfEntry } from "./rabbitmq-conf.ts";
import { isRecords, readRecords } from "./records.ts";
import { type Setting, type SettingName, settingRows, settings, variablesOf } from "./table.ts";

/** A wrong setting: one line that says where it stands and what is allowed. */
export class SettingError extends Error {
  override readonly name = "SettingError";
}

/** A value as it was written; `place` is what stands before it: `--port `, `FILE:3: heartbeat = `. */
export interface Item {
  readonly text: string;
  readonly place: string;
  /** Of a family of objects: which of them, and which of its fields. */
  readonly name?: string;
  readonly field?: string;
}

/** What one source says of a setting: one item, or those of a family of keys. */
export type Source = ReadonlyMap<SettingName, readonly Item[]>;

export interface CommandLine {
  readonly source: Source;
  readonly positionals: readonly string[];
  readonly wants: "help" | "version" | undefined;
}

const EXTRA_OPTIONS = {
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "v" },
} as const;

/** Whether a flag stands alone: its kind has nothing to write after it. */
function standsAlone({ kind }: Setting<unknown>): boolean {
  return kind.placeholder === "";
}

function parse(argv: readonly string[]): ReturnType<typeof parseArgs> {
  const flags = settingRows.flatMap(([, row]) =>
    row.flag === undefined
      ? []
      : [[row.flag, { type: standsAlone(row) ? ("boolean" as const) : ("string" as const) }]],
  );
  const options = { ...EXTRA_OPTIONS, ...Object.fromEntries(flags) };
  try {
    return parseArgs({ args: [...argv], allowPositionals: true, options });
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    const reason = code?.startsWith("ERR_PARSE_ARGS") ? message.split(/\.\s|\n/)[0] : message;
    throw new SettingError(`${reason}; see leveret --help`);
  }
}

/** Throws `SettingError` for an option that does not exist or lacks its value. */
export function readCommandLine(argv: readonly string[]): CommandLine {
  const { values, positionals } = parse(argv);
  const source = new Map<SettingName, Item[]>();
  for (const [name, { flag }] of settingRows) {
    const value = flag === undefined ? undefined : values[flag];
    if (value !== undefined) source.set(name, [{ text: String(value), place: `--${flag} ` }]);
  }
  const { help, version } = values;
  return { source, positionals, wants: help ? "help" : version ? "version" : undefined };
}

function readValueFile(variable: string, file: string): Item {
  try {
    return {
      text: readFileSync(file, "utf8").replace(/\r?\n$/, ""),
      place: `${variable}=${file}: `,
    };
  } catch (error) {
    throw new SettingError(`${variable}=${file}: ${(error as Error).message}`);
  }
}

/** An empty variable is as good as none [RabbitMQ]. Throws `SettingError` when a file with a value cannot be read. */
export function readEnvironment(environment: NodeJS.ProcessEnv): Source {
  const source = new Map<SettingName, Item[]>();
  for (const [name, row] of settingRows) {
    const variable = variablesOf(row).find((candidate) => environment[candidate]);
    if (variable !== undefined) {
      source.set(name, [{ text: environment[variable]!, place: `${variable}=` }]);
      continue;
    }
    const { environmentFile } = row;
    const file = environmentFile && environment[environmentFile];
    if (file) source.set(name, [readValueFile(environmentFile, file)]);
  }
  return source;
}

export interface ConfFile {
  readonly path: string;
  readonly entries: readonly ConfEntry[];
}

interface PlacedEntry extends Item {
  readonly key: readonly string[];
}

/** The last one with a key counts, within a file and from file to file [RabbitMQ]. */
function merge(files: readonly ConfFile[]): PlacedEntry[] {
  const merged = new Map<string, PlacedEntry>();
  for (const { path, entries } of files) {
    for (const { key, value, line } of entries) {
      const written = key.join(".");
      merged.set(written, { key, text: value, place: `${path}:${line}: ${written} = ` });
    }
  }
  return [...merged.values()];
}

/** What the entry says of a setting with the key `pattern`; undefined when it is of another one. */
function itemOf(pattern: string, entry: PlacedEntry): Item | "nothing" | undefined {
  const parts = pattern.split(".");
  const last = parts.at(-1)!;
  const isFamily = last === "*" || last === "NAME";
  const fixed = parts.length - (last === "FIELD" ? 2 : isFamily ? 1 : 0);
  if (entry.key.length !== parts.length) return undefined;
  if (parts.slice(0, fixed).some((part, index) => part !== entry.key[index])) return undefined;
  const { text, place, key } = entry;
  if (last === "FIELD") return { text, place, name: key.at(-2)!, field: key.at(-1)! };
  if (last !== "NAME") return entry;
  if (text === "true") return { text: key.at(-1)!, place };
  if (text === "false") return "nothing";
  throw new SettingError(`${place}${text}: allowed is true or false`);
}

/** Of several keys for one setting the last in the table is the strongest. */
export function readConfFiles(files: readonly ConfFile[]): { source: Source; notices: string[] } {
  const source = new Map<SettingName, Item[]>();
  const unread = new Set(merge(files));
  const all = [...unread];
  for (const [name, { keys = [] }] of settingRows) {
    for (const pattern of keys) {
      const found = all.flatMap((entry) => {
        const item = itemOf(pattern, entry);
        if (item === undefined) return [];
        unread.delete(entry);
        return [item];
      });
      if (found.length > 0)
        source.set(
          name,
          found.filter((item) => item !== "nothing"),
        );
    }
  }
  const withoutEffect = [...unread].filter(({ key, text }) => !isMet(key, text));
  return { source, notices: withoutEffect.map(noticeOf) };
}

function noticeOf({ key, place }: PlacedEntry): string {
  const where = place.replace(/ = $/, "");
  return isForeignKey(key)
    ? `${where} has no effect: RabbitMQ has this setting, Leveret does not`
    : `${where} has no effect: there is no setting with that name`;
}

/** The strongest source first. Throws `SettingError` when the value is none that is allowed. */
export function resolve(name: SettingName, sources: readonly Source[]): unknown {
  const { kind, default: otherwise, secret }: Setting<unknown> = settings[name];
  const items = sources.find((source) => source.has(name))?.get(name);
  if (items === undefined) return otherwise;
  if (isRecords(kind)) {
    const texts = items.map((item) => ({ ...item, name: item.name!, field: item.field! }));
    return readRecords(kind, texts, ({ place, text }, allowed) => {
      throw new SettingError(`${place}${secret ? "***" : text}: allowed is ${allowed}`);
    });
  }
  // A family of keys of which none is set to true.
  const text = items.length === 0 ? "none" : items.map((item) => item.text).join(",");
  const value = kind.parse(text);
  if (value !== undefined) return value;
  const wrong = items.find((item) => kind.parse(item.text) === undefined) ?? items[0]!;
  const shown = secret ? "***" : wrong.text;
  throw new SettingError(`${wrong.place}${shown}: allowed is ${kind.allowed}`);
}
