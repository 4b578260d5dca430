/**
 * What RabbitMQ's tools do to clusters and replicas, answered for the one node that there is: what has nothing to do is done,
 * what would need another node says so.
 */

import { lookup } from "node:dns/promises";
import { getCiphers } from "node:tls";
import {
  type Call,
  type Command,
  control,
  diagnostics,
  type Group,
  type Output,
  type Tool,
} from "../command.ts";
import { Failure, failed } from "../failure.ts";

const queueTool: readonly Tool[] = ["rabbitmq-queues"];
const upgradeTool: readonly Tool[] = ["rabbitmq-upgrade"];

interface Answer {
  readonly name: string;
  readonly group: Group;
  readonly tools: readonly Tool[];
  readonly summary: string;
  readonly says?: NonNullable<Command["says"]>;
  readonly text?: (call: Call) => string;
}

const alone = ({ node }: Call): string =>
  `Node ${node} seems to be the only one in a single node cluster, the check does not apply`;

const NOTHING_TO_AWAIT =
  "Target node seems to be the only one in a single node cluster, the command does not apply";

/** Nothing to do. The node is asked all the same: it should be there. */
const answers: readonly Answer[] = [
  {
    ...{ name: "force_boot", group: "Cluster", tools: control },
    summary: "Does nothing: the node waits for no other one",
  },
  {
    ...{ name: "update_cluster_nodes", group: "Cluster", tools: control },
    summary: "Does nothing: there are no other nodes to know of",
  },
  {
    ...{ name: "change_cluster_node_type", group: "Cluster", tools: control },
    summary: "Does nothing: the node is a disc node",
    says: ({ node, arguments: [type] }) => `Turning ${node} into a ${type} node`,
  },
  {
    ...{ name: "sync_queue", group: "Queues", tools: control },
    summary: "Does nothing: queues have no mirrors",
    says: ({ arguments: [queue], vhost }) =>
      `Synchronising queue '${queue}' in vhost '${vhost}' ...`,
  },
  {
    ...{ name: "cancel_sync_queue", group: "Queues", tools: control },
    summary: "Does nothing: queues have no mirrors",
    says: ({ arguments: [queue], vhost }) =>
      `Stopping synchronising queue '${queue}' in vhost '${vhost}' ...`,
  },
  {
    ...{ name: "delete_shovel", group: "Operations", tools: control },
    summary: "Does nothing: there are no shovels",
    says: ({ arguments: [name], vhost }) => `Deleting shovel ${name} in vhost ${vhost}`,
  },
  {
    ...{ name: "check_if_node_is_mirror_sync_critical", tools: [...diagnostics, ...queueTool] },
    group: "Monitoring, observability and health checks",
    summary: "Health check for mirrors, of which there are none",
    says: ({ node }) =>
      `Checking if node ${node} is critical for data safety of any classic mirrored queues ...`,
    text: alone,
  },
  {
    ...{ name: "rebalance", group: "Cluster", tools: queueTool },
    summary: "Does nothing: all leaders are on the one node",
    says: () => "Re-balancing leaders of all queues...",
  },
  {
    ...{ name: "grow", group: "Cluster", tools: queueTool },
    summary: "Does nothing: there is no other node for replicas",
    says: ({ arguments: [node] }) => `Growing all quorum queues on ${node}...`,
  },
  {
    ...{ name: "shrink", group: "Cluster", tools: queueTool },
    summary: "Does nothing: there is no other node with replicas",
    says: ({ arguments: [node] }) => `Shrinking quorum queues on ${node}...`,
  },
  {
    ...{ name: "await_online_quorum_plus_one", group: "Cluster", tools: upgradeTool },
    summary: "Does not wait: queues have no replicas elsewhere",
    says: () =>
      `Will wait for a quorum + 1 of nodes to be online for all quorum queues for 120 seconds...\n${NOTHING_TO_AWAIT}`,
  },
  {
    ...{ name: "await_online_synchronized_mirror", group: "Cluster", tools: upgradeTool },
    summary: "Does not wait: queues have no mirrors",
    says: () =>
      `Will wait for a synchronised mirror be online for all classic mirrored queues for 120 seconds...\n${NOTHING_TO_AWAIT}`,
  },
  {
    ...{ name: "post_upgrade", group: "Cluster", tools: upgradeTool },
    summary: "Does nothing: there is nothing left to do after an upgrade",
    says: () => "Executing post upgrade tasks...",
  },
];

/** What another node would be needed for. */
const refusals: readonly (readonly [
  name: string,
  summary: string,
  says: (call: Call) => string,
])[] = [
  [
    ...(["join_cluster", "Fails: nodes do not form clusters"] as const),
    ({ node, arguments: [other] }) => `Clustering node ${node} with ${other}`,
  ],
  [
    ...(["forget_cluster_node", "Fails: there is no other node"] as const),
    ({ arguments: [other] }) => `Removing node ${other} from the cluster`,
  ],
  [
    ...(["rename_cluster_node", "Fails: there is no other node"] as const),
    ({ arguments: [from, to] }) => `Renaming cluster nodes: ${from} -> ${to} ...`,
  ],
];

