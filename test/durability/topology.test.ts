/** Which exchanges, queues and bindings outlive a restart, and what they are afterwards. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Options } from "amqplib";
import { describe, expect, test } from "vitest";
import { type FieldTable, longstr } from "../../src/amqp/field-table.ts";
import { queueEntry } from "../../src/broker/topology.ts";
import { FileDisk } from "../../src/store/disk.ts";
import { EntryLog } from "../../src/store/entry-log.ts";
import { Turn } from "../../src/turn.ts";
import { drainTexts, KeptBroker, numbered, sendTexts } from "./kept-broker.ts";

/** Resolves when the channel's operation is refused with this reason. */
async function refused(
  broker: KeptBroker,
  queue: string,
  options: Options.AssertQueue,
  text: string,
) {
  const channel = await broker.channel();
  await expect(channel.assertQueue(queue, options)).rejects.toThrow(text);
}

describe("Q7 durable queues", () => {
  const queues: Record<string, Options.AssertQueue> = {
    plain: {},
    limited: {
      maxLength: 2,
      arguments: { "x-max-length-bytes": 1000, "x-overflow": "reject-publish" },
    },
    "dead-lettering": {
      deadLetterExchange: "dlx",
      deadLetterRoutingKey: "dead",
      messageTtl: 60_000,
    },
    priority: { maxPriority: 4 },
    expiring: { expires: 600_000 },
    single: { arguments: { "x-single-active-consumer": true } },
    quorum: { arguments: { "x-queue-type": "quorum" } },
  };

  test("come back with their arguments: the same declaration fits, another does not", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    for (const [name, options] of Object.entries(queues)) await channel.assertQueue(name, options);
    const again = await broker.restart();
    for (const [name, options] of Object.entries(queues)) await again.assertQueue(name, options);
    const refusals = [
      ["plain", { maxPriority: 1 }, "inequivalent arg 'x-max-priority'"],
      ["limited", { maxLength: 3, arguments: { "x-max-length-bytes": 1000 } }, "'x-max-length'"],
      ["priority", { maxPriority: 5 }, "received '5' but current is '4'"],
      [
        "single",
        { arguments: { "x-single-active-consumer": false } },
        "'x-single-active-consumer'",
      ],
      ["plain", { durable: false }, "inequivalent arg 'durable'"],
    ] as const;
    for (const [queue, options, text] of refusals) await refused(broker, queue, options, text);
  });

  test("with an argument that is not valid any more come back without it, and the log says so", async () => {
    const broker = await KeptBroker.start();
    await (await broker.channel()).assertQueue("valid");
    await broker.stop();
    const log = new EntryLog<object>(new FileDisk(broker.folder), new Turn(), "topology", () => []);
    log.read();
    const args: FieldTable = new Map([
      ["x-max-length", longstr("two")],
      ["x-overflow", longstr("reject-publish")],
      ["x-max-priority", { type: "I", value: 1000 }],
    ]);
    log.append(queueEntry("/", { id: 50, name: "invalid", autoDelete: false, arguments: args }));
    log.flush();
    log.close();
    await broker.start();
    const channel = await broker.channel();
    await channel.checkQueue("valid");
    await sendTexts(channel, "invalid", numbered("m", 3));
    expect(await drainTexts(channel, "invalid")).toEqual(numbered("m", 3));
    const [warning, ...others] = broker.warnings;
    expect(others).toEqual([]);
    expect(warning).toContain("arguments of queue 'invalid' in vhost '/' are not valid");
    for (const argument of ["x-max-length", "x-max-priority"])
      expect(warning).toContain(`invalid arg '${argument}'`);
  });

  test("keep to their limits", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    await channel.assertQueue("refusing", {
      maxLength: 2,
      arguments: { "x-overflow": "reject-publish" },
    });
    await channel.assertQueue("dropping", { maxLength: 2 });
    await sendTexts(channel, "refusing", ["1"]);
    await sendTexts(channel, "dropping", ["1"]);
    const again = await broker.restart();
    await sendTexts(again, "refusing", ["2"]);
    await expect(sendTexts(again, "refusing", ["3"])).rejects.toThrow("message nacked");
    await sendTexts(again, "dropping", ["2", "3"]);
    expect(await drainTexts(again, "refusing")).toEqual(["1", "2"]);
    expect(await drainTexts(again, "dropping")).toEqual(["2", "3"]);
  });
});

