/**
 * A message on its way in: what was sent, what its properties ask for, and what it is routed by.
 *
 * A scratch object: a channel has one and loads every message into it. Rules that look at properties read them here, so
 * that the header itself stays the bytes that came.
 */

import { isUtf8 } from "node:buffer";
import { ByteReader } from "../amqp/byte-reader.ts";
import { ByteWriter } from "../amqp/byte-writer.ts";
import { AmqpError } from "../amqp/errors.ts";
import type { FieldTable, FieldValue } from "../amqp/field-table.ts";
import { type DecodableProperty, PropertyScan, rewriteHeader } from "../amqp/properties.ts";
import type { Envelope, MessageSource } from "../amqp/stored-message.ts";
import { typeName } from "../amqp/type-names.ts";
import type { Exchange, Routable, Shelf } from "../exchange/exchange.ts";
import { EXPIRES, PERSISTENT } from "../queue/ready.ts";

/** A message's own time to live may be ten years at most [RabbitMQ]. */
const TTL_MS_MAX = 315_360_000_000;
const ZERO = 0x30;
const NINE = 0x39;
const DELIVERY_MODE_PERSISTENT = 2;

/** A publication at rest: routing, header and body one after the other, and what was found out about it. */
export interface KeptPublication {
  readonly bytes: Buffer;
  readonly headerStart: number;
  readonly bodyStart: number;
  readonly exchange: Exchange;
  readonly routingKey: string;
  readonly hiddenKeys: Buffer | undefined;
  readonly remembering: Shelf[];
}

export class Publication implements Routable, Envelope {
  readonly properties = new PropertyScan();
  source!: MessageSource;
  exchange!: Exchange;
  routingKey = "";
  ttlMs = -1;
  hasDeaths = false;
  hiddenKeys: Buffer | undefined = undefined;
  /** What makes it a duplicate, where a queue has asked. */
  deduplicationKey: string | undefined = undefined;
  /** Shelves that want a copy, found while it was routed. */
  remembering: Shelf[] = [];

  /** Looks at a message's header. The source is borrowed; its header may be replaced by `rewrite`. */
  load(source: MessageSource): void {
    this.source = source;
    this.hiddenKeys = undefined;
    this.deduplicationKey = undefined;
    if (this.remembering.length > 0) this.remembering = [];
    const { properties } = this;
    properties.scan(source.headerBuffer, source.headerStart, source.headerEnd);
    this.ttlMs = -1;
  }

  /** Reads the property expiration; a PRECONDITION_FAILED when it is no time. */
  loadTtl(): void {
    const { properties } = this;
    const { start, end } = properties.expiration;
    if (start >= 0)
      this.ttlMs =
        readDigits(properties.buffer, start, end) ??
        parseExpiration(properties.text(properties.expiration)!);
  }

  /** A copy with bytes of its own, to be kept as long as it is needed. */
  keep(): KeptPublication {
    const { source, exchange, routingKey, hiddenKeys, remembering } = this;
    const headerStart = source.routingEnd - source.routingStart;
    const bodyStart = headerStart + source.headerEnd - source.headerStart;
    const bodyEnd = bodyStart + this.bodyBytes;
    const bytes = Buffer.allocUnsafe(bodyEnd);
    source.routingBuffer.copy(bytes, 0, source.routingStart, source.routingEnd);
    source.headerBuffer.copy(bytes, headerStart, source.headerStart, source.headerEnd);
    source.bodyBuffer.copy(bytes, bodyStart, source.bodyStart, source.bodyEnd);
    return { bytes, headerStart, bodyStart, exchange, routingKey, hiddenKeys, remembering };
  }

  /** Becomes what was kept. */
  loadKept(kept: KeptPublication): void {
    const { bytes, headerStart, bodyStart } = kept;
    this.load({
      routingBuffer: bytes,
      routingStart: 0,
      routingEnd: headerStart,
      headerBuffer: bytes,
      headerStart,
      headerEnd: bodyStart,
      bodyBuffer: bytes,
      bodyStart,
      bodyEnd: bytes.length,
      contiguous: false,
    });
    this.loadTtl();
    this.exchange = kept.exchange;
    this.routingKey = kept.routingKey;
    this.hiddenKeys = kept.hiddenKeys;
    this.remembering = kept.remembering;
  }

  get bodyBytes(): number {
    return this.source.bodyEnd - this.source.bodyStart;
  }

  get persistent(): boolean {
    return this.properties.deliveryMode === DELIVERY_MODE_PERSISTENT;
  }

