/**
 * Exchanges as things: which exist from the start, declaring and declaring again, names, deleting, the flags.
 * Reference rows X1 to X10, with X15's check of the alternate exchange's argument.
 */
import { expect, test } from "vitest";
import {
  channelError,
  connect,
  drain,
  isOldRabbitMQ,
  openChannel,
  refused,
  unique,
} from "./harness.ts";
import { bits, RawClient, shortstr, table, u16 } from "./raw-client.ts";

const DECLARE = { classId: 40, methodId: 10 };
const DELETE = { classId: 40, methodId: 20 };

test.each([
  ["", "direct"],
  ["amq.direct", "direct"],
  ["amq.fanout", "fanout"],
  ["amq.topic", "topic"],
  ["amq.headers", "headers"],
  ["amq.match", "headers"],
  ["amq.rabbitmq.trace", "topic"],
])("X1 the exchange '%s' is there from the start", async (name, type) => {
  const channel = await openChannel();
  if (name !== "") await channel.checkExchange(name);
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  // Passive: nothing is compared, so the type that is given does not matter.
  const fields = [u16(0), shortstr(name), shortstr("no-matter"), bits(true), table()];
  if (name !== "") await raw.rpc(1, 40, 10, fields);
  if (name === "" || name === "amq.rabbitmq.trace") return;
  await channel.assertExchange(name, type, { durable: true });
});

test("X1 amq.rabbitmq.trace is durable, internal and a topic exchange", async () => {
  const channel = await openChannel();
  await channel.assertExchange("amq.rabbitmq.trace", "topic", { durable: true, internal: true });
  channel.publish("amq.rabbitmq.trace", "key", Buffer.from("from outside"));
  expect(await channelError(channel)).toEqual({
    code: 403,
    message:
      "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'",
    classId: 60,
    methodId: 40,
  });
});

test("X2 declaring an exchange again with the same properties is fine", async () => {
  const channel = await openChannel();
  const name = unique("twice");
  const options = { durable: false, autoDelete: true, internal: true, alternateExchange: "other" };
  await channel.assertExchange(name, "topic", options);
  await channel.assertExchange(name, "topic", options);
});

test.each([
  ["type", "fanout", {}, "'fanout'", "'direct'"],
  ["durable", "direct", { durable: false }, "'false'", "'true'"],
  ["auto_delete", "direct", { autoDelete: true }, "'true'", "'false'"],
  ["internal", "direct", { internal: true }, "'true'", "'false'"],
])(
  "X2 declaring an exchange again with another %s is 406",
  async (property, type, options, received, current) => {
    const channel = await openChannel();
    const name = unique("inequivalent");
    await channel.assertExchange(name, "direct");
    expect(await refused(channel, channel.assertExchange(name, type, options))).toEqual({
      code: 406,
      message: `PRECONDITION_FAILED - inequivalent arg '${property}' for exchange '${name}' in vhost '/': received ${received} but current is ${current}`,
      ...DECLARE,
    });
  },
);

test("X2 of several differences the first of type, durable, auto_delete, internal is named", async () => {
  const name = unique("inequivalent");
  await (await openChannel()).assertExchange(name, "direct");
  const channel = await openChannel();
  const all = { durable: false, autoDelete: true, internal: true, alternateExchange: "x" };
  expect(await refused(channel, channel.assertExchange(name, "topic", all))).toMatchObject({
    message: expect.stringContaining("inequivalent arg 'type'"),
  });
  const second = await openChannel();
  expect(await refused(second, second.assertExchange(name, "direct", all))).toMatchObject({
    message: expect.stringContaining("inequivalent arg 'durable'"),
  });
  const third = await openChannel();
  expect(
    await refused(third, third.assertExchange(name, "direct", { ...all, durable: true })),
  ).toMatchObject({ message: expect.stringContaining("inequivalent arg 'auto_delete'") });
});

test.each([
  [
    "the value differs",
    { alternateExchange: "one" },
    { alternateExchange: "two" },
    "received 'two' but current is 'one'",
  ],
  [
    "only the first had one",
    { alternateExchange: "one" },
    {},
    "received none but current is the value 'one' of type 'longstr'",
  ],
  [
    "only the second has one",
    {},
    { alternateExchange: "two" },
    "received the value 'two' of type 'longstr' but current is none",
  ],
])("X2 another alternate-exchange is 406: %s", async (_, first, second, text) => {
  const channel = await openChannel();
  const name = unique("inequivalent");
  await channel.assertExchange(name, "direct", first);
  expect(await refused(channel, channel.assertExchange(name, "direct", second))).toEqual({
    code: 406,
    message: `PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange '${name}' in vhost '/': ${text}`,
    ...DECLARE,
  });
});

test("X2 other arguments are not compared", async () => {
  const channel = await openChannel();
  const name = unique("arguments");
  await channel.assertExchange(name, "direct", { arguments: { colour: "red", size: 1 } });
  await channel.assertExchange(name, "direct", { arguments: { colour: "blue" } });
});