describe("X10 exchanges and bindings", () => {
  test("come back: types, arguments, every kind of binding", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    await channel.assertExchange("direct", "direct", { alternateExchange: "fanout" });
    await channel.assertExchange("topic", "topic");
    await channel.assertExchange("fanout", "fanout");
    await channel.assertExchange("headers", "headers");
    await channel.assertExchange("inner", "fanout", { internal: true });
    for (const queue of ["a", "b", "c"]) await channel.assertQueue(queue);
    await channel.bindQueue("a", "direct", "key");
    await channel.bindQueue("a", "topic", "one.*.#");
    await channel.bindQueue("b", "fanout", "");
    await channel.bindQueue("b", "headers", "", {
      "x-match": "all",
      number: 5,
      flag: true,
      text: "t",
    });
    await channel.bindExchange("inner", "topic", "to.inner");
    await channel.bindQueue("c", "inner", "");
    await channel.bindQueue("c", "amq.topic", "predeclared");
    const again = await broker.restart();
    const publish = (exchange: string, key: string, headers = {}) =>
      again.publish(exchange, key, Buffer.from(`${exchange} ${key}`), {
        persistent: true,
        headers,
      });
    publish("direct", "key");
    publish("direct", "other");
    publish("topic", "one.two.three");
    publish("topic", "to.inner");
    publish("headers", "typed", { number: 5, flag: true, text: "t" });
    publish("headers", "wrong type", { number: "5", flag: true, text: "t" });
    publish("amq.topic", "predeclared");
    await again.waitForConfirms();
    expect(await drainTexts(again, "a")).toEqual(["direct key", "topic one.two.three"]);
    expect(await drainTexts(again, "b")).toEqual(["direct other", "headers typed"]);
    expect(await drainTexts(again, "c")).toEqual(["topic to.inner", "amq.topic predeclared"]);
    const lone = await broker.channel();
    await expect(lone.assertExchange("direct", "fanout")).rejects.toThrow(
      "inequivalent arg 'type'",
    );
    const other = await broker.channel();
    other.publish("inner", "", Buffer.alloc(0));
    await expect(other.waitForConfirms()).rejects.toThrow();
  });

  test("are gone when they were transient, or bound something transient", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    await channel.assertExchange("transient", "fanout", { durable: false });
    await channel.assertExchange("durable", "fanout");
    await channel.assertQueue("kept");
    await channel.assertQueue("lost", { durable: false });
    await channel.bindQueue("kept", "transient", "");
    await channel.bindQueue("lost", "durable", "");
    const again = await broker.restart();
    await again.assertExchange("transient", "fanout");
    await again.assertQueue("lost");
    again.publish("transient", "", Buffer.from("x"), { persistent: true });
    again.publish("durable", "", Buffer.from("x"), { persistent: true });
    await again.waitForConfirms();
    expect(await drainTexts(again, "kept")).toEqual([]);
    expect(await drainTexts(again, "lost")).toEqual([]);
  });

  test("stay gone when they were deleted or unbound, by themselves or with what they belonged to", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    for (const exchange of ["deleted", "kept"]) await channel.assertExchange(exchange, "direct");
    await channel.assertExchange("auto", "direct", { autoDelete: true });
    for (const queue of ["q", "gone"]) await channel.assertQueue(queue);
    await channel.bindQueue("q", "deleted", "1");
    await channel.bindQueue("q", "kept", "bound");
    await channel.bindQueue("q", "kept", "unbound");
    await channel.bindQueue("q", "kept", "args", { a: 1 });
    await channel.bindQueue("gone", "kept", "to gone");
    await channel.bindQueue("gone", "auto", "");
    await channel.deleteExchange("deleted");
    await channel.unbindQueue("q", "kept", "unbound");
    await channel.unbindQueue("q", "kept", "args", { a: 1 });
    await channel.deleteQueue("gone");
    const again = await broker.restart();
    await again.assertQueue("gone");
    for (const key of ["bound", "unbound", "args", "to gone"]) {
      again.publish("kept", key, Buffer.from(key), { persistent: true });
    }
    await again.waitForConfirms();
    expect(await drainTexts(again, "q")).toEqual(["bound"]);
    expect(await drainTexts(again, "gone")).toEqual([]);
    for (const exchange of ["deleted", "auto"]) {
      const lone = await broker.channel();
      await expect(lone.checkExchange(exchange)).rejects.toThrow("NOT_FOUND");
    }
  });
});

test("thousands of changes leave what they came to, in a small log", async () => {
  const broker = await KeptBroker.start();
  const channel = await broker.channel();
  await channel.assertQueue("first");
  await sendTexts(channel, "first", ["of the first"]);
  await channel.assertExchange("x", "topic");
  const connection = await broker.connection();
  const declare = async (worker: number): Promise<void> => {
    const own = await connection.createChannel();
    for (let round = 0; round < 100; round++) {
      await own.assertQueue(`q${worker}`);
      await own.bindQueue(`q${worker}`, "x", `${worker}.${round}`);
      if (round < 99) await own.deleteQueue(`q${worker}`);
    }
  };
  await Promise.all(Array.from({ length: 20 }, (_, worker) => declare(worker)));
  await sendTexts(channel, "q3", numbered("m", 2));
  expect((await stat(join(broker.folder, "topology"))).size).toBeLessThan(300_000);
  const again = await broker.restart();
  again.publish("x", "3.99", Buffer.from("by the binding"), { persistent: true });
  again.publish("x", "3.98", Buffer.from("nowhere"), { persistent: true });
  await again.waitForConfirms();
  expect(await drainTexts(again, "first")).toEqual(["of the first"]);
  expect(await drainTexts(again, "q3")).toEqual(["m0", "m1", "by the binding"]);
  for (const name of ["q0", "q1", "q2", "q4"]) expect(await drainTexts(again, name)).toEqual([]);
});
