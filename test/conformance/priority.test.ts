/** Priority queues: x-max-priority. Reference row Q23. */
import type { ConfirmChannel } from "amqplib";
import { expect, test } from "vitest";
import { consume, openConfirmChannel, refused, unique, untilReady } from "./harness.ts";
import { deadLetterQueue, drain, get, newQueue, readyCount, text, texts } from "./messaging.ts";

/** Publishes messages that are named after their priorities: "5a" has priority 5, "a" none. */
async function sendNamed(
  channel: ConfirmChannel,
  queue: string,
  ...names: string[]
): Promise<void> {
  for (const name of names) {
    const priority = Number.parseInt(name, 10);
    const options = Number.isNaN(priority) ? {} : { priority };
    channel.sendToQueue(queue, Buffer.from(name), options);
  }
  await channel.waitForConfirms();
}

async function priorityQueue(args: Record<string, unknown> = {}) {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-max-priority": 10, ...args });
  return { channel, queue };
}

async function bodies(channel: ConfirmChannel, queue: string): Promise<string[]> {
  return texts(await drain(channel, queue));
}

test("Q23 higher priorities come first, in each priority the older message", async () => {
  const { channel, queue } = await priorityQueue();
  await sendNamed(channel, queue, "1a", "5a", "3a", "5b", "1b", "9a", "0a");
  expect(await readyCount(channel, queue)).toBe(7);
  expect(await bodies(channel, queue)).toEqual(["9a", "5a", "5b", "3a", "1a", "1b", "0a"]);
});

test("Q23 a consumer gets the highest first", async () => {
  const { channel, queue } = await priorityQueue();
  await sendNamed(channel, queue, "1a", "9a", "5a");
  await channel.prefetch(1);
  const inbox = await consume(channel, queue);
  const first = await inbox.next();
  expect(text(first)).toBe("9a");
  await sendNamed(channel, queue, "8a");
  channel.ack(first);
  expect(text(await inbox.next())).toBe("8a");
});

test("Q23 a message without a priority has priority 0", async () => {
  const { channel, queue } = await priorityQueue();
  await sendNamed(channel, queue, "a", "0b", "1c", "d");
  expect(await bodies(channel, queue)).toEqual(["1c", "a", "0b", "d"]);
});

test("Q23 a priority above the queue's is taken for the queue's, and delivered as it was", async () => {
  const { channel, queue } = await priorityQueue({ "x-max-priority": 3 });
  await sendNamed(channel, queue, "3a", "255b", "3c", "4d", "2e");
  const messages = await drain(channel, queue);
  expect(texts(messages)).toEqual(["3a", "255b", "3c", "4d", "2e"]);
  expect(messages.map(({ properties }) => properties.priority)).toEqual([3, 255, 3, 4, 2]);
});

test("Q23 without x-max-priority the priority has no effect", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  await sendNamed(channel, queue, "1a", "9b", "5c");
  expect(await bodies(channel, queue)).toEqual(["1a", "9b", "5c"]);
});

test("Q23 a requeued message goes back to its place in its priority, redelivered", async () => {
  const { channel, queue } = await priorityQueue();
  await sendNamed(channel, queue, "5a", "5b", "1c");
  const [a, b] = [await get(channel, queue), await get(channel, queue)];
  await sendNamed(channel, queue, "5d", "7e");
  channel.nack(b);
  channel.nack(a);
  const messages = await drain(channel, queue);
  expect(texts(messages)).toEqual(["7e", "5a", "5b", "5d", "1c"]);
  expect(messages.map(({ fields }) => fields.redelivered)).toEqual([
    false,
    true,
    true,
    false,
    false,
  ]);
});

test("Q23 closing a channel requeues each message to its priority", async () => {
  const { channel, queue } = await priorityQueue();
  await sendNamed(channel, queue, "1a", "5b", "9c", "5d");
  const other = await openConfirmChannel();
  for (let i = 0; i < 4; i++) await get(other, queue);
  await other.close();
  await untilReady(queue, 4);
  expect(await bodies(channel, queue)).toEqual(["9c", "5b", "5d", "1a"]);
});

test("Q23 a full queue drops the oldest message of the highest priority", async () => {
  const { channel, queue } = await priorityQueue({ "x-max-length": 3 });
  await sendNamed(channel, queue, "1a", "5b", "5c", "1d", "0e");
  expect(await bodies(channel, queue)).toEqual(["1a", "1d", "0e"]);
});

