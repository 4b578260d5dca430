/**
 * Declaring queues: what declare-ok says, declaring again, names, and the arguments that are checked and those
 * that are not. Reference rows Q1 to Q7, Q12 to Q15.
 */
import type { Options } from "amqplib";
import { describe, expect, test } from "vitest";
import {
  consume,
  drain,
  isOldRabbitMQ,
  openChannel,
  refused,
  unique,
  untilReady,
} from "./harness.ts";
import {
  bits,
  longstr,
  RawClient,
  shortstr,
  table,
  typed,
  u8,
  u16,
  u32,
  u64,
} from "./raw-client.ts";

const DECLARE = { classId: 50, methodId: 10 };

async function refusedDeclare(first: Options.AssertQueue, second: Options.AssertQueue) {
  const channel = await openChannel();
  const queue = unique("inequivalent");
  await channel.assertQueue(queue, first);
  const reason = await refused(channel, channel.assertQueue(queue, second));
  return { ...reason, message: reason.message.replace(queue, "Q") };
}

function inequivalent(property: string, text: string) {
  return {
    code: 406,
    message: `PRECONDITION_FAILED - inequivalent arg '${property}' for queue 'Q' in vhost '/': ${text}`,
    ...DECLARE,
  };
}

describe("Q1 declare-ok", () => {
  test("counts the messages that are ready, not the unacknowledged ones, and the consumers", async () => {
    const channel = await openChannel();
    const queue = unique("counted");
    expect(await channel.assertQueue(queue)).toEqual({ queue, messageCount: 0, consumerCount: 0 });
    for (const body of ["1", "2", "3"]) channel.sendToQueue(queue, Buffer.from(body));
    await untilReady(queue, 3);
    await channel.prefetch(2);
    const inbox = await consume(channel, queue);
    await inbox.take(2);
    expect(await channel.assertQueue(queue)).toEqual({ queue, messageCount: 1, consumerCount: 1 });
    expect(await channel.checkQueue(queue)).toEqual({ queue, messageCount: 1, consumerCount: 1 });
    await channel.cancel(inbox.consumerTag);
    expect((await channel.checkQueue(queue)).consumerCount).toBe(0);
  });

  test("comes for a queue with the same properties and arguments, also on another connection", async () => {
    const queue = unique("twice");
    const options = { durable: false, autoDelete: true, expires: 60_000, maxLength: 5 };
    await (await openChannel()).assertQueue(queue, options);
    await (await openChannel()).assertQueue(queue, options);
  });
});

describe("Q1 what is looked at first:", () => {
  const bad = { "x-message-ttl": "soon" };

  test("a reserved name, before the arguments", async () => {
    const channel = await openChannel();
    const request = channel.assertQueue("amq.mine", { arguments: bad });
    expect((await refused(channel, request)).code).toBe(403);
  });

  test("whose queue it is, before its properties and arguments", async () => {
    const owner = await openChannel();
    const queue = unique("exclusive");
    await owner.assertQueue(queue, { exclusive: true, autoDelete: true });
    const channel = await openChannel();
    expect((await refused(channel, channel.assertQueue(queue, { arguments: bad }))).code).toBe(405);
  });

  test("what the existing queue has, and no argument's value", async () => {
    const channel = await openChannel();
    const queue = unique("existing");
    await channel.assertQueue(queue);
    expect(
      (await refused(channel, channel.assertQueue(queue, { arguments: bad }))).message,
    ).toContain("inequivalent arg 'x-message-ttl'");
  });
});

