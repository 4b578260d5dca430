/**
 * Headers exchanges: the four kinds of x-match, which keys count, and when two values are the same.
 * Reference row X14.
 */
import type { Channel } from "amqplib";
import { describe, expect, test } from "vitest";
import { drain, openChannel, refused, unique } from "./harness.ts";
import {
  bits,
  headerFrame,
  longstr,
  publishFrame,
  RawClient,
  shortstr,
  table,
  typed,
  u8,
  u16,
  u32,
  u64,
} from "./raw-client.ts";

type Table = Record<string, unknown>;

/** Which of the messages, told apart by their number, come through a binding with these arguments. */
async function matching(args: Table, messages: (Table | undefined)[]): Promise<number[]> {
  const channel = await openChannel();
  const { exchange, queue } = await bind(channel, args);
  for (const [index, headers] of messages.entries()) {
    channel.publish(exchange, "", Buffer.from(String(index)), headers && { headers });
  }
  return (await drain(channel, queue)).map(Number);
}

async function bind(channel: Channel, args: Table) {
  const [exchange, queue] = [unique("headers"), unique("queue")];
  await channel.assertExchange(exchange, "headers");
  await channel.assertQueue(queue);
  await channel.bindQueue(queue, exchange, "ignored", args);
  return { exchange, queue };
}

describe("X14 x-match", () => {
  test("all wants every header of the binding, and minds no others", async () => {
    const messages = [
      { a: "1", b: "2" },
      { a: "1", b: "2", c: "3" },
      { a: "1" },
      { a: "1", b: "x" },
    ];
    const args = { a: "1", b: "2" };
    expect(await matching({ "x-match": "all", ...args }, messages)).toEqual([0, 1]);
    // It is what a binding without x-match means.
    expect(await matching(args, messages)).toEqual([0, 1]);
  });

  test("any wants one header of the binding", async () => {
    const messages = [{ a: "1", b: "2" }, { b: "2" }, { a: "2" }, { c: "1" }, {}, undefined];
    expect(await matching({ "x-match": "any", a: "1", b: "2" }, messages)).toEqual([0, 1]);
  });

  test("all with no headers to match lets everything through, any nothing", async () => {
    const messages = [{ a: "1" }, {}, undefined];
    expect(await matching({}, messages)).toEqual([0, 1, 2]);
    expect(await matching({ "x-match": "all" }, messages)).toEqual([0, 1, 2]);
    expect(await matching({ "x-match": "any" }, messages)).toEqual([]);
  });

  test("all and any look at no header that begins with x-", async () => {
    const messages = [{ a: "1", "x-b": "2" }, { a: "1" }, { "x-b": "2" }];
    const args = { a: "1", "x-b": "2" };
    expect(await matching({ "x-match": "all", ...args }, messages)).toEqual([0, 1]);
    expect(await matching({ "x-match": "any", ...args }, messages)).toEqual([0, 1]);
    expect(await matching({ "x-match": "all", "x-b": "2" }, messages)).toEqual([0, 1, 2]);
    expect(await matching({ "x-match": "any", "x-b": "2" }, messages)).toEqual([]);
  });

  test("all-with-x and any-with-x look at those as well", async () => {
    const messages = [{ a: "1", "x-b": "2" }, { a: "1" }, { "x-b": "2" }, { "x-b": "3" }];
    const args = { a: "1", "x-b": "2" };
    expect(await matching({ "x-match": "all-with-x", ...args }, messages)).toEqual([0]);
    expect(await matching({ "x-match": "any-with-x", ...args }, messages)).toEqual([0, 1, 2]);
  });

  test("itself is not one of the headers, whatever the message says in x-match", async () => {
    const messages = [{ "x-match": "any-with-x" }, { "x-match": "other" }, { a: "1" }];
    expect(await matching({ "x-match": "any-with-x", a: "1" }, messages)).toEqual([2]);
    expect(await matching({ "x-match": "all-with-x", a: "1" }, messages)).toEqual([2]);
  });

  test.each([
    ["some", `value <<"some">>; expected all, any, all-with-x, or any-with-x`],
    ["ANY", `value <<"ANY">>; expected all, any, all-with-x, or any-with-x`],
    [1, "type byte (value 1); expected longstr"],
    [true, "type bool (value true); expected longstr"],
  ])("%j is refused with 406", async (value, text) => {
    const channel = await openChannel();
    const queue = unique("queue");
    await channel.assertQueue(queue);
    const request = channel.bindQueue(queue, "amq.headers", "", { "x-match": value });
    expect(await refused(channel, request)).toEqual({
      code: 406,
      message: `PRECONDITION_FAILED - Invalid x-match field ${text}`,
      classId: 50,
      methodId: 20,
    });
  });

  test("is looked at by headers exchanges only", async () => {
    const channel = await openChannel();
    const queue = unique("queue");
    await channel.assertQueue(queue);
    await channel.bindQueue(queue, "amq.direct", queue, { "x-match": "nonsense" });
    channel.publish("amq.direct", queue, Buffer.from("m"));
    expect(await drain(channel, queue)).toEqual(["m"]);
  });
});

