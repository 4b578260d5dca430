/**
 * Bindings: what makes two of them one, what happens when an end is missing, exchanges bound to exchanges, and
 * alternate exchanges. Reference rows X15 to X17.
 */
import type { Channel } from "amqplib";
import { describe, expect, test } from "vitest";
import { connect, drain, openChannel, refused, unique } from "./harness.ts";

const QUEUE_BIND = { classId: 50, methodId: 20 };
const EXCHANGE_BIND = { classId: 40, methodId: 30 };

async function exchangeOf(channel: Channel, type: string, options = {}): Promise<string> {
  const exchange = unique(type);
  await channel.assertExchange(exchange, type, options);
  return exchange;
}

async function queueOf(channel: Channel): Promise<string> {
  const queue = unique("queue");
  await channel.assertQueue(queue);
  return queue;
}

function notFound(what: string, ids: { classId: number; methodId: number }) {
  return { code: 404, message: `NOT_FOUND - no ${what} in vhost '/'`, ...ids };
}

describe("X17 a binding", () => {
  test("made twice is one binding, and unbound once is gone", async () => {
    const channel = await openChannel();
    const [exchange, queue] = [await exchangeOf(channel, "direct"), await queueOf(channel)];
    await channel.bindQueue(queue, exchange, "key", { a: 1 });
    await channel.bindQueue(queue, exchange, "key", { a: 1 });
    channel.publish(exchange, "key", Buffer.from("once"));
    await channel.unbindQueue(queue, exchange, "key", { a: 1 });
    channel.publish(exchange, "key", Buffer.from("gone"));
    expect(await drain(channel, queue)).toEqual(["once"]);
  });

  test("with other arguments is another binding", async () => {
    const channel = await openChannel();
    const [exchange, queue] = [await exchangeOf(channel, "direct"), await queueOf(channel)];
    await channel.bindQueue(queue, exchange, "key", { a: 1 });
    await channel.bindQueue(queue, exchange, "key", { a: 2 });
    await channel.unbindQueue(queue, exchange, "key", { a: 1 });
    channel.publish(exchange, "key", Buffer.from("still bound"));
    await channel.unbindQueue(queue, exchange, "key", { a: 2 });
    channel.publish(exchange, "key", Buffer.from("gone"));
    expect(await drain(channel, queue)).toEqual(["still bound"]);
  });

  test("is the same in whichever order its arguments come", async () => {
    const channel = await openChannel();
    const [exchange, queue] = [await exchangeOf(channel, "direct"), await queueOf(channel)];
    await channel.bindQueue(queue, exchange, "key", { a: 1, b: 2 });
    await channel.unbindQueue(queue, exchange, "key", { b: 2, a: 1 });
    channel.publish(exchange, "key", Buffer.from("gone"));
    expect(await drain(channel, queue)).toEqual([]);
  });

  test("that does not exist can be unbound, as can one of a missing queue or exchange", async () => {
    const channel = await openChannel();
    const [exchange, queue] = [await exchangeOf(channel, "direct"), await queueOf(channel)];
    await channel.unbindQueue(queue, exchange, "never bound");
    await channel.unbindQueue("no-such-queue", exchange, "key");
    await channel.unbindQueue(queue, "no-such-exchange", "key");
    await channel.unbindExchange(exchange, "amq.fanout", "never bound");
    await channel.unbindExchange(exchange, "no-such-exchange", "key");
    await channel.unbindExchange("no-such-exchange", exchange, "key");
    await channel.checkQueue(queue);
  });

  test("wants its queue and its exchange to exist", async () => {
    const channel = await openChannel();
    const queue = await queueOf(channel);
    expect(await refused(channel, channel.bindQueue(queue, "no-such-exchange", "key"))).toEqual(
      notFound("exchange 'no-such-exchange'", QUEUE_BIND),
    );
    const other = await openChannel();
    expect(await refused(other, other.bindQueue("no-such-queue", "amq.direct", "key"))).toEqual(
      notFound("queue 'no-such-queue'", QUEUE_BIND),
    );
    const both = await openChannel();
    expect(await refused(both, both.bindQueue("no-such-queue", "no-such-exchange", "k"))).toEqual(
      notFound("exchange 'no-such-exchange'", QUEUE_BIND),
    );
  });

  test("between exchanges wants both to exist", async () => {
    const from = await openChannel();
    expect(await refused(from, from.bindExchange("amq.fanout", "no-such-exchange", ""))).toEqual(
      notFound("exchange 'no-such-exchange'", EXCHANGE_BIND),
    );
    const to = await openChannel();
    expect(await refused(to, to.bindExchange("no-such-exchange", "amq.fanout", ""))).toEqual(
      notFound("exchange 'no-such-exchange'", EXCHANGE_BIND),
    );
  });

  test("goes with its queue, and does not come back with a queue of the same name", async () => {
    const channel = await openChannel();
    const [exchange, queue] = [await exchangeOf(channel, "direct"), await queueOf(channel)];
    await channel.bindQueue(queue, exchange, "key");
    await channel.deleteQueue(queue);
    await channel.assertQueue(queue);
    channel.publish(exchange, "key", Buffer.from("nowhere"));
    expect(await drain(channel, queue)).toEqual([]);
  });

  test("Q8 of another connection's exclusive queue can be neither made nor removed", async () => {
    const owner = await openChannel();
    const { queue } = await owner.assertQueue("", { exclusive: true });
    await owner.bindQueue(queue, "amq.direct", queue);
    const message = `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.`;
    const binding = await openChannel();
    expect(await refused(binding, binding.bindQueue(queue, "amq.direct", "other"))).toEqual({
      code: 405,
      message,
      ...QUEUE_BIND,
    });
    const unbinding = await openChannel();
    // Of a binding that is not there nobody asks whose queue it is.
    await unbinding.unbindQueue(queue, "amq.direct", "other");
    expect(await refused(unbinding, unbinding.unbindQueue(queue, "amq.direct", queue))).toEqual({
      code: 405,
      message,
      classId: 50,
      methodId: 50,
    });
    owner.publish("amq.direct", queue, Buffer.from("still bound"));
    expect(await drain(owner, queue)).toEqual(["still bound"]);
  });
});