test("Q23 a full queue may drop the message that was just published", async () => {
  const { channel, queue } = await priorityQueue({ "x-max-length": 2 });
  await sendNamed(channel, queue, "1a", "1b", "9c");
  expect(await bodies(channel, queue)).toEqual(["1a", "1b"]);
});

test("Q23 x-max-length-bytes counts over all priorities", async () => {
  const { channel, queue } = await priorityQueue({ "x-max-length-bytes": 6 });
  await sendNamed(channel, queue, "1a", "5b", "3c", "2d");
  expect(await bodies(channel, queue)).toEqual(["3c", "2d", "1a"]);
});

test("Q23 an expired message of a lower priority is held up by a higher one that is not", async () => {
  const { channel, queue } = await priorityQueue();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const marker = await newQueue(channel, { "x-dead-letter-exchange": exchange });
  channel.sendToQueue(queue, Buffer.from("high"), { priority: 5 });
  channel.sendToQueue(queue, Buffer.from("low"), { priority: 1, expiration: "20" });
  channel.sendToQueue(marker, Buffer.from("marker"), { expiration: "20" });
  await deadLetters.next();
  expect(await readyCount(channel, queue)).toBe(2);
  expect(text(await get(channel, queue))).toBe("high");
  expect(await channel.get(queue)).toBe(false);
});

test("Q23 an expired message of a higher priority leaves without waiting for the lower ones", async () => {
  const { channel, queue } = await priorityQueue();
  // In this order: RabbitMQ 3.10 forgets to look when the higher one comes to a queue that is not empty.
  channel.sendToQueue(queue, Buffer.from("high"), { priority: 5, expiration: "20" });
  channel.sendToQueue(queue, Buffer.from("low"), { priority: 1 });
  await untilReady(queue, 1);
  expect(text(await get(channel, queue))).toBe("low");
});

test("Q23 purge and delete count the messages of all priorities", async () => {
  const { channel, queue } = await priorityQueue();
  await sendNamed(channel, queue, "1a", "5b");
  expect(await channel.purgeQueue(queue)).toEqual({ messageCount: 2 });
  await sendNamed(channel, queue, "0c", "9d", "9e");
  expect(await channel.deleteQueue(queue)).toEqual({ messageCount: 3 });
});

test("Q23 messages expire in their order over all priorities when they share the queue's TTL", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-max-priority": 5,
    "x-message-ttl": 30,
    "x-dead-letter-exchange": exchange,
  });
  await sendNamed(channel, queue, "1a", "5b", "3c");
  const names = texts(await deadLetters.take(3));
  expect([...names].sort()).toEqual(["1a", "3c", "5b"]);
});

test("Q23 with x-max-priority 0 all messages have the same priority", async () => {
  const { channel, queue } = await priorityQueue({ "x-max-priority": 0 });
  await sendNamed(channel, queue, "1a", "9b", "0c");
  expect(await bodies(channel, queue)).toEqual(["1a", "9b", "0c"]);
});

test.each([1, 10, 255])("Q23 x-max-priority may be %i", async (max) => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-max-priority": max });
  await sendNamed(channel, queue, "0a", `${max}b`);
  expect(await bodies(channel, queue)).toEqual([`${max}b`, "0a"]);
});

test.each([
  [256, "{max_value_exceeded,256}"],
  [-1, "{value_negative,-1}"],
  ["5", '"expected integer, got longstr"'],
])("Q13 Q23 x-max-priority %j is refused with 406", async (max, reason) => {
  const channel = await openConfirmChannel();
  const queue = unique("queue");
  const request = channel.assertQueue(queue, { arguments: { "x-max-priority": max } });
  expect(await refused(channel, request)).toEqual({
    code: 406,
    classId: 50,
    methodId: 10,
    message: `PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue '${queue}' in vhost '/': ${reason}`,
  });
});

test("Q2 Q23 the priority of the queue is part of what a declare compares", async () => {
  const { channel, queue } = await priorityQueue();
  const request = channel.assertQueue(queue, { arguments: { "x-max-priority": 5 } });
  expect((await refused(channel, request)).message).toBe(
    `PRECONDITION_FAILED - inequivalent arg 'x-max-priority' for queue '${queue}' in vhost '/': received '5' but current is '10'`,
  );
});
