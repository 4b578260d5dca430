/** Queues: what is known of them, declaring, deleting and emptying them. */

import type { ClientConnection } from "../broker/connections.ts";
import { NODE_NAME } from "../broker/host.ts";
import type { VirtualHost } from "../broker/vhost.ts";
import type { Queue } from "../queue/queue.ts";
import { entryBodyBytes, PERSISTENT } from "../queue/ready.ts";
import { bindingsOf } from "./bindings.ts";
import { consumerJson } from "./channels.ts";
import type { ManagementContext } from "./context.ts";
import { badRequest, notFound, nothingThere } from "./http-error.ts";
import { flag, given, object, requiredText } from "./input.ts";
import { tableFromJson, tableToJson } from "./json-table.ts";
import { chosenColumns, listing, pagedListing, type Query } from "./listing.ts";
import { getMessages } from "./messages.ts";
import { type Call, done, ok, put, type Reply, type Route } from "./route.ts";
import { queueCounts, queueLengths } from "./statistics.ts";

type Row = Record<string, unknown>;

/** What has been delivered of a queue and not settled. */
interface Unacked {
  bodyBytes: number;
  persistentCount: number;
  persistentBytes: number;
}

const NO_UNACKED: Readonly<Unacked> = { bodyBytes: 0, persistentCount: 0, persistentBytes: 0 };

/** For all queues at once: it looks at every delivery that is outstanding. */
function unackedByQueue({ host }: ManagementContext): Map<Queue, Unacked> {
  const unacked = new Map<Queue, Unacked>();
  const look = (queue: Queue, bits: number): void => {
    const of = unacked.get(queue) ?? { ...NO_UNACKED };
    unacked.set(queue, of);
    const bytes = entryBodyBytes(bits);
    of.bodyBytes += bytes;
    if ((bits & PERSISTENT) === 0) return;
    of.persistentCount++;
    of.persistentBytes += bytes;
  };
  for (const connection of host.connections.all())
    for (const channel of connection.channels()) channel.forEachUnacked(look);
  return unacked;
}

/** What a queue is, without what happens to it. */
function queueSpec(vhost: VirtualHost, queue: Queue): Row {
  return {
    name: queue.name,
    vhost: vhost.name,
    type: queue.settings.type,
    durable: queue.durable,
    auto_delete: queue.autoDelete,
    exclusive: queue.exclusiveOwner !== undefined,
    arguments: tableToJson(queue.arguments),
    node: NODE_NAME,
    state: "running",
  };
}

/** About what an entry takes of memory, and the queue itself. */
const ENTRY_BYTES = 12;
const QUEUE_BYTES = 4000;

function sizes(queue: Queue, unacked: Readonly<Unacked>): Row {
  const { count, bodyBytes } = queue.readyPersistent;
  const messages = queue.readyCount + queue.unackedCount;
  const messageBytes = queue.readyBytes + unacked.bodyBytes;
  return {
    memory: QUEUE_BYTES + ENTRY_BYTES * messages,
    message_bytes: messageBytes,
    message_bytes_ready: queue.readyBytes,
    message_bytes_unacknowledged: unacked.bodyBytes,
    message_bytes_persistent: bodyBytes + unacked.persistentBytes,
    message_bytes_ram: messageBytes,
    message_bytes_paged_out: 0,
    messages_persistent: count + unacked.persistentCount,
    messages_ram: messages,
    messages_ready_ram: queue.readyCount,
    messages_unacknowledged_ram: queue.unackedCount,
    messages_paged_out: 0,
  };
}

/** The connection whose alone it is, as an object. */
function owner(context: ManagementContext, queue: Queue): Row {
  const connections: Iterable<ClientConnection> = context.host.connections.all();
  for (const connection of connections) {
    if (connection !== queue.exclusiveOwner) continue;
    const { name, peerHost, peerPort } = connection.info();
    return { owner_pid_details: { name, peer_host: peerHost, peer_port: peerPort } };
  }
  return {};
}

/** `2026-11-27T15:12:14.276+00:00` */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "+00:00");
}

/** Lengths are as they are now, not as they were some seconds ago. */
function queueJson(
  context: ManagementContext,
  vhost: VirtualHost,
  queue: Queue,
  unacked: Map<Queue, Unacked>,
): Row {
  const { statistics } = context;
  const idleSinceMs = statistics.idleSinceMs(queue);
  return {
    ...queueSpec(vhost, queue),
    ...statistics.withRates(queue, queueLengths(queue)),
    message_stats: statistics.withRates(queue, queueCounts(queue)),
    ...sizes(queue, unacked.get(queue) ?? NO_UNACKED),
    ...(idleSinceMs !== undefined && { idle_since: isoTime(idleSinceMs) }),
    consumers: queue.consumerCount,
    consumer_capacity: queue.consumerCount > 0 ? 1 : 0,
    consumer_utilisation: queue.consumerCount > 0 ? 1 : 0,
    exclusive_consumer_tag: null,
    single_active_consumer_tag: activeConsumerTag(context, queue),
    ...policiesOf(vhost, queue),
    head_message_timestamp: null,
    recoverable_slaves: null,
    storage_version: 2,
    ...(queue.exclusiveOwner !== undefined && owner(context, queue)),
  };
}

function policiesOf(vhost: VirtualHost, { name }: Queue): Row {
  const effective = vhost.effectivePolicy("queue", name);
  return {
    policy: effective?.policy ?? null,
    operator_policy: effective?.operatorPolicy ?? null,
    effective_policy_definition: effective?.definition ?? {},
  };
}

