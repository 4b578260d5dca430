/**
 * Quorum queues: how often a message may come back, what counts, where it stands then, and what the type does not have.
 * Reference rows Q24, Q26, QQ2 to QQ6, QQ8.
 */
import type { ChannelModel, ConfirmChannel, GetMessage } from "amqplib";
import { describe, expect, test } from "vitest";
import {
  connect,
  connectionError,
  consume,
  isOldRabbitMQ,
  openConfirmChannel,
  refused,
  unique,
} from "./harness.ts";
import { deadLetterQueue, drain, get, path, send, text, texts } from "./messaging.ts";

async function newQuorumQueue(
  channel: ConfirmChannel,
  args: Record<string, unknown> = {},
): Promise<string> {
  const queue = unique("quorum");
  await channel.assertQueue(queue, { arguments: { "x-queue-type": "quorum", ...args } });
  return queue;
}

function deliveryCount(message: GetMessage | { properties: GetMessage["properties"] }): unknown {
  return message.properties.headers?.["x-delivery-count"];
}

/** A message that has been got on a connection of its own. */
interface Taken {
  connection: ChannelModel;
  channel: ConfirmChannel;
  message: GetMessage;
}

const waysBack: [string, (taken: Taken) => Promise<unknown>][] = [
  ["basic.reject", async ({ channel, message }) => channel.reject(message, true)],
  ["basic.nack", async ({ channel, message }) => channel.nack(message, false, true)],
  ["basic.nack with multiple", async ({ channel, message }) => channel.nack(message, true, true)],
  ["basic.recover", ({ channel }) => channel.recover()],
  ["the end of its channel", ({ channel }) => channel.close()],
  ["the end of its connection", ({ connection }) => connection.close()],
];

/** Gets the message when it is back: a queue of RabbitMQ's hears of a channel's end after all others do. */
async function getWhenBack(channel: ConfirmChannel, queue: string): Promise<GetMessage> {
  for (;;) {
    const message = await channel.get(queue);
    if (message !== false) return message;
    await channel.checkQueue(queue);
  }
}

describe("QQ8 Q26 D1 what counts as a delivery that failed:", () => {
  test.each(waysBack)("%s", async (_, comeBack) => {
    const publisher = await openConfirmChannel();
    const { exchange, deadLetters } = await deadLetterQueue(publisher);
    const args = { "x-delivery-limit": 1, "x-dead-letter-exchange": exchange };
    const queue = await newQuorumQueue(publisher, args);
    await send(publisher, queue, "x");
    for (const count of [0, 1]) {
      const { connection } = await connect();
      const channel = await connection.createConfirmChannel();
      const message = await getWhenBack(channel, queue);
      // For basic.get 3.10 has the header from the first time on.
      expect(deliveryCount(message) ?? 0).toBe(count);
      await comeBack({ connection, channel, message });
    }
    expect(path(await deadLetters.next())).toEqual([`${queue} delivery_limit 1`]);
  });
});

test("QQ2 Q26 a message that comes back more often than the limit allows is dropped", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQuorumQueue(channel, { "x-delivery-limit": 2 });
  await send(channel, queue, "x", "y");
  const inbox = await consume(channel, queue);
  const seen: [string, unknown][] = [];
  for (let delivery = 0; delivery < 4; delivery++) {
    const message = await inbox.next();
    if (text(message) === "y") {
      channel.ack(message);
      continue;
    }
    seen.push([text(message), deliveryCount(message)]);
    channel.nack(message, false, true);
  }
  expect(seen).toEqual([
    ["x", undefined],
    ["x", 1],
    ["x", 2],
  ]);
  await send(channel, queue, "z");
  expect(text(await inbox.next())).toBe("z");
});

test("Q26 with a limit of 0 nothing is delivered twice", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const args = { "x-delivery-limit": 0, "x-dead-letter-exchange": exchange };
  const queue = await newQuorumQueue(channel, args);
  await send(channel, queue, "x");
  channel.reject(await get(channel, queue), true);
  expect(path(await deadLetters.next())).toEqual([`${queue} delivery_limit 1`]);
});

