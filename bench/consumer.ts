/**
 * Consumes one queue or several on one connection, checks every message, and acknowledges as told.
 *
 * Acknowledgements of a chunk of input leave in one write at its end, each message still with its
 * own basic.ack when they go one by one: that is what a busy client's socket does to them anyway.
 */

import { BodyCheck } from "./body.ts";
import type { Client, Inbox } from "./client.ts";
import { basicAck } from "./methods.ts";
import { FRAME_HEADER_BYTES, u64At } from "./wire.ts";

/** Of a basic.ack frame: where its delivery tag is, behind frame header and method id. */
const TAG_AT = FRAME_HEADER_BYTES + 4;
const ACK_BYTES = basicAck(1, false).length;
const ACKS_A_WRITE_MAX = 1024;
const PROPERTIES_SAMPLED_EVERY = 100;
const ackSlab = Buffer.concat(new Array(ACKS_A_WRITE_MAX).fill(basicAck(1, false)));

export interface ConsumerOptions {
  readonly bodyBytes: number;
  readonly stream: number;
  /** Queues that it consumes, which are published to in turn. One by default. */
  readonly queuesInTurn?: number;
  /** 0: no acknowledgements (no-ack); 1: one by one; more: that many with `multiple`. */
  readonly ackEvery: number;
  /** The encoded properties every message must bring along. */
  readonly properties: Buffer;
}

export class Consumer implements Inbox {
  received = 0;
  /**
   * Called with the sequence number of each message; left undefined where only the count matters.
   */
  onMessage: ((sequence: number) => void) | undefined;
  readonly #client: Client;
  readonly #check: BodyCheck;
  readonly #ackEvery: number;
  readonly #properties: Buffer;
  #deliveryTag = 0;
  #ackedTag = 0;

  /** Registers itself as the client's inbox. */
  constructor(client: Client, options: ConsumerOptions) {
    this.#client = client;
    this.#check = new BodyCheck(options.bodyBytes, options.stream, options.queuesInTurn);
    this.#ackEvery = options.ackEvery;
    this.#properties = options.properties;
    client.inbox = this;
  }

  onDelivery(deliveryTag: number, redelivered: boolean): void {
    if (redelivered) throw new Error(`message ${this.#check.sequence} was redelivered`);
    if (deliveryTag !== ++this.#deliveryTag) {
      throw new Error(`delivery tag ${deliveryTag} instead of ${this.#deliveryTag}`);
    }
  }

  onHeader(buffer: Buffer, start: number, end: number): void {
    this.#checkProperties(buffer, start + 12, end);
    this.#check.begin(u64At(buffer, start + 4));
  }

  /**
   * Flags and length of all, every octet of some: comparing them all would cost more than parsing.
   */
  #checkProperties(buffer: Buffer, start: number, end: number): void {
    const expected = this.#properties;
    const sampled = this.received % PROPERTIES_SAMPLED_EVERY === 0;
    const equal =
      end - start === expected.length &&
      buffer[start] === expected[0] &&
      buffer[start + 1] === expected[1] &&
      (!sampled || buffer.compare(expected, 0, expected.length, start, end) === 0);
    if (!equal) throw new Error(`message ${this.#check.sequence} came with other properties`);
  }

  onBody(buffer: Buffer, start: number, end: number): void {
    if (!this.#check.piece(buffer, start, end)) return;
    this.received++;
    this.onMessage?.(this.#check.sequence - 1);
  }

  /** Writes the acknowledgements that are due; call it when a chunk of input was worked off. */
  acknowledge(): void {
    if (this.#ackEvery === 0) return;
    // A delivery whose body is still on its way has a tag already, but is not received.
    if (this.#ackEvery === 1) {
      while (this.#ackedTag < this.received) this.#acknowledgeSingly();
      return;
    }
    while (this.received - this.#ackedTag >= this.#ackEvery) {
      this.#ackedTag += this.#ackEvery;
      this.#client.socket.write(basicAck(this.#ackedTag, true));
    }
  }

  #acknowledgeSingly(): void {
    const count = Math.min(this.received - this.#ackedTag, ACKS_A_WRITE_MAX);
    const acks = Buffer.allocUnsafe(count * ACK_BYTES);
    ackSlab.copy(acks, 0, 0, acks.length);
    for (let at = TAG_AT; at < acks.length; at += ACK_BYTES) {
      const tag = ++this.#ackedTag;
      acks.writeUInt32BE(Math.floor(tag / 0x1_0000_0000), at);
      acks.writeUInt32BE(tag >>> 0, at + 4);
    }
    this.#client.socket.write(acks);
  }

  /** Acknowledges what is left of a group that did not become full. */
  acknowledgeRest(): void {
    if (this.#ackEvery === 0 || this.#ackedTag === this.received) return;
    this.#ackedTag = this.received;
    this.#client.socket.write(basicAck(this.#ackedTag, true));
  }
}
