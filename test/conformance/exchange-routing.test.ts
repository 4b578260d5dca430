/**
 * Where a message goes: the default, direct, fanout and topic exchanges, and the extra keys in CC and BCC.
 * Reference rows X11 to X13, X18, X19. Headers exchanges have a file of their own.
 */
import type { Channel } from "amqplib";
import { describe, expect, test } from "vitest";
import { channelError, drain, getBody, openChannel, unique } from "./harness.ts";

async function withExchange(type: string) {
  const channel = await openChannel();
  const exchange = unique(type);
  await channel.assertExchange(exchange, type);
  return { channel, exchange };
}

async function boundQueue(channel: Channel, exchange: string, ...keys: string[]): Promise<string> {
  const queue = unique("queue");
  await channel.assertQueue(queue);
  for (const key of keys) await channel.bindQueue(queue, exchange, key);
  return queue;
}

/** Publishes the empty body under each key and returns which of the keys came to the queue. */
async function arriving(channel: Channel, exchange: string, queue: string, keys: string[]) {
  for (const key of keys) channel.publish(exchange, key, Buffer.from(key));
  return drain(channel, queue);
}

test("X18 every queue is bound to the default exchange by its name", async () => {
  const channel = await openChannel();
  const queue = unique("queue");
  await channel.assertQueue(queue);
  channel.publish("", queue, Buffer.from("here"));
  channel.publish("", `${queue}.`, Buffer.from("elsewhere"));
  expect(await drain(channel, queue)).toEqual(["here"]);
});

test("X11 a direct exchange wants exactly the key", async () => {
  const { channel, exchange } = await withExchange("direct");
  const queue = await boundQueue(channel, exchange, "a.b", "", "*", "é");
  const keys = ["a.b", "A.B", "a", "a.b.", "", "x", "*", "é", "e"];
  expect(await arriving(channel, exchange, queue, keys)).toEqual(["a.b", "", "*", "é"]);
});

test("X11 a direct exchange gives a message to every queue bound by its key, and once", async () => {
  const { channel, exchange } = await withExchange("direct");
  const one = await boundQueue(channel, exchange, "key", "other");
  const two = await boundQueue(channel, exchange, "key");
  await channel.bindQueue(one, exchange, "key", { "another-binding": true });
  channel.publish(exchange, "key", Buffer.from("m"));
  expect([await drain(channel, one), await drain(channel, two)]).toEqual([["m"], ["m"]]);
});

test("X11 a key of 255 bytes is a key like any other", async () => {
  const { channel, exchange } = await withExchange("direct");
  const queue = await boundQueue(channel, exchange, "k".repeat(255));
  channel.publish(exchange, "k".repeat(255), Buffer.from("yes"));
  channel.publish(exchange, "k".repeat(254), Buffer.from("no"));
  expect(await drain(channel, queue)).toEqual(["yes"]);
});

test("X12 a fanout exchange looks at neither keys nor arguments", async () => {
  const { channel, exchange } = await withExchange("fanout");
  const one = await boundQueue(channel, exchange, "key");
  const two = unique("queue");
  await channel.assertQueue(two);
  await channel.bindQueue(two, exchange, "", { "x-match": "any", colour: "red" });
  channel.publish(exchange, "something", Buffer.from("m"));
  expect([await drain(channel, one), await drain(channel, two)]).toEqual([["m"], ["m"]]);
});

const TOPICS: [pattern: string, matching: string[], other: string[]][] = [
  ["a.b.c", ["a.b.c"], ["a.b", "a.b.c.d", "a.b.x", ""]],
  ["a.*.c", ["a.b.c", "a..c"], ["a.c", "a.b.b.c", "A.b.c"]],
  ["*", ["a", "abc"], ["", "a.b", "."]],
  ["*.*", ["a.b", ".", "a.", ".b"], ["a", "a.b.c"]],
  ["#", ["", "a", "a.b.c", ".", ".."], []],
  ["a.#", ["a", "a.b", "a.b.c", "a."], ["b", "", "ab", ".a"]],
  ["#.z", ["z", "a.z", "a.b.z", ".z"], ["z.a", "", "z."]],
  ["a.#.z", ["a.z", "a.b.z", "a.b.c.z", "a..z"], ["a", "z", "az"]],
  ["#.b.#", ["b", "a.b", "b.c", "a.a.b.c.c", "b.b"], ["a", "", "bb"]],
  ["*.#", ["a", "a.b", "."], [""]],
  ["#.*", ["a", "a.b", "."], [""]],
  ["#.#", ["", "a", "a.b"], []],
  ["*.#.*", ["a.b", "a.b.c", "."], ["a", ""]],
  ["#.a.#.b.#", ["a.b", "x.a.y.b.z", "a.a.b.b"], ["b.a", "a", "b"]],
  ["", [""], ["a", "."]],
  ["a.", ["a."], ["a", "a.b"]],
  [".", ["."], ["", "a", ".."]],
  ["a.*", ["a.b", "a."], ["a", "a.b.c"]],
  ["a*", ["a*"], ["ab", "a"]],
  ["a.#b", ["a.#b"], ["a.b", "a.xb"]],
  ["ü.*", ["ü.x"], ["u.x"]],
];