test("X3 an unknown exchange type is refused", async () => {
  const { connection } = await connect();
  const channel = await connection.createChannel();
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const name = unique("odd");
  const fields = [u16(0), shortstr(name), shortstr("x-nonsense"), bits(), table()];
  raw.sendMethod(1, 40, 10, fields);
  if (await isOldRabbitMQ()) {
    // Until 3.13 this closed the connection.
    expect(await raw.expectClose()).toEqual({
      code: 503,
      text: "COMMAND_INVALID - unknown exchange type 'x-nonsense'",
      ...DECLARE,
    });
  } else {
    const { code, text, classId, methodId } = await raw.expectChannelClose(1);
    expect({ code, classId, methodId }).toEqual({ code: 406, ...DECLARE });
    expect([
      "PRECONDITION_FAILED - unknown exchange type 'x-nonsense'",
      "PRECONDITION_FAILED - invalid exchange type 'x-nonsense'",
    ]).toContain(text);
  }
  expect(await refused(channel, channel.checkExchange(name))).toMatchObject({ code: 404 });
});

test("X4 X6 the default exchange cannot be looked up either", async () => {
  const channel = await openChannel();
  expect(await refused(channel, channel.checkExchange(""))).toEqual({
    code: 403,
    message: "ACCESS_REFUSED - operation not permitted on the default exchange",
    ...DECLARE,
  });
});

test("X4 the default exchange cannot be declared or deleted", async () => {
  const message = "ACCESS_REFUSED - operation not permitted on the default exchange";
  const declaring = await openChannel();
  expect(await refused(declaring, declaring.assertExchange("", "direct"))).toEqual({
    code: 403,
    message,
    ...DECLARE,
  });
  const deleting = await openChannel();
  expect(await refused(deleting, deleting.deleteExchange(""))).toEqual({
    code: 403,
    message,
    ...DELETE,
  });
});

test("X4 X18 nothing can be bound to the default exchange or unbound from it", async () => {
  const queue = unique("queue");
  await (await openChannel()).assertQueue(queue);
  const expected = (classId: number, methodId: number) => ({
    code: 403,
    message: "ACCESS_REFUSED - operation not permitted on the default exchange",
    classId,
    methodId,
  });
  const bind = await openChannel();
  expect(await refused(bind, bind.bindQueue(queue, "", "key"))).toEqual(expected(50, 20));
  const unbind = await openChannel();
  expect(await refused(unbind, unbind.unbindQueue(queue, "", queue))).toEqual(expected(50, 50));
  const from = await openChannel();
  expect(await refused(from, from.bindExchange("amq.fanout", "", ""))).toEqual(expected(40, 30));
  const to = await openChannel();
  expect(await refused(to, to.bindExchange("", "amq.fanout", ""))).toEqual(expected(40, 30));
  const unbindTo = await openChannel();
  expect(await refused(unbindTo, unbindTo.unbindExchange("", "amq.fanout", ""))).toEqual(
    expected(40, 40),
  );
});

test("X5 names that begin with amq. are reserved, unless the exchange exists", async () => {
  const channel = await openChannel();
  await channel.assertExchange("amq.topic", "topic", { durable: true });
  expect(await refused(channel, channel.assertExchange("amq.mine", "topic"))).toEqual({
    code: 403,
    message: "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
    ...DECLARE,
  });
  const again = await openChannel();
  expect(await refused(again, again.assertExchange("amq.topic", "direct"))).toMatchObject({
    code: 406,
    message:
      "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.topic' in vhost '/': received 'direct' but current is 'topic'",
  });
});

test("X5 no name that begins with amq. can be deleted, whether it exists or not", async () => {
  const channel = await openChannel();
  expect((await refused(channel, channel.deleteExchange("amq.mine"))).message).toBe(
    "ACCESS_REFUSED - deletion of system exchange 'amq.mine' in vhost '/' not allowed",
  );
});

test("X5 the exchanges of the system cannot be deleted", async () => {
  const channel = await openChannel();
  expect(await refused(channel, channel.deleteExchange("amq.topic"))).toEqual({
    code: 403,
    message: "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed",
    ...DELETE,
  });
  await (await openChannel()).checkExchange("amq.topic");
});

test("X5 line ends are taken out of a name, anything else may be in it", async () => {
  const channel = await openChannel();
  const name = unique("odd name / ünïcode \t'\"");
  await channel.assertExchange(`\r\n${name}\n`, "direct");
  await channel.checkExchange(name);
  const long = unique("long");
  await channel.assertExchange(long, "direct");
  await channel.deleteExchange(`${long}\r`);
  expect(await refused(channel, channel.checkExchange(long))).toMatchObject({ code: 404 });
});

test("X6 a passive declaration of a missing exchange is 404, and none of an existing one", async () => {
  const channel = await openChannel();
  const name = unique("exchange");
  await channel.assertExchange(name, "fanout", { durable: false, autoDelete: true });
  await channel.checkExchange(name);
  expect(await refused(channel, channel.checkExchange("no-such-exchange"))).toEqual({
    code: 404,
    message: "NOT_FOUND - no exchange 'no-such-exchange' in vhost '/'",
    ...DECLARE,
  });
});

