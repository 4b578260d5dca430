/**
 * basic.consume: consumer tags, exclusive consumers, priorities, turns, and consuming without
 * acknowledgements. Reference rows K1 to K4 and K15.
 */
import type { Channel } from "amqplib";
import { expect, test } from "vitest";
import {
  channelError,
  connect,
  connectionError,
  consume,
  openConfirmChannel,
  refused,
  unique,
  untilReady,
} from "./harness.ts";
import {
  consumeFrame,
  EXCLUSIVE,
  NO_ACK,
  newQueue,
  publication,
  readContent,
  send,
  texts,
} from "./messaging.ts";
import { bits, RawClient, shortstr, table, typed, u8, u16, u32, u64 } from "./raw-client.ts";

test("K1 a consumer without a tag gets one made by the server", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const [first, second] = [await consume(channel, queue), await consume(channel, queue)];
  expect(first.consumerTag).toMatch(/^amq\.ctag-[A-Za-z0-9_-]{22}$/);
  expect(second.consumerTag).toMatch(/^amq\.ctag-[A-Za-z0-9_-]{22}$/);
  expect(first.consumerTag).not.toBe(second.consumerTag);
});

test("K1 every delivery carries the consumer's tag, the exchange and the routing key", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  await channel.bindQueue(queue, "amq.topic", `${queue}.*`);
  const inbox = await consume(channel, queue, { consumerTag: "my tag" });
  expect(inbox.consumerTag).toBe("my tag");
  channel.publish("amq.topic", `${queue}.key`, Buffer.from("x"));
  expect((await inbox.next()).fields).toEqual({
    consumerTag: "my tag",
    deliveryTag: 1,
    redelivered: false,
    exchange: "amq.topic",
    routingKey: `${queue}.key`,
  });
});

test("K1 consume-ok comes before the first delivery", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  await send(channel, queue, "waiting");
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  raw.send(consumeFrame(queue, "tag", NO_ACK));
  // expectMethod and readContent accept no other frame in between.
  expect((await raw.expectMethod(1, 60, 21)).fields.shortstr()).toBe("tag");
  expect((await readContent(raw)).body.toString()).toBe("waiting");
});

test("K1 a tag in use on the channel closes the connection with 530", async () => {
  const { connection, errors } = await connect();
  const channel = await connection.createConfirmChannel();
  const queue = await newQueue(channel);
  await consume(channel, queue, { consumerTag: "twice" });
  channel.on("error", () => {});
  await expect(consume(channel, queue, { consumerTag: "twice" })).rejects.toThrow();
  expect(await connectionError(connection)).toEqual({
    code: 530,
    classId: 60,
    methodId: 20,
    message: "NOT_ALLOWED - attempt to reuse consumer tag 'twice'",
  });
  expect(errors).toHaveLength(1);
});

test("K1 a tag is free for other channels, and again after its cancel", async () => {
  const { connection } = await connect();
  const [left, right] = [
    await connection.createConfirmChannel(),
    await connection.createConfirmChannel(),
  ];
  const queue = await newQueue(left);
  await consume(left, queue, { consumerTag: "tag" });
  await consume(right, queue, { consumerTag: "tag" });
  await left.cancel("tag");
  expect((await consume(left, queue, { consumerTag: "tag" })).consumerTag).toBe("tag");
});

test("K1 consuming from a missing queue closes the channel with 404", async () => {
  const channel = await openConfirmChannel();
  const queue = unique("missing");
  expect(await refused(channel, consume(channel, queue))).toEqual({
    code: 404,
    classId: 60,
    methodId: 20,
    message: `NOT_FOUND - no queue '${queue}' in vhost '/'`,
  });
});

test("K1 no-local has no effect", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const inbox = await consume(channel, queue, { noLocal: true });
  await send(channel, queue, "my own");
  expect((await inbox.next()).content.toString()).toBe("my own");
});

