/**
 * Expiry: of messages by x-message-ttl and the expiration property, of queues by x-expires. Reference rows
 * Q15 and Q16.
 *
 * That a message has expired is learned from its dead letter. Where nothing is dead-lettered, a marker tells
 * the time: a message of the same TTL, published later in another queue, whose dead letter has arrived.
 */
import type { Channel, ConfirmChannel } from "amqplib";
import { expect, test } from "vitest";
import { consume, openConfirmChannel, refused, unique, untilReady } from "./harness.ts";
import {
  deadLetterQueue,
  drain,
  get,
  newQueue,
  readyCount,
  send,
  text,
  texts,
  untilGone,
} from "./messaging.ts";

/** Long enough for a few requests in between, also on a busy machine. */
const TTL_MS = 100;
const LONG_MS = 60_000;

/** Resolves when a message published now with a TTL of `ms` would have expired. */
async function expired(channel: ConfirmChannel, ms = TTL_MS): Promise<void> {
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const marker = await newQueue(channel, { "x-dead-letter-exchange": exchange });
  await channel.waitForConfirms();
  channel.sendToQueue(marker, Buffer.from("marker"), { expiration: `${ms}` });
  await deadLetters.next();
}

test("Q15 messages of a queue with x-message-ttl expire", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-message-ttl": TTL_MS });
  await send(channel, queue, "1", "2", "3");
  await untilReady(queue, 0);
  expect(await channel.get(queue)).toBe(false);
});

test("Q15 a message with an expiration expires, one without stays", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  channel.sendToQueue(queue, Buffer.from("short"), { expiration: `${TTL_MS}` });
  channel.sendToQueue(queue, Buffer.from("stays"));
  await untilReady(queue, 1);
  expect(text(await get(channel, queue))).toBe("stays");
});

test.each([
  ["the queue's", TTL_MS, LONG_MS],
  ["the message's", LONG_MS, TTL_MS],
])("Q15 of two times to live the shorter counts: %s", async (_whose, queueMs, messageMs) => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-message-ttl": queueMs,
    "x-dead-letter-exchange": exchange,
  });
  channel.sendToQueue(queue, Buffer.from("x"), { expiration: `${messageMs}` });
  expect(text(await deadLetters.next())).toBe("x");
});

test("Q15 messages expire at the head only: a long one holds up the short ones behind it", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, { "x-dead-letter-exchange": exchange });
  channel.sendToQueue(queue, Buffer.from("long"), { expiration: `${LONG_MS}` });
  channel.sendToQueue(queue, Buffer.from("short"), { expiration: `${TTL_MS}` });
  await expired(channel);
  // The expired message is counted as ready still.
  expect(await readyCount(channel, queue)).toBe(2);
  expect(deadLetters.count).toBe(0);
  expect(text(await get(channel, queue))).toBe("long");
  expect(text(await deadLetters.next())).toBe("short");
  expect(await channel.get(queue)).toBe(false);
});

test("Q15 basic.get does not count what has expired behind the message that it takes", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  await send(channel, queue, "stays");
  channel.sendToQueue(queue, Buffer.from("short"), { expiration: "0" });
  await channel.waitForConfirms();
  expect((await get(channel, queue)).fields.messageCount).toBe(0);
});

test("Q15 expired messages behind the head are purged, counted and deleted like others", async () => {
  const channel = await openConfirmChannel();
  const publish = async (queue: string) => {
    channel.sendToQueue(queue, Buffer.from("long"), { expiration: `${LONG_MS}` });
    channel.sendToQueue(queue, Buffer.from("short"), { expiration: `${TTL_MS}` });
    await expired(channel);
  };
  const [purged, deleted] = [await newQueue(channel), await newQueue(channel)];
  await publish(purged);
  await publish(deleted);
  expect(await channel.purgeQueue(purged)).toEqual({ messageCount: 2 });
  expect(await channel.deleteQueue(deleted)).toEqual({ messageCount: 2 });
});

test("Q15 a consumer gets no message that has expired", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  channel.sendToQueue(queue, Buffer.from("long"), { expiration: `${LONG_MS}` });
  channel.sendToQueue(queue, Buffer.from("short"), { expiration: `${TTL_MS}` });
  channel.sendToQueue(queue, Buffer.from("stays"));
  await expired(channel);
  const inbox = await consume(channel, queue, { noAck: true });
  expect(texts(await inbox.take(2))).toEqual(["long", "stays"]);
});

test("Q15 with a TTL of 0 a message expires at once when nobody takes it", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-message-ttl": 0,
    "x-dead-letter-exchange": exchange,
  });
  await send(channel, queue, "1", "2");
  expect(texts(await deadLetters.take(2))).toEqual(["1", "2"]);
  expect(await readyCount(channel, queue)).toBe(0);
});

test("Q15 with a TTL of 0 a message reaches a consumer that has credit", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-message-ttl": 0,
    "x-dead-letter-exchange": exchange,
  });
  await channel.prefetch(2);
  const inbox = await consume(channel, queue);
  await send(channel, queue, "1", "2", "3");
  expect(texts(await inbox.take(2))).toEqual(["1", "2"]);
  expect(text(await deadLetters.next())).toBe("3");
});

