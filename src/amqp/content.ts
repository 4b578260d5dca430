/**
 * Puts a content together: publish method, content header, body.
 *
 * A channel has one `Content` and uses it again for every publish. While everything arrives in one chunk nothing is
 * copied: the ranges point into the chunk. What is still incomplete when the chunk or another channel's turn ends is
 * copied by `detach`, because a chunk is only borrowed. A body in pieces is put together in a buffer that is used again after
 * `release`. Order of frames and sizes are checked here.
 */

import { longAt, longlongAt } from "./byte-reader.ts";
import { AmqpError, DecodeError, NO_METHOD } from "./errors.ts";
import { FRAME_HEADER_BYTES } from "./frame-parser.ts";
import { decodeMethod } from "./method-codec.ts";
import { methods } from "./methods.ts";
import type { Room } from "./room.ts";
import type { Keeper } from "./stored-message.ts";

/** What comes next on the channel. */
export const EXPECT_METHOD = 0;
export const EXPECT_HEADER = 1;
export const EXPECT_BODY = 2;

/** No content may be larger, whatever is configured [RabbitMQ]. */
export const BODY_BYTES_ABSOLUTE_MAX = 536_870_912;

/** Room made at once for a body that comes in pieces; a sender's promise of more is not believed before it comes. */
const BODY_ALLOCATION_BYTES = 1 << 16;
/** And for one byte that has come so many more. */
const BODY_GROWTH = 16;
/** Before a body there is room for all that a stored message has there beside exchange, key and header. */
const ROOM_BEFORE_BODY = 256;

const CLASS_BASIC = 60;
/** Class and weight as one number. */
const CLASS_BASIC_WEIGHT_0 = CLASS_BASIC << 16;
const NO_BYTES = Buffer.alloc(0);

/** Memory in which a body is put together, and which may be adopted by whoever stores the message. */
export interface BodyMemory extends Room, Keeper {
  readonly isBorrowed: boolean;
  /** From now on somebody else needs it, too, until a `free` of its own; false when somebody has adopted it before. */
  adopt(): boolean;
  free(): void;
  /** Nobody needs what was taken here any more, not even in this turn. */
  drop(): void;
}

export interface BodyMemories {
  /** Memory of at least so many bytes, with anything in it. */
  take(bytes: number): BodyMemory;
}

export class Content {
  state = EXPECT_METHOD;

  /** The publish method's exchange and routing key: two shortstrs, one after the other. */
  routingBuffer: Buffer = NO_BYTES;
  routingStart = 0;
  routingEnd = 0;
  mandatory = false;
  immediate = false;

  /** The payload of the content header frame. */
  headerBuffer: Buffer = NO_BYTES;
  headerStart = 0;
  headerEnd = 0;

  /** The body, once it is complete; empty when it is larger than `bodyBytesMax`, and then not kept at all. */
  bodyBuffer: Buffer = NO_BYTES;
  bodyStart = 0;
  bodyEnd = 0;
  /** As the header announces it. */
  bodyBytes = 0;

  readonly #bodyBytesMax: number;
  /** Where it is, when it came in pieces. */
  bodyMemory: BodyMemory | undefined = undefined;
  #bytesLeft = 0;
  readonly #memories: BodyMemories;

  constructor(bodyBytesMax: number, memories: BodyMemories) {
    this.#bodyBytesMax = bodyBytesMax;
    this.#memories = memories;
  }

  /** Of the body, still to come. */
  get bytesLeft(): number {
    return this.#bytesLeft;
  }

  get tooLarge(): boolean {
    return this.bodyBytes > this.#bodyBytesMax;
  }

  /** Begins with a basic.publish frame's payload (borrowed). */
  begin(buffer: Buffer, start: number, end: number): void {
    // class id, method id, a reserved short
    const exchangeAt = start + 6;
    const routingKeyAt = exchangeAt + 1 + (exchangeAt < end ? buffer[exchangeAt]! : 0);
    const flagsAt = routingKeyAt + 1 + (routingKeyAt < end ? buffer[routingKeyAt]! : 0);
    // What is no basic.publish is for the codec to refuse: it finds the words.
    if (flagsAt !== end - 1) decodeMethod(buffer, start, end);
    const flags = buffer[flagsAt]!;
    this.routingBuffer = buffer;
    this.routingStart = exchangeAt;
    this.routingEnd = flagsAt;
    this.mandatory = (flags & 1) !== 0;
    this.immediate = (flags & 2) !== 0;
    this.state = EXPECT_HEADER;
  }

