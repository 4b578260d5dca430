/**
 * What an action of rabbitmqadmin is: a row of the table that both of its grammars share. The older one, RabbitMQ's Python
 * script, writes `declare queue name=q`, the newer one, RabbitMQ's Rust program, `declare queue --name q`.
 */

import type { Management, Row } from "../management.ts";

/** 1: the Python script's; 2: the Rust program's. */
export type Generation = 1 | 2;

export type Fields = Readonly<Record<string, unknown>>;

export interface AdminCall {
  readonly management: Management;
  /** What was given, with what is assumed for the rest. Names are in snake case. */
  readonly fields: Fields;
  /** That of `--vhost`, or undefined. */
  readonly vhost: string | undefined;
  /** What is on the command line beside: columns, a file. */
  readonly words: readonly string[];
  readonly generation: Generation;
  /** Whether some columns are enough where none were asked for: not in JSON, nor where objects are shown in depth. */
  readonly isBrief: boolean;
  /** Parts of a query that sort a list. */
  readonly sorting: readonly string[];
  input(): Promise<string>;
}

/** Rows, one text, or nothing but what the older generation says of everything: `queue declared`. */
export type AdminOutput =
  | {
      readonly rows: readonly Row[];
      readonly columns?: readonly string[];
      readonly json?: readonly string[];
    }
  | { readonly text: string; readonly isStatus?: boolean }
  | undefined;

export interface Action {
  readonly verb: string;
  /** Empty where the older grammar has none: `publish`, `get`, `export`, `import`. */
  readonly noun: string;
  /** Without which it cannot be done; of `a|b` one is enough. */
  readonly required?: readonly string[];
  /** Others, and what is assumed for them. */
  readonly optional?: Readonly<Record<string, unknown>>;
  /** What the newer generation assumes of what is required. */
  readonly assumed?: Readonly<Record<string, unknown>>;
  /** Those that are JSON. */
  readonly json?: readonly string[];
  /** Whether words may follow. */
  readonly takesWords?: boolean;
  readonly run: (call: AdminCall) => Promise<AdminOutput>;
}

/** Ends rabbitmqadmin with this exit code; `message` is for the standard error. */
export class AdminFailure extends Error {
  override readonly name = "AdminFailure";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
