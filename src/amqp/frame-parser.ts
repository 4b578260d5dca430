/**
 * Cuts a connection's byte stream into frames.
 *
 *     octet 0   type: 1 method, 2 content header, 3 content body, 8 heartbeat
 *     1..2      channel
 *     3..6      payload bytes
 *     7..       payload
 *     last      0xCE
 *
 * It knows nothing of methods and channels. It hands over ranges of the chunk itself: they are *borrowed*, valid until the
 * call returns. Frames that TCP cut are put together in a buffer of the parser's own, but for body frames, whose
 * pieces are handed over as they come, so that a large body is copied once, to where it is kept.
 */

import { longAt } from "./byte-reader.ts";
import { AmqpError, FrameError, NO_METHOD } from "./errors.ts";
import { erlangBinary } from "./type-names.ts";

export const FRAME_METHOD = 1;
export const FRAME_HEADER = 2;
export const FRAME_BODY = 3;
export const FRAME_HEARTBEAT = 8;
export const FRAME_END = 0xce;

/** Type, channel and size before the payload. */
export const FRAME_HEADER_BYTES = 7;
/** What a frame adds to its payload. */
export const FRAME_OVERHEAD_BYTES = 8;

/** Class id and method id. */
const METHOD_BYTES_MIN = 4;
/** Class id, weight and body size. */
const CONTENT_HEADER_BYTES_MIN = 12;

export interface FrameHandler {
  /** A whole method frame. */
  onMethodFrame(channel: number, buffer: Buffer, start: number, end: number): void;
  /** A whole content header frame. */
  onHeaderFrame(channel: number, buffer: Buffer, start: number, end: number): void;
  /** The next bytes of a body: a whole frame's payload, or the piece of it that has arrived. May be empty. */
  onBodyBytes(channel: number, buffer: Buffer, start: number, end: number): void;
  onHeartbeat(): void;
}

const NO_BYTES = Buffer.alloc(0);

export class FrameParser {
  readonly #handler: FrameHandler;
  #frameMax: number;
  /** The beginning of a frame whose rest has not come yet. */
  #carry: Buffer = NO_BYTES;
  #carryBytes = 0;
  /** Of a body frame that is being handed over in pieces: payload still to come, then its end octet. */
  #bodyChannel = -1;
  #bodyBytesLeft = 0;
  /** An empty frame is handed over too, when it is over: it may be one too many. */
  #bodyFrameIsEmpty = false;
  /** Whether frames are handed over no more, until `resume` or for ever. */
  #halted = false;
  #stopped = false;
  /** What has come since `pause`. */
  #held: Buffer = NO_BYTES;

  constructor(handler: FrameHandler, frameMax: number) {
    this.#handler = handler;
    this.#frameMax = frameMax;
  }

  /** Frames from now on may have up to `frameMax` bytes of payload: RabbitMQ, too, lets the overhead pass. */
  limitFrames(frameMax: number): void {
    this.#frameMax = frameMax;
  }

  /** Drops the rest of this chunk and all that follows. */
  stop(): void {
    this.#halted = true;
    this.#stopped = true;
    this.#held = NO_BYTES;
  }

  /** Keeps the rest of this chunk, and what may follow, for `resume`. */
  pause(): void {
    this.#halted = true;
  }

