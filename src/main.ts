#!/usr/bin/env node
/** The command line: starts a broker and keeps it running until it is told to stop. */

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { setFlagsFromString } from "node:v8";
import { version } from "./config.ts";
import type { Broker } from "./index.ts";
import { removeOperatorFile, writeOperatorFile } from "./operator-file.ts";
import { type CommandLine, readCommandLine, SettingError } from "./settings/sources.ts";

/** What clients connect with; a password is shown only when everybody knows it. */
function shownUrl(url: string): string {
  return url.replace(/:([^:@/]*)@/, (known, password) => (password === "guest" ? known : ":***@"));
}

/** For the command-line tools. That it cannot be written is no reason not to serve. */
function noteOperator(dataDir: string, key: string, broker: Broker): void {
  const { managementUrl: management, listeners } = broker;
  try {
    const content = { pid: process.pid, key, listeners, ...(management && { management }) };
    writeOperatorFile(dataDir, content);
  } catch (error) {
    const { message } = error as Error;
    process.stderr.write(`leveret: the command-line tools will need a user: ${message}\n`);
  }
}

/** As soon as the process is there, before it serves [RabbitMQ]. */
function writePidFile(file: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${process.pid}\n`);
}

/**
 * Keeps the space for new objects as small as it is at the start. V8 makes it sixteen times as large when many stay, as those of
 * connections do, and never smaller while there is work; what messages are made of is not in it.
 */
function keepYoungGenerationSmall(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
}

async function serve(commandLine: CommandLine): Promise<void> {
  keepYoungGenerationSmall();
  const [{ loadSettings }, { createLog }, { Broker: Embedded }] = await Promise.all([
    import("./settings/load.ts"),
    import("./log-output.ts"),
    import("./index.ts"),
  ]);
  const { settings, plugins, files, notices } = loadSettings(commandLine, process.env);
  const { logFormat, logLevel, memory, pidFile } = settings;
  if (pidFile !== undefined) writePidFile(pidFile);
  const log = createLog(logFormat);
  // How it starts is said at every level, because people and tools wait for it.
  log.level = logLevel === "silent" || logLevel === "debug" ? logLevel : "info";
  log.info(`Starting Leveret ${version} on Node.js ${process.version}`);
  for (const file of files) log.info(`configuration file: ${file}`);
  for (const notice of notices) log.warn(notice);
  const dataDir = memory ? undefined : resolve(settings.dataDir);
  log.info(dataDir === undefined ? "nothing is kept: --memory" : `data folder: ${dataDir}`);
  const operatorKey = randomBytes(32).toString("base64url");
  const broker = await Embedded.start({
    ...settings,
    operatorKey,
    ...{ dataDir, log, configFiles: files, plugins: plugins.builtIn },
  });
  // Before anybody can know that it is there, and end it.
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1);
    stopping = true;
    if (dataDir !== undefined) removeOperatorFile(dataDir);
    if (pidFile !== undefined) rmSync(pidFile, { force: true });
    log.info(`${signal} received: shutting down; a second one ends it at once`);
    broker.close().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ error }, "the broker could not be closed in order");
        process.exit(1);
      },
    );
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);

  if (dataDir !== undefined) noteOperator(dataDir, operatorKey, broker);
  const count = plugins.builtIn.length;
  log.info(`Leveret ${version} accepts connections at ${shownUrl(broker.url)}`);
  log.info(`Starting broker... completed with ${count} plugins.`);
  log.info({ plugins: plugins.builtIn }, `Server startup complete; ${count} plugins started.`);
  log.flush();
  log.level = logLevel;
}

/** Exits with 1 when the folder is damaged. */
async function checkFolder(folder: string): Promise<void> {
  if (!existsSync(folder)) throw new SettingError(`${folder}: there is no such folder`);
  const { check } = await import("./check.ts");
  if (!check(folder, (line) => process.stdout.write(`${line}\n`))) process.exitCode = 1;
}

async function run(): Promise<void> {
  const commandLine = readCommandLine(process.argv.slice(2));
  const { wants, positionals } = commandLine;
  const [command, folder, ...more] = positionals;
  if (wants === "help") {
    const { helpText } = await import("./settings/help.ts");
    process.stdout.write(helpText());
  } else if (wants === "version") {
    process.stdout.write(`${version}\n`);
  } else if (command === undefined) {
    await serve(commandLine);
  } else if (command !== "check") {
    throw new SettingError(`${command}: there is no such command; see leveret --help`);
  } else if (folder === undefined || more.length > 0) {
    throw new SettingError("leveret check takes one folder");
  } else {
    await checkFolder(folder);
  }
}

function explain(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "EADDRINUSE")
    return `${message}: another broker may be running; try --port 0 --management-port 0 --prometheus-port 0`;
  if (code === "EACCES") return `${message}: the user who runs this may not`;
  return message;
}

try {
  await run();
} catch (error) {
  process.stderr.write(`leveret: ${explain(error)}\n`);
  process.exitCode = 1;
}
