/**
 * The log of the command line: pino's JSON for machines, or a line for people as RabbitMQ writes it.
 *
 *     2026-11-25 10:33:09.862 [info] started TCP listener on 127.0.0.1:5672
 *
 * JSON is written by a thread of the pool, so that a reader that is stuck holds up nobody. To wake it costs more than to write, so
 * lines that come one soon after the other are written together.
 */

import { type DestinationStream, type Logger, pino } from "pino";

/** What pino writes into every line. */
interface PinoLine extends Record<string, unknown> {
  readonly level: number;
  readonly time: number;
  readonly msg?: string;
}

const COLOURS: Readonly<Record<string, number>> = { debug: 90, info: 32, warn: 33, error: 31 };
/** A client chooses some of what is logged: it must not get at the terminal or forge a line. */
const CONTROL = /[\p{Cc}\u2028\u2029]/gu;

function escapeControl(text: string): string {
  return text.replace(
    CONTROL,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function fieldText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** One JSON line of pino's as a line for people. Fields that the message already names are left out. */
export function prettyLine(json: string, colour: boolean): string {
  const { level: number, time: ms, msg: message = "", ...rest } = JSON.parse(json) as PinoLine;
  const fields = Object.entries(rest)
    .map(([name, value]) => [name, fieldText(value)] as const)
    .filter(([, value]) => !message.includes(value))
    .map(([name, value]) => ` ${name}=${value}`);
  const level = pino.levels.labels[number] ?? String(number);
  const shown = colour ? `\u001b[${COLOURS[level] ?? 0}m${level}\u001b[0m` : level;
  const time = new Date(ms).toISOString().replace("T", " ").replace("Z", "");
  return `${time} [${shown}] ${escapeControl(message + fields.join(""))}\n`;
}

/** An error's own properties do not say much. */
function errorField(error: unknown): unknown {
  return error instanceof Error ? (error.stack ?? error.message) : error;
}

function prettyDestination(colour: boolean): DestinationStream {
  return { write: (json) => void process.stdout.write(prettyLine(json, colour)) };
}

/** The first line is written at once, and what follows it within this time when it is over. */
const TOGETHER_MS = 10;

class JsonOutput implements DestinationStream {
  readonly #output = pino.destination({ dest: 1, sync: false });
  #lines = "";
  #isWaiting = false;

  constructor() {
    process.on("exit", () => {
      this.flush();
      this.#output.flushSync();
    });
  }

  write(line: string): void {
    this.#lines += line;
    if (!this.#isWaiting) this.#flushAndWait();
  }

  /** Has what there is written as soon as what is being written has been. */
  flush(): void {
    if (this.#lines === "") return;
    this.#output.write(this.#lines);
    this.#lines = "";
  }

  #flushAndWait(): void {
    this.flush();
    this.#isWaiting = true;
    setTimeout(() => {
      this.#isWaiting = false;
      if (this.#lines !== "") this.#flushAndWait();
    }, TOGETHER_MS).unref();
  }
}

export function createLog(format: "json" | "pretty" | "auto"): Logger {
  const terminal = process.stdout.isTTY === true;
  const options = { base: null, serializers: { error: errorField } };
  if (format === "json" || (format === "auto" && !terminal)) return pino(options, new JsonOutput());
  const { NO_COLOR } = process.env;
  return pino(options, prettyDestination(terminal && !NO_COLOR));
}