test("QQ2 Q26 the limit is 20 where none is given", async ({ skip }) => {
  skip(await isOldRabbitMQ(), "3.10 has none by default");
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQuorumQueue(channel, { "x-dead-letter-exchange": exchange });
  await send(channel, queue, "x");
  for (let delivery = 0; delivery <= 20; delivery++) {
    const message = await get(channel, queue);
    expect(deliveryCount(message)).toBe(delivery === 0 ? undefined : delivery);
    channel.reject(message, true);
  }
  expect(path(await deadLetters.next())).toEqual([`${queue} delivery_limit 1`]);
});

test("Q26 a negative limit is none, and what is given back goes behind all others", async () => {
  const channel = await openConfirmChannel();
  // 3.10 has no limit where none is given, and takes no negative one.
  const args = (await isOldRabbitMQ()) ? {} : { "x-delivery-limit": -1 };
  const queue = await newQuorumQueue(channel, args);
  await send(channel, queue, "1", "2");
  const order: [string, unknown][] = [];
  for (let delivery = 0; delivery < 50; delivery++) {
    const message = await getWhenBack(channel, queue);
    order.push([text(message), deliveryCount(message) ?? 0]);
    channel.reject(message, true);
  }
  const expected = order.map((_, index) => [index % 2 === 0 ? "1" : "2", Math.floor(index / 2)]);
  expect(order).toEqual(expected);
});

test("Q26 a limit that is no integer is none", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQuorumQueue(channel, { "x-delivery-limit": "1" });
  await send(channel, queue, "x");
  for (let delivery = 0; delivery < 25; delivery++)
    channel.reject(await getWhenBack(channel, queue), true);
});

test("QQ3 x-delivery-count is there from the second delivery on, beside what the sender put there", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQuorumQueue(channel, { "x-delivery-limit": 5 });
  const properties = {
    headers: { own: "header" },
    messageId: "id",
    contentType: "text/plain",
    persistent: true,
  };
  channel.sendToQueue(queue, Buffer.from("x"), properties);
  await channel.waitForConfirms();
  const inbox = await consume(channel, queue);
  for (const count of [undefined, 1, 2, 3]) {
    const message = await inbox.next();
    expect(message.fields.redelivered).toBe(count !== undefined);
    expect(message.properties.headers).toEqual({
      own: "header",
      ...(count !== undefined && { "x-delivery-count": count }),
    });
    const { messageId, contentType, deliveryMode } = message.properties;
    expect([messageId, contentType, deliveryMode]).toEqual(["id", "text/plain", 2]);
    expect(text(message)).toBe("x");
    channel.nack(message);
  }
});

test("QQ3 a message without properties and one with a large body show their count too", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQuorumQueue(channel, { "x-delivery-limit": 5 });
  const large = Buffer.alloc(300_000, "abc");
  for (const body of [Buffer.alloc(0), large]) {
    channel.sendToQueue(queue, body);
    await channel.waitForConfirms();
    channel.nack(await get(channel, queue));
    const message = await getWhenBack(channel, queue);
    expect(deliveryCount(message)).toBe(1);
    expect(message.content.equals(body)).toBe(true);
    channel.ack(message);
  }
});

test("QQ3 a classic queue counts nothing", async () => {
  const channel = await openConfirmChannel();
  const queue = unique("classic");
  await channel.assertQueue(queue);
  await send(channel, queue, "x");
  channel.nack(await get(channel, queue));
  const message = await get(channel, queue);
  expect([message.fields.redelivered, deliveryCount(message)]).toEqual([true, undefined]);
});

test("QQ6 what comes back goes before what never left, in the order in which it comes back", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQuorumQueue(channel, { "x-delivery-limit": 5 });
  await send(channel, queue, "1", "2", "3", "4");
  const [one, two, three] = [
    await get(channel, queue),
    await get(channel, queue),
    await get(channel, queue),
  ];
  channel.nack(three);
  channel.nack(one);
  channel.nack(two);
  await send(channel, queue, "5");
  expect(texts(await drain(channel, queue))).toEqual(["3", "1", "2", "4", "5"]);
});

test("QQ6 what a lost channel had comes back in its order", async () => {
  const publisher = await openConfirmChannel();
  const queue = await newQuorumQueue(publisher, { "x-delivery-limit": 5 });
  await send(publisher, queue, "1", "2", "3", "4");
  const channel = await openConfirmChannel();
  await channel.prefetch(3);
  await (await consume(channel, queue)).take(3);
  await channel.close();
  const inbox = await consume(publisher, queue);
  expect(texts(await inbox.take(4))).toEqual(["1", "2", "3", "4"]);
});

