/** Checks that exit with 0 when all is well, for health checks of containers and orchestrators. */

import { connect } from "node:net";
import { both, type Call, type Command, diagnostics, type Output } from "../command.ts";
import { badArgument, Failure, failed, UsageFailure } from "../failure.ts";
import { connectableAddress, type Listener, listeners, protocolOf } from "../listeners.ts";
import { ManagementError, type Row } from "../management.ts";

const CONNECT_TIMEOUT_MS = 3000;

/** Whoever it is that asks: a broker that refuses a user is there. */
async function ping(call: Call): Promise<Output> {
  if (await isThere(call)) return { text: "Ping succeeded" };
  const text = `Failed to connect and authenticate to ${call.node} in ${call.timeoutMs(60_000)} ms`;
  throw failed("unavailable", text);
}

/** Where the management API is off, the ports for AMQP are asked. */
export async function isThere(call: Call): Promise<boolean> {
  const { management, noted } = call;
  if (noted !== undefined && noted.management === undefined)
    return (await Promise.all((await listeners(call)).map(canConnect))).includes(true);
  try {
    await management.get("/api/auth");
    return true;
  } catch (error) {
    if (error instanceof ManagementError) return false;
    throw error;
  }
}

async function isReady({ management }: Call): Promise<boolean> {
  try {
    await management.get("/api/health/checks/ready-to-serve-clients");
    return true;
  } catch (error) {
    if (error instanceof ManagementError && error.status === 503) return false;
    throw error;
  }
}

function running(node: string): string {
  return `RabbitMQ on node ${node} is fully booted and running`;
}

function notRunning(node: string): string {
  return `RabbitMQ on node ${node} is not running or has not fully booted yet (check with is_booting)`;
}

function canConnect({ interface: on, port }: Listener): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, connectableAddress(on));
    const end = (isConnected: boolean): void => {
      socket.destroy();
      resolve(isConnected);
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => end(false));
    socket.on("error", () => end(false));
    socket.on("connect", () => end(true));
  });
}

function portsOf(all: readonly Listener[]): string {
  const ports = new Set(all.map(({ port }) => port));
  return [...ports].sort((one, other) => one - other).join(", ");
}

async function checkPortConnectivity(call: Call): Promise<Output> {
  const { node } = call;
  const address = call.options["address"];
  const all = (await listeners(call)).map((listener) =>
    address === undefined ? listener : { ...listener, interface: String(address) },
  );
  const connected = await Promise.all(all.map(canConnect));
  const closed = all.filter((_, index) => !connected[index]);
  if (closed.length > 0) {
    const text = `Connection attempts to some ports failed on node ${node}: ${portsOf(closed)}`;
    throw failed("unavailable", text);
  }
  return { text: `Successfully connected to ports ${portsOf(all)} on node ${node}.` };
}

const alarmTexts = { memory: "Memory alarm", disk: "Free disk space alarm" } as const;
type Resource = keyof typeof alarmTexts;

/** The resources that run low. */
export async function alarms({ management }: Call): Promise<readonly Resource[]> {
  const [node] = (await management.list("/api/nodes")) as readonly [Row];
  return [
    ...(node["mem_alarm"] === true ? (["memory"] as const) : []),
    ...(node["disk_free_alarm"] === true ? (["disk"] as const) : []),
  ];
}

export function alarmLine(resource: Resource, node: string): string {
  return `${alarmTexts[resource]} on node ${node}`;
}

async function checkAlarms(call: Call, none: string): Promise<Output> {
  const low = await alarms(call);
  if (low.length > 0)
    throw failed("unavailable", low.map((each) => alarmLine(each, call.node)).join("\n"));
  return { text: none, json: { result: "ok" } };
}

async function listAlarms(call: Call): Promise<Output> {
  const { node } = call;
  const low = await alarms(call);
  const none = `Node ${node} reported no alarms, local or clusterwide`;
  return {
    text: low.length === 0 ? none : low.map((each) => alarmLine(each, node)).join("\n"),
    json: { alarms: low.map((resource) => ({ node, resource })), node, result: "ok" },
  };
}

