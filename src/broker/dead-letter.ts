/**
 * Makes the message that a dead letter is published as: its headers tell how it died, its expiration is gone.
 *
 * The header x-death holds a table for each queue and reason, the newest first; x-first-death-* and x-last-death-* repeat
 * the ends of that story. A message that would go round without anybody rejecting it is not let into the same queue
 * again [RabbitMQ: dlx].
 */

import { ByteWriter } from "../amqp/byte-writer.ts";
import { type FieldTable, type FieldValue, longstr } from "../amqp/field-table.ts";
import { PropertyScan, rewriteHeader } from "../amqp/properties.ts";
import { type MessageSource, StoredMessage } from "../amqp/stored-message.ts";
import { valueText } from "../amqp/type-names.ts";
import type { DeadLetterReason, Queue } from "../queue/queue.ts";
import { decodeKeys, senderSelectedKeys } from "./publication.ts";

export interface DeadLetter {
  readonly source: MessageSource;
  readonly exchange: string;
  readonly routingKeys: readonly string[];
  readonly hiddenKeys: Buffer | undefined;
  /** Whether the message may not go to this queue because it would only go round. */
  cycles(queueName: string): boolean;
}

/** A table of x-death; values that a client could not have put there, because only the broker's own are read. */
type Death = FieldTable;

function textOf(death: Death, field: string): string {
  const value = death.get(field);
  return value === undefined ? "" : valueText(value);
}

const NO_BYTES = Buffer.alloc(0);
const message = new StoredMessage();
const properties = new PropertyScan();

/** The message at `position` of `queue`, made into a dead letter. The body is borrowed from the store for the turn. */
export function makeDeadLetter(
  queue: Queue,
  position: number,
  reason: DeadLetterReason,
  nowMs: number,
): DeadLetter {
  queue.open(position, message);
  properties.scan(message.buffer, message.headerStart, message.headerEnd);
  const headers = properties.decodeHeaders();
  const deaths = recordDeath(
    message.hasDeaths ? previousDeaths(headers) : [],
    describeDeath(queue, reason, nowMs, headers),
  );
  const { deadLetterExchange = "", deadLetterRoutingKey } = queue.settings;
  const hiddenKeys = deadLetterRoutingKey === undefined ? message.hiddenKeys : undefined;
  const routingKeys =
    deadLetterRoutingKey === undefined
      ? [...visibleKeys(headers), ...decodeKeys(hiddenKeys ?? NO_BYTES)]
      : [deadLetterRoutingKey];
  if (deadLetterRoutingKey !== undefined) headers.delete("CC");
  writeDeaths(headers, deaths, message.hasDeaths);
  const header = rewriteHeader(properties, { headers: sorted(headers), removeExpiration: true });
  const routing = writeRouting(deadLetterExchange, routingKeys[0]!);
  return {
    source: {
      routingBuffer: routing.buffer,
      routingStart: 0,
      routingEnd: routing.end,
      headerBuffer: header,
      headerStart: 0,
      headerEnd: header.length,
      bodyBuffer: message.buffer,
      bodyStart: message.bodyStart,
      bodyEnd: message.bodyStart + message.bodyBytes,
      contiguous: false,
    },
    exchange: deadLetterExchange,
    routingKeys,
    hiddenKeys,
    cycles: (queueName) => reason !== "rejected" && closesCycle(deaths, queueName),
  };
}

/** The keys that the message was published with, as far as a receiver may know. */
function visibleKeys(headers: FieldTable): string[] {
  return [message.routingKey, ...senderSelectedKeys(headers, "CC")];
}

function previousDeaths(headers: FieldTable): Death[] {
  const value = headers.get("x-death");
  if (value?.type !== "A") return [];
  return value.value.flatMap((death) => (death.type === "F" ? [death.value] : []));
}

/** The table of a death that happens now, for the first time. `original-expiration` comes first where there is one. */
function describeDeath(
  queue: Queue,
  reason: DeadLetterReason,
  nowMs: number,
  headers: FieldTable,
): Death {
  const death: Death = new Map();
  const expiration = properties.text(properties.expiration);
  if (expiration !== undefined) death.set("original-expiration", longstr(expiration));
  return death
    .set("count", { type: "l", value: 1n })
    .set("reason", longstr(reason))
    .set("queue", longstr(queue.name))
    .set("time", { type: "T", value: BigInt(Math.floor(nowMs / 1000)) })
    .set("exchange", longstr(message.exchange))
    .set("routing-keys", { type: "A", value: visibleKeys(headers).map(longstr) });
}

/** Adds a death in front. A queue and reason seen before keep their table and its time, and count one more. */
function recordDeath(deaths: readonly Death[], death: Death): Death[] {
  const known = deaths.find(
    (other) =>
      textOf(other, "queue") === textOf(death, "queue") &&
      textOf(other, "reason") === textOf(death, "reason"),
  );
  if (known === undefined) return [death, ...deaths];
  const count = known.get("count");
  known.set("count", { type: "l", value: count?.type === "l" ? count.value + 1n : 1n });
  return [known, ...deaths.filter((other) => other !== known)];
}

const firstHeaders = ["queue", "reason", "exchange"] as const;

function writeDeaths(headers: FieldTable, deaths: readonly Death[], diedBefore: boolean): void {
  const tables: FieldValue[] = deaths.map((death) => ({ type: "F", value: death }));
  headers.set("x-death", { type: "A", value: tables });
  for (const field of firstHeaders) {
    const last = deaths[0]!.get(field)!;
    headers.set(`x-last-death-${field}`, last);
    if (!diedBefore || !headers.has(`x-first-death-${field}`))
      headers.set(`x-first-death-${field}`, last);
  }
}

/** The headers of a dead letter come out sorted by key [RabbitMQ 4]. */
function sorted(headers: FieldTable): FieldTable {
  return new Map([...headers].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Whether a message died in this queue before, and nobody has rejected it since. */
function closesCycle(deaths: readonly Death[], queueName: string): boolean {
  for (const death of deaths) {
    if (textOf(death, "reason") === "rejected") return false;
    if (textOf(death, "queue") === queueName) return true;
  }
  return false;
}

function writeRouting(exchange: string, routingKey: string): ByteWriter {
  const writer = new ByteWriter(64);
  writer.shortstr(exchange);
  writer.shortstr(routingKey);
  return writer;
}
