/**
 * When dead lettering gives up on a message that goes round in circles, and when it does not. Reference rows D6
 * and D9.
 */
import { expect, test } from "vitest";
import { consume, isOldRabbitMQ, openConfirmChannel, unique } from "./harness.ts";
import { deadLetterQueue, drain, newQueue, path, send, texts } from "./messaging.ts";

test("D6 a message that expires in its own dead letter queue is dropped, other queues still get it", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, { "x-dead-letter-exchange": exchange });
  await channel.bindQueue(queue, exchange, "");
  channel.sendToQueue(queue, Buffer.from("round"), { expiration: "20" });
  await deadLetters.next();
  // Both queues of the exchange would have it by now; without an expiration it would stay.
  expect(await drain(channel, queue)).toEqual([]);
});

test("D6 D9 a message that is pushed out into the same queue is dropped", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-dead-letter-exchange": "", "x-max-length": 1 });
  await send(channel, queue, "1", "2");
  const inbox = await consume(channel, queue, { noAck: true });
  await send(channel, queue, "3");
  expect(texts(await inbox.take(2))).toEqual(["2", "3"]);
});

test("D6 a circle of two queues without a rejection ends when it would close", async () => {
  const channel = await openConfirmChannel();
  const [fromFirst, fromSecond] = [await deadLetterQueue(channel), await deadLetterQueue(channel)];
  const ttl = { "x-message-ttl": 0 };
  const first = await newQueue(channel, { "x-dead-letter-exchange": fromFirst.exchange, ...ttl });
  const second = await newQueue(channel, { "x-dead-letter-exchange": fromSecond.exchange, ...ttl });
  await channel.bindQueue(second, fromFirst.exchange, "");
  await channel.bindQueue(first, fromSecond.exchange, "");
  for (const body of ["x", "y"]) {
    await send(channel, first, body);
    // Another round of "x" would come before "y".
    expect(texts(await fromFirst.deadLetters.take(1))).toEqual([body]);
    const message = await fromSecond.deadLetters.next();
    expect(message.content.toString()).toBe(body);
    expect(path(message)).toEqual([`${second} expired 1`, `${first} expired 1`]);
  }
  expect([fromFirst.deadLetters.count, fromSecond.deadLetters.count]).toEqual([0, 0]);
});

test("D6 a rejection anywhere in the circle lets it go on", async ({ skip }) => {
  skip(
    await isOldRabbitMQ(),
    "RabbitMQ 3.10 misjudges circles of three, having their deaths in disorder",
  );
  const channel = await openConfirmChannel();
  const [first, second] = [unique("first"), unique("second")];
  const work = await newQueue(channel, {
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": first,
  });
  const options = { deadLetterExchange: "", messageTtl: 0 };
  await channel.assertQueue(first, { ...options, deadLetterRoutingKey: second });
  await channel.assertQueue(second, { ...options, deadLetterRoutingKey: work });
  const inbox = await consume(channel, work);
  await send(channel, work, "x");
  for (let round = 1; round <= 3; round++) {
    channel.reject(await inbox.next(), false);
    const message = await inbox.next();
    expect(path(message)).toEqual([
      `${second} expired ${round}`,
      `${first} expired ${round}`,
      `${work} rejected ${round}`,
    ]);
    channel.nack(message);
  }
});
