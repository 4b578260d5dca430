/**
 * RabbitMQ from Debian's package, as a node of its own: own name, own port mapper, free ports,
 * temporary folders, the package's default settings otherwise and no plugins.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Broker } from "./brokers.ts";
import { Client } from "./client.ts";
import { stopProcess } from "./processes.ts";
import { parseBrokerUrl } from "./url.ts";

/** The script itself: Debian's wrapper around it insists on the service's user and folders. */
const SERVER_SCRIPT = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const READY_MS_MAX = 90_000;
const POLL_MS = 50;

export class RabbitMqBroker implements Broker {
  readonly name = "RabbitMQ";
  url = "";
  pid: number | undefined;
  #folder = "";
  #portMapper: ChildProcess | undefined;
  #server: ChildProcess | undefined;

  async start(): Promise<void> {
    if (this.#server) return;
    if (!existsSync(SERVER_SCRIPT)) {
      throw new Error("RabbitMQ is not installed; on Debian: apt-get install rabbitmq-server");
    }
    if (this.#folder === "") this.#folder = mkdtempSync(join(tmpdir(), "rabbitmq-bench-"));
    const [port, distributionPort, mapperPort] = await freePorts(3);
    const environment = this.#environment(port!, distributionPort!, mapperPort!);
    // Started here, because one that the node starts would outlive it.
    this.#portMapper = spawn("epmd", ["-port", `${mapperPort}`], {
      env: environment,
      stdio: "ignore",
    });
    this.#server = spawn(SERVER_SCRIPT, [], {
      cwd: this.#folder,
      env: environment,
      stdio: "ignore",
    });
    this.url = `amqp://guest:guest@127.0.0.1:${port}`;
    await this.#untilReady();
    this.pid = Number(readFileSync(join(this.#folder, "pid"), "utf8"));
  }

  #environment(port: number, distributionPort: number, mapperPort: number): NodeJS.ProcessEnv {
    const inFolder = (name: string): string => join(this.#folder, name);
    mkdirSync(inFolder("log"), { recursive: true });
    writeFileSync(inFolder("rabbitmq.conf"), "log.console = false\n");
    writeFileSync(inFolder("enabled_plugins"), "[].\n");
    return {
      ...process.env,
      HOME: this.#folder,
      ERL_EPMD_PORT: `${mapperPort}`,
      ERL_EPMD_ADDRESS: "127.0.0.1",
      RABBITMQ_NODENAME: `leveret-bench-${process.pid}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
      RABBITMQ_NODE_PORT: `${port}`,
      RABBITMQ_DIST_PORT: `${distributionPort}`,
      RABBITMQ_MNESIA_BASE: inFolder("mnesia"),
      RABBITMQ_LOG_BASE: inFolder("log"),
      RABBITMQ_CONFIG_FILE: inFolder("rabbitmq.conf"),
      RABBITMQ_ENABLED_PLUGINS_FILE: inFolder("enabled_plugins"),
      RABBITMQ_PID_FILE: inFolder("pid"),
    };
  }

  /** Ready is who answers on the AMQP port; nothing earlier tells it reliably. */
  async #untilReady(): Promise<void> {
    const deadline = Date.now() + READY_MS_MAX;
    for (;;) {
      if (this.#server!.exitCode !== null) throw new Error("RabbitMQ ended while starting");
      try {
        const client = await Client.open(parseBrokerUrl(this.url));
        return await client.close();
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await sleep(POLL_MS);
      }
    }
  }

  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    // The script waits for the node, which is what holds the data.
    if (signal === "SIGKILL" && this.pid !== undefined) process.kill(this.pid, signal);
    if (this.#server) await stopProcess(this.#server);
    if (this.#portMapper) await stopProcess(this.#portMapper);
    this.#server = undefined;
    this.#portMapper = undefined;
    this.pid = undefined;
  }

  async stop(): Promise<void> {
    await this.end("SIGTERM");
    if (this.#folder !== "") rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = "";
  }
}

/** All held at once, so that they differ; free again when this resolves. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (address !== null && typeof address === "object") ports.push(address.port);
  }
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  return ports;
}
