/**
 * What dead lettering writes on a message: the list of its deaths and what goes with it. Reference rows D3 to
 * D5.
 */
import type { ConfirmChannel } from "amqplib";
import { expect, test } from "vitest";
import { consume, isOldRabbitMQ, openConfirmChannel, unique } from "./harness.ts";
import {
  consumeFrame,
  deadLetterQueue,
  deaths,
  get,
  NO_ACK,
  newFanout,
  newQueue,
  path,
  publication,
  readContent,
  send,
} from "./messaging.ts";
import { array, longstr, RawClient, table, typed, u8, u16, u64 } from "./raw-client.ts";

/** The headers of the latest death: RabbitMQ has them since 3.13. */
async function lastDeath(headers: Record<string, unknown>): Promise<Record<string, unknown>> {
  return (await isOldRabbitMQ()) ? {} : headers;
}

/**
 * The queues "work", whose rejected messages wait in "retry" for their TTL and then come back. Returns what
 * arrives in "work".
 */
async function retryQueues(channel: ConfirmChannel, ttlMs: number) {
  const retry = unique("retry");
  const work = await newQueue(channel, {
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": retry,
  });
  await channel.assertQueue(retry, {
    deadLetterExchange: "",
    deadLetterRoutingKey: work,
    messageTtl: ttlMs,
  });
  return { work, retry, inbox: await consume(channel, work) };
}

test("D3 D4 the first death is written in these bytes, after the message's own headers", async () => {
  const channel = await openConfirmChannel();
  const target = await newQueue(channel);
  const exchange = await newFanout(channel, target);
  const queue = await newQueue(channel, {
    "x-dead-letter-exchange": exchange,
    "x-message-ttl": 0,
  });
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  raw.send(consumeFrame(target, "tag", NO_ACK));
  await raw.expectMethod(1, 60, 21);
  const own = { mine: typed("t", u8(1)) };
  raw.send(publication(queue, "x", { properties: Buffer.concat([u16(0x2000), table(own)]) }));
  const { properties } = await readContent(raw);

  // The time is the one thing in it that cannot be known before.
  const timeOffset = properties.indexOf(Buffer.from("\x04timeT")) + 6;
  const seconds = properties.readBigUInt64BE(timeOffset);
  expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(60);
  const text = (value: string) => typed("S", longstr(value));
  const death = table({
    count: typed("l", u64(1)),
    reason: text("expired"),
    queue: text(queue),
    time: typed("T", u64(seconds)),
    exchange: text(""),
    "routing-keys": typed("A", array(text(queue))),
  });
  const last = await lastDeath({
    "x-last-death-exchange": text(""),
    "x-last-death-queue": text(queue),
    "x-last-death-reason": text("expired"),
  });
  const headers = table({
    ...own,
    "x-death": typed("A", array(typed("F", death))),
    "x-first-death-exchange": text(""),
    "x-first-death-queue": text(queue),
    "x-first-death-reason": text("expired"),
    ...(last as Record<string, Buffer>),
  });
  expect(properties.toString("latin1")).toBe(
    Buffer.concat([u16(0x2000), headers]).toString("latin1"),
  );
});

test("D3 the headers of a dead letter come sorted by key", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-dead-letter-exchange": exchange,
    "x-message-ttl": 0,
  });
  channel.sendToQueue(queue, Buffer.from("x"), { headers: { z: 1, m: 2, "x-custom": 3, a: 4 } });
  const { properties } = await deadLetters.next();
  const keys = Object.keys(properties.headers ?? {});
  expect(keys).toEqual([...keys].sort());
  expect(properties.headers).toMatchObject({ z: 1, m: 2, "x-custom": 3, a: 4 });
});

test("D3 D4 a death names the exchange and the routing keys of the publication, with CC but without BCC", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-dead-letter-exchange": exchange,
    "x-message-ttl": 0,
  });
  await channel.bindQueue(queue, "amq.topic", `${queue}.key`);
  channel.publish("amq.topic", `${queue}.key`, Buffer.from("x"), { CC: ["cc"], BCC: ["bcc"] });
  const message = await deadLetters.next();
  expect(deaths(message)).toMatchObject([
    { count: 1, queue, exchange: "amq.topic", "routing-keys": [`${queue}.key`, "cc"] },
  ]);
  expect(message.properties.headers).toMatchObject({
    "x-first-death-exchange": "amq.topic",
    "x-first-death-queue": queue,
    "x-first-death-reason": "expired",
    ...(await lastDeath({ "x-last-death-exchange": "amq.topic" })),
  });
});

test("D3 an expiration moves from the properties to the death, where the order of fields shows the version", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, { "x-dead-letter-exchange": exchange });
  channel.sendToQueue(queue, Buffer.from("x"), { expiration: "20" });
  const message = await deadLetters.next();
  expect(message.properties.expiration).toBeUndefined();
  const [death] = deaths(message);
  expect(death).toMatchObject({ reason: "expired", "original-expiration": "20" });
  const fields = ["count", "reason", "queue", "time", "exchange", "routing-keys"];
  expect(Object.keys(death!)).toEqual(
    (await isOldRabbitMQ())
      ? [...fields, "original-expiration"]
      : ["original-expiration", ...fields],
  );
});

test("D3 the expiration is removed for whatever reason the message died", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, { "x-dead-letter-exchange": exchange });
  channel.sendToQueue(queue, Buffer.from("x"), { expiration: "60000" });
  const message = await (await consume(channel, queue)).next();
  channel.reject(message, false);
  const dead = await deadLetters.next();
  expect(dead.properties.expiration).toBeUndefined();
  expect(deaths(dead)).toMatchObject([{ reason: "rejected", "original-expiration": "60000" }]);
});

