/** Publishing and getting messages over HTTP: for people who look, and for scripts; not for many messages. */

import { isUtf8 } from "node:buffer";
import {
  type BasicProperties,
  basicProperties,
  type PropertyKind,
  type PropertyName,
  type PropertyValue,
  readHeader,
} from "../amqp/basic-properties.ts";
import { AmqpError } from "../amqp/errors.ts";
import { StoredMessage } from "../amqp/stored-message.ts";
import type { Actor } from "../broker/firehose.ts";
import { NODE_NAME } from "../broker/host.ts";
import { makePublication } from "../broker/make-publication.ts";
import { exchangeIn } from "../broker/names.ts";
import type { Publication } from "../broker/publication.ts";
import type { VirtualHost } from "../broker/vhost.ts";
import type { Queue } from "../queue/queue.ts";
import { REDELIVERED } from "../queue/ready.ts";
import { exchangeName } from "./bindings.ts";
import { badRequest, HttpError, notAuthorised, notFound } from "./http-error.ts";
import {
  given,
  integer,
  isObject,
  type JsonObject,
  object,
  parseInteger,
  require,
  text,
} from "./input.ts";
import { tableFromJson, tableToJson, textOf } from "./json-table.ts";
import { type Call, ok, type Reply } from "./route.ts";

const SHORTSTR_BYTES_MAX = 255;
/** Got in one request. */
const GET_MAX = 10_000;
const NO_CONNECTION = {};

/** The whole of a request that publishes: RabbitMQ's largest message in base64 and something around it. */
export const PUBLISH_BYTES_MAX = 32 * 1024 * 1024;

function propertyFromJson(name: string, kind: PropertyKind, value: unknown): PropertyValue {
  switch (kind) {
    case "table":
      if (!isObject(value)) throw badRequest(["not_object", name]);
      return tableFromJson(value);
    case "shortstr":
      if (typeof value !== "string" || Buffer.byteLength(value) > SHORTSTR_BYTES_MAX)
        throw badRequest(["not_shortstr", name]);
      return value;
    default: {
      const most = kind === "octet" ? 255 : Number.MAX_SAFE_INTEGER;
      const number = typeof value === "string" && value !== "" ? Number(value) : value;
      if (!Number.isSafeInteger(number) || (number as number) < 0 || (number as number) > most)
        throw badRequest(["not_int", name]);
      return number as number;
    }
  }
}

/** What is not the name of a property is passed over [RabbitMQ]. */
function propertiesFromJson(json: JsonObject): BasicProperties {
  const properties: BasicProperties = new Map();
  for (const [name, kind] of basicProperties) {
    const value = Object.hasOwn(json, name) ? json[name] : undefined;
    if (value !== undefined) properties.set(name, propertyFromJson(name, kind, value));
  }
  return properties;
}

/** An empty list stands for no properties at all [RabbitMQ]. */
function propertiesToJson(properties: BasicProperties): object {
  if (properties.size === 0) return [];
  const shown: Partial<Record<PropertyName, unknown>> = {};
  for (const [name, value] of properties)
    shown[name] = value instanceof Map ? tableToJson(value) : value;
  return shown;
}

function payloadOf(body: JsonObject): Buffer {
  const payload = text(body, "payload")!;
  const encoding = text(body, "payload_encoding") ?? "string";
  if (encoding === "string") return Buffer.from(payload);
  if (encoding !== "base64") throw badRequest(["unsupported_encoding", encoding]);
  if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(payload))
    throw badRequest(["not_base64", payload.slice(0, 100)]);
  return Buffer.from(payload, "base64");
}

function shortstr(name: string, value: string): string {
  if (Buffer.byteLength(value) > SHORTSTR_BYTES_MAX) throw badRequest(["not_shortstr", name]);
  return value;
}

