/**
 * Virtual hosts: what is in a new one, who may come in, their limits and default queue type, and what happens to the
 * connections of one that is deleted. Reference rows N10, N25, N26, V1, V3, V4.
 */
import type { ChannelModel } from "amqplib";
import { expect, test } from "vitest";
import {
  administration,
  needsAdministration,
  newUser,
  newUserIn,
  newVirtualHost,
} from "./administration.ts";
import {
  connect,
  connectionError,
  drain,
  isOldRabbitMQ,
  openChannel,
  refused,
  unique,
} from "./harness.ts";
import { bits, RawClient, shortstr, table, u16 } from "./raw-client.ts";

needsAdministration();

/** Why connection.open is refused. */
async function openRefusal(vhost: string, login: { username?: string; password?: string } = {}) {
  const raw = await RawClient.tcp();
  await raw.start();
  raw.startOk(login);
  await raw.readTune();
  raw.tuneOk();
  raw.open(vhost);
  return raw.expectClose();
}

function notAllowed(text: string) {
  return { code: 530, text: `NOT_ALLOWED - ${text}`, classId: 10, methodId: 40 };
}

/** The name under which the broker knows a connection. */
function nameOf(connection: ChannelModel): string {
  const { stream } = connection.connection as unknown as {
    stream: { localAddress: string; localPort: number; remoteAddress: string; remotePort: number };
  };
  const { localAddress, localPort, remoteAddress, remotePort } = stream;
  return `${localAddress}:${localPort} -> ${remoteAddress}:${remotePort}`;
}

test("N10 a virtual host that does not exist is not found", async () => {
  expect(await openRefusal("no such vhost")).toEqual(notAllowed("vhost no such vhost not found"));
});

test("N10 who has no permission in a virtual host may not come in", async () => {
  const vhost = await newVirtualHost();
  const user = await newUser();
  const text = `access to vhost '${vhost}' refused for user '${user.username}'`;
  expect(await openRefusal(vhost, user)).toEqual(notAllowed(text));
  const administrator = await administration();
  // Even one that covers nothing will do.
  const nothing = { configure: "", write: "", read: "" };
  await administrator.setPermissions(user.username, vhost, nothing);
  await connect({ vhost, ...user });
  await administrator.clearPermissions(user.username, vhost);
  expect(await openRefusal(vhost, user)).toEqual(notAllowed(text));
});

test("N10 a permission in one virtual host opens no other", async () => {
  const [one, other] = [await newVirtualHost(), await newVirtualHost()];
  const user = await newUserIn(one);
  await connect({ vhost: one, ...user });
  expect((await openRefusal(other, user)).text).toContain(`access to vhost '${other}' refused`);
});

test("V1 a new virtual host has the predeclared exchanges, and nothing of another", async () => {
  const vhost = await newVirtualHost();
  const queue = unique("elsewhere");
  await (await openChannel()).assertQueue(queue);
  const { connection } = await connect({ vhost });
  const channel = await connection.createConfirmChannel();
  for (const name of ["direct", "fanout", "topic", "headers", "match", "rabbitmq.trace"])
    await channel.checkExchange(`amq.${name}`);
  await channel.assertQueue("here");
  await channel.bindQueue("here", "amq.topic", "#");
  channel.publish("amq.topic", "k", Buffer.from("m"));
  await channel.waitForConfirms();
  expect(await drain(channel, "here")).toEqual(["m"]);
  const { message } = await refused(channel, channel.checkQueue(queue));
  expect(message).toBe(`NOT_FOUND - no queue '${queue}' in vhost '${vhost}'`);
});

test("V1 N25 deleting a virtual host closes its connections, and none of another", async () => {
  const vhost = await newVirtualHost();
  const { connection } = await connect({ vhost });
  await (await connection.createChannel()).assertQueue("q");
  const elsewhere = await openChannel();
  await (await administration()).deleteVirtualHost(vhost);
  const closed = await connectionError(connection);
  expect(closed).toMatchObject({ code: 320, classId: 0, methodId: 0 });
  // In RabbitMQ 3.10 the end of the virtual host's processes may come first, and is told instead.
  const said = (await isOldRabbitMQ()) ? closed.message.replace("down", "deleted") : closed.message;
  expect(said).toBe(`CONNECTION_FORCED - vhost '${vhost}' is deleted`);
  expect(await openRefusal(vhost)).toEqual(notAllowed(`vhost ${vhost} not found`));
  await elsewhere.checkExchange("amq.direct");
});

test("V1 a virtual host that is made again begins with nothing, permissions included", async () => {
  const vhost = await newVirtualHost();
  const user = await newUserIn(vhost);
  const { connection } = await connect({ vhost });
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("q");
  channel.sendToQueue("q", Buffer.from("m"), { persistent: true });
  await channel.waitForConfirms();
  const administrator = await administration();
  await administrator.deleteVirtualHost(vhost);
  await connectionError(connection);
  await administrator.addVirtualHost(vhost);
  const again = await (await connect({ vhost })).connection.createChannel();
  expect((await refused(again, again.checkQueue("q"))).code).toBe(404);
  expect((await openRefusal(vhost, user)).text).toContain("refused for user");
});

