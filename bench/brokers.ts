/**
 * The brokers under test: attached to, or started as child processes and stopped again.
 *
 * Every broker listens on a port of its own, so that two can be measured alternately. Nothing is
 * ever stopped that was not started here.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "./client.ts";
import { stopProcess } from "./processes.ts";
import { RabbitMqBroker } from "./rabbitmq.ts";
import { parseBrokerUrl } from "./url.ts";

export interface Broker {
  /** Heads its columns in the result. */
  readonly name: string;
  readonly url: string;
  /** Undefined when its CPU time and memory cannot be told. */
  readonly pid: number | undefined;
  /** Resolves when connections are accepted; does nothing while it runs. */
  start(): Promise<void>;
  /** Ends its process and keeps its data, for another start. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** Ends it, and removes its data. */
  stop(): Promise<void>;
}

/** A broker somebody else runs. */
export class AttachedBroker implements Broker {
  readonly name: string;
  readonly url: string;
  readonly pid: number | undefined;

  constructor(name: string, url: string, pid: number | undefined) {
    this.name = name;
    this.url = url;
    this.pid = pid;
  }

  async start(): Promise<void> {}

  async end(): Promise<void> {
    throw new Error("a broker that was not started here is not restarted");
  }

  async stop(): Promise<void> {}
}

export interface LeveretOptions {
  readonly name: string;
  /** The compiled command line, `dist/src/main.js` of this or another build. */
  readonly main: string;
  readonly brokerArguments: readonly string[];
  /** The Node.js to run it with; this process's own when undefined. */
  readonly node?: string | undefined;
  /** Write a CPU profile into this folder whenever the broker stops. */
  readonly profileFolder?: string | undefined;
}

const READY_MS_MAX = 10_000;

/** Leveret as a child process on a free port, with a data folder that goes with it. */
export class LeveretBroker implements Broker {
  readonly name: string;
  url = "";
  readonly #options: LeveretOptions;
  #folder = "";
  #child: ChildProcess | undefined;

  constructor(options: LeveretOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    if (this.#child) return;
    const { main, profileFolder, brokerArguments, node = process.execPath } = this.#options;
    if (!existsSync(main)) throw new Error(`there is no ${main}; "npm run build" makes one`);
    if (this.#folder === "") this.#folder = mkdtempSync(join(tmpdir(), "leveret-bench-"));
    const profiling = profileFolder ? ["--cpu-prof", `--cpu-prof-dir=${profileFolder}`] : [];
    // "{data}" lets the command line name the folder without knowing it.
    const given = brokerArguments.map((argument) => argument.replace("{data}", this.#folder));
    const nodeArguments = [...profiling, main, "--port", "0", ...given];
    const env = { ...process.env, LEVERET_MANAGEMENT_PORT: "off", LEVERET_PROMETHEUS_PORT: "off" };
    const child = spawn(node, nodeArguments, {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#child = child;
    const notStarted = new Promise<never>((_, reject) => child.once("error", reject));
    // One that crashes fails its row; the next row gets a new one.
    child.once("exit", () => {
      if (this.#child === child) this.#child = undefined;
    });
    this.url = await Promise.race([announcedUrl(child), notStarted]);
  }

  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (this.#child) await stopProcess(this.#child, signal);
  }

  async stop(): Promise<void> {
    await this.end("SIGTERM");
    if (this.#folder !== "") rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = "";
  }
}

/** The first `amqp://` URL a starting broker prints. */
function announcedUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = "";
    const deadline = setTimeout(() => {
      reject(new Error(`the broker did not tell its URL in time; it printed: ${output}`));
    }, READY_MS_MAX);
    child.once("exit", (code) => {
      clearTimeout(deadline);
      reject(new Error(`the broker ended with code ${code}; it printed: ${output}`));
    });
    // Goes on reading after the URL: a full pipe would stop the broker.
    child.stdout!.on("data", (chunk: Buffer) => {
      if (output.length < 4096) output += chunk.toString();
      const port = /amqp:\/\/[^\s"']*:(\d+)(?=\D)/.exec(output)?.[1];
      if (port === undefined) return;
      clearTimeout(deadline);
      resolve(`amqp://guest:guest@127.0.0.1:${port}`);
    });
  });
}

/** `rabbitmq`, an `amqp://` URL, or the path of another Leveret build's main.js. */
export function brokerFrom(
  text: string,
  pid: number | undefined,
  brokerArguments: readonly string[],
): Broker {
  if (text === "rabbitmq") return new RabbitMqBroker();
  if (text.startsWith("amqp:")) return new AttachedBroker(text.replace(/\/\/.*@/, "//"), text, pid);
  return new LeveretBroker({ name: text, main: text, brokerArguments });
}

/** Product and version as the broker introduces itself to clients. */
export async function brokerVersion(broker: Broker): Promise<string> {
  const client = await Client.open(parseBrokerUrl(broker.url));
  await client.close();
  return client.brokerVersion;
}
