/**
 * Reads the primitive types of AMQP 0-9-1 from a range of a buffer.
 *
 * Guarantees that nothing outside the range is read: input that claims more than there is ends in a DecodeError. It
 * copies what it returns, so that nothing of a socket's chunk is kept.
 */

import { isUtf8 } from "node:buffer";
import { DecodeError, FrameError } from "./errors.ts";

export class ByteReader {
  buffer: Buffer;
  offset: number;
  end: number;

  /** `buffer` is borrowed for as long as the reader is used. */
  constructor(buffer: Buffer, start = 0, end = buffer.length) {
    this.buffer = buffer;
    this.offset = start;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.offset;
  }

  /** Moves past `bytes` bytes and returns where they start. */
  take(bytes: number): number {
    const start = this.offset;
    if (bytes > this.end - start) cut(bytes, this.end - start);
    this.offset = start + bytes;
    return start;
  }

  octet(): number {
    return this.buffer[this.take(1)]!;
  }

  short(): number {
    return this.buffer.readUInt16BE(this.take(2));
  }

  long(): number {
    return longAt(this.buffer, this.take(4));
  }

  /** An unsigned 64-bit integer as a number: rounded above 2^53. */
  longlong(): number {
    return longlongAt(this.buffer, this.take(8));
  }

  shortstr(): string {
    const bytes = this.octet();
    const start = this.take(bytes);
    return decodeUtf8(this.buffer, start, start + bytes);
  }

  longstr(): Buffer {
    const bytes = this.long();
    const start = this.take(bytes);
    return Buffer.from(this.buffer.subarray(start, start + bytes));
  }
}

/** An unsigned 32-bit integer, where every message has some: `Buffer`'s own reading is a call that checks what is known. */
export function longAt(buffer: Buffer, at: number): number {
  return (
    buffer[at]! * 0x1000000 + ((buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!)
  );
}

export function longlongAt(buffer: Buffer, at: number): number {
  return longAt(buffer, at) * 2 ** 32 + longAt(buffer, at + 4);
}

/** Throws: less is left than what is announced. */
export function cut(expected: number, left: number): never {
  throw new DecodeError(`${expected} bytes expected, ${left} left`);
}

/** A shortstr's text. Two names that differ only in broken bytes must not become one, so these are refused. */
export function decodeUtf8(buffer: Buffer, start: number, end: number): string {
  for (let index = start; index < end; index++) {
    if (buffer[index]! > 0x7f) return decodeMultibyte(buffer.subarray(start, end));
  }
  return buffer.toString("latin1", start, end);
}

/** Whether a range is this text, which need not be decoded for that. */
export function isText(buffer: Buffer, start: number, end: number, text: string): boolean {
  const bytes = end - start;
  for (let index = 0; index < bytes && index < text.length; index++) {
    const octet = buffer[start + index]!;
    const code = text.charCodeAt(index);
    if (octet > 0x7f && code > 0x7f) return buffer.toString("utf8", start, end) === text;
    if (octet !== code) return false;
  }
  return bytes === text.length;
}

/** Throws when these bytes are no text. */
export function checkUtf8(bytes: Buffer): void {
  if (!isUtf8(bytes)) throw new FrameError("Malformed UTF-8 in shortstr");
}

function decodeMultibyte(bytes: Buffer): string {
  checkUtf8(bytes);
  return bytes.toString("utf8");
}
