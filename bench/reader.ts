/**
 * Splits the bytes a broker sends into frames, however the chunks cut them, without an allocation
 * per frame.
 *
 * Method and header payloads are handed over whole. Body payloads are handed over in the pieces in
 * which they arrive, so that a body of a megabyte is never copied together. Everything handed over
 * is borrowed: it may not be kept past the call.
 */

import {
  FRAME_BODY,
  FRAME_BYTES_MAX,
  FRAME_END,
  FRAME_HEADER,
  FRAME_HEADER_BYTES,
  FRAME_HEARTBEAT,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
  u32At,
} from "./wire.ts";

export interface FrameHandler {
  onMethod(method: number, buffer: Buffer, start: number, end: number): void;
  onHeader(buffer: Buffer, start: number, end: number): void;
  /** A part of a body; where one body frame ends and the next begins is not told. */
  onBody(buffer: Buffer, start: number, end: number): void;
}

export class FrameReader {
  readonly #handler: FrameHandler;
  /** The beginning of a frame whose rest has not arrived: never more than one frame. */
  readonly #carry = Buffer.allocUnsafe(FRAME_BYTES_MAX);
  #carriedBytes = 0;
  /** What is left of the body frame being read, its end octet included. */
  #bodyBytesLeft = 0;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  read(chunk: Buffer): void {
    const end = chunk.length;
    let at = this.#carriedBytes > 0 ? this.#completeCarried(chunk) : 0;
    while (at < end) {
      if (this.#bodyBytesLeft > 0) {
        at = this.#bodyPiece(chunk, at);
        continue;
      }
      const needed = bytesNeeded(chunk, at, end);
      if (end - at < needed) {
        chunk.copy(this.#carry, 0, at);
        this.#carriedBytes = end - at;
        return;
      }
      this.#frame(chunk, at);
      at += needed;
    }
  }

  /** Fills the carried frame up from the chunk; returns where the chunk goes on. */
  #completeCarried(chunk: Buffer): number {
    let at = 0;
    for (;;) {
      const needed = bytesNeeded(this.#carry, 0, this.#carriedBytes);
      const missing = needed - this.#carriedBytes;
      if (missing === 0) break;
      const taken = Math.min(missing, chunk.length - at);
      if (taken === 0) return at;
      chunk.copy(this.#carry, this.#carriedBytes, at, at + taken);
      this.#carriedBytes += taken;
      at += taken;
    }
    this.#carriedBytes = 0;
    this.#frame(this.#carry, 0);
    return at;
  }

  /** One whole method or header frame, or the seven octets in front of a body. */
  #frame(buffer: Buffer, at: number): void {
    const size = u32At(buffer, at + 3);
    const start = at + FRAME_HEADER_BYTES;
    const type = buffer[at];
    if (type === FRAME_BODY) {
      this.#bodyBytesLeft = size + 1;
      return;
    }
    if (buffer[start + size] !== FRAME_END) throw new Error("a frame without its end octet");
    if (type === FRAME_METHOD) {
      this.#handler.onMethod(u32At(buffer, start), buffer, start, start + size);
    } else if (type === FRAME_HEADER) {
      this.#handler.onHeader(buffer, start, start + size);
    } else if (type !== FRAME_HEARTBEAT) {
      throw new Error(`a frame of type ${type}`);
    }
  }

  #bodyPiece(chunk: Buffer, at: number): number {
    const taken = Math.min(this.#bodyBytesLeft, chunk.length - at);
    const complete = taken === this.#bodyBytesLeft;
    this.#bodyBytesLeft -= taken;
    const end = at + taken - (complete ? 1 : 0);
    if (complete && chunk[end] !== FRAME_END) throw new Error("a body frame without its end octet");
    if (end > at) this.#handler.onBody(chunk, at, end);
    return at + taken;
  }
}

/** How many octets from `at` must be there before something can be handed over. */
function bytesNeeded(buffer: Buffer, at: number, end: number): number {
  if (end - at < FRAME_HEADER_BYTES) return FRAME_HEADER_BYTES;
  const size = u32At(buffer, at + 3);
  if (size > FRAME_BYTES_MAX - FRAME_OVERHEAD_BYTES) {
    throw new Error(`a frame of ${size} octets, more than was agreed`);
  }
  return buffer[at] === FRAME_BODY ? FRAME_HEADER_BYTES : size + FRAME_OVERHEAD_BYTES;
}
