/** Duplicates on the wire: exchanges that route a key once, and queues that hold it once. */
import { type ConfirmChannel, connect, type Options } from "amqplib";
import { describe, expect, onTestFinished, test } from "vitest";
import { Broker, VirtualClock } from "../../src/index.ts";

async function start() {
  const clock = new VirtualClock();
  const broker = await Broker.start({ port: 0, clock });
  onTestFinished(() => broker.close());
  const connection = await connect(broker.url);
  connection.on("error", () => undefined);
  onTestFinished(async () => {
    await connection.close().catch(() => undefined);
  });
  const channel = await connection.createConfirmChannel();
  channel.on("error", () => undefined);
  return { clock, channel, connection };
}

/** Publishes and waits for the confirm. */
async function send(
  channel: ConfirmChannel,
  [exchange, key]: [string, string],
  text: string,
  id: unknown,
  options: Options.Publish = {},
): Promise<void> {
  const headers = { ...options.headers, "x-deduplication-header": id };
  channel.publish(exchange, key, Buffer.from(text), { ...options, headers });
  await channel.waitForConfirms();
}

async function texts(channel: ConfirmChannel, queue: string): Promise<string[]> {
  const bodies: string[] = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (message === false) return bodies;
    bodies.push(message.content.toString());
  }
}

describe("P19 an exchange x-message-deduplication", () => {
  test("routes each key once, confirms all, and returns a mandatory duplicate", async () => {
    const { channel } = await start();
    const args = { "x-cache-size": 100, "x-cache-ttl": 60_000 };
    await channel.assertExchange("once", "x-message-deduplication", { arguments: args });
    for (const queue of ["a", "b"]) {
      await channel.assertQueue(queue);
      await channel.bindQueue(queue, "once", "ignored");
    }
    const returned: string[] = [];
    channel.on("return", (message) => returned.push(message.content.toString()));
    await send(channel, ["once", "k"], "first", "id");
    await send(channel, ["once", "k"], "again", "id", { mandatory: true });
    await send(channel, ["once", "k"], "another", "id 2", { CC: ["x", "y"] });
    for (const queue of ["a", "b"])
      expect(await texts(channel, queue)).toEqual(["first", "another"]);
    expect(returned).toEqual(["again"]);
  });

  test("can be delayed, and looks at a message when that is due", async () => {
    const { channel, clock } = await start();
    await channel.assertExchange("once", "x-delayed-message", {
      arguments: { "x-delayed-type": "x-message-deduplication", "x-cache-size": 1 },
    });
    await channel.assertQueue("q");
    await channel.bindQueue("q", "once", "");
    await send(channel, ["once", ""], "later", "id", { headers: { "x-delay": 1000 } });
    await send(channel, ["once", ""], "now", "id");
    clock.advance(1000);
    expect(await texts(channel, "q")).toEqual(["now"]);
  });

  test("is refused without the size of its cache", async () => {
    const { channel } = await start();
    const declared = channel.assertExchange("x", "x-message-deduplication");
    await expect(declared).rejects.toThrow("'x-cache-size' must be an integer greater than 0");
  });
});

describe("P19 a queue with x-message-deduplication", () => {
  async function unique(options: Options.AssertQueue = {}) {
    const started = await start();
    const args = { "x-message-deduplication": true, ...options.arguments };
    await started.channel.assertQueue("q", { ...options, arguments: args });
    return started;
  }

  const q: [string, string] = ["", "q"];

  test("takes no message while another with its key is ready or unacked, and confirms it", async () => {
    const { channel } = await unique();
    await send(channel, q, "1", "id");
    await send(channel, q, "2", "id");
    await send(channel, q, "3", "other");
    await send(channel, q, "4", undefined);
    await send(channel, q, "5", undefined);
    const first = await channel.get("q");
    if (first === false) throw new Error("there is no message");
    await send(channel, q, "6", "id");
    channel.nack(first, false, true);
    await send(channel, q, "7", "id");
    expect(await texts(channel, "q")).toEqual(["1", "3", "4", "5"]);
    await send(channel, q, "8", "id");
    expect(await texts(channel, "q")).toEqual(["8"]);
  });

  test("takes the key again when its message was acknowledged, purged, or has expired", async () => {
    const { channel, clock } = await unique();
    const sent = (text: string, options = {}) => send(channel, q, text, "id", options);
    await sent("acknowledged");
    const message = await channel.get("q");
    if (message === false) throw new Error("there is no message");
    channel.ack(message);
    await channel.checkQueue("q");
    await sent("purged");
    await channel.purgeQueue("q");
    await sent("expires", { expiration: 1000 });
    clock.advance(1000);
    await sent("last");
    expect(await texts(channel, "q")).toEqual(["last"]);
  });

  test("takes the key again when its message was dead-lettered, or dropped for its length", async () => {
    const { channel } = await unique({ maxLength: 1, deadLetterExchange: "amq.fanout" });
    await channel.assertQueue("dead");
    await channel.bindQueue("dead", "amq.fanout", "");
    await send(channel, q, "1", "id");
    await send(channel, q, "2", "other");
    await send(channel, q, "3", "id");
    expect(await texts(channel, "q")).toEqual(["3"]);
    expect(await texts(channel, "dead")).toEqual(["1", "2"]);
  });

  test("keeps others from nothing: a copy for another queue arrives there", async () => {
    const { channel } = await unique();
    await channel.assertQueue("plain");
    for (const queue of ["q", "plain"]) await channel.bindQueue(queue, "amq.fanout", "");
    await send(channel, ["amq.fanout", ""], "1", "id");
    await send(channel, ["amq.fanout", ""], "2", "id");
    expect(await texts(channel, "q")).toEqual(["1"]);
    expect(await texts(channel, "plain")).toEqual(["1", "2"]);
  });

  test("gives to a consumer at once, and remembers until that has acknowledged", async () => {
    const { channel } = await unique();
    const arrived: string[] = [];
    let acknowledge = () => {};
    await channel.consume("q", (message) => {
      arrived.push(message!.content.toString());
      acknowledge = () => channel.ack(message!);
    });
    await send(channel, q, "1", "id");
    await send(channel, q, "2", "id");
    acknowledge();
    await send(channel, q, "3", "id");
    await channel.checkQueue("q");
    expect(arrived).toEqual(["1", "3"]);
  });

  test("may be declared again without the argument", async () => {
    const { channel } = await unique();
    await channel.assertQueue("q");
  });
});
