/**
 * The firehose: a copy of every message that is published in a virtual host, and of every one that is delivered, to its
 * exchange amq.rabbitmq.trace, for whoever wants to see what goes on [RabbitMQ: firehose].
 *
 * A copy is made at once and published when the turn ends, so that nothing happens in the middle of a delivery. What comes out
 * of the exchange itself is not copied again. Whether anything is copied is for the caller to ask first: that is all it costs
 * when it is off.
 */

import { type BasicProperties, readHeader } from "../amqp/basic-properties.ts";
import { type FieldTable, type FieldValue, longstr } from "../amqp/field-table.ts";
import type { StoredMessage } from "../amqp/stored-message.ts";
import { AssertionError } from "../assert.ts";
import type { Log } from "../log.ts";
import type { Turn } from "../turn.ts";
import { makePublication } from "./make-publication.ts";
import { decodeKeys, type Publication, senderSelectedKeys } from "./publication.ts";
import { REPLY_QUEUE } from "./reply-queue.ts";
import type { Receiver } from "./shelves.ts";
import type { VirtualHost } from "./vhost.ts";

const TRACE_EXCHANGE = "amq.rabbitmq.trace";
/** A routing key is a shortstr, and a prefix goes before a name that may be as long as one. */
const KEY_BYTES_MAX = 255;

/** Who publishes a message, or gets it. */
export interface Actor {
  readonly connectionName: string;
  readonly channelNumber: number;
  readonly userName: string;
}

interface Copy {
  readonly routingKey: string;
  readonly headers: FieldTable;
  readonly body: Buffer;
}

/** What is there to say of a message, whichever way it goes. */
interface Traced {
  readonly exchange: string;
  readonly routingKey: string;
  readonly hiddenKeys: Buffer | undefined;
  readonly properties: BasicProperties;
  readonly body: Buffer;
}

export class Firehose {
  readonly #vhost: VirtualHost;
  readonly #nodeName: string;
  readonly #turn: Turn;
  readonly #log: Log;
  #copies: Copy[] = [];

  constructor(vhost: VirtualHost, nodeName: string, turn: Turn, log: Log) {
    this.#vhost = vhost;
    this.#nodeName = nodeName;
    this.#turn = turn;
    this.#log = log;
  }

  /** A message has been routed to these. It is borrowed. */
  published(publication: Publication, receivers: readonly Receiver[], actor: Actor): void {
    const { source, exchange, routingKey, hiddenKeys } = publication;
    const queues = receivers.filter(({ kind }) => kind === "queue");
    const headers = this.#headers(actor);
    headers.set("routed_queues", texts(queues.map(({ name }) => name)));
    this.#add("publish", exchange.name, headers, {
      ...{ exchange: exchange.name, routingKey, hiddenKeys },
      properties: readHeader(source.headerBuffer, source.headerStart, source.headerEnd),
      body: source.bodyBuffer.subarray(source.bodyStart, source.bodyEnd),
    });
  }

  /** A message of the queue has gone to somebody. It is borrowed. */
  delivered(message: StoredMessage, queue: string, redelivered: boolean, actor: Actor): void {
    const { exchange, routingKey, hiddenKeys, buffer, bodyStart, bodyBytes, shownHeader } = message;
    // Replies go straight to whoever asked, past the firehose [RabbitMQ].
    if (exchange === TRACE_EXCHANGE || queue.startsWith(`${REPLY_QUEUE}.`)) return;
    const headers = new Map([
      ["redelivered", integer(Number(redelivered))],
      ...this.#headers(actor),
    ]);
    this.#add("deliver", queue, headers, {
      ...{ exchange, routingKey, hiddenKeys },
      properties:
        shownHeader === undefined
          ? readHeader(buffer, message.headerStart, message.headerEnd)
          : readHeader(shownHeader, 0, shownHeader.length),
      body: buffer.subarray(bodyStart, bodyStart + bodyBytes),
    });
  }

  #headers({ connectionName, channelNumber, userName }: Actor): FieldTable {
    return new Map<string, FieldValue>([
      ["vhost", longstr(this.#vhost.name)],
      ["connection", longstr(connectionName)],
      ["channel", integer(channelNumber)],
      ["user", longstr(userName)],
    ]);
  }

  #add(prefix: string, suffix: string, more: FieldTable, traced: Traced): void {
    const { exchange, properties } = traced;
    const headers: FieldTable = new Map<string, FieldValue>([
      ["exchange_name", longstr(exchange)],
      ["routing_keys", texts(routingKeys(traced))],
      ["properties", { type: "F", value: propertiesTable(properties) }],
      ["node", longstr(this.#nodeName)],
      ...more,
    ]);
    if (this.#copies.length === 0) this.#turn.flushStore(this);
    const routingKey = cut(`${prefix}.${suffix}`);
    this.#copies.push({ routingKey, headers, body: Buffer.from(traced.body) });
  }

  /** Publishes the copies. One that cannot be published is lost, and said so: nothing else may suffer from it. */
  endTurn(): void {
    const copies = this.#copies;
    this.#copies = [];
    for (const copy of copies) {
      try {
        this.#publish(copy);
      } catch (error) {
        if (error instanceof AssertionError) throw error;
        this.#log.error({ vhost: this.#vhost.name, error }, "a trace could not be published");
      }
    }
  }

  #publish({ routingKey, headers, body }: Copy): void {
    const exchange = this.#vhost.exchanges.find(TRACE_EXCHANGE)!;
    const publication = makePublication(
      exchange,
      routingKey,
      new Map([["headers", headers]]),
      body,
    );
    this.#vhost.enqueue(publication, this.#vhost.route(publication));
  }
}

function integer(value: number): FieldValue {
  return { type: "I", value };
}

function texts(values: readonly string[]): FieldValue {
  return { type: "A", value: values.map(longstr) };
}

/** Its own, those of the header CC, and those of BCC, which nobody else hears of. */
function routingKeys({ routingKey, hiddenKeys, properties }: Traced): string[] {
  const headers = (properties.get("headers") as FieldTable | undefined) ?? new Map();
  const hidden = hiddenKeys === undefined ? [] : decodeKeys(hiddenKeys);
  return [routingKey, ...senderSelectedKeys(headers, "CC"), ...hidden];
}

/** The last property first, and numbers in 32 bits, as RabbitMQ has it. */
function propertiesTable(properties: BasicProperties): FieldTable {
  const table: FieldTable = new Map();
  for (const [name, value] of [...properties].reverse()) {
    if (typeof value === "string") table.set(name, longstr(value));
    else if (typeof value === "number") table.set(name, integer(value | 0));
    else table.set(name, { type: "F", value });
  }
  return table;
}

/** What does not fit into a routing key is left out, whole characters of it. */
function cut(key: string): string {
  if (Buffer.byteLength(key) <= KEY_BYTES_MAX) return key;
  let bytes = KEY_BYTES_MAX;
  const encoded = Buffer.from(key);
  while ((encoded[bytes]! & 0xc0) === 0x80) bytes--;
  return encoded.toString("utf8", 0, bytes);
}
