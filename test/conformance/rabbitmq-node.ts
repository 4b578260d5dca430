/**
 * A RabbitMQ of its own for the conformance tests, when CONFORMANCE_BROKER=rabbitmq asks for one: the
 * reference they are checked against. It needs Debian's package rabbitmq-server to be installed, not running.
 *
 * The node shares nothing with another RabbitMQ on the machine: its name, ports, folders, Erlang cookie and
 * port mapper (epmd) are its own. After the run exactly these two processes are stopped and the folder
 * is removed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, connect as tcpConnect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const START_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 20_000;

/** The management API for what only an administrator can do, and the exchange types that come with RabbitMQ. */
const PLUGINS = [
  "rabbitmq_management",
  "rabbitmq_consistent_hash_exchange",
  "rabbitmq_random_exchange",
  "rabbitmq_recent_history_exchange",
  "rabbitmq_sharding",
];

/** Vitest calls this before the first test file, and what it returns after the last. */
export async function setup(): Promise<(() => Promise<void>) | undefined> {
  const { CONFORMANCE_BROKER: wanted } = process.env;
  if (wanted === undefined || wanted === "") return undefined;
  if (wanted !== "rabbitmq")
    throw new Error(`CONFORMANCE_BROKER=${wanted}: only rabbitmq is known`);
  if (!isRabbitMQInstalled())
    throw new Error(`${SERVER} is missing: install Debian's rabbitmq-server`);
  const node = await startRabbitMQ();
  Object.assign(process.env, { BROKER_URL: node.url, MANAGEMENT_URL: node.managementUrl });
  return node.stop;
}

export interface RabbitMQNode {
  readonly url: string;
  readonly managementUrl: string;
  stop(): Promise<void>;
}

export function isRabbitMQInstalled(): boolean {
  return existsSync(SERVER);
}

/** A node of its own, ready for clients; to be stopped by whoever started it. */
export async function startRabbitMQ(): Promise<RabbitMQNode> {
  const folder = await mkdtemp(join(tmpdir(), "conformance-rabbitmq-"));
  const ports = await freePorts();
  const { amqpPort, managementPort, epmdPort } = ports;
  const environment = await prepare(folder, ports);
  const epmd = start("epmd", ["-port", String(epmdPort), "-address", "127.0.0.1"], environment);
  await untilAccepts(epmd, epmdPort, async () => "epmd does not start");
  const server = start(SERVER, [], environment);
  const stopAll = async () => {
    await stop(server);
    await stop(epmd);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await untilAccepts(server, amqpPort, () => lastLog(folder));
    await untilAccepts(server, managementPort, () => lastLog(folder));
  } catch (error) {
    await stopAll();
    throw error;
  }
  return {
    url: `amqp://guest:guest@127.0.0.1:${amqpPort}`,
    managementUrl: `http://guest:guest@127.0.0.1:${managementPort}`,
    stop: stopAll,
  };
}

interface Ports {
  amqpPort: number;
  managementPort: number;
  distPort: number;
  epmdPort: number;
}

async function prepare(folder: string, ports: Ports): Promise<NodeJS.ProcessEnv> {
  await mkdir(join(folder, "log"));
  const settings = [
    "log.console = false",
    "management.tcp.ip = 127.0.0.1",
    `management.tcp.port = ${ports.managementPort}`,
  ];
  await writeFile(join(folder, "rabbitmq.conf"), `${settings.join("\n")}\n`);
  await writeFile(join(folder, "enabled_plugins"), `[${PLUGINS.join()}].\n`);
  const { PATH } = process.env;
  return {
    PATH,
    // The Erlang cookie lies in the home folder.
    HOME: folder,
    RABBITMQ_NODENAME: `conformance-${ports.amqpPort}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: String(ports.amqpPort),
    RABBITMQ_DIST_PORT: String(ports.distPort),
    ERL_EPMD_PORT: String(ports.epmdPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_MNESIA_BASE: join(folder, "mnesia"),
    RABBITMQ_LOG_BASE: join(folder, "log"),
    RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq.conf"),
    RABBITMQ_CONF_ENV_FILE: join(folder, "rabbitmq-env.conf"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
    RABBITMQ_PID_FILE: join(folder, "pid"),
  };
}

/** A process group of its own: the server's script has the Erlang machine as a child. */
function start(command: string, args: string[], env: NodeJS.ProcessEnv): ChildProcess {
  const child = spawn(command, args, { env, stdio: "ignore", detached: true });
  // Should the run itself break down, nothing stays behind.
  process.once("exit", () => {
    if (isRunning(child)) process.kill(-child.pid, "SIGKILL");
  });
  return child;
}

function isRunning(child: ChildProcess): child is ChildProcess & { pid: number } {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

async function stop(child: ChildProcess): Promise<void> {
  if (!isRunning(child)) return;
  const exited = once(child, "exit");
  // The group at once: the script waits for the machine, and the machine stops in an orderly way.
  process.kill(-child.pid, "SIGTERM");
  const timer = setTimeout(() => process.kill(-child.pid, "SIGKILL"), STOP_DEADLINE_MS);
  await exited;
  clearTimeout(timer);
}

async function untilAccepts(
  child: ChildProcess,
  port: number,
  explain: () => Promise<string>,
): Promise<void> {
  const end = Date.now() + START_DEADLINE_MS;
  while (!(await accepts(port))) {
    if (!isRunning(child) || Date.now() > end) {
      throw new Error(`nothing listens on port ${port}: ${await explain()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = tcpConnect(port, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

async function lastLog(folder: string): Promise<string> {
  const [file] = await readdir(join(folder, "log"));
  if (file === undefined) return "it wrote no log";
  return (await readFile(join(folder, "log", file), "utf8")).slice(-2_000);
}

async function freePorts(): Promise<Ports> {
  // All are held at once, so that no two are the same.
  const servers = [createServer(), createServer(), createServer(), createServer()];
  const ports: number[] = [];
  for (const server of servers) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address !== null && typeof address === "object") ports.push(address.port);
  }
  for (const server of servers) {
    server.close();
    await once(server, "close");
  }
  const [amqpPort, managementPort, distPort, epmdPort] = ports as [number, number, number, number];
  return { amqpPort, managementPort, distPort, epmdPort };
}
