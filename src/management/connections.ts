/** Connections: what is known of them, and closing them. */

import type { ClientConnection } from "../broker/connections.ts";
import { NODE_NAME } from "../broker/host.ts";
import { channelJson } from "./channels.ts";
import type { ManagementContext } from "./context.ts";
import { nothingThere } from "./http-error.ts";
import { tableToJson } from "./json-table.ts";
import { chosenColumns, listing, pagedListing } from "./listing.ts";
import { type Call, done, ok, type Reply, type Route } from "./route.ts";
import { connectionCounts } from "./statistics.ts";

type Row = Record<string, unknown>;

const NO_TLS = {
  ssl_protocol: null,
  ssl_cipher: null,
  ssl_hash: null,
  ssl_key_exchange: null,
  peer_cert_issuer: null,
  peer_cert_subject: null,
  peer_cert_validity: null,
};

export function connectionJson(
  { statistics }: ManagementContext,
  connection: ClientConnection,
): Row {
  const info = connection.info();
  return {
    name: info.name,
    ...(info.userProvidedName !== undefined && { user_provided_name: info.userProvidedName }),
    node: NODE_NAME,
    type: "network",
    protocol: info.protocol,
    user: info.user,
    user_who_performed_action: info.user,
    vhost: info.vhost,
    state: info.state,
    auth_mechanism: info.authMechanism,
    host: info.host,
    port: info.port,
    peer_host: info.peerHost,
    peer_port: info.peerPort,
    ssl: info.tls,
    ...NO_TLS,
    channels: info.channels,
    channel_max: info.channelMax,
    frame_max: info.frameMax,
    timeout: info.timeout,
    connected_at: info.connectedAt,
    client_properties: tableToJson(info.clientProperties),
    recv_cnt: info.receiveCount,
    send_cnt: info.sendCount,
    send_pend: 0,
    ...statistics.withRates(connection, connectionCounts(connection)),
  };
}

function* visible(call: Call): Iterable<ClientConnection> {
  for (const connection of call.host.connections.all())
    if (call.seesUser(connection.user.name)) yield connection;
}

function connectionOf(call: Call): ClientConnection {
  const name = call.parameter("connection");
  for (const connection of visible(call)) if (connection.name === name) return connection;
  throw nothingThere();
}

function listConnections(call: Call): Reply {
  const rows = [...visible(call)].map((connection) => connectionJson(call.context, connection));
  return ok(pagedListing(rows, call.query));
}

/** The client hears the reason of the header X-Reason. */
function reasonOf({ headers }: Call): string | undefined {
  const reason = headers["x-reason"];
  return typeof reason === "string" && reason !== "" ? reason : undefined;
}

function closeConnection(call: Call): Reply {
  call.host.connections.close(connectionOf(call).name, reasonOf(call));
  return done;
}

function ofUser(call: Call): ClientConnection[] {
  const name = call.parameter("user");
  return [...visible(call)].filter((connection) => connection.user.name === name);
}

function listOfUser(call: Call): Reply {
  const rows = ofUser(call).map(({ name, vhost, user }) => ({
    name,
    vhost: vhost.name,
    user: user.name,
    node: NODE_NAME,
  }));
  return ok(listing(rows, call.query));
}

function closeOfUser(call: Call): Reply {
  if (ofUser(call).length > 0)
    call.host.connections.closeOfUser(call.parameter("user"), reasonOf(call));
  return done;
}

function channelsOf(call: Call): Reply {
  const connection = connectionOf(call);
  const rows = [...connection.channels()].map((channel) =>
    channelJson(call.context, connection, channel),
  );
  return ok(listing(rows, call.query));
}

export const connectionRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/connections",
    needs: "management",
    summary: "The connections that the user may see: its own, or all",
    handle: listConnections,
  },
  {
    method: "GET",
    path: "/api/connections/:connection",
    needs: "management",
    summary: "A connection",
    handle: (call) =>
      ok(chosenColumns(connectionJson(call.context, connectionOf(call)), call.query)),
  },
  {
    method: "DELETE",
    path: "/api/connections/:connection",
    needs: "management",
    summary: "Closes a connection, with the reason of the header X-Reason",
    handle: closeConnection,
  },
  {
    method: "GET",
    path: "/api/connections/:connection/channels",
    needs: "management",
    summary: "The channels of a connection",
    handle: channelsOf,
  },
  {
    method: "GET",
    path: "/api/connections/:connection/sessions",
    needs: "management",
    summary: "The sessions of a connection: AMQP 0-9-1 has none",
    handle: (call) => {
      connectionOf(call);
      return ok([]);
    },
  },
  {
    method: "GET",
    path: "/api/connections/username/:user",
    needs: "management",
    summary: "The connections of a user",
    handle: listOfUser,
  },
  {
    method: "DELETE",
    path: "/api/connections/username/:user",
    needs: "management",
    summary: "Closes all connections of a user",
    handle: closeOfUser,
  },
];
