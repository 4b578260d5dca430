/**
 * Exchanges that pick one of their bindings: x-consistent-hash, x-modulus-hash and x-random. Reference rows X20 to X22.
 *
 * Which queue a key goes to is Erlang's hash's choice: the same on every RabbitMQ, so that it is written down here.
 */
import type { Channel, Options } from "amqplib";
import { beforeAll, describe, expect, test } from "vitest";
import {
  channelError,
  connect,
  connectionError,
  drain,
  isOldRabbitMQ,
  openChannel,
  refused,
  unique,
} from "./harness.ts";

const EXCHANGE_DECLARE = { classId: 40, methodId: 10 };
const QUEUE_BIND = { classId: 50, methodId: 20 };

let oldRabbitMQ: boolean;

beforeAll(async () => {
  oldRabbitMQ = await isOldRabbitMQ();
});

async function newExchange(channel: Channel, type: string, args: object = {}): Promise<string> {
  const exchange = unique(type);
  await channel.assertExchange(exchange, type, { durable: false, arguments: args });
  return exchange;
}

/** A queue for each key, bound in this order. */
async function boundQueues(channel: Channel, exchange: string, ...keys: string[]) {
  const queues: string[] = [];
  for (const [index, key] of keys.entries()) {
    const queue = unique(`queue-${index}`);
    await channel.assertQueue(queue, { durable: false });
    await channel.bindQueue(queue, exchange, key);
    queues.push(queue);
  }
  return queues;
}

/** For each queue the bodies that have come to it. */
async function arrived(channel: Channel, queues: readonly string[]): Promise<string[][]> {
  const bodies: string[][] = [];
  for (const queue of queues) bodies.push(await drain(channel, queue));
  return bodies;
}

/** Publishes a message for each key; returns the digits of the queues that they have come to. */
async function spread(
  channel: Channel,
  exchange: string,
  queues: readonly string[],
  messages: readonly (readonly [key: string, options?: Options.Publish])[],
): Promise<string> {
  for (const [index, [key, options]] of messages.entries())
    channel.publish(exchange, key, Buffer.from(`${index}`), options);
  const bodies = await arrived(channel, queues);
  expect(bodies.flat()).toHaveLength(messages.length);
  return messages.map((_, index) => bodies.findIndex((each) => each.includes(`${index}`))).join("");
}

const letters = [..."abcdefghijklmnop"];

const BY_KEY = "3122313321322122333";
const BY_HEADER = "202111022000101100";
const BY_PROPERTY = "00212012210210210";
const BY_TIMESTAMP = "10201000022211020";
const BY_MODULUS = "1121012210010120";
const BY_MODULUS_CC = "2010102112120111";

