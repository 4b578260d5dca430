/** Queues: what is known of them, declaring, deleting and emptying them. */

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
import { chosenColumns, listing, pagedListing, type Query, wantsColumn } from "./listing.ts";
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

/** How fast they change. */
interface Lengths {
  readonly messages_details?: object;
  readonly messages_ready_details?: object;
  readonly messages_unacknowledged_details?: object;
}

/** What of queues only their consumers know, gathered for all of them at once. */
interface Clients {
  readonly unacked: ReadonlyMap<Queue, Readonly<Unacked>>;
  /** Of queues with a single active consumer: its tag. */
  readonly activeTags: ReadonlyMap<Queue, string>;
}

const NO_CLIENTS: Clients = { unacked: new Map(), activeTags: new Map() };

/** Looks at every consumer, and at every delivery that is outstanding. */
function clientsOfQueues({ host }: ManagementContext): Clients {
  const unacked = new Map<Queue, Unacked>();
  const activeTags = new Map<Queue, string>();
  const look = (queue: Queue, bits: number): void => {
    const of = unacked.get(queue) ?? { ...NO_UNACKED };
    unacked.set(queue, of);
    const bytes = entryBodyBytes(bits);
    of.bodyBytes += bytes;
    if ((bits & PERSISTENT) === 0) return;
    of.persistentCount++;
    of.persistentBytes += bytes;
  };
  for (const connection of host.connections.all()) {
    for (const channel of connection.channels()) {
      channel.forEachUnacked(look);
      for (const { queue, active, consumerTag } of channel.consumersInfo())
        if (active && queue.settings.singleActiveConsumer) activeTags.set(queue, consumerTag);
    }
  }
  return { unacked, activeTags };
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

/** The connection whose alone it is. */
function owner({ host }: ManagementContext, { exclusiveOwner }: Queue): Row | undefined {
  const connection = exclusiveOwner && host.connections.find(exclusiveOwner);
  if (connection === undefined) return undefined;
  const { name, peerHost, peerPort } = connection.info();
  return { name, peer_host: peerHost, peer_port: peerPort };
}

/** `2026-11-27T15:12:14.276+00:00` */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "+00:00");
}

/**
 * Lengths are as they are now, not as they were some seconds ago. What is undefined is not shown. It is one literal, because
 * there can be thousands of these: put together from parts it takes ten times as long.
 */
function queueJson(call: Call, vhost: VirtualHost, queue: Queue, clients: Clients): Row {
  const { context, query } = call;
  const { statistics } = context;
  const lengths = statistics.withRates(queue, queueLengths(queue)) as Lengths;
  const unacked = clients.unacked.get(queue) ?? NO_UNACKED;
  const persistent = queue.readyPersistent;
  const messages = queue.readyCount + queue.unackedCount;
  const messageBytes = queue.readyBytes + unacked.bodyBytes;
  const capacity = queue.consumerCount > 0 ? 1 : 0;
  const policy = vhost.effectivePolicy("queue", queue.name);
  const idleSinceMs = statistics.idleSinceMs(queue);
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
    messages,
    messages_details: lengths.messages_details,
    messages_ready: queue.readyCount,
    messages_ready_details: lengths.messages_ready_details,
    messages_unacknowledged: queue.unackedCount,
    messages_unacknowledged_details: lengths.messages_unacknowledged_details,
    message_stats: wantsColumn(query, "message_stats")
      ? statistics.withRates(queue, queueCounts(queue))
      : undefined,
    consumers: queue.consumerCount,
    consumer_capacity: capacity,
    consumer_utilisation: capacity,
    exclusive_consumer_tag: null,
    single_active_consumer_tag: clients.activeTags.get(queue) ?? null,
    memory: QUEUE_BYTES + ENTRY_BYTES * messages,
    message_bytes: messageBytes,
    message_bytes_ready: queue.readyBytes,
    message_bytes_unacknowledged: unacked.bodyBytes,
    message_bytes_persistent: persistent.bodyBytes + unacked.persistentBytes,
    message_bytes_ram: messageBytes,
    message_bytes_paged_out: 0,
    messages_persistent: persistent.count + unacked.persistentCount,
    messages_ram: messages,
    messages_ready_ram: queue.readyCount,
    messages_unacknowledged_ram: queue.unackedCount,
    messages_paged_out: 0,
    policy: policy?.policy ?? null,
    operator_policy: policy?.operatorPolicy ?? null,
    effective_policy_definition: policy?.definition ?? {},
    head_message_timestamp: null,
    recoverable_slaves: null,
    storage_version: 2,
    idle_since: idleSinceMs === undefined ? undefined : isoTime(idleSinceMs),
    owner_pid_details: owner(context, queue),
    leader: queue.isQuorum ? NODE_NAME : undefined,
    members: queue.isQuorum ? [NODE_NAME] : undefined,
    online: queue.isQuorum ? [NODE_NAME] : undefined,
    delivery_limit: queue.isQuorum ? deliveryLimit(queue) : undefined,
  };
}

/** As a number, or in a word [RabbitMQ 4]. */
function deliveryLimit({ settings }: Queue): number | string {
  return Number.isFinite(settings.deliveryLimit) ? settings.deliveryLimit : "unlimited";
}

/** Without statistics there are the lengths alone, or not even these. */
function shortJson(vhost: VirtualHost, queue: Queue, query: Query): Row {
  const totals = query.get("enable_queue_totals") === "true" ? queueLengths(queue) : {};
  const policy = vhost.effectivePolicy("queue", queue.name)?.policy;
  return { ...queueSpec(vhost, queue), ...(policy !== undefined && { policy }), ...totals };
}

function listQueues(call: Call): Reply {
  const { context, query } = call;
  const isShort = query.get("disable_stats") === "true";
  const clients = isShort ? NO_CLIENTS : clientsOfQueues(context);
  const sources = new Map<Row, readonly [VirtualHost, Queue]>();
  for (const vhost of call.visibleVirtualHosts()) {
    for (const queue of vhost.queues.all())
      sources.set({ name: queue.name, vhost: vhost.name }, [vhost, queue]);
  }
  const expand = (sketch: Row): Row => {
    const [vhost, queue] = sources.get(sketch)!;
    return isShort ? shortJson(vhost, queue, query) : queueJson(call, vhost, queue, clients);
  };
  return ok(pagedListing(sources.keys(), query, expand));
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
  const all = { ...queueJson(call, vhost, queue, clientsOfQueues(context)), ...more };
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