  /** The flags of its entry in a queue. */
  get entryFlags(): number {
    return (this.persistent ? PERSISTENT : 0) | (this.ttlMs < 0 ? 0 : EXPIRES);
  }

  decodeHeaders(): FieldTable {
    return this.properties.decodeHeaders();
  }

  decodeProperty(name: DecodableProperty): string | undefined {
    return this.properties.decodeProperty(name);
  }

  remember(shelf: Shelf): void {
    if (!this.remembering.includes(shelf)) this.remembering.push(shelf);
  }

  /** Replaces the header by a changed one. */
  rewrite(changes: Parameters<typeof rewriteHeader>[1]): void {
    const { source } = this;
    const header = rewriteHeader(this.properties, changes);
    source.headerBuffer = header;
    source.headerStart = 0;
    source.headerEnd = header.length;
    this.properties.scan(header, 0, header.length);
  }

  /**
   * The routing key and those of the headers CC and BCC; BCC is taken out of the header, so that nobody sees it, and kept
   * aside [RabbitMQ: sender-selected distribution].
   */
  takeRoutingKeys(): string[] {
    const headers = this.decodeHeaders();
    const hidden = senderSelectedKeys(headers, "BCC");
    const keys = [this.routingKey, ...senderSelectedKeys(headers, "CC"), ...hidden];
    if (headers.delete("BCC")) this.rewrite({ headers });
    if (hidden.length > 0) this.hiddenKeys = encodeKeys(hidden);
    return keys;
  }

  /** All keys of a message that has been published before: its own, those of CC, and those that are hidden. */
  allRoutingKeys(): string[] {
    const { hiddenKeys } = this;
    return [
      this.routingKey,
      ...senderSelectedKeys(this.decodeHeaders(), "CC"),
      ...(hiddenKeys === undefined ? [] : decodeKeys(hiddenKeys)),
    ];
  }
}

function encodeKeys(keys: readonly string[]): Buffer {
  const writer = new ByteWriter();
  for (const key of keys) writer.shortstr(key);
  return writer.bytes();
}

/** The keys of `encodeKeys`. */
export function decodeKeys(bytes: Buffer): string[] {
  const reader = new ByteReader(bytes);
  const keys: string[] = [];
  while (reader.remaining > 0) keys.push(reader.shortstr());
  return keys;
}

function isShortstr(bytes: Buffer): boolean {
  return bytes.length <= 255 && isUtf8(bytes);
}

/** The routing keys that a header CC or BCC adds; what can be none is passed over [RabbitMQ]. */
export function senderSelectedKeys(headers: FieldTable, name: "CC" | "BCC"): string[] {
  const value = headers.get(name);
  if (value === undefined) return [];
  if (value.type !== "A") throw invalidKeys(name, value);
  return value.value.flatMap((key) =>
    key.type === "S" && isShortstr(key.value) ? [key.value.toString()] : [],
  );
}

function invalidKeys(name: string, value: FieldValue): AmqpError {
  return new AmqpError(
    "PRECONDITION_FAILED",
    `invalid message: {unacceptable_type_in_header,"${name}",${typeName(value)}}`,
  );
}

/** A time to live as everybody writes it, or undefined: then it may be one all the same. */
function readDigits(buffer: Buffer, start: number, end: number): number | undefined {
  let ttlMs = 0;
  for (let at = start; at < end; at++) {
    const octet = buffer[at]!;
    if (octet < ZERO || octet > NINE) return undefined;
    ttlMs = ttlMs * 10 + octet - ZERO;
  }
  return start === end || ttlMs > TTL_MS_MAX ? undefined : ttlMs;
}

/** The property `expiration`, a whole number of milliseconds as text. */
function parseExpiration(text: string): number {
  const parts = /^([+-]?\d+)(.*)$/s.exec(text);
  if (parts === null) throw invalidExpiration(text, "no_integer");
  if (parts[2] !== "") throw invalidExpiration(text, `{leftover_string,"${parts[2]}"}`);
  const ttlMs = Number(parts[1]);
  if (ttlMs < 0) throw invalidExpiration(text, `{value_negative,${parts[1]}}`);
  if (ttlMs > TTL_MS_MAX) throw invalidExpiration(text, `{value_too_large,${parts[1]}}`);
  return ttlMs;
}

function invalidExpiration(text: string, reason: string): AmqpError {
  return new AmqpError("PRECONDITION_FAILED", `invalid expiration '${text}': ${reason}`);
}
