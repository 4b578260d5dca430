/**
 * A client that speaks raw frames over a simulated stream, with one channel.
 *
 * It never waits: what it says lies in its outgoing bytes until the simulation lets some of them arrive, cut anywhere, and
 * what it hears it hands on when it listens. Replies come in the order of the questions.
 */
import { ByteWriter } from "../../src/amqp/byte-writer.ts";
import { writeTable } from "../../src/amqp/field-table.ts";
import {
  FRAME_BODY,
  FRAME_HEADER,
  FRAME_METHOD,
  type FrameHandler,
  FrameParser,
} from "../../src/amqp/frame-parser.ts";
import { decodeMethod, encodeMethod } from "../../src/amqp/method-codec.ts";
import {
  type FieldType,
  type Method,
  type MethodArguments,
  type MethodName,
  methods,
} from "../../src/amqp/methods.ts";
import { frame, wire } from "../amqp/wire.ts";
import type { SimulatedStream } from "./simulated-stream.ts";

const FRAME_MAX = 8192;
const CHANNEL = 1;
const BASIC = 60;
/** Delivery mode and message id follow. */
const FLAGS = 0x1000 | 0x0080;
const HEADERS_FLAG = 0x2000;

/** A message as a client publishes it. */
export interface PublishedMessage {
  readonly id: string;
  readonly body: Buffer;
  readonly persistent: boolean;
  /** Its header x-delay. */
  readonly delayMs?: number | undefined;
}

/** A message as a client gets it. */
export interface Message {
  readonly queue: string;
  readonly deliveryTag: number;
  readonly redelivered: boolean;
  readonly header: Buffer;
  readonly body: Buffer;
}

export interface ClientListener {
  /** A delivery to the consumer of a queue; a consumer's tag is the name of its queue. */
  delivered(message: Message): void;
  /** A confirm. */
  confirmed(deliveryTag: number, multiple: boolean, isAck: boolean): void;
  /** The broker has closed channel or connection; the connection is gone. */
  closed(reason: string): void;
}

/** Called with the reply to a question. */
export type OnReply = (method: Method) => void;
/** Called with what basic.get has found. */
export type OnGot = (message: Message | undefined) => void;

/** What a field is that nobody names. */
const empty: Readonly<Record<FieldType, () => unknown>> = {
  bit: () => false,
  octet: () => 0,
  short: () => 0,
  long: () => 0,
  longlong: () => 0,
  shortstr: () => "",
  longstr: () => Buffer.alloc(0),
  table: () => new Map(),
};

function encoded<Name extends MethodName>(name: Name, args: Partial<MethodArguments<Name>>) {
  const fields = Object.entries(methods[name].fields as Record<string, FieldType>);
  const values = Object.fromEntries(fields.map(([field, type]) => [field, empty[type]()]));
  const writer = new ByteWriter();
  encodeMethod(writer, name, { ...values, ...args } as MethodArguments<Name>);
  return writer.bytes();
}

export class SimulatedClient implements FrameHandler {
  readonly #stream: SimulatedStream;
  readonly #listener: ClientListener;
  readonly #parser = new FrameParser(this, 1 << 20);
  #outgoing: Buffer[] = [];
  #questions: OnReply[] = [];
  #gets: OnGot[] = [];
  /** The method whose content comes next. */
  #begun: { message: Omit<Message, "header" | "body">; got: boolean } | undefined;
  #header = Buffer.alloc(0);
  #body: Buffer[] = [];
  #bodyBytesLeft = 0;
  isOpen = true;
  isBlocked = false;
  /** Why it was last. */
  blockedReason = "";

  constructor(stream: SimulatedStream, listener: ClientListener, virtualHost = "/") {
    this.#stream = stream;
    this.#listener = listener;
    this.#open(virtualHost);
  }

