/**
 * What a user may do: permissions on queues and exchanges, on routing keys at topic exchanges, their refusals, and when a
 * change counts. Reference rows A6, A7, A8, A9, A11, A13.
 */
import type { Channel, Options } from "amqplib";
import { expect, test } from "vitest";
import {
  administration,
  needsAdministration,
  newUserIn,
  newVirtualHost,
} from "./administration.ts";
import {
  channelError,
  connect,
  consume,
  drain,
  isOldRabbitMQ,
  refused,
  untilReady,
} from "./harness.ts";

needsAdministration();

/** A virtual host with queues and exchanges called mine and other, and a user who may do what is said. */
async function scene(permissions: { configure?: string; write?: string; read?: string }) {
  const vhost = await newVirtualHost();
  const { connection: ownerConnection } = await connect({ vhost });
  const owner = await ownerConnection.createConfirmChannel();
  for (const whose of ["mine", "other"]) {
    await owner.assertQueue(`${whose}-q`);
    await owner.assertExchange(`${whose}-x`, "direct");
    await owner.assertExchange(`${whose}-topic`, "topic");
  }
  const user = await newUserIn(vhost, permissions);
  const { connection } = await connect({ vhost, ...user });
  const channel = await connection.createConfirmChannel();
  return { vhost, owner, ownerConnection, user, connection, channel };
}

const mine = { configure: "^mine", write: "^mine", read: "^mine" };

interface Whose {
  vhost: string;
  user: { username: string };
}

/** The text of a refusal; `missing` is as in "write access to queue 'q'". RabbitMQ 3 does not say which permission it was. */
async function refusal(missing: string, { vhost, user }: Whose): Promise<string> {
  const said = (await isOldRabbitMQ()) ? missing.replace(/^\w+ /, "") : missing;
  return `ACCESS_REFUSED - ${said} in vhost '${vhost}' refused for user '${user.username}'`;
}

type Operation = (channel: Channel) => Promise<unknown> | unknown;

function publish(exchange: string, key = "k"): Operation {
  return (channel) => channel.publish(exchange, key, Buffer.from("m"));
}

const body = Buffer.alloc(0);
const dead = (exchange: string): Options.AssertQueue => ({ deadLetterExchange: exchange });
const alternate = (alternateExchange: string): Options.AssertExchange => ({ alternateExchange });

