/**
 * One connection to a broker that writes down all that it sees, so that two brokers can be compared.
 *
 * What happens on a channel is noted in its order, apart from what belongs to somebody else: each consumer's deliveries,
 * the confirms and the returns are lists of their own, because their order among each other is nobody's promise.
 */
import { once } from "node:events";
import { type Socket, connect as tcpConnect } from "node:net";
import { ByteReader } from "../../src/amqp/byte-reader.ts";
import { ByteWriter } from "../../src/amqp/byte-writer.ts";
import {
  type FieldTable,
  type FieldValue,
  readTable,
  writeTable,
} from "../../src/amqp/field-table.ts";
import { decodeMethod, encodeMethod } from "../../src/amqp/method-codec.ts";
import type { Method, MethodArguments, MethodName } from "../../src/amqp/methods.ts";

const FRAME_METHOD = 1;
const FRAME_HEADER = 2;
const FRAME_BODY = 3;
const BASIC_CLASS = 60;
const REPLY_DEADLINE_MS = 10_000;
const FRAME_MAX = 131_072;
const BODY_PIECE_BYTES = FRAME_MAX - 8;

export interface Properties {
  readonly headers?: FieldTable;
  readonly deliveryMode?: number;
  readonly priority?: number;
  readonly expiration?: string;
  readonly messageId?: string;
}

interface Content {
  readonly about: string;
  readonly list: string;
  properties: string;
  bytesLeft: number;
  body: string;
}

/** What is under way on a channel. */
class ChannelState {
  isOpen = false;
  confirms = false;
  published = 0;
  readonly unconfirmed = new Set<number>();
  /** Delivery tags that the client has to settle, the oldest first. */
  outstanding: number[] = [];
  content: Content | undefined;
}

export class Peer {
  readonly #url: URL;
  #socket: Socket | undefined;
  #received = Buffer.alloc(0);
  #channels = new Map<number, ChannelState>();
  /** By consumer tag: whether it acknowledges. */
  #acknowledging = new Map<string, boolean>();
  /** What has been seen since `take` was called. */
  #seen = new Map<string, string[]>();
  #lastFrameAt = 0;
  #isConnected = false;
  #waiting: { channel: number; name: MethodName; done: () => void } | undefined;