describe("X14 a binding's header", () => {
  test("without a value asks only that the header is there", async () => {
    const messages = [{ a: "1" }, { a: 7 }, { a: null }, { b: "1" }];
    expect(await matching({ a: null }, messages)).toEqual([0, 1, 2]);
    expect(await matching({ "x-match": "any", a: null }, messages)).toEqual([0, 1, 2]);
  });

  test("has to have the same value, and no other type", async () => {
    const messages = [{ a: "1" }, { a: 1 }, { a: true }, { a: 1.5 }, { a: "" }, { a: null }];
    expect(await matching({ a: "1" }, messages)).toEqual([0]);
    expect(await matching({ a: 1 }, messages)).toEqual([1]);
    expect(await matching({ a: true }, messages)).toEqual([2]);
    expect(await matching({ a: 1.5 }, messages)).toEqual([3]);
    expect(await matching({ a: "" }, messages)).toEqual([4]);
  });

  test("may be a table or a list", async () => {
    const list = { a: [1, "two", { three: true }] };
    const nested = { a: { b: { c: "d" } } };
    const messages = [list, { a: [1, "two"] }, nested, { a: { b: { c: "e" } } }, { a: {} }];
    expect(await matching(list, messages)).toEqual([0]);
    expect(await matching(nested, messages)).toEqual([2]);
  });

  test("minds the case of its key", async () => {
    expect(await matching({ Colour: "red" }, [{ Colour: "red" }, { colour: "red" }])).toEqual([0]);
  });

  test("that is bound twice with other values makes two bindings", async () => {
    const channel = await openChannel();
    const { exchange, queue } = await bind(channel, { a: "1" });
    await channel.bindQueue(queue, exchange, "ignored", { a: "2" });
    const publish = () => {
      for (const a of ["1", "2", "3"]) {
        channel.publish(exchange, "", Buffer.from(a), { headers: { a } });
      }
      return drain(channel, queue);
    };
    expect(await publish()).toEqual(["1", "2"]);
    await channel.unbindQueue(queue, exchange, "ignored", { a: "1" });
    expect(await publish()).toEqual(["2"]);
  });
});

/**
 * Seven in each of the types, by letter, in groups of which any two are the same to a headers exchange. Not
 * in a timestamp: that is the same as an integer in RabbitMQ 3.10, and the same as nothing in 4.
 */
const SEVENS: Record<string, Buffer>[] = [
  {
    b: typed("b", u8(7)),
    B: typed("B", u8(7)),
    s: typed("s", u16(7)),
    u: typed("u", u16(7)),
    I: typed("I", u32(7)),
    i: typed("i", u32(7)),
    l: typed("l", u64(7)),
  },
  { S: typed("S", longstr("7")), x: typed("x", longstr("7")) },
  { A: typed("A", longstr(typed("I", u32(7)))) },
];

test("X14 numbers are compared by their value, and so are strings, whatever their type on the wire", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  for (const group of SEVENS) {
    for (const value of Object.values(group)) {
      const declare = [u16(0), shortstr(""), bits(false, false, true), table()];
      const queue = (await raw.rpc(1, 50, 10, declare)).shortstr();
      // The queue's name keeps the other queues' messages out.
      const own = { queue: typed("S", longstr(queue)) };
      const binding = [u16(0), shortstr(queue), shortstr("amq.headers"), shortstr(""), bits()];
      await raw.rpc(1, 50, 20, [...binding, table({ ...own, n: value })]);
      for (const [letter, sent] of SEVENS.flatMap((other) => Object.entries(other))) {
        // Headers, and the letter as the message id.
        const headers = table({ ...own, n: sent });
        const properties = Buffer.concat([u16(0x2080), headers, shortstr(letter)]);
        raw.send(
          Buffer.concat([publishFrame(1, "amq.headers", ""), headerFrame(1, 0, properties)]),
        );
      }
      expect(await messageIds(raw, queue)).toEqual(Object.keys(group));
    }
  }
});

async function messageIds(raw: RawClient, queue: string): Promise<string[]> {
  const letters: string[] = [];
  for (;;) {
    raw.sendMethod(1, 60, 70, [u16(0), shortstr(queue), bits(true)]);
    if ((await raw.readMethod(1))?.methodId !== 71) return letters;
    letters.push((await raw.readFrame())?.payload.subarray(-1).toString() ?? "");
  }
}
