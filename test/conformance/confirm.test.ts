/**
 * Publisher confirms: what is acknowledged, when, and under which numbers. Reference rows P3, P4, P8, P9, Q19
 * and, for confirm.select against tx.select, H6.
 */
import type { ConfirmChannel, Message } from "amqplib";
import { expect, test } from "vitest";
import {
  channelError,
  consume,
  openChannel,
  openConfirmChannel,
  refused,
  unique,
  untilReady,
} from "./harness.ts";
import { drain, newFanout, newQueue, publication, readContent, texts } from "./messaging.ts";
import {
  bits,
  FieldReader,
  FRAME_METHOD,
  headerFrame,
  methodFrame,
  publishFrame,
  RawClient,
  shortstr,
  table,
  u8,
  u16,
  u32,
} from "./raw-client.ts";

const REJECT_PUBLISH = { "x-max-length": 1, "x-overflow": "reject-publish" };
/** Flags and delivery mode: a persistent message. */
const PERSISTENT = Buffer.concat([u16(0x1000), u8(2)]);

/** A raw connection whose channel 1 is in confirm mode, with a durable queue. */
async function confirming(): Promise<{ raw: RawClient; queue: string }> {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  await raw.rpc(1, 85, 10, bits());
  const queue = unique("queue");
  await raw.rpc(1, 50, 10, [u16(0), shortstr(queue), bits(false, true), table()]);
  return { raw, queue };
}

interface Confirm {
  methodId: number;
  deliveryTag: number;
  multiple: boolean;
}

/** The next method on channel 1, which has to be an ack or a nack. */
async function readConfirm(raw: RawClient): Promise<Confirm> {
  const frame = await raw.readFrame();
  if (frame?.type !== FRAME_METHOD) throw new Error(`expected a confirm, got ${frame?.type}`);
  const fields = new FieldReader(frame.payload);
  const [classId, methodId] = [fields.u16(), fields.u16()];
  if (classId !== 60 || (methodId !== 80 && methodId !== 120)) {
    throw new Error(`expected a confirm, got ${classId}.${methodId}`);
  }
  return { methodId, deliveryTag: Number(fields.u64()), multiple: (fields.u8() & 1) === 1 };
}

/** Reads confirms until each of the tags 1 to `last` has had exactly one; returns those that were nacked. */
async function readConfirms(raw: RawClient, last: number): Promise<number[]> {
  const open = new Set(Array.from({ length: last }, (_, i) => i + 1));
  const nacked: number[] = [];
  while (open.size > 0) {
    const { methodId, deliveryTag, multiple } = await readConfirm(raw);
    const confirmed = [...open].filter((n) => n === deliveryTag || (multiple && n < deliveryTag));
    if (confirmed.length === 0) throw new Error(`tag ${deliveryTag} was not outstanding`);
    for (const tag of confirmed) open.delete(tag);
    if (methodId === 120) nacked.push(...confirmed);
  }
  return nacked;
}

/** Publishes one message and resolves with whether it was acked. */
function publishConfirmed(
  channel: ConfirmChannel,
  exchange: string,
  key: string,
  body = "x",
): Promise<boolean> {
  return new Promise((resolve) => {
    channel.publish(exchange, key, Buffer.from(body), {}, (error) => resolve(error === null));
  });
}

test("P8 confirms count from 1 on each channel, beginning with the first publication after the select", async () => {
  const raw = await RawClient.connect();
  for (const channel of [1, 2]) {
    await raw.openChannel(channel);
    const key = unique("nobody");
    raw.send(publication(key, "before", { channel }));
    await raw.rpc(channel, 85, 10, bits());
    raw.send(publication(key, "after", { channel }));
    const { fields } = await raw.expectMethod(channel, 60, 80);
    expect([fields.u64(), fields.u8()]).toEqual([1n, 0]);
  }
});

test("P8 every publication is confirmed exactly once, singly or as multiple", async () => {
  const { raw, queue } = await confirming();
  const count = 1000;
  const messages = Array.from({ length: count }, (_, i) =>
    publication(i % 3 === 0 ? unique("nobody") : queue, `${i}`, {
      properties: i % 2 === 0 ? PERSISTENT : u16(0),
    }),
  );
  raw.send(Buffer.concat(messages));
  expect(await readConfirms(raw, count)).toEqual([]);
  // Nothing is confirmed after that: flow-ok is the next method.
  await raw.rpc(1, 20, 20, bits(true));
});

test("P8 a confirmed message is in the queue", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  for (let i = 0; i < 20; i++) channel.sendToQueue(queue, Buffer.from("x"), { persistent: true });
  await channel.waitForConfirms();
  const watcher = await openChannel();
  expect((await watcher.checkQueue(queue)).messageCount).toBe(20);
});

