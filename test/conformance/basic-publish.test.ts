/**
 * basic.publish and basic.return: what is checked and in which order, what comes back, and that the bytes of
 * a message arrive as they were sent. Reference rows P1 to P7, P10 to P12 and A13.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Channel, Message, Options } from "amqplib";
import { expect, test } from "vitest";
import {
  channelError,
  connect,
  consume,
  isOldRabbitMQ,
  openChannel,
  openConfirmChannel,
  unique,
} from "./harness.ts";
import { drain, get, newFanout, newQueue, send, text, texts } from "./messaging.ts";
import {
  bits,
  FRAME_BODY,
  frame,
  headerFrame,
  methodFrame,
  RawClient,
  shortstr,
  u16,
} from "./raw-client.ts";

/** Publishes one message that must cost the channel; returns why. */
async function publishRefused(exchange: string, key: string, options: Options.Publish = {}) {
  const channel = await openChannel();
  channel.publish(exchange, key, Buffer.from("x"), options);
  return channelError(channel);
}

/** Publishes with `mandatory` and returns what has come back once the broker has dealt with it all. */
async function returned(
  channel: Channel,
  exchange: string,
  keys: string[],
  options: Options.Publish = {},
): Promise<Message[]> {
  const messages: Message[] = [];
  channel.on("return", (message) => messages.push(message));
  for (const key of keys) {
    channel.publish(exchange, key, Buffer.from(key), { mandatory: true, ...options });
  }
  // Any answer on the channel comes after what was returned on it.
  await channel.prefetch(1);
  return messages;
}

test("N19 P3 an unknown exchange closes the channel with 404", async () => {
  const exchange = unique("missing");
  expect(await publishRefused(exchange, "key")).toEqual({
    code: 404,
    classId: 60,
    methodId: 40,
    message: `NOT_FOUND - no exchange '${exchange}' in vhost '/'`,
  });
});

test("P3 a mandatory message for an unknown exchange is not returned", async () => {
  const channel = await openChannel();
  const messages: Message[] = [];
  channel.on("return", (message) => messages.push(message));
  channel.publish(unique("missing"), "key", Buffer.from("x"), { mandatory: true });
  expect((await channelError(channel)).code).toBe(404);
  expect(messages).toEqual([]);
});

test("P4 a mandatory message that no queue takes comes back whole with 312", async () => {
  const channel = await openChannel();
  const key = unique("nobody");
  const options = { messageId: "m1", headers: { a: 1 }, deliveryMode: 2 };
  const [message, ...more] = await returned(channel, "", [key], options);
  expect(more).toEqual([]);
  expect(message?.fields).toMatchObject({
    replyCode: 312,
    replyText: "NO_ROUTE",
    exchange: "",
    routingKey: key,
  });
  expect(message?.properties).toMatchObject(options);
  expect(message?.content.toString()).toBe(key);
});

test("P4 a return names the exchange that was published to", async () => {
  const channel = await openChannel();
  const exchange = await newFanout(channel);
  const [message] = await returned(channel, exchange, ["some.key"]);
  expect(message?.fields).toMatchObject({ exchange, routingKey: "some.key" });
});

test("P4 only the messages that were not routed come back, in their order", async () => {
  const channel = await openChannel();
  const queue = await newQueue(channel);
  const [first, second] = [unique("nobody"), unique("nobody")];
  const messages = await returned(channel, "", [queue, first, queue, second, queue]);
  expect(texts(messages)).toEqual([first, second]);
  expect(texts(await drain(channel, queue))).toEqual([queue, queue, queue]);
});

test("P4 X15 a message that the alternate exchange takes counts as routed", async () => {
  const channel = await openChannel();
  const queue = await newQueue(channel);
  const alternateExchange = await newFanout(channel, queue);
  const exchange = unique("with-alternate");
  await channel.assertExchange(exchange, "direct", { alternateExchange });
  expect(await returned(channel, exchange, ["key"])).toEqual([]);
  const [message] = await drain(channel, queue);
  expect(message?.fields).toMatchObject({ exchange, routingKey: "key" });
});