function checkPort({ arguments: [port = ""] }: Call): void {
  if (!/^[1-9]\d{0,4}$/.test(port)) throw badArgument("Argument must be a positive integer");
}

async function checkPortListener(call: Call): Promise<Output> {
  const { node, arguments: given } = call;
  const all = await listeners(call);
  const port = Number(given[0]);
  if (all.some((listener) => listener.port === port))
    return { text: `A listener for port ${port} is running on node ${node}.` };
  const text = `No listener for port ${port} is active on node ${node}. Found listeners that use the following ports: ${portsOf(all)}`;
  throw new Failure("unavailable", text);
}

async function checkProtocolListener(call: Call): Promise<Output> {
  const { node, arguments: given } = call;
  const all = await listeners(call);
  const [name = ""] = given;
  const protocol = protocolOf(name);
  if (all.some((listener) => listener.protocol === protocol))
    return { text: `A listener for protocol ${name} is running on node ${node}.` };
  const found = [...new Set(all.map((listener) => listener.protocol))].sort().join(", ");
  const text = `No listener for protocol ${protocol} is active on node ${node}. Found listeners for the following protocols: ${found}`;
  throw failed("unavailable", text);
}

const units = ["days", "weeks", "months", "years"];

function withinOf({ options: { within = 4, unit = "weeks" } }: Call): string {
  const text = String(unit);
  return `${within} ${within === 1 ? text.replace(/s$/, "") : text}`;
}

function checkUnit({ options: { unit = "weeks" } }: Call): void {
  if (!units.includes(String(unit)))
    throw new UsageFailure("usage", `unit '${unit}' is not supported: ${units.join(", ")}`);
}

async function checkCertificates(call: Call): Promise<Output> {
  const { within = 4, unit = "weeks" } = call.options;
  try {
    await call.management.get(`/api/health/checks/certificate-expiration/${within}/${unit}`);
  } catch (error) {
    if (!(error instanceof ManagementError) || error.status !== 503) throw error;
    throw failed("unavailable", `Some certificates expire within ${withinOf(call)}.`);
  }
  return { text: `No certificates are expiring within ${withinOf(call)}.` };
}

const group = "Monitoring, observability and health checks";
const SINGLE = "seems to be the only one in a single node cluster, the check does not apply";

