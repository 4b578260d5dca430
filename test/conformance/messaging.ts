/**
 * What the messaging tests say to a broker again and again: queues to put messages in, bodies in and out,
 * and what amqplib does not show of a delivery.
 *
 * Like the harness it knows no broker, and everything it declares is gone after the test.
 */
import type { Channel, ConfirmChannel, GetMessage, Message, Options, XDeath } from "amqplib";
import { connect, consume, DEADLINE_MS, deferred, type Inbox, unique, within } from "./harness.ts";
import {
  FieldReader,
  FRAME_BODY,
  FRAME_HEADER,
  FRAME_METHOD,
  frame,
  headerFrame,
  methodFrame,
  publishFrame,
  type RawClient,
  shortstr,
  table,
  u16,
  u32,
} from "./raw-client.ts";

// ---------------------------------------------------------------------------------------------------
// Through amqplib

/** Declares a durable queue with these arguments; returns its name. */
export async function newQueue(
  channel: Channel,
  args: Record<string, unknown> = {},
  stem = "queue",
): Promise<string> {
  const queue = unique(stem);
  await channel.assertQueue(queue, { durable: true, arguments: args });
  return queue;
}

/** Declares a fanout exchange that is bound to these queues; returns its name. */
export async function newFanout(channel: Channel, ...queues: string[]): Promise<string> {
  const exchange = unique("fanout");
  await channel.assertExchange(exchange, "fanout", { durable: true });
  for (const queue of queues) await channel.bindQueue(queue, exchange, "");
  return exchange;
}

/** A fanout exchange for dead letters, and what arrives in the one queue that is bound to it. */
export async function deadLetterQueue(channel: Channel): Promise<{
  exchange: string;
  queue: string;
  deadLetters: Inbox;
}> {
  const queue = await newQueue(channel, {}, "dead-letters");
  const exchange = await newFanout(channel, queue);
  const deadLetters = await consume(channel, queue, { noAck: true });
  return { exchange, queue, deadLetters };
}

/** The deaths that dead lettering has written on the message. */
export function deaths(message: Message): (XDeath & { "routing-keys": string[] })[] {
  return (message.properties.headers?.["x-death"] ?? []) as never;
}

/** Queue, reason and count of every death, in the order of the list. */
export function path(message: Message): string[] {
  return deaths(message).map(({ queue, reason, count }) => `${queue} ${reason} ${count}`);
}

/**
 * Publishes the bodies to the queue, and returns when it has taken or refused each of them. It takes confirms
 * to know that: in RabbitMQ a passive declare overtakes publications and settlements that were sent before it
 * on the same channel.
 */
export async function send(
  channel: ConfirmChannel,
  queue: string,
  ...bodies: string[]
): Promise<void> {
  const dealtWith = bodies.map((body) => {
    const { promise, resolve } = deferred<void>();
    channel.sendToQueue(queue, Buffer.from(body), {}, () => resolve());
    return within(promise, `the confirm of "${body}" from ${queue}`);
  });
  await Promise.all(dealtWith);
}

/** How many messages are ready in the queue, as far as the broker has come: see `send`. */
export async function readyCount(channel: Channel, queue: string): Promise<number> {
  return (await channel.checkQueue(queue)).messageCount;
}

export function text(message: Message): string {
  return message.content.toString();
}

export function texts(messages: readonly Message[]): string[] {
  return messages.map((message) => message.content.toString());
}

/** The message that basic.get brings; there has to be one. */
export async function get(
  channel: Channel,
  queue: string,
  options: Options.Get = {},
): Promise<GetMessage> {
  const message = await channel.get(queue, options);
  if (message === false) throw new Error(`${queue} has no message`);
  return message;
}

/**
 * Takes everything that is ready out of the queue, without acknowledgements. What was published or requeued
 * on the same channel before is there to be taken.
 */
export async function drain(channel: Channel, queue: string): Promise<GetMessage[]> {
  const messages: GetMessage[] = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (message === false) return messages;
    messages.push(message);
  }
}

