/**
 * A message as it is kept: the bytes in a segment, on disk and on the way to a socket are the same.
 *
 *     0   body bytes B                                      uint32
 *     4   content header bytes H                            uint32
 *     8   routing bytes R, with three marks: 0x8000 when a time to live follows, 0x4000 when the broker has written
 *         the deaths in its headers, 0x2000 when hidden keys follow   uint16
 *     10  arrival, milliseconds since the epoch             uint48: high 16 bits, low 32 bits
 *     16  time to live in milliseconds, only if marked      float64
 *     ..  hidden keys: bytes K, then K bytes of shortstrs, only if marked   uint32
 *     ..  R bytes: exchange and routing key, two shortstrs as in basic.publish and basic.deliver
 *     ..  the content header as a frame: H + 8 bytes
 *     ..  the body as one frame: B + 8 bytes; nothing at all when B is 0
 *
 * Integers above are little-endian; the frames are AMQP's. To deliver a small message is to copy its frames and set
 * their channel; the body frame of a message larger than the consumer's frame-max is split on the way out.
 */

import type { BodyMemory, Content } from "./content.ts";
import {
  FRAME_BODY,
  FRAME_END,
  FRAME_HEADER,
  FRAME_HEADER_BYTES,
  FRAME_OVERHEAD_BYTES,
} from "./frame-parser.ts";
import { copyBytes, type Room, roomAround, roomOf } from "./room.ts";

const FIXED_BYTES = 16;
const TTL_BYTES = 8;
const HEADER_BYTES_AT = 4;
const ROUTING_BYTES_AT = 8;
const ARRIVAL_HIGH_AT = 10;
const ARRIVAL_LOW_AT = 12;
const HAS_TTL = 0x8000;
const HAS_DEATHS = 0x4000;
const HAS_HIDDEN_KEYS = 0x2000;
/** A message that is not kept is copied on its way, as nobody could refer to it; this much is copied in any case. */
const PASSING_BYTES_MAX = 2048;
const NO_ROOM = roomOf(Buffer.alloc(0));
const MARKS = HAS_TTL | HAS_DEATHS | HAS_HIDDEN_KEYS;

/** A message to be kept, in the ranges where its parts stand now; a `Content` is one. */
export type MessageSource = Pick<
  Content,
  | "routingBuffer"
  | "routingStart"
  | "routingEnd"
  | "headerBuffer"
  | "headerStart"
  | "headerEnd"
  | "bodyBuffer"
  | "bodyStart"
  | "bodyEnd"
  | "contiguous"
> & { readonly bodyMemory?: Content["bodyMemory"] };

/** What the broker notes about a message, beside what its sender says. */
export interface Envelope {
  /** -1 when the message has no time to live of its own. */
  readonly ttlMs: number;
  /** Whether its x-death header is the broker's own; a client's says nothing [RabbitMQ 4]. */
  readonly hasDeaths: boolean;
  /** Routing keys that no receiver may see, as shortstrs [RabbitMQ: BCC]. */
  readonly hiddenKeys: Buffer | undefined;
}

/** How many bytes `writeMessage` will write. */
export function messageBytes(source: MessageSource, envelope: Envelope): number {
  const bodyBytes = source.bodyEnd - source.bodyStart;
  return (
    FIXED_BYTES +
    (envelope.ttlMs < 0 ? 0 : TTL_BYTES) +
    (envelope.hiddenKeys === undefined ? 0 : 4 + envelope.hiddenKeys.length) +
    (source.routingEnd - source.routingStart) +
    (source.headerEnd - source.headerStart) +
    FRAME_OVERHEAD_BYTES +
    (bodyBytes === 0 ? 0 : bodyBytes + FRAME_OVERHEAD_BYTES)
  );
}

/** Who goes on referring to its bytes when the turn is over borrows them, or they are written over. */
export interface Keeper {
  borrow(): void;
  giveBack(): void;
}