/** Of an operation that is refused, the permission that is missing for what, and the ids of its method. */
const refusals: [what: string, Operation, missing: string, ids: [number, number]][] = [
  [
    "exchange.declare of another's name",
    (channel) => channel.assertExchange("other-new", "direct"),
    "configure access to exchange 'other-new'",
    [40, 10],
  ],
  [
    "exchange.declare of what exists",
    (channel) => channel.assertExchange("other-x", "direct"),
    "configure access to exchange 'other-x'",
    [40, 10],
  ],
  [
    "exchange.declare of a reserved name, of which it is not told yet",
    (channel) => channel.assertExchange("amq.new", "direct"),
    "configure access to exchange 'amq.new'",
    [40, 10],
  ],
  [
    "exchange.declare with another's alternate exchange",
    (channel) => channel.assertExchange("mine-new", "direct", alternate("other-x")),
    "write access to exchange 'other-x'",
    [40, 10],
  ],
  [
    "exchange.declare with the default exchange as alternate",
    (channel) => channel.assertExchange("mine-new", "direct", alternate("")),
    "write access to exchange 'amq.default'",
    [40, 10],
  ],
  [
    "exchange.delete",
    (channel) => channel.deleteExchange("other-x"),
    "configure access to exchange 'other-x'",
    [40, 20],
  ],
  [
    "exchange.delete of what does not exist",
    (channel) => channel.deleteExchange("other-none"),
    "configure access to exchange 'other-none'",
    [40, 20],
  ],
  [
    "exchange.bind to another's",
    (channel) => channel.bindExchange("other-x", "mine-x", "k"),
    "write access to exchange 'other-x'",
    [40, 30],
  ],
  [
    "exchange.bind from another's",
    (channel) => channel.bindExchange("mine-x", "other-x", "k"),
    "read access to exchange 'other-x'",
    [40, 30],
  ],
  [
    "exchange.unbind from another's",
    (channel) => channel.unbindExchange("mine-x", "other-x", "k"),
    "read access to exchange 'other-x'",
    [40, 40],
  ],
  [
    "queue.declare of another's name",
    (channel) => channel.assertQueue("other-new"),
    "configure access to queue 'other-new'",
    [50, 10],
  ],
  [
    "queue.declare of what exists, before it is compared",
    (channel) => channel.assertQueue("other-q", { durable: false }),
    "configure access to queue 'other-q'",
    [50, 10],
  ],
  [
    "queue.declare with another's dead-letter exchange",
    (channel) => channel.assertQueue("mine-new", dead("other-x")),
    "write access to exchange 'other-x'",
    [50, 10],
  ],
  [
    "queue.declare with a dead-letter exchange that does not exist",
    (channel) => channel.assertQueue("mine-new", dead("other-none")),
    "write access to exchange 'other-none'",
    [50, 10],
  ],
  [
    "queue.bind of another's",
    (channel) => channel.bindQueue("other-q", "mine-x", "k"),
    "write access to queue 'other-q'",
    [50, 20],
  ],
  [
    "queue.bind to another's",
    (channel) => channel.bindQueue("mine-q", "other-x", "k"),
    "read access to exchange 'other-x'",
    [50, 20],
  ],
  [
    "queue.bind of what does not exist",
    (channel) => channel.bindQueue("other-none", "mine-x", "k"),
    "write access to queue 'other-none'",
    [50, 20],
  ],
  [
    "queue.bind of another's to the default exchange",
    (channel) => channel.bindQueue("other-q", "", "k"),
    "write access to queue 'other-q'",
    [50, 20],
  ],
  [
    "queue.unbind of another's",
    (channel) => channel.unbindQueue("other-q", "mine-x", "k"),
    "write access to queue 'other-q'",
    [50, 50],
  ],
  [
    "queue.purge",
    (channel) => channel.purgeQueue("other-q"),
    "read access to queue 'other-q'",
    [50, 30],
  ],
  [
    "queue.delete",
    (channel) => channel.deleteQueue("other-q"),
    "configure access to queue 'other-q'",
    [50, 40],
  ],
  [
    "queue.delete of what does not exist",
    (channel) => channel.deleteQueue("other-none"),
    "configure access to queue 'other-none'",
    [50, 40],
  ],
  ["basic.get", (channel) => channel.get("other-q"), "read access to queue 'other-q'", [60, 70]],
  [
    "basic.consume",
    (channel) => channel.consume("other-q", () => {}),
    "read access to queue 'other-q'",
    [60, 20],
  ],
  [
    "basic.consume of what does not exist",
    (channel) => channel.consume("other-none", () => {}),
    "read access to queue 'other-none'",
    [60, 20],
  ],
  ["basic.publish", publish("other-x"), "write access to exchange 'other-x'", [60, 40]],
  [
    "basic.publish to what does not exist",
    publish("other-none"),
    "write access to exchange 'other-none'",
    [60, 40],
  ],
  [
    "basic.publish to the default exchange",
    publish("", "mine-q"),
    "write access to exchange 'amq.default'",
    [60, 40],
  ],
];

test.each(refusals)(
  "A6 A7 %s is refused",
  async (_what, operation, missing, [classId, methodId]) => {
    const there = await scene(mine);
    Promise.resolve(operation(there.channel)).catch(() => {});
    const message = await refusal(missing, there);
    expect(await channelError(there.channel)).toEqual({ code: 403, classId, methodId, message });
  },
);

test("A6 whoever has a permission on all it touches is not refused", async () => {
  const { channel } = await scene({ ...mine, write: "^(mine|amq\\.default$)" });
  await channel.assertExchange("mine-new", "fanout", alternate("mine-x"));
  await channel.assertQueue("mine-new", dead("mine-x"));
  await channel.bindQueue("mine-new", "mine-new", "");
  await channel.bindExchange("mine-x", "mine-new", "");
  channel.publish("mine-new", "", Buffer.from("1"));
  channel.publish("", "mine-new", Buffer.from("2"));
  await channel.waitForConfirms();
  expect(await drain(channel, "mine-new")).toEqual(["1", "2"]);
  const { consumerTag } = await channel.consume("mine-new", () => {});
  await channel.cancel(consumerTag);
  await channel.purgeQueue("mine-new");
  await channel.unbindExchange("mine-x", "mine-new", "");
  await channel.unbindQueue("mine-new", "mine-new", "");
  await channel.deleteQueue("mine-new");
  await channel.deleteExchange("mine-new");
});

test("A6 a queue with dead letters needs read on itself", async () => {
  const there = await scene({ ...mine, read: "^mine-x" });
  const declaring = there.channel.assertQueue("mine-new", dead("mine-x"));
  const { message } = await refused(there.channel, declaring);
  expect(message).toBe(await refusal("read access to queue 'mine-new'", there));
});

test("A6 an exchange with an alternate exchange needs read on itself", async () => {
  const there = await scene({ ...mine, read: "^mine-q" });
  const declaring = there.channel.assertExchange("mine-new", "direct", alternate("mine-x"));
  const { message } = await refused(there.channel, declaring);
  expect(message).toBe(await refusal("read access to exchange 'mine-new'", there));
});