test("N25 a user who is deleted loses his connections", async () => {
  const vhost = await newVirtualHost();
  const user = await newUserIn(vhost);
  const { connection } = await connect({ vhost, ...user });
  await (await administration()).deleteUser(user.username);
  const { code, message } = await connectionError(connection);
  expect([code, message]).toEqual([320, `CONNECTION_FORCED - user '${user.username}' is deleted`]);
});

test.each([
  ["the administrator's reason", "maintenance at noon", "maintenance at noon"],
  ["a reason of its own", undefined, "Closed via management plugin"],
])("N25 a connection is closed with %s", async (_what, reason, said) => {
  const { connection } = await connect();
  const { connection: other } = await connect();
  await (await administration()).closeConnection(nameOf(connection), reason);
  expect(await connectionError(connection)).toEqual({
    code: 320,
    classId: 0,
    methodId: 0,
    message: `CONNECTION_FORCED - ${said}`,
  });
  await (await other.createChannel()).checkExchange("amq.direct");
});

test("V4 N26 a virtual host takes no more connections than its limit", async () => {
  const vhost = await newVirtualHost();
  const administrator = await administration();
  await administrator.setVirtualHostLimit(vhost, "max-connections", 1);
  const { connection } = await connect({ vhost });
  const text = `access to vhost '${vhost}' refused for user 'guest': connection limit (1) is reached`;
  expect(await openRefusal(vhost)).toEqual(notAllowed(text));
  await administrator.setVirtualHostLimit(vhost, "max-connections", -1);
  await connect({ vhost });
  await administrator.setVirtualHostLimit(vhost, "max-connections", 0);
  expect((await openRefusal(vhost)).text).toContain("connection limit (0) is reached");
  // Those that are there may stay.
  await (await connection.createChannel()).checkExchange("amq.direct");
});

test("V4 N26 a connection that has ended leaves room for another", async () => {
  const vhost = await newVirtualHost();
  await (await administration()).setVirtualHostLimit(vhost, "max-connections", 1);
  const raw = await RawClient.connect({ vhost });
  await raw.rpc(0, 10, 50, [u16(200), shortstr("bye"), u16(0), u16(0)]);
  raw.destroy();
  // RabbitMQ counts it until its process is gone.
  for (let tries = 0; ; tries++) {
    const next = await connect({ vhost }).catch(() => undefined);
    if (next !== undefined) break;
    if (tries === 100) throw new Error("there is no room");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test("V4 a virtual host takes no more queues than its limit", async () => {
  const vhost = await newVirtualHost();
  await (await administration()).setVirtualHostLimit(vhost, "max-queues", 2);
  const { connection } = await connect({ vhost });
  const channel = await connection.createChannel();
  await channel.assertQueue("1");
  await channel.assertQueue("2", { exclusive: true });
  // What is there may be declared again.
  await channel.assertQueue("1");
  expect(await refused(channel, channel.assertQueue("3"))).toEqual({
    code: 406,
    classId: 50,
    methodId: 10,
    message: `PRECONDITION_FAILED - cannot declare queue '3': queue limit in vhost '${vhost}' (2) is reached`,
  });
  const other = await connection.createChannel();
  await other.deleteQueue("1");
  await other.assertQueue("3");
});

test("V3 a durable shared queue without a type gets the virtual host's", async (context) => {
  if (await isOldRabbitMQ()) context.skip("RabbitMQ 3.10 has no default queue type");
  const vhost = await newVirtualHost({ defaultQueueType: "quorum" });
  const { connection } = await connect({ vhost });
  const channel = await connection.createChannel();
  await channel.assertQueue("shared");
  await channel.assertQueue("shared");
  await channel.assertQueue("shared", { arguments: { "x-queue-type": "quorum" } });
  for (const type of ["", "undefined"])
    await channel.assertQueue("shared", { arguments: { "x-queue-type": type } });
  for (const options of [{ durable: false }, { exclusive: true }, { autoDelete: true }])
    await channel.assertQueue(Object.keys(options)[0]!, options);
  await channel.assertQueue("typed", { arguments: { "x-queue-type": "classic" } });
  const declaring = channel.assertQueue("shared", { arguments: { "x-queue-type": "classic" } });
  expect((await refused(channel, declaring)).message).toBe(
    `PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'shared' in vhost '${vhost}': received 'classic' but current is 'quorum'`,
  );
});

test("V3 a server-named queue cannot be of the virtual host's type quorum", async (context) => {
  if (await isOldRabbitMQ()) context.skip("RabbitMQ 3.10 has no default queue type");
  const vhost = await newVirtualHost({ defaultQueueType: "quorum" });
  const raw = await RawClient.connect({ vhost });
  await raw.openChannel();
  const durable = bits(false, true);
  raw.sendMethod(1, 50, 10, [u16(0), shortstr(""), durable, table()]);
  expect((await raw.expectChannelClose()).text).toBe(
    "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue",
  );
});
