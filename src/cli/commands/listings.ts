/** Queues, exchanges, bindings, connections, channels and consumers, in the columns that are asked for. */

import { both, type Call, type Command, type Group, type Output } from "../command.ts";
import { chosenColumns, unknownColumns } from "../listing.ts";
import { apiPath, type Row } from "../management.ts";

interface Listing {
  readonly name: string;
  readonly group: Group;
  readonly summary: string;
  readonly options?: Command["options"];
  readonly usage?: string;
  readonly says: (call: Call) => string;
  /** Those that are shown when none are chosen. */
  readonly shown: readonly string[];
  /** The others that there are. */
  readonly more: readonly string[];
  readonly path: (call: Call) => string;
  /** Columns that have another name in the management API, or another value. */
  readonly row?: (from: Row, node: string) => Row;
}

function inner(row: Row, name: string): Row {
  return (row[name] ?? {}) as Row;
}

const DEFAULT_TIMEOUT_MS = 60_000;

const monitoring = "Monitoring, observability and health checks";

/** RabbitMQ has no names but pids: `close_connection` takes what stands in that column, so it is the name here. */
const listings: readonly Listing[] = [
  {
    name: "list_queues",
    ...{ group: monitoring, summary: "Lists queues and their properties" },
    options: { online: "flag", offline: "flag", local: "flag" },
    usage: "[--vhost <vhost>] [--online] [--offline] [--local]",
    says: ({ vhost, timeoutMs }) => {
      const seconds = timeoutMs(DEFAULT_TIMEOUT_MS) / 1000;
      const shown = Number.isInteger(seconds) ? seconds.toFixed(1) : String(seconds);
      return `Timeout: ${shown} seconds ...\nListing queues for vhost ${vhost} ...`;
    },
    shown: ["name", "messages"],
    more: [
      ...["arguments", "auto_delete", "consumer_capacity", "consumer_utilisation", "consumers"],
      ...["disk_reads", "disk_writes", "durable", "effective_policy_definition", "exclusive"],
      ...["exclusive_consumer_pid", "exclusive_consumer_tag", "head_message_timestamp", "leader"],
      ...["members", "memory", "message_bytes", "message_bytes_persistent", "message_bytes_ram"],
      ...["message_bytes_ready", "message_bytes_unacknowledged", "messages_persistent"],
      ...["messages_ram", "messages_ready", "messages_ready_ram", "messages_unacknowledged"],
      ...["messages_unacknowledged_ram", "online", "operator_policy", "owner_pid", "pid"],
      ...["policy", "single_active_consumer_tag", "slave_pids", "state", "storage_version"],
      ...["synchronised_slave_pids", "type", "vhost"],
    ],
    path: ({ vhost }) => apiPath("queues", vhost),
    row: (from, node) => ({
      ...from,
      ...{ leader: node, members: [node], online: [node] },
      pid: `<${node}>`,
      owner_pid: inner(from, "owner_pid_details")["name"],
    }),
  },
  {
    name: "list_exchanges",
    ...{ group: monitoring, summary: "Lists exchanges" },
    says: ({ vhost }) => `Listing exchanges for vhost ${vhost} ...`,
    shown: ["name", "type"],
    more: ["durable", "auto_delete", "internal", "arguments", "policy"],
    path: ({ vhost }) => apiPath("exchanges", vhost),
  },
  {
    name: "list_bindings",
    ...{ group: monitoring, summary: "Lists all bindings on a vhost" },
    says: ({ vhost }) => `Listing bindings for vhost ${vhost}...`,
    shown: [
      ...["source_name", "source_kind", "destination_name", "destination_kind", "routing_key"],
      "arguments",
    ],
    more: [],
    path: ({ vhost }) => apiPath("bindings", vhost),
    row: (from) => ({
      ...from,
      source_name: from["source"],
      source_kind: "exchange",
      destination_name: from["destination"],
      destination_kind: from["destination_type"],
    }),
  },
  {
    name: "list_connections",
    ...{ group: monitoring, summary: "Lists AMQP 0.9.1 connections for the node" },
    usage: "",
    says: () => "Listing connections ...",
    shown: ["user", "peer_host", "peer_port", "state"],
    more: [
      ...["pid", "name", "port", "host", "ssl", "ssl_protocol", "ssl_key_exchange", "ssl_cipher"],
      ...["ssl_hash", "peer_cert_subject", "peer_cert_issuer", "peer_cert_validity", "channels"],
      ...["protocol", "auth_mechanism", "vhost", "timeout", "frame_max", "channel_max"],
      ...["client_properties", "recv_oct", "recv_cnt", "send_oct", "send_cnt", "send_pend"],
      ...["connected_at", "user_provided_name", "node", "container_id"],
    ],
    path: () => "/api/connections",
    row: (from) => ({ ...from, pid: from["name"], protocol: "{0,9,1}" }),
  },
  {
    name: "list_channels",
    ...{ group: monitoring, summary: "Lists all channels in the node" },
    usage: "",
    says: () => "Listing channels ...",
    shown: ["pid", "user", "consumer_count", "messages_unacknowledged"],
    more: [
      ...["connection", "name", "number", "vhost", "transactional", "confirm", "prefetch_count"],
      ...["messages_unconfirmed", "messages_uncommitted", "acks_uncommitted", "state"],
      ...["global_prefetch_count", "interceptors"],
    ],
    path: () => "/api/channels",
    row: (from) => ({
      ...from,
      pid: from["name"],
      connection: inner(from, "connection_details")["name"],
    }),
  },
  {
    name: "list_consumers",
    ...{ group: monitoring, summary: "Lists all consumers for a vhost" },
    says: ({ vhost }) => `Listing consumers in vhost ${vhost} ...`,
    shown: [
      ...["queue_name", "channel_pid", "consumer_tag", "ack_required", "prefetch_count", "active"],
      "arguments",
    ],
    more: ["activity_status"],
    path: ({ vhost }) => apiPath("consumers", vhost),
    row: (from) => ({
      ...from,
      queue_name: inner(from, "queue")["name"],
      channel_pid: inner(from, "channel_details")["name"],
    }),
  },
];

/** A virtual host that is not there has nothing in it [RabbitMQ]. */
async function list(call: Call, { path, row, shown }: Listing): Promise<Output> {
  const { management, node, options } = call;
  const chosen = chosenColumns(call.arguments);
  const columns = chosen.length === 0 ? shown : chosen;
  const rows = ((await management.find(path(call))) ?? []) as unknown as readonly Row[];
  const there = options["offline"] === true ? [] : rows;
  return { columns, rows: row === undefined ? there : there.map((from) => row(from, node)) };
}

export const listingCommands: readonly Command[] = listings.map((listing) => {
  const { name, group, summary, options = {}, says, shown, more } = listing;
  const usage = `${listing.usage ?? "[--vhost <vhost>]"} [--no-table-headers] [<column>, ...] [--timeout <timeout>]`;
  return {
    ...{ name, group, summary, options, says, tools: both },
    takes: [0, 255],
    usage: usage.trimStart(),
    check: (call) => unknownColumns(chosenColumns(call.arguments), [...shown, ...more]),
    run: (call) => list(call, listing),
  };
});