describe("Q2 declaring a queue again", () => {
  test.each<[string, Options.AssertQueue, Options.AssertQueue, string]>([
    ["durable", { durable: false }, { durable: true }, "received 'true' but current is 'false'"],
    ["durable", { durable: true }, { durable: false }, "received 'false' but current is 'true'"],
    ["auto_delete", {}, { autoDelete: true }, "received 'true' but current is 'false'"],
    ["x-max-length", { maxLength: 10 }, { maxLength: 20 }, "received '20' but current is '10'"],
    [
      "x-expires",
      {},
      { expires: 70_000 },
      "received the value '70000' of type 'signedint' but current is none",
    ],
    [
      "x-expires",
      { expires: 2_592_000_000 },
      {},
      "received none but current is the value '2592000000' of type 'long'",
    ],
    [
      "x-dead-letter-exchange",
      {},
      { deadLetterExchange: "dlx" },
      "received the value 'dlx' of type 'longstr' but current is none",
    ],
    [
      "x-overflow",
      { arguments: { "x-overflow": "drop-head" } },
      { arguments: { "x-overflow": "reject-publish" } },
      "received 'reject-publish' but current is 'drop-head'",
    ],
    [
      "x-single-active-consumer",
      { arguments: { "x-single-active-consumer": true } },
      { arguments: { "x-single-active-consumer": false } },
      "received 'false' but current is 'true'",
    ],
    [
      "x-single-active-consumer",
      {},
      { arguments: { "x-single-active-consumer": true } },
      "received the value 'true' of type 'bool' but current is none",
    ],
    [
      "x-max-priority",
      { maxPriority: 5 },
      {},
      "received none but current is the value '5' of type 'byte'",
    ],
    [
      "x-queue-type",
      {},
      { arguments: { "x-queue-type": "quorum" } },
      "received the value 'quorum' of type 'longstr' but current is none",
    ],
    [
      "x-queue-type",
      { arguments: { "x-queue-type": "classic" } },
      { arguments: { "x-queue-type": "quorum" } },
      "received 'quorum' but current is 'classic'",
    ],
  ])("with another %s is 406: %j, then %j", async (property, first, second, text) => {
    expect(await refusedDeclare(first, second)).toEqual(inequivalent(property, text));
  });

  test("names of several arguments the first in RabbitMQ's order", async () => {
    const order: [string, unknown][] = [
      ["x-expires", 70_000],
      ["x-message-ttl", 70_000],
      ["x-dead-letter-exchange", "amq.fanout"],
      ["x-dead-letter-routing-key", "key"],
      ["x-max-length", 10],
      ["x-max-length-bytes", 10],
      ["x-max-priority", 3],
      ["x-overflow", "drop-head"],
      ["x-queue-mode", "lazy"],
      ["x-queue-version", 1],
      ["x-single-active-consumer", true],
    ];
    for (const [from, [first]] of order.entries()) {
      // A dead letter routing key without an exchange would be refused for that.
      const rest = order.slice(from);
      if (first === "x-dead-letter-routing-key") rest.shift();
      const args = Object.fromEntries(rest.reverse());
      const { message } = await refusedDeclare({}, { arguments: args });
      expect(message).toContain(`inequivalent arg '${rest.at(-1)![0]}'`);
    }
  });

  test("names the first difference of durable, auto_delete and the arguments", async () => {
    const all = { durable: false, autoDelete: true, expires: 70_000 };
    expect(await refusedDeclare({}, all)).toMatchObject({
      message: expect.stringContaining("inequivalent arg 'durable'"),
    });
    expect(await refusedDeclare({}, { ...all, durable: true })).toMatchObject({
      message: expect.stringContaining("inequivalent arg 'auto_delete'"),
    });
  });

  test("compares no arguments that mean nothing to the broker", async () => {
    const channel = await openChannel();
    const queue = unique("arguments");
    await channel.assertQueue(queue, { arguments: { colour: "red", "x-colour": 1 } });
    await channel.assertQueue(queue, { arguments: { colour: "blue" } });
    await channel.assertQueue(queue);
  });

  test("takes the classic type and no type for the same", async () => {
    const channel = await openChannel();
    const [bare, classic] = [unique("bare"), unique("classic")];
    const options = { arguments: { "x-queue-type": "classic" } };
    await channel.assertQueue(bare);
    await channel.assertQueue(bare, options);
    await channel.assertQueue(classic, options);
    await channel.assertQueue(classic);
  });

  test("takes equal integers for the same whatever their type, but no float and no string", async () => {
    const raw = await RawClient.connect();
    await raw.openChannel(1);
    const queue = unique("integers");
    const declare = (value: Buffer) => {
      raw.sendMethod(1, 50, 10, [
        ...[u16(0), shortstr(queue), bits()],
        table({ "x-max-length": value }),
      ]);
    };
    const integers = [
      ...[typed("b", u8(10)), typed("B", u8(10)), typed("s", u16(10)), typed("u", u16(10))],
      ...[typed("I", u32(10)), typed("i", u32(10)), typed("l", u64(10))],
    ];
    for (const value of integers) {
      declare(value);
      await raw.expectMethod(1, 50, 11);
    }
    const ten = Buffer.alloc(8);
    ten.writeDoubleBE(10);
    const others: [Buffer, string][] = [
      [typed("d", ten), "10.0"],
      [typed("S", longstr("10")), "10"],
    ];
    for (const [value, shown] of others) {
      declare(value);
      expect(await raw.expectChannelClose(1)).toMatchObject({
        text: `PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '${queue}' in vhost '/': received '${shown}' but current is '10'`,
      });
      await raw.openChannel(1);
    }
  });
});