describe("X20 a consistent-hash exchange", () => {
  test("sends each key where RabbitMQ sends it, by weight and in order of the bindings", async () => {
    const channel = await openChannel();
    const exchange = await newExchange(channel, "x-consistent-hash");
    const queues = await boundQueues(channel, exchange, "1", "2", "3", "+4");
    const found = await spread(
      channel,
      exchange,
      queues,
      [...letters, "", "hello world!x", "k".repeat(255)].map((key) => [key] as const),
    );
    expect(found).toEqual(BY_KEY);
  });

  test("moves what a new queue takes and nothing else, and back when it goes", async () => {
    const channel = await openChannel();
    const exchange = await newExchange(channel, "x-consistent-hash");
    const queues = await boundQueues(channel, exchange, "5", "5");
    const keys = Array.from({ length: 100 }, (_, index) => [`key-${index}`] as const);
    const before = await spread(channel, exchange, queues, keys);
    const all = [...queues, ...(await boundQueues(channel, exchange, "5"))];
    const during = await spread(channel, exchange, all, keys);
    for (const [index, queue] of [...during].entries())
      if (queue !== before[index]) expect(queue).toBe("2");
    expect(during.split("2").length).toBeGreaterThan(15);
    await channel.unbindQueue(all[2]!, exchange, "5");
    expect(await spread(channel, exchange, all, keys)).toEqual(before);
  });

  test("counts a second binding of a queue for nothing", async () => {
    const channel = await openChannel();
    const exchange = await newExchange(channel, "x-consistent-hash");
    const queues = await boundQueues(channel, exchange, "1", "1");
    const keys = letters.map((key) => [key] as const);
    const before = await spread(channel, exchange, queues, keys);
    await channel.bindQueue(queues[0]!, exchange, "100");
    expect(await spread(channel, exchange, queues, keys)).toEqual(before);
  });

  test("hashes a header instead of the key, and a message without it like all such", async () => {
    const channel = await openChannel();
    const exchange = await newExchange(channel, "x-consistent-hash", { "hash-header": "id" });
    const queues = await boundQueues(channel, exchange, "2", "2", "2");
    const withHeader = letters.map((id) => ["same", { headers: { id } }] as const);
    const without = [
      ["a", { headers: { other: 1 } }],
      ["b", {}],
    ] as const;
    expect(await spread(channel, exchange, queues, [...withHeader, ...without])).toEqual(BY_HEADER);
  });

  test.each([
    ["message_id", "messageId", BY_PROPERTY],
    ["correlation_id", "correlationId", BY_PROPERTY],
    ["timestamp", "timestamp", BY_TIMESTAMP],
  ] as const)("hashes the property %s instead of the key", async (property, option, expected) => {
    const channel = await openChannel();
    const exchange = await newExchange(channel, "x-consistent-hash", { "hash-property": property });
    const queues = await boundQueues(channel, exchange, "2", "2", "2");
    const values = property === "timestamp" ? letters.map((_, index) => 1000 + index) : letters;
    const messages = values.map((value) => ["same", { [option]: value }] as const);
    const found = await spread(channel, exchange, queues, [...messages, ["x", {}]]);
    expect(found).toBe(expected);
  });

  test("goes by the first routing key where CC has more", async () => {
    const channel = await openChannel();
    const exchange = await newExchange(channel, "x-consistent-hash");
    const queues = await boundQueues(channel, exchange, "1", "2", "3", "+4");
    const messages = letters.map((key) => [key, { CC: [...letters] }] as [string, Options.Publish]);
    expect(await spread(channel, exchange, queues, messages)).toEqual(BY_KEY.slice(0, 16));
  });

  test.each([
    ["key", 'The binding key must be an integer: <<"key">>'],
    ["", "The binding key must be an integer: <<>>"],
    ["1.0", 'The binding key must be an integer: <<"1.0">>'],
    [" 1", 'The binding key must be an integer: <<" 1">>'],
    ["0", "The binding key must be greater than 0"],
    ["-1", "The binding key must be greater than 0"],
  ])("refuses a binding with the key %j", async (key, text) => {
    const channel = await openChannel();
    const exchange = await newExchange(channel, "x-consistent-hash");
    const queue = unique("queue");
    await channel.assertQueue(queue, { durable: false });
    expect(await refused(channel, channel.bindQueue(queue, exchange, key))).toEqual({
      ...QUEUE_BIND,
      code: 406,
      message: `PRECONDITION_FAILED - ${text}`,
    });
  });

  test.each([
    [
      { "hash-header": "a", "hash-property": "message_id" },
      "hash-header and hash-property are mutually exclusive",
    ],
    [{ "hash-property": "app_id" }, "Unsupported property: app_id"],
  ])("refuses the arguments %j", async (args, text) => {
    const channel = await openChannel();
    const declared = channel.assertExchange(unique("x"), "x-consistent-hash", { arguments: args });
    expect(await refused(channel, declared)).toEqual({
      ...EXCHANGE_DECLARE,
      code: 406,
      message: `PRECONDITION_FAILED - ${text}`,
    });
  });

  test("refuses a header's name that is no text", async () => {
    const { connection } = await connect();
    const channel = await connection.createChannel();
    const declared = channel.assertExchange(unique("x"), "x-consistent-hash", {
      arguments: { "hash-header": 1 },
    });
    if (oldRabbitMQ) {
      // It has no answer for that: an error inside the broker.
      await expect(declared).rejects.toThrow();
      expect((await connectionError(connection)).code).toBe(541);
    } else {
      await expect(declared).rejects.toThrow();
      expect((await channelError(channel)).message).toBe(
        "PRECONDITION_FAILED - Invalid type 'byte' for 'hash-header'; expected longstr",
      );
    }
  });

  test("spreads over exchanges, and falls back on its alternate exchange", async () => {
    const channel = await openChannel();
    const alternate = await newExchange(channel, "fanout");
    const exchange = await newExchange(channel, "x-consistent-hash", {
      "alternate-exchange": alternate,
    });
    const [fallback] = await boundQueues(channel, alternate, "");
    expect(await spread(channel, exchange, [fallback!], [["a"]])).toBe("0");
    const behind = await newExchange(channel, "fanout");
    const [queue] = await boundQueues(channel, behind, "");
    await channel.bindExchange(behind, exchange, "3");
    expect(await spread(channel, exchange, [fallback!, queue!], [["a"], ["b"]])).toBe("11");
  });
});

describe("X21 a modulus-hash exchange", () => {
  test("sends each key where RabbitMQ sends it", async () => {
    const channel = await openChannel();
    const exchange = await newExchange(channel, "x-modulus-hash");
    const queues = await boundQueues(channel, exchange, "c", "a", "b");
    const messages = letters.map((key) => [key] as const);
    expect(await spread(channel, exchange, queues, messages)).toEqual(BY_MODULUS);
  });

  test("makes one hash of all routing keys", async () => {
    const channel = await openChannel();
    const exchange = await newExchange(channel, "x-modulus-hash");
    const queues = await boundQueues(channel, exchange, "c", "a", "b");
    const messages = letters.map((key) => [key, { CC: ["z"] }] as [string, Options.Publish]);
    expect(await spread(channel, exchange, queues, messages)).toEqual(BY_MODULUS_CC);
  });

  test("without bindings routes nowhere", async () => {
    const channel = await openChannel();
    const alternate = await newExchange(channel, "fanout");
    const exchange = await newExchange(channel, "x-modulus-hash", {
      "alternate-exchange": alternate,
    });
    const [fallback] = await boundQueues(channel, alternate, "");
    expect(await spread(channel, exchange, [fallback!], [["a"]])).toBe("0");
  });
});

describe("X22 a random exchange", () => {
  test("gives each message to one of its queues, whatever the keys, and to all of them in turn", async () => {
    const channel = await openChannel();
    const exchange = await newExchange(channel, "x-random");
    const queues = await boundQueues(channel, exchange, "a", "b", "c");
    const messages = Array.from({ length: 120 }, () => ["same"] as const);
    const found = await spread(channel, exchange, queues, messages);
    // That one of the three gets nothing happens once in 10^20 times.
    expect(new Set(found)).toEqual(new Set("012"));
  });

  test("gives a message with several routing keys to one queue, too", async () => {
    const channel = await openChannel();
    const exchange = await newExchange(channel, "x-random");
    const queues = await boundQueues(channel, exchange, "a", "b", "c");
    await spread(channel, exchange, queues, [["a", { CC: ["b", "c", "d"] }]]);
  });
});
