/**
 * An AMQP 0-9-1 client that sends exactly the bytes it is told to: for the wrong frames and the odd ones
 * that no client library would send. It shares no code with the broker, so that one mistake cannot hide
 * in both, and it checks nothing that it sends.
 *
 * It guarantees that every wait ends: with what was awaited, or with an error that says what was missing.
 */
import { type Socket, connect as tcpConnect } from "node:net";
import { brokerUrl, closeAfterTest, DEADLINE_MS, deferred, within } from "./harness.ts";

export const FRAME_METHOD = 1;
export const FRAME_HEADER = 2;
export const FRAME_BODY = 3;
export const FRAME_HEARTBEAT = 8;
export const FRAME_END = 0xce;
export const PROTOCOL_HEADER = Buffer.from("AMQP\x00\x00\x09\x01", "latin1");

/** RabbitMQ drops some broken connections in silence, three seconds later. */
const SILENT_DROP_DEADLINE_MS = 10_000;

export interface Frame {
  type: number;
  channel: number;
  payload: Buffer;
}

export interface Method {
  classId: number;
  methodId: number;
  fields: FieldReader;
}

export interface RawCloseReason {
  code: number;
  text: string;
  classId: number;
  methodId: number;
}

export interface Tune {
  channelMax: number;
  frameMax: number;
  /** Seconds. */
  heartbeat: number;
}

export interface RawConnectOptions {
  vhost?: string;
  username?: string;
  password?: string;
  /** Encoded by `table`. */
  clientProperties?: Buffer;
  /** What tune-ok says where it shall differ from what the server offered; no heartbeats by default. */
  tune?: Partial<Tune>;
}

// ---------------------------------------------------------------------------------------------------
// Encoding: every function returns the bytes of one field

export function u8(value: number): Buffer {
  return Buffer.from([value]);
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

export function shortstr(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([u8(bytes.length), bytes]);
}

export function longstr(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([u32(bytes.length), bytes]);
}

/** Up to eight flags in one octet, the first in the lowest bit. */
export function bits(...flags: boolean[]): Buffer {
  return u8(flags.reduce((octet, flag, index) => octet | (flag ? 1 << index : 0), 0));
}

/** A field value: its type letter, then its bytes, as in typed("S", longstr("x")). */
export function typed(letter: string, bytes: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from(letter, "latin1"), bytes]);
}

export function table(entries: Record<string, Buffer> = {}): Buffer {
  const parts = Object.entries(entries).flatMap(([key, value]) => [shortstr(key), value]);
  return longstr(Buffer.concat(parts));
}

/** The bytes of a field array: use it as typed("A", array(typed(...), typed(...))). */
export function array(...values: Buffer[]): Buffer {
  return longstr(Buffer.concat(values));
}

export function frame(type: number, channel: number, payload: Buffer): Buffer {
  return Buffer.concat([u8(type), u16(channel), u32(payload.length), payload, u8(FRAME_END)]);
}

export function methodFrame(
  channel: number,
  classId: number,
  methodId: number,
  ...fields: Buffer[]
): Buffer {
  return frame(FRAME_METHOD, channel, Buffer.concat([u16(classId), u16(methodId), ...fields]));
}

/** A content header; `properties` are the property flags and the fields, none by default. */
export function headerFrame(channel: number, bodySize: number, properties = u16(0)): Buffer {
  return frame(FRAME_HEADER, channel, Buffer.concat([u16(60), u16(0), u64(bodySize), properties]));
}

/** basic.publish without its content. */
export function publishFrame(channel: number, exchange: string, routingKey: string): Buffer {
  const fields = [u16(0), shortstr(exchange), shortstr(routingKey), bits()];
  return methodFrame(channel, 60, 40, ...fields);
}

// ---------------------------------------------------------------------------------------------------
// Decoding

/** Reads the fields of a method one after the other. */
export class FieldReader {
  readonly bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  #take(length: number): Buffer {
    const end = this.#offset + length;
    if (end > this.bytes.length) throw new Error(`a field runs past the end of its method`);
    const taken = this.bytes.subarray(this.#offset, end);
    this.#offset = end;
    return taken;
  }

  u8(): number {
    return this.#take(1).readUInt8();
  }

  u16(): number {
    return this.#take(2).readUInt16BE();
  }

  u32(): number {
    return this.#take(4).readUInt32BE();
  }

  u64(): bigint {
    return this.#take(8).readBigUInt64BE();
  }

  shortstr(): string {
    return this.#take(this.u8()).toString();
  }

