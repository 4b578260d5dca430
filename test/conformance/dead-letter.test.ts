/**
 * Dead lettering: which messages are published again when a queue lets go of them, where to, and with which
 * routing keys. Reference rows D1, D2, D7 to D9 and Q21; what is written on them is in x-death.test.ts.
 */
import { expect, test } from "vitest";
import { consume, openConfirmChannel, refused, unique, untilReady } from "./harness.ts";
import {
  deadLetterQueue,
  drain,
  get,
  newFanout,
  newQueue,
  send,
  text,
  texts,
  untilGone,
} from "./messaging.ts";

test("D1 a rejected message is dead-lettered, whether by reject or nack", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, { "x-dead-letter-exchange": exchange });
  await send(channel, queue, "rejected", "nacked", "nacked too");
  const rejected = await get(channel, queue);
  channel.reject(rejected, false);
  await get(channel, queue);
  const last = await get(channel, queue);
  channel.nack(last, true, false);
  const messages = await deadLetters.take(3);
  expect(texts(messages)).toEqual(["rejected", "nacked", "nacked too"]);
  const reasons = messages.map(({ properties }) => properties.headers?.["x-first-death-reason"]);
  expect(reasons).toEqual(["rejected", "rejected", "rejected"]);
});

test("D1 an expired message is dead-lettered", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-dead-letter-exchange": exchange,
    "x-message-ttl": 20,
  });
  await send(channel, queue, "x");
  const { properties } = await deadLetters.next();
  expect(properties.headers?.["x-first-death-reason"]).toBe("expired");
});

test("D1 a message pushed out by the length limit is dead-lettered", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, { "x-dead-letter-exchange": exchange, "x-max-length": 1 });
  await send(channel, queue, "1", "2", "3");
  const messages = await deadLetters.take(2);
  expect(texts(messages)).toEqual(["1", "2"]);
  const reasons = messages.map(({ properties }) => properties.headers?.["x-first-death-reason"]);
  expect(reasons).toEqual(["maxlen", "maxlen"]);
});

test("D1 acknowledged, requeued and purged messages are not dead-lettered, nor those of a deleted queue", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const args = { "x-dead-letter-exchange": exchange };
  const queue = await newQueue(channel, args);
  await send(channel, queue, "acked", "requeued", "purged");
  const acked = await get(channel, queue);
  channel.ack(acked);
  const requeued = await get(channel, queue);
  channel.nack(requeued, false, true);
  await channel.purgeQueue(queue);
  await send(channel, queue, "deleted");
  await channel.deleteQueue(queue);
  const expiring = await newQueue(channel, { ...args, "x-expires": 20 });
  channel.sendToQueue(expiring, Buffer.from("deleted with its queue"));
  await untilGone(expiring);
  const last = await newQueue(channel, { ...args, "x-message-ttl": 0 });
  channel.sendToQueue(last, Buffer.from("the only one"));
  expect(text(await deadLetters.next())).toBe("the only one");
  expect(deadLetters.count).toBe(0);
});

test("D2 the routing keys stay, those in CC and BCC too", async () => {
  const channel = await openConfirmChannel();
  const exchange = unique("dead-letters");
  await channel.assertExchange(exchange, "direct");
  const keys = ["cc", "bcc", "other"].map((stem) => unique(stem));
  const queue = await newQueue(channel, {
    "x-dead-letter-exchange": exchange,
    "x-message-ttl": 0,
  });
  const inboxes = [];
  for (const key of [queue, ...keys]) {
    const target = await newQueue(channel);
    await channel.bindQueue(target, exchange, key);
    inboxes.push(await consume(channel, target, { noAck: true }));
  }
  const [cc, bcc] = keys;
  channel.publish("", queue, Buffer.from("x"), { CC: [cc!], BCC: [bcc!] });
  for (const inbox of inboxes.slice(0, 3)) {
    const { fields, properties } = await inbox.next();
    expect(fields).toMatchObject({ exchange, routingKey: queue });
    expect(properties.headers).toMatchObject({ CC: [cc] });
    expect(properties.headers).not.toHaveProperty("BCC");
  }
  expect(inboxes[3]!.count).toBe(0);
});

