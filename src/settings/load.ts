/**
 * All settings of a process: flags before the environment before files before defaults.
 *
 * It reads files, and it says in `notices` what it found that has no effect. What is wrong is a `SettingError`.
 */

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { readErlangArguments } from "./erlang-arguments.ts";
import { foreignVariables } from "./known-keys.ts";
import { type Plugins, parseEnabledPlugins, sortPlugins } from "./plugins.ts";
import { ConfSyntaxError, parseConf } from "./rabbitmq-conf.ts";
import {
  type CommandLine,
  type ConfFile,
  readConfFiles,
  readEnvironment,
  resolve,
  SettingError,
  type Source,
} from "./sources.ts";
import { type AllSettings, settingRows } from "./table.ts";

export interface Loaded {
  readonly settings: AllSettings;
  readonly plugins: Plugins;
  /** The files that were read, in their order. */
  readonly files: readonly string[];
  /** For the log, a line each: what has no effect, and why. */
  readonly notices: readonly string[];
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** The main file, if there is one, and the folder it is in. */
function mainFile(config: string): { file: string | undefined; folder: string } {
  if (isFolder(config)) {
    const file = join(config, "rabbitmq.conf");
    return { file: existsSync(file) ? file : undefined, folder: config };
  }
  // RabbitMQ lets the ending be left out.
  const file = [config, `${config}.conf`].find((path) => existsSync(path));
  if (file === undefined)
    throw new SettingError(`${config}: there is no such file to configure from`);
  return { file, folder: dirname(file) };
}

function confFilesIn(folder: string): string[] {
  if (!isFolder(folder)) return [];
  const names = readdirSync(folder).filter((name) => name.endsWith(".conf"));
  return names.sort().map((name) => join(folder, name));
}

function readConfFile(path: string, environment: NodeJS.ProcessEnv): ConfFile {
  try {
    return { path, entries: parseConf(readFileSync(path, "utf8"), environment) };
  } catch (error) {
    if (error instanceof ConfSyntaxError)
      throw new SettingError(`${path}:${error.line}: ${error.message}`);
    throw new SettingError((error as Error).message);
  }
}

function readPlugins(
  file: string | undefined,
  environment: NodeJS.ProcessEnv,
): { plugins: Plugins; notices: string[] } {
  const { RABBITMQ_ENABLED_PLUGINS } = environment;
  const names = new Set(RABBITMQ_ENABLED_PLUGINS ? RABBITMQ_ENABLED_PLUGINS.split(",") : []);
  if (file !== undefined && existsSync(file)) {
    const listed = parseEnabledPlugins(readFileSync(file, "utf8"));
    if (listed === undefined)
      throw new SettingError(
        `${file}: allowed is an Erlang list of names, such as [rabbitmq_management].`,
      );
    for (const name of listed) names.add(name);
  }
  const plugins = sortPlugins([...names]);
  const notices = plugins.notOffered.map((name) => `plugin ${name} is not offered by this version`);
  return { plugins, notices };
}

function variableNotices(environment: NodeJS.ProcessEnv): string[] {
  return Object.entries(foreignVariables)
    .filter(([name]) => environment[name] && environment[name] !== "-")
    .map(([name, instead]) => `${name} has no effect: ${instead}`);
}

export function loadSettings(commandLine: CommandLine, environment: NodeJS.ProcessEnv): Loaded {
  const typed: Source[] = [commandLine.source, readEnvironment(environment)];
  const config = resolve("config", typed) as AllSettings["config"];
  const more = resolve("moreConfig", typed) as AllSettings["moreConfig"];
  const { file, folder } = config === undefined ? {} : mainFile(config);
  const moreFolder = more?.replace(/[/\\]\*\.conf$/, "") ?? (folder && join(folder, "conf.d"));
  const files = [
    ...(file === undefined ? [] : [file]),
    ...(moreFolder === undefined ? [] : confFilesIn(moreFolder)),
  ];
  const conf = readConfFiles([
    ...files.map((path) => readConfFile(path, environment)),
    ...readErlangArguments(environment),
  ]);
  const sources = [...typed, conf.source];
  const settings = Object.fromEntries(
    settingRows.map(([name]) => [name, resolve(name, sources)]),
  ) as AllSettings;
  const beside = folder && join(folder, "enabled_plugins");
  const { plugins, notices } = readPlugins(settings.enabledPlugins ?? beside, environment);
  return {
    settings,
    plugins,
    files,
    notices: [...conf.notices, ...variableNotices(environment), ...notices],
  };
}