test("P4 X16 bound exchanges count, when they route", async () => {
  const channel = await openChannel();
  const queue = await newQueue(channel);
  const [front, back] = [await newFanout(channel), unique("back")];
  await channel.assertExchange(back, "direct");
  await channel.bindExchange(back, front, "");
  await channel.bindQueue(queue, back, "routed");
  const messages = await returned(channel, front, ["routed", "not routed"]);
  expect(texts(messages)).toEqual(["not routed"]);
  expect(messages[0]?.fields).toMatchObject({ exchange: front });
  expect(texts(await drain(channel, queue))).toEqual(["routed"]);
});

test("P4 an empty message comes back empty", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const key = unique("nobody");
  raw.sendMethod(1, 60, 40, [u16(0), shortstr(""), shortstr(key), bits(true)]);
  raw.send(headerFrame(1, 0));
  const { fields } = await raw.expectMethod(1, 60, 50);
  expect(fields.u16()).toBe(312);
  expect([fields.shortstr(), fields.shortstr(), fields.shortstr()]).toEqual(["NO_ROUTE", "", key]);
  expect((await raw.readFrame())?.payload).toEqual(headerFrame(1, 0).subarray(7, -1));
  // channel.flow-ok comes next, and no body frame.
  await raw.rpc(1, 20, 20, bits(true));
});

test("P4 messages in several frames that nobody takes come back each as it was, whatever follows at once", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const fields = [u16(0), shortstr(""), shortstr(unique("nobody")), bits(true)];
  const frames = ["a", "b", "c"].flatMap((letter) => {
    const piece = frame(FRAME_BODY, 1, Buffer.alloc(8000, letter));
    return [methodFrame(1, 60, 40, ...fields), headerFrame(1, 16_000), piece, piece];
  });
  // In one write, so that all of them are there before the first goes back.
  raw.send(Buffer.concat(frames));
  for (const letter of ["a", "b", "c"]) {
    await raw.expectMethod(1, 60, 50);
    let body = Buffer.alloc(0);
    while (body.length < 16_000) {
      const next = await raw.readFrame();
      if (next?.type === FRAME_BODY) body = Buffer.concat([body, next.payload]);
    }
    expect(body.equals(Buffer.alloc(16_000, letter))).toBe(true);
  }
});

test("P4 without mandatory a message that no queue takes is dropped in silence", async () => {
  const channel = await openChannel();
  const messages = await returned(channel, "", [unique("nobody")], { mandatory: false });
  expect(messages).toEqual([]);
});

test("P5 immediate closes the connection with 540, even when the exchange is missing", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const fields = [u16(0), shortstr(unique("missing")), shortstr(""), bits(false, true)];
  raw.send(Buffer.concat([methodFrame(1, 60, 40, ...fields), headerFrame(1, 0)]));
  expect(await raw.expectClose()).toEqual({
    code: 540,
    text: "NOT_IMPLEMENTED - immediate=true",
    classId: 60,
    methodId: 40,
  });
});

test("A13 P6 properties that are set arrive, properties that are not stay absent", async () => {
  const channel = await openChannel();
  const queue = await newQueue(channel);
  const properties = {
    contentType: "application/json",
    contentEncoding: "gzip",
    headers: {
      text: "ünïcode",
      number: -7,
      big: 2 ** 40,
      float: 1.5,
      yes: true,
      nothing: null,
      list: [1, "two", [false], { three: 3 }],
      nested: { deeper: { deepest: "value" } },
      when: { "!": "timestamp", value: 1_700_000_000 },
      bytes: Buffer.from([0, 206, 255]),
    },
    deliveryMode: 1,
    priority: 255,
    correlationId: "correlation",
    replyTo: "reply",
    expiration: "60000",
    messageId: "id",
    timestamp: 1_700_000_000,
    type: "type",
    userId: "guest",
    appId: "app",
  };
  channel.sendToQueue(queue, Buffer.from("all"), properties);
  channel.sendToQueue(queue, Buffer.from("none"));
  const [all, none] = await drain(channel, queue);
  expect(all?.properties).toMatchObject(properties);
  expect(none?.properties).toEqual({
    ...Object.fromEntries(Object.keys(all!.properties).map((name) => [name, undefined])),
    headers: {},
  });
});

