/**
 * Settling what was delivered: basic.ack, basic.nack, basic.reject and basic.recover, delivery tags, and where
 * a requeued message goes. Reference rows K11 to K14 and H1.
 */
import type { ConfirmChannel, Message } from "amqplib";
import { expect, test } from "vitest";
import { channelError, connect, consume, openConfirmChannel, untilReady } from "./harness.ts";
import { drain, get, newQueue, publication, send, text, texts } from "./messaging.ts";
import { bits, RawClient, shortstr, table, u8, u16, u64 } from "./raw-client.ts";

/** amqplib settles messages, not tags; this one has nothing but a tag. */
function tagged(deliveryTag: number): Message {
  return { fields: { deliveryTag } } as Message;
}

/** Takes `n` messages by basic.get, to be settled: their tags are the next `n` of the channel. */
async function take(channel: ConfirmChannel, queue: string, n: number): Promise<void> {
  for (let i = 0; i < n; i++) await get(channel, queue);
}

/** A channel and a queue that holds these messages. */
async function queueOf(...bodies: string[]): Promise<{ channel: ConfirmChannel; queue: string }> {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  await send(channel, queue, ...bodies);
  return { channel, queue };
}

test("K11 delivery tags count from 1 on each channel, over all its consumers and gets", async () => {
  const { channel, queue } = await queueOf("1", "2");
  const other = await newQueue(channel);
  await send(channel, other, "3");
  const first = await get(channel, queue);
  const second = await consume(channel, queue);
  const third = await consume(channel, other);
  const tags = [first, await second.next(), await third.next()].map(
    (message) => message.fields.deliveryTag,
  );
  expect(tags).toEqual([1, 2, 3]);
  const elsewhere = await openConfirmChannel();
  await send(elsewhere, queue, "4");
  await channel.cancel(second.consumerTag);
  expect((await second.next()).fields.deliveryTag).toBe(4);
  await send(elsewhere, queue, "5");
  const fifth = await get(elsewhere, queue);
  expect(fifth.fields.deliveryTag).toBe(1);
});

test("K11 an acknowledged message is gone for good, in whatever order tags are acknowledged", async () => {
  const { channel, queue } = await queueOf("1", "2", "3", "4");
  await take(channel, queue, 4);
  for (const tag of [3, 1, 4]) channel.ack(tagged(tag));
  await channel.close();
  await untilReady(queue, 1);
  expect(texts(await drain(await openConfirmChannel(), queue))).toEqual(["2"]);
});

test("K11 multiple acknowledges everything up to the tag, from every queue of the channel", async () => {
  const { channel, queue } = await queueOf("1", "3", "5");
  const other = await newQueue(channel);
  await send(channel, other, "2", "4");
  for (const from of [queue, other, queue, other, queue]) await take(channel, from, 1);
  channel.ack(tagged(4), true);
  await channel.close();
  await untilReady(queue, 1);
  const watcher = await openConfirmChannel();
  expect(texts(await drain(watcher, queue))).toEqual(["5"]);
  expect(texts(await drain(watcher, other))).toEqual([]);
});

test("K11 tag 0 with multiple settles all that is outstanding, also when there is nothing", async () => {
  const { channel, queue } = await queueOf("1", "2");
  channel.ack(tagged(0), true);
  channel.nack(tagged(0), true);
  await take(channel, queue, 2);
  channel.ack(tagged(0), true);
  channel.ack(tagged(0), true);
  await channel.close();
  expect(texts(await drain(await openConfirmChannel(), queue))).toEqual([]);
});

type Settle = (channel: ConfirmChannel) => void;

test.each<[string, number, number, Settle]>([
  ["an ack of a tag never given", 82, 80, (channel) => channel.ack(tagged(82))],
  ["a multiple ack beyond the last tag", 82, 80, (channel) => channel.ack(tagged(82), true)],
  ["a nack of a tag never given", 82, 120, (channel) => channel.nack(tagged(82))],
  ["a reject of a tag never given", 82, 90, (channel) => channel.reject(tagged(82))],
  ["an ack of tag 0 without multiple", 0, 80, (channel) => channel.ack(tagged(0))],
  ["a reject of tag 0", 0, 90, (channel) => channel.reject(tagged(0))],
])("K11 %s closes the channel with 406", async (_what, tag, methodId, settle) => {
  const { channel, queue } = await queueOf("1");
  await take(channel, queue, 1);
  settle(channel);
  expect(await channelError(channel)).toEqual({
    code: 406,
    classId: 60,
    methodId,
    message: `PRECONDITION_FAILED - unknown delivery tag ${tag}`,
  });
  await untilReady(queue, 1);
});