  /** Goes on where it was paused; as `push`. */
  resume(): void {
    if (this.#stopped) return;
    this.#halted = false;
    const held = this.#held;
    this.#held = NO_BYTES;
    this.push(held);
  }

  /**
   * Takes the next bytes of the stream and calls the handler for each frame in it. A frame that breaks the rules
   * throws an `AmqpError`; what the handler throws passes through. After either the stream cannot be read on.
   */
  push(chunk: Buffer): void {
    let offset = 0;
    while (offset < chunk.length && !this.#halted) {
      if (this.#bodyChannel >= 0) offset = this.#continueBody(chunk, offset);
      else if (this.#carryBytes > 0) offset = this.#continueCarry(chunk, offset);
      else offset = this.#frames(chunk, offset);
    }
    if (offset < chunk.length && !this.#stopped)
      this.#held = Buffer.concat([this.#held, chunk.subarray(offset)]);
  }

  /** Handles the whole frames from `offset` on; starts what is cut. */
  #frames(chunk: Buffer, from: number): number {
    let offset = from;
    const end = chunk.length;
    while (end - offset >= FRAME_HEADER_BYTES && !this.#halted) {
      const size = longAt(chunk, offset + 3);
      const type = chunk[offset]!;
      const channel = (chunk[offset + 1]! << 8) | chunk[offset + 2]!;
      const start = offset + FRAME_HEADER_BYTES;
      if (size > this.#frameMax) throw this.#tooLarge(type, size);
      const payloadEnd = start + size;
      if (payloadEnd < end) {
        if (chunk[payloadEnd] !== FRAME_END) throw badEnd(type, chunk, start, payloadEnd);
        this.#dispatch(type, channel, chunk, start, payloadEnd);
        offset = payloadEnd + 1;
      } else if (type === FRAME_BODY) {
        this.#bodyChannel = channel;
        this.#bodyBytesLeft = size;
        this.#bodyFrameIsEmpty = size === 0;
        return start === end ? start : this.#continueBody(chunk, start);
      } else {
        break;
      }
    }
    return this.#halted ? offset : this.#keep(chunk, offset);
  }

  #dispatch(type: number, channel: number, buffer: Buffer, start: number, end: number): void {
    const bytes = end - start;
    if (type === FRAME_METHOD && bytes >= METHOD_BYTES_MIN) {
      this.#handler.onMethodFrame(channel, buffer, start, end);
    } else if (type === FRAME_BODY) {
      this.#handler.onBodyBytes(channel, buffer, start, end);
    } else if (type === FRAME_HEADER && bytes >= CONTENT_HEADER_BYTES_MIN) {
      this.#handler.onHeaderFrame(channel, buffer, start, end);
    } else {
      this.#heartbeat(type, channel, buffer, start, end);
    }
  }

  #heartbeat(type: number, channel: number, buffer: Buffer, start: number, end: number): void {
    if (type !== FRAME_HEARTBEAT) throw frameError(type, buffer, start, end, "unknown_frame");
    if (channel !== 0) {
      throw unexpectedFrame(type, buffer, start, end);
    }
    if (end !== start) throw frameError(type, buffer, start, end, "unknown_frame");
    this.#handler.onHeartbeat();
  }

  /** Keeps a cut frame's beginning for the next chunk. */
  #keep(chunk: Buffer, offset: number): number {
    const bytes = chunk.length - offset;
    if (bytes > 0) {
      this.#carry = Buffer.allocUnsafe(Math.max(bytes, 256));
      chunk.copy(this.#carry, 0, offset);
      this.#carryBytes = bytes;
    }
    return chunk.length;
  }

  /** Adds what the kept frame lacks, first its header, then the rest. */
  #continueCarry(chunk: Buffer, from: number): number {
    const wanted =
      this.#carryBytes < FRAME_HEADER_BYTES
        ? FRAME_HEADER_BYTES
        : FRAME_OVERHEAD_BYTES + longAt(this.#carry, 3);
    const bytes = Math.min(wanted - this.#carryBytes, chunk.length - from);
    if (this.#carryBytes + bytes > this.#carry.length) {
      const larger = Buffer.allocUnsafe(wanted);
      this.#carry.copy(larger, 0, 0, this.#carryBytes);
      this.#carry = larger;
    }
    chunk.copy(this.#carry, this.#carryBytes, from, from + bytes);
    this.#carryBytes += bytes;
    if (this.#carryBytes === wanted) this.#parseCarry();
    return from + bytes;
  }

  /** The kept bytes are now a whole frame, or just its header: a body goes on in pieces, the rest is kept again. */
  #parseCarry(): void {
    const frame = this.#carry.subarray(0, this.#carryBytes);
    this.#carry = NO_BYTES;
    this.#carryBytes = 0;
    this.#frames(frame, 0);
  }

  #continueBody(chunk: Buffer, from: number): number {
    const channel = this.#bodyChannel;
    const bytes = Math.min(this.#bodyBytesLeft, chunk.length - from);
    const pieceEnd = from + bytes;
    this.#bodyBytesLeft -= bytes;
    if (pieceEnd < chunk.length) {
      if (chunk[pieceEnd] !== FRAME_END) throw badEnd(FRAME_BODY, chunk, from, pieceEnd);
      this.#bodyChannel = -1;
      if (bytes > 0 || this.#bodyFrameIsEmpty) {
        this.#handler.onBodyBytes(channel, chunk, from, pieceEnd);
      }
      return pieceEnd + 1;
    }
    if (bytes > 0) this.#handler.onBodyBytes(channel, chunk, from, pieceEnd);
    return pieceEnd;
  }

  /** None of the payload has been looked at, so none is shown. */
  #tooLarge(type: number, size: number): FrameError {
    const reason = `{frame_too_large,${size},${this.#frameMax - FRAME_OVERHEAD_BYTES}}`;
    return frameError(type, NO_BYTES, 0, 0, reason);
  }
}

/** RabbitMQ shows a frame's payload as an Erlang binary, its first 16 octets when it is longer. */
function octets(buffer: Buffer, start: number, end: number): string {
  const which = end - start > 16 ? "first 16" : "all";
  return `${which} octets = ${erlangBinary(buffer.subarray(start, Math.min(end, start + 16)))}`;
}

/** The error for a frame that has no place on its channel [RabbitMQ]. */
export function unexpectedFrame(
  type: number,
  buffer: Buffer,
  start: number,
  end: number,
): AmqpError {
  return new AmqpError("UNEXPECTED_FRAME", `type ${type}, ${octets(buffer, start, end)}`, {
    method: NO_METHOD,
  });
}

function frameError(
  type: number,
  buffer: Buffer,
  start: number,
  end: number,
  reason: string,
): FrameError {
  return new FrameError(`type ${type}, ${octets(buffer, start, end)}: ${reason}`);
}

function badEnd(type: number, buffer: Buffer, start: number, end: number): AmqpError {
  return frameError(type, buffer, start, end, `{invalid_frame_end_marker,${buffer[end]}}`);
}
