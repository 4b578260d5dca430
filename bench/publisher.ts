/**
 * Publishes numbered messages out of one reusable buffer of encoded frames.
 *
 * The buffer holds as many complete messages as fit into about 64 KiB. Publishing n of them means
 * writing n sequence numbers into it and giving that range to the socket: no encoding and no
 * allocation per message. While the socket still holds the range (`busy`), nothing may be
 * published.
 */

import { bodyTemplate } from "./body.ts";
import type { Client } from "./client.ts";
import { basicPublish, CHANNEL, contentHeader } from "./methods.ts";
import {
  FRAME_BODY,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  FRAME_OVERHEAD_BYTES,
  frame,
} from "./wire.ts";

/** One write of this size costs little more than one of a tenth. */
const BATCH_BYTES = 65_536;

export interface Publication {
  readonly exchange: string;
  /** Used in turn, each equally often. */
  readonly routingKeys: readonly string[];
  readonly bodyBytes: number;
  /** Goes into every body, so that a message in the wrong queue is noticed. */
  readonly stream: number;
  /** Encoded property flags and values (properties.ts). */
  readonly properties: Buffer;
}

export class Publisher {
  /** The most that one call of `publish` can send. */
  readonly batchMessages: number;
  /** The number of messages given to the socket, and the next sequence number. */
  published = 0;
  busy = false;
  /** Called when a publisher that was busy no longer is. */
  onIdle: (() => void) | undefined;
  readonly #client: Client;
  readonly #batch: Buffer;
  /** Of each message in the batch: where its sequence number is and where it ends. */
  readonly #sequenceAt: number[] = [];
  readonly #endAt: number[] = [];
  #next = 0;
  readonly #onWritten = (): void => {
    if (!this.busy || this.#client.socket.writableLength > 0) return;
    this.busy = false;
    this.onIdle?.();
  };

  constructor(client: Client, publication: Publication) {
    this.#client = client;
    const messages = publication.routingKeys.map((key) => encodeMessage(publication, key));
    const cycleBytes = messages.reduce((bytes, { encoded }) => bytes + encoded.length, 0);
    const cycles = Math.ceil(BATCH_BYTES / cycleBytes);
    const pieces: Buffer[] = [];
    let at = 0;
    for (let cycle = 0; cycle < cycles; cycle++) {
      for (const { encoded, sequenceAt } of messages) {
        pieces.push(encoded);
        this.#sequenceAt.push(at + sequenceAt);
        at += encoded.length;
        this.#endAt.push(at);
      }
    }
    this.#batch = Buffer.concat(pieces);
    this.batchMessages = this.#endAt.length;
  }

  /** Publishes up to `count` messages, fewer where the batch ends; returns how many. */
  publish(count: number): number {
    const first = this.#next;
    const end = Math.min(first + count, this.batchMessages);
    for (let index = first; index < end; index++) {
      this.#batch.writeUInt32BE(this.published++, this.#sequenceAt[index]!);
    }
    this.#next = end === this.batchMessages ? 0 : end;
    const start = first === 0 ? 0 : this.#endAt[first - 1]!;
    const { socket } = this.#client;
    socket.write(this.#batch.subarray(start, this.#endAt[end - 1]!), this.#onWritten);
    // A write that the kernel took at once leaves nothing behind, and the buffer is free again.
    this.busy = socket.writableLength > 0;
    return end - first;
  }
}

function encodeMessage(
  { exchange, bodyBytes, stream, properties }: Publication,
  routingKey: string,
): { encoded: Buffer; sequenceAt: number } {
  const head = Buffer.concat([
    basicPublish(exchange, routingKey),
    contentHeader(bodyBytes, properties),
  ]);
  const body = bodyTemplate(bodyBytes, stream);
  const payloadBytesMax = FRAME_BYTES_MAX - FRAME_OVERHEAD_BYTES;
  const bodyFrames: Buffer[] = [];
  for (let at = 0; at < body.length; at += payloadBytesMax) {
    bodyFrames.push(frame(FRAME_BODY, CHANNEL, body.subarray(at, at + payloadBytesMax)));
  }
  const encoded = Buffer.concat([head, ...bodyFrames]);
  return { encoded, sequenceAt: head.length + FRAME_HEADER_BYTES };
}