describe("X16 an exchange bound to another", () => {
  test("passes on what its own type lets through, with the same routing key", async () => {
    const channel = await openChannel();
    const [front, back] = [await exchangeOf(channel, "topic"), await exchangeOf(channel, "direct")];
    const queue = await queueOf(channel);
    await channel.bindExchange(back, front, "a.*");
    await channel.bindQueue(queue, back, "a.b");
    for (const key of ["a.b", "a.c", "b.b"]) channel.publish(front, key, Buffer.from(key));
    const message = await channel.get(queue, { noAck: true });
    expect(message).toMatchObject({ fields: { routingKey: "a.b", exchange: front } });
    expect(await drain(channel, queue)).toEqual([]);
  });

  test("brings a message once to a queue, however many ways there are", async () => {
    const channel = await openChannel();
    const front = await exchangeOf(channel, "fanout");
    const queue = await queueOf(channel);
    for (let way = 0; way < 3; way++) {
      const back = await exchangeOf(channel, "fanout");
      await channel.bindExchange(back, front, "");
      await channel.bindQueue(queue, back, "");
    }
    await channel.bindQueue(queue, front, "");
    channel.publish(front, "", Buffer.from("once"));
    expect(await drain(channel, queue)).toEqual(["once"]);
  });

  test("and bound back again makes a cycle that a message goes round once", async () => {
    const channel = await openChannel();
    const [one, two] = [await exchangeOf(channel, "fanout"), await exchangeOf(channel, "fanout")];
    const [queueOne, queueTwo] = [await queueOf(channel), await queueOf(channel)];
    await channel.bindExchange(two, one, "");
    await channel.bindExchange(one, two, "");
    await channel.bindExchange(one, one, "");
    await channel.bindQueue(queueOne, one, "");
    await channel.bindQueue(queueTwo, two, "");
    channel.publish(two, "", Buffer.from("m"));
    expect([await drain(channel, queueOne), await drain(channel, queueTwo)]).toEqual([
      ["m"],
      ["m"],
    ]);
  });

  test("is unbound again, and gone when either end is deleted", async () => {
    const channel = await openChannel();
    const [front, back] = [
      await exchangeOf(channel, "fanout"),
      await exchangeOf(channel, "fanout"),
    ];
    const queue = await queueOf(channel);
    await channel.bindQueue(queue, back, "");
    await channel.bindExchange(back, front, "");
    channel.publish(front, "", Buffer.from("bound"));
    await channel.unbindExchange(back, front, "");
    channel.publish(front, "", Buffer.from("unbound"));
    await channel.bindExchange(back, front, "");
    await channel.deleteExchange(front);
    await channel.assertExchange(front, "fanout");
    channel.publish(front, "", Buffer.from("deleted"));
    expect(await drain(channel, queue)).toEqual(["bound"]);
  });
});

