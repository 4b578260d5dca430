/** What exchange types with a state of their own are after a restart. */
import { type ConfirmChannel, connect, type Options } from "amqplib";
import { describe, expect, onTestFinished, test } from "vitest";
import { VirtualClock } from "../../src/index.ts";
import { BrokerProcess, isBuilt } from "./broker-process.ts";
import { drainTexts, KeptBroker, numbered, sendTexts, temporaryFolder } from "./kept-broker.ts";

/** Publishes each text under itself as the key; returns what has come to each of the queues. */
async function spread(channel: ConfirmChannel, exchange: string, queues: string[]) {
  for (const text of numbered("key", 100)) channel.publish(exchange, text, Buffer.from(text));
  await channel.waitForConfirms();
  const arrived: string[][] = [];
  for (const queue of queues) arrived.push(await drainTexts(channel, queue));
  return arrived;
}

test("X20 a consistent-hash exchange sends each key where it sent it before the restart", async () => {
  const broker = await KeptBroker.start();
  const channel = await broker.channel();
  await channel.assertExchange("by-key", "x-consistent-hash");
  await channel.assertExchange("by-id", "x-consistent-hash", {
    arguments: { "hash-property": "message_id" },
  });
  const queues = ["d", "b", "a", "c"];
  for (const queue of queues) await channel.assertQueue(queue);
  for (const [index, queue] of queues.entries()) {
    await channel.bindQueue(queue, "by-key", `${index + 1}`);
    await channel.bindQueue(queue, "by-id", "1");
  }
  await channel.bindQueue("d", "by-key", "7");
  await channel.unbindQueue("d", "by-key", "1");
  const before = await spread(channel, "by-key", queues);
  expect(before.map((texts) => texts.length > 3)).toEqual([true, true, true, true]);
  // Twice, for the second time its log has been written anew.
  await broker.restart();
  const again = await broker.restart();
  expect(await spread(again, "by-key", queues)).toEqual(before);
  const lone = (await spread(again, "by-id", queues)).filter((texts) => texts.length > 0);
  expect(lone).toEqual([numbered("key", 100)]);
});

const DELAYED = "x-delayed-message";
const direct = { arguments: { "x-delayed-type": "direct" } };

/** Publishes each text with this delay to the exchange "later", and waits for the confirms. */
async function delay(
  channel: ConfirmChannel,
  texts: readonly string[],
  delayMs: number,
  options: Options.Publish = { persistent: true },
): Promise<void> {
  const headers = { "x-delay": delayMs };
  for (const text of texts)
    channel.publish("later", "key", Buffer.from(text), { ...options, headers });
  await channel.waitForConfirms();
}

