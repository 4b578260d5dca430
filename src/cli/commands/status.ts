/** What the node is and how it is. */

import { RABBITMQ_VERSION } from "../../config.ts";
import { both, type Call, type Command, diagnostics, everywhere, type Output } from "../command.ts";
import { UsageFailure } from "../failure.ts";
import { type Listener, listenerLine, listeners } from "../listeners.ts";
import type { Row } from "../management.ts";
import { alarmLine, alarms } from "./health.ts";

const GIGABYTE = 1_000_000_000;
const units: Readonly<Record<string, number>> = {
  bytes: 1,
  kb: 1000,
  mb: 1_000_000,
  gb: GIGABYTE,
};

function inUnit(bytes: number, unit: string): number {
  return Math.round((bytes / units[unit]!) * 10_000) / 10_000;
}

/** `0.25 gb`, and `0.0 gb` as Erlang writes it. */
function size(bytes: unknown, unit = "gb"): string {
  const amount = inUnit(Number(bytes), unit);
  return `${Number.isInteger(amount) && unit !== "bytes" ? amount.toFixed(1) : amount} ${unit}`;
}

interface Facts {
  readonly overview: Row;
  readonly node: Row;
  readonly listeners: readonly Listener[];
  readonly vhosts: number;
  readonly alarms: readonly string[];
}

async function factsOf(call: Call): Promise<Facts> {
  const { management } = call;
  const [node] = (await management.list("/api/nodes")) as readonly [Row];
  return {
    overview: await management.get("/api/overview"),
    node,
    listeners: await listeners(call),
    vhosts: (await management.list("/api/vhosts?columns=name")).length,
    alarms: (await alarms(call)).map((resource) => alarmLine(resource, call.node)),
  };
}

function section(title: string, lines: readonly string[]): string {
  return `${title}\n\n${lines.length === 0 ? "(none)" : lines.join("\n")}\n`;
}

function bullets(names: unknown): readonly string[] {
  return (names as readonly string[]).map((name) => ` * ${name}`);
}

function totalsOf({ overview, vhosts }: Facts): Record<string, unknown> {
  const { connections, queues } = overview["object_totals"] as Row;
  return { connection_count: connections, queue_count: queues, virtual_host_count: vhosts };
}

function statusText(call: Call, facts: Facts): string {
  const { overview, node } = facts;
  const totals = totalsOf(facts);
  return [
    section("Runtime", [
      `OS PID: ${node["os_pid"]}`,
      `OS: ${process.platform === "linux" ? "Linux" : process.platform}`,
      `Uptime (seconds): ${Math.floor(Number(node["uptime"]) / 1000)}`,
      "Is under maintenance?: false",
      `RabbitMQ version: ${overview["rabbitmq_version"]}`,
      "RabbitMQ release series support status: supported",
      `Node name: ${call.node}`,
      `Leveret version: ${overview["leveret_version"]}`,
      `Erlang configuration: ${overview["erlang_full_version"]}`,
    ]),
    section("Plugins", [
      `Enabled plugin file: ${call.environment["RABBITMQ_ENABLED_PLUGINS_FILE"] ?? "(none)"}`,
      "Enabled plugins:",
      "",
      ...bullets(node["enabled_plugins"]),
    ]),
    section("Data directory", [`Node data directory: ${node["db_dir"] || "(none: in memory)"}`]),
    section("Config files", bullets(node["config_files"])),
    section("Log file(s)", bullets(node["log_files"])),
    section("Alarms", facts.alarms),
    section("Memory", [
      `Total memory used: ${size(node["mem_used"])}`,
      `Calculation strategy: ${node["mem_calculation_strategy"]}`,
      `Memory high watermark setting: computed to: ${size(node["mem_limit"])}`,
    ]),
    section("File Descriptors", [`Total: ${node["fd_used"]}, limit: ${node["fd_total"]}`]),
    section("Free Disk Space", [
      `Low free disk space watermark: ${size(node["disk_free_limit"])}`,
      `Free disk space: ${size(node["disk_free"])}`,
    ]),
    section("Totals", [
      `Connection count: ${totals["connection_count"]}`,
      `Queue count: ${totals["queue_count"]}`,
      `Virtual host count: ${totals["virtual_host_count"]}`,
    ]),
    section("Listeners", facts.listeners.map(listenerLine)).trimEnd(),
  ].join("\n");
}

function statusJson(call: Call, facts: Facts): object {
  const { overview, node } = facts;
  const withNode = facts.listeners.map((listener) => ({ ...listener, node: call.node }));
  const used = node["mem_used"];
  return {
    active_plugins: node["enabled_plugins"],
    alarms: facts.alarms,
    config_files: node["config_files"],
    data_directory: node["db_dir"],
    disk_free: node["disk_free"],
    disk_free_limit: node["disk_free_limit"],
    erlang_version: overview["erlang_full_version"],
    file_descriptors: { total_limit: node["fd_total"], total_used: node["fd_used"] },
    is_under_maintenance: false,
    listeners: withNode,
    log_files: node["log_files"],
    memory: { strategy: "rss", total: { erlang: used, rss: used, allocated: used } },
    net_ticktime: node["net_ticktime"],
    os: process.platform === "linux" ? "Linux" : process.platform,
    pid: Number(node["os_pid"]),
    processes: { limit: node["proc_total"], used: node["proc_used"] },
    product_name: overview["product_name"],
    product_version: overview["product_version"],
    rabbitmq_version: overview["rabbitmq_version"],
    leveret_version: overview["leveret_version"],
    release_series_support_status: "supported",
    run_queue: node["run_queue"],
    totals: totalsOf(facts),
    uptime: Math.floor(Number(node["uptime"]) / 1000),
    vm_memory_calculation_strategy: node["mem_calculation_strategy"],
    vm_memory_high_watermark_limit: node["mem_limit"],
  };
}

