/** Replies without a queue: the pseudo-queue amq.rabbitmq.reply-to. Reference row P13. */
import type { Channel, ConsumeMessage } from "amqplib";
import { expect, test } from "vitest";
import {
  channelError,
  connect,
  connectionError,
  consume,
  type Inbox,
  isOldRabbitMQ,
  openChannel,
  openConfirmChannel,
  refused,
  unique,
} from "./harness.ts";
import { newQueue, text, texts } from "./messaging.ts";

const REPLY_TO = "amq.rabbitmq.reply-to";

/** A requester that waits for replies, a responder, and the request it has received. */
async function requested(): Promise<{
  requester: Channel;
  replies: Inbox;
  responder: Channel;
  request: ConsumeMessage;
}> {
  const [requester, responder] = [await openChannel(), await openChannel()];
  const queue = await newQueue(responder);
  const requests = await consume(responder, queue, { noAck: true });
  const replies = await consume(requester, REPLY_TO, { noAck: true });
  requester.sendToQueue(queue, Buffer.from("ping"), { replyTo: REPLY_TO, correlationId: "7" });
  return { requester, replies, responder, request: await requests.next() };
}

test("P13 a reply reaches the channel that asked", async () => {
  const { replies, responder, request } = await requested();
  const { replyTo, correlationId } = request.properties;
  expect(correlationId).toBe("7");
  responder.sendToQueue(replyTo, Buffer.from("pong"), { correlationId });
  const reply = await replies.next();
  expect(text(reply)).toBe("pong");
  expect(reply.properties.correlationId).toBe("7");
  expect(reply.fields).toEqual({
    consumerTag: replies.consumerTag,
    deliveryTag: 1,
    redelivered: false,
    exchange: "",
    routingKey: replyTo,
  });
});

test("P13 the reply-to that arrives is a name of its own, the same for every request of a channel", async () => {
  const [requester, responder] = [await openChannel(), await openChannel()];
  const queue = await newQueue(responder);
  const requests = await consume(responder, queue, { noAck: true });
  await consume(requester, REPLY_TO, { noAck: true });
  for (let i = 0; i < 2; i++) requester.sendToQueue(queue, Buffer.from("x"), { replyTo: REPLY_TO });
  const [first, second] = (await requests.take(2)).map(({ properties }) => properties.replyTo);
  expect(first).toMatch(/^amq\.rabbitmq\.reply-to\..+/);
  expect(second).toBe(first);
});

test("P13 any other reply-to is passed on as it is", async () => {
  const channel = await openChannel();
  const queue = await newQueue(channel);
  const requests = await consume(channel, queue, { noAck: true });
  await consume(channel, REPLY_TO, { noAck: true });
  for (const replyTo of ["amq.rabbitmq.reply", `${REPLY_TO}.x`, ""]) {
    channel.sendToQueue(queue, Buffer.from("x"), { replyTo });
  }
  const arrived = (await requests.take(3)).map(({ properties }) => properties.replyTo || "");
  expect(arrived).toEqual(["amq.rabbitmq.reply", `${REPLY_TO}.x`, ""]);
});

test("P13 several replies to one request arrive in their order", async () => {
  const { replies, responder, request } = await requested();
  for (const body of ["1", "2", "3"]) {
    responder.sendToQueue(request.properties.replyTo, Buffer.from(body));
  }
  expect(texts(await replies.take(3))).toEqual(["1", "2", "3"]);
});

test("P13 a mandatory reply comes back when nobody waits for it any more", async () => {
  const { requester, replies, request } = await requested();
  const { replyTo } = request.properties;
  const responder = await openConfirmChannel();
  const returned: string[] = [];
  responder.on("return", (message) => returned.push(message.content.toString()));
  responder.sendToQueue(replyTo, Buffer.from("in time"), { mandatory: true });
  await responder.waitForConfirms();
  expect(text(await replies.next())).toBe("in time");
  // RabbitMQ 3 does not count the requester as a queue: it returns the reply and delivers it as well.
  expect(returned).toEqual((await isOldRabbitMQ()) ? ["in time"] : []);
  returned.length = 0;
  await requester.close();
  responder.sendToQueue(replyTo, Buffer.from("too late"), { mandatory: true });
  responder.sendToQueue(replyTo, Buffer.from("too late, too"));
  await responder.waitForConfirms();
  expect(returned).toEqual(["too late"]);
});

test("P13 asking without waiting for replies closes the channel with 406", async () => {
  const { connection } = await connect();
  const [channel, other] = [await connection.createChannel(), await connection.createChannel()];
  const queue = await newQueue(channel);
  // A consumer on another channel does not help.
  await consume(other, REPLY_TO, { noAck: true });
  channel.sendToQueue(queue, Buffer.from("ping"), { replyTo: REPLY_TO });
  expect(await channelError(channel)).toEqual({
    code: 406,
    classId: 60,
    methodId: 40,
    message: "PRECONDITION_FAILED - fast reply consumer does not exist",
  });
});

test("P13 replies cannot be consumed with acknowledgements", async () => {
  const channel = await openChannel();
  expect(await refused(channel, consume(channel, REPLY_TO))).toEqual({
    code: 406,
    classId: 60,
    methodId: 20,
    message: "PRECONDITION_FAILED - reply consumer cannot acknowledge",
  });
});