export const healthCommands: readonly Command[] = [
  {
    name: "ping",
    ...{ group, tools: both, usage: "[--timeout <timeout>]" },
    summary: "Checks that the node OS process is up and can be reached",
    says: ({ node, timeoutMs }) =>
      `Will ping ${node}. This only checks if the OS process is running and registered with epmd. Timeout: ${timeoutMs(60_000)} ms.`,
    run: ping,
  },
  {
    name: "check_running",
    ...{ group, tools: diagnostics, usage: "[--timeout <timeout>]" },
    summary:
      "Health check that exits with a non-zero code if the RabbitMQ app on the target node is not running",
    says: ({ node }) => `Checking if RabbitMQ is running on node ${node} ...`,
    async run(call) {
      if (!(await isReady(call))) throw failed("unavailable", notRunning(call.node));
      return { text: running(call.node) };
    },
  },
  {
    name: "is_running",
    ...{ group, tools: diagnostics, usage: "[--timeout <timeout>]" },
    summary: "Queries whether the node is running",
    says: ({ node }) => `Asking node ${node} for its status ...`,
    async run(call) {
      const result = await isReady(call);
      const text = result ? running(call.node) : notRunning(call.node);
      return { text, json: { message: text, result } };
    },
  },
  {
    name: "is_booting",
    ...{ group, tools: diagnostics, usage: "[--timeout <timeout>]" },
    summary: "Queries whether the node is booting: the API of this one is there when it is not",
    says: ({ node }) => `Asking node ${node} for its boot status ...`,
    async run(call) {
      await isReady(call);
      const text = `RabbitMQ on node ${call.node} is fully booted (check with is_running), stopped or has not started booting yet`;
      return { text, json: { message: text, result: false } };
    },
  },
  {
    name: "check_port_connectivity",
    ...{ group, tools: diagnostics, options: { address: "text" } },
    usage: "[--timeout <timeout>] [--address <ip-address>]",
    summary: "Basic TCP connectivity health check for each listener's port on the target node",
    says: ({ node }) => `Testing TCP connections to all active listeners on node ${node} ...`,
    run: checkPortConnectivity,
  },
  {
    name: "check_local_alarms",
    ...{ group, tools: diagnostics, usage: "[--timeout <timeout>]" },
    summary: "Health check that exits with a non-zero code if the target node reports any alarms",
    says: ({ node }) => `Asking node ${node} to report any local resource alarms ...`,
    run: (call) => checkAlarms(call, `Node ${call.node} reported no local alarms`),
  },
  {
    name: "check_alarms",
    ...{ group, tools: diagnostics, usage: "[--timeout <timeout>]" },
    summary:
      "Health check that exits with a non-zero code if the target node reports any alarms, local or cluster-wide.",
    says: ({ node }) => `Asking node ${node} to report any local resource alarms ...`,
    run: (call) => checkAlarms(call, `Node ${call.node} reported no alarms, local or clusterwide`),
  },
  {
    name: "alarms",
    ...{ group, tools: diagnostics, usage: "[--timeout <timeout>]" },
    summary: "Lists resource alarms (local or cluster-wide) in effect on the target node",
    says: ({ node }) => `Asking node ${node} to report any known resource alarms ...`,
    run: listAlarms,
  },
  {
    name: "check_virtual_hosts",
    ...{ group, tools: diagnostics, usage: "[--timeout <timeout>]" },
    summary: "Health check that checks if all vhosts are running in the target node",
    says: ({ node }) => `Checking if all vhosts are running on node ${node} ...`,
    async run({ management, node }) {
      await management.get("/api/health/checks/virtual-hosts");
      return { text: `Node ${node} reported all vhosts as running`, json: { result: "ok" } };
    },
  },
  {
    name: "check_port_listener",
    ...{ group, tools: diagnostics, takes: [1, 1], usage: "<port> [--timeout <timeout>]" },
    summary:
      "Health check that exits with a non-zero code if target node does not have an active listener for given port",
    check: checkPort,
    says: ({ node, arguments: [port] }) =>
      `Asking node ${node} if there's an active listener on port ${port} ...`,
    run: checkPortListener,
  },
  {
    name: "check_protocol_listener",
    ...{ group, tools: diagnostics, takes: [1, 1], usage: "<protocol> [--timeout <timeout>]" },
    summary:
      "Health check that exits with a non-zero code if target node does not have an active listener for given protocol",
    says: ({ node, arguments: [protocol] }) =>
      `Asking node ${node} if there's an active listener for protocol ${protocol} ...`,
    run: checkProtocolListener,
  },
  {
    name: "check_certificate_expiration",
    ...{ group, tools: diagnostics, options: { within: "integer", unit: "text" } },
    usage: "[--within <period>] [--unit <unit>]",
    summary:
      "Checks the expiration date on the certificates for every listener configured to use TLS",
    check: checkUnit,
    says: ({ node }) => `Checking certificate expiration on node ${node} ...`,
    run: checkCertificates,
  },
  {
    name: "check_if_node_is_quorum_critical",
    ...{ group, tools: [...diagnostics, "rabbitmq-queues"] },
    summary: "Health check for the quorum of quorum queues",
    says: ({ node }) => `Checking if node ${node} is critical for quorum of any quorum queues ...`,
    async run({ management, node }) {
      await management.get("/api/health/checks/node-is-quorum-critical");
      return { text: `Node ${node} ${SINGLE}` };
    },
  },
];