test("D3 D4 deaths in several queues are listed, the latest first", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const second = await newQueue(channel, { "x-dead-letter-exchange": exchange });
  const first = await newQueue(channel, {
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": second,
    "x-message-ttl": 0,
  });
  const inbox = await consume(channel, second);
  await send(channel, first, "x");
  channel.reject(await inbox.next(), false);
  const message = await deadLetters.next();
  expect(path(message)).toEqual([`${second} rejected 1`, `${first} expired 1`]);
  // Where it was published to is told for each death.
  expect(deaths(message)).toMatchObject([
    { exchange: "", "routing-keys": [second] },
    { exchange: "", "routing-keys": [first] },
  ]);
  expect(message.properties.headers).toMatchObject({
    "x-first-death-queue": first,
    "x-first-death-reason": "expired",
    "x-first-death-exchange": "",
    ...(await lastDeath({
      "x-last-death-queue": second,
      "x-last-death-reason": "rejected",
      "x-last-death-exchange": "",
    })),
  });
});

test("D3 more than two deaths are listed the latest first", async ({ skip }) => {
  skip(await isOldRabbitMQ(), "RabbitMQ 3.10 turns the older deaths around each time");
  const channel = await openConfirmChannel();
  let next = await newQueue(channel);
  const inbox = await consume(channel, next, { noAck: true });
  const latestFirst: string[] = [];
  for (let i = 0; i < 4; i++) {
    const args = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": next };
    next = await newQueue(channel, { ...args, "x-message-ttl": 0 });
    latestFirst.push(`${next} expired 1`);
  }
  await send(channel, next, "x");
  expect(path(await inbox.next())).toEqual(latestFirst);
});

test("D3 another reason in the same queue is another death", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, { "x-dead-letter-exchange": exchange, "x-max-length": 1 });
  await channel.bindQueue(queue, exchange, "");
  await send(channel, queue, "x");
  const message = await get(channel, queue);
  channel.reject(message, false);
  expect(path(await deadLetters.next())).toEqual([`${queue} rejected 1`]);
  // Back in its queue, it is pushed out this time.
  await send(channel, queue, "y");
  expect(path(await deadLetters.next())).toEqual([`${queue} maxlen 1`, `${queue} rejected 1`]);
});

test("D3 D4 repeated deaths are counted, the latest in front", async () => {
  const channel = await openConfirmChannel();
  const { work, retry, inbox } = await retryQueues(channel, 20);
  await send(channel, work, "x");
  for (let round = 1; round <= 3; round++) {
    channel.reject(await inbox.next(), false);
    const message = await inbox.next();
    expect(path(message)).toEqual([`${retry} expired ${round}`, `${work} rejected ${round}`]);
    expect(message.properties.headers).toMatchObject({
      "x-first-death-queue": work,
      "x-first-death-reason": "rejected",
      ...(await lastDeath({ "x-last-death-queue": retry, "x-last-death-reason": "expired" })),
    });
    if (round < 3) channel.nack(message, false, true);
  }
});

test("D3 the time of a death that is repeated stays that of the first", async () => {
  const channel = await openConfirmChannel();
  // Deaths tell the time in seconds.
  const { work, inbox } = await retryQueues(channel, 1100);
  await send(channel, work, "x");
  channel.reject(await inbox.next(), false);
  const once = await inbox.next();
  channel.reject(once, false);
  const twice = await inbox.next();
  const [, rejectedOnce] = deaths(once);
  const [expired, rejectedTwice] = deaths(twice);
  expect(rejectedTwice?.count).toBe(2);
  expect(rejectedTwice?.time).toEqual(rejectedOnce?.time);
  expect(expired?.time).toEqual(deaths(once)[0]?.time);
  expect(expired!.time.value).toBeGreaterThan(rejectedTwice!.time.value);
});

test("D5 an x-death that the client sent counts on in RabbitMQ 3, and begins anew in RabbitMQ 4", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-dead-letter-exchange": exchange,
    "x-message-ttl": 0,
  });
  const death = {
    count: 7,
    reason: "expired",
    queue,
    time: { "!": "timestamp", value: 1000 },
    exchange: "earlier",
    "routing-keys": ["key"],
  };
  channel.sendToQueue(queue, Buffer.from("x"), { headers: { "x-death": [death] } });
  const message = await deadLetters.next();
  const isOld = await isOldRabbitMQ();
  expect(deaths(message)).toMatchObject([
    isOld ? { ...death, count: 8 } : { count: 1, queue, exchange: "", "routing-keys": [queue] },
  ]);
});

test.each<[string, unknown, boolean]>([
  ["a text", "text", true],
  ["a table", { a: 1 }, true],
  ["an empty list", [], true],
  ["a list with an empty table", [{}], true],
  ["a list of numbers", [1], false],
])(
  "D5 an x-death that is %s does not keep a message from being dead-lettered",
  async (_what, header, isSafeInOld) => {
    const channel = await openConfirmChannel();
    const { exchange, deadLetters } = await deadLetterQueue(channel);
    const args = { "x-dead-letter-exchange": exchange, "x-message-ttl": 0 };
    const queue = await newQueue(channel, args);
    // RabbitMQ 3 loses what is in the queue over this.
    const headers = !isSafeInOld && (await isOldRabbitMQ()) ? {} : { "x-death": header };
    channel.sendToQueue(queue, Buffer.from("x"), { headers });
    const [death] = deaths(await deadLetters.next());
    expect(death).toMatchObject({ count: 1, reason: "expired", queue });
  },
);
