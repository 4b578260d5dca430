/**
 * Bindings, each known by its ends and a properties key: the routing key, and a hash of the arguments if there are any.
 *
 * The default exchange keeps no bindings: to every queue leads one by its name, which is shown like the others.
 */

import { crc32 } from "node:zlib";
import { ByteWriter } from "../amqp/byte-writer.ts";
import { type FieldTable, writeTable } from "../amqp/field-table.ts";
import { checkBinding } from "../broker/binding.ts";
import type { VirtualHost } from "../broker/vhost.ts";
import type { Destination } from "../exchange/exchange.ts";
import { nothingThere } from "./http-error.ts";
import { object, text } from "./input.ts";
import { tableFromJson, tableToJson } from "./json-table.ts";
import { listing } from "./listing.ts";
import { type Call, done, ok, type Reply, type Route } from "./route.ts";

type Row = Record<string, unknown>;
type Kind = "queue" | "exchange";

interface BindingView {
  readonly source: string;
  readonly kind: Kind;
  readonly destination: string;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

/** Which bindings: all of which these ends are, as far as they are given. */
export interface Ends {
  readonly source?: string;
  readonly kind?: Kind;
  readonly destination?: string;
}

const NO_ARGUMENTS: FieldTable = new Map();
/** The default exchange in a path. */
const DEFAULT_IN_PATH = "amq.default";

/** The name of an exchange in a path. */
export function exchangeName(part: string): string {
  return part === DEFAULT_IN_PATH ? "" : part;
}

/** As for a form: letters, digits and `._~-` stay, a space is a plus. */
function quote(text: string): string {
  const escaped = encodeURIComponent(text).replaceAll("%20", "+");
  return escaped.replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

export function propertiesKey(routingKey: string, args: FieldTable): string {
  if (args.size === 0 && routingKey === "") return "~";
  const key = quote(routingKey).replaceAll("~", "%7E");
  return args.size === 0 ? key : `${key}~${argumentsHash(args)}`;
}

function argumentsHash(args: FieldTable): string {
  const writer = new ByteWriter();
  writeTable(writer, new Map([...args].sort(([a], [b]) => (a < b ? -1 : 1))));
  const hash = Buffer.alloc(4);
  hash.writeUInt32BE(crc32(writer.bytes()));
  return hash.toString("base64url");
}

function bindingJson(vhost: string, binding: BindingView): Row {
  const { source, destination, kind, routingKey } = binding;
  return {
    source,
    vhost,
    destination,
    destination_type: kind,
    routing_key: routingKey,
    arguments: tableToJson(binding.arguments),
    properties_key: propertiesKey(routingKey, binding.arguments),
  };
}

/** The bindings of a virtual host between these ends; those of the default exchange first. */
function* views(vhost: VirtualHost, ends: Ends): Iterable<BindingView> {
  if (ends.source === undefined || ends.source === "") yield* implicitViews(vhost, ends);
  for (const exchange of vhost.exchanges.all()) {
    if (ends.source !== undefined && exchange.name !== ends.source) continue;
    for (const { destination, routingKey, arguments: args } of exchange.bindings) {
      const { kind, name } = destination;
      if (kind === "shelf") continue;
      if (ends.kind !== undefined && kind !== ends.kind) continue;
      if (ends.destination !== undefined && name !== ends.destination) continue;
      yield { source: exchange.name, kind, destination: name, routingKey, arguments: args };
    }
  }
}

function* implicitViews(vhost: VirtualHost, { kind, destination }: Ends): Iterable<BindingView> {
  if (kind === "exchange") return;
  for (const { name } of vhost.queues.all()) {
    if (destination !== undefined && name !== destination) continue;
    yield {
      source: "",
      kind: "queue",
      destination: name,
      routingKey: name,
      arguments: NO_ARGUMENTS,
    };
  }
}

export function bindingsOf(vhost: VirtualHost, ends: Ends): Row[] {
  return [...views(vhost, ends)].map((view) => bindingJson(vhost.name, view));
}

function listBindings(call: Call): Reply {
  const rows: Row[] = [];
  for (const vhost of call.visibleVirtualHosts()) rows.push(...bindingsOf(vhost, {}));
  return ok(listing(rows, call.query));
}

function endsOf(call: Call, kind: Kind): Required<Ends> {
  const source = exchangeName(call.parameter("source"));
  const given = call.parameter("destination");
  return { source, kind, destination: kind === "exchange" ? exchangeName(given) : given };
}

function between(kind: Kind): (call: Call) => Reply {
  return (call) => ok(listing(bindingsOf(call.vhost, endsOf(call, kind)), call.query));
}

function findBinding(call: Call, kind: Kind): BindingView {
  const wanted = call.parameter("properties");
  for (const view of views(call.vhost, endsOf(call, kind)))
    if (propertiesKey(view.routingKey, view.arguments) === wanted) return view;
  throw nothingThere();
}

function getBinding(kind: Kind): (call: Call) => Reply {
  return (call) => ok(bindingJson(call.vhost.name, findBinding(call, kind)));
}

/** The destination of a binding that is to be made or unmade; throws NOT_FOUND. */
function destinationOf(vhost: VirtualHost, kind: Kind, name: string): Destination {
  if (kind === "exchange") return vhost.exchanges.get(name);
  return vhost.queues.get(name, {});
}

/** Throws ACCESS_REFUSED when the user may not bind these. */
function check(
  call: Call,
  { source, kind, destination }: Required<Ends>,
  routingKey: string,
): void {
  const { vhost } = call;
  checkBinding({ vhost, access: call.accessTo(vhost) }, kind, destination, source, routingKey);
}

function addBinding(kind: Kind): (call: Call) => Reply {
  return (call) => {
    const { vhost, json } = call;
    const ends = endsOf(call, kind);
    const routingKey = text(json, "routing_key") ?? "";
    const args = tableFromJson(object(json, "arguments") ?? {});
    check(call, ends, routingKey);
    vhost.exchanges.named(ends.source);
    const destination = destinationOf(vhost, kind, ends.destination);
    vhost.exchanges.bind(ends.source, destination, routingKey, args);
    const location = `${quote(ends.destination)}/${quote(propertiesKey(routingKey, args))}`;
    return { status: 201, headers: { location } };
  };
}

function deleteBinding(kind: Kind): (call: Call) => Reply {
  return (call) => {
    const { vhost } = call;
    const ends = endsOf(call, kind);
    const { routingKey, arguments: args } = findBinding(call, kind);
    check(call, ends, routingKey);
    const destination = destinationOf(vhost, kind, ends.destination);
    vhost.exchanges.unbind(ends.source, destination, routingKey, args);
    return done;
  };
}

const kinds = [
  ["q", "queue"],
  ["e", "exchange"],
] as const;

export const bindingRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/bindings",
    needs: "management",
    summary: "The bindings of all virtual hosts that the user may see",
    handle: listBindings,
  },
  {
    method: "GET",
    path: "/api/bindings/:vhost",
    needs: "management",
    summary: "The bindings of a virtual host",
    handle: listBindings,
  },
  ...kinds.flatMap(([letter, kind]): Route[] => {
    const path = `/api/bindings/:vhost/e/:source/${letter}/:destination`;
    return [
      {
        method: "GET",
        path,
        needs: "management",
        summary: `The bindings between an exchange and a destination that is ${kind === "queue" ? "a queue" : "an exchange"}`,
        handle: between(kind),
      },
      {
        method: "POST",
        path,
        needs: "management",
        summary: `Binds ${kind === "queue" ? "a queue" : "an exchange"} to an exchange`,
        handle: addBinding(kind),
      },
      {
        method: "GET",
        path: `${path}/:properties`,
        needs: "management",
        summary: "A binding",
        handle: getBinding(kind),
      },
      {
        method: "DELETE",
        path: `${path}/:properties`,
        needs: "management",
        summary: "Removes a binding",
        handle: deleteBinding(kind),
      },
    ];
  }),
];