test("X7 a deleted exchange is gone, with its bindings; deleting a missing one is fine", async () => {
  const channel = await openChannel();
  const [name, queue] = [unique("exchange"), unique("queue")];
  await channel.assertQueue(queue);
  await channel.assertExchange(name, "direct");
  await channel.bindQueue(queue, name, "key");
  await channel.deleteExchange(name);
  await channel.deleteExchange(name);
  await channel.assertExchange(name, "direct");
  channel.publish(name, "key", Buffer.from("no longer bound"));
  expect(await drain(channel, queue)).toEqual([]);
});

test("X7 if-unused refuses an exchange that something is bound to", async () => {
  const channel = await openChannel();
  const [name, queue] = [unique("exchange"), unique("queue")];
  await channel.assertQueue(queue);
  await channel.assertExchange(name, "direct");
  await channel.bindQueue(queue, name, "key");
  expect(await refused(channel, channel.deleteExchange(name, { ifUnused: true }))).toEqual({
    code: 406,
    message: `PRECONDITION_FAILED - exchange '${name}' in vhost '/' in use`,
    ...DELETE,
  });
  const other = await openChannel();
  await other.unbindQueue(queue, name, "key");
  await other.deleteExchange(name, { ifUnused: true });
  expect(await refused(other, other.checkExchange(name))).toMatchObject({ code: 404 });
});

test("X7 if-unused does not mind bindings that lead to the exchange", async () => {
  const channel = await openChannel();
  const name = unique("exchange");
  await channel.assertExchange(name, "fanout");
  await channel.bindExchange(name, "amq.fanout", "");
  await channel.deleteExchange(name, { ifUnused: true });
  expect(await refused(channel, channel.checkExchange(name))).toMatchObject({ code: 404 });
});

test("X8 an auto-delete exchange goes with the last binding from it", async () => {
  const channel = await openChannel();
  const [name, queue] = [unique("exchange"), unique("queue")];
  await channel.assertQueue(queue);
  await channel.assertExchange(name, "direct", { autoDelete: true });
  await channel.bindQueue(queue, name, "one");
  await channel.bindQueue(queue, name, "two");
  await channel.unbindQueue(queue, name, "one");
  await channel.checkExchange(name);
  await channel.unbindQueue(queue, name, "two");
  expect(await refused(channel, channel.checkExchange(name))).toMatchObject({ code: 404 });
});

test("X8 an auto-delete exchange goes when its only queue does, and takes its own source with it", async () => {
  const channel = await openChannel();
  const [source, name, queue] = [unique("source"), unique("exchange"), unique("queue")];
  await channel.assertQueue(queue);
  await channel.assertExchange(source, "fanout", { autoDelete: true });
  await channel.assertExchange(name, "fanout", { autoDelete: true });
  await channel.bindExchange(name, source, "");
  await channel.bindQueue(queue, name, "");
  await channel.deleteQueue(queue);
  expect(await refused(channel, channel.checkExchange(name))).toMatchObject({ code: 404 });
  const other = await openChannel();
  expect(await refused(other, other.checkExchange(source))).toMatchObject({ code: 404 });
});

test("X8 an auto-delete exchange that nothing was ever bound to stays, as does one with bindings only to it", async () => {
  const channel = await openChannel();
  const name = unique("exchange");
  await channel.assertExchange(name, "fanout", { autoDelete: true });
  await channel.bindExchange(name, "amq.fanout", "");
  await channel.unbindExchange(name, "amq.fanout", "");
  await channel.checkExchange(name);
});

test("X9 an internal exchange takes messages from other exchanges only", async () => {
  const channel = await openChannel();
  const [front, name, queue] = [unique("front"), unique("internal"), unique("queue")];
  await channel.assertQueue(queue);
  await channel.assertExchange(front, "fanout");
  await channel.assertExchange(name, "fanout", { internal: true });
  await channel.bindExchange(name, front, "");
  await channel.bindQueue(queue, name, "");
  channel.publish(front, "", Buffer.from("through the front"));
  expect(await drain(channel, queue)).toEqual(["through the front"]);
  channel.publish(name, "", Buffer.from("directly"));
  expect(await channelError(channel)).toEqual({
    code: 403,
    message: `ACCESS_REFUSED - cannot publish to internal exchange '${name}' in vhost '/'`,
    classId: 60,
    methodId: 40,
  });
});

test("X10 an exchange may be transient", async () => {
  const channel = await openChannel();
  const name = unique("transient");
  await channel.assertExchange(name, "direct", { durable: false });
  await channel.assertExchange(name, "direct", { durable: false });
});

test("X15 an alternate-exchange that is no string is 406", async () => {
  const channel = await openChannel();
  const name = unique("exchange");
  const request = channel.assertExchange(name, "direct", {
    arguments: { "alternate-exchange": 1 },
  });
  expect(await refused(channel, request)).toEqual({
    code: 406,
    message: `PRECONDITION_FAILED - invalid type 'byte' for arg 'alternate-exchange' in exchange '${name}' in vhost '/'`,
    ...DECLARE,
  });
});