/** Where a message of `bytes` bytes can be written so that its body stays where it is, if that is possible. */
export function standingAt(
  { bodyMemory, bodyStart, bodyEnd }: MessageSource,
  bytes: number,
): { readonly memory: BodyMemory; readonly offset: number } | undefined {
  if (bodyMemory === undefined || bodyEnd === bodyMemory.buffer.length) return undefined;
  // The end of the frame follows the body.
  const offset = bodyEnd + 1 - bytes;
  return offset < 0 || bodyStart === bodyEnd ? undefined : { memory: bodyMemory, offset };
}

/** Where messages are; nobody else uses the bytes when there is no keeper. */
export interface MessageRoom extends Room {
  readonly keeper?: Keeper | undefined;
}

/** Writes a message at `offset`, where there is room for it. */
export function writeMessage(
  room: Room,
  offset: number,
  source: MessageSource,
  envelope: Envelope,
  arrivalMs: number,
): void {
  const { buffer, view } = room;
  const { ttlMs, hiddenKeys } = envelope;
  const routingBytes = source.routingEnd - source.routingStart;
  const headerBytes = source.headerEnd - source.headerStart;
  const bodyBytes = source.bodyEnd - source.bodyStart;
  view.setUint32(offset, bodyBytes, true);
  view.setUint32(offset + HEADER_BYTES_AT, headerBytes, true);
  const marks =
    (ttlMs < 0 ? 0 : HAS_TTL) |
    (envelope.hasDeaths ? HAS_DEATHS : 0) |
    (hiddenKeys === undefined ? 0 : HAS_HIDDEN_KEYS);
  view.setUint16(offset + ROUTING_BYTES_AT, routingBytes | marks, true);
  view.setUint16(offset + ARRIVAL_HIGH_AT, Math.floor(arrivalMs / 2 ** 32), true);
  // Of what does not fit the low bits are taken.
  view.setUint32(offset + ARRIVAL_LOW_AT, arrivalMs, true);
  let at = offset + FIXED_BYTES;
  if (ttlMs >= 0) {
    view.setFloat64(at, ttlMs, true);
    at += TTL_BYTES;
  }
  if (hiddenKeys !== undefined) {
    view.setUint32(at, hiddenKeys.length, true);
    hiddenKeys.copy(buffer, at + 4);
    at += 4 + hiddenKeys.length;
  }
  copyBytes(room, at, roomAround(source.routingBuffer), source.routingStart, source.routingEnd);
  at += routingBytes;

  if (bodyBytes > 0 && source.contiguous) {
    copyBytes(
      room,
      at,
      roomAround(source.bodyBuffer),
      source.headerStart - FRAME_HEADER_BYTES,
      source.bodyEnd + 1,
    );
    return;
  }
  at = writeFrame(room, at, FRAME_HEADER, headerBytes);
  copyBytes(room, at, roomAround(source.headerBuffer), source.headerStart, source.headerEnd);
  buffer[at + headerBytes] = FRAME_END;
  if (bodyBytes === 0) return;
  at = writeFrame(room, at + headerBytes + 1, FRAME_BODY, bodyBytes);
  const isThere = source.bodyBuffer === buffer && source.bodyStart === at;
  if (!isThere)
    copyBytes(room, at, roomAround(source.bodyBuffer), source.bodyStart, source.bodyEnd);
  buffer[at + bodyBytes] = FRAME_END;
}

/** A frame's first seven bytes, on channel 0; returns where its payload goes. */
function writeFrame(room: Room, at: number, type: number, payloadBytes: number): number {
  room.buffer[at] = type;
  room.view.setUint16(at + 1, 0);
  room.view.setUint32(at + 3, payloadBytes);
  return at + FRAME_HEADER_BYTES;
}

