/** Exchanges: what is known of them, declaring, deleting, and publishing to them. */

import type { VirtualHost } from "../broker/vhost.ts";
import type { Exchange } from "../exchange/exchange.ts";
import { bindingsOf, exchangeName } from "./bindings.ts";
import type { ManagementContext } from "./context.ts";
import { nothingThere } from "./http-error.ts";
import { flag, object, text } from "./input.ts";
import { tableFromJson, tableToJson } from "./json-table.ts";
import { chosenColumns, listing, pagedListing } from "./listing.ts";
import { PUBLISH_BYTES_MAX, publish } from "./messages.ts";
import { writableVirtualHost } from "./queues.ts";
import { type Call, done, ok, put, type Reply, type Route } from "./route.ts";
import { exchangeCounts, isSilent } from "./statistics.ts";

type Row = Record<string, unknown>;

function exchangeJson(
  { statistics }: ManagementContext,
  vhost: VirtualHost,
  exchange: Exchange,
): Row {
  const counts = exchangeCounts(exchange);
  const policy = vhost.effectivePolicy("exchange", exchange.name)?.policy;
  return {
    name: exchange.name,
    vhost: vhost.name,
    type: exchange.type.name,
    durable: exchange.durable,
    auto_delete: exchange.autoDelete,
    internal: exchange.internal,
    arguments: tableToJson(exchange.arguments),
    ...(policy !== undefined && { policy }),
    ...(exchange.type.keeps === "delayed" && { messages_delayed: exchange.shelf?.length }),
    user_who_performed_action: "rmq-internal",
    ...(!isSilent(counts) && { message_stats: statistics.withRates(exchange, counts) }),
  };
}

function listExchanges(call: Call): Reply {
  const rows: Row[] = [];
  for (const vhost of call.visibleVirtualHosts()) {
    for (const exchange of vhost.exchanges.all())
      rows.push(exchangeJson(call.context, vhost, exchange));
  }
  return ok(pagedListing(rows, call.query));
}

function exchangeOf(call: Call): Exchange {
  const exchange = call.vhost.exchanges.find(exchangeName(call.parameter("exchange")));
  if (exchange === undefined) throw nothingThere();
  return exchange;
}

function getExchange(call: Call): Reply {
  const all = exchangeJson(call.context, call.vhost, exchangeOf(call));
  return ok(chosenColumns({ ...all, incoming: [], outgoing: [] }, call.query));
}

function putExchange(call: Call): Reply {
  const vhost = writableVirtualHost(call);
  const body = call.json;
  const name = exchangeName(call.parameter("exchange"));
  const isNew = vhost.exchanges.find(name) === undefined;
  const declaration = {
    name,
    type: text(body, "type") ?? "direct",
    durable: flag(body, "durable"),
    autoDelete: flag(body, "auto_delete"),
    internal: flag(body, "internal"),
    arguments: tableFromJson(object(body, "arguments") ?? {}),
  };
  vhost.exchanges.declare(declaration, call.accessTo(vhost));
  return put(isNew);
}

function deleteExchange(call: Call): Reply {
  const { vhost, query } = call;
  const { name } = exchangeOf(call);
  vhost.exchanges.delete(name, query.get("if-unused") === "true", call.accessTo(vhost));
  return done;
}

function bindingsWhere(end: "source" | "destination"): (call: Call) => Reply {
  return (call) => {
    const name = exchangeName(call.parameter("exchange"));
    const ends =
      end === "source" ? { source: name } : ({ kind: "exchange", destination: name } as const);
    return ok(listing(bindingsOf(call.vhost, ends), call.query));
  };
}

const path = "/api/exchanges/:vhost/:exchange";

export const exchangeRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/exchanges",
    needs: "management",
    summary: "The exchanges of all virtual hosts that the user may see",
    handle: listExchanges,
  },
  {
    method: "GET",
    path: "/api/exchanges/:vhost",
    needs: "management",
    summary: "The exchanges of a virtual host",
    handle: listExchanges,
  },
  { method: "GET", path, needs: "management", summary: "An exchange", handle: getExchange },
  {
    method: "PUT",
    path,
    needs: "management",
    summary: "Declares an exchange",
    handle: putExchange,
  },
  {
    method: "DELETE",
    path,
    needs: "management",
    summary: "Deletes an exchange; with `if-unused` only one without bindings",
    handle: deleteExchange,
  },
  {
    method: "POST",
    path: `${path}/publish`,
    needs: "management",
    summary: "Publishes a message, and says whether it went to a queue",
    bodyBytesMax: PUBLISH_BYTES_MAX,
    handle: publish,
  },
  {
    method: "GET",
    path: `${path}/bindings/source`,
    needs: "management",
    summary: "The bindings that lead away from an exchange",
    handle: bindingsWhere("source"),
  },
  {
    method: "GET",
    path: `${path}/bindings/destination`,
    needs: "management",
    summary: "The bindings that lead to an exchange",
    handle: bindingsWhere("destination"),
  },
];