test("K11 settling a tag twice closes the channel with 406", async () => {
  const { channel, queue } = await queueOf("1", "2");
  await take(channel, queue, 2);
  channel.ack(tagged(1));
  channel.nack(tagged(1));
  expect((await channelError(channel)).message).toBe(
    "PRECONDITION_FAILED - unknown delivery tag 1",
  );
});

test("K11 a message that was got without acknowledgements has a tag, which cannot be settled", async () => {
  const { channel, queue } = await queueOf("1", "2");
  expect((await get(channel, queue, { noAck: true })).fields.deliveryTag).toBe(1);
  expect((await get(channel, queue)).fields.deliveryTag).toBe(2);
  channel.ack(tagged(1));
  expect((await channelError(channel)).message).toBe(
    "PRECONDITION_FAILED - unknown delivery tag 1",
  );
});

test("K11 multiple needs the tag itself to be outstanding, though lower ones are", async () => {
  const { channel, queue } = await queueOf("1", "2", "3");
  await take(channel, queue, 3);
  channel.ack(tagged(2));
  channel.ack(tagged(2), true);
  expect((await channelError(channel)).message).toBe(
    "PRECONDITION_FAILED - unknown delivery tag 2",
  );
  expect(texts(await drain(await openConfirmChannel(), queue))).toEqual(["1", "3"]);
});

test("K11 a tag belongs to its channel", async () => {
  const { connection } = await connect();
  const [channel, other] = [
    await connection.createConfirmChannel(),
    await connection.createConfirmChannel(),
  ];
  const queue = await newQueue(channel);
  await send(channel, queue, "1");
  await take(channel, queue, 1);
  other.ack(tagged(1));
  expect((await channelError(other)).message).toBe("PRECONDITION_FAILED - unknown delivery tag 1");
  channel.ack(tagged(1));
  await channel.close();
  expect(await drain(await connection.createConfirmChannel(), queue)).toEqual([]);
});

test("K12 Q38 a requeued message goes back to its place, marked as redelivered", async () => {
  const { channel, queue } = await queueOf("1", "2", "3", "4", "5");
  await take(channel, queue, 3);
  channel.nack(tagged(2));
  const messages = await drain(channel, queue);
  expect(texts(messages)).toEqual(["2", "4", "5"]);
  expect(messages.map(({ fields }) => fields.redelivered)).toEqual([true, false, false]);
});

test("K12 Q38 messages requeued one by one in any order are back in the first order", async () => {
  const { channel, queue } = await queueOf("1", "2", "3", "4", "5", "6");
  await take(channel, queue, 5);
  for (const tag of [4, 1, 5, 2, 3]) channel.reject(tagged(tag));
  expect(texts(await drain(channel, queue))).toEqual(["1", "2", "3", "4", "5", "6"]);
});

test("K12 Q38 a message requeued among requeued ones finds its place between them", async () => {
  const { channel, queue } = await queueOf("1", "2", "3", "4");
  await take(channel, queue, 4);
  channel.nack(tagged(1));
  channel.nack(tagged(4));
  await send(channel, queue, "5");
  channel.nack(tagged(3));
  expect(text(await get(channel, queue))).toBe("1");
  channel.nack(tagged(2));
  expect(texts(await drain(channel, queue))).toEqual(["2", "3", "4", "5"]);
});

test("K12 Q38 nack with multiple requeues everything up to the tag in order", async () => {
  const { channel, queue } = await queueOf("1", "2", "3", "4", "5");
  await take(channel, queue, 4);
  channel.nack(tagged(3), true);
  expect(texts(await drain(channel, queue))).toEqual(["1", "2", "3", "5"]);
});

test("K12 nack of tag 0 with multiple requeues everything", async () => {
  const { channel, queue } = await queueOf("1", "2", "3");
  await take(channel, queue, 3);
  channel.nack(tagged(0), true);
  expect(texts(await drain(channel, queue))).toEqual(["1", "2", "3"]);
});

test("K12 nack and reject without requeue drop the message", async () => {
  const { channel, queue } = await queueOf("1", "2", "3", "4");
  await take(channel, queue, 4);
  channel.nack(tagged(2), true, false);
  channel.reject(tagged(3), false);
  await channel.close();
  await untilReady(queue, 1);
  expect(texts(await drain(await openConfirmChannel(), queue))).toEqual(["4"]);
});

test("K12 a requeued message can come back to the consumer that refused it", async () => {
  const { channel, queue } = await queueOf("again");
  const inbox = await consume(channel, queue);
  for (const redelivered of [false, true, true]) {
    const message = await inbox.next();
    expect([text(message), message.fields.redelivered]).toEqual(["again", redelivered]);
    channel.nack(message);
  }
});