test("P4 P8 basic.return comes before the ack of the same message", async () => {
  const { raw } = await confirming();
  const key = unique("nobody");
  const publish = [u16(0), shortstr(""), shortstr(key), bits(true)];
  const message = Buffer.concat([methodFrame(1, 60, 40, ...publish), headerFrame(1, 0)]);
  raw.send(message);
  expect((await readContent(raw)).methodId).toBe(50);
  expect(await readConfirm(raw)).toEqual({ methodId: 80, deliveryTag: 1, multiple: false });
  raw.send(Buffer.concat([message, message]));
  let [returns, acknowledged] = [1, 1];
  while (acknowledged < 3) {
    const frame = await raw.readFrame();
    if (frame === undefined) throw new Error("the stream ended");
    if (frame.type !== FRAME_METHOD) continue;
    const fields = new FieldReader(frame.payload);
    const [, methodId] = [fields.u16(), fields.u16()];
    if (methodId === 50) returns++;
    else acknowledged = Number(fields.u64());
    expect(returns).toBeGreaterThanOrEqual(acknowledged);
  }
  expect(returns).toBe(3);
});

test("P8 a message that no queue takes is acked", async () => {
  const channel = await openConfirmChannel();
  expect(await publishConfirmed(channel, "", unique("nobody"))).toBe(true);
  const exchange = await newFanout(channel);
  expect(await publishConfirmed(channel, exchange, "")).toBe(true);
});

test("P8 a message for several queues is confirmed once, when all have it", async () => {
  const { raw, queue } = await confirming();
  const channel = await openChannel();
  const queues = [queue, await newQueue(channel), await newQueue(channel)];
  const exchange = await newFanout(channel, ...queues);
  raw.send(Buffer.concat([publishFrame(1, exchange, ""), headerFrame(1, 0, PERSISTENT)]));
  expect(await readConfirm(raw)).toEqual({ methodId: 80, deliveryTag: 1, multiple: false });
  for (const each of queues) expect((await channel.checkQueue(each)).messageCount).toBe(1);
  await raw.rpc(1, 20, 20, bits(true));
});

test("P8 a message is acked though its consumer has not acknowledged it", async () => {
  const consumer = await openChannel();
  const queue = await newQueue(consumer);
  const inbox = await consume(consumer, queue);
  const channel = await openConfirmChannel();
  channel.sendToQueue(queue, Buffer.from("x"), { persistent: true });
  await channel.waitForConfirms();
  await inbox.next();
});

test("P8 persistent messages that are consumed at once are acked all the same", async () => {
  const { raw, queue } = await confirming();
  const consumer = await openChannel();
  const inbox = await consume(consumer, queue, { noAck: true });
  const count = 200;
  const message = publication(queue, "x", { properties: PERSISTENT });
  raw.send(Buffer.concat(Array.from({ length: count }, () => message)));
  expect(await readConfirms(raw, count)).toEqual([]);
  expect(await inbox.take(count)).toHaveLength(count);
});

test("P8 messages of a queue that is deleted before they are confirmed are acked", async () => {
  const { raw, queue } = await confirming();
  const count = 50;
  const message = publication(queue, "x", { properties: PERSISTENT });
  const messages = Array.from({ length: count }, () => message);
  const remove = methodFrame(1, 50, 40, u16(0), shortstr(queue), bits(false, false, true));
  raw.send(Buffer.concat([...messages, remove, message]));
  expect(await readConfirms(raw, count + 1)).toEqual([]);
});

test("P9 a second select has no effect: the numbers go on", async () => {
  const { raw, queue } = await confirming();
  raw.send(publication(queue, "1"));
  expect((await readConfirm(raw)).deliveryTag).toBe(1);
  await raw.rpc(1, 85, 10, bits());
  raw.send(publication(queue, "2"));
  expect((await readConfirm(raw)).deliveryTag).toBe(2);
});

test("P9 select with nowait has no answer", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  raw.sendMethod(1, 85, 10, bits(true));
  raw.send(publication(unique("nobody"), "x"));
  expect((await readConfirm(raw)).deliveryTag).toBe(1);
});

test.each([
  ["confirm", "tx", 90, "cannot switch from confirm to tx mode"],
  ["tx", "confirm", 85, "cannot switch from tx to confirm mode"],
])("H6 a channel in %s mode refuses %s.select", async (from, _to, classId, reason) => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const select = { confirm: [85, bits()], tx: [90, Buffer.alloc(0)] } as const;
  const [own, ownFields] = select[from as "confirm" | "tx"];
  await raw.rpc(1, own, 10, ownFields);
  raw.sendMethod(1, classId, 10, classId === 85 ? bits() : []);
  expect(await raw.expectChannelClose(1)).toEqual({
    code: 406,
    text: `PRECONDITION_FAILED - ${reason}`,
    classId,
    methodId: 10,
  });
});

