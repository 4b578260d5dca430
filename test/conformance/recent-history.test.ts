/**
 * x-recent-history: every queue gets every message, and one that is bound later gets the last ones. Reference row X24.
 */
import type { Channel, ConfirmChannel, Options } from "amqplib";
import { describe, expect, test } from "vitest";
import {
  drain,
  isOldRabbitMQ,
  openChannel,
  openConfirmChannel,
  refused,
  unique,
  untilReady,
} from "./harness.ts";

const LENGTH = "x-recent-history-length";

async function withHistory(args: object = {}, more: Options.AssertExchange = {}) {
  const channel = await openConfirmChannel();
  const exchange = unique("history");
  await channel.assertExchange(exchange, "x-recent-history", {
    durable: false,
    arguments: args,
    ...more,
  });
  return { channel, exchange };
}

async function newQueue(channel: Channel, options: Options.AssertQueue = {}): Promise<string> {
  const queue = unique("queue");
  await channel.assertQueue(queue, { durable: false, ...options });
  return queue;
}

async function publish(
  channel: ConfirmChannel,
  exchange: string,
  texts: string[],
  options: Options.Publish = {},
): Promise<void> {
  for (const text of texts) channel.publish(exchange, `key ${text}`, Buffer.from(text), options);
  await channel.waitForConfirms();
}

async function bound(channel: Channel, exchange: string, key = ""): Promise<string> {
  const queue = await newQueue(channel);
  await channel.bindQueue(queue, exchange, key);
  return queue;
}

