/** Delayed messages, in a broker whose time a test has in its hand: when they go out, where, and as what. */
import { type Channel, type ConfirmChannel, connect, type GetMessage, type Options } from "amqplib";
import { describe, expect, onTestFinished, test } from "vitest";
import { Broker, VirtualClock } from "../../src/index.ts";

interface Fixture {
  readonly broker: Broker;
  readonly clock: VirtualClock;
  readonly channel: ConfirmChannel;
}

async function start(): Promise<Fixture> {
  const clock = new VirtualClock();
  const broker = await Broker.start({ port: 0, clock });
  onTestFinished(() => broker.close());
  const connection = await connect(broker.url);
  connection.on("error", () => undefined);
  onTestFinished(async () => {
    await connection.close().catch(() => undefined);
  });
  return { broker, clock, channel: await connection.createConfirmChannel() };
}

async function declare(
  channel: Channel,
  type: string,
  options: Options.AssertExchange = {},
): Promise<void> {
  const args = { "x-delayed-type": type, ...options.arguments };
  await channel.assertExchange("later", "x-delayed-message", { ...options, arguments: args });
}

/** A queue bound by each of the keys. */
async function bound(channel: Channel, queue: string, ...keys: string[]): Promise<void> {
  await channel.assertQueue(queue);
  for (const key of keys) await channel.bindQueue(queue, "later", key);
}

interface Sent extends Options.Publish {
  readonly key?: string;
  readonly exchange?: string;
}

/** Publishes and waits for the confirm. */
async function send(channel: ConfirmChannel, text: string, delay: unknown, options: Sent = {}) {
  const { key = "key", exchange = "later", headers, ...more } = options;
  const all = delay === undefined ? headers : { ...headers, "x-delay": delay };
  channel.publish(exchange, key, Buffer.from(text), { ...more, headers: all });
  await channel.waitForConfirms();
}

async function take(channel: Channel, queue: string): Promise<GetMessage[]> {
  const messages: GetMessage[] = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (message === false) return messages;
    messages.push(message);
  }
}

async function texts(channel: Channel, queue: string): Promise<string[]> {
  return (await take(channel, queue)).map(({ content }) => content.toString());
}

