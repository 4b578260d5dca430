/**
 * What is inside a message's body, and the check that it arrives as it was sent.
 *
 * Body layout:
 *
 *     0  u32  sequence number, counted from 0 by each publisher
 *     4  u32  the publisher's stream number
 *     8  ...  a pattern: the octet at position i is (7 i + 13) mod 256
 *
 * A queue keeps order for its consumers on one channel, so the check is one comparison a message: any
 * other sequence number than its next one means that a message was lost, duplicated or reordered. A wrong
 * stream number is a message from the wrong queue. Of the pattern only the ends and the middle of
 * each arriving piece are looked at: enough to notice shifted, cut or mixed bodies, and nearly
 * free.
 */

import { u32At } from "./wire.ts";

export const BODY_BYTES_MIN = 16;
const PREFIX_BYTES = 8;

function patternOctet(position: number): number {
  return (7 * position + 13) & 0xff;
}

/** A body to patch the sequence number into. */
export function bodyTemplate(bodyBytes: number, stream: number): Buffer {
  if (bodyBytes < BODY_BYTES_MIN) throw new Error(`a body needs at least ${BODY_BYTES_MIN} octets`);
  const body = Buffer.alloc(bodyBytes);
  for (let position = PREFIX_BYTES; position < bodyBytes; position++) {
    body[position] = patternOctet(position);
  }
  body.writeUInt32BE(stream, 4);
  return body;
}

/** Follows one consumer's bodies; throws at the first one that is not the one expected. */
export class BodyCheck {
  /** The sequence number of the body being read, or to be read next. */
  sequence = 0;
  /** The next one of each queue: of n queues that are published to in turn the first has 0, n, 2n. */
  readonly #next: number[];
  readonly #bodyBytes: number;
  readonly #stream: number;
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  #offset = 0;

  constructor(bodyBytes: number, stream: number, queuesInTurn = 1) {
    this.#bodyBytes = bodyBytes;
    this.#stream = stream;
    this.#next = Array.from({ length: queuesInTurn }, (_, queue) => queue);
  }

  /** A body of this size is announced. */
  begin(bodyBytes: number): void {
    if (bodyBytes !== this.#bodyBytes) {
      throw new Error(`body of ${bodyBytes} octets instead of ${this.#bodyBytes}`);
    }
    this.#offset = 0;
  }

  /** The next octets of the body; true when it is complete. */
  piece(buffer: Buffer, start: number, end: number): boolean {
    const offset = this.#offset;
    const after = offset + end - start;
    if (after > this.#bodyBytes) throw new Error(`body longer than ${this.#bodyBytes} octets`);
    if (offset === 0 && after >= PREFIX_BYTES) {
      this.#checkPrefix(u32At(buffer, start), u32At(buffer, start + 4));
    } else if (offset < PREFIX_BYTES) {
      this.#splitPrefix(buffer, start, end);
    }
    this.#checkPattern(buffer, offset, start, start);
    this.#checkPattern(buffer, offset, start, start + ((end - start) >> 1));
    this.#checkPattern(buffer, offset, start, end - 1);
    this.#offset = after;
    if (after < this.#bodyBytes) return false;
    this.#next[this.sequence % this.#next.length]! += this.#next.length;
    this.sequence++;
    return true;
  }

  #splitPrefix(buffer: Buffer, start: number, end: number): void {
    const offset = this.#offset;
    buffer.copy(this.#prefix, offset, start, Math.min(end, start + PREFIX_BYTES - offset));
    if (offset + end - start < PREFIX_BYTES) return;
    this.#checkPrefix(u32At(this.#prefix, 0), u32At(this.#prefix, 4));
  }

  #checkPrefix(sequence: number, stream: number): void {
    if (stream !== this.#stream) {
      throw new Error(`message of stream ${stream} in the queue of stream ${this.#stream}`);
    }
    const expected = this.#next[sequence % this.#next.length]!;
    this.sequence = sequence;
    if (sequence === expected) return;
    const what = sequence > expected ? "lost or reordered" : "duplicated or reordered";
    throw new Error(`${what}: message ${sequence} arrived instead of ${expected}`);
  }

  #checkPattern(buffer: Buffer, offset: number, start: number, at: number): void {
    const position = offset + at - start;
    if (position < PREFIX_BYTES || buffer[at] === patternOctet(position)) return;
    throw new Error(`message ${this.sequence} is corrupted at octet ${position}`);
  }
}