test.each([
  ["abc", "no_integer"],
  ["", "no_integer"],
  [" 1", "no_integer"],
  ["1x", '{leftover_string,"x"}'],
  ["1.5", '{leftover_string,".5"}'],
  ["-1", "{value_negative,-1}"],
  ["315360000001", "{value_too_large,315360000001}"],
])("P7 the expiration '%s' closes the channel with 406 %s", async (expiration, reason) => {
  // Encoded by hand: amqplib leaves an empty expiration out.
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const properties = Buffer.concat([u16(0x0100), shortstr(expiration)]);
  raw.sendMethod(1, 60, 40, [u16(0), shortstr(""), shortstr(unique("nobody")), bits()]);
  raw.send(headerFrame(1, 0, properties));
  expect(await raw.expectChannelClose(1)).toEqual({
    code: 406,
    text: `PRECONDITION_FAILED - invalid expiration '${expiration}': ${reason}`,
    classId: 60,
    methodId: 40,
  });
});

test.each(["0", "+5", "0060000", "315360000000"])(
  "P7 the expiration '%s' is accepted and passed on as it is",
  async (expiration) => {
    const channel = await openChannel();
    const key = unique("nobody");
    const [message] = await returned(channel, "", [key], { expiration });
    expect(message?.properties.expiration).toBe(expiration);
  },
);

test("A13 a user-id other than the user's closes the channel with 406", async () => {
  expect(await publishRefused("", unique("nobody"), { userId: "somebody" })).toEqual({
    code: 406,
    classId: 60,
    methodId: 40,
    message:
      "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'",
  });
});

test("P1 the size is looked at before the exchange", { timeout: 60_000 }, async ({ skip }) => {
  skip(await isOldRabbitMQ(), "it takes more than 128 MiB to see it");
  const channel = await openChannel();
  channel.publish(unique("missing"), "", Buffer.alloc(16 * 1024 * 1024 + 1));
  expect((await channelError(channel)).message).toContain("is larger than configured max size");
});

test("P1 the exchange is looked up before the properties are checked", async () => {
  const wrong = { userId: "somebody", expiration: "abc" };
  expect((await publishRefused(unique("missing"), "key", wrong)).code).toBe(404);
});

test("P1 internal exchanges are told from others before the properties are checked", async () => {
  const channel = await openChannel();
  const exchange = unique("internal");
  await channel.assertExchange(exchange, "fanout", { internal: true });
  const wrong = { userId: "somebody", expiration: "abc", replyTo: "amq.rabbitmq.reply-to" };
  expect((await publishRefused(exchange, "key", wrong)).message).toBe(
    `ACCESS_REFUSED - cannot publish to internal exchange '${exchange}' in vhost '/'`,
  );
});

test("P1 of a wrong CC and a wrong user-id, one is named", async () => {
  const { message } = await publishRefused("", "key", {
    userId: "somebody",
    headers: { CC: "not a list" },
  });
  expect(message).toContain((await isOldRabbitMQ()) ? "user_id property" : "invalid message");
});

test("P1 of a reply-to without its consumer and a wrong expiration, one is named", async () => {
  const { message } = await publishRefused("", "key", {
    replyTo: "amq.rabbitmq.reply-to",
    expiration: "abc",
  });
  expect(message).toContain("fast reply consumer does not exist");
});

test("P1 of a wrong expiration and a wrong user-id, one is named", async () => {
  const { message } = await publishRefused("", "key", { userId: "somebody", expiration: "abc" });
  // RabbitMQ 3 looks at the user-id first, RabbitMQ 4 at the expiration.
  expect(message).toContain((await isOldRabbitMQ()) ? "user_id property" : "invalid expiration");
});

test("P2 a body of the largest size is taken, one byte more closes the channel with 406", {
  timeout: 60_000,
}, async () => {
  const max = (await isOldRabbitMQ()) ? 128 * 1024 * 1024 : 16 * 1024 * 1024;
  const channel = await openConfirmChannel();
  const body = Buffer.alloc(max + 1);
  channel.publish("", unique("nobody"), body.subarray(0, max));
  await channel.waitForConfirms();
  channel.publish("", unique("nobody"), body);
  expect(await channelError(channel)).toEqual({
    code: 406,
    classId: 60,
    methodId: 40,
    message: `PRECONDITION_FAILED - message size ${max + 1} is larger than configured max size ${max}`,
  });
});

test("H8 what follows a refused message on its channel is not published", async () => {
  const channel = await openChannel();
  const watcher = await openChannel();
  const queue = await newQueue(watcher);
  channel.sendToQueue(queue, Buffer.from("before"));
  channel.publish(unique("missing"), "key", Buffer.from("refused"));
  channel.sendToQueue(queue, Buffer.from("after"));
  await channelError(channel);
  expect(texts(await drain(watcher, queue))).toEqual(["before"]);
});

