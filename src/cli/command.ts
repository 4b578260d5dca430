/**
 * What a command is: a row of the table from which the tools, their help and the list of tests come.
 *
 * It says what it takes, and `run` what it does: it asks the management API and answers with an output, or throws a
 * `Failure`. It prints nothing itself.
 */

import type { OperatorFile } from "../operator-file.ts";
import type { Management, Row } from "./management.ts";

export const tools = [
  ...(["rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-plugins"] as const),
  ...(["rabbitmq-queues", "rabbitmq-upgrade"] as const),
] as const;
export type Tool = (typeof tools)[number];

/** Headings of the help, in this order. */
export const groups = [
  "Help",
  "Nodes",
  "Cluster",
  "Users",
  "Access Control",
  "Monitoring, observability and health checks",
  "Parameters",
  "Policies",
  "Virtual hosts",
  "Configuration and Environment",
  "Definitions",
  "Feature flags",
  "Operations",
  "Queues",
  "Plugin Management",
] as const;
export type Group = (typeof groups)[number];

export type OptionKind = "text" | "integer" | "flag";
/** Names of options that a command has beside the general ones. */
export type Options = Readonly<Record<string, OptionKind>>;

/** Rows under columns. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
  /** A list that RabbitMQ collects before it prints it: when it is empty, it is one empty line, and `[]`. */
  readonly collected?: boolean;
  /** RabbitMQ has forgotten the heading of some. */
  readonly noHeading?: boolean;
}

/** What is printed: a text, and what `--formatter json` makes of it; `{"message": TEXT}` when that is not said. */
export interface Text {
  readonly text: string;
  readonly json?: unknown;
}

export type Output = Table | Text | undefined;

/** One call of a command. */
export interface Call {
  readonly tool: Tool;
  readonly management: Management;
  /** What the broker says of itself in its data folder. */
  readonly noted: OperatorFile | undefined;
  readonly arguments: readonly string[];
  readonly options: Readonly<Record<string, string | number | boolean>>;
  /** `--vhost`, or the one called `/`. */
  readonly vhost: string;
  /** What the node is called, in texts alone: there is no other. */
  readonly node: string;
  readonly formatter: string;
  readonly environment: NodeJS.ProcessEnv;
  /** The whole of the standard input. */
  input(): Promise<string>;
  /** Prints a line at once: of a command that takes its time. */
  say(line: string): void;
  /** Prints a line on the standard error: what the user should know, and no failure. */
  warn(line: string): void;
  /** What another command of the tool prints, for that virtual host. */
  also(name: string, vhost: string): Promise<string>;
  /** The help for a command, or for the tool. */
  help(name: string | undefined): string;
  /** For how long something has been waited for. */
  nowMs(): number;
  /** Until it is time to look again. */
  pause(): Promise<void>;
  /** `--timeout` in milliseconds. */
  timeoutMs(otherwiseMs: number): number;
}

export interface Command {
  readonly name: string;
  readonly group: Group;
  readonly tools: readonly Tool[];
  /** What stands after the name in the help. */
  readonly usage?: string;
  readonly summary: string;
  readonly options?: Options;
  /** How many arguments it takes; none when absent. */
  readonly takes?: readonly [least: number, most: number];
  /** Throws a `UsageFailure` before anything is said or done. */
  readonly check?: (call: Call) => void;
  /** What is said before it runs, unless it is to be quiet. */
  readonly says?: (call: Call) => string | undefined;
  readonly run: (call: Call) => Promise<Output>;
}

export const both: readonly Tool[] = ["rabbitmqctl", "rabbitmq-diagnostics"];
export const control: readonly Tool[] = ["rabbitmqctl"];
export const diagnostics: readonly Tool[] = ["rabbitmq-diagnostics"];
export const pluginTool: readonly Tool[] = ["rabbitmq-plugins"];
export const everywhere: readonly Tool[] = tools;