test("Q24 two messages of priority 5 or more go for each one below", async ({ skip }) => {
  skip(await isOldRabbitMQ(), "3.10 has no priorities in quorum queues");
  const channel = await openConfirmChannel();
  const queue = await newQuorumQueue(channel);
  for (const [body, priority] of [
    ["n1", undefined],
    ["n2", 4],
    ["n3", 0],
    ["h1", 5],
    ["h2", 255],
    ["h3", 9],
    ["h4", 6],
  ] as const) {
    channel.sendToQueue(queue, Buffer.from(body), priority === undefined ? {} : { priority });
  }
  await channel.waitForConfirms();
  const order = texts(await drain(channel, queue));
  expect(order).toEqual(["h1", "h2", "n1", "h3", "h4", "n2", "n3"]);
});

test("QQ5 without a prefetch a consumer gets 2000 messages, and no more before it settles one", async ({
  skip,
}) => {
  skip(await isOldRabbitMQ(), "3.10 has no limit there");
  const channel = await openConfirmChannel();
  const queue = await newQuorumQueue(channel);
  for (let message = 0; message < 2001; message++) channel.sendToQueue(queue, Buffer.from("x"));
  await channel.waitForConfirms();
  const consumer = await openConfirmChannel();
  const inbox = await consume(consumer, queue);
  const messages = await inbox.take(2000);
  expect((await channel.checkQueue(queue)).messageCount).toBe(1);
  consumer.ack(messages[0]!);
  await inbox.next();
});

test("K8 QQ4 a prefetch for the whole channel is not implemented for consumers of quorum queues", async () => {
  const { connection } = await connect();
  const channel = await connection.createConfirmChannel();
  const queue = await newQuorumQueue(channel);
  await channel.prefetch(10, true);
  channel.consume(queue, () => {}).catch(() => {});
  expect(await connectionError(connection)).toEqual({
    code: 540,
    classId: 60,
    methodId: 20,
    message: `NOT_IMPLEMENTED - queue '${queue}' in vhost '/' does not support global qos`,
  });
});

test("K2 QQ4 an exclusive consumer has a quorum queue no more for itself than any other", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQuorumQueue(channel);
  await channel.prefetch(1);
  const first = await consume(channel, queue, { exclusive: true });
  const second = await consume(channel, queue, { exclusive: true });
  await send(channel, queue, "1", "2");
  expect([text(await first.next()), text(await second.next())].sort()).toEqual(["1", "2"]);
});

test("K10 QQ4 nothing can be got from a quorum queue with a single active consumer", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQuorumQueue(channel, { "x-single-active-consumer": true });
  expect(await refused(channel, channel.get(queue))).toEqual({
    code: 405,
    classId: 60,
    methodId: 70,
    message: `RESOURCE_LOCKED - cannot obtain access to locked queue '${queue}' in vhost '/'. basic.get operations are not supported by quorum queues with single active consumer`,
  });
});

describe("Q25 of a quorum queue with a single active consumer", () => {
  const SINGLE_ACTIVE = { "x-single-active-consumer": true, "x-delivery-limit": 10 };

  test("the first of the highest priority takes over from one that leaves", async ({ skip }) => {
    skip(await isOldRabbitMQ(), "3.10 goes by the order of arrival");
    const channel = await openConfirmChannel();
    const queue = await newQuorumQueue(channel, SINGLE_ACTIVE);
    const active = await consume(channel, queue, { priority: 9 });
    const low = await consume(channel, queue, { priority: 1 });
    const high = await consume(channel, queue, { priority: 5 });
    await channel.cancel(active.consumerTag);
    await send(channel, queue, "x");
    expect(text(await high.next())).toBe("x");
    expect(low.count).toBe(0);
  });

  test("one of higher priority takes over when the active one has settled what it has", async ({
    skip,
  }) => {
    skip(await isOldRabbitMQ(), "3.10 goes by the order of arrival");
    const channel = await openConfirmChannel();
    const queue = await newQuorumQueue(channel, SINGLE_ACTIVE);
    const first = await consume(channel, queue);
    await send(channel, queue, "1");
    const one = await first.next();
    const second = await consume(channel, queue, { priority: 1 });
    await send(channel, queue, "2");
    expect((await channel.checkQueue(queue)).messageCount).toBe(1);
    channel.ack(one);
    expect(text(await second.next())).toBe("2");
    expect(first.count).toBe(0);
  });
});