describe("X13 a topic exchange", () => {
  test.each(TOPICS)("binds '%s' to %j and not to %j", async (pattern, matching, other) => {
    const { channel, exchange } = await withExchange("topic");
    const queue = await boundQueue(channel, exchange, pattern);
    const keys = [...other, ...matching, ...other];
    expect(await arriving(channel, exchange, queue, keys)).toEqual(matching);
  });

  test("with all of those bindings at once gives each queue what is its own", async () => {
    const { channel, exchange } = await withExchange("topic");
    const queues: string[] = [];
    for (const [pattern] of TOPICS) queues.push(await boundQueue(channel, exchange, pattern));
    for (const [row, [pattern, matching, other]] of TOPICS.entries()) {
      const keys = [...other, ...matching];
      for (const key of keys) channel.publish(exchange, key, Buffer.from(key));
      const got = await drain(channel, queues[row] ?? "");
      expect({ pattern, got }).toEqual({ pattern, got: matching });
      for (const queue of queues) await channel.purgeQueue(queue);
    }
  });

  test("gives a message once to a queue that several bindings lead to", async () => {
    const { channel, exchange } = await withExchange("topic");
    const queue = await boundQueue(channel, exchange, "#", "a.#", "a.b", "*.b", "a.*", "#.b.#");
    expect(await arriving(channel, exchange, queue, ["a.b"])).toEqual(["a.b"]);
  });

  test("forgets one binding and keeps those that look like it", async () => {
    const { channel, exchange } = await withExchange("topic");
    const queue = await boundQueue(channel, exchange, "a.*", "a.#", "a.*.c");
    await channel.unbindQueue(queue, exchange, "a.#");
    const keys = ["a", "a.b", "a.b.c", "a.b.d"];
    expect(await arriving(channel, exchange, queue, keys)).toEqual(["a.b", "a.b.c"]);
    await channel.unbindQueue(queue, exchange, "a.*");
    expect(await arriving(channel, exchange, queue, keys)).toEqual(["a.b.c"]);
  });
});

describe("X19 the headers CC and BCC", () => {
  test("are further routing keys, of which CC stays and BCC is taken out", async () => {
    const { channel, exchange } = await withExchange("direct");
    const queues = [
      await boundQueue(channel, exchange, "to"),
      await boundQueue(channel, exchange, "cc"),
      await boundQueue(channel, exchange, "bcc"),
    ];
    channel.publish(exchange, "to", Buffer.from("m"), {
      CC: ["cc"],
      BCC: ["bcc"],
      headers: { a: 1 },
    });
    for (const queue of queues) {
      const message = await channel.get(queue, { noAck: true });
      expect(message).toMatchObject({
        fields: { routingKey: "to", exchange },
        properties: { headers: { a: 1, CC: ["cc"] } },
      });
      expect(message).not.toHaveProperty("properties.headers.BCC");
    }
  });

  test("bring a message once to a queue, whichever keys lead to it", async () => {
    const { channel, exchange } = await withExchange("direct");
    const queue = await boundQueue(channel, exchange, "one", "two", "three");
    channel.publish(exchange, "one", Buffer.from("m"), { CC: ["two", "one"], BCC: ["three"] });
    expect(await drain(channel, queue)).toEqual(["m"]);
  });

  test("work through the default exchange and topic exchanges too", async () => {
    const { channel, exchange } = await withExchange("topic");
    const [byName, alsoByName] = [unique("by-name"), unique("also-by-name")];
    for (const queue of [byName, alsoByName]) await channel.assertQueue(queue);
    channel.publish("", byName, Buffer.from("m"), { BCC: [alsoByName] });
    expect(await getBody(channel, byName)).toBe("m");
    expect(await getBody(channel, alsoByName)).toBe("m");
    const queue = await boundQueue(channel, exchange, "a.*");
    channel.publish(exchange, "b.c", Buffer.from("t"), { CC: ["a.c"] });
    expect(await drain(channel, queue)).toEqual(["t"]);
  });

  test("count when a mandatory message is routed", async () => {
    const { channel, exchange } = await withExchange("direct");
    const queue = await boundQueue(channel, exchange, "cc");
    const returned: string[] = [];
    channel.on("return", (message) => returned.push(message.content.toString()));
    channel.publish(exchange, "to", Buffer.from("routed"), { mandatory: true, CC: ["cc"] });
    channel.publish(exchange, "to", Buffer.from("not routed"), { mandatory: true, CC: ["none"] });
    expect(await drain(channel, queue)).toEqual(["routed"]);
    expect(returned).toEqual(["not routed"]);
  });

  test("P4 are there in a message that comes back, CC with its value, BCC not at all", async () => {
    const { channel, exchange } = await withExchange("direct");
    const returned: unknown[] = [];
    channel.on("return", ({ properties }) => returned.push(properties.headers));
    const options = { mandatory: true, headers: { a: 1 }, CC: ["cc"], BCC: ["bcc"] };
    channel.publish(exchange, "to", Buffer.from("m"), options);
    await channel.checkExchange(exchange);
    expect(returned).toEqual([{ a: 1, CC: ["cc"] }]);
  });

  test("may hold values that are no strings, which are passed over", async () => {
    const { channel, exchange } = await withExchange("direct");
    const queue = await boundQueue(channel, exchange, "cc", "1");
    channel.publish(exchange, "to", Buffer.from("m"), { headers: { CC: [1, "cc", true] } });
    expect(await drain(channel, queue)).toEqual(["m"]);
  });

  test.each<[string, unknown, string]>([
    ["CC", "not a list", "longstr"],
    ["CC", true, "bool"],
    ["BCC", { a: 1 }, "table"],
  ])("have to be lists: %s may not be %j", async (header, value, type) => {
    const { channel, exchange } = await withExchange("direct");
    channel.publish(exchange, "to", Buffer.from("m"), { headers: { [header]: value } });
    expect(await channelError(channel)).toEqual({
      code: 406,
      message: `PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"${header}",${type}}`,
      classId: 60,
      methodId: 40,
    });
  });
});
