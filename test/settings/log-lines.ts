/** A log whose lines a test can wait for. */
import type { Log } from "../../src/log.ts";

export type Level = keyof Log;

export interface LogLine {
  readonly level: Level;
  readonly message: string;
  readonly fields: object;
}

export class LogLines implements Log {
  readonly lines: LogLine[] = [];
  #wake: () => void = () => undefined;

  #note(level: Level, fields: object, message: string): void {
    this.lines.push({ level, message, fields });
    this.#wake();
  }

  debug(fields: object, message: string): void {
    this.#note("debug", fields, message);
  }

  info(fields: object, message: string): void {
    this.#note("info", fields, message);
  }

  warn(fields: object, message: string): void {
    this.#note("warn", fields, message);
  }

  error(fields: object, message: string): void {
    this.#note("error", fields, message);
  }

  /** The messages so far, with ports made equal. */
  get messages(): string[] {
    return this.lines.map(({ message }) => message.replaceAll(/127\.0\.0\.1:\d+/g, "IP:PORT"));
  }

  /** Resolves with the first line that fits, there already or yet to come. */
  async line(wanted: string | RegExp): Promise<LogLine> {
    for (;;) {
      const found = this.lines.find(({ message }) =>
        typeof wanted === "string" ? message.includes(wanted) : wanted.test(message),
      );
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