async function clusterStatus(call: Call): Promise<Output> {
  const { node } = call;
  const facts = await factsOf(call);
  const { overview } = facts;
  const flags = await call.management.list("/api/feature-flags");
  const versions = `RabbitMQ ${overview["rabbitmq_version"]}`;
  const text = [
    section("Basics", [`Cluster name: ${overview["cluster_name"]}`]),
    section("Disk Nodes", [node]),
    section("Running Nodes", [node]),
    section("Versions", [`${node}: ${versions}`]),
    section("Maintenance status", [`Node: ${node}, status: not under maintenance`]),
    section("Alarms", facts.alarms),
    section("Network Partitions", []),
    section(
      "Listeners",
      facts.listeners.map((each) => `Node: ${node}, ${listenerLine(each).replace("I", "i")}`),
    ),
    section(
      "Feature flags",
      flags.map(({ name, state }) => `Flag: ${name}, state: ${state}`),
    ).trimEnd(),
  ].join("\n");
  const json = {
    ...{ alarms: facts.alarms, cluster_name: overview["cluster_name"], disk_nodes: [node] },
    ...{ feature_flags: flags, partitions: {}, ram_nodes: [], running_nodes: [node] },
    listeners: { [node]: facts.listeners.map((listener) => ({ ...listener, node })) },
    maintenance_status: { [node]: "not under maintenance" },
    versions: {
      [node]: { rabbitmq_name: "RabbitMQ", rabbitmq_version: overview["rabbitmq_version"] },
    },
  };
  return { text, json };
}

function checkUnit({ options: { unit = "gb" } }: Call): void {
  if (!Object.hasOwn(units, String(unit))) {
    const text = `"unit '${unit}' is not supported. Please use one of: bytes, mb, gb"`;
    throw new UsageFailure("usage", text);
  }
}

async function memoryBreakdown({ management, options: { unit = "gb" } }: Call): Promise<Output> {
  const [node] = (await management.list("/api/nodes")) as readonly [Row];
  const bytes = Number(node["mem_used"]);
  const text = `other_proc: ${size(bytes, String(unit))} (100.0%)\n`;
  return { text, json: { other_proc: { bytes, percentage: 100 } } };
}

/** Everything about a broker that helps to find out what is wrong with it. */
async function report(call: Call): Promise<Output> {
  const vhosts = await call.management.list("/api/vhosts?columns=name");
  const parts: string[] = [];
  for (const name of ["status", "cluster_status", "list_connections", "list_channels"])
    parts.push(await call.also(name, call.vhost));
  for (const vhost of vhosts) {
    for (const name of [
      ...["list_queues", "list_exchanges", "list_bindings", "list_permissions", "list_policies"],
      "list_parameters",
    ])
      parts.push(await call.also(name, String(vhost["name"])));
  }
  parts.push(await call.also("list_global_parameters", call.vhost));
  return { text: `\n${parts.join("\n").trimEnd()}` };
}

const group = "Monitoring, observability and health checks";

export const statusCommands: readonly Command[] = [
  {
    name: "status",
    ...{ group, tools: both, options: { unit: "text" }, usage: "[--timeout <timeout>]" },
    summary: "Displays status of a node",
    says: ({ node }) => `Status of node ${node} ...`,
    async run(call) {
      const facts = await factsOf(call);
      return { text: statusText(call, facts), json: statusJson(call, facts) };
    },
  },
  {
    name: "cluster_status",
    ...{ group: "Cluster", tools: both, usage: "[--timeout <timeout>]" },
    summary: "Displays all the nodes in the cluster: always one",
    says: ({ node }) => `Cluster status of node ${node} ...`,
    run: clusterStatus,
  },
  {
    name: "report",
    ...{ group, tools: both, usage: "[--timeout <timeout>]" },
    summary:
      "Generate a server status report containing a concatenation of all server status information for support purposes",
    says: ({ node }) => `Reporting server status of node ${node} ...`,
    run: report,
  },
  {
    name: "listeners",
    ...{ group, tools: diagnostics, usage: "[--timeout <timeout>]" },
    summary:
      "Lists active connection listeners (bound interface, port, protocol) on the target node",
    says: ({ node }) => `Asking node ${node} to report its protocol listeners ...`,
    async run(call) {
      const { node } = call;
      const all = await listeners(call);
      const withNode = all.map((listener) => ({ ...listener, node }));
      return {
        text: all.map(listenerLine).join("\n"),
        json: { listeners: withNode, node, result: "ok" },
      };
    },
  },
  {
    name: "server_version",
    ...{ group, tools: diagnostics, usage: "[--timeout <timeout>]" },
    summary: "Displays server version on the target node",
    says: ({ node }) => `Asking node ${node} for its RabbitMQ version...`,
    async run({ management }) {
      const { rabbitmq_version } = await management.get("/api/overview?columns=rabbitmq_version");
      return { text: String(rabbitmq_version) };
    },
  },
  {
    name: "memory_breakdown",
    ...{ group, tools: diagnostics, options: { unit: "text" } },
    usage: "[--unit <unit>] [--timeout <timeout>]",
    summary: "Provides a memory usage breakdown on the target node",
    check: checkUnit,
    says: ({ node }) => `Reporting memory breakdown on node ${node}...`,
    run: memoryBreakdown,
  },
  {
    name: "version",
    ...{ group: "Help", tools: everywhere },
    summary: "Displays the version of RabbitMQ that clients meet",
    run: async () => ({ text: RABBITMQ_VERSION }),
  },
];
