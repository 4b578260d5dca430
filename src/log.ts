/**
 * Where log lines go: the part of pino's interface that the broker uses, so that a pino logger fits as it is.
 *
 * No line is written per message; lines tell of connections, topology and trouble.
 */

/** `fields` are what a machine reads, `message` what a person reads. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

function discard(): void {}

/** A log that keeps nothing: the default of an embedded broker. */
export const silentLog: Log = { debug: discard, info: discard, warn: discard, error: discard };
