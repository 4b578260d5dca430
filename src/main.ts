#!/usr/bin/env node
/** The command line: starts a broker and keeps it running until it is told to stop. */

import { parseArgs } from "node:util";
import { pino } from "pino";
import { defaultSettings, version } from "./config.ts";
import { Broker } from "./index.ts";

const help = `leveret ${version}: a light message broker that speaks AMQP 0-9-1 like RabbitMQ

Usage: leveret [options]

  --port N         port for AMQP clients; 0 takes a free one and prints it   (${defaultSettings.port})
  --host H         address to listen on; 0.0.0.0 for all                     (${defaultSettings.host})
  --memory         keep everything in memory: nothing outlives the process
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
}

function parse(): CommandLine | "help" | "version" {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: String(defaultSettings.port) },
      host: { type: "string", default: defaultSettings.host },
      memory: { type: "boolean", default: false },
      "log-level": { type: "string", default: "info" },
      help: { type: "boolean", default: false },
      version: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  if (values.version) return "version";
  const port = Number(values.port);
  if (!/^\d+$/.test(values.port) || port > 65_535) {
    throw new UsageError(`--port ${values.port}: a port is a number from 0 to 65535`);
  }
  const levels = ["debug", "info", "warn", "error", "silent"];
  if (!levels.includes(values["log-level"])) {
    throw new UsageError(`--log-level ${values["log-level"]}: one of ${levels.join(", ")}`);
  }
  return { host: values.host, port, logLevel: values["log-level"] };
}

async function serve({ host, port, logLevel }: CommandLine): Promise<void> {
  const log = pino({ level: logLevel });
  const broker = await Broker.start({ host, port, log });
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
  else await serve(commandLine);
} catch (error) {
  process.stderr.write(`leveret: ${explain(error)}\n`);
  process.exitCode = 1;
}