  longstr(): string {
    return this.#take(this.u32()).toString();
  }

  /** A field table as the bytes it was sent in, its length in front. */
  table(): Buffer {
    const start = this.#offset;
    this.#take(this.u32());
    return this.bytes.subarray(start, this.#offset);
  }

  rest(): Buffer {
    return this.bytes.subarray(this.#offset);
  }
}

// ---------------------------------------------------------------------------------------------------
// The client

export class RawClient {
  readonly #socket: Socket;
  readonly #ended = deferred<void>();
  #received: Buffer = Buffer.alloc(0);
  #isEnded = false;
  #wake: () => void = () => {};
  /** What the server offered in connection.tune. */
  tune: Tune = { channelMax: 0, frameMax: 0, heartbeat: 0 };

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    // A reset counts as an end too: it is one more way to be thrown out.
    socket.on("error", () => {});
    socket.on("close", () => this.#end());
    socket.on("end", () => this.#end());
  }

  #end(): void {
    this.#isEnded = true;
    this.#ended.resolve();
    this.#wake();
  }

  /** A socket on which nothing was sent. */
  static async tcp(): Promise<RawClient> {
    const { hostname, port } = new URL(await brokerUrl());
    const socket = tcpConnect({ host: hostname, port: Number(port), noDelay: true });
    const connected = deferred<void>();
    socket.once("connect", connected.resolve);
    socket.once("error", connected.reject);
    await within(connected.promise, `a TCP connection to port ${port}`);
    const client = new RawClient(socket);
    closeAfterTest(() => client.destroy());
    return client;
  }

  /** A connection on which the whole handshake is done. */
  static async connect(options: RawConnectOptions = {}): Promise<RawClient> {
    const client = await RawClient.tcp();
    await client.start();
    client.startOk(options);
    await client.readTune();
    client.tuneOk(options.tune);
    client.open(options.vhost);
    await client.expectMethod(0, 10, 41);
    return client;
  }

  // The steps of the handshake, for tests that stop in the middle of it.

  /** Sends the protocol header; returns the fields of connection.start. */
  async start(): Promise<FieldReader> {
    this.send(PROTOCOL_HEADER);
    return (await this.expectMethod(0, 10, 10)).fields;
  }

  startOk(options: RawConnectOptions = {}): void {
    const { username = "guest", password = "guest", clientProperties = table() } = options;
    const response = longstr(`\0${username}\0${password}`);
    this.sendMethod(0, 10, 11, [clientProperties, shortstr("PLAIN"), response, shortstr("en_US")]);
  }

  async readTune(): Promise<Tune> {
    const { fields } = await this.expectMethod(0, 10, 30);
    this.tune = { channelMax: fields.u16(), frameMax: fields.u32(), heartbeat: fields.u16() };
    return this.tune;
  }

  tuneOk(chosen: Partial<Tune> = {}): void {
    const { channelMax, frameMax, heartbeat } = { ...this.tune, heartbeat: 0, ...chosen };
    this.sendMethod(0, 10, 31, [u16(channelMax), u32(frameMax), u16(heartbeat)]);
  }

  open(vhost = "/"): void {
    this.sendMethod(0, 10, 40, [shortstr(vhost), shortstr(""), bits()]);
  }

  // Sending

  send(bytes: Buffer): void {
    // A test may well write to a server that has already hung up.
    if (!this.#isEnded) this.#socket.write(bytes);
  }

  sendMethod(
    channel: number,
    classId: number,
    methodId: number,
    fields: Buffer | Buffer[] = [],
  ): void {
    this.send(methodFrame(channel, classId, methodId, ...[fields].flat()));
  }

  /** Half-closes: the server sees the end of the stream and may still answer. */
  endSending(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // Receiving

  /** The next `length` bytes whatever they are, or undefined when the stream ends before. */
  async readBytes(length: number, ms = SILENT_DROP_DEADLINE_MS): Promise<Buffer | undefined> {
    await within(this.#untilBuffered(length), `${length} bytes`, ms);
    if (this.#received.length < length) return undefined;
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return taken;
  }

  async #untilBuffered(length: number): Promise<void> {
    while (this.#received.length < length && !this.#isEnded) {
      const more = deferred<void>();
      this.#wake = () => more.resolve();
      await more.promise;
    }
  }

  /** The next frame, heartbeats too; undefined at the end of the stream. */
  async readFrame(ms = SILENT_DROP_DEADLINE_MS): Promise<Frame | undefined> {
    const start = await this.readBytes(7, ms);
    if (start === undefined) return undefined;
    const rest = await this.readBytes(start.readUInt32BE(3) + 1, ms);
    if (rest === undefined) return undefined;
    if (rest.at(-1) !== FRAME_END) throw new Error("the server sent a frame without an end octet");
    return {
      type: start.readUInt8(0),
      channel: start.readUInt16BE(1),
      payload: rest.subarray(0, -1),
    };
  }

  /** The next method on the channel. Heartbeats and frames of other channels are passed over. */
  async readMethod(channel: number): Promise<Method | undefined> {
    for (;;) {
      const next = await this.readFrame();
      if (next === undefined) return undefined;
      if (next.type !== FRAME_METHOD || next.channel !== channel) continue;
      const fields = new FieldReader(next.payload);
      return { classId: fields.u16(), methodId: fields.u16(), fields };
    }
  }

  async expectMethod(channel: number, classId: number, methodId: number): Promise<Method> {
    const method = await this.readMethod(channel);
    if (method === undefined) {
      throw new Error(`the stream ended before method ${classId}.${methodId}`);
    }
    if (method.classId !== classId || method.methodId !== methodId) {
      const { classId: otherClass, methodId: otherMethod, fields } = method;
      const rest = fields.rest().toString("latin1");
      throw new Error(
        `expected method ${classId}.${methodId}, got ${otherClass}.${otherMethod}: ${JSON.stringify(rest)}`,
      );
    }
    return method;
  }

  /** Sends a method and returns the fields of its answer, which has the next method id by default. */
  async rpc(
    channel: number,
    classId: number,
    methodId: number,
    fields: Buffer | Buffer[] = [],
    answerId = methodId + 1,
  ): Promise<FieldReader> {
    this.sendMethod(channel, classId, methodId, fields);
    return (await this.expectMethod(channel, classId, answerId)).fields;
  }

  async openChannel(channel = 1): Promise<void> {
    await this.rpc(channel, 20, 10, shortstr(""));
  }

  /** Reads until connection.close (whatever comes before is passed over) and leaves it unanswered. */
  readClose(): Promise<RawCloseReason> {
    return this.#readClose(0, 10, 50);
  }

  /** Reads until connection.close and answers it. */
  async expectClose(): Promise<RawCloseReason> {
    const reason = await this.readClose();
    this.sendMethod(0, 10, 51);
    return reason;
  }

  /** Reads until channel.close and answers it. */
  async expectChannelClose(channel = 1): Promise<RawCloseReason> {
    const reason = await this.#readClose(channel, 20, 40);
    this.sendMethod(channel, 20, 41);
    return reason;
  }

  async #readClose(channel: number, classId: number, methodId: number): Promise<RawCloseReason> {
    for (;;) {
      const next = await this.readFrame();
      if (next === undefined) throw new Error("the stream ended without a close method");
      if (next.type !== FRAME_METHOD) continue;
      const fields = new FieldReader(next.payload);
      const [isClass, isMethod] = [fields.u16(), fields.u16()];
      if (next.channel === channel && isClass === classId && isMethod === methodId) {
        return closeReason(fields);
      }
      if (next.channel === 0 && isClass === 10 && isMethod === 50) {
        throw new Error(
          `the connection was closed instead: ${JSON.stringify(closeReason(fields))}`,
        );
      }
    }
  }

  /** Resolves when the server has closed the socket. */
  async untilEnd(ms = SILENT_DROP_DEADLINE_MS): Promise<void> {
    await within(this.#ended.promise, "the server to close the socket", ms);
  }

  /** The code of the connection.close (which is answered), or undefined when the stream ends without one. */
  async closeCodeOrEnd(): Promise<number | undefined> {
    for (;;) {
      const method = await this.readMethod(0);
      if (method === undefined) return undefined;
      if (method.classId !== 10 || method.methodId !== 50) continue;
      this.sendMethod(0, 10, 51);
      return method.fields.u16();
    }
  }

  /** Proves that the connection still works: opens and closes a channel nobody uses. */
  async expectAlive(channel = 99): Promise<void> {
    await within(this.openChannel(channel), "channel.open-ok", DEADLINE_MS);
    await within(this.rpc(channel, 20, 40, [u16(200), shortstr(""), u32(0)]), "channel.close-ok");
  }
}

function closeReason(fields: FieldReader): RawCloseReason {
  return {
    code: fields.u16(),
    text: fields.shortstr(),
    classId: fields.u16(),
    methodId: fields.u16(),
  };
}
