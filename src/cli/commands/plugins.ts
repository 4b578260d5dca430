/**
 * Plugins: what is built in runs whatever is enabled, and the file enabled_plugins is kept as RabbitMQ keeps it, so that
 * scripts that enable some go on working. Of what Leveret does not offer the user hears.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { RABBITMQ_VERSION } from "../../config.ts";
import { isBuiltIn, knownPlugins, parseEnabledPlugins } from "../../settings/plugins.ts";
import { readEnvironment } from "../../settings/sources.ts";
import { type Call, type Command, type Options, type Output, pluginTool } from "../command.ts";
import { failed, UsageFailure } from "../failure.ts";
import { ManagementError } from "../management.ts";

/** Beside rabbitmq.conf, where it is not named. */
function fileOf({ environment, options }: Call): string {
  const given = options["enabled-plugins-file"];
  if (given !== undefined) return String(given);
  const source = readEnvironment(environment);
  const named = source.get("enabledPlugins")?.[0]?.text;
  const config = source.get("config")?.[0]?.text ?? "/etc/rabbitmq";
  const folder = config.endsWith(".conf") ? dirname(config) : config;
  return named ?? join(folder, "enabled_plugins");
}

/** Those that somebody has enabled. */
function enabledIn(file: string): readonly string[] {
  let content: string;
  try {
    content = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw failed("software", `${file} cannot be read: ${(error as Error).message}`);
  }
  const names = parseEnabledPlugins(content);
  if (names === undefined) throw failed("software", `${file} is not a list of plugins`);
  return names;
}

function write(file: string, names: readonly string[]): void {
  try {
    writeFileSync(file, `[${names.join(",")}].\n`);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EACCES" && code !== "EROFS" && code !== "ENOENT") throw error;
    throw failed("software", `{:cannot_write_enabled_plugins_file, "${file}"}: ${message}`);
  }
}

/** What others cannot do without. */
const dependencies: Readonly<Record<string, readonly string[]>> = {
  rabbitmq_management: ["rabbitmq_management_agent", "rabbitmq_web_dispatch"],
  rabbitmq_web_mqtt: ["rabbitmq_mqtt", "rabbitmq_web_dispatch"],
  rabbitmq_web_stomp: ["rabbitmq_stomp", "rabbitmq_web_dispatch"],
};

function withDependencies(names: readonly string[]): readonly string[] {
  const all = names.flatMap((name) => [name, ...(dependencies[name] ?? [])]);
  return [...new Set(all)].sort();
}

async function isRunning({ management }: Call): Promise<boolean> {
  try {
    await management.get("/api/auth");
    return true;
  } catch (error) {
    if (error instanceof ManagementError) return false;
    throw error;
  }
}

interface PluginState {
  readonly name: string;
  /** `E`, `e` or a space. */
  readonly enabled: string;
  readonly running: boolean;
}

async function statesOf(call: Call): Promise<readonly PluginState[]> {
  const explicit = enabledIn(fileOf(call));
  const all = withDependencies(explicit);
  const isUp = await isRunning(call);
  return knownPlugins.map((name) => ({
    name,
    enabled: explicit.includes(name) ? "E" : all.includes(name) || isBuiltIn(name) ? "e" : " ",
    running: isUp && isBuiltIn(name),
  }));
}

function pattern({ arguments: [text = ".*"] }: Call): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw new UsageFailure("usage", `"${text}" is no regular expression`);
  }
}

const LEGEND = (node: string): string =>
  ` Configured: E = explicitly enabled; e = implicitly enabled\n | Status: * = running on ${node}\n |/`;

async function list(call: Call): Promise<Output> {
  const { options, node } = call;
  const matcher = pattern(call);
  const states = (await statesOf(call)).filter(
    ({ name, enabled }) =>
      matcher.test(name) &&
      (options["enabled"] !== true || enabled === "E") &&
      (options["implicitly-enabled"] !== true || enabled !== " "),
  );
  const width = Math.max(0, ...states.map(({ name }) => name.length));
  const lines = states.map(({ name, enabled, running }) =>
    options["minimal"] === true
      ? name
      : `[${enabled}${running ? "*" : " "}] ${name.padEnd(width)} ${RABBITMQ_VERSION}`,
  );
  const isQuiet = options["quiet"] === true || options["silent"] === true;
  const legend = isQuiet || options["minimal"] === true ? [] : [LEGEND(node)];
  const plugins = states.map(({ name, enabled, running }) => ({
    ...{ name, running, version: RABBITMQ_VERSION, running_version: RABBITMQ_VERSION },
    enabled: { E: "enabled", e: "implicit" }[enabled] ?? "not_enabled",
  }));
  return {
    text: [...legend, ...lines].join("\n"),
    json: { format: "normal", plugins, status: "running" },
  };
}

async function isEnabled(call: Call): Promise<Output> {
  const { arguments: names, node, options } = call;
  const there = (await statesOf(call)).filter(({ enabled }) => enabled !== " ");
  const missing = names.filter((name) => !there.some((state) => state.name === name));
  const where = options["offline"] === true ? "" : ` on node ${node}`;
  const subject = (list: readonly string[]): string =>
    list.length === 1 ? `Plugin ${list[0]} is` : `Plugins ${list.join(", ")} are`;
  if (missing.length === 0) return { text: `${subject(names)} enabled${where}` };
  const list = there.map(({ name }) => name).join(", ");
  const text = `${subject(missing)} not enabled${where}. Enabled plugins and dependencies: ${list}`;
  throw failed("unavailable", text);
}

function section(title: string, names: readonly string[]): readonly string[] {
  return names.length === 0 ? [] : [title, ...names.map((name) => `  ${name}`)];
}