describe("X26 messages that wait in a durable exchange", () => {
  async function started(clock: VirtualClock): Promise<[KeptBroker, ConfirmChannel]> {
    const broker = await KeptBroker.start({ clock, segmentBytes: 1 << 16 });
    const channel = await broker.channel();
    await channel.assertExchange("later", DELAYED, direct);
    await channel.assertQueue("q");
    await channel.bindQueue("q", "later", "key");
    return [broker, channel];
  }

  test("go out at their time after a restart, and at once when that has passed", async () => {
    const clock = new VirtualClock();
    const [broker, channel] = await started(clock);
    await delay(channel, ["in two minutes"], 120_000);
    await delay(channel, ["in a minute", "and another"], 60_000);
    await delay(channel, ["in a second"], 1000);
    const later = new VirtualClock(clock.now() + 30_000);
    const again = await broker.restart({ clock: later });
    later.advance(0);
    expect(await drainTexts(again, "q")).toEqual(["in a second"]);
    later.advance(29_999);
    expect(await drainTexts(again, "q")).toEqual([]);
    later.advance(1);
    expect(await drainTexts(again, "q")).toEqual(["in a minute", "and another"]);
    // What has gone out does not go out again.
    const last = new VirtualClock(later.now() + 60_000);
    const third = await broker.restart({ clock: last });
    last.advance("1h");
    expect(await drainTexts(third, "q")).toEqual(["in two minutes"]);
  });

  test("are kept though they are not persistent, and arrive as what they are", async () => {
    const clock = new VirtualClock();
    const [broker, channel] = await started(clock);
    await delay(channel, ["transient"], 1000, { persistent: false });
    const later = new VirtualClock(clock.now() + 999);
    const again = await broker.restart({ clock: later });
    later.advance(1);
    const message = await again.get("q", { noAck: true });
    if (message === false) throw new Error("there is no message");
    expect(message.properties.deliveryMode).toBe(1);
    expect(message.properties.headers).toEqual({ "x-delay": -1000 });
    expect(message.fields.redelivered).toBe(false);
  });

  test("keep their times while the journal moves them on, and leave nothing behind", async () => {
    const clock = new VirtualClock();
    const [broker, channel] = await started(clock);
    await channel.assertQueue("busy");
    const texts = numbered("m", 50);
    for (const [index, text] of texts.entries()) await delay(channel, [text], 1000 * (50 - index));
    // Enough to fill segments, whose heads are cleared of all but what waits.
    const filling = "x".repeat(1 << 12);
    for (let round = 0; round < 10; round++) {
      await sendTexts(channel, "busy", Array(64).fill(filling));
      await channel.purgeQueue("busy");
    }
    const later = new VirtualClock(clock.now());
    const again = await broker.restart({ clock: later });
    later.advance(25_000);
    expect(await drainTexts(again, "q")).toEqual(texts.slice(25).reverse());
    later.advance(25_000);
    expect(await drainTexts(again, "q")).toEqual(texts.slice(0, 25).reverse());
    const third = await broker.restart({ clock: new VirtualClock(later.now() + 1) });
    expect((await third.checkQueue("q")).messageCount).toBe(0);
  });

  test("are gone with an exchange that is deleted or transient", async () => {
    const clock = new VirtualClock();
    const [broker, channel] = await started(clock);
    await delay(channel, ["deleted"], 1000);
    await channel.deleteExchange("later");
    await channel.assertExchange("later", DELAYED, { ...direct, durable: false });
    await delay(channel, ["transient"], 1000);
    const later = new VirtualClock(clock.now());
    const again = await broker.restart({ clock: later });
    await again.assertExchange("later", DELAYED, direct);
    await again.bindQueue("q", "later", "key");
    later.advance(1000);
    expect(await drainTexts(again, "q")).toEqual([]);
    expect(broker.warnings).toEqual([]);
  });

  test.skipIf(!isBuilt)("are there after kill -9 once they have been confirmed", async () => {
    const folder = await temporaryFolder();
    const texts = numbered("m", 500);
    const open = async (broker: BrokerProcess) => {
      const connection = await connect(broker.url);
      connection.on("error", () => undefined);
      onTestFinished(() => connection.close().catch(() => undefined));
      const channel = await connection.createConfirmChannel();
      channel.on("error", () => undefined);
      return channel;
    };
    const broker = await BrokerProcess.start(folder);
    const channel = await open(broker);
    await channel.assertExchange("later", DELAYED, direct);
    await channel.assertQueue("q");
    await channel.bindQueue("q", "later", "key");
    await delay(channel, texts, 1500);
    await broker.kill();
    const again = await open(await BrokerProcess.start(folder));
    const arrived: string[] = [];
    await new Promise<void>((resolve) => {
      void again.consume("q", (message) => {
        if (message !== null) arrived.push(message.content.toString());
        if (arrived.length === texts.length) resolve();
      });
    });
    expect(arrived).toEqual(texts);
  });
});

test("X24 a recent-history exchange is there after a restart, and its history is not", async () => {
  const broker = await KeptBroker.start();
  const channel = await broker.channel();
  await channel.assertExchange("history", "x-recent-history");
  channel.publish("history", "", Buffer.from("old"), { persistent: true });
  await channel.waitForConfirms();
  const again = await broker.restart();
  again.publish("history", "", Buffer.from("new"), { persistent: true });
  await again.waitForConfirms();
  await again.assertQueue("q");
  await again.bindQueue("q", "history", "");
  // What was handed over is the queue's own.
  expect(await drainTexts(await broker.restart(), "q")).toEqual(["new"]);
});
