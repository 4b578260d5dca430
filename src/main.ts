#!/usr/bin/env node
/** The command line: starts a broker and keeps it running until it is told to stop. */

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { check } from "./check.ts";
import { defaultSettings, version } from "./config.ts";
import { Broker } from "./index.ts";

const help = `leveret ${version}: a light message broker that speaks AMQP 0-9-1 like RabbitMQ

Usage: leveret [options]          serves until it is told to stop
       leveret check DIR          says what is in a data folder, and whether it is sound

  --port N         port for AMQP clients; 0 takes a free one and prints it   (${defaultSettings.port})
  --host H         address to listen on; 0.0.0.0 for all                     (${defaultSettings.host})
  --data-dir DIR   folder for what outlives the process                      (./leveret-data)
  --memory         keep everything in memory: nothing outlives the process
  --sync S         when a persistent message is safe: always = on the disk,
                   os = handed to the operating system                       (always)
  --log-level L    debug, info, warn, error or silent                        (info)
  --help           this text
  --version        the version

Example: leveret --port 0 --memory
Clients connect with amqp://${defaultSettings.defaultUser}:${defaultSettings.defaultPassword}@${defaultSettings.host}:${defaultSettings.port}
`;

/** A wrong command line: one line that says what is wrong and what is allowed. */
class UsageError extends Error {}

interface CommandLine {
  readonly host: string;
  readonly port: number;
  readonly logLevel: string;
  readonly dataDir: string | undefined;
  readonly sync: "always" | "os";
}

function parse(): CommandLine | { check: string } | "help" | "version" {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      port: { type: "string", default: String(defaultSettings.port) },
      host: { type: "string", default: defaultSettings.host },
      "data-dir": { type: "string", default: "./leveret-data" },
      memory: { type: "boolean", default: false },
      sync: { type: "string", default: "always" },
      "log-level": { type: "string", default: "info" },
      help: { type: "boolean", default: false },
      version: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  if (values.version) return "version";
  if (positionals[0] === "check") {
    if (positionals.length !== 2) throw new UsageError("leveret check takes one folder");
    return { check: positionals[1]! };
  }
  if (positionals.length > 0)
    throw new UsageError(`${positionals[0]}: there is no such command; see leveret --help`);
  const port = Number(values.port);
  if (!/^\d+$/.test(values.port) || port > 65_535) {
    throw new UsageError(`--port ${values.port}: a port is a number from 0 to 65535`);
  }
  const levels = ["debug", "info", "warn", "error", "silent"];
  if (!levels.includes(values["log-level"])) {
    throw new UsageError(`--log-level ${values["log-level"]}: one of ${levels.join(", ")}`);
  }
  const { sync } = values;
  if (sync !== "always" && sync !== "os") throw new UsageError(`--sync ${sync}: always or os`);
  const dataDir = values.memory ? undefined : resolve(values["data-dir"]);
  return { host: values.host, port, logLevel: values["log-level"], dataDir, sync };
}

async function serve({ logLevel, dataDir, ...settings }: CommandLine): Promise<void> {
  const log = pino({ level: logLevel });
  const broker = await Broker.start({ ...settings, ...(dataDir && { dataDir }), log });
  process.stdout.write(
    dataDir === undefined ? "Nothing is kept: --memory\n" : `Data folder: ${dataDir}\n`,
  );
  process.stdout.write(`Leveret ${version} accepts connections at ${broker.url}\n`);
  let stopping = false;
  const stop = (): void => {
    if (stopping) process.exit(1);
    stopping = true;
    void broker.close().then(() => process.exit(0));
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
}

/** Exits with 1 when the folder is damaged. */
function checkFolder(folder: string): void {
  if (!existsSync(folder)) throw new UsageError(`${folder}: there is no such folder`);
  if (!check(folder, (line) => process.stdout.write(`${line}\n`))) process.exitCode = 1;
}

function explain(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "EADDRINUSE") return `${message}: another broker may be running; try --port 0`;
  if (code?.startsWith("ERR_PARSE_ARGS")) return `${message}\nSee leveret --help`;
  return message;
}

try {
  const commandLine = parse();
  if (commandLine === "help") process.stdout.write(help);
  else if (commandLine === "version") process.stdout.write(`${version}\n`);
  else if ("check" in commandLine) checkFolder(commandLine.check);
  else await serve(commandLine);
} catch (error) {
  process.stderr.write(`leveret: ${explain(error)}\n`);
  process.exitCode = 1;
}