  constructor(url: string) {
    this.#url = new URL(url);
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** Opens a connection; what an earlier one has seen stays to be taken. */
  async connect(): Promise<void> {
    const { hostname, port, username, password, pathname } = this.#url;
    const socket = tcpConnect({ host: hostname, port: Number(port), noDelay: true });
    this.#socket = socket;
    this.#received = Buffer.alloc(0);
    this.#channels = new Map();
    this.#acknowledging = new Map();
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => this.#onData(chunk));
    socket.on("close", () => {
      if (this.#socket === socket) this.#ended();
    });
    await once(socket, "connect");
    this.#isConnected = true;
    socket.write("AMQP\x00\x00\x09\x01", "latin1");
    await this.#reply(0, "connection.start");
    const response = Buffer.from(`\0${username}\0${password}`);
    const capabilities: FieldTable = new Map([
      ["consumer_cancel_notify", { type: "t", value: true }],
      ["authentication_failure_close", { type: "t", value: true }],
    ]);
    const clientProperties: FieldTable = new Map([
      ["capabilities", { type: "F", value: capabilities }],
    ]);
    const start = { clientProperties, mechanism: "PLAIN", response, locale: "en_US" };
    this.send(0, "connection.start-ok", start);
    await this.#reply(0, "connection.tune");
    this.send(0, "connection.tune-ok", { channelMax: 100, frameMax: FRAME_MAX, heartbeat: 0 });
    const virtualHost = decodeURIComponent(pathname.slice(1)) || "/";
    const open = { virtualHost, reserved1: "", reserved2: false };
    await this.call(0, "connection.open", open, "connection.open-ok");
    this.#seen = new Map();
  }

  destroy(): void {
    this.#socket?.destroy();
    this.#isConnected = false;
    this.#channels = new Map();
  }

  // -- sending

  send<Name extends MethodName>(channel: number, name: Name, args: MethodArguments<Name>): void {
    const writer = new ByteWriter();
    encodeMethod(writer, name, args);
    this.#frame(FRAME_METHOD, channel, writer.bytes());
  }

  #frame(type: number, channel: number, payload: Buffer): void {
    const head = Buffer.alloc(7);
    head.writeUInt8(type, 0);
    head.writeUInt16BE(channel, 1);
    head.writeUInt32BE(payload.length, 3);
    this.#socket?.write(Buffer.concat([head, payload, Buffer.from([0xce])]));
  }

  /** Sends a method and waits for its reply, or for the end of the channel or connection. */
  async call<Name extends MethodName>(
    channel: number,
    name: Name,
    args: MethodArguments<Name>,
    reply: MethodName,
  ): Promise<void> {
    const replied = this.#reply(channel, reply);
    this.send(channel, name, args);
    await replied;
  }

  async #reply(channel: number, name: MethodName): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#waiting = { channel, name, done: resolve };
      timer = setTimeout(() => {
        this.#note("trouble", `no ${name}`);
        resolve();
      }, REPLY_DEADLINE_MS);
    });
    clearTimeout(timer);
    this.#waiting = undefined;
  }

  publish(
    channel: number,
    to: { exchange: string; routingKey: string; mandatory: boolean },
    properties: Properties,
    body: string,
  ): void {
    const state = this.#state(channel);
    this.send(channel, "basic.publish", { reserved1: 0, immediate: false, ...to });
    const bytes = Buffer.from(body);
    this.#frame(FRAME_HEADER, channel, contentHeader(properties, bytes.length));
    for (let from = 0; from < bytes.length; from += BODY_PIECE_BYTES)
      this.#frame(FRAME_BODY, channel, bytes.subarray(from, from + BODY_PIECE_BYTES));
    state.published++;
    if (state.confirms) state.unconfirmed.add(state.published);
  }

  // -- the state that operations need

  #state(channel: number): ChannelState {
    let state = this.#channels.get(channel);
    if (state === undefined) {
      state = new ChannelState();
      this.#channels.set(channel, state);
    }
    return state;
  }

  isOpen(channel: number): boolean {
    return this.#state(channel).isOpen;
  }

  outstanding(channel: number): readonly number[] {
    return this.#state(channel).outstanding;
  }

  /** What the client has settled is no longer outstanding. */
  settled(channel: number, tag: number, multiple: boolean): void {
    const state = this.#state(channel);
    state.outstanding = state.outstanding.filter((other) =>
      multiple ? tag !== 0 && other > tag : other !== tag,
    );
  }

  get unconfirmedCount(): number {
    let count = 0;
    for (const { unconfirmed } of this.#channels.values()) count += unconfirmed.size;
    return count;
  }

  get quietMs(): number {
    return Date.now() - this.#lastFrameAt;
  }

  // -- what is seen

  /** All that has been seen since the last time, as lines. */
  take(): string[] {
    const lists = [...this.#seen].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#seen = new Map();
    return lists.flatMap(([list, lines]) => lines.map((line) => `${list}: ${line}`));
  }

  #note(list: string, line: string): void {
    const lines = this.#seen.get(list) ?? [];
    this.#seen.set(list, lines);
    lines.push(line);
  }

  #ended(): void {
    if (!this.#isConnected) return;
    this.#isConnected = false;
    this.#note("connection", "ended");
    this.#waiting?.done();
  }

  #onData(chunk: Buffer): void {
    this.#lastFrameAt = Date.now();
    let bytes = Buffer.concat([this.#received, chunk]);
    while (bytes.length >= 8) {
      const end = 7 + bytes.readUInt32BE(3);
      if (bytes.length <= end) break;
      this.#onFrame(bytes.readUInt8(0), bytes.readUInt16BE(1), bytes.subarray(7, end));
      bytes = bytes.subarray(end + 1);
    }
    this.#received = Buffer.from(bytes);
  }

  #onFrame(type: number, channel: number, payload: Buffer): void {
    const state = this.#state(channel);
    if (type === FRAME_METHOD) {
      this.#onMethod(channel, state, decodeMethod(payload, 0, payload.length));
    } else if (type === FRAME_HEADER && state.content !== undefined) {
      state.content.bytesLeft = Number(payload.readBigUInt64BE(4));
      state.content.properties = describeProperties(payload);
      this.#endContent(state);
    } else if (type === FRAME_BODY && state.content !== undefined) {
      state.content.body += payload.toString();
      state.content.bytesLeft -= payload.length;
      this.#endContent(state);
    }
  }

  #endContent(state: ChannelState): void {
    const { content } = state;
    if (content === undefined || content.bytesLeft > 0) return;
    state.content = undefined;
    this.#note(content.list, `${content.about} ${content.body} ${content.properties}`);
  }

  #onMethod(channel: number, state: ChannelState, method: Method): void {
    this.#onContentMethod(channel, state, method);
    this.#onStateMethod(channel, state, method);
    const { name } = method;
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const isReply =
      waiting.channel === channel && (waiting.name === name || name === "basic.get-empty");
    const isEnd =
      name === "connection.close" || (name === "channel.close" && waiting.channel === channel);
    if (isReply || isEnd) waiting.done();
  }

  /** Methods with content, and those that are about it. */
  #onContentMethod(channel: number, state: ChannelState, method: Method): void {
    const start = (list: string, about: string): void => {
      state.content = { about, list, properties: "", bytesLeft: 0, body: "" };
    };
    switch (method.name) {
      case "basic.deliver": {
        const { consumerTag, deliveryTag, redelivered, exchange, routingKey } = method.arguments;
        if (this.#acknowledging.get(`${channel} ${consumerTag}`))
          state.outstanding.push(deliveryTag);
        const about = `${redelivered ? "again" : "first"} ${exchange}/${routingKey}`;
        start(`${channel} consumer ${consumerTag}`, about);
        break;
      }
      case "basic.get-ok": {
        const { deliveryTag, redelivered, exchange, routingKey, messageCount } = method.arguments;
        state.outstanding.push(deliveryTag);
        const about = `got ${redelivered ? "again" : "first"} ${exchange}/${routingKey}`;
        start(`${channel} replies`, `${about} ${messageCount} left`);
        break;
      }
      case "basic.return": {
        const { replyCode, replyText, exchange, routingKey } = method.arguments;
        start(`${channel} returns`, `${replyCode} ${replyText} ${exchange}/${routingKey}`);
        break;
      }
      case "basic.ack":
      case "basic.nack":
        this.#onConfirm(channel, state, method.name, method.arguments);
        break;
      default:
    }
  }

  #onConfirm(
    channel: number,
    state: ChannelState,
    name: string,
    { deliveryTag, multiple }: { deliveryTag: number; multiple: boolean },
  ): void {
    for (const tag of [...state.unconfirmed]) {
      if (tag !== deliveryTag && !(multiple && tag < deliveryTag)) continue;
      state.unconfirmed.delete(tag);
      this.#note(`${channel} confirms`, `${name} ${tag}`);
    }
  }

  #onStateMethod(channel: number, state: ChannelState, method: Method): void {
    switch (method.name) {
      case "basic.deliver":
      case "basic.get-ok":
      case "basic.return":
      case "basic.ack":
      case "basic.nack":
      case "channel.flow-ok":
      case "connection.start":
      case "connection.tune":
        return;
      case "channel.open-ok":
        this.#channels.set(channel, Object.assign(new ChannelState(), { isOpen: true }));
        return;
      case "basic.recover-ok":
        state.outstanding = [];
        break;
      case "confirm.select-ok":
        state.confirms = true;
        return;
      case "channel.close":
        this.send(channel, "channel.close-ok", {});
        this.#channels.set(channel, new ChannelState());
        break;
      case "channel.close-ok":
        this.#channels.set(channel, new ChannelState());
        break;
      case "connection.close":
        this.send(0, "connection.close-ok", {});
        for (const number of this.#channels.keys()) this.#channels.set(number, new ChannelState());
        break;
      case "basic.cancel":
        // Which of several consumers hears it first is nobody's promise.
        this.#note(
          `${channel} consumer ${method.arguments.consumerTag}`,
          "cancelled by the broker",
        );
        return;
      default:
    }
    this.#note(`${channel} replies`, `${method.name} ${describe(method.arguments)}`);
  }

  /** Deliveries to this consumer are outstanding from now on, or not. */
  consumes(channel: number, consumerTag: string, acknowledges: boolean): void {
    this.#acknowledging.set(`${channel} ${consumerTag}`, acknowledges);
  }

  /** The last delivery of a channel did not have to be settled: it was got without acknowledgement. */
  forgetLast(channel: number, before: number): void {
    this.#state(channel).outstanding.length = Math.min(before, this.outstanding(channel).length);
  }
}

