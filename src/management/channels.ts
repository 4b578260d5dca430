/** Channels and consumers: what is known of them. */

import type { ClientChannel, ClientConnection, ConsumerInfo } from "../broker/connections.ts";
import { NODE_NAME } from "../broker/host.ts";
import type { ManagementContext } from "./context.ts";
import { nothingThere } from "./http-error.ts";
import { tableToJson } from "./json-table.ts";
import { chosenColumns, listing, pagedListing } from "./listing.ts";
import { type Call, ok, type Reply, type Route } from "./route.ts";
import { channelCounts, isSilent } from "./statistics.ts";

type Row = Record<string, unknown>;

export function channelJson(
  { statistics }: ManagementContext,
  connection: ClientConnection,
  channel: ClientChannel,
): Row {
  const info = channel.info();
  const { name, user, vhost, peerHost, peerPort } = connection.info();
  const counts = channelCounts(channel.counts);
  return {
    name: info.name,
    number: info.number,
    node: NODE_NAME,
    user,
    user_who_performed_action: user,
    vhost,
    state: "running",
    confirm: info.confirm,
    transactional: info.transactional,
    consumer_count: info.consumers,
    prefetch_count: info.prefetch,
    global_prefetch_count: info.globalPrefetch,
    messages_unacknowledged: info.unacked,
    messages_unconfirmed: info.unconfirmed,
    messages_uncommitted: info.uncommitted,
    acks_uncommitted: info.uncommittedAcks,
    pending_raft_commands: 0,
    connection_details: { name, peer_host: peerHost, peer_port: peerPort },
    ...(!isSilent(counts) && { message_stats: statistics.withRates(channel, counts) }),
  };
}

function activityOf({ queue, active }: ConsumerInfo): string {
  if (!queue.settings.singleActiveConsumer) return "up";
  return active ? "single_active" : "waiting";
}

export function consumerJson(
  connection: ClientConnection,
  channel: ClientChannel,
  consumer: ConsumerInfo,
): Row {
  const { name, user, vhost, peerHost, peerPort } = connection.info();
  const { number, name: channelName } = channel.info();
  return {
    consumer_tag: consumer.consumerTag,
    queue: { name: consumer.queue.name, vhost },
    ack_required: !consumer.noAck,
    exclusive: consumer.exclusive,
    prefetch_count: consumer.prefetch,
    active: consumer.active,
    activity_status: activityOf(consumer),
    arguments: tableToJson(consumer.arguments),
    channel_details: {
      connection_name: name,
      name: channelName,
      node: NODE_NAME,
      number,
      peer_host: peerHost,
      peer_port: peerPort,
      user,
    },
  };
}

function* visible(call: Call): Iterable<readonly [ClientConnection, ClientChannel]> {
  for (const connection of call.host.connections.all()) {
    if (!call.seesUser(connection.user.name)) continue;
    for (const channel of connection.channels()) yield [connection, channel];
  }
}

function listChannels(call: Call): Reply {
  const rows = [...visible(call)].map(([connection, channel]) =>
    channelJson(call.context, connection, channel),
  );
  return ok(pagedListing(rows, call.query));
}

function getChannel(call: Call): Reply {
  for (const [connection, channel] of visible(call)) {
    if (channel.info().name !== call.parameter("channel")) continue;
    const consumers = [...channel.consumersInfo()].map((consumer) =>
      consumerJson(connection, channel, consumer),
    );
    const more = { consumer_details: consumers, publishes: [], deliveries: [] };
    const all = { ...channelJson(call.context, connection, channel), ...more };
    return ok(chosenColumns(all, call.query));
  }
  throw nothingThere();
}

/** Consumers are seen by whoever sees their queue. */
function listConsumers(call: Call): Reply {
  const vhosts = new Set(call.visibleVirtualHosts());
  const rows: Row[] = [];
  for (const connection of call.host.connections.all()) {
    if (!vhosts.has(connection.vhost)) continue;
    for (const channel of connection.channels()) {
      for (const consumer of channel.consumersInfo())
        rows.push(consumerJson(connection, channel, consumer));
    }
  }
  return ok(listing(rows, call.query));
}

export const channelRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/channels",
    needs: "management",
    summary: "The channels of the connections that the user may see",
    handle: listChannels,
  },
  {
    method: "GET",
    path: "/api/channels/:channel",
    needs: "management",
    summary: "A channel, with its consumers",
    handle: getChannel,
  },
  {
    method: "GET",
    path: "/api/consumers",
    needs: "management",
    summary: "The consumers in all virtual hosts that the user may see",
    handle: listConsumers,
  },
  {
    method: "GET",
    path: "/api/consumers/:vhost",
    needs: "management",
    summary: "The consumers in a virtual host",
    handle: listConsumers,
  },
];