test("K1 consume with nowait has no answer, only deliveries", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  await send(channel, queue, "first");
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const noWait = 8;
  raw.send(consumeFrame(queue, "tag", noWait));
  const { methodId, fields } = await readContent(raw);
  expect([methodId, fields.shortstr()]).toEqual([60, "tag"]);
});

test("K1 the number of consumers stands in declare-ok", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const first = await consume(channel, queue);
  await consume(channel, queue);
  expect((await channel.checkQueue(queue)).consumerCount).toBe(2);
  await channel.cancel(first.consumerTag);
  expect((await channel.checkQueue(queue)).consumerCount).toBe(1);
});

test("Q34 x-cancel-on-ha-failover and arguments that nobody knows are taken without effect", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const args = { "x-cancel-on-ha-failover": true, "x-nobody-knows": "x" };
  const inbox = await consume(channel, queue, { arguments: args });
  await send(channel, queue, "x");
  expect(texts(await inbox.take(1))).toEqual(["x"]);
});

/** What a second consumer is told when the first or the second wants the queue for itself. */
function inExclusiveUse(queue: string) {
  return {
    code: 403,
    classId: 60,
    methodId: 20,
    message: `ACCESS_REFUSED - queue '${queue}' in vhost '/' in exclusive use`,
  };
}

test("K2 beside an exclusive consumer there is no other", async () => {
  const holder = await openConfirmChannel();
  const queue = await newQueue(holder);
  await consume(holder, queue, { exclusive: true });
  const other = await openConfirmChannel();
  expect(await refused(other, consume(other, queue))).toEqual(inExclusiveUse(queue));
});

test("K2 an exclusive consumer is refused while another is there", async () => {
  const holder = await openConfirmChannel();
  const queue = await newQueue(holder);
  await consume(holder, queue);
  const other = await openConfirmChannel();
  const request = consume(other, queue, { exclusive: true });
  expect(await refused(other, request)).toEqual(inExclusiveUse(queue));
});

test("K2 the queue is free once the exclusive consumer is cancelled or its channel closed", async () => {
  const { connection } = await connect();
  const channel = await connection.createConfirmChannel();
  const queue = await newQueue(channel);
  const { consumerTag } = await consume(channel, queue, { exclusive: true });
  await channel.cancel(consumerTag);
  const other = await connection.createConfirmChannel();
  await consume(other, queue, { exclusive: true });
  await other.close();
  const inbox = await consume(channel, queue);
  await send(channel, queue, "x");
  expect((await inbox.next()).content.toString()).toBe("x");
});

/** Two consumers on one channel each, and the bodies of what each of them got so far. */
async function twoInboxes(queue: string, priorities: [number, number], prefetch = 0) {
  const channels: Channel[] = [];
  const inboxes = [];
  for (const priority of priorities) {
    const channel = await openConfirmChannel();
    await channel.prefetch(prefetch);
    channels.push(channel);
    inboxes.push(await consume(channel, queue, { priority }));
  }
  return { channels, inboxes } as const;
}

test("K3 the consumer of the higher priority gets everything while it has credit", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const { channels, inboxes } = await twoInboxes(queue, [1, 5], 2);
  await send(channel, queue, "1", "2", "3", "4", "5");
  const [low, high] = [inboxes[0]!, inboxes[1]!];
  expect(texts(await high.take(2))).toEqual(["1", "2"]);
  expect(texts(await low.take(2))).toEqual(["3", "4"]);
  await untilReady(queue, 1);
  channels[1]!.ackAll();
  expect(texts(await high.take(1))).toEqual(["5"]);
});

test("K3 a negative priority is below that of a consumer without one", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const low = await consume(channel, queue, { priority: -5 });
  const normal = await consume(channel, queue);
  await send(channel, queue, "1", "2", "3");
  expect(texts(await normal.take(3))).toEqual(["1", "2", "3"]);
  expect(low.count).toBe(0);
});