function activeConsumerTag(context: ManagementContext, queue: Queue): string | null {
  if (!queue.settings.singleActiveConsumer) return null;
  for (const connection of context.host.connections.all())
    for (const channel of connection.channels())
      for (const consumer of channel.consumersInfo())
        if (consumer.queue === queue && consumer.active) return consumer.consumerTag;
  return null;
}

/** Without statistics there are the lengths alone, or not even these. */
function shortJson(vhost: VirtualHost, queue: Queue, query: Query): Row {
  const totals = query.get("enable_queue_totals") === "true" ? queueLengths(queue) : {};
  const policy = vhost.effectivePolicy("queue", queue.name)?.policy;
  return { ...queueSpec(vhost, queue), ...(policy !== undefined && { policy }), ...totals };
}

function listQueues(call: Call): Reply {
  const { context, query } = call;
  const short = query.get("disable_stats") === "true";
  const unacked = short ? new Map<Queue, Unacked>() : unackedByQueue(context);
  const rows: Row[] = [];
  for (const vhost of call.visibleVirtualHosts()) {
    for (const queue of vhost.queues.all())
      rows.push(short ? shortJson(vhost, queue, query) : queueJson(context, vhost, queue, unacked));
  }
  return ok(pagedListing(rows, query));
}

export function queueOf(call: Call): Queue {
  const queue = call.vhost.queues.find(call.parameter("queue"));
  if (queue === undefined) throw nothingThere();
  return queue;
}

function getQueue(call: Call): Reply {
  const { context, vhost, query } = call;
  const queue = queueOf(call);
  const consumers: Row[] = [];
  for (const connection of context.host.connections.all()) {
    for (const channel of connection.channels()) {
      for (const consumer of channel.consumersInfo())
        if (consumer.queue === queue) consumers.push(consumerJson(connection, channel, consumer));
    }
  }
  const more = { consumer_details: consumers, incoming: [], deliveries: [] };
  const all = { ...queueJson(context, vhost, queue, unackedByQueue(context)), ...more };
  return ok(chosenColumns(all, query));
}

/** Stands for the user of the API where a connection is asked for: it owns nothing. */
export const NO_CONNECTION = {};

/** The virtual host of the path, for whoever changes something in it. */
export function writableVirtualHost(call: Call): VirtualHost {
  const vhost = call.host.virtualHosts.find(call.parameter("vhost"));
  if (vhost === undefined) throw notFound("vhost_not_found");
  return vhost;
}

function putQueue(call: Call): Reply {
  const vhost = writableVirtualHost(call);
  const body = call.json;
  const name = call.parameter("queue");
  const node = given(body, "node");
  if (node !== undefined && node !== NODE_NAME)
    throw badRequest(`Node ${String(node)} could not be contacted`);
  const declaration = {
    name,
    durable: flag(body, "durable"),
    autoDelete: flag(body, "auto_delete"),
    exclusive: false,
    arguments: tableFromJson(object(body, "arguments") ?? {}),
  };
  const isNew = vhost.queues.find(name) === undefined;
  vhost.declareQueue(declaration, NO_CONNECTION, call.accessTo(vhost));
  return put(isNew);
}

function deleteQueue(call: Call): Reply {
  const { vhost, query } = call;
  const queue = queueOf(call);
  call.accessTo(vhost).check("configure", "queue", queue.name);
  vhost.queues.checkAccess(queue, NO_CONNECTION);
  vhost.deleteQueue(queue, query.get("if-unused") === "true", query.get("if-empty") === "true");
  return done;
}

function purgeQueue(call: Call): Reply {
  const { vhost } = call;
  const queue = queueOf(call);
  call.accessTo(vhost).check("read", "queue", queue.name);
  vhost.queues.checkAccess(queue, NO_CONNECTION);
  queue.purge();
  return done;
}

/** Synchronising mirrors: there are none, so it is done. */
function actOnQueue(call: Call): Reply {
  queueOf(call);
  const action = requiredText(call.json, "action");
  if (action !== "sync" && action !== "cancel_sync") throw badRequest(["unknown", action]);
  return done;
}

const path = "/api/queues/:vhost/:queue";

export const queueRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/queues",
    needs: "management",
    summary: "The queues of all virtual hosts that the user may see",
    handle: listQueues,
  },
  {
    method: "GET",
    path: "/api/queues/detailed",
    needs: "management",
    summary: "The same, with everything that is known of them",
    handle: listQueues,
  },
  {
    method: "GET",
    path: "/api/queues/:vhost",
    needs: "management",
    summary: "The queues of a virtual host",
    handle: listQueues,
  },
  {
    method: "GET",
    path,
    needs: "management",
    summary: "A queue, with its consumers",
    handle: getQueue,
  },
  { method: "PUT", path, needs: "management", summary: "Declares a queue", handle: putQueue },
  {
    method: "DELETE",
    path,
    needs: "management",
    summary: "Deletes a queue; with `if-empty` or `if-unused` only such a one",
    handle: deleteQueue,
  },
  {
    method: "DELETE",
    path: `${path}/contents`,
    needs: "management",
    summary: "Removes all ready messages of a queue",
    handle: purgeQueue,
  },
  {
    method: "GET",
    path: `${path}/bindings`,
    needs: "management",
    summary: "The bindings of a queue",
    handle: (call) => {
      const all = bindingsOf(call.vhost, { kind: "queue", destination: call.parameter("queue") });
      return ok(listing(all, call.query));
    },
  },
  {
    method: "POST",
    path: `${path}/get`,
    needs: "management",
    summary: "Gets messages of a queue, and settles them as `ackmode` says",
    handle: getMessages,
  },
  {
    method: "POST",
    path: `${path}/actions`,
    needs: "management",
    summary: "Synchronises mirrors, of which there are none",
    handle: actOnQueue,
  },
];
