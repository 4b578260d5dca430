/**
 * Queues with x-single-active-consumer: one consumer gets everything, the others wait for it to go.
 * Reference row Q25.
 */
import type { ConfirmChannel } from "amqplib";
import { expect, test } from "vitest";
import { connect, consume, type Inbox, openConfirmChannel, refused, unique } from "./harness.ts";
import { get, newQueue, send, text, texts } from "./messaging.ts";

const SINGLE_ACTIVE = { "x-single-active-consumer": true };

/** A queue with a single active consumer, and `n` consumers on channels of their own. */
async function queueWithConsumers(n: number) {
  const publisher = await openConfirmChannel();
  const queue = await newQueue(publisher, SINGLE_ACTIVE);
  const { connection } = await connect();
  const consumers: { channel: ConfirmChannel; inbox: Inbox }[] = [];
  for (let i = 0; i < n; i++) {
    const channel = await connection.createConfirmChannel();
    consumers.push({ channel, inbox: await consume(channel, queue) });
  }
  return { publisher, queue, consumers };
}

test("Q25 only the first consumer gets messages", async () => {
  const { publisher, queue, consumers } = await queueWithConsumers(2);
  await send(publisher, queue, "1", "2", "3");
  expect(texts(await consumers[0]!.inbox.take(3))).toEqual(["1", "2", "3"]);
  expect(consumers[1]!.inbox.count).toBe(0);
});

test("Q25 when the active consumer is cancelled, the next in order of arrival takes over", async () => {
  const { publisher, queue, consumers } = await queueWithConsumers(3);
  const [first, second, third] = [consumers[0]!, consumers[1]!, consumers[2]!];
  await first.channel.cancel(first.inbox.consumerTag);
  await send(publisher, queue, "for the second");
  expect((await second.inbox.next()).content.toString()).toBe("for the second");
  await second.channel.close();
  // The unacknowledged message of the second goes to the third.
  const again = await third.inbox.next();
  expect(again.content.toString()).toBe("for the second");
  expect(again.fields.redelivered).toBe(true);
});

test("Q25 when the active consumer's connection goes, its messages go to the next in their order", async () => {
  const publisher = await openConfirmChannel();
  const queue = await newQueue(publisher, SINGLE_ACTIVE);
  const { connection } = await connect();
  const first = await consume(await connection.createConfirmChannel(), queue);
  const second = await consume(publisher, queue);
  await send(publisher, queue, "1", "2", "3");
  await first.take(3);
  await connection.close();
  expect(texts(await second.take(3))).toEqual(["1", "2", "3"]);
});

test("Q25 the consumers that wait do not get what the active one has no credit for", async () => {
  const publisher = await openConfirmChannel();
  const queue = await newQueue(publisher, SINGLE_ACTIVE);
  const channel = await openConfirmChannel();
  await channel.prefetch(1);
  const active = await consume(channel, queue);
  const waiting = await consume(publisher, queue);
  await send(publisher, queue, "1", "2");
  const one = await active.next();
  expect((await publisher.checkQueue(queue)).messageCount).toBe(1);
  channel.ack(one);
  expect((await active.next()).content.toString()).toBe("2");
  expect(waiting.count).toBe(0);
});

test("Q25 the waiting consumers count as consumers", async () => {
  const { publisher, queue } = await queueWithConsumers(3);
  expect((await publisher.checkQueue(queue)).consumerCount).toBe(3);
});

test("Q25 a consumer that was waiting can be cancelled without effect on the active one", async () => {
  const { publisher, queue, consumers } = await queueWithConsumers(3);
  const [first, second, third] = [consumers[0]!, consumers[1]!, consumers[2]!];
  await second.channel.cancel(second.inbox.consumerTag);
  await send(publisher, queue, "1");
  expect((await first.inbox.next()).content.toString()).toBe("1");
  await first.channel.close();
  expect((await third.inbox.next()).content.toString()).toBe("1");
  expect(second.inbox.count).toBe(0);
});

test("Q25 a later consumer of higher priority does not take over from the active one", async () => {
  const publisher = await openConfirmChannel();
  const queue = await newQueue(publisher, SINGLE_ACTIVE);
  const active = await consume(publisher, queue);
  const later = await consume(publisher, queue, { priority: 10 });
  await send(publisher, queue, "1", "2");
  expect(texts(await active.take(2))).toEqual(["1", "2"]);
  expect(later.count).toBe(0);
});

test("K2 Q25 an exclusive consumer is refused, even as the first", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, SINGLE_ACTIVE);
  expect(await refused(channel, consume(channel, queue, { exclusive: true }))).toEqual({
    code: 403,
    classId: 60,
    methodId: 20,
    message: `ACCESS_REFUSED - queue '${queue}' in vhost '/' in exclusive use`,
  });
});

test("Q25 basic.get still takes a message", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, SINGLE_ACTIVE);
  await send(channel, queue, "x");
  expect(text(await get(channel, queue))).toBe("x");
});

test("Q13 Q25 the argument has to be a boolean", async () => {
  const channel = await openConfirmChannel();
  const queue = unique("queue");
  const request = channel.assertQueue(queue, { arguments: { "x-single-active-consumer": "yes" } });
  expect(await refused(channel, request)).toMatchObject({
    code: 406,
    message: `PRECONDITION_FAILED - invalid arg 'x-single-active-consumer' for queue '${queue}' in vhost '/': {unacceptable_type,longstr}`,
  });
});
