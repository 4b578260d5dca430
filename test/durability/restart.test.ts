/** What a broker with a data folder has after it was stopped and started again: messages, and what is done with them. */

import { describe, expect, test } from "vitest";
import { VirtualClock } from "../../src/index.ts";
import { Random } from "../seeded.ts";
import { drain, drainTexts, KeptBroker, numbered, readyCount, sendTexts } from "./kept-broker.ts";
import { transaction } from "./transactional.ts";

describe("Q36 persistent messages", () => {
  test("come back whole, in order: properties, headers and bodies of every size", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    await channel.assertQueue("q");
    const random = new Random(1);
    const sizes = [0, 1, 100, 4096, 131_072, 1 << 20, 3 << 20, 0, 7];
    const bodies = sizes.map((bytes) => random.bytes(bytes));
    const options = {
      persistent: true,
      contentType: "application/octet-stream",
      contentEncoding: "identity",
      headers: {
        "x-text": "häschen",
        "x-number": 42,
        "x-list": [1, "two", true],
        "x-in": { a: null },
      },
      priority: 3,
      correlationId: "correlation",
      replyTo: "reply-here",
      messageId: "message-id",
      timestamp: 1_700_000_000,
      type: "a.type",
      appId: "an application",
      userId: "guest",
    };
    for (const body of bodies) channel.sendToQueue("q", body, options);
    await channel.waitForConfirms();
    const again = await broker.restart();
    const messages = await drain(again, "q");
    expect(messages.map(({ content }) => content.length)).toEqual(sizes);
    messages.forEach(({ content }, index) => {
      expect(content.equals(bodies[index]!)).toBe(true);
    });
    const { persistent: _, ...properties } = options;
    for (const message of messages) {
      expect(message.properties).toMatchObject({ ...properties, deliveryMode: 2 });
      expect(message.fields).toMatchObject({ exchange: "", routingKey: "q", redelivered: false });
    }
  });

  test("come back to every durable queue that took them, and what was routed once is not routed again", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    await channel.assertExchange("x", "fanout");
    for (const queue of ["a", "b", "c"]) {
      await channel.assertQueue(queue);
      await channel.bindQueue(queue, "x", "");
    }
    await channel.assertQueue("transient", { durable: false });
    await channel.bindQueue("transient", "x", "");
    channel.publish("x", "key", Buffer.from("one"), { persistent: true });
    await channel.waitForConfirms();
    await channel.unbindQueue("c", "x", "");
    expect(await drainTexts(channel, "b")).toEqual(["one"]);
    const again = await broker.restart();
    expect(await drainTexts(again, "a")).toEqual(["one"]);
    expect(await drainTexts(again, "b")).toEqual([]);
    expect(await drainTexts(again, "c")).toEqual(["one"]);
  });

  test("Q23 leave in order of priority after a restart", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    await channel.assertQueue("q", { maxPriority: 5 });
    for (const [text, priority] of [
      ["low 1", 1],
      ["high 1", 5],
      ["none 1", 0],
      ["low 2", 1],
      ["beyond", 9],
      ["none 2", 0],
    ] as const) {
      channel.sendToQueue("q", Buffer.from(text), { persistent: true, priority });
    }
    await channel.waitForConfirms();
    const again = await broker.restart();
    await sendTexts(again, "q", ["none 3"]);
    const order = ["high 1", "beyond", "low 1", "low 2", "none 1", "none 2", "none 3"];
    expect(await drainTexts(again, "q")).toEqual(order);
  });

  test("stand before those that were published after the restart", async () => {
    const broker = await KeptBroker.start();
    await (await broker.channel()).assertQueue("q");
    const expected: string[] = [];
    let channel = await broker.channel();
    for (let round = 0; round < 5; round++) {
      const texts = numbered(`round ${round}: `, 20);
      await sendTexts(channel, "q", texts);
      expected.push(...texts);
      channel = await broker.restart();
    }
    expect(await drainTexts(channel, "q")).toEqual(expected);
  });

  test("fill segments of any size", async () => {
    const broker = await KeptBroker.start({ segmentBytes: 1 << 16, memoryLimit: 1 << 17 });
    const channel = await broker.channel();
    await channel.assertQueue("q");
    const random = new Random(2);
    const bodies = Array.from({ length: 300 }, () => random.bytes(random.below(3000)));
    bodies.push(random.bytes(1 << 18), random.bytes(10));
    for (const body of bodies) channel.sendToQueue("q", body, { persistent: true });
    await channel.waitForConfirms();
    const again = await broker.restart();
    const messages = await drain(again, "q");
    expect(messages.length).toBe(bodies.length);
    expect(messages.every(({ content }, index) => content.equals(bodies[index]!))).toBe(true);
  });
});

