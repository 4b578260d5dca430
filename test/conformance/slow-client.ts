/**
 * A consumer that can stop reading its socket. RawClient and amqplib take whatever arrives; this one leaves it
 * where it is, so that the buffers of the system fill up and the broker cannot write any more.
 *
 * It keeps of each message only the number in its first four bytes: enough to tell what came, and in which
 * order, without holding tens of megabytes.
 */
import { type Socket, connect as tcpConnect } from "node:net";
import { brokerUrl, closeAfterTest, deferred, within } from "./harness.ts";
import { consumeFrame } from "./messaging.ts";
import {
  bits,
  FRAME_BODY,
  FRAME_METHOD,
  longstr,
  methodFrame,
  PROTOCOL_HEADER,
  shortstr,
  table,
  u16,
  u32,
  u64,
} from "./raw-client.ts";

/** Moving tens of megabytes through a broker takes a while on a small machine. */
const DEADLINE_MS = 60_000;
/** Type, channel and size in front of a frame's payload, and the end octet behind it. */
const FRAME_START_BYTES = 7;

export class SlowClient {
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  #awaited: { id: string; arrived: () => void } | undefined;
  #arrived: () => void = () => {};
  /** The numbers of the messages received so far. */
  readonly numbers: number[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("data", (chunk) => this.#read(chunk));
    closeAfterTest(() => this.destroy());
  }

  /** A connection with channel 1 open, and no heartbeats: a client that does not read could not answer. */
  static async connect(): Promise<SlowClient> {
    const { hostname, port } = new URL(await brokerUrl());
    const client = new SlowClient(tcpConnect({ host: hostname, port: Number(port) }));
    const login = [table(), shortstr("PLAIN"), longstr("\0guest\0guest"), shortstr("en_US")];
    await client.#request(PROTOCOL_HEADER, "10.10");
    await client.#request(methodFrame(0, 10, 11, ...login), "10.30");
    client.#socket.write(methodFrame(0, 10, 31, u16(2047), u32(131_072), u16(0)));
    await client.#request(methodFrame(0, 10, 40, shortstr("/"), shortstr(""), bits()), "10.41");
    await client.#request(methodFrame(1, 20, 10, shortstr("")), "20.11");
    return client;
  }

  async consume(queue: string, flags = 0): Promise<void> {
    await this.#request(consumeFrame(queue, "slow", flags), "60.21");
  }

  /** Leaves what arrives from now on in the buffers of the system. */
  stopReading(): void {
    this.#socket.pause();
  }

  readOn(): void {
    this.#socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Acknowledges everything that was delivered up to this tag. */
  ackUpTo(deliveryTag: number): void {
    this.#socket.write(methodFrame(1, 60, 80, u64(deliveryTag), bits(true)));
  }

  /** Resolves when this many messages have been received altogether. */
  async untilReceived(count: number): Promise<void> {
    const enough = deferred<void>();
    this.#arrived = () => {
      if (this.numbers.length >= count) enough.resolve();
    };
    this.#arrived();
    await within(enough.promise, `${count} messages`, DEADLINE_MS).catch((error: Error) => {
      throw new Error(`${error.message}; there were ${this.numbers.length}`);
    });
  }

  async #request(bytes: Buffer, answerId: string): Promise<void> {
    const answer = deferred<void>();
    this.#awaited = { id: answerId, arrived: () => answer.resolve() };
    this.#socket.write(bytes);
    await within(answer.promise, `method ${answerId}`);
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    let start = 0;
    while (bytes.length - start >= FRAME_START_BYTES) {
      const payloadStart = start + FRAME_START_BYTES;
      const payloadEnd = payloadStart + bytes.readUInt32BE(start + 3);
      if (payloadEnd >= bytes.length) break;
      this.#onFrame(bytes.readUInt8(start), bytes.subarray(payloadStart, payloadEnd));
      start = payloadEnd + 1;
    }
    this.#rest = Buffer.from(bytes.subarray(start));
    this.#arrived();
  }

  /** The bodies used with this client fit into a frame: one body frame is one message. */
  #onFrame(type: number, payload: Buffer): void {
    if (type === FRAME_BODY) this.numbers.push(payload.readUInt32BE(0));
    if (type !== FRAME_METHOD || this.#awaited === undefined) return;
    if (`${payload.readUInt16BE(0)}.${payload.readUInt16BE(2)}` !== this.#awaited.id) return;
    const { arrived } = this.#awaited;
    this.#awaited = undefined;
    arrived();
  }
}