function describe(args: object): string {
  return JSON.stringify(args, (_, value) => (typeof value === "bigint" ? `${value}` : value));
}

// -- properties

const FLAGS = { headers: 1 << 13, deliveryMode: 1 << 12, priority: 1 << 11 };
const SHORT_STRINGS = { expiration: 1 << 8, messageId: 1 << 7 };

function contentHeader(properties: Properties, bodyBytes: number): Buffer {
  const { headers, deliveryMode, priority, expiration, messageId } = properties;
  const writer = new ByteWriter();
  writer.short(BASIC_CLASS);
  writer.short(0);
  writer.longlong(bodyBytes);
  const flagsAt = writer.hole(2);
  let flags = 0;
  if (headers !== undefined) {
    flags |= FLAGS.headers;
    writeTable(writer, headers);
  }
  if (deliveryMode !== undefined) {
    flags |= FLAGS.deliveryMode;
    writer.octet(deliveryMode);
  }
  if (priority !== undefined) {
    flags |= FLAGS.priority;
    writer.octet(priority);
  }
  if (expiration !== undefined) {
    flags |= SHORT_STRINGS.expiration;
    writer.shortstr(expiration);
  }
  if (messageId !== undefined) {
    flags |= SHORT_STRINGS.messageId;
    writer.shortstr(messageId);
  }
  const bytes = writer.bytes();
  bytes.writeUInt16BE(flags, flagsAt);
  return bytes;
}