describe("Q36 messages that nobody promised to keep", () => {
  test("Q7 Q8 are gone: transient ones, those of transient and of exclusive queues", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    await channel.assertQueue("durable");
    await channel.assertQueue("transient", { durable: false });
    await channel.assertQueue("exclusive", { durable: true, exclusive: true });
    channel.sendToQueue("durable", Buffer.from("transient"), { persistent: false });
    for (const queue of ["durable", "transient", "exclusive"]) {
      channel.sendToQueue(queue, Buffer.from(`to ${queue}`), { persistent: true });
    }
    await channel.waitForConfirms();
    const again = await broker.restart();
    expect(await drainTexts(again, "durable")).toEqual(["to durable"]);
    for (const queue of ["transient", "exclusive"]) {
      const lone = await broker.channel();
      await expect(lone.checkQueue(queue)).rejects.toThrow("NOT_FOUND");
    }
  });

  test("are not those of the queue that is declared under the name of a transient one", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    await channel.assertQueue("first", { durable: false });
    await channel.assertQueue("second");
    await sendTexts(channel, "first", ["to first"]);
    await sendTexts(channel, "second", ["to second"]);
    const again = await broker.restart();
    await again.assertQueue("first");
    expect(await drainTexts(again, "first")).toEqual([]);
    expect(await drainTexts(again, "second")).toEqual(["to second"]);
  });
});

describe("K13 delivered messages", () => {
  test("come back as redelivered unless they were acked, those behind them as they were", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    await channel.assertQueue("q");
    await sendTexts(channel, "q", numbered("m", 6));
    for (let taken = 0; taken < 4; taken++) {
      const message = await channel.get("q");
      if (message !== false && taken % 2 === 0) channel.ack(message);
    }
    await readyCount(channel, "q");
    const again = await broker.restart();
    const back = await drain(again, "q");
    expect(back.map(({ content, fields }) => [content.toString(), fields.redelivered])).toEqual([
      ["m1", true],
      ["m3", true],
      ["m4", false],
      ["m5", false],
    ]);
  });

  test("come back as redelivered after two restarts without anybody looking at them", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    await channel.assertQueue("q");
    await sendTexts(channel, "q", ["seen", "unseen"]);
    await channel.get("q");
    await broker.restart();
    const again = await broker.restart();
    expect((await drain(again, "q")).map(({ fields }) => fields.redelivered)).toEqual([
      true,
      false,
    ]);
  });

  test("come back as redelivered when an earlier one was delivered after them", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    await channel.assertQueue("q", { maxPriority: 2 });
    await sendTexts(channel, "q", ["low"]);
    channel.sendToQueue("q", Buffer.from("high"), { persistent: true, priority: 2 });
    await channel.waitForConfirms();
    for (const expected of ["high", "low"]) {
      const message = await channel.get("q");
      expect(message === false ? "" : message.content.toString()).toBe(expected);
    }
    const again = await broker.restart();
    const back = await drain(again, "q");
    expect(back.map(({ content, fields }) => [content.toString(), fields.redelivered])).toEqual([
      ["high", true],
      ["low", true],
    ]);
  });

  test("come back as redelivered when their segment was given up for the traffic beside it", async () => {
    const broker = await KeptBroker.start({ segmentBytes: 1 << 16 });
    const channel = await broker.channel();
    await channel.assertQueue("q");
    await channel.assertQueue("traffic");
    await sendTexts(channel, "q", ["held"]);
    const held = await channel.get("q");
    expect(held).not.toBe(false);
    await channel.consume("traffic", () => undefined, { noAck: true });
    for (let round = 0; round < 10; round++) {
      for (let count = 0; count < 100; count++) {
        channel.sendToQueue("traffic", Buffer.alloc(1000), { persistent: true });
      }
      await channel.waitForConfirms();
    }
    const again = await broker.restart();
    const back = await drain(again, "q");
    expect(back.map(({ content, fields }) => [content.toString(), fields.redelivered])).toEqual([
      ["held", true],
    ]);
  });

  test("come back to their place after a requeue, and do not when they were consumed without acks", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    await channel.assertQueue("q");
    await sendTexts(channel, "q", numbered("m", 5));
    await channel.get("q", { noAck: true });
    const [second, third] = [await channel.get("q"), await channel.get("q")];
    if (second !== false) channel.nack(second, false, true);
    if (third !== false) channel.ack(third);
    await readyCount(channel, "q");
    const again = await broker.restart();
    const back = await drain(again, "q");
    expect(back.map(({ content, fields }) => [content.toString(), fields.redelivered])).toEqual([
      ["m1", true],
      ["m3", false],
      ["m4", false],
    ]);
  });
});

