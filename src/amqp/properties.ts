/**
 * The content header: what a message's sender says about it.
 *
 *     0..1   class id (60)
 *     2..3   weight, unused
 *     4..11  body bytes
 *     12..13 flags: which properties follow, the first in the highest bit
 *     14..   properties
 *
 * A header passes through the broker as the bytes that came. `PropertyScan` finds the few properties that a rule needs,
 * checks all of them, and allocates nothing; `rewriteHeader` makes the changed header of a dead letter and the like.
 */

import { ByteReader, cut, isText } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import { DecodeError } from "./errors.ts";
import {
  type FieldTable,
  keyEnd,
  LENGTH_BYTES,
  rangeEnd,
  readTable,
  valueEnd,
  writeTable,
} from "./field-table.ts";

const NO_BYTES = Buffer.alloc(0);

/** Class id, weight, body size. */
const FIXED_BYTES = 12;

/** The flag of each property, in order of the wire. */
const Flag = {
  contentType: 1 << 15,
  contentEncoding: 1 << 14,
  headers: 1 << 13,
  deliveryMode: 1 << 12,
  priority: 1 << 11,
  correlationId: 1 << 10,
  replyTo: 1 << 9,
  expiration: 1 << 8,
  messageId: 1 << 7,
  timestamp: 1 << 6,
  type: 1 << 5,
  userId: 1 << 4,
  appId: 1 << 3,
  clusterId: 1 << 2,
} as const;

/** Bits that no property has; the lowest would announce further flags, which AMQP 0-9-1 never needs. */
const UNUSED_FLAGS = 0b11;

/** The properties that follow expiration. */
const BEHIND_EXPIRATION = Flag.expiration - 1 - UNUSED_FLAGS;
const TIMESTAMP_BYTES = 8;

/** Where a property's value stands in the header; `start` is -1 when the property is absent. */
export interface Range {
  start: number;
  end: number;
}

/** What a header frame's payload says, found by `scan`; valid as long as the buffer that was scanned. */
export class PropertyScan {
  buffer: Buffer = NO_BYTES;
  start = 0;
  end = 0;
  flags = 0;
  /** 0 when absent. */
  deliveryMode = 0;
  /** 0 when absent. */
  priority = 0;
  /** A shortstr's text, without its length. */
  readonly replyTo: Range = { start: -1, end: -1 };
  readonly expiration: Range = { start: -1, end: -1 };
  readonly userId: Range = { start: -1, end: -1 };
  /** The table with its length. */
  readonly headers: Range = { start: -1, end: -1 };
  /** Whether the headers have a key CC or BCC. */
  hasSenderSelectedKeys = false;

  /** Lets go of the buffer that was scanned. */
  release(): void {
    this.buffer = NO_BYTES;
  }

  /** Scans the payload of a content header frame (borrowed). A header that is not well formed is a DecodeError. */
  scan(buffer: Buffer, start: number, end: number): void {
    this.buffer = buffer;
    this.start = start;
    this.end = end;
    if (end - start < FIXED_BYTES + 2) throw new DecodeError("a content header too short");
    const flags = (buffer[start + 12]! << 8) | buffer[start + 13]!;
    this.flags = flags;
    this.deliveryMode = 0;
    this.priority = 0;
    this.hasSenderSelectedKeys = false;
    this.replyTo.start = -1;
    this.expiration.start = -1;
    this.userId.start = -1;
    this.headers.start = -1;
    if (flags !== 0 || end - start > FIXED_BYTES + 2) this.#properties(flags);
  }

