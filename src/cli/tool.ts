/**
 * Runs one command of one tool: finds it in the table, checks what it was given, says what it does, runs it and prints what
 * comes of it. Ends with RabbitMQ's exit codes.
 *
 * What is printed is the caller's: nothing here knows a process.
 */

import { managementOf, nodeName, operatorFileOf } from "./broker-address.ts";
import type { Call, Command, Tool } from "./command.ts";
import { commands } from "./commands.ts";
import { exitCodes, Failure, failed, UsageFailure } from "./failure.ts";
import { formatted, isFormatter, saysMore } from "./formatters.ts";
import { commandHelp, meant, toolHelp, usage } from "./help.ts";
import { commandName, hasFlag, type Invocation, invocation } from "./invocation.ts";
import { ManagementError } from "./management.ts";

const TIMEOUT_UNLIMITED_MS = Number.POSITIVE_INFINITY;

export interface Terminal {
  readonly environment: NodeJS.ProcessEnv;
  out(text: string): void;
  error(text: string): void;
  input(): Promise<string>;
  nowMs(): number;
  pause(): Promise<void>;
}

export function commandsOf(tool: Tool): readonly Command[] {
  return commands.filter((command) => command.tools.includes(tool));
}

function notFound(tool: Tool, name: string): Failure {
  const all = commandsOf(tool);
  const suggestion = meant(name, all);
  const more = suggestion === undefined ? toolHelp(tool, all) : `Did you mean '${suggestion}'? \n`;
  return new Failure("usage", `\nCommand '${name}' not found. \n${more}`);
}

function find(tool: Tool, name: string): Command {
  const found = commandsOf(tool).find((command) => command.name === name);
  if (found === undefined) throw notFound(tool, name);
  return found;
}

function timeoutMs(options: Invocation["options"], otherwiseMs: number): number {
  const text = options["timeout"];
  if (text === undefined) return otherwiseMs;
  if (text === "infinity") return TIMEOUT_UNLIMITED_MS;
  if (!/^\d+(\.\d+)?$/.test(String(text)))
    throw new UsageFailure("usage", `Invalid options for this command:\n--timeout : ${text}`);
  return Number(text) * 1000;
}

function callOf(tool: Tool, { arguments: given, options }: Invocation, terminal: Terminal): Call {
  const { environment } = terminal;
  const formatter = String(options["formatter"] ?? "table");
  if (!isFormatter(formatter))
    throw new UsageFailure("usage", `there is no formatter '${formatter}'`);
  const call: Call = {
    tool,
    management: managementOf(environment),
    noted: operatorFileOf(environment),
    arguments: given,
    options,
    vhost: String(options["vhost"] ?? "/"),
    node: nodeName(options["node"] as string | undefined, environment),
    formatter,
    environment,
    input: () => terminal.input(),
    say: (line) => terminal.out(`${line}\n`),
    warn: (line) => terminal.error(`${line}\n`),
    also: (name, vhost) => printed(find(tool, name), { ...call, vhost, arguments: [] }),
    help: (name) => helpFor(tool, name),
    nowMs: () => terminal.nowMs(),
    pause: () => terminal.pause(),
    timeoutMs: (otherwiseMs) => timeoutMs(options, otherwiseMs),
  };
  return call;
}

function helpFor(tool: Tool, name: string | undefined): string {
  if (name === undefined) return toolHelp(tool, commandsOf(tool)).trimEnd();
  const found = commandsOf(tool).find((command) => command.name === name);
  if (found === undefined) throw failed("usage", `\nCommand '${name}' not found.`);
  return commandHelp(tool, found).trimEnd();
}

/** All that the command prints, as a table. */
async function printed(command: Command, call: Call): Promise<string> {
  const output = formatted(await command.run(call), { formatter: "table", heading: true });
  return `${command.says?.(call) ?? ""}\n${output}`;
}

/** Throws a `UsageFailure`. */
function check({ takes: [least, most] = [0, 0], check: more }: Command, call: Call): void {
  if (call.arguments.length < least) throw new UsageFailure("usage", "not enough arguments.");
  if (call.arguments.length > most) throw new UsageFailure("usage", "too many arguments.");
  more?.(call);
}

async function runCommand(command: Command, call: Call, terminal: Terminal): Promise<void> {
  const { options, formatter } = call;
  const silent = options["silent"] === true;
  const quiet = silent || options["quiet"] === true;
  check(command, call);
  const banner = quiet || !saysMore(formatter) ? undefined : command.says?.(call);
  if (banner !== undefined) terminal.out(`${banner}\n`);
  const heading = !silent && options["no-table-headers"] !== true;
  terminal.out(formatted(await command.run(call), { formatter, heading }));
}

function unreachable(node: string, error: ManagementError, url: URL): string {
  const why =
    error.status === 401
      ? `the management API at ${url.origin} refuses this user: ${error.message}`
      : `the management API at ${url.origin} does not answer: ${error.message}`;
  return `Error: unable to perform an operation on node '${node}'. Please see diagnostics information and suggestions below.

Most common reasons for this are:

 * Target node is not running
 * Its management API is off, or at another port: LEVERET_MANAGEMENT_URL says where it is
 * CLI tool fails to authenticate with the server: LEVERET_MANAGEMENT_USER and LEVERET_MANAGEMENT_PASSWORD say as whom

DIAGNOSTICS
===========

attempted to contact: [${node}]

${node}:
  * ${why}
`;
}

function argumentsError(
  tool: Tool,
  command: Command,
  argv: readonly string[],
  { heading, message }: UsageFailure,
): string {
  const given = `Arguments given:\n\t${argv.join(" ")}`;
  return `${heading}: ${message}\n${given}\n${usage(tool, command)}`;
}

/** Without a command: help, or the version. */
function withoutCommand(tool: Tool, argv: readonly string[], terminal: Terminal): Promise<number> {
  if (hasFlag(argv, "version")) return runTool(tool, ["version"], terminal);
  const text = toolHelp(tool, commandsOf(tool));
  if (hasFlag(argv, "help")) {
    terminal.out(text);
    return Promise.resolve(0);
  }
  terminal.error(text);
  return Promise.resolve(exitCodes.usage);
}

/** Resolves with the exit code. */
export async function runTool(
  tool: Tool,
  argv: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const name = commandName(argv);
  if (name === undefined) return withoutCommand(tool, argv, terminal);
  let command: Command | undefined;
  let call: Call | undefined;
  try {
    command = find(tool, name);
    const called = invocation(argv, command.options ?? {});
    if (called.options["help"] === true) {
      terminal.out(commandHelp(tool, command));
      return 0;
    }
    call = callOf(tool, called, terminal);
    await runCommand(command, call, terminal);
    return 0;
  } catch (error) {
    if (error instanceof UsageFailure && command !== undefined) {
      terminal.error(argumentsError(tool, command, argv, error));
      return exitCodes[error.code];
    }
    if (error instanceof Failure) {
      terminal.error(`${error.message}\n`);
      return exitCodes[error.code];
    }
    if (!(error instanceof ManagementError) || call === undefined) throw error;
    const isThere = error.status !== 0 && error.status !== 401;
    const text = isThere
      ? `Error:\n${error.message}\n`
      : unreachable(call.node, error, call.management.url);
    terminal.error(text);
    return exitCodes.unavailable;
  }
}