describe("X15 an alternate exchange", () => {
  test("takes what its exchange does not route, with the same key, and nothing else", async () => {
    const channel = await openChannel();
    const alternate = await exchangeOf(channel, "fanout");
    const exchange = await exchangeOf(channel, "direct", { alternateExchange: alternate });
    const [queue, rest] = [await queueOf(channel), await queueOf(channel)];
    await channel.bindQueue(queue, exchange, "key");
    await channel.bindQueue(rest, alternate, "");
    channel.publish(exchange, "key", Buffer.from("routed"));
    channel.publish(exchange, "other", Buffer.from("not routed"));
    const message = await channel.get(rest, { noAck: true });
    expect(message).toMatchObject({ fields: { routingKey: "other", exchange } });
    expect(await drain(channel, queue)).toEqual(["routed"]);
    expect(await drain(channel, rest)).toEqual([]);
  });

  test("may have one of its own, and a circle of them ends", async () => {
    const channel = await openChannel();
    const [one, two, three] = [unique("one"), unique("two"), unique("three")];
    await channel.assertExchange(one, "direct", { alternateExchange: two });
    await channel.assertExchange(two, "direct", { alternateExchange: three });
    await channel.assertExchange(three, "direct", { alternateExchange: one });
    const queue = await queueOf(channel);
    await channel.bindQueue(queue, three, "key");
    const returned: string[] = [];
    channel.on("return", (message) => returned.push(message.content.toString()));
    channel.publish(one, "key", Buffer.from("at the third"), { mandatory: true });
    channel.publish(one, "nowhere", Buffer.from("round and back"), { mandatory: true });
    expect(await drain(channel, queue)).toEqual(["at the third"]);
    expect(returned).toEqual(["round and back"]);
  });

  test("that does not exist leaves the message unrouted", async () => {
    const channel = await openChannel();
    const alternateExchange = unique("missing");
    const exchange = await exchangeOf(channel, "direct", { alternateExchange });
    const returned: string[] = [];
    channel.on("return", (message) => returned.push(message.content.toString()));
    channel.publish(exchange, "key", Buffer.from("returned"), { mandatory: true });
    channel.publish(exchange, "key", Buffer.from("dropped"));
    await channel.checkExchange(exchange);
    expect(returned).toEqual(["returned"]);
    // Once it exists it is used, also by exchanges that were declared before.
    await channel.assertExchange(alternateExchange, "fanout");
    const queue = await queueOf(channel);
    await channel.bindQueue(queue, alternateExchange, "");
    channel.publish(exchange, "key", Buffer.from("found"));
    expect(await drain(channel, queue)).toEqual(["found"]);
  });

  test("is asked when a bound exchange finds nothing, even though another binding did", async () => {
    const channel = await openChannel();
    const alternate = await exchangeOf(channel, "fanout");
    const front = await exchangeOf(channel, "fanout");
    const back = await exchangeOf(channel, "direct", { alternateExchange: alternate });
    const [queue, rest] = [await queueOf(channel), await queueOf(channel)];
    await channel.bindQueue(queue, front, "");
    await channel.bindQueue(rest, alternate, "");
    await channel.bindExchange(back, front, "");
    channel.publish(front, "key", Buffer.from("m"));
    expect([await drain(channel, queue), await drain(channel, rest)]).toEqual([["m"], ["m"]]);
  });

  test("is not asked when the exchange has a binding to an exchange that routes nowhere", async () => {
    const channel = await openChannel();
    const alternate = await exchangeOf(channel, "fanout");
    const front = await exchangeOf(channel, "fanout", { alternateExchange: alternate });
    const back = await exchangeOf(channel, "direct");
    const rest = await queueOf(channel);
    await channel.bindQueue(rest, alternate, "");
    await channel.bindExchange(back, front, "");
    channel.publish(front, "key", Buffer.from("into nothing"));
    expect(await drain(channel, rest)).toEqual([]);
  });

  test("may be internal, and may be the exchange itself", async () => {
    const { connection } = await connect();
    const channel = await connection.createChannel();
    const alternate = await exchangeOf(channel, "fanout", { internal: true });
    const exchange = await exchangeOf(channel, "direct", { alternateExchange: alternate });
    const queue = await queueOf(channel);
    await channel.bindQueue(queue, alternate, "");
    channel.publish(exchange, "key", Buffer.from("m"));
    expect(await drain(channel, queue)).toEqual(["m"]);
    const own = unique("own");
    await channel.assertExchange(own, "direct", { alternateExchange: own });
    channel.publish(own, "key", Buffer.from("nowhere"));
    await channel.checkExchange(own);
  });
});