test("H8 a refused message does not disturb the other channels of its connection", async () => {
  const { connection, errors } = await connect();
  const wrong = await connection.createChannel();
  const right = await connection.createConfirmChannel();
  const queue = await newQueue(right);
  wrong.publish(unique("missing"), "key", Buffer.from("refused"));
  await channelError(wrong);
  await send(right, queue, "still here");
  expect(text(await get(right, queue))).toBe("still here");
  expect(errors).toEqual([]);
});

test("P12 messages of one channel stay in their order in the queue", async () => {
  const publisher = await openChannel();
  const queue = await newQueue(publisher);
  const inbox = await consume(await openChannel(), queue, { noAck: true });
  const bodies = Array.from({ length: 2000 }, (_, i) => `${i}`);
  // Sizes vary, so that some bodies fill several frames while others have none.
  const padding = (i: number) => Buffer.alloc(i % 97 === 0 ? 200_000 : i % 7);
  for (const [i, body] of bodies.entries()) {
    publisher.sendToQueue(queue, padding(i), { messageId: body });
  }
  const messages = await inbox.take(bodies.length);
  expect(messages.map(({ properties }) => properties.messageId)).toEqual(bodies);
  expect(messages.every(({ content }, i) => content.equals(padding(i)))).toBe(true);
});

test("P12 the messages of two queues by one publication order stay apart", async () => {
  const channel = await openChannel();
  const [left, right] = [await newQueue(channel), await newQueue(channel)];
  const both = await newFanout(channel, left, right);
  channel.sendToQueue(left, Buffer.from("l1"));
  channel.publish(both, "", Buffer.from("b1"));
  channel.sendToQueue(right, Buffer.from("r1"));
  channel.publish(both, "", Buffer.from("b2"));
  expect(texts(await drain(channel, left))).toEqual(["l1", "b1", "b2"]);
  expect(texts(await drain(channel, right))).toEqual(["b1", "r1", "b2"]);
});

test("P11 a body of several MiB arrives byte for byte", async () => {
  const publisher = await openChannel();
  const queue = await newQueue(publisher);
  const { connection } = await connect({ frameMax: 8192 });
  const inbox = await consume(await connection.createChannel(), queue, { noAck: true });
  const body = randomBytes(5 * 1024 * 1024 + 3);
  publisher.sendToQueue(queue, body);
  expect((await inbox.next()).content.equals(body)).toBe(true);
});

test("P11 large messages of several publishers reach each of their queues as they were, also after a requeue", async () => {
  const channel = await openChannel();
  const exchange = unique("exchange");
  await channel.assertExchange(exchange, "fanout", { autoDelete: true });
  const queues = await Promise.all([newQueue(channel), newQueue(channel), newQueue(channel)]);
  for (const queue of queues) await channel.bindQueue(queue, exchange, "");
  const bodies = Array.from({ length: 24 }, (_, index) => randomBytes(60_000 + 70_001 * index));
  const sums = bodies.map(sum).sort();
  const [fast, slow, late] = queues as [string, string, string];
  const inbox = await consume(await openChannel(), fast, { noAck: true });
  const again = await openChannel();
  await again.prefetch(2);
  const requeueing = await consume(again, slow);
  const publishers = await Promise.all([openChannel(), openChannel()]);
  for (const [index, body] of bodies.entries())
    publishers[index % 2]!.publish(exchange, "", body, { persistent: index % 3 === 0 });
  const found = { fast: [] as string[], slow: [] as string[], late: [] as string[] };
  while (found.fast.length < bodies.length) found.fast.push(sum((await inbox.next()).content));
  while (found.slow.length < bodies.length) {
    const message = await requeueing.next();
    if (message.fields.redelivered) found.slow.push(sum(message.content));
    if (message.fields.redelivered) again.ack(message);
    else again.nack(message);
  }
  for (const { content } of await drain(channel, late)) found.late.push(sum(content));
  for (const [queue, received] of Object.entries(found))
    expect([queue, received.sort()]).toEqual([queue, sums]);
});

function sum(body: Buffer): string {
  return createHash("sha1").update(body).digest("hex");
}