  #properties(flags: number): void {
    if ((flags & UNUSED_FLAGS) !== 0) throw new DecodeError("unknown property flags");
    const { buffer, end } = this;
    let at = this.start + FIXED_BYTES + 2;
    if ((flags & Flag.contentType) !== 0) at = shortstrEnd(buffer, at, end);
    if ((flags & Flag.contentEncoding) !== 0) at = shortstrEnd(buffer, at, end);
    if ((flags & Flag.headers) !== 0) at = this.#headers(at);
    if ((flags & Flag.deliveryMode) !== 0) this.deliveryMode = at < end ? buffer[at++]! : cut(1, 0);
    if ((flags & Flag.priority) !== 0) this.priority = at < end ? buffer[at++]! : cut(1, 0);
    if ((flags & Flag.correlationId) !== 0) at = shortstrEnd(buffer, at, end);
    if ((flags & Flag.replyTo) !== 0) at = this.#find(this.replyTo, at);
    if ((flags & Flag.expiration) !== 0) at = this.#find(this.expiration, at);
    if ((flags & BEHIND_EXPIRATION) !== 0) at = this.#behindExpiration(flags, at);
    // Whatever has gone beyond the end has only gone on from there.
    if (at !== end) throw new DecodeError("properties do not end where their header does");
  }

  #behindExpiration(flags: number, from: number): number {
    const { buffer, end } = this;
    let at = from;
    if ((flags & Flag.messageId) !== 0) at = shortstrEnd(buffer, at, end);
    if ((flags & Flag.timestamp) !== 0) at += TIMESTAMP_BYTES;
    if ((flags & Flag.type) !== 0) at = shortstrEnd(buffer, at, end);
    if ((flags & Flag.userId) !== 0) at = this.#find(this.userId, at);
    if ((flags & Flag.appId) !== 0) at = shortstrEnd(buffer, at, end);
    if ((flags & Flag.clusterId) !== 0) at = shortstrEnd(buffer, at, end);
    return at;
  }

  #find(range: Range, at: number): number {
    range.start = at + 1;
    range.end = shortstrEnd(this.buffer, at, this.end);
    return range.end;
  }

  #headers(at: number): number {
    const { buffer } = this;
    const end = rangeEnd(buffer, at, this.end);
    let next = at + LENGTH_BYTES;
    while (next < end) {
      const key = next + 1;
      next = keyEnd(buffer, next, end);
      const keyBytes = next - key;
      if (keyBytes === 2 || keyBytes === 3) this.#noteKey(key, keyBytes);
      next = valueEnd(buffer, next, end, 0);
    }
    this.headers.start = at;
    this.headers.end = end;
    return end;
  }

  /** "CC" and "BCC". */
  #noteKey(start: number, bytes: number): void {
    const { buffer } = this;
    const tail = buffer[start + bytes - 1] === 0x43 && buffer[start + bytes - 2] === 0x43;
    if (tail && (bytes === 2 || buffer[start] === 0x42)) this.hasSenderSelectedKeys = true;
  }

  /** The headers, decoded; empty when absent. */
  decodeHeaders(): FieldTable {
    if (this.headers.start < 0) return new Map();
    return readTable(new ByteReader(this.buffer, this.headers.start, this.headers.end));
  }

  /** As text a property that few rules need; a timestamp in decimal digits. Undefined when absent. */
  decodeProperty(name: DecodableProperty): string | undefined {
    const wanted = decodable[name];
    if ((this.flags & wanted) === 0) return undefined;
    const reader = new ByteReader(this.buffer, this.start + FIXED_BYTES + 2, this.end);
    for (const flag of inOrder) {
      if (flag === wanted) break;
      if ((this.flags & flag) !== 0) skipProperty(reader, flag);
    }
    return wanted === Flag.timestamp ? String(reader.longlong()) : reader.shortstr();
  }

  /** Whether a shortstr property is there and is this text. */
  is(range: Range, text: string): boolean {
    return range.start >= 0 && isText(this.buffer, range.start, range.end, text);
  }

  /** The text of a shortstr property, or undefined. */
  text(range: Range): string | undefined {
    return range.start < 0 ? undefined : this.buffer.toString("utf8", range.start, range.end);
  }
}

const inOrder = Object.values(Flag);

const decodable = {
  correlation_id: Flag.correlationId,
  message_id: Flag.messageId,
  timestamp: Flag.timestamp,
} as const;

export type DecodableProperty = keyof typeof decodable;

function skipProperty(reader: ByteReader, flag: number): void {
  if (flag === Flag.headers) reader.take(reader.long());
  else if (flag === Flag.deliveryMode || flag === Flag.priority) reader.take(1);
  else if (flag === Flag.timestamp) reader.take(8);
  else skipShortstr(reader);
}

function skipShortstr(reader: ByteReader): void {
  reader.take(reader.octet());
}

/** Where a shortstr ends: beyond `end` if it is cut short. */
function shortstrEnd(buffer: Buffer, at: number, end: number): number {
  return at < end ? at + 1 + buffer[at]! : cut(1, 0);
}

/** What `rewriteHeader` changes; what is not named stays as it is. */
export interface HeaderChanges {
  headers?: FieldTable;
  removeExpiration?: boolean;
  replyTo?: string;
  /** Seconds since the epoch. */
  timestamp?: number;
}

/** A scanned header with `changes`, as the payload of a header frame in a buffer of its own. */
export function rewriteHeader(scan: PropertyScan, changes: HeaderChanges): Buffer {
  const writer = new ByteWriter(scan.end - scan.start + 256);
  const { buffer } = scan;
  let flags = scan.flags;
  if (changes.headers !== undefined) flags |= Flag.headers;
  if (changes.removeExpiration) flags &= ~Flag.expiration;
  if (changes.replyTo !== undefined) flags |= Flag.replyTo;
  if (changes.timestamp !== undefined) flags |= Flag.timestamp;
  writer.raw(buffer, scan.start, scan.start + FIXED_BYTES);
  writer.short(flags);

  const reader = new ByteReader(buffer, scan.start + FIXED_BYTES + 2, scan.end);
  const copy = (flag: number, skip: (reader: ByteReader) => void): void => {
    if ((scan.flags & flag) === 0) return;
    const start = reader.offset;
    skip(reader);
    if ((flags & flag) !== 0) writer.raw(buffer, start, reader.offset);
  };
  const skipOctet = (from: ByteReader): void => void from.take(1);
  copy(Flag.contentType, skipShortstr);
  copy(Flag.contentEncoding, skipShortstr);
  if (changes.headers === undefined) {
    copy(Flag.headers, (from) => void from.take(from.long()));
  } else {
    if (scan.headers.start >= 0) reader.offset = scan.headers.end;
    writeTable(writer, changes.headers);
  }
  copy(Flag.deliveryMode, skipOctet);
  copy(Flag.priority, skipOctet);
  copy(Flag.correlationId, skipShortstr);
  if (changes.replyTo === undefined) {
    copy(Flag.replyTo, skipShortstr);
  } else {
    if (scan.replyTo.start >= 0) reader.offset = scan.replyTo.end;
    writer.shortstr(changes.replyTo);
  }
  copy(Flag.expiration, skipShortstr);
  if (changes.timestamp !== undefined) {
    copy(Flag.messageId, skipShortstr);
    if ((scan.flags & Flag.timestamp) !== 0) reader.take(8);
    writer.longlong(changes.timestamp);
  }
  writer.raw(buffer, reader.offset, scan.end);
  return writer.bytes();
}