/** What a content header says, in words; times, which two brokers cannot share, as a mark. */
/** Nobody publishes an empty table: what was in it is not compared. */
const NO_HEADERS = "{}";

function describeProperties(payload: Buffer): string {
  const reader = new ByteReader(payload, 12, payload.length);
  const flags = reader.short();
  const said: string[] = [];
  if (flags & FLAGS.headers) {
    const headers = describeTable(readTable(reader));
    if (headers !== NO_HEADERS) said.push(`headers ${headers}`);
  }
  if (flags & FLAGS.deliveryMode) said.push(`mode ${reader.octet()}`);
  if (flags & FLAGS.priority) said.push(`priority ${reader.octet()}`);
  if (flags & SHORT_STRINGS.expiration) said.push(`expires ${reader.shortstr()}`);
  if (flags & SHORT_STRINGS.messageId) said.push(`id ${reader.shortstr()}`);
  return said.join(" ");
}

function describeTable(table: FieldTable): string {
  const entries = [...table]
    // RabbitMQ has these since 3.13.
    .filter(([key]) => !key.startsWith("x-last-death-"))
    // And does not say since 4.0 that a message has never come back to a quorum queue.
    .filter(([key, value]) => !(key === "x-delivery-count" && value.value === 0n))
    .map(([key, value]) => `${key}=${describeValue(value)}`);
  return `{${entries.sort().join()}}`;
}

function describeValue(field: FieldValue): string {
  switch (field.type) {
    case "T":
      return "(time)";
    case "F":
      return describeTable(field.value);
    case "A":
      return `[${field.value.map(describeValue).join()}]`;
    case "S":
      return JSON.stringify(field.value.toString());
    default:
      return `${field.type}${String(field.value)}`;
  }
}