function publicationOf(call: Call, vhost: VirtualHost): Publication {
  const body = call.json;
  require(body, "properties", "routing_key", "payload", "payload_encoding");
  const properties = propertiesFromJson(object(body, "properties")!);
  const routingKey = shortstr("routing_key", text(body, "routing_key")!);
  const payload = payloadOf(body);
  const { maxMessageSize } = call.host.settings;
  if (payload.length > maxMessageSize) {
    throw new AmqpError(
      "PRECONDITION_FAILED",
      `message size ${payload.length} is larger than configured max size ${maxMessageSize}`,
    );
  }
  const name = shortstr("exchange", exchangeName(call.parameter("exchange")));
  call.accessTo(vhost).check("write", "exchange", name);
  const exchange = vhost.exchanges.get(name);
  if (exchange.internal) {
    const text = `cannot publish to internal ${exchangeIn(vhost.name, name)}`;
    throw new AmqpError("ACCESS_REFUSED", text);
  }
  const publication = makePublication(exchange, routingKey, properties, payload);
  publication.loadTtl();
  checkUserId(call, publication);
  call.host.intercept?.(publication);
  return publication;
}

function checkUserId({ user }: Call, { properties }: Publication): void {
  const userId = properties.text(properties.userId);
  if (userId === undefined || userId === user.name || user.impersonates) return;
  throw new AmqpError(
    "PRECONDITION_FAILED",
    `user_id property set to '${userId}' but authenticated user was '${user.name}'`,
  );
}

type Receivers = ReturnType<VirtualHost["route"]>;

function route(call: Call, vhost: VirtualHost, publication: Publication): Receivers {
  const { exchange, routingKey, properties } = publication;
  const keys = properties.hasSenderSelectedKeys ? publication.takeRoutingKeys() : [routingKey];
  if (exchange.type.name === "topic") {
    for (const key of keys) call.accessTo(vhost).checkTopic("write", exchange.name, key);
  }
  return vhost.route(publication, keys);
}

function enqueue(call: Call): Promise<boolean> {
  const vhost = call.host.virtualHosts.find(call.parameter("vhost"));
  if (vhost === undefined) throw notFound("vhost_not_found");
  const publication = publicationOf(call, vhost);
  const receivers = route(call, vhost, publication);
  if (vhost.tracing) vhost.firehose.published(publication, receivers, actorOf(call));
  vhost.closedChannels.published(receivers.length, true);
  publication.exchange.publishedIn++;
  publication.exchange.publishedOut += receivers.length;
  if (!vhost.enqueue(publication, receivers))
    throw badRequest("rejected Unable to publish message. Check queue limits.");
  if (receivers.length === 0) return Promise.resolve(false);
  // As a confirm: not before it is as safe as it is to be.
  const isDurable = vhost.promisesSync(publication, receivers);
  return new Promise((resolve) => {
    vhost.store.afterFlush({ onFlushed: () => resolve(true) }, isDurable);
  });
}

/** The reply tells whether the message went to a queue. */
export async function publish(call: Call): Promise<Reply> {
  const { alarm } = call.host;
  if (alarm.isSet) throw new HttpError(503, { error: "blocked", reason: alarm.reason });
  try {
    return ok({ routed: await enqueue(call) });
  } catch (error) {
    if (error instanceof AmqpError) throw badRequest(`${error.replyCode} ${wireText(error)}`);
    throw error;
  }
}

/** As a client would read it in the close of its channel, but never cut. */
function wireText({ replyName, message }: AmqpError): string {
  return `${replyName} - ${message}`;
}

/** RabbitMQ's management has a connection of its own for it, called by the node. */
function actorOf({ user }: Call): Actor {
  return { connectionName: `<${NODE_NAME}>`, channelNumber: 1, userName: user.name };
}

const outcomes = ["requeue", "ack", "reject"] as const;
type Outcome = (typeof outcomes)[number];
const ackModes: Readonly<Record<string, Outcome>> = {
  ack_requeue_true: "requeue",
  reject_requeue_true: "requeue",
  ack_requeue_false: "ack",
  reject_requeue_false: "reject",
};