test("K12 a requeued message goes before those that wait for a consumer", async () => {
  const { channel, queue } = await queueOf("1", "2", "3");
  await channel.prefetch(1);
  const inbox = await consume(channel, queue);
  channel.nack(await inbox.next());
  const again = await inbox.next();
  expect([text(again), again.fields.redelivered]).toEqual(["1", true]);
});

test("H1 K12 closing a channel requeues what it had not settled, in order", async () => {
  const { channel, queue } = await queueOf("1", "2", "3", "4");
  const other = await newQueue(channel);
  await send(channel, other, "a", "b");
  for (const from of [queue, other, queue, other, queue]) await take(channel, from, 1);
  channel.ack(tagged(3));
  await channel.close();
  await untilReady(queue, 3);
  const watcher = await openConfirmChannel();
  const messages = await drain(watcher, queue);
  expect(texts(messages)).toEqual(["1", "3", "4"]);
  expect(messages.map(({ fields }) => fields.redelivered)).toEqual([true, true, false]);
  expect(texts(await drain(watcher, other))).toEqual(["a", "b"]);
});

test("K12 K13 losing a connection requeues what its consumers had, redelivered though never acknowledged", async () => {
  const { channel, queue } = await queueOf("1", "2");
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  raw.sendMethod(1, 60, 20, [u16(0), shortstr(queue), shortstr(""), bits(), table()]);
  await untilReady(queue, 0);
  raw.destroy();
  await untilReady(queue, 2);
  const messages = await drain(channel, queue);
  expect(texts(messages)).toEqual(["1", "2"]);
  expect(messages.map(({ fields }) => fields.redelivered)).toEqual([true, true]);
});

test("K13 a message that was never delivered is not marked as redelivered", async () => {
  const { channel, queue } = await queueOf("1", "2");
  await channel.prefetch(1);
  const inbox = await consume(channel, queue);
  channel.ack(await inbox.next());
  expect((await inbox.next()).fields.redelivered).toBe(false);
});

test("K14 recover requeues everything on the channel and answers", async () => {
  const { channel, queue } = await queueOf("1", "2", "3");
  await take(channel, queue, 2);
  await channel.recover();
  await untilReady(queue, 3);
  const again = await get(channel, queue);
  expect(again.fields).toMatchObject({ deliveryTag: 3, redelivered: true });
  expect(text(again)).toBe("1");
});

test("K14 recover delivers again to the channel's own consumers, under new tags", async () => {
  const { channel, queue } = await queueOf("1", "2");
  const inbox = await consume(channel, queue);
  await inbox.take(2);
  await channel.recover();
  const again = await inbox.take(2);
  expect(texts(again)).toEqual(["1", "2"]);
  expect(again.map(({ fields }) => [fields.deliveryTag, fields.redelivered])).toEqual([
    [3, true],
    [4, true],
  ]);
  channel.ack(tagged(1));
  expect((await channelError(channel)).message).toBe(
    "PRECONDITION_FAILED - unknown delivery tag 1",
  );
});

test("K14 what recover brings again comes after its answer", async () => {
  const { queue } = await queueOf("1");
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const fields = [u16(0), shortstr(queue), shortstr(""), bits(), table()];
  await raw.rpc(1, 60, 20, fields);
  await raw.expectMethod(1, 60, 60);
  await raw.rpc(1, 60, 110, bits(true));
  await raw.expectMethod(1, 60, 60);
});

test("K14 recover-async requeues and has no answer", async () => {
  const { channel, queue } = await queueOf();
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  raw.send(publication(queue, "x"));
  raw.sendMethod(1, 60, 70, [u16(0), shortstr(queue), bits()]);
  await raw.expectMethod(1, 60, 71);
  raw.sendMethod(1, 60, 100, bits(true));
  // flow-ok is the very next method.
  await raw.rpc(1, 20, 20, bits(true));
  await untilReady(queue, 1);
  const again = await get(channel, queue);
  expect(again.fields.redelivered).toBe(true);
});

test.each([
  ["recover", 110],
  ["recover-async", 100],
])("K14 %s without requeue closes the connection with 540", async (_name, methodId) => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  raw.sendMethod(1, 60, methodId, bits(false));
  expect(await raw.expectClose()).toEqual({
    code: 540,
    text: "NOT_IMPLEMENTED - requeue=false",
    classId: 60,
    methodId,
  });
});

test("K11 a delivery tag above 32 bits is read whole", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  raw.sendMethod(1, 60, 80, [u64(0x1_0000_0001n), u8(0)]);
  expect((await raw.expectChannelClose(1)).text).toBe(
    "PRECONDITION_FAILED - unknown delivery tag 4294967297",
  );
});