test("A6 a name from the server must be allowed like any other", async () => {
  const there = await scene(mine);
  const { message } = await refused(there.channel, there.channel.assertQueue(""));
  const withoutEnd = message.replace(/(?<='amq\.gen-)[\w-]+/, "");
  expect(withoutEnd).toBe(await refusal("configure access to queue 'amq.gen-'", there));
  const { channel } = await scene({ ...mine, configure: "^amq\\.gen-" });
  expect((await channel.assertQueue("")).queue).toMatch(/^amq\.gen-/);
});

test("A6 of a reserved queue name it is told before of the permission", async () => {
  const { channel } = await scene(mine);
  const { message } = await refused(channel, channel.assertQueue("amq.new"));
  expect(message).toBe("ACCESS_REFUSED - queue name 'amq.new' contains reserved prefix 'amq.*'");
});

test("A6 a pattern matches anywhere in a name, an empty one no name", async () => {
  const there = await scene({ configure: "new", write: "", read: "" });
  await there.channel.assertQueue("a-new-queue");
  await refused(there.channel, there.channel.get("a-new-queue"));
  const other = await there.connection.createChannel();
  other.publish("", "a-new-queue", body);
  const { message } = await channelError(other);
  expect(message).toBe(await refusal("write access to exchange 'amq.default'", there));
});

test("A6 A8 declaring passively needs no permission, nor does settling what was delivered", async () => {
  const { owner, channel, vhost, user } = await scene({ configure: "", write: "", read: "^mine" });
  await channel.checkQueue("other-q");
  await channel.checkExchange("other-x");
  for (const text of ["1", "2"]) owner.sendToQueue("mine-q", Buffer.from(text));
  await owner.waitForConfirms();
  const [first, second] = await (await consume(channel, "mine-q")).take(2);
  const administrator = await administration();
  await administrator.setPermissions(user.username, vhost, { configure: "", write: "", read: "" });
  channel.ack(first!);
  channel.nack(second!, false, false);
  await channel.checkQueue("mine-q");
});

test("A6 direct reply-to needs write on the default exchange only", async () => {
  const { channel } = await scene({ configure: "", write: "^(amq\\.default|mine-x)$", read: "" });
  const inbox = await consume(channel, "amq.rabbitmq.reply-to", { noAck: true });
  expect(inbox.consumerTag).not.toBe("");
});

test("A6 dead letters are published whatever their owner may do by then", async () => {
  const { owner, vhost, channel, user } = await scene({ ...mine, write: "^(mine|amq\\.default$)" });
  await owner.bindQueue("other-q", "mine-x", "dead");
  await channel.assertQueue("mine-dying", {
    ...dead("mine-x"),
    deadLetterRoutingKey: "dead",
    messageTtl: 0,
  });
  const administrator = await administration();
  await administrator.setPermissions(user.username, vhost, { configure: "", write: "", read: "" });
  owner.sendToQueue("mine-dying", Buffer.from("m"));
  await owner.waitForConfirms();
  const { connection } = await connect({ vhost });
  await untilReady("other-q", 1, connection);
});

test("A9 topic permissions limit the keys of publishes and of bindings, at topic exchanges", async () => {
  const there = await scene({});
  const { vhost, user, connection, channel } = there;
  const administrator = await administration();
  await administrator.setTopicPermission(user.username, vhost, "mine-topic", {
    write: "^out\\.",
    read: "^in\\.",
  });
  await channel.bindQueue("mine-q", "mine-topic", "in.*");
  channel.publish("mine-topic", "out.1", body);
  // Of other exchanges nothing was said.
  await channel.bindQueue("mine-q", "other-topic", "any");
  channel.publish("other-topic", "any", Buffer.from("m"));
  await channel.waitForConfirms();
  expect(await drain(channel, "mine-q")).toEqual(["m"]);

  const reading = await refusal("read access to topic 'out.*' in exchange 'mine-topic'", there);
  const binding = await connection.createChannel();
  expect(await refused(binding, binding.bindQueue("mine-q", "mine-topic", "out.*"))).toEqual({
    code: 403,
    classId: 50,
    methodId: 20,
    message: reading,
  });
  const other = await connection.createChannel();
  const unbinding = other.unbindExchange("mine-x", "mine-topic", "out.*");
  expect((await refused(other, unbinding)).message).toBe(reading);
  channel.publish("mine-topic", "in.1", body);
  expect(await channelError(channel)).toEqual({
    code: 403,
    classId: 60,
    methodId: 40,
    message: await refusal("write access to topic 'in.1' in exchange 'mine-topic'", there),
  });
});

test("A9 topic permissions say nothing of other types of exchange", async () => {
  const { vhost, user, channel } = await scene({});
  const administrator = await administration();
  const nothing = { write: "", read: "" };
  await administrator.setTopicPermission(user.username, vhost, "mine-x", nothing);
  await channel.bindQueue("mine-q", "mine-x", "k");
  channel.publish("mine-x", "k", Buffer.from("m"));
  await channel.waitForConfirms();
  expect(await drain(channel, "mine-q")).toEqual(["m"]);
});

test("A9 {username} and {vhost} in a topic permission stand for the names", async () => {
  const { vhost, user, channel } = await scene({});
  const administrator = await administration();
  await administrator.setTopicPermission(user.username, vhost, "mine-topic", {
    write: "^{vhost}\\.{username}$",
    read: "",
  });
  channel.publish("mine-topic", `${vhost}.${user.username}`, body);
  await channel.waitForConfirms();
  channel.publish("mine-topic", `${vhost}.guest`, body);
  expect((await channelError(channel)).code).toBe(403);
});

test("A9 topic permissions hold for the keys in CC and BCC", async () => {
  // RabbitMQ 3.10 looks at the routing key alone.
  if (await isOldRabbitMQ()) return;
  const { vhost, user, connection } = await scene({});
  const administrator = await administration();
  await administrator.setTopicPermission(user.username, vhost, "mine-topic", {
    write: "^out\\.",
    read: "",
  });
  for (const options of [{ CC: ["out.2", "in.1"] }, { BCC: ["in.1"] }]) {
    const channel = await connection.createConfirmChannel();
    channel.publish("mine-topic", "out.1", body, { CC: ["out.2"], BCC: ["out.3"] });
    await channel.waitForConfirms();
    channel.publish("mine-topic", "out.1", body, options);
    expect((await channelError(channel)).message).toMatch(
      /^ACCESS_REFUSED - write access to topic 'in\.1' in exchange 'mine-topic'/,
    );
  }
});

test("A11 what is granted counts for a channel that is open", async () => {
  const { vhost, user, channel } = await scene({ ...mine, write: "" });
  const administrator = await administration();
  await administrator.setPermissions(user.username, vhost, { ...mine, write: "^mine" });
  await channel.bindQueue("mine-q", "mine-x", "k");
  channel.publish("mine-x", "k", Buffer.from("m"));
  await channel.waitForConfirms();
  expect(await drain(channel, "mine-q")).toEqual(["m"]);
});

test("A11 what is taken away counts for a publisher at once", async () => {
  const there = await scene(mine);
  const { vhost, user, connection, channel } = there;
  await channel.bindQueue("mine-q", "mine-x", "k");
  for (const key of ["k", "other", "k", "other"]) channel.publish("mine-x", key, Buffer.from("m"));
  await channel.waitForConfirms();
  const administrator = await administration();
  await administrator.clearPermissions(user.username, vhost);
  // RabbitMQ's channels remember what was allowed for a while.
  const next = (await isOldRabbitMQ()) ? await connection.createConfirmChannel() : channel;
  next.publish("mine-x", "k", Buffer.from("3"));
  const { message } = await channelError(next);
  expect(message).toBe(await refusal("write access to exchange 'mine-x'", there));
});

test("A11 a consumer that is there stays when reading is no longer allowed", async () => {
  const { vhost, owner, user, channel } = await scene(mine);
  const inbox = await consume(channel, "mine-q", { noAck: true });
  const administrator = await administration();
  await administrator.setPermissions(user.username, vhost, { ...mine, read: "" });
  owner.sendToQueue("mine-q", Buffer.from("m"));
  expect((await inbox.next()).content.toString()).toBe("m");
});

test("A13 an impersonator may publish in another's name, and nobody else", async () => {
  const vhost = await newVirtualHost();
  const impersonator = await newUserIn(vhost, {}, { tags: ["impersonator"] });
  const plain = await newUserIn(vhost, {}, { tags: ["administrator"] });
  for (const user of [impersonator, plain]) {
    const { connection } = await connect({ vhost, ...user });
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue("q");
    channel.sendToQueue("q", body, { userId: user.username });
    await channel.waitForConfirms();
    channel.sendToQueue("q", body, { userId: "guest" });
    if (user === impersonator) {
      await channel.waitForConfirms();
      continue;
    }
    expect(await channelError(channel)).toEqual({
      code: 406,
      classId: 60,
      methodId: 40,
      message: `PRECONDITION_FAILED - user_id property set to 'guest' but authenticated user was '${user.username}'`,
    });
  }
});
