/** Virtual hosts, and the permissions and limits in them. */

import { NODE_NAME } from "../broker/host.ts";
import type { VirtualHost } from "../broker/vhost.ts";
import { channelJson } from "./channels.ts";
import { connectionJson } from "./connections.ts";
import { nothingThere } from "./http-error.ts";
import { flag, given } from "./input.ts";
import { chosenColumns, listing, pagedListing } from "./listing.ts";
import { operator } from "./operator.ts";
import { permissionsWhere, topicPermissionsWhere } from "./permissions.ts";
import { type Call, done, ok, put, type Reply, type Route } from "./route.ts";
import { virtualHostSpec } from "./virtual-host-spec.ts";

function virtualHostJson({ context }: Call, vhost: VirtualHost): Record<string, unknown> {
  const { name, properties } = vhost;
  const { description, tags: tagList, defaultQueueType, protectedFromDeletion } = properties;
  const { statistics } = context;
  return {
    name,
    description,
    tags: tagList,
    default_queue_type: defaultQueueType ?? "undefined",
    protected_from_deletion: protectedFromDeletion,
    metadata: {
      description,
      tags: tagList,
      ...(defaultQueueType !== undefined && { default_queue_type: defaultQueueType }),
    },
    tracing: vhost.tracing,
    cluster_state: { [NODE_NAME]: "running" },
    ...statistics.withRates(vhost, {
      ...statistics.lengthsOf(vhost),
      ...statistics.trafficOf(vhost),
    }),
    message_stats: statistics.withRates(vhost, statistics.channelsOf(vhost)),
  };
}

/** Whoever makes a virtual host has all permissions in it, but for the operator, who has them anyway [RabbitMQ]. */
function putVirtualHost(call: Call): Reply {
  const { virtualHosts, permissions } = call.host;
  const name = call.parameter("vhost");
  const isNew = virtualHosts.find(name) === undefined;
  const tracing =
    given(call.json, "tracing") === undefined ? undefined : flag(call.json, "tracing");
  if (isNew) {
    virtualHosts.add(name, virtualHostSpec(call.json));
    if (call.user === operator) return put(isNew);
    permissions.set(call.user.name, name, { configure: ".*", write: ".*", read: ".*" });
  } else {
    virtualHosts.change(name, virtualHostSpec(call.json));
  }
  if (tracing !== undefined) virtualHosts.get(name).tracing = tracing;
  return put(isNew);
}

function deleteVirtualHost(call: Call): Reply {
  call.host.virtualHosts.delete(call.vhost.name);
  return done;
}

function protect(isProtected: boolean): (call: Call) => Reply {
  return (call) => {
    call.host.virtualHosts.change(call.vhost.name, { protectedFromDeletion: isProtected });
    return done;
  };
}

function connectionsThere(call: Call): Reply {
  const { name } = call.vhost;
  const there = [...call.host.connections.all()].filter(
    (connection) => connection.vhost.name === name && call.seesUser(connection.user.name),
  );
  return ok(
    pagedListing(
      there.map((connection) => connectionJson(call.context, connection)),
      call.query,
    ),
  );
}

function channelsThere(call: Call): Reply {
  const { name } = call.vhost;
  const rows: Record<string, unknown>[] = [];
  for (const connection of call.host.connections.all()) {
    if (connection.vhost.name !== name || !call.seesUser(connection.user.name)) continue;
    for (const channel of connection.channels())
      rows.push(channelJson(call.context, connection, channel));
  }
  return ok(pagedListing(rows, call.query));
}

export const virtualHostRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/vhosts",
    needs: "management",
    summary: "The virtual hosts that the user may see",
    handle: (call) => {
      const rows = [...call.visibleVirtualHosts()].map((vhost) => virtualHostJson(call, vhost));
      return ok(pagedListing(rows, call.query));
    },
  },
  {
    method: "GET",
    path: "/api/vhosts/:vhost",
    needs: "management",
    summary: "A virtual host",
    handle: (call) => ok(chosenColumns(virtualHostJson(call, call.vhost), call.query)),
  },
  {
    method: "PUT",
    path: "/api/vhosts/:vhost",
    needs: "administrator",
    summary: "Adds or changes a virtual host",
    handle: putVirtualHost,
  },
  {
    method: "DELETE",
    path: "/api/vhosts/:vhost",
    needs: "administrator",
    summary: "Deletes a virtual host with everything in it",
    handle: deleteVirtualHost,
  },
  {
    method: "POST",
    path: "/api/vhosts/:vhost/deletion/protection",
    needs: "administrator",
    summary: "Protects a virtual host from deletion",
    handle: protect(true),
  },
  {
    method: "DELETE",
    path: "/api/vhosts/:vhost/deletion/protection",
    needs: "administrator",
    summary: "Takes the protection from deletion away",
    handle: protect(false),
  },
  {
    method: "POST",
    path: "/api/vhosts/:vhost/start/:node",
    needs: "administrator",
    summary: "Starts a virtual host on a node, where it runs already",
    handle: (call) => {
      if (call.parameter("node") !== NODE_NAME) throw nothingThere();
      void call.vhost;
      return done;
    },
  },
  {
    method: "GET",
    path: "/api/vhosts/:vhost/permissions",
    needs: "administrator",
    summary: "The permissions in a virtual host",
    handle: (call) =>
      ok(listing(permissionsWhere(call.host, { vhost: call.vhost.name }), call.query)),
  },
  {
    method: "GET",
    path: "/api/vhosts/:vhost/topic-permissions",
    needs: "administrator",
    summary: "The topic permissions in a virtual host",
    handle: (call) =>
      ok(listing(topicPermissionsWhere(call.host, { vhost: call.vhost.name }), call.query)),
  },
  {
    method: "GET",
    path: "/api/vhosts/:vhost/connections",
    needs: "management",
    summary: "The connections to a virtual host",
    handle: connectionsThere,
  },
  {
    method: "GET",
    path: "/api/vhosts/:vhost/channels",
    needs: "management",
    summary: "The channels of connections to a virtual host",
    handle: channelsThere,
  },
];