test("K3 a priority of any integer type is taken", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const normal = await consume(channel, queue, { priority: 1 });
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const octet = table({ "x-priority": typed("b", u8(2)) });
  await raw.rpc(1, 60, 20, [u16(0), shortstr(queue), shortstr("tag"), bits(), octet]);
  await send(channel, queue, "high");
  expect((await readContent(raw)).body.toString()).toBe("high");
  expect(normal.count).toBe(0);
});

test("K3 a priority may be as large and as small as 64 bits allow", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const raw = await RawClient.connect();
  const consumers: [channel: number, priority: bigint][] = [
    [1, -(2n ** 63n)],
    [2, 2n ** 63n - 1n],
    [3, 2n ** 63n - 2n],
  ];
  for (const [number, priority] of consumers) {
    await raw.openChannel(number);
    await raw.rpc(number, 60, 10, [u32(0), u16(1), bits()]);
    const args = table({ "x-priority": typed("l", u64(BigInt.asUintN(64, priority))) });
    await raw.rpc(number, 60, 20, [u16(0), shortstr(queue), shortstr("tag"), bits(), args]);
  }
  const highest: number[] = [];
  for (const body of ["1", "2", "3"]) {
    await send(channel, queue, body);
    const delivery = await raw.readFrame();
    highest.push(delivery?.channel ?? 0);
    // Header and body.
    await raw.readFrame();
    await raw.readFrame();
  }
  expect(highest).toEqual([2, 3, 1]);
});

test("K3 a priority that is no integer closes the channel with 406", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const request = consume(channel, queue, { arguments: { "x-priority": "high" } });
  expect(await refused(channel, request)).toEqual({
    code: 406,
    classId: 60,
    methodId: 20,
    message: `PRECONDITION_FAILED - invalid arg 'x-priority' for queue '${queue}' in vhost '/': "expected integer, got longstr"`,
  });
});

test("K4 consumers of the same priority take turns", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const { inboxes } = await twoInboxes(queue, [0, 0]);
  await send(channel, queue, "1", "2", "3", "4", "5", "6");
  expect(texts(await inboxes[0]!.take(3))).toEqual(["1", "3", "5"]);
  expect(texts(await inboxes[1]!.take(3))).toEqual(["2", "4", "6"]);
});

test("K4 a consumer without credit is passed over", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const busy = await openConfirmChannel();
  await busy.prefetch(1);
  const one = await consume(busy, queue);
  const all = await consume(await openConfirmChannel(), queue);
  await send(channel, queue, "1", "2", "3", "4");
  expect(texts(await one.take(1))).toEqual(["1"]);
  expect(texts(await all.take(3))).toEqual(["2", "3", "4"]);
});

test("K15 with no-ack a delivered message is gone, whatever happens to the channel", async () => {
  const { connection } = await connect();
  const consumer = await connection.createConfirmChannel();
  const queue = await newQueue(consumer);
  const inbox = await consume(consumer, queue, { noAck: true });
  await send(consumer, queue, "1", "2");
  await inbox.take(2);
  await consumer.close();
  const channel = await connection.createConfirmChannel();
  expect(await channel.deleteQueue(queue)).toEqual({ messageCount: 0 });
});

test("K15 acknowledging a delivery of a no-ack consumer closes the channel with 406", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const inbox = await consume(channel, queue, { noAck: true });
  await send(channel, queue, "x");
  channel.ack(await inbox.next());
  expect((await channelError(channel)).message).toBe(
    "PRECONDITION_FAILED - unknown delivery tag 1",
  );
});

test("K1 an exclusive consumer keeps the queue only from consumers, publishers go on", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  raw.send(consumeFrame(queue, "tag", EXCLUSIVE));
  await raw.expectMethod(1, 60, 21);
  raw.send(publication(queue, "mine"));
  expect((await readContent(raw)).body.toString()).toBe("mine");
  await send(channel, queue, "theirs");
  expect((await readContent(raw)).body.toString()).toBe("theirs");
});