/**
 * Resolves when the queue has been deleted. It asks by mandatory messages, which come back from a queue that
 * is no more, because a passive declare counts as a use of the queue and would keep x-expires from happening.
 */
export async function untilGone(queue: string): Promise<void> {
  const { connection } = await connect();
  const channel = await connection.createConfirmChannel();
  let isGone = false;
  channel.on("return", () => {
    isGone = true;
  });
  const end = Date.now() + DEADLINE_MS;
  while (!isGone) {
    if (Date.now() > end) throw new Error(`${queue} still exists`);
    channel.publish("", queue, Buffer.alloc(0), { mandatory: true });
    await channel.waitForConfirms();
    if (!isGone) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await connection.close();
}

// ---------------------------------------------------------------------------------------------------
// Through a raw client

/** A message that the server sent, frame by frame. */
export interface RawContent {
  classId: number;
  methodId: number;
  /** The fields of the method in front: basic.deliver, basic.get-ok or basic.return. */
  fields: FieldReader;
  /** The property flags and the properties. */
  properties: Buffer;
  body: Buffer;
  /** How many bytes each body frame carried. */
  bodyFrameBytes: number[];
}

/** Reads a method with content. The frames of nothing else may come between. */
export async function readContent(raw: RawClient, channel = 1): Promise<RawContent> {
  const method = await expectFrame(raw, FRAME_METHOD, channel);
  const fields = new FieldReader(method);
  const [classId, methodId] = [fields.u16(), fields.u16()];
  const header = new FieldReader(await expectFrame(raw, FRAME_HEADER, channel));
  header.u16();
  header.u16();
  const bodySize = Number(header.u64());
  const parts: Buffer[] = [];
  const bodyFrameBytes: number[] = [];
  for (let read = 0; read < bodySize; read += parts.at(-1)!.length) {
    parts.push(await expectFrame(raw, FRAME_BODY, channel));
    bodyFrameBytes.push(parts.at(-1)!.length);
  }
  const body = Buffer.concat(parts);
  return { classId, methodId, fields, properties: header.rest(), body, bodyFrameBytes };
}

async function expectFrame(raw: RawClient, type: number, channel: number): Promise<Buffer> {
  const next = await raw.readFrame();
  if (next === undefined) throw new Error(`the stream ended before a frame of type ${type}`);
  if (next.type !== type || next.channel !== channel) {
    const bytes = JSON.stringify(next.payload.subarray(0, 64).toString("latin1"));
    throw new Error(`expected a frame of type ${type}, got type ${next.type}: ${bytes}`);
  }
  return next.payload;
}

/** The frames of one publication to the default exchange, the body cut at `bodyBytesMax`. */
export function publication(
  routingKey: string,
  body: Buffer | string,
  { channel = 1, properties = u16(0), bodyBytesMax = 4088 } = {},
): Buffer {
  const bytes = Buffer.from(body as string);
  const frames = [
    publishFrame(channel, "", routingKey),
    headerFrame(channel, bytes.length, properties),
  ];
  for (let start = 0; start < bytes.length; start += bodyBytesMax) {
    frames.push(frame(FRAME_BODY, channel, bytes.subarray(start, start + bodyBytesMax)));
  }
  return Buffer.concat(frames);
}

/** Flags of basic.consume, in their order. */
export const NO_LOCAL = 1;
export const NO_ACK = 2;
export const EXCLUSIVE = 4;

export function consumeFrame(queue: string, consumerTag: string, flags = 0, channel = 1): Buffer {
  const fields = [u16(0), shortstr(queue), shortstr(consumerTag), Buffer.from([flags]), table()];
  return methodFrame(channel, 60, 20, ...fields);
}

/** basic.qos for each consumer of the channel that starts later. */
export function qosFrame(prefetchCount: number, channel = 1): Buffer {
  return methodFrame(channel, 60, 10, u32(0), u16(prefetchCount), Buffer.from([0]));
}