test("Q19 a queue that rejects a message lets it be nacked, and takes others later", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, REJECT_PUBLISH);
  expect(await publishConfirmed(channel, "", queue, "1")).toBe(true);
  expect(await publishConfirmed(channel, "", queue, "2")).toBe(false);
  expect(texts(await drain(channel, queue))).toEqual(["1"]);
  expect(await publishConfirmed(channel, "", queue, "3")).toBe(true);
  expect(texts(await drain(channel, queue))).toEqual(["3"]);
});

test("Q19 acks and nacks of a mixed stream bear the right numbers", async () => {
  const { raw, queue } = await confirming();
  const full = await newQueue(await openChannel(), { ...REJECT_PUBLISH, "x-max-length": 0 });
  const keys = Array.from({ length: 60 }, (_, i) => (i % 3 === 2 ? full : queue));
  raw.send(Buffer.concat(keys.map((key) => publication(key, "x"))));
  const nacked = await readConfirms(raw, keys.length);
  const expected = keys.flatMap((key, i) => (key === full ? [i + 1] : []));
  expect(nacked.sort((a, b) => a - b)).toEqual(expected);
});

test("P8 Q19 one queue that rejects is enough for a nack, though the others keep the message", async () => {
  const channel = await openConfirmChannel();
  const [takes, rejects] = [await newQueue(channel), await newQueue(channel, REJECT_PUBLISH)];
  const exchange = await newFanout(channel, takes, rejects);
  expect(await publishConfirmed(channel, exchange, "", "1")).toBe(true);
  expect(await publishConfirmed(channel, exchange, "", "2")).toBe(false);
  expect(texts(await drain(channel, takes))).toEqual(["1", "2"]);
  expect(texts(await drain(channel, rejects))).toEqual(["1"]);
});

test("Q19 without confirms a rejected message just disappears", async () => {
  const channel = await openChannel();
  const queue = await newQueue(channel, REJECT_PUBLISH);
  const returned: Message[] = [];
  channel.on("return", (message) => returned.push(message));
  for (const body of ["1", "2"]) {
    channel.publish("", queue, Buffer.from(body), { mandatory: true });
  }
  expect(texts(await drain(channel, queue))).toEqual(["1"]);
  expect(returned).toEqual([]);
});

test("H8 P3 an unknown exchange closes a confirming channel with 404, and is neither acked nor nacked", async () => {
  const { raw, queue } = await confirming();
  raw.send(publication(queue, "1"));
  expect((await readConfirm(raw)).deliveryTag).toBe(1);
  const exchange = unique("missing");
  raw.send(Buffer.concat([publishFrame(1, exchange, ""), headerFrame(1, 0)]));
  const close = await raw.expectMethod(1, 20, 40);
  expect([close.fields.u16(), close.fields.shortstr()]).toEqual([
    404,
    `NOT_FOUND - no exchange '${exchange}' in vhost '/'`,
  ]);
});

test("P3 the numbers start again on a channel that is opened anew", async () => {
  const channel = await openConfirmChannel();
  channel.publish(unique("missing"), "", Buffer.from("x"));
  expect((await channelError(channel)).code).toBe(404);
  const raw = await RawClient.connect();
  for (let round = 0; round < 2; round++) {
    await raw.openChannel(1);
    await raw.rpc(1, 85, 10, bits());
    raw.send(publication(unique("nobody"), "x"));
    expect((await readConfirm(raw)).deliveryTag).toBe(1);
    await raw.rpc(1, 20, 40, [u16(200), shortstr(""), u32(0)]);
  }
});

test("P8 confirms and deliveries of one channel have numbers of their own", async () => {
  const { raw, queue } = await confirming();
  raw.send(publication(queue, "1"));
  expect((await readConfirm(raw)).deliveryTag).toBe(1);
  raw.sendMethod(1, 60, 70, [u16(0), shortstr(queue), bits()]);
  const got = await readContent(raw);
  expect(got.fields.u64()).toBe(1n);
  raw.send(publication(queue, "2"));
  expect((await readConfirm(raw)).deliveryTag).toBe(2);
});

test("P8 a channel that is not confirming gets no confirms", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  raw.send(publication(unique("nobody"), "x"));
  await raw.rpc(1, 20, 20, bits(true));
});

test("K11 P8 a confirmed publication is no delivery: its number cannot be settled", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  channel.sendToQueue(queue, Buffer.from("x"));
  await channel.waitForConfirms();
  channel.nack({ fields: { deliveryTag: 1 } } as Message);
  expect((await refused(channel, channel.checkQueue(queue))).message).toBe(
    "PRECONDITION_FAILED - unknown delivery tag 1",
  );
  await untilReady(queue, 1);
});