  /** Takes the payload of a content header frame (borrowed). Returns whether the content is complete. */
  addHeader(buffer: Buffer, start: number, end: number): boolean {
    if (this.state !== EXPECT_HEADER) throw unexpectedFrameFor(this.state);
    if (end - start < 14) throw new DecodeError("a content header too short");
    const ids = longAt(buffer, start);
    if ((ids & 0xffff) !== 0) throw unexpectedFrameFor(EXPECT_HEADER);
    if (ids !== CLASS_BASIC_WEIGHT_0) {
      const classId = ids >>> 16;
      throw unexpected(
        this.state,
        `content header for class ${CLASS_BASIC}, got one for class ${classId} instead`,
      );
    }
    const bodyBytes = longlongAt(buffer, start + 4);
    if (bodyBytes > BODY_BYTES_ABSOLUTE_MAX) {
      throw new AmqpError(
        "FRAME_ERROR",
        `content body size ${bodyBytes} exceeds maximum allowed size ${BODY_BYTES_ABSOLUTE_MAX}`,
      );
    }
    this.headerBuffer = buffer;
    this.headerStart = start;
    this.headerEnd = end;
    this.bodyBytes = bodyBytes;
    this.#bytesLeft = bodyBytes;
    this.#forgetBody();
    this.bodyStart = 0;
    this.bodyEnd = 0;
    this.state = bodyBytes === 0 ? EXPECT_METHOD : EXPECT_BODY;
    return bodyBytes === 0;
  }

  /** Takes the next bytes of the body (borrowed). Returns whether the content is complete. */
  addBody(buffer: Buffer, start: number, end: number): boolean {
    if (this.state !== EXPECT_BODY) throw unexpectedFrameFor(this.state);
    const bytes = end - start;
    if (bytes > this.#bytesLeft) {
      throw new AmqpError("FRAME_ERROR", "content body frame exceeds remaining content size");
    }
    this.#bytesLeft -= bytes;
    if (bytes === this.bodyBytes) {
      if (!this.tooLarge) {
        this.bodyBuffer = buffer;
        this.bodyStart = start;
        this.bodyEnd = end;
      }
    } else if (!this.tooLarge) {
      this.#collect(buffer, start, end);
    }
    if (this.#bytesLeft > 0) return false;
    this.state = EXPECT_METHOD;
    return true;
  }

  #collect(buffer: Buffer, start: number, end: number): void {
    if (this.bodyMemory === undefined) {
      const { routingStart, routingEnd, headerStart, headerEnd } = this;
      this.bodyStart = ROOM_BEFORE_BODY + routingEnd - routingStart + headerEnd - headerStart;
      this.bodyEnd = this.bodyStart;
    }
    const needed = this.bodyEnd + end - start + 1;
    if (needed > this.bodyBuffer.length) this.#grow(needed);
    buffer.copy(this.bodyBuffer, this.bodyEnd, start, end);
    this.bodyEnd += end - start;
  }

  /** Sees to room for so many bytes, those before and behind the body included. */
  #grow(needed: number): void {
    const all = this.bodyStart + this.bodyBytes + 1;
    const announced = Math.max(
      BODY_ALLOCATION_BYTES,
      (this.bodyEnd - this.bodyStart) * BODY_GROWTH,
    );
    const larger = this.#memories.take(Math.max(needed, Math.min(all, announced)));
    if (this.bodyMemory !== undefined) {
      this.bodyBuffer.copy(larger.buffer, this.bodyStart, this.bodyStart, this.bodyEnd);
      this.bodyMemory.drop();
    }
    this.bodyMemory = larger;
    this.bodyBuffer = larger.buffer;
  }

  /** Copies what is borrowed; to be called when the chunk ends before the content does. The body is kept already. */
  detach(): void {
    if (this.state === EXPECT_METHOD) return;
    const routing = Buffer.from(this.routingBuffer.subarray(this.routingStart, this.routingEnd));
    this.routingBuffer = routing;
    this.routingStart = 0;
    this.routingEnd = routing.length;
    if (this.state === EXPECT_HEADER) return;
    const header = Buffer.from(this.headerBuffer.subarray(this.headerStart, this.headerEnd));
    this.headerBuffer = header;
    this.headerStart = 0;
    this.headerEnd = header.length;
  }

  /** Lets go of all buffers, so that a channel at rest keeps no body and no chunk. */
  release(): void {
    this.routingBuffer = NO_BYTES;
    this.headerBuffer = NO_BYTES;
    this.#bytesLeft = 0;
    this.#forgetBody();
  }

  #forgetBody(): void {
    this.bodyMemory?.drop();
    this.bodyMemory = undefined;
    this.bodyBuffer = NO_BYTES;
  }

  /**
   * Whether header and body stand in one buffer as the sender framed them, the last frame's end included, which may be
   * still to come: then one copy takes both.
   */
  get contiguous(): boolean {
    return (
      this.headerBuffer === this.bodyBuffer &&
      this.bodyStart === this.headerEnd + 1 + FRAME_HEADER_BYTES &&
      this.bodyEnd < this.bodyBuffer.length
    );
  }
}

/** The close names the publish whose content is incomplete, and no method where none is under way [RabbitMQ]. */
function unexpected(state: number, what: string): AmqpError {
  const method = state === EXPECT_METHOD ? NO_METHOD : methods["basic.publish"].id;
  return new AmqpError("UNEXPECTED_FRAME", `expected ${what}`, { method });
}

/** The error for a frame that is not what the channel expects. */
export function unexpectedFrameFor(state: number): AmqpError {
  switch (state) {
    case EXPECT_HEADER:
      return unexpected(
        state,
        `content header for class ${CLASS_BASIC}, got non content header frame instead`,
      );
    case EXPECT_BODY:
      return unexpected(state, "content body, got non content body frame instead");
    default:
      return unexpected(state, "method frame, got non method frame instead");
  }
}