describe("X26 a delayed message", () => {
  test("arrives when its time has come, and not a millisecond before", async () => {
    const { clock, channel } = await start();
    await declare(channel, "direct");
    await bound(channel, "q", "key");
    await send(channel, "m", 5000);
    clock.advance(4999);
    expect(await texts(channel, "q")).toEqual([]);
    clock.advance(1);
    expect(await texts(channel, "q")).toEqual(["m"]);
  });

  test("overtakes those that wait longer, and none that waits as long", async () => {
    const { clock, channel } = await start();
    await declare(channel, "direct");
    await bound(channel, "q", "key");
    await send(channel, "last", 3000);
    for (const text of ["a", "b", "c"]) await send(channel, text, 2000);
    await send(channel, "first", 1000);
    await send(channel, "at once", undefined);
    await send(channel, "at once, too", 0);
    await send(channel, "and this", -7000);
    clock.advance("1h");
    expect(await texts(channel, "q")).toEqual([
      ...["at once", "at once, too", "and this"],
      ...["first", "a", "b", "c", "last"],
    ]);
  });

  test("has its delay negated, and all else as it was", async () => {
    const { clock, channel } = await start();
    await declare(channel, "direct");
    await bound(channel, "q", "key");
    const properties = { messageId: "id", priority: 4, contentType: "text/plain", deliveryMode: 2 };
    await send(channel, "m", 5000, { ...properties, headers: { other: "h" } });
    await send(channel, "text", "60", {});
    await send(channel, "passes", 0);
    clock.advance(5000);
    const [passes, text, message] = await take(channel, "q");
    expect(message?.fields).toMatchObject({ exchange: "later", routingKey: "key" });
    expect(message?.properties).toMatchObject(properties);
    expect(message?.properties.headers).toEqual({ other: "h", "x-delay": -5000 });
    expect(text?.properties.headers).toEqual({ "x-delay": -60 });
    expect(passes?.properties.headers).toEqual({ "x-delay": 0 });
  });

  test("goes by the bindings of the time when it is due", async () => {
    const { clock, channel } = await start();
    await declare(channel, "topic");
    await bound(channel, "before", "a.*");
    await send(channel, "m", 1000, { key: "a.b" });
    await channel.unbindQueue("before", "later", "a.*");
    await bound(channel, "after", "#.b");
    clock.advance(1000);
    expect([await texts(channel, "before"), await texts(channel, "after")]).toEqual([[], ["m"]]);
  });

  test("keeps all its routing keys, those that nobody may see among them", async () => {
    const { clock, channel } = await start();
    await declare(channel, "direct");
    for (const key of ["key", "copy", "blind"]) await bound(channel, key, key);
    await send(channel, "m", 1000, { CC: "copy", BCC: "blind" });
    clock.advance(1000);
    for (const queue of ["key", "copy", "blind"]) {
      const [message] = await take(channel, queue);
      expect(message?.content.toString()).toBe("m");
      expect(message?.properties.headers).toEqual({ CC: ["copy"], "x-delay": -1000 });
    }
  });

  test("begins its time to live when it is due", async () => {
    const { clock, channel } = await start();
    await declare(channel, "direct");
    await bound(channel, "q", "key");
    await send(channel, "m", 60_000, { expiration: 1000 });
    clock.advance(60_999);
    expect((await channel.checkQueue("q")).messageCount).toBe(1);
    clock.advance(1);
    expect(await texts(channel, "q")).toEqual([]);
  });

  test("is not returned, for it has been taken; one that may pass is", async () => {
    const { clock, channel } = await start();
    await declare(channel, "direct");
    const returned: string[] = [];
    channel.on("return", (message) => returned.push(message.content.toString()));
    await send(channel, "delayed", 1000, { mandatory: true });
    await send(channel, "not delayed", undefined, { mandatory: true });
    clock.advance(1000);
    await send(channel, "neither", -1, { mandatory: true });
    expect(returned).toEqual(["not delayed", "neither"]);
  });

  test("passes through exchanges before and behind, and the alternate one", async () => {
    const { clock, channel } = await start();
    await channel.assertExchange("else", "fanout");
    await declare(channel, "direct", { alternateExchange: "else", internal: true });
    await channel.assertExchange("front", "fanout");
    await channel.bindExchange("later", "front", "");
    await channel.assertExchange("behind", "fanout");
    await channel.bindExchange("behind", "later", "key");
    for (const queue of ["beside", "end", "fallback"]) await channel.assertQueue(queue);
    await channel.bindQueue("beside", "front", "");
    await channel.bindQueue("end", "behind", "");
    await channel.bindQueue("fallback", "else", "");
    await send(channel, "m", 1000, { exchange: "front" });
    await send(channel, "n", 1000, { exchange: "front", key: "other" });
    expect(await texts(channel, "beside")).toEqual(["m", "n"]);
    clock.advance(1000);
    const [message] = await take(channel, "end");
    expect(message?.fields.exchange).toBe("front");
    expect(await texts(channel, "fallback")).toEqual(["n"]);
  });

  test("waits from the commit of its transaction on, and not after a rollback", async () => {
    const { broker, clock, channel } = await start();
    await declare(channel, "direct");
    await bound(channel, "q", "key");
    const connection = await connect(broker.url);
    onTestFinished(() => connection.close());
    const transacted = await connection.createChannel();
    const { txSelect, txCommit, txRollback } = transactions(transacted);
    await txSelect();
    const headers = { "x-delay": 1000 };
    transacted.publish("later", "key", Buffer.from("rolled back"), { headers });
    await txRollback();
    transacted.publish("later", "key", Buffer.from("committed"), { headers });
    clock.advance(1000);
    await txCommit();
    expect(await texts(channel, "q")).toEqual([]);
    clock.advance(1000);
    expect(await texts(channel, "q")).toEqual(["committed"]);
  });

  test("that died before waits too, and dies again with the story of both", async () => {
    const { clock, channel } = await start();
    await declare(channel, "direct");
    await channel.assertQueue("work", { deadLetterExchange: "later", deadLetterRoutingKey: "key" });
    await bound(channel, "retry", "key");
    channel.sendToQueue("work", Buffer.from("m"), { headers: { "x-delay": 9000 } });
    await channel.waitForConfirms();
    const message = await channel.get("work");
    if (message === false) throw new Error("there is no message");
    channel.nack(message, false, false);
    await channel.checkQueue("work");
    expect(await texts(channel, "retry")).toEqual([]);
    clock.advance(9000);
    const [again] = await take(channel, "retry");
    expect(again?.properties.headers).toMatchObject({
      "x-delay": -9000,
      "x-first-death-queue": "work",
      "x-death": [{ queue: "work", reason: "rejected" }],
    });
  });

  test("goes with its exchange, also when that is declared anew", async () => {
    const { clock, channel } = await start();
    await declare(channel, "direct");
    await send(channel, "m", 1000);
    await channel.deleteExchange("later");
    await declare(channel, "direct");
    await bound(channel, "q", "key");
    clock.advance(1000);
    expect(await texts(channel, "q")).toEqual([]);
  });

  test("counts among many: ten thousand at once arrive all, in their order", async () => {
    const { clock, channel } = await start();
    await declare(channel, "fanout");
    await bound(channel, "q", "");
    const all = Array.from({ length: 10_000 }, (_, index) => `${index}`);
    for (const text of all)
      channel.publish("later", "", Buffer.from(text), { headers: { "x-delay": 5000 } });
    await channel.waitForConfirms();
    clock.advance(5000);
    const arrived: string[] = [];
    await new Promise<void>((resolve) => {
      void channel.consume("q", (message) => {
        arrived.push(message?.content.toString() ?? "cancelled");
        if (arrived.length === all.length) resolve();
      });
    });
    expect(arrived).toEqual(all);
  });
});

/** amqplib has no methods for transactions: these send theirs. */
function transactions(channel: Channel) {
  const { rpc } = channel as unknown as {
    rpc(method: number, fields: object, expected: number): Promise<unknown>;
  };
  const call = (method: number) => () => rpc.call(channel, method, {}, method + 1);
  const [TX_SELECT, TX_COMMIT, TX_ROLLBACK] = [0x5a_000a, 0x5a_0014, 0x5a_001e] as const;
  return { txSelect: call(TX_SELECT), txCommit: call(TX_COMMIT), txRollback: call(TX_ROLLBACK) };
}
