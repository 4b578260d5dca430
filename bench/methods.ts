/**
 * The AMQP 0-9-1 methods the generator sends and understands, as whole frames.
 *
 * A method is named by one number, class id in the upper and method id in the lower half: what
 * `readUInt32BE` finds at the start of a method frame's payload.
 */

import {
  bits,
  type FieldValue,
  FRAME_HEADER,
  FRAME_METHOD,
  frame,
  longString,
  shortString,
  table,
  u16,
  u32,
  u64,
} from "./wire.ts";

export const METHOD = {
  connectionStart: 0x000a000a,
  connectionStartOk: 0x000a000b,
  connectionTune: 0x000a001e,
  connectionTuneOk: 0x000a001f,
  connectionOpen: 0x000a0028,
  connectionOpenOk: 0x000a0029,
  connectionClose: 0x000a0032,
  connectionCloseOk: 0x000a0033,
  channelOpen: 0x0014000a,
  channelOpenOk: 0x0014000b,
  channelClose: 0x00140028,
  channelCloseOk: 0x00140029,
  exchangeDeclare: 0x0028000a,
  exchangeDeclareOk: 0x0028000b,
  exchangeDelete: 0x00280014,
  exchangeDeleteOk: 0x00280015,
  queueDeclare: 0x0032000a,
  queueDeclareOk: 0x0032000b,
  queueBind: 0x00320014,
  queueBindOk: 0x00320015,
  queueDelete: 0x00320028,
  queueDeleteOk: 0x00320029,
  basicQos: 0x003c000a,
  basicQosOk: 0x003c000b,
  basicConsume: 0x003c0014,
  basicConsumeOk: 0x003c0015,
  basicPublish: 0x003c0028,
  basicDeliver: 0x003c003c,
  basicGet: 0x003c0046,
  basicGetOk: 0x003c0047,
  basicAck: 0x003c0050,
  confirmSelect: 0x0055000a,
  confirmSelectOk: 0x0055000b,
} as const;

/** `classId.methodId`, as the specification's index lists them. */
export function methodName(method: number): string {
  for (const [name, known] of Object.entries(METHOD)) {
    if (known === method) return name;
  }
  return `method ${method >>> 16}.${method & 0xffff}`;
}

/** Everything the generator does happens on one channel a connection. */
export const CHANNEL = 1;
const TICKET = u16(0);

export interface Credentials {
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
}

function method(id: number, ...argumentsInOrder: Buffer[]): Buffer {
  return frame(FRAME_METHOD, CHANNEL, u32(id), ...argumentsInOrder);
}

function connectionMethod(id: number, ...argumentsInOrder: Buffer[]): Buffer {
  return frame(FRAME_METHOD, 0, u32(id), ...argumentsInOrder);
}

export const protocolHeader = Buffer.from("AMQP\x00\x00\x09\x01", "latin1");

export function connectionStartOk({ user, password }: Credentials): Buffer {
  const clientProperties = table({
    product: "leveret-bench",
    // Asks for a connection.close with a text instead of a silent hang-up when the login fails.
    capabilities: { authentication_failure_close: true },
  });
  const response = longString(`\0${user}\0${password}`);
  const [mechanism, locale] = [shortString("PLAIN"), shortString("en_US")];
  return connectionMethod(METHOD.connectionStartOk, clientProperties, mechanism, response, locale);
}

/** Heartbeat 0: a benchmark has no use for them, and the client's value is final. */
export function connectionTuneOk(channelMax: number, frameBytesMax: number): Buffer {
  return connectionMethod(METHOD.connectionTuneOk, u16(channelMax), u32(frameBytesMax), u16(0));
}

export function connectionOpen({ vhost }: Credentials): Buffer {
  const [capabilities, insist] = [shortString(""), bits(false)];
  return connectionMethod(METHOD.connectionOpen, shortString(vhost), capabilities, insist);
}

export function connectionClose(): Buffer {
  return connectionMethod(METHOD.connectionClose, u16(200), shortString("done"), u16(0), u16(0));
}

export function channelOpen(): Buffer {
  return method(METHOD.channelOpen, shortString(""));
}

export function channelClose(): Buffer {
  return method(METHOD.channelClose, u16(200), shortString("done"), u16(0), u16(0));
}

export function exchangeDeclare(exchange: string, type: string): Buffer {
  const [passive, durable, autoDelete, internal, noWait] = [false, false, false, false, false];
  const flags = bits(passive, durable, autoDelete, internal, noWait);
  const [name, kind] = [shortString(exchange), shortString(type)];
  return method(METHOD.exchangeDeclare, TICKET, name, kind, flags, table({}));
}

export function exchangeDelete(exchange: string): Buffer {
  return method(METHOD.exchangeDelete, TICKET, shortString(exchange), bits(false, false));
}

export interface QueueOptions {
  readonly durable?: boolean;
  readonly passive?: boolean;
  readonly queueArguments?: { readonly [name: string]: FieldValue };
}

export function queueDeclare(queue: string, options: QueueOptions = {}): Buffer {
  const { durable = false, passive = false, queueArguments = {} } = options;
  const [exclusive, autoDelete, noWait] = [false, false, false];
  const flags = bits(passive, durable, exclusive, autoDelete, noWait);
  return method(METHOD.queueDeclare, TICKET, shortString(queue), flags, table(queueArguments));
}

/** With `noWait` there is no bind-ok to wait for; an error still closes the channel. */
export function queueBind(
  queue: string,
  exchange: string,
  routingKey: string,
  noWait = false,
): Buffer {
  const names = [shortString(queue), shortString(exchange), shortString(routingKey)];
  return method(METHOD.queueBind, TICKET, ...names, bits(noWait), table({}));
}

export function queueDelete(queue: string): Buffer {
  return method(METHOD.queueDelete, TICKET, shortString(queue), bits(false, false, false));
}

export function basicQos(prefetchCount: number): Buffer {
  return method(METHOD.basicQos, u32(0), u16(prefetchCount), bits(false));
}

/** The empty consumer tag lets the broker choose, as client libraries do. */
export function basicConsume(queue: string, noAck: boolean): Buffer {
  const [noLocal, exclusive, noWait] = [false, false, false];
  const flags = bits(noLocal, noAck, exclusive, noWait);
  const [name, consumerTag] = [shortString(queue), shortString("")];
  return method(METHOD.basicConsume, TICKET, name, consumerTag, flags, table({}));
}

export function basicPublish(exchange: string, routingKey: string): Buffer {
  const names = [shortString(exchange), shortString(routingKey)];
  const [mandatory, immediate] = [false, false];
  return method(METHOD.basicPublish, TICKET, ...names, bits(mandatory, immediate));
}

/** A content header; `properties` are the property flags and the values they announce. */
export function contentHeader(bodyBytes: number, properties: Buffer): Buffer {
  const [classId, weight] = [u16(60), u16(0)];
  return frame(FRAME_HEADER, CHANNEL, classId, weight, u64(bodyBytes), properties);
}

export function basicGet(queue: string, noAck: boolean): Buffer {
  return method(METHOD.basicGet, TICKET, shortString(queue), bits(noAck));
}

export function basicAck(deliveryTag: number, multiple: boolean): Buffer {
  return method(METHOD.basicAck, u64(deliveryTag), bits(multiple));
}

export function confirmSelect(): Buffer {
  return method(METHOD.confirmSelect, bits(false));
}