test("Q15 an expiration of 0 works like a TTL of 0", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  channel.sendToQueue(queue, Buffer.from("nobody"), { expiration: "0" });
  await untilReady(queue, 0);
  const inbox = await consume(channel, queue, { noAck: true });
  channel.sendToQueue(queue, Buffer.from("taken"), { expiration: "0" });
  expect((await inbox.next()).content.toString()).toBe("taken");
});

test("Q15 a delivered message does not expire, requeued it keeps its time", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-message-ttl": TTL_MS,
    "x-dead-letter-exchange": exchange,
  });
  await send(channel, queue, "x");
  const message = await get(channel, queue);
  await expired(channel);
  expect(deadLetters.count).toBe(0);
  channel.nack(message);
  expect(text(await deadLetters.next())).toBe("x");
});

test("Q15 a delivered message may still be acknowledged after its time", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-message-ttl": TTL_MS });
  await send(channel, queue, "x");
  const message = await get(channel, queue);
  await expired(channel);
  channel.ack(message);
  await channel.close();
  expect(await drain(await openConfirmChannel(), queue)).toEqual([]);
});

test("Q15 the expiration is delivered as it was published", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-message-ttl": LONG_MS });
  channel.sendToQueue(queue, Buffer.from("x"), { expiration: "50000" });
  channel.sendToQueue(queue, Buffer.from("y"));
  const expirations = (await drain(channel, queue)).map(({ properties }) => properties.expiration);
  expect(expirations).toEqual(["50000", undefined]);
});

test.each([
  [-1, "{value_negative,-1}"],
  ["20", '"expected integer, got longstr"'],
  [1.5, '"expected integer, got double"'],
  [315_360_000_001, "{value_too_large,315360000001}"],
])("Q13 Q15 x-message-ttl %j is refused with 406", async (ttl, reason) => {
  const channel = await openConfirmChannel();
  const queue = unique("queue");
  const request = channel.assertQueue(queue, { arguments: { "x-message-ttl": ttl } });
  expect(await refused(channel, request)).toEqual({
    code: 406,
    classId: 50,
    methodId: 10,
    message: `PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue '${queue}' in vhost '/': ${reason}`,
  });
});

test("Q16 a queue with x-expires that nobody uses is deleted, with its messages", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-expires": TTL_MS });
  channel.sendToQueue(queue, Buffer.from("x"));
  await untilGone(queue);
  await channel.assertQueue(queue);
  expect(await readyCount(channel, queue)).toBe(0);
});

/**
 * Uses a queue with x-expires again and again until another, which is declared after it and has the same
 * x-expires but nobody to use it, is gone. Then the first one has lived longer than it would unused.
 */
async function outlives(use: (channel: Channel, queue: string) => Promise<unknown>): Promise<void> {
  const channel = await openConfirmChannel();
  const args = { "x-expires": 300 };
  const queue = await newQueue(channel, args);
  await use(channel, queue);
  const unused = await newQueue(channel, args);
  let isGone = false;
  channel.on("return", () => {
    isGone = true;
  });
  while (!isGone) {
    await use(channel, queue);
    channel.publish("", unused, Buffer.alloc(0), { mandatory: true });
    await channel.waitForConfirms();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect((await channel.checkQueue(queue)).queue).toBe(queue);
}

test.each<[string, (channel: Channel, queue: string) => Promise<unknown>]>([
  ["basic.get", (channel, queue) => channel.get(queue)],
  [
    "a declare",
    (channel, queue) => channel.assertQueue(queue, { arguments: { "x-expires": 300 } }),
  ],
  ["a passive declare", (channel, queue) => channel.checkQueue(queue)],
])("Q16 %s counts as a use of the queue", async (_what, use) => {
  await outlives(use);
});

test("Q16 a consumer keeps the queue, and its time begins when the last one goes", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-expires": TTL_MS });
  const inbox = await consume(channel, queue, { noAck: true });
  await untilGone(await newQueue(channel, { "x-expires": TTL_MS }));
  await send(channel, queue, "still here");
  expect(text(await inbox.next())).toBe("still here");
  await channel.cancel(inbox.consumerTag);
  await untilGone(queue);
});

test("Q16 publishing is no use of the queue", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-expires": TTL_MS });
  // untilGone publishes to it all the time.
  await expect(untilGone(queue)).resolves.toBeUndefined();
});

test.each([
  [0, "{value_zero,0}"],
  [-1, "{value_negative,-1}"],
  ["20", '"expected integer, got longstr"'],
])("Q13 Q16 x-expires %j is refused with 406", async (expires, reason) => {
  const channel = await openConfirmChannel();
  const queue = unique("queue");
  const request = channel.assertQueue(queue, { arguments: { "x-expires": expires } });
  expect((await refused(channel, request)).message).toBe(
    `PRECONDITION_FAILED - invalid arg 'x-expires' for queue '${queue}' in vhost '/': ${reason}`,
  );
});