/** The parts of a kept message. A scratch object: `open` it, use it, and never keep it past the call. */
export class StoredMessage {
  buffer: Buffer = NO_ROOM.buffer;
  view: DataView = NO_ROOM.view;
  keeper: Keeper | undefined = undefined;
  arrivalMs = 0;
  /** -1 when the message itself has none. */
  ttlMs = -1;
  hasDeaths = false;
  hiddenKeysStart = 0;
  hiddenKeysEnd = 0;
  routingStart = 0;
  routingEnd = 0;
  /** Where the content header frame begins; its payload is 7 bytes further. */
  contentStart = 0;
  headerBytes = 0;
  bodyBytes = 0;
  /** The content header that is shown in the place of the stored one. */
  shownHeader: Buffer | undefined = undefined;

  /** Looks at the message at `offset` (borrowed). */
  open(room: MessageRoom, offset: number): void {
    const { view } = room;
    this.buffer = room.buffer;
    this.view = view;
    this.keeper = room.keeper;
    this.bodyBytes = view.getUint32(offset, true);
    this.headerBytes = view.getUint32(offset + HEADER_BYTES_AT, true);
    const routing = view.getUint16(offset + ROUTING_BYTES_AT, true);
    this.arrivalMs =
      view.getUint16(offset + ARRIVAL_HIGH_AT, true) * 2 ** 32 +
      view.getUint32(offset + ARRIVAL_LOW_AT, true);
    let at = offset + FIXED_BYTES;
    this.ttlMs = -1;
    if ((routing & HAS_TTL) !== 0) {
      this.ttlMs = view.getFloat64(at, true);
      at += TTL_BYTES;
    }
    this.hiddenKeysStart = at;
    this.hiddenKeysEnd = at;
    if ((routing & HAS_HIDDEN_KEYS) !== 0) {
      this.hiddenKeysStart = at + 4;
      this.hiddenKeysEnd = this.hiddenKeysStart + view.getUint32(at, true);
      at = this.hiddenKeysEnd;
    }
    this.routingStart = at;
    this.routingEnd = at + (routing & ~MARKS);
    this.contentStart = this.routingEnd;
    this.hasDeaths = (routing & HAS_DEATHS) !== 0;
    this.shownHeader = undefined;
  }

  /** Looks at a message that is not kept, as its sender has framed it (borrowed); false when it does not stand like that, or is large. */
  openPassing(source: MessageSource): boolean {
    const { headerBuffer, headerStart, headerEnd, bodyStart, bodyEnd } = source;
    if (bodyEnd - headerStart > PASSING_BYTES_MAX || !source.contiguous) return false;
    if (source.routingBuffer !== headerBuffer) return false;
    const room = roomAround(headerBuffer);
    this.buffer = headerBuffer;
    this.view = room.view;
    this.keeper = undefined;
    this.routingStart = source.routingStart;
    this.routingEnd = source.routingEnd;
    this.contentStart = headerStart - FRAME_HEADER_BYTES;
    this.headerBytes = headerEnd - headerStart;
    this.bodyBytes = bodyEnd - bodyStart;
    this.shownHeader = undefined;
    return true;
  }

  get headerStart(): number {
    return this.contentStart + FRAME_HEADER_BYTES;
  }

  get headerEnd(): number {
    return this.headerStart + this.headerBytes;
  }

  /** Where the body itself begins, behind its frame's first seven bytes. */
  get bodyStart(): number {
    return this.headerEnd + 1 + FRAME_HEADER_BYTES;
  }

  /** The routing keys that no receiver may see, as shortstrs of their own. */
  get hiddenKeys(): Buffer | undefined {
    if (this.hiddenKeysStart === this.hiddenKeysEnd) return undefined;
    return Buffer.from(this.buffer.subarray(this.hiddenKeysStart, this.hiddenKeysEnd));
  }

  get exchange(): string {
    const start = this.routingStart + 1;
    return this.buffer.toString("utf8", start, start + this.buffer[this.routingStart]!);
  }

  get routingKey(): string {
    const start = this.routingStart + 2 + this.buffer[this.routingStart]!;
    return this.buffer.toString("utf8", start, this.routingEnd);
  }
}