interface Wanted {
  readonly count: number;
  readonly outcome: Outcome;
  readonly base64: boolean;
  /** Bytes of each body that are shown. */
  readonly truncate: number;
}

function wantedOf({ json }: Call): Wanted {
  require(json, "count", "ackmode", "encoding");
  const count = parseInteger(given(json, "count"));
  const ackmode = text(json, "ackmode")!;
  const encoding = text(json, "encoding");
  if (!Object.hasOwn(ackModes, ackmode)) throw badRequest(["unknown_ackmode", ackmode]);
  if (encoding !== "auto" && encoding !== "base64")
    throw badRequest("Unsupported encoding. Please use auto or base64.");
  return {
    count: Math.min(count, GET_MAX),
    outcome: ackModes[ackmode]!,
    base64: encoding === "base64",
    truncate: Math.max(0, integer(json, "truncate") ?? Number.MAX_SAFE_INTEGER),
  };
}

function messageJson(message: StoredMessage, { base64, truncate }: Wanted): object {
  const { buffer, bodyStart, bodyBytes } = message;
  const body = buffer.subarray(bodyStart, bodyStart + Math.min(bodyBytes, truncate));
  const isText = !base64 && isUtf8(body);
  return {
    payload_bytes: bodyBytes,
    exchange: message.exchange,
    routing_key: message.routingKey,
    properties: propertiesToJson(readHeader(buffer, message.headerStart, message.headerEnd)),
    payload: isText ? textOf(body) : body.toString("base64"),
    payload_encoding: isText ? "string" : "base64",
  };
}

type Taken = NonNullable<ReturnType<Queue["take"]>>;

function requeue(queue: Queue, taken: readonly Taken[]): void {
  for (const { position, sequence, bits } of taken) queue.requeue(position, sequence, bits);
  queue.dispatch();
}

/** The next message; when it cannot be read, those before it come back, for nobody gets to see them. */
function nextOf(
  vhost: VirtualHost,
  queue: Queue,
  message: StoredMessage,
  taken: readonly Taken[],
): Taken | undefined {
  try {
    return vhost.take(queue, message);
  } catch (error) {
    requeue(queue, taken);
    throw error;
  }
}

/** All of them are taken before the first is settled, so that none comes twice. */
function take(call: Call, vhost: VirtualHost, queue: Queue, wanted: Wanted): object[] {
  const message = new StoredMessage();
  const taken: Taken[] = [];
  const shown: object[] = [];
  while (taken.length < wanted.count) {
    const next = nextOf(vhost, queue, message, taken);
    if (next === undefined) break;
    taken.push(next);
    const redelivered = (next.bits & REDELIVERED) !== 0;
    queue.counts.got(wanted.outcome === "ack", redelivered);
    if (vhost.tracing) vhost.firehose.delivered(message, queue.name, redelivered, actorOf(call));
    shown.push({
      ...messageJson(message, wanted),
      redelivered,
      message_count: queue.readyCount,
    });
  }
  if (wanted.outcome === "requeue") requeue(queue, taken);
  else if (wanted.outcome === "ack") for (const { position } of taken) queue.settle(position);
  else for (const { position } of taken) queue.reject(position);
  return shown;
}

export function getMessages(call: Call): Reply {
  const vhost = call.host.virtualHosts.find(call.parameter("vhost"));
  if (vhost === undefined) throw notFound("vhost_not_found");
  const name = call.parameter("queue");
  const wanted = wantedOf(call);
  try {
    call.accessTo(vhost).check("read", "queue", name);
    return ok(take(call, vhost, vhost.queues.get(name, NO_CONNECTION), wanted));
  } catch (error) {
    if (!(error instanceof AmqpError)) throw error;
    if (error.replyName === "NOT_FOUND") throw notFound(wireText(error));
    if (error.replyName === "ACCESS_REFUSED") throw notAuthorised(wireText(error));
    throw badRequest(`${error.replyCode} ${wireText(error)}`);
  }
}