  /** All that opens a connection can be said before the broker has answered. */
  #open(virtualHost: string): void {
    this.#outgoing.push(wire("AMQP", 0, 0, 9, 1));
    const capabilities = new Map([["connection.blocked", { type: "t" as const, value: true }]]);
    this.#say(0, "connection.start-ok", {
      clientProperties: new Map([["capabilities", { type: "F" as const, value: capabilities }]]),
      mechanism: "PLAIN",
      response: Buffer.from("\0guest\0guest"),
      locale: "en_US",
    });
    this.#say(0, "connection.tune-ok", { channelMax: 10, frameMax: FRAME_MAX, heartbeat: 0 });
    this.#say(0, "connection.open", { virtualHost });
    this.#say(CHANNEL, "channel.open", {});
  }

  #say<Name extends MethodName>(
    channel: number,
    name: Name,
    args: Partial<MethodArguments<Name>>,
  ): void {
    this.#outgoing.push(frame(FRAME_METHOD, channel, encoded(name, args)));
  }

  /** Says a method that has no reply. */
  say<Name extends MethodName>(name: Name, args: Partial<MethodArguments<Name>>): void {
    this.#say(CHANNEL, name, args);
  }

  /** Says a method; `onReply` gets what the broker answers to it. */
  ask<Name extends MethodName>(
    name: Name,
    args: Partial<MethodArguments<Name>>,
    onReply: OnReply = () => undefined,
  ): void {
    this.#say(CHANNEL, name, args);
    this.#questions.push(onReply);
  }

  get(queue: string, onGot: OnGot): void {
    this.#say(CHANNEL, "basic.get", { queue });
    this.#gets.push(onGot);
  }

  consume(queue: string): void {
    this.ask("basic.consume", { queue, consumerTag: queue });
  }

  /** Publishes a message that is known by its id. */
  publish(
    exchange: string,
    routingKey: string,
    { id, body, persistent, delayMs }: PublishedMessage,
  ): void {
    this.#say(CHANNEL, "basic.publish", { exchange, routingKey });
    const header = Buffer.alloc(14);
    header.writeUInt16BE(BASIC, 0);
    header.writeUInt32BE(body.length, 8);
    header.writeUInt16BE(delayMs === undefined ? FLAGS : FLAGS | HEADERS_FLAG, 12);
    const headers = new ByteWriter();
    if (delayMs !== undefined)
      writeTable(headers, new Map([["x-delay", { type: "I", value: delayMs }]]));
    const properties = wire(persistent ? 2 : 1, Buffer.byteLength(id), id);
    const payload = Buffer.concat([header, headers.bytes(), properties]);
    this.#outgoing.push(frame(FRAME_HEADER, CHANNEL, payload));
    for (let at = 0; at < body.length; at += FRAME_MAX - 8)
      this.#outgoing.push(frame(FRAME_BODY, CHANNEL, body.subarray(at, at + FRAME_MAX - 8)));
  }

  // -- what moves the bytes

  get hasOutgoing(): boolean {
    return this.#outgoing.length > 0;
  }

  /** Lets a part of what was said arrive: all of it but what `cut` cuts off. */
  arrive(cut: (bytes: number) => number): void {
    const bytes = Buffer.concat(this.#outgoing);
    const end = cut(bytes.length);
    this.#outgoing = end < bytes.length ? [bytes.subarray(end)] : [];
    if (end > 0) this.#stream.arrive(Buffer.from(bytes.subarray(0, end)));
  }

  /** Hears all that the broker has said. */
  listen(): void {
    for (const bytes of this.#stream.take()) this.#parser.push(bytes);
    if (this.#stream.ended || this.#stream.destroyed) this.#gone("the connection has ended");
  }

  #gone(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#outgoing = [];
    this.#listener.closed(reason);
  }

  /** Goes without a word. */
  hangUp(): void {
    this.isOpen = false;
    this.#outgoing = [];
    this.#stream.hangUp();
  }

  // -- what it hears

  onMethodFrame(_channel: number, buffer: Buffer, start: number, end: number): void {
    const method = decodeMethod(buffer, start, end);
    const { name, arguments: args } = method;
    switch (name) {
      case "connection.start":
      case "connection.tune":
      case "connection.open-ok":
      case "channel.open-ok":
        break;
      case "basic.deliver":
        this.#begin(args.consumerTag, args, false);
        break;
      case "basic.get-ok":
        this.#begin("", args, true);
        break;
      case "basic.get-empty":
        this.#gets.shift()!(undefined);
        break;
      case "basic.ack":
        this.#listener.confirmed(args.deliveryTag, args.multiple, true);
        break;
      case "basic.nack":
        this.#listener.confirmed(args.deliveryTag, args.multiple, false);
        break;
      case "connection.blocked":
        this.isBlocked = true;
        this.blockedReason = args.reason;
        break;
      case "connection.unblocked":
        this.isBlocked = false;
        break;
      case "channel.close":
      case "connection.close":
        this.#gone(`${args.replyCode} ${args.replyText}`);
        this.#stream.hangUp();
        break;
      default:
        this.#questions.shift()!(method);
    }
  }

  #begin(
    queue: string,
    { deliveryTag, redelivered }: { deliveryTag: number; redelivered: boolean },
    got: boolean,
  ): void {
    this.#begun = { message: { queue, deliveryTag, redelivered }, got };
  }

  onHeaderFrame(_channel: number, buffer: Buffer, start: number, end: number): void {
    this.#header = Buffer.from(buffer.subarray(start, end));
    this.#bodyBytesLeft = this.#header.readUInt32BE(8);
    this.#body = [];
    if (this.#bodyBytesLeft === 0) this.#complete();
  }

  onBodyBytes(_channel: number, buffer: Buffer, start: number, end: number): void {
    if (end === start) return;
    this.#body.push(Buffer.from(buffer.subarray(start, end)));
    this.#bodyBytesLeft -= end - start;
    if (this.#bodyBytesLeft === 0) this.#complete();
  }

  #complete(): void {
    const { message, got } = this.#begun!;
    const whole = { ...message, header: this.#header, body: Buffer.concat(this.#body) };
    if (got) this.#gets.shift()!(whole);
    else this.#listener.delivered(whole);
  }

  onHeartbeat(): void {}
}
