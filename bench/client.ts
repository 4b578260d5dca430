/**
 * One AMQP connection with one channel on a raw socket.
 *
 * For setting up it speaks in calls: send a request, await the reply. While messages flow it hands
 * deliveries and confirms straight to an inbox, with no promise or object in between. Whatever the
 * broker sends that was not asked for (an error, a return, a cancel, a reply nobody waits for)
 * rejects the call under way or, with none, throws in the socket's event: the generator lives for
 * one measurement, and ends with that error.
 */

import { connect, type Socket } from "node:net";
import {
  channelClose,
  channelOpen,
  connectionClose,
  connectionOpen,
  connectionStartOk,
  connectionTuneOk,
  METHOD,
  methodName,
  protocolHeader,
} from "./methods.ts";
import { type FrameHandler, FrameReader } from "./reader.ts";
import type { BrokerAddress } from "./url.ts";
import { FRAME_BYTES_MAX, u64At } from "./wire.ts";

/** Takes the messages of a connection's consumer, or of its basic.gets. */
export interface Inbox {
  onDelivery(deliveryTag: number, redelivered: boolean): void;
  /** The content header's payload: borrowed. */
  onHeader(buffer: Buffer, start: number, end: number): void;
  /** A piece of the body: borrowed. */
  onBody(buffer: Buffer, start: number, end: number): void;
}

/** Takes the confirms of a connection's publisher. */
export interface Confirms {
  onConfirm(deliveryTag: number, multiple: boolean): void;
}

interface PendingReply {
  readonly method: number;
  resolve(payload: Buffer): void;
  reject(error: Error): void;
}

/**
 * What all sockets of the process read into, one after the other: whatever is read is worked off
 * before the next read. It halves what receiving costs against a new buffer for each read.
 */
const readBuffer = Buffer.allocUnsafe(65_536);

export class Client implements FrameHandler {
  readonly socket: Socket;
  inbox: Inbox | undefined;
  confirms: Confirms | undefined;
  /** Called when a chunk of input was worked off: the moment to write what it gave rise to. */
  onChunkEnd: (() => void) | undefined;
  /** `product version`, as the broker introduced itself. */
  brokerVersion = "";
  #reply: PendingReply | undefined;
  #closing = false;
  readonly #reader = new FrameReader(this);

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("close", () => {
      if (!this.#closing) this.#fail("the broker closed the connection without a word");
    });
  }

  /** Resolves with connection and channel open. */
  static async open(address: BrokerAddress): Promise<Client> {
    const { host, port } = address;
    let client: Client | undefined;
    const callback = (bytes: number): boolean => {
      client!.#read(readBuffer.subarray(0, bytes));
      return true;
    };
    const socket = connect({ host, port, noDelay: true, onread: { buffer: readBuffer, callback } });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    client = new Client(socket);
    await client.#handshake(address);
    return client;
  }

  #read(chunk: Buffer): void {
    this.#reader.read(chunk);
    this.onChunkEnd?.();
  }

  async #handshake(address: BrokerAddress): Promise<void> {
    const start = await this.call(protocolHeader, METHOD.connectionStart);
    this.brokerVersion = `${longStringAfter(start, "product")} ${longStringAfter(start, "version")}`;
    const tune = await this.call(connectionStartOk(address), METHOD.connectionTune);
    const frameBytesMax = tune.readUInt32BE(6);
    if (frameBytesMax !== 0 && frameBytesMax < FRAME_BYTES_MAX) {
      throw new Error(`the broker offers frames of ${frameBytesMax} octets only`);
    }
    this.socket.write(connectionTuneOk(tune.readUInt16BE(4), FRAME_BYTES_MAX));
    await this.call(connectionOpen(address), METHOD.connectionOpenOk);
    await this.call(channelOpen(), METHOD.channelOpenOk);
  }

  /** Sends a request and resolves with a copy of the reply's payload; one call at a time. */
  call(request: Buffer, reply: number): Promise<Buffer> {
    if (this.#reply) throw new Error(`already waiting for ${methodName(this.#reply.method)}`);
    return new Promise((resolve, reject) => {
      this.#reply = { method: reply, resolve, reject };
      this.socket.write(request);
    });
  }

  /** Closes channel and connection in the proper way, and waits for the end of the socket. */
  async close(): Promise<void> {
    await this.call(channelClose(), METHOD.channelCloseOk);
    this.#closing = true;
    await this.call(connectionClose(), METHOD.connectionCloseOk);
    await new Promise((resolve) => {
      this.socket.once("close", resolve);
      this.socket.end();
    });
  }

  onMethod(method: number, buffer: Buffer, start: number, end: number): void {
    if (method === METHOD.basicDeliver) {
      const tagAt = start + 5 + buffer[start + 4]!;
      this.inbox!.onDelivery(u64At(buffer, tagAt), buffer[tagAt + 8] !== 0);
    } else if (method === METHOD.basicAck && this.confirms) {
      this.confirms.onConfirm(u64At(buffer, start + 4), buffer[start + 12] !== 0);
    } else if (method === this.#reply?.method) {
      this.#resolveReply(method, buffer, start, end);
    } else {
      this.#fail(`the broker sent ${describe(method, buffer, start)}`);
    }
  }

  /** Whoever waits for a reply learns it; with nobody waiting, it ends the process. */
  #fail(text: string): void {
    this.#closing = true;
    if (!this.#reply) throw new Error(text);
    this.#reply.reject(new Error(text));
    this.#reply = undefined;
  }

  #resolveReply(method: number, buffer: Buffer, start: number, end: number): void {
    const { resolve } = this.#reply!;
    this.#reply = undefined;
    if (method === METHOD.basicGetOk) {
      this.inbox!.onDelivery(u64At(buffer, start + 4), buffer[start + 12] !== 0);
    }
    resolve(Buffer.from(buffer.subarray(start, end)));
  }

  onHeader(buffer: Buffer, start: number, end: number): void {
    this.inbox!.onHeader(buffer, start, end);
  }

  onBody(buffer: Buffer, start: number, end: number): void {
    this.inbox!.onBody(buffer, start, end);
  }
}

/**
 * A method as a person wants to read it in an error: the reason of a close, the name of all others.
 */
function describe(method: number, buffer: Buffer, start: number): string {
  const name = methodName(method);
  if (method !== METHOD.connectionClose && method !== METHOD.channelClose) return name;
  const code = buffer.readUInt16BE(start + 4);
  const textAt = start + 7;
  return `${name} ${code} ${buffer.toString("utf8", textAt, textAt + buffer[textAt - 1]!)}`;
}

/**
 * A long string of the server properties, found by its name instead of decoding the whole table.
 */
function longStringAfter(payload: Buffer, name: string): string {
  const at = payload.indexOf(`${String.fromCharCode(name.length)}${name}S`, "latin1");
  if (at < 0) return `(no ${name})`;
  const textAt = at + name.length + 6;
  return payload.toString("utf8", textAt, textAt + payload.readUInt32BE(textAt - 4));
}