test("P13 a channel has one consumer of replies, and may have another once that is cancelled", async () => {
  const channel = await openChannel();
  const { consumerTag } = await consume(channel, REPLY_TO, { noAck: true });
  await channel.cancel(consumerTag);
  await consume(channel, REPLY_TO, { noAck: true });
  expect(await refused(channel, consume(channel, REPLY_TO, { noAck: true }))).toEqual({
    code: 406,
    classId: 60,
    methodId: 20,
    message: "PRECONDITION_FAILED - reply consumer already set",
  });
});

test("P13 a second consumer of replies is refused in these words with the first one's tag, too", async () => {
  const channel = await openChannel();
  const options = { noAck: true, consumerTag: "twice" };
  await consume(channel, REPLY_TO, options);
  expect(await refused(channel, consume(channel, REPLY_TO, options))).toMatchObject({
    code: 406,
    message: "PRECONDITION_FAILED - reply consumer already set",
  });
});

test("P13 the tag of another consumer cannot be used for replies", async () => {
  const { connection } = await connect();
  const channel = await connection.createChannel();
  const queue = await newQueue(channel);
  await consume(channel, queue, { consumerTag: "taken" });
  channel.on("error", () => {});
  const again = consume(channel, REPLY_TO, { noAck: true, consumerTag: "taken" });
  await expect(again).rejects.toThrow();
  expect(await connectionError(connection)).toMatchObject({
    code: 530,
    message: "NOT_ALLOWED - attempt to reuse consumer tag 'taken'",
  });
});

test("P13 P4 a request that comes back bears the name that the broker gave its reply-to", async () => {
  const channel = await openConfirmChannel();
  await consume(channel, REPLY_TO, { noAck: true });
  const returned: string[] = [];
  channel.on("return", (message) => returned.push(message.properties.replyTo));
  channel.sendToQueue(unique("nobody"), Buffer.from("x"), { mandatory: true, replyTo: REPLY_TO });
  await channel.waitForConfirms();
  expect(returned).toEqual([expect.stringMatching(/^amq\.rabbitmq\.reply-to\..+/)]);
});

test("P13 a passive declare tells whether somebody still waits for the reply", async () => {
  const { requester, responder, request } = await requested();
  const { replyTo } = request.properties;
  expect(await responder.checkQueue(replyTo)).toEqual({
    queue: replyTo,
    messageCount: 0,
    consumerCount: 1,
  });
  await requester.close();
  expect(await refused(responder, responder.checkQueue(replyTo))).toEqual({
    code: 404,
    classId: 50,
    methodId: 10,
    message: `NOT_FOUND - no queue '${replyTo}' in vhost '/'`,
  });
});

test("P13 the name that clients write passes for a queue with one consumer", async () => {
  const channel = await openChannel();
  expect(await channel.checkQueue(REPLY_TO)).toEqual({
    queue: REPLY_TO,
    messageCount: 0,
    consumerCount: 1,
  });
});

test("P13 a declare that is not passive finds the name, too, and a delete does not end the replies", async () => {
  const { replies, responder, request } = await requested();
  const { replyTo } = request.properties;
  expect(await responder.assertQueue(replyTo)).toMatchObject({ queue: replyTo, consumerCount: 1 });
  expect(await responder.deleteQueue(replyTo)).toEqual({ messageCount: 0 });
  responder.sendToQueue(replyTo, Buffer.from("pong"));
  expect(text(await replies.next())).toBe("pong");
});

test("P13 a reply queue can be named in CC", async () => {
  const { replies, responder, request } = await requested();
  const { replyTo } = request.properties;
  responder.publish("", unique("nobody"), Buffer.from("pong"), { CC: [replyTo] });
  expect(text(await replies.next())).toBe("pong");
});

test.each(["purge", "get", "consume"])("P13 %s does not find a reply queue", async (request) => {
  const { responder, request: message } = await requested();
  const { replyTo } = message.properties;
  const requests: Record<string, () => Promise<unknown>> = {
    purge: () => responder.purgeQueue(replyTo),
    get: () => responder.get(replyTo),
    consume: () => consume(responder, replyTo, { noAck: true }),
  };
  expect(await refused(responder, requests[request]!())).toMatchObject({
    code: 404,
    message: `NOT_FOUND - no queue '${replyTo}' in vhost '/'`,
  });
});

test("P13 X17 a reply queue cannot be bound", async () => {
  const { responder, request } = await requested();
  const { replyTo } = request.properties;
  // RabbitMQ 3 looks for a queue of that name, RabbitMQ 4 knows what it is.
  const isOld = await isOldRabbitMQ();
  const expected = isOld
    ? { code: 404, message: `NOT_FOUND - no queue '${replyTo}' in vhost '/'` }
    : {
        code: 403,
        message: "ACCESS_REFUSED - cannot bind or unbind to a volatile (direct reply-to) queue",
      };
  expect(await refused(responder, responder.bindQueue(replyTo, "amq.direct", "key"))).toEqual({
    ...expected,
    ...{ classId: 50, methodId: 20 },
  });
  const unbinding = await openChannel();
  const unbind = unbinding.unbindQueue(replyTo, "amq.direct", "key");
  if (isOld) await unbind;
  else expect(await refused(unbinding, unbind)).toEqual({ ...expected, classId: 50, methodId: 50 });
});