test("D2 x-dead-letter-routing-key replaces all routing keys and removes CC", async () => {
  const channel = await openConfirmChannel();
  const exchange = unique("dead-letters");
  await channel.assertExchange(exchange, "direct");
  const [key, cc] = [unique("key"), unique("cc")];
  const [byKey, byCc] = [await newQueue(channel), await newQueue(channel)];
  await channel.bindQueue(byKey, exchange, key);
  await channel.bindQueue(byCc, exchange, cc);
  const queue = await newQueue(channel, {
    "x-dead-letter-exchange": exchange,
    "x-dead-letter-routing-key": key,
    "x-message-ttl": 0,
  });
  await channel.bindQueue(byCc, exchange, queue);
  const inbox = await consume(channel, byKey, { noAck: true });
  channel.publish("", queue, Buffer.from("x"), { CC: [cc] });
  const { fields, properties } = await inbox.next();
  expect(fields).toMatchObject({ exchange, routingKey: key });
  expect(properties.headers).not.toHaveProperty("CC");
  expect(await drain(channel, byCc)).toEqual([]);
});

test("D2 an empty x-dead-letter-routing-key is a key like any other", async () => {
  const channel = await openConfirmChannel();
  const exchange = unique("dead-letters");
  await channel.assertExchange(exchange, "direct");
  const target = await newQueue(channel);
  await channel.bindQueue(target, exchange, "");
  const queue = await newQueue(channel, {
    "x-dead-letter-exchange": exchange,
    "x-dead-letter-routing-key": "",
    "x-message-ttl": 0,
  });
  const inbox = await consume(channel, target, { noAck: true });
  channel.sendToQueue(queue, Buffer.from("x"));
  expect((await inbox.next()).fields.routingKey).toBe("");
});

test("D2 the exchange may be declared after the queue, and until then dead letters are dropped", async () => {
  const channel = await openConfirmChannel();
  const exchange = unique("dead-letters");
  const target = await newQueue(channel);
  const queue = await newQueue(channel, { "x-dead-letter-exchange": exchange, "x-max-length": 1 });
  await send(channel, queue, "lost", "kept");
  await channel.assertExchange(exchange, "fanout");
  await channel.bindQueue(target, exchange, "");
  await send(channel, queue, "last");
  expect(text(await (await consume(channel, target)).next())).toBe("kept");
});

test("D2 dead letters that no queue takes are dropped", async () => {
  const channel = await openConfirmChannel();
  const exchange = await newFanout(channel);
  const queue = await newQueue(channel, { "x-dead-letter-exchange": exchange, "x-max-length": 1 });
  await send(channel, queue, "dropped", "kept");
  expect(text(await get(channel, queue))).toBe("kept");
});

test("D2 dead letters go through exchange bindings and the alternate exchange", async () => {
  const channel = await openConfirmChannel();
  const { exchange: last, deadLetters } = await deadLetterQueue(channel);
  const exchange = unique("with-alternate");
  await channel.assertExchange(exchange, "direct", { alternateExchange: last });
  const queue = await newQueue(channel, {
    "x-dead-letter-exchange": exchange,
    "x-message-ttl": 0,
  });
  await send(channel, queue, "x");
  expect((await deadLetters.next()).fields).toMatchObject({ exchange, routingKey: queue });
});

test("D2 X9 an internal exchange takes dead letters", async () => {
  const channel = await openConfirmChannel();
  const exchange = unique("internal");
  await channel.assertExchange(exchange, "fanout", { internal: true });
  const target = await newQueue(channel);
  await channel.bindQueue(target, exchange, "");
  const queue = await newQueue(channel, {
    "x-dead-letter-exchange": exchange,
    "x-message-ttl": 0,
  });
  await send(channel, queue, "x");
  expect(text(await (await consume(channel, target, { noAck: true })).next())).toBe("x");
});

test("D2 a dead letter keeps its body and properties", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-dead-letter-exchange": exchange,
    "x-message-ttl": 0,
  });
  const properties = {
    contentType: "text/plain",
    deliveryMode: 2,
    priority: 3,
    correlationId: "c",
    replyTo: "r",
    messageId: "m",
    timestamp: 1_700_000_000,
    type: "t",
    appId: "a",
  };
  const body = Buffer.alloc(300_000, "dead");
  channel.sendToQueue(queue, body, { ...properties, headers: { mine: [1, "two"] } });
  const message = await deadLetters.next();
  expect(message.properties).toMatchObject({ ...properties, headers: { mine: [1, "two"] } });
  expect(message.content.equals(body)).toBe(true);
  expect(message.fields.redelivered).toBe(false);
});

