/**
 * The format of rabbitmq.conf: `key = value`, a line each, and comments that begin with `#`.
 *
 * What RabbitMQ 4.x takes is taken: a value in single quotes may hold `#`, any other ends before it; a dot within a part of a
 * key is written `\.`; `$(NAME)` stands for a variable of the environment. Nothing here knows what a key means.
 */

export interface ConfEntry {
  /** Its parts, without their escapes. */
  readonly key: readonly string[];
  readonly value: string;
  /** From 1. */
  readonly line: number;
}

/** A line that is none; `line` counts from 1. The text does not repeat the line, as there may be a password in it. */
export class ConfSyntaxError extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

const LINE = /^\s*((?:[\w-]|\\\.)+(?:\.(?:[\w-]|\\\.)+)*)\s*=\s*(.*)$/;
const BLANK = /^\s*(#.*)?$/;
const QUOTED = /^'([^']*)'\s*(#.*)?$/;
const VARIABLE = /\$\(([^)]*)\)/g;

function splitKey(key: string): string[] {
  return key.split(/(?<!\\)\./).map((part) => part.replaceAll("\\.", "."));
}

function readValue(text: string): string {
  const quoted = QUOTED.exec(text);
  return quoted === null ? text.replace(/#.*$/, "").trimEnd() : quoted[1]!;
}

/** Throws `ConfSyntaxError`. */
export function parseConf(content: string, environment: NodeJS.ProcessEnv): ConfEntry[] {
  const entries: ConfEntry[] = [];
  for (const [index, text] of content.split(/\r?\n/).entries()) {
    if (BLANK.test(text)) continue;
    const line = index + 1;
    const parts = LINE.exec(text);
    if (parts === null) {
      throw new ConfSyntaxError(line, "a line is KEY = VALUE, or a comment that begins with #");
    }
    const value = readValue(parts[2]!).replaceAll(VARIABLE, (_, name: string) => {
      const variable = environment[name];
      if (variable !== undefined) return variable;
      throw new ConfSyntaxError(line, `$(${name}): there is no such variable in the environment`);
    });
    if (value === "") throw new ConfSyntaxError(line, `${parts[1]} has no value`);
    entries.push({ key: splitKey(parts[1]!), value, line });
  }
  return entries;
}
