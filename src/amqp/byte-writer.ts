/**
 * Writes the primitive types of AMQP 0-9-1 into a buffer that grows as needed.
 *
 * For methods, tables and headers off the hot path; messages are written by output.ts without it.
 */

import { assert } from "../assert.ts";

export class ByteWriter {
  /** The first `end` bytes are written. */
  buffer: Buffer;
  end = 0;

  constructor(initialBytes = 256) {
    this.buffer = Buffer.allocUnsafe(initialBytes);
  }

  /** A copy of what was written. */
  bytes(): Buffer {
    return Buffer.from(this.buffer.subarray(0, this.end));
  }

  /** Leaves room for `bytes` bytes and returns where it is. */
  hole(bytes: number): number {
    const start = this.end;
    const needed = start + bytes;
    if (needed > this.buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2));
      this.buffer.copy(larger, 0, 0, start);
      this.buffer = larger;
    }
    this.end = needed;
    return start;
  }

  /** Writes, into a four-byte hole, how many bytes have been written since. */
  fillLength(hole: number): void {
    this.buffer.writeUInt32BE(this.end - hole - 4, hole);
  }

  octet(value: number): void {
    // The hole first: making it may replace the buffer.
    const start = this.hole(1);
    this.buffer[start] = value;
  }

  short(value: number): void {
    const start = this.hole(2);
    this.buffer.writeUInt16BE(value, start);
  }

  long(value: number): void {
    const start = this.hole(4);
    this.buffer.writeUInt32BE(value, start);
  }

  longlong(value: number): void {
    this.long(Math.floor(value / 2 ** 32));
    this.long(value % 2 ** 32);
  }

  longlongBits(value: bigint): void {
    const start = this.hole(8);
    this.buffer.writeBigUInt64BE(value, start);
  }

  float(value: number): void {
    const start = this.hole(4);
    this.buffer.writeFloatBE(value, start);
  }

  double(value: number): void {
    const start = this.hole(8);
    this.buffer.writeDoubleBE(value, start);
  }

  shortstr(text: string): void {
    const bytes = Buffer.byteLength(text);
    assert(bytes <= 255, `a shortstr holds 255 bytes, not ${bytes}`);
    this.octet(bytes);
    const start = this.hole(bytes);
    this.buffer.write(text, start, bytes, "utf8");
  }

  longstr(bytes: Buffer): void {
    this.long(bytes.length);
    this.raw(bytes, 0, bytes.length);
  }

  raw(source: Buffer, start: number, end: number): void {
    const at = this.hole(end - start);
    source.copy(this.buffer, at, start, end);
  }
}