/** What changes is said as RabbitMQ says it. Nothing has to be started for it, or could be. */
function applied(call: Call, before: readonly string[], after: readonly string[]): Output {
  const [had, has] = [withDependencies(before), withDependencies(after)];
  const more = has.filter((name) => !had.includes(name));
  const fewer = had.filter((name) => !has.includes(name));
  const isOffline = call.options["offline"] === true;
  const counts = [
    ...(isOffline && has.length > 0 ? [`set ${has.length} plugins.`] : []),
    ...(!isOffline && more.length > 0 ? [`started ${more.length} plugins.`] : []),
    ...(!isOffline && fewer.length > 0 ? [`stopped ${fewer.length} plugins.`] : []),
  ];
  const configured =
    has.length === 0
      ? ["All plugins have been disabled."]
      : section("The following plugins have been configured:", has);
  const changes = [
    ...section("The following plugins have been enabled:", more),
    ...section("The following plugins have been disabled:", fewer),
    "",
    ...counts,
    ...(isOffline ? ["Offline change; changes will take effect at broker restart."] : []),
  ];
  const isChanged = more.length > 0 || fewer.length > 0;
  return {
    text: [
      ...configured,
      `Applying plugin configuration to ${call.node}...`,
      ...(isChanged ? changes : ["Plugin configuration unchanged."]),
    ].join("\n"),
    json: { set: has, enabled: more, disabled: fewer, mode: isOffline ? "offline" : "online" },
  };
}

function change(call: Call, after: (before: readonly string[]) => readonly string[]): Output {
  const unknown = call.arguments.filter((name) => !knownPlugins.includes(name));
  if (unknown.length > 0) {
    const list = unknown.map((name) => `:${name}`).join(", ");
    throw failed("software", `{:plugins_not_found, [${list}]}`);
  }
  const file = fileOf(call);
  const before = enabledIn(file);
  const names = [...new Set(after(before))].sort();
  if (names.join() !== [...before].sort().join()) write(file, names);
  const missing = names.filter((name) => call.arguments.includes(name) && !isBuiltIn(name));
  if (missing.length > 0)
    call.warn(`Leveret does not offer ${missing.join(", ")}: nothing is started for it`);
  return applied(call, before, names);
}

function checkSome({ arguments: names, options }: Call): void {
  if (names.length === 0 && options["all"] !== true)
    throw new UsageFailure("usage", "not enough arguments.");
  if (names.length > 0 && options["all"] === true) {
    const text = '"Cannot set both --all and a list of plugins"';
    throw new UsageFailure("usage", text);
  }
}

function says(verb: string): (call: Call) => string {
  return ({ arguments: names, node, options }) =>
    options["all"] === true
      ? `${verb} ALL plugins on node ${node}`
      : [`${verb} plugins on node ${node}:`, ...names].join("\n");
}

const where: Options = { offline: "flag", online: "flag" };
const group = "Plugin Management";
const monitoring = "Monitoring, observability and health checks";

export const pluginCommands: readonly Command[] = [
  {
    name: "list",
    ...{ group, tools: pluginTool, takes: [0, 1] },
    options: { verbose: "flag", minimal: "flag", enabled: "flag", "implicitly-enabled": "flag" },
    usage: "[pattern] [--verbose] [--minimal] [--enabled] [--implicitly-enabled]",
    summary: "Lists plugins and their state",
    says: ({ arguments: [text = ".*"] }) => `Listing plugins with pattern "${text}" ...`,
    run: list,
  },
  {
    name: "enable",
    ...{ group, tools: pluginTool, takes: [0, 255], options: { ...where, all: "flag" } },
    usage: "<plugin1> [ <plugin2>] | --all [--offline] [--online]",
    summary: "Enables one or more plugins",
    check: checkSome,
    says: says("Enabling"),
    run: async (call) =>
      change(call, (before) =>
        call.options["all"] === true ? knownPlugins : [...before, ...call.arguments],
      ),
  },
  {
    name: "disable",
    ...{ group, tools: pluginTool, takes: [0, 255], options: { ...where, all: "flag" } },
    usage: "<plugin1> [ <plugin2>] | --all [--offline] [--online]",
    summary: "Disables one or more plugins",
    check: checkSome,
    says: says("Disabling"),
    run: async (call) =>
      change(call, (before) =>
        call.options["all"] === true ? [] : before.filter((name) => !call.arguments.includes(name)),
      ),
  },
  {
    name: "set",
    ...{ group, tools: pluginTool, takes: [0, 255], options: where },
    usage: "[<plugin1> [ <plugin2>]] [--offline] [--online]",
    summary: "Enables one or more plugins, disables the rest",
    says: says("Enabling"),
    run: async (call) => change(call, () => call.arguments),
  },
  {
    name: "is_enabled",
    ...{ group: monitoring, tools: pluginTool, takes: [1, 255], options: where },
    usage: "<plugin1> [ <plugin2>] [--offline] [--online]",
    summary:
      "Health check that exits with a non-zero code if provided plugins are not enabled on target node",
    says: ({ arguments: names, node }) =>
      names.length === 1
        ? `Asking node ${node} if plugin ${names[0]} is enabled...`
        : `Asking node ${node} if plugins ${names.join(", ")} are enabled...`,
    run: isEnabled,
  },
  {
    name: "directories",
    ...{ group: monitoring, tools: pluginTool, options: where },
    usage: "[--offline] [--online]",
    summary: "Displays plugin directory and enabled plugin file paths",
    says: ({ node }) => `Listing plugin directories used by node ${node}`,
    run: async (call) => {
      const file = fileOf(call);
      const archives = "(built in)";
      const text = `Plugin archives directory: ${archives}\nPlugin expansion directory: ${archives}\nEnabled plugins file: ${file}`;
      return { text, json: { enabled_plugins_file: file } };
    },
  },
];