describe("X24 a recent-history exchange", () => {
  test("gives a queue that is bound the last twenty messages, in their order", async () => {
    const { channel, exchange } = await withHistory();
    const texts = Array.from({ length: 25 }, (_, index) => `${index}`);
    await publish(channel, exchange, texts);
    const queue = await bound(channel, exchange);
    expect(await drain(channel, queue)).toEqual(texts.slice(5));
    // They stay for the next.
    expect(await drain(channel, await bound(channel, exchange))).toEqual(texts.slice(5));
  });

  test("keeps as many as its argument says", async () => {
    const { channel, exchange } = await withHistory({ [LENGTH]: 2 });
    await publish(channel, exchange, ["a"]);
    expect(await drain(channel, await bound(channel, exchange))).toEqual(["a"]);
    await publish(channel, exchange, ["b", "c"]);
    expect(await drain(channel, await bound(channel, exchange))).toEqual(["b", "c"]);
  });

  test("gives each message to every queue that is bound, whatever the keys", async () => {
    const { channel, exchange } = await withHistory();
    const queues = [await bound(channel, exchange, "a"), await bound(channel, exchange, "b")];
    await channel.bindQueue(queues[0]!, exchange, "c");
    await publish(channel, exchange, ["1", "2"], { CC: ["a", "b"] });
    for (const queue of queues) expect(await drain(channel, queue)).toEqual(["1", "2"]);
  });

  test("hands messages over as they were published", async () => {
    const { channel, exchange } = await withHistory();
    await publish(channel, exchange, ["m"], {
      ...{ headers: { h: "v" }, messageId: "id", priority: 3, deliveryMode: 2 },
    });
    const queue = await bound(channel, exchange, "another key");
    const message = await channel.get(queue, { noAck: true });
    if (message === false) throw new Error("there is no message");
    const { fields, properties } = message;
    expect(fields).toMatchObject({ exchange, routingKey: "key m", redelivered: false });
    expect(properties).toMatchObject({
      ...{ headers: { h: "v" }, messageId: "id", priority: 3, deliveryMode: 2 },
    });
  });

  test("keeps no message that asks not to be kept, but gives it to those who are bound", async () => {
    const { channel, exchange } = await withHistory();
    const queue = await bound(channel, exchange);
    const header = "x-recent-history-no-store";
    await publish(channel, exchange, ["not kept"], { headers: { [header]: true } });
    await publish(channel, exchange, ["kept"], { headers: { [header]: false } });
    await publish(channel, exchange, ["kept too"], { headers: { [header]: "true" } });
    expect(await drain(channel, queue)).toEqual(["not kept", "kept", "kept too"]);
    expect(await drain(channel, await bound(channel, exchange))).toEqual(["kept", "kept too"]);
  });

  test("hands them over for each new binding, and for none that is there already", async () => {
    const { channel, exchange } = await withHistory({ [LENGTH]: 2 });
    await publish(channel, exchange, ["a", "b"]);
    const queue = await bound(channel, exchange);
    await channel.bindQueue(queue, exchange, "");
    expect(await drain(channel, queue)).toEqual(["a", "b"]);
    await channel.bindQueue(queue, exchange, "other");
    expect(await drain(channel, queue)).toEqual(["a", "b"]);
  });

  test("hands them to an exchange that is bound, which routes them", async () => {
    const { channel, exchange } = await withHistory({ [LENGTH]: 3 });
    const direct = unique("direct");
    await channel.assertExchange(direct, "direct", { durable: false });
    const queue = await newQueue(channel);
    for (const key of ["key a", "key b", "key c"]) await channel.bindQueue(queue, direct, key);
    await publish(channel, exchange, ["a", "b", "c"]);
    await channel.bindExchange(direct, exchange, "");
    await untilReady(queue, 3);
    const expected = ["a", "b", "c"];
    // 3.10 begins with the newest there.
    if (await isOldRabbitMQ()) expected.reverse();
    expect(await drain(channel, queue)).toEqual(expected);
  });

  test("keeps its history when handing it over brings it back", async () => {
    const { channel, exchange } = await withHistory({ [LENGTH]: 3 });
    const circle = unique("fanout");
    await channel.assertExchange(circle, "fanout", { durable: false });
    const queue = await bound(channel, circle);
    await channel.bindExchange(exchange, circle, "");
    await publish(channel, exchange, ["a", "b", "c", "d"]);
    await channel.bindExchange(circle, exchange, "");
    await untilReady(queue, 3);
    expect((await drain(channel, queue)).sort()).toEqual(["b", "c", "d"]);
    const later = await drain(channel, await bound(channel, exchange));
    expect(later.sort()).toEqual(["b", "c", "d"]);
    await publish(channel, exchange, ["e"]);
    expect(await drain(channel, queue)).toEqual(["e"]);
  });

  test("keeps what came to it through another exchange", async () => {
    const { channel, exchange } = await withHistory();
    const outer = unique("fanout");
    await channel.assertExchange(outer, "fanout", { durable: false });
    await channel.bindExchange(exchange, outer, "");
    await publish(channel, outer, ["a"]);
    expect(await drain(channel, await bound(channel, exchange))).toEqual(["a"]);
  });

  test("that keeps a message which goes nowhere has not routed it", async () => {
    const channel = await openConfirmChannel();
    const alternate = unique("fanout");
    await channel.assertExchange(alternate, "fanout", { durable: false });
    const { exchange } = await withHistory({ "alternate-exchange": alternate });
    const returned: string[] = [];
    channel.on("return", (message) => returned.push(message.content.toString()));
    await publish(channel, exchange, ["lost"], { mandatory: true });
    expect(returned).toEqual(["lost"]);
    const fallback = await bound(channel, alternate);
    await publish(channel, exchange, ["to the alternate"], { mandatory: true });
    expect(returned).toEqual(["lost"]);
    expect(await drain(channel, fallback)).toEqual(["to the alternate"]);
    const queue = await bound(channel, exchange);
    expect(await drain(channel, queue)).toEqual(["lost", "to the alternate"]);
  });

  test("takes its history with it when it is deleted", async () => {
    const { channel, exchange } = await withHistory();
    await publish(channel, exchange, ["old"]);
    await channel.deleteExchange(exchange);
    await channel.assertExchange(exchange, "x-recent-history", { durable: false });
    await publish(channel, exchange, ["new"]);
    expect(await drain(channel, await bound(channel, exchange))).toEqual(["new"]);
  });

  test.each([
    [0, "0"],
    [-3, "-3"],
    ["ten", '<<"ten">>'],
    [1.5, "1.5"],
    [true, "true"],
  ])("refuses the length %j", async (length, shown) => {
    const channel = await openChannel();
    const declared = channel.assertExchange(unique("x"), "x-recent-history", {
      arguments: { [LENGTH]: length },
    });
    expect(await refused(channel, declared)).toEqual({
      ...{ code: 406, classId: 40, methodId: 10 },
      message: `PRECONDITION_FAILED - Invalid argument ${shown}, '${LENGTH}' must be a positive integer`,
    });
  });
});