/** Clients are to go elsewhere, for a while. */
function maintenance(name: "drain" | "revive", action: string, says: string): Command {
  return {
    ...{ name, group: "Cluster", tools: upgradeTool, usage: "[--timeout <timeout>]" },
    summary:
      name === "drain"
        ? "Closes all client connections and takes no more"
        : "Takes client connections again after drain",
    says: ({ node }) => says.replace("NODE", node),
    async run({ management, node }) {
      await management.post(`/api/control/${action}`, {});
      const done = name === "drain" ? "is now in" : "is now out of";
      return { text: `Node ${node} ${done} maintenance mode` };
    },
  };
}

async function quorumStatus({
  management,
  node,
  vhost,
  arguments: [name = ""],
}: Call): Promise<Output> {
  const path = `/api/queues/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`;
  const queue = await management.find(path);
  if (queue?.["type"] !== "quorum")
    throw failed("unavailable", queue === undefined ? "not_found" : "classic_queue_not_supported");
  const columns = ["Node Name", "Raft State", "Membership"];
  const row = { "Node Name": node, "Raft State": "leader", Membership: "voter" };
  return { columns, rows: [row] };
}

async function resolveHostname({ arguments: [name = ""] }: Call): Promise<Output> {
  try {
    const all = await lookup(name, { family: 4, all: true });
    return { text: all.map(({ address }) => address).join("\n") };
  } catch (error) {
    throw new Failure("software", `Could not resolve ${name}: ${(error as Error).message}`);
  }
}

async function environment({ management }: Call): Promise<Output> {
  const [node = {}] = await management.list("/api/nodes");
  const { cluster_name: name } = await management.get("/api/overview?columns=cluster_name");
  const settings = [
    `{cluster_name,<<"${name}">>}`,
    `{data_dir,"${node["db_dir"]}"}`,
    `{disk_free_limit,${node["disk_free_limit"]}}`,
    `{enabled_plugins,[${(node["enabled_plugins"] as string[]).join(",")}]}`,
    `{vm_memory_high_watermark,{absolute,${node["mem_limit"]}}}`,
  ];
  return { text: `[{rabbit,\n     [${settings.join(",\n      ")}]}]` };
}

const configuration = "Configuration and Environment";
const monitoring = "Monitoring, observability and health checks";

export const singleNodeCommands: readonly Command[] = [
  ...answers.map(
    ({ text, ...row }): Command => ({
      ...row,
      ...{ takes: [0, 255], options: { all: "flag", errors_only: "flag", "errors-only": "flag" } },
      usage: "[<argument> ...]",
      async run(call) {
        await call.management.get("/api/auth");
        return text === undefined ? undefined : { text: text(call) };
      },
    }),
  ),
  ...refusals.map(
    ([name, summary, says]): Command => ({
      ...{ name, group: "Cluster", tools: control, summary, says },
      ...{
        takes: [1, 255],
        usage: "<node> ...",
        options: { disc: "flag", ram: "flag", offline: "flag" },
      },
      run: () => Promise.reject(failed("unavailable", "not applicable to a single-node broker")),
    }),
  ),
  maintenance(
    ...(["drain", "stop-app"] as const),
    "Will put node NODE into maintenance mode. The node will no longer serve any client traffic!",
  ),
  maintenance("revive", "start-app", "Will put node NODE back into normal operation mode"),
  {
    ...{ name: "quorum_status", group: monitoring, tools: queueTool, takes: [1, 1] },
    usage: "[--vhost <vhost>] <queue>",
    summary: "Displays quorum status of a quorum queue",
    says: ({ arguments: [name], node }) => `Status of quorum queue ${name} on node ${node} ...`,
    run: quorumStatus,
  },
  {
    ...{ name: "resolve_hostname", group: monitoring, tools: diagnostics, takes: [1, 1] },
    usage: "<hostname>",
    summary: "Resolves a hostname to a set of addresses, as this machine does",
    says: ({ node, arguments: [name] }) =>
      `Asking node ${node} to resolve hostname ${name} to IPv4 addresses...`,
    run: resolveHostname,
  },
  {
    ...{ name: "environment", group: configuration, tools: [...control, ...diagnostics] },
    summary: "Displays the settings that matter to RabbitMQ's tools, as Erlang terms",
    says: ({ node }) => `Application environment of node ${node} ...`,
    run: environment,
  },
  {
    ...{ name: "list_hashes", group: configuration, tools: control },
    summary: "Lists the algorithms of password hashes",
    says: () => "Listing supported hash algorithms ...",
    run: async () => ({ text: "[sha512,sha256,md5]" }),
  },
  {
    ...{
      name: "cipher_suites",
      group: monitoring,
      tools: diagnostics,
      options: { format: "text", all: "flag" },
    },
    summary: "Lists cipher suites that this runtime knows",
    says: () => "Listing available cipher suites in OpenSSL format",
    run: async () => ({
      text: getCiphers()
        .map((name) => name.toUpperCase())
        .join("\n"),
    }),
  },
];