test("D7 dead letters of one queue arrive in the order in which they died", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-dead-letter-exchange": exchange,
    "x-message-ttl": 30,
  });
  const bodies = Array.from({ length: 200 }, (_, i) => `${i}`);
  await send(channel, queue, ...bodies);
  expect(texts(await deadLetters.take(200))).toEqual(bodies);
});

test("D7 a queue has what was published to it before what another queue made of that", async () => {
  const channel = await openConfirmChannel();
  const target = await newQueue(channel);
  const dead = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": target };
  const short = await newQueue(channel, { ...dead, "x-message-ttl": 0 });
  const small = await newQueue(channel, { ...dead, "x-max-length": 0 });
  const fanout = await newFanout(channel, short, small, target);
  channel.publish(fanout, "", Buffer.from("x"));
  await channel.waitForConfirms();
  await untilReady(target, 3);
  const messages = await drain(channel, target);
  expect(messages.map(({ fields }) => fields.exchange)).toEqual([fanout, "", ""]);
});

test("D7 messages rejected in another order arrive in the order of their rejection", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, { "x-dead-letter-exchange": exchange });
  await send(channel, queue, "1", "2", "3");
  const inbox = await consume(channel, queue);
  const [one, two, three] = await inbox.take(3);
  for (const message of [three, one, two]) channel.reject(message!, false);
  expect(texts(await deadLetters.take(3))).toEqual(["3", "1", "2"]);
});

test("D8 dead letters are pushed out and rejected like other messages", async () => {
  const channel = await openConfirmChannel();
  const target = await newQueue(channel, { "x-max-length": 1, "x-overflow": "reject-publish" });
  const queue = await newQueue(channel, {
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": target,
    "x-max-length": 1,
  });
  const confirmed = await openConfirmChannel();
  for (const body of ["1", "2", "3"]) confirmed.sendToQueue(queue, Buffer.from(body));
  await confirmed.waitForConfirms();
  await untilReady(target, 1);
  expect(text(await get(channel, queue))).toBe("3");
  expect(text(await get(channel, target))).toBe("1");
});

test("D9 the default exchange as the target needs the name of a queue as the key", async () => {
  const channel = await openConfirmChannel();
  const target = await newQueue(channel);
  const queue = await newQueue(channel, {
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": target,
    "x-message-ttl": 0,
  });
  const inbox = await consume(channel, target, { noAck: true });
  await send(channel, queue, "x");
  expect((await inbox.next()).fields).toMatchObject({ exchange: "", routingKey: target });
});

test("D9 a rejected message can be sent back to the queue it came from", async () => {
  const channel = await openConfirmChannel();
  // Its own routing key is the name of the queue.
  const queue = await newQueue(channel, { "x-dead-letter-exchange": "" });
  await send(channel, queue, "1", "2");
  const inbox = await consume(channel, queue);
  const [first] = await inbox.take(2);
  channel.reject(first!, false);
  const again = await inbox.next();
  expect(text(again)).toBe("1");
  expect(again.fields).toMatchObject({ redelivered: false, exchange: "", routingKey: queue });
  channel.reject(again, false);
  expect((await inbox.next()).properties.headers?.["x-death"]).toMatchObject([{ count: 2 }]);
});

test.each<[Record<string, unknown>, (queue: string) => string]>([
  [
    { "x-dead-letter-exchange": 1 },
    (queue) => `invalid type 'byte' for arg 'x-dead-letter-exchange' in ${queue}`,
  ],
  [
    { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": 1 },
    (queue) => `invalid arg 'x-dead-letter-routing-key' for ${queue}: {unacceptable_type,byte}`,
  ],
  [
    { "x-dead-letter-routing-key": "key" },
    (queue) =>
      `invalid arg 'x-dead-letter-routing-key' for ${queue}: routing_key_but_no_dlx_defined`,
  ],
])("Q13 Q21 the arguments %j are refused with 406", async (args, reason) => {
  const channel = await openConfirmChannel();
  const queue = unique("queue");
  expect(await refused(channel, channel.assertQueue(queue, { arguments: args }))).toEqual({
    code: 406,
    classId: 50,
    methodId: 10,
    message: `PRECONDITION_FAILED - ${reason(`queue '${queue}' in vhost '/'`)}`,
  });
});