test.each([
  ["array", typed("A", longstr(""))],
  ["binary", typed("x", longstr(""))],
  ["bool", typed("t", u8(1))],
  ["byte", typed("b", u8(1))],
  ["decimal", typed("D", Buffer.concat([u8(1), u32(1)]))],
  ["double", typed("d", u64(0))],
  ["float", typed("f", u32(0))],
  ["long", typed("l", u64(1))],
  ["short", typed("s", u16(1))],
  ["signedint", typed("I", u32(1))],
  ["table", typed("F", table())],
  ["timestamp", typed("T", u64(1))],
  ["unsignedbyte", typed("B", u8(1))],
  ["unsignedint", typed("i", u32(1))],
  ["unsignedshort", typed("u", u16(1))],
  ["void", typed("V")],
])("Q3 the type %s has this name in error texts", async (type, value) => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const queue = unique("typed");
  const args = table({ "x-overflow": value });
  raw.sendMethod(1, 50, 10, [u16(0), shortstr(queue), bits(), args]);
  expect((await raw.expectChannelClose(1)).text).toBe(
    `PRECONDITION_FAILED - invalid arg 'x-overflow' for queue '${queue}' in vhost '/': {unacceptable_type,${type}}`,
  );
});

describe("Q4 a queue declared without a name", () => {
  test("gets one that begins as x-name-prefix says", async ({ skip }) => {
    skip(await isOldRabbitMQ(), "3.10 does not know the argument");
    const channel = await openChannel();
    const options = { exclusive: true, arguments: { "x-name-prefix": "a.service" } };
    const { queue } = await channel.assertQueue("", options);
    expect(queue).toMatch(/^a\.service-[\w-]{22}$/);
  });

  test.for<[string, number, string]>([
    [
      "x".repeat(65),
      406,
      `PRECONDITION_FAILED - Queue name prefix '${"x".repeat(65)}' exceeds the 64-byte limit`,
    ],
    ["amq.mine", 403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"],
  ])("may not ask for the prefix %s", async ([prefix, code, message], { skip }) => {
    skip(await isOldRabbitMQ(), "3.10 does not know the argument");
    const channel = await openChannel();
    const options = { exclusive: true, arguments: { "x-name-prefix": prefix } };
    expect(await refused(channel, channel.assertQueue("", options))).toEqual({
      code,
      message,
      ...DECLARE,
    });
  });

  test("gets one that begins with amq.gen- and is used nowhere else", async () => {
    const channel = await openChannel();
    const one = await channel.assertQueue("", { exclusive: true });
    const two = await channel.assertQueue("", { exclusive: true });
    expect(one).toMatchObject({ messageCount: 0, consumerCount: 0 });
    for (const { queue } of [one, two]) expect(queue).toMatch(/^amq\.gen-[\w-]{22}$/);
    expect(one.queue).not.toBe(two.queue);
    channel.sendToQueue(one.queue, Buffer.from("m"));
    expect(await drain(channel, one.queue)).toEqual(["m"]);
  });

  test("can be looked up by that name, but not declared by it", async () => {
    const channel = await openChannel();
    const { queue } = await channel.assertQueue("", { exclusive: true });
    await channel.checkQueue(queue);
    expect(await refused(channel, channel.assertQueue(queue, { exclusive: true }))).toEqual({
      code: 403,
      message: `ACCESS_REFUSED - queue name '${queue}' contains reserved prefix 'amq.*'`,
      ...DECLARE,
    });
  });
});

test("Q5 a new queue's name may not begin with amq.", async () => {
  const channel = await openChannel();
  expect(await refused(channel, channel.assertQueue("amq.mine"))).toEqual({
    code: 403,
    message: "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
    ...DECLARE,
  });
  const missing = await openChannel();
  expect(await refused(missing, missing.checkQueue("amq.mine"))).toMatchObject({ code: 404 });
});

test("Q5 line ends are taken out of a name, anything else may be in it", async () => {
  const channel = await openChannel();
  const name = unique("odd name / ünïcode \t'\"");
  const { queue } = await channel.assertQueue(`\r\n${name}\n`);
  expect(queue).toBe(name);
  expect((await channel.assertQueue(`${name}\r`)).queue).toBe(name);
  channel.sendToQueue(name, Buffer.from("m"));
  expect(await drain(channel, name)).toEqual(["m"]);
});

test("Q6 a passive declaration compares nothing, and of a missing queue it is 404", async () => {
  const channel = await openChannel();
  const queue = unique("passive");
  await channel.assertQueue(queue, { durable: false, autoDelete: true, maxLength: 3 });
  await channel.checkQueue(queue);
  expect(await refused(channel, channel.checkQueue("no-such-queue"))).toEqual({
    code: 404,
    message: "NOT_FOUND - no queue 'no-such-queue' in vhost '/'",
    ...DECLARE,
  });
});

test("Q7 a queue may be transient without being exclusive", async () => {
  const queue = unique("transient");
  await (await openChannel()).assertQueue(queue, { durable: false });
  await (await openChannel()).assertQueue(queue, { durable: false });
});

describe("Q12 arguments", () => {
  test("that are unknown are accepted", async () => {
    const channel = await openChannel();
    const options = { arguments: { "x-nobody-knows": [1, { two: "three" }], other: null } };
    await channel.assertQueue(unique("unknown"), options);
  });

  test.each<[string, unknown]>([
    ["x-delivery-limit", 5],
    ["x-dead-letter-strategy", "at-least-once"],
    ["x-quorum-initial-group-size", 1],
    ["x-max-in-memory-length", 1],
  ])("of quorum queues are refused for classic ones: %s", async (key, value) => {
    const channel = await openChannel();
    const queue = unique("classic");
    expect(
      await refused(channel, channel.assertQueue(queue, { arguments: { [key]: value } })),
    ).toEqual({
      code: 406,
      message: `PRECONDITION_FAILED - invalid arg '${key}' for queue '${queue}' in vhost '/' of queue type rabbit_classic_queue`,
      ...DECLARE,
    });
  });

  test("QQ4 of another type of queue are refused", async () => {
    const channel = await openChannel();
    const queue = unique("quorum");
    const options = { arguments: { "x-queue-type": "quorum", "x-max-priority": 5 } };
    expect(await refused(channel, channel.assertQueue(queue, options))).toEqual({
      code: 406,
      message: `PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue '${queue}' in vhost '/' of queue type rabbit_quorum_queue`,
      ...DECLARE,
    });
  });
});

const TOO_LONG_MS = 315_360_000_001;

describe("Q13 an argument out of its range is refused:", () => {
  test.each<[string, unknown, string]>([
    ["x-message-ttl", -1, "{value_negative,-1}"],
    ["x-message-ttl", TOO_LONG_MS, `{value_too_large,${TOO_LONG_MS}}`],
    ["x-message-ttl", "100", '"expected integer, got longstr"'],
    ["x-message-ttl", 1.5, '"expected integer, got double"'],
    ["x-message-ttl", true, '"expected integer, got bool"'],
    ["x-expires", 0, "{value_zero,0}"],
    ["x-expires", -1, "{value_negative,-1}"],
    ["x-expires", "100", '"expected integer, got longstr"'],
    ["x-expires", TOO_LONG_MS, `{value_too_large,${TOO_LONG_MS}}`],
    ["x-max-length", -1, "{value_negative,-1}"],
    ["x-max-length", "1", '"expected integer, got longstr"'],
    ["x-max-length-bytes", -1, "{value_negative,-1}"],
    ["x-max-priority", -1, "{value_negative,-1}"],
    ["x-max-priority", 256, "{max_value_exceeded,256}"],
    ["x-max-priority", "5", '"expected integer, got longstr"'],
    ["x-overflow", "explode", "invalid_overflow"],
    ["x-overflow", 1, "{unacceptable_type,byte}"],
    ["x-dead-letter-routing-key", "key", "routing_key_but_no_dlx_defined"],
    ["x-dead-letter-routing-key", true, "{unacceptable_type,bool}"],
    ["x-single-active-consumer", "yes", "{unacceptable_type,longstr}"],
    ["x-single-active-consumer", 1, "{unacceptable_type,byte}"],
    ["x-queue-type", 1, "{unacceptable_type,byte}"],
    ["x-queue-type", "fast", "\"unsupported queue type 'fast'\""],
  ])("%s = %j", async (key, value, text) => {
    const channel = await openChannel();
    const queue = unique("invalid");
    const request = channel.assertQueue(queue, { arguments: { [key]: value } });
    expect(await refused(channel, request)).toEqual({
      code: 406,
      message: `PRECONDITION_FAILED - invalid arg '${key}' for queue '${queue}' in vhost '/': ${text}`,
      ...DECLARE,
    });
    const other = await openChannel();
    expect(await refused(other, other.checkQueue(queue))).toMatchObject({ code: 404 });
  });

  test.each<[unknown, string]>([
    [1, "byte"],
    [["x"], "array"],
  ])("x-dead-letter-exchange = %j, in other words", async (value, type) => {
    const channel = await openChannel();
    const queue = unique("invalid");
    const options = { arguments: { "x-dead-letter-exchange": value } };
    expect(await refused(channel, channel.assertQueue(queue, options))).toEqual({
      code: 406,
      message: `PRECONDITION_FAILED - invalid type '${type}' for arg 'x-dead-letter-exchange' in queue '${queue}' in vhost '/'`,
      ...DECLARE,
    });
  });

  test.each<[string, unknown]>([
    ["x-message-ttl", 0],
    ["x-message-ttl", TOO_LONG_MS - 1],
    ["x-expires", TOO_LONG_MS - 1],
    ["x-max-length", 0],
    ["x-max-length-bytes", 0],
    ["x-max-priority", 255],
    ["x-max-priority", 1],
    ["x-overflow", "reject-publish-dlx"],
    ["x-dead-letter-exchange", ""],
    ["x-queue-mode", "lazy"],
    ["x-queue-version", 2],
    ["x-single-active-consumer", false],
  ])("but not %s = %j", async (key, value) => {
    const channel = await openChannel();
    const queue = unique("valid");
    await channel.assertQueue(queue, { arguments: { [key]: value } });
    await channel.assertQueue(queue, { arguments: { [key]: value } });
  });
});

describe("Q14 QQ1 a quorum queue", () => {
  test.each<[string, Options.AssertQueue]>([
    ["non-durable", { durable: false }],
    ["auto-delete", { autoDelete: true }],
    ["exclusive-owner", { exclusive: true }],
  ])("cannot be %s", async (property, options) => {
    const channel = await openChannel();
    const queue = unique("quorum");
    const request = channel.assertQueue(queue, {
      ...options,
      arguments: { "x-queue-type": "quorum" },
    });
    const message = `PRECONDITION_FAILED - invalid property '${property}' for queue '${queue}' in vhost '/'`;
    expect(await refused(channel, request)).toEqual({ code: 406, message, ...DECLARE });
  });

  test("is told first that it cannot be auto-delete, and then that it cannot be exclusive", async () => {
    const wrong = { durable: false, exclusive: true, arguments: { "x-queue-type": "quorum" } };
    for (const [property, autoDelete] of [
      ["auto-delete", true],
      ["exclusive-owner", false],
    ] as const) {
      const channel = await openChannel();
      const queue = unique("quorum");
      const request = channel.assertQueue(queue, { ...wrong, autoDelete });
      const message = `PRECONDITION_FAILED - invalid property '${property}' for queue '${queue}' in vhost '/'`;
      expect(await refused(channel, request)).toEqual({ code: 406, message, ...DECLARE });
    }
  });

  test("Q4 cannot be named by the server", async () => {
    const channel = await openChannel();
    const request = channel.assertQueue("", { arguments: { "x-queue-type": "quorum" } });
    expect(await refused(channel, request)).toEqual({
      code: 406,
      message:
        "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue",
      ...DECLARE,
    });
  });

  test("takes and gives messages like a classic one", async () => {
    const channel = await openChannel();
    const queue = unique("quorum");
    await channel.assertQueue(queue, { arguments: { "x-queue-type": "quorum" } });
    const inbox = await consume(channel, queue);
    for (const body of ["1", "2", "3"]) channel.sendToQueue(queue, Buffer.from(body));
    const bodies = (await inbox.take(3)).map((message) => message.content.toString());
    expect(bodies).toEqual(["1", "2", "3"]);
  });
});