describe("Q36 what is gone stays gone", () => {
  test("after a purge and after a delete, also under the same name again", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    for (const queue of ["purged", "deleted", "new", "kept"]) {
      await channel.assertQueue(queue);
      await sendTexts(channel, queue, numbered(`${queue} `, 3));
    }
    const unacked = await channel.get("deleted");
    expect(unacked).not.toBe(false);
    await channel.purgeQueue("purged");
    await channel.deleteQueue("deleted");
    await channel.deleteQueue("new");
    await channel.assertQueue("new", { maxPriority: 1 });
    const again = await broker.restart();
    expect(await drainTexts(again, "purged")).toEqual([]);
    expect(await drainTexts(again, "new")).toEqual([]);
    expect(await drainTexts(again, "kept")).toEqual(numbered("kept ", 3));
    await again.assertQueue("deleted");
    expect(await drainTexts(again, "deleted")).toEqual([]);
    const once = await broker.restart();
    expect(await drainTexts(once, "deleted")).toEqual([]);
  });

  test("a queue deleted before a restart and declared after it is empty", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    await channel.assertQueue("q");
    await sendTexts(channel, "q", ["old"]);
    await channel.deleteQueue("q");
    const again = await broker.restart();
    await again.assertQueue("q");
    await sendTexts(again, "q", ["new"]);
    const last = await broker.restart();
    expect(await drainTexts(last, "q")).toEqual(["new"]);
  });
});

