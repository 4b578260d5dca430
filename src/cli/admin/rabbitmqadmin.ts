/** Runs rabbitmqadmin: its options, an action of the table, and what is printed, as the generation that is called does it. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { RABBITMQ_VERSION } from "../../config.ts";
import { credentialsOf, managementOf } from "../broker-address.ts";
import { Management, ManagementError } from "../management.ts";
import type { Terminal } from "../tool.ts";
import { type AdminCall, AdminFailure, type AdminOutput } from "./action.ts";
import { actions } from "./actions.ts";
import {
  type AdminCommandLine,
  adminCommandLine,
  type Options,
  wantsHelp,
} from "./command-line.ts";
import { newer, older } from "./tables.ts";

const IO_ERROR = 74;
const CLIENT_ERROR = 65;
const SERVER_ERROR = 69;

/** `[section]` and `name = value`, of an INI file and of a TOML file as far as such a file goes. */
function configured(options: Options, environment: NodeJS.ProcessEnv): Record<string, string> {
  const given = options["config"];
  const file = String(given ?? join(environment["HOME"] ?? "", ".rabbitmqadmin.conf"));
  if (!existsSync(file)) {
    if (given === undefined) return {};
    const text = `\nERROR: Could not read config file '${file}'\n\nrabbitmqadmin --help for help\n`;
    throw new AdminFailure(1, text);
  }
  const wanted = String(options["node"] ?? "default");
  const values: Record<string, string> = {};
  let section = "";
  for (const line of readFileSync(file, "utf8").split(/\r?\n/)) {
    section = /^\s*\[(.+)\]\s*$/.exec(line)?.[1] ?? section;
    const [, name, value = ""] = /^\s*([\w-]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (name === undefined || section !== wanted) continue;
    values[name.replaceAll("_", "-")] = value.replace(/^(["'])(.*)\1$/, "$2");
  }
  return values;
}

/** Variables of the Rust program, under the names of its options. */
const variables: Readonly<Record<string, string>> = {
  hostname: "RABBITMQADMIN_TARGET_HOST",
  port: "RABBITMQADMIN_TARGET_PORT",
  "base-uri": "RABBITMQADMIN_BASE_URI",
  vhost: "RABBITMQADMIN_TARGET_VHOST",
  username: "RABBITMQADMIN_USERNAME",
  password: "RABBITMQADMIN_PASSWORD",
  "table-style": "RABBITMQADMIN_TABLE_STYLE",
};

function settled(options: Options, environment: NodeJS.ProcessEnv): Options {
  const fromEnvironment = Object.entries(variables).flatMap(([name, variable]) =>
    environment[variable] ? [[name, environment[variable]]] : [],
  );
  const all = {
    ...Object.fromEntries(fromEnvironment),
    ...configured(options, environment),
    ...options,
  };
  return all["host"] === undefined ? all : { ...all, hostname: all["host"] };
}

/** The broker's key goes only where `managementOf` says: whoever names an address is a user there. */
function managementFor(options: Options, environment: NodeJS.ProcessEnv): Management {
  const otherwise = managementOf(environment);
  const { hostname, port, "base-uri": base } = options;
  const isTls = options["ssl"] === true || options["use-tls"] === true;
  const url = new URL(base === undefined ? otherwise.url : String(base));
  const name = options["username"] ?? decodeURIComponent(url.username);
  if ([hostname, port, base].every((each) => each === undefined) && name === "" && !isTls)
    return otherwise;
  if (hostname !== undefined) {
    url.hostname = String(hostname);
    // On another machine it is where it usually is.
    if (port === undefined) url.port = "15672";
  }
  if (port !== undefined) url.port = String(port);
  if (isTls) url.protocol = "https:";
  const secret = options["password"] ?? decodeURIComponent(url.password);
  const { user, password } = credentialsOf(environment);
  return new Management(new URL(url.origin), {
    user: String(name || user),
    password: String(name === "" ? secret || password : secret),
  });
}

function usage(): string {
  const lines = actions.map(({ verb, noun, required = [], optional = {}, takesWords }) => {
    const fields = required.map((name) => `${name.replaceAll("|", "=... OR ")}=...`);
    const more = Object.keys(optional).map((name) => `${name}=...`);
    const words = takesWords ? [noun === "" ? "<file>" : "[<column>...]"] : [];
    const tail = more.length === 0 ? [] : [`[${more.join(" ")}]`];
    return `  ${[verb, noun, ...fields, ...(takesWords ? words : tail)].filter((part) => part !== "").join(" ")}\n`;
  });
  return `Usage
=====
  rabbitmqadmin [options] subcommand

  where fields are written name=value or --name value, and subcommand is one of:

${lines.join("")}
Options
=======
  -H HOST, -P PORT, -U BASE-URI, -u USERNAME, -p PASSWORD, -V VHOST
  -c CONFIG, -N NODE      a section of a configuration file
  -f FORMAT               one of table, tsv, long, kvp, bash, raw_json, pretty_json
  -S COLUMN, -R, -d DEPTH sort key, reverse, and how deep objects are shown
  --non-interactive, --table-style STYLE
  -q                      says less
`;
}

function isBrief({ depth = "1", format = "table" }: Options): boolean {
  return depth === "1" && !String(format).includes("json");
}

function sortingOf({ sort, "sort-reverse": reverse }: Options): readonly string[] {
  return [
    ...(sort !== undefined ? [`sort=${encodeURIComponent(String(sort))}`] : []),
    ...(reverse === true ? ["sort_reverse=true"] : []),
  ];
}

function printed(output: AdminOutput, { generation }: AdminCommandLine, options: Options): string {
  const quiet = options["quiet"] === true;
  if (output === undefined) return "";
  if ("text" in output) {
    const isSaid = output.isStatus !== true || (generation === 1 && !quiet);
    return isSaid ? `${output.text}\n` : "";
  }
  const bare = options["non-interactive"] === true;
  if (generation === 2 && options["format"] === undefined)
    return newer(output, bare ? "borderless" : String(options["table-style"] ?? "modern"));
  const { format = "table", depth = "1" } = options;
  return older(output, { format: String(format), depth: Number(depth), quiet });
}

/** What the API refuses, in the words of the generation. */
function refusal(error: ManagementError, { generation }: AdminCommandLine): AdminFailure {
  const { status, message, path } = error;
  if (generation === 1) {
    if (status === 0) return new AdminFailure(1, `*** Could not connect: ${message}\n`);
    if (status === 401) return new AdminFailure(1, `*** Access refused: ${path}\n`);
    if (status === 404) return new AdminFailure(1, `*** Not found: ${path}\n`);
    return new AdminFailure(1, `*** ${message}\n`);
  }
  if (status === 0) return new AdminFailure(IO_ERROR, `error: could not connect: ${message}`);
  const code = status < 500 ? CLIENT_ERROR : SERVER_ERROR;
  return new AdminFailure(code, `error: request failed with status ${status}: ${message}`);
}

async function run(line: AdminCommandLine, options: Options, terminal: Terminal): Promise<void> {
  const { action, fields, words, generation } = line;
  const vhost = options["vhost"];
  const call: AdminCall = {
    management: managementFor(options, terminal.environment),
    ...{ fields, words, generation, isBrief: isBrief(options), sorting: sortingOf(options) },
    vhost: vhost === undefined ? undefined : String(vhost),
    input: () => terminal.input(),
  };
  try {
    terminal.out(printed(await action!.run(call), line, options));
  } catch (error) {
    throw error instanceof ManagementError ? refusal(error, line) : error;
  }
}

/** Resolves with the exit code. */
export async function runAdmin(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    if (wantsHelp(argv)) {
      terminal.out(usage());
      return 0;
    }
    const line = adminCommandLine(argv);
    if (line.options["version"] === true) {
      terminal.out(`rabbitmqadmin ${RABBITMQ_VERSION}\n`);
      return 0;
    }
    if (line.action === undefined) {
      const text = "\nERROR: Action not specified\n\nrabbitmqadmin --help for help\n";
      throw new AdminFailure(1, text);
    }
    await run(line, settled(line.options, terminal.environment), terminal);
    return 0;
  } catch (error) {
    if (!(error instanceof AdminFailure)) throw error;
    terminal.error(`${error.message}\n`);
    return error.code;
  }
}
