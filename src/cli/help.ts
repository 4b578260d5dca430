/** What `help` and `--help` print, and how a command is used, made from the table of commands. */

import { type Command, groups, type Tool } from "./command.ts";

const GENERAL_OPTIONS = `The following options are accepted by most or all commands.

short            | long          | description
-----------------|---------------|--------------------------------
-?               | --help        | displays command help
-n <node>        | --node <node> | connect to node <node>
-l               | --longnames   | use long host names
-t               | --timeout <n> | for commands that support it, operation timeout in seconds
-q               | --quiet       | suppress informational messages
-s               | --silent      | suppress informational messages
                                 | and table header row
-p               | --vhost       | for commands that are scoped to a virtual host,
                 |               | virtual host to use
                 | --formatter   | alternative result formatter to use
                                 | if supported: json, pretty_table, table, csv, erlang`;

export function usage(tool: Tool, { name, usage: more = "" }: Command): string {
  const line = `${tool} [--node <node>] [--longnames] [--quiet] ${name} ${more}`.trimEnd();
  return `\nUsage\n\n${line}\n`;
}

export function commandHelp(tool: Tool, command: Command): string {
  return `${usage(tool, command)}
${command.summary}.


General Options

${GENERAL_OPTIONS}
`;
}

export function toolHelp(tool: Tool, commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const sections = groups.flatMap((group) => {
    const own = commands.filter((command) => command.group === group);
    if (own.length === 0) return [];
    const lines = own
      .map(({ name, summary }) => `   ${name.padEnd(width)}  ${summary}\n`)
      .sort()
      .join("");
    return [`${group}:\n\n${lines}`];
  });
  return `
Usage

${tool} [--node <node>] [--timeout <timeout>] [--longnames] [--quiet] <command> [<command options>]

Available commands:

${sections.join("\n")}
Use '${tool} help <command>' to learn more about a specific command
`;
}

/** How far apart two words are: letters to put in, to take out or to change. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const change = row[j - 1]! + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[other.length]!;
}

/** The command that somebody meant, if it is plain. */
export function meant(name: string, commands: readonly Command[]): string | undefined {
  const near = commands
    .map((command) => [distance(name, command.name), command.name] as const)
    .sort(([one], [other]) => one - other)[0];
  return near !== undefined && near[0] <= Math.max(2, name.length / 4) ? near[1] : undefined;
}