describe("Q15 time to live", () => {
  test("runs on while the broker is stopped: the message's own and the queue's", async () => {
    const clock = new VirtualClock();
    const broker = await KeptBroker.start({ clock });
    const channel = await broker.channel();
    await channel.assertQueue("own");
    await channel.assertQueue("queue's", { messageTtl: 1000 });
    channel.sendToQueue("own", Buffer.from("short"), { persistent: true, expiration: 1000 });
    channel.sendToQueue("own", Buffer.from("long"), { persistent: true, expiration: 5000 });
    await sendTexts(channel, "queue's", ["short"]);
    const again = await broker.restart({ clock: new VirtualClock(clock.now() + 999) });
    expect(await readyCount(again, "own")).toBe(2);
    expect(await readyCount(again, "queue's")).toBe(1);
    const late = await broker.restart({ clock: new VirtualClock(clock.now() + 1000) });
    expect(await drainTexts(late, "own")).toEqual(["long"]);
    expect(await drainTexts(late, "queue's")).toEqual([]);
  });

  test("runs out after the restart", async () => {
    const before = new VirtualClock();
    const broker = await KeptBroker.start({ clock: before });
    const channel = await broker.channel();
    await channel.assertQueue("own");
    await channel.assertQueue("queue's", { messageTtl: 1000 });
    channel.sendToQueue("own", Buffer.from("short"), { persistent: true, expiration: 1000 });
    await sendTexts(channel, "queue's", ["short"]);
    const clock = new VirtualClock(before.now() + 500);
    const again = await broker.restart({ clock });
    clock.advance(499);
    expect(await readyCount(again, "own")).toBe(1);
    expect(await readyCount(again, "queue's")).toBe(1);
    clock.advance(1);
    expect(await readyCount(again, "own")).toBe(0);
    expect(await readyCount(again, "queue's")).toBe(0);
  });

  test("sends what ran out meanwhile behind what its target already has", async () => {
    const clock = new VirtualClock();
    const broker = await KeptBroker.start({ clock });
    const channel = await broker.channel();
    await channel.assertQueue("source", { deadLetterExchange: "", deadLetterRoutingKey: "target" });
    await channel.assertQueue("target");
    for (const text of ["late 1", "late 2"]) {
      channel.sendToQueue("source", Buffer.from(text), { persistent: true, expiration: 1000 });
    }
    await channel.waitForConfirms();
    await sendTexts(channel, "target", ["early 1", "early 2"]);
    const again = await broker.restart({ clock: new VirtualClock(clock.now() + 2000) });
    expect(await drainTexts(again, "source")).toEqual([]);
    expect(await drainTexts(again, "target")).toEqual(["early 1", "early 2", "late 1", "late 2"]);
  });

  test("of a broker that was stopped rings no more", async () => {
    const clock = new VirtualClock();
    const broker = await KeptBroker.start({ clock });
    const channel = await broker.channel();
    await channel.assertQueue("source", { deadLetterExchange: "", deadLetterRoutingKey: "target" });
    await channel.assertQueue("target");
    for (const text of numbered("m", 3)) {
      channel.sendToQueue("source", Buffer.from(text), { persistent: true, expiration: 1000 });
    }
    await channel.waitForConfirms();
    // The next one has the same clock, as brokers of one process mostly have.
    const again = await broker.restart();
    await again.assertQueue("other");
    await sendTexts(again, "other", numbered("other ", 3));
    clock.advance(1000);
    await sendTexts(again, "other", ["other 3"]);
    expect(await readyCount(again, "target")).toBe(3);
    const last = await broker.restart();
    expect(await drainTexts(last, "target")).toEqual(numbered("m", 3));
    expect(await drainTexts(last, "other")).toEqual(numbered("other ", 4));
    expect(broker.warnings).toEqual([]);
  });
});

describe("dead letters and transactions", () => {
  test("D3 dead letters are where they went, with what is written on them", async () => {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    await channel.assertExchange("dlx", "topic");
    await channel.assertQueue("source", { deadLetterExchange: "dlx", maxLength: 3 });
    await channel.assertQueue("target");
    await channel.bindQueue("target", "dlx", "#");
    await sendTexts(channel, "source", numbered("m", 5));
    const rejected = await channel.get("source");
    if (rejected !== false) channel.nack(rejected, false, false);
    await readyCount(channel, "source");
    const again = await broker.restart();
    expect(await drainTexts(again, "source")).toEqual(["m3", "m4"]);
    const letters = await drain(again, "target");
    expect(letters.map(({ content }) => content.toString())).toEqual(["m0", "m1", "m2"]);
    expect(letters.map(({ properties }) => properties.headers?.["x-first-death-reason"])).toEqual([
      "maxlen",
      "maxlen",
      "rejected",
    ]);
    // The queue still knows where its dead letters go.
    await sendTexts(again, "source", numbered("n", 4));
    expect(await drainTexts(again, "target")).toEqual(["n0"]);
  });

  test("H6 a committed transaction is there, one that was not committed or was rolled back is not", async () => {
    const broker = await KeptBroker.start();
    const setup = await broker.channel();
    await setup.assertQueue("q");
    await setup.assertQueue("input");
    await sendTexts(setup, "input", numbered("in ", 3));
    const channel = await (await broker.connection()).createChannel();
    await transaction(channel, "select");
    const send = (text: string) =>
      channel.sendToQueue("q", Buffer.from(text), { persistent: true });
    const first = await channel.get("input");
    send("committed 1");
    send("committed 2");
    if (first !== false) channel.ack(first);
    await transaction(channel, "commit");
    const second = await channel.get("input");
    send("rolled back");
    if (second !== false) channel.ack(second);
    await transaction(channel, "rollback");
    send("left open");
    if (second !== false) channel.ack(second);
    await channel.checkQueue("q");
    const again = await broker.restart();
    expect(await drainTexts(again, "q")).toEqual(["committed 1", "committed 2"]);
    expect(await drainTexts(again, "input")).toEqual(["in 1", "in 2"]);
  });
});
