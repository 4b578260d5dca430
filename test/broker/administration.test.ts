/**
 * Users, permissions, virtual hosts and connections as whoever embeds a broker manages them: what is listed, what is refused
 * and why, and the limits that are settings. Reference rows A4, A10, A14, N25, N26, V1, V4, V5, V13.
 */
import { type Channel, type ChannelModel, connect } from "amqplib";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  AdministrationError,
  type AdministrationErrorCode,
  Broker,
  type BrokerOptions,
} from "../../src/index.ts";

async function start(options: BrokerOptions = {}): Promise<Broker> {
  const broker = await Broker.start({ port: 0, ...options });
  onTestFinished(() => broker.close());
  return broker;
}

async function client(
  broker: Broker,
  { user = "guest", password = "guest", vhost = "/", name = "a test" } = {},
): Promise<ChannelModel> {
  const url = `amqp://${user}:${password}@127.0.0.1:${broker.port}/${encodeURIComponent(vhost)}`;
  const connection = await connect(url, { clientProperties: { connection_name: name } });
  connection.on("error", () => undefined);
  onTestFinished(async () => {
    await connection.close().catch(() => undefined);
  });
  return connection;
}

async function channelOf(connection: ChannelModel): Promise<Channel> {
  const channel = await connection.createChannel();
  channel.on("error", () => undefined);
  return channel;
}

/** What a connection is told when it ends. */
function endOf(connection: ChannelModel): Promise<string> {
  return new Promise((resolve) => {
    connection.on("close", (error?: Error) => resolve(error?.message ?? "without a reason"));
  });
}

function expectRefusal(act: () => unknown, code: AdministrationErrorCode, text: string): void {
  let error: unknown;
  try {
    act();
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(AdministrationError);
  expect(error).toMatchObject({ code, message: expect.stringContaining(text) });
}

const all = { configure: ".*", write: ".*", read: ".*" };

describe("users", () => {
  test("A14 the default user is an administrator with all permissions in the default virtual host", async () => {
    const { users, permissions, virtualHosts } = await start();
    expect([...users.all()].map(({ name, tags }) => [name, tags])).toEqual([
      ["guest", ["administrator"]],
    ]);
    expect([...permissions.all()]).toEqual([{ user: "guest", vhost: "/", ...all }]);
    expect([...virtualHosts.all()].map(({ name }) => name)).toEqual(["/"]);
  });

  test("A10 are added, changed and deleted", async () => {
    const broker = await start();
    const { users } = broker;
    users.add("u", { password: "first", tags: ["management"] });
    broker.permissions.set("u", "/", all);
    await client(broker, { user: "u", password: "first" });
    const { passwordHash } = users.get("u");
    users.change("u", { tags: ["monitoring", "impersonator"] });
    // What was not named has stayed.
    expect(users.get("u")).toMatchObject({ passwordHash, tags: ["monitoring", "impersonator"] });
    users.change("u", { password: "second" });
    await expect(client(broker, { user: "u", password: "first" })).rejects.toThrow(
      "ACCESS_REFUSED",
    );
    await client(broker, { user: "u", password: "second" });
    users.change("u", { password: "" });
    await expect(client(broker, { user: "u", password: "" })).rejects.toThrow("ACCESS_REFUSED");
    users.delete("u");
    expect(users.find("u")).toBeUndefined();
    expect([...broker.permissions.all()].map(({ user }) => user)).toEqual(["guest"]);
  });

  test("A10 a hash that was read can be given to another broker", async () => {
    const [one, other] = [await start(), await start()];
    const { passwordHash } = one.users.add("u", { password: "secret" });
    expect(passwordHash?.algorithm).toBe("rabbit_password_hashing_sha256");
    expect(passwordHash?.bytes).toHaveLength(4 + 32);
    other.users.add("u", { passwordHash: String(passwordHash) });
    other.permissions.set("u", "/", all);
    await client(other, { user: "u", password: "secret" });
  });

  test("A10 two users with one password have two hashes", async () => {
    const { users } = await start();
    const hashes = ["a", "b"].map((name) =>
      String(users.add(name, { password: "p" }).passwordHash),
    );
    expect(hashes[0]).not.toBe(hashes[1]);
  });

  test("A10 that cannot be are refused, and say why", async () => {
    const { users } = await start();
    expectRefusal(() => users.add("guest"), "ALREADY_EXISTS", "there is a user 'guest' already");
    expectRefusal(() => users.add(""), "INVALID", "the name of a user has 1 to 255 bytes");
    expectRefusal(() => users.add("é".repeat(128)), "INVALID", "this one 256");
    expectRefusal(() => users.add("u", { tags: [""] }), "INVALID", "a tag is a text");
    for (const change of [
      () => users.get("u"),
      () => users.change("u", {}),
      () => users.delete("u"),
    ])
      expectRefusal(change, "NOT_FOUND", "no user 'u'");
    const hashed = (passwordHash: string, hashingAlgorithm?: string) => () =>
      users.add("u", { passwordHash, ...(hashingAlgorithm && { hashingAlgorithm }) });
    expectRefusal(hashed("?"), "INVALID", "is the base64 of 36 bytes");
    expectRefusal(hashed("AAAA", "bcrypt"), "INVALID", "the hashing algorithm bcrypt is not known");
    expectRefusal(
      () => users.add("u", { password: "p", passwordHash: "AAAA" }),
      "INVALID",
      "not both",
    );
    expect(users.find("u")).toBeUndefined();
  });
});

describe("permissions", () => {
  test("A6 are listed, replaced and cleared", async () => {
    const { users, permissions, virtualHosts } = await start();
    users.add("u");
    virtualHosts.add("v");
    permissions.set("u", "v", { configure: "^c", write: "^w", read: "^r" });
    permissions.set("u", "/", { configure: "", write: "", read: "" });
    permissions.set("u", "v", { configure: "^c", write: "", read: "^r" });
    expect(permissions.get("u", "v")).toEqual({ configure: "^c", write: "", read: "^r" });
    permissions.setTopic("u", "v", "amq.topic", { write: "^w", read: "^r" });
    permissions.setTopic("u", "v", "other", { write: "", read: "" });
    const topic = { user: "u", vhost: "v", exchange: "amq.topic", write: "^w", read: "^r" };
    expect([...permissions.allTopics()]).toContainEqual(topic);
    permissions.clearTopic("u", "v", "other");
    expect([...permissions.allTopics()]).toEqual([topic]);
    permissions.clear("u", "/");
    permissions.clear("u", "/");
    expect(permissions.get("u", "/")).toBeUndefined();
    permissions.clearTopic("u", "v");
    expect([...permissions.allTopics()]).toEqual([]);
    virtualHosts.delete("v");
    expect([...permissions.all()].map(({ user }) => user)).toEqual(["guest"]);
  });

  test("A6 that cannot be are refused, and leave what was", async () => {
    const { permissions } = await start();
    const bad = "cannot be used: missing closing parenthesis at offset 1";
    expectRefusal(() => permissions.set("guest", "/", { ...all, read: "^(" }), "INVALID", bad);
    const topic = { write: "^(", read: "" };
    expectRefusal(() => permissions.setTopic("guest", "/", "amq.topic", topic), "INVALID", bad);
    expectRefusal(() => permissions.set("nobody", "/", all), "NOT_FOUND", "no user 'nobody'");
    expectRefusal(() => permissions.set("guest", "v", all), "NOT_FOUND", "no vhost 'v'");
    expectRefusal(() => permissions.clear("guest", "v"), "NOT_FOUND", "no vhost 'v'");
    expect([...permissions.all()]).toEqual([{ user: "guest", vhost: "/", ...all }]);
    expect([...permissions.allTopics()]).toEqual([]);
  });

  test("A9 a user's name in a topic permission is no regular expression", async () => {
    const broker = await start();
    broker.users.add("a.*", { password: "p" });
    broker.permissions.set("a.*", "/", all);
    broker.permissions.setTopic("a.*", "/", "amq.topic", { write: "^{username}$", read: "" });
    const connection = await client(broker, { user: "a.*", password: "p" });
    const channel = await connection.createConfirmChannel();
    channel.on("error", () => undefined);
    channel.publish("amq.topic", "a.*", Buffer.alloc(0));
    await channel.waitForConfirms();
    channel.publish("amq.topic", "a.b", Buffer.alloc(0));
    await expect(channel.waitForConfirms()).rejects.toThrow();
  });

  test("A11 a publisher who alternates between exchanges is held to what he may do now", async () => {
    const broker = await start();
    broker.users.add("u", { password: "p" });
    broker.permissions.set("u", "/", all);
    const connection = await client(broker, { user: "u", password: "p" });
    const channel = await connection.createConfirmChannel();
    const refused = new Promise<string>((resolve) =>
      channel.on("error", ({ message }: Error) => resolve(message)),
    );
    for (let round = 0; round < 3; round++) {
      for (const exchange of ["amq.direct", "amq.fanout", "amq.topic"])
        channel.publish(exchange, `k${round}`, Buffer.alloc(0));
    }
    await channel.waitForConfirms();
    broker.permissions.set("u", "/", { ...all, write: "^amq\\.(direct|topic)$" });
    channel.publish("amq.direct", "k", Buffer.alloc(0));
    channel.publish("amq.topic", "k", Buffer.alloc(0));
    await channel.waitForConfirms();
    channel.publish("amq.fanout", "k", Buffer.alloc(0));
    expect(await refused).toContain("write access to exchange 'amq.fanout' in vhost '/' refused");
  });
});

describe("virtual hosts", () => {
  test("V1 are described, changed and deleted", async () => {
    const { virtualHosts } = await start();
    const described = { description: "of tests", tags: ["a", "b"], defaultQueueType: "quorum" };
    expect(virtualHosts.add("v", described).properties).toEqual({
      ...described,
      protectedFromDeletion: false,
      limits: {},
    });
    virtualHosts.change("v", {
      defaultQueueType: "",
      limits: { maxQueues: 5, maxConnections: -1 },
    });
    expect(virtualHosts.get("v").properties).toMatchObject({
      description: "of tests",
      defaultQueueType: undefined,
      limits: { maxQueues: 5 },
    });
    virtualHosts.delete("v");
    expect(virtualHosts.find("v")).toBeUndefined();
  });

  test("V1 that cannot be are refused, and say why", async () => {
    const { virtualHosts } = await start();
    expectRefusal(() => virtualHosts.add("/"), "ALREADY_EXISTS", "there is a vhost '/' already");
    expectRefusal(() => virtualHosts.add(""), "INVALID", "the name of a vhost has 1 to 120 bytes");
    const typed = { defaultQueueType: "stack" };
    expectRefusal(
      () => virtualHosts.add("v", typed),
      "INVALID",
      "the queue type stack is not known",
    );
    const half = { limits: { maxQueues: 1.5 } };
    expectRefusal(() => virtualHosts.add("v", half), "INVALID", "a limit is an integer");
    const misnamed = { limits: { "max-queues": 1 } as object };
    expectRefusal(
      () => virtualHosts.add("v", misnamed),
      "INVALID",
      "the limits are maxConnections",
    );
    expect(virtualHosts.find("v")).toBeUndefined();
    expectRefusal(() => virtualHosts.delete("v"), "NOT_FOUND", "no vhost 'v'");
    virtualHosts.change("/", { protectedFromDeletion: true });
    expectRefusal(() => virtualHosts.delete("/"), "PROTECTED", "vhost '/' is protected");
  });

  test("V1 are deleted under full load, and the others go on", async () => {
    const broker = await start();
    broker.virtualHosts.add("v");
    broker.permissions.set("guest", "v", all);
    const channels = await Promise.all(
      ["v", "/"].map(async (vhost) => (await client(broker, { vhost })).createConfirmChannel()),
    );
    for (const channel of channels) {
      channel.on("error", () => undefined);
      await channel.assertQueue("dead");
      await channel.assertQueue("q", {
        maxLength: 1,
        deadLetterExchange: "",
        deadLetterRoutingKey: "dead",
      });
      await channel.consume("dead", () => undefined);
      for (let count = 0; count < 2000; count++) channel.sendToQueue("q", Buffer.from("m"));
    }
    const end = endOf(channels[0]!.connection as unknown as ChannelModel);
    broker.virtualHosts.delete("v");
    expect(await end).toContain("CONNECTION_FORCED - vhost 'v' is deleted");
    await channels[1]!.waitForConfirms();
    expect(await channels[1]!.checkQueue("q")).toMatchObject({ messageCount: 1 });
  });
});

describe("connections", () => {
  test("N25 are listed with what they are", async () => {
    const broker = await start();
    expect(broker.connections.list()).toEqual([]);
    const connection = await client(broker, { name: "the billing service" });
    await connection.createChannel();
    await (await connection.createChannel()).close();
    const [info] = broker.connections.list();
    expect(info).toMatchObject({
      name: `127.0.0.1:${info?.peerPort} -> 127.0.0.1:${broker.port}`,
      userProvidedName: "the billing service",
      user: "guest",
      vhost: "/",
      peerHost: "127.0.0.1",
      host: "127.0.0.1",
      port: broker.port,
      protocol: "AMQP 0-9-1",
      authMechanism: "PLAIN",
      state: "running",
      channels: 1,
      channelMax: 2047,
      frameMax: 131_072,
    });
    expect(info?.clientProperties.get("product")?.type).toBe("S");
    await connection.close();
    expect(broker.connections.count).toBe(0);
  });

  test("N25 are closed one by one, or all of a user or of a virtual host", async () => {
    const broker = await start();
    broker.users.add("u", { password: "p" });
    broker.virtualHosts.add("v");
    for (const user of ["u", "guest"]) broker.permissions.set(user, "v", all);
    const named = endOf(await client(broker));
    broker.connections.close(broker.connections.list()[0]!.name, "enough");
    expect(await named).toContain("CONNECTION_FORCED - enough");
    const stays = await client(broker);
    const ofUser = endOf(await client(broker, { user: "u", password: "p", vhost: "v" }));
    const ofVhost = endOf(await client(broker, { vhost: "v" }));
    broker.connections.closeOfUser("u", "goodbye, u");
    expect(await ofUser).toContain("CONNECTION_FORCED - goodbye, u");
    broker.connections.closeOfVirtualHost("v");
    expect(await ofVhost).toContain("CONNECTION_FORCED - Closed via management plugin");
    await (await channelOf(stays)).checkExchange("amq.direct");
    expectRefusal(() => broker.connections.close("none"), "NOT_FOUND", "no connection 'none'");
  });
});

describe("limits of the whole broker", () => {
  test("N26 on connections", async () => {
    const lines: string[] = [];
    const note = (_fields: object, line: string) => void lines.push(line);
    const log = { debug: note, info: note, warn: note, error: note };
    const broker = await start({ maxConnections: 1, log });
    const connection = await client(broker);
    // amqplib does not pass on why an opening was refused; the log has what the client was told.
    await expect(client(broker)).rejects.toThrow("ConnectionClose");
    expect(lines.join("\n")).toContain(
      "caused a connection exception not_allowed: connection refused: node connection limit (1) is reached",
    );
    await connection.close();
    await client(broker);
  });

  test("N26 on channels", async () => {
    const broker = await start({ channelMaxPerNode: 3 });
    const [one, other] = [await client(broker), await client(broker)];
    const end = endOf(other);
    for (const connection of [one, one, other]) await connection.createChannel();
    await expect(other.createChannel()).rejects.toThrow();
    expect(await end).toContain(
      "NOT_ALLOWED - number of channels opened on node 'rabbit@localhost' has reached the maximum allowed limit of (3)",
    );
    await one.createChannel();
  });

  test("V4 V13 on queues and exchanges, in all virtual hosts together", async () => {
    const predeclared = 7;
    const broker = await start({
      clusterQueueLimit: 1,
      clusterExchangeLimit: 2 * predeclared + 1,
    });
    broker.virtualHosts.add("v");
    broker.permissions.set("guest", "v", all);
    const here = await client(broker);
    const there = await channelOf(await client(broker, { vhost: "v" }));
    await there.assertQueue("q");
    await there.assertExchange("x", "fanout");
    await expect((await channelOf(here)).assertQueue("q")).rejects.toThrow(
      "PRECONDITION_FAILED - cannot declare queue 'q': queue limit in cluster (1) is reached",
    );
    await expect((await channelOf(here)).assertExchange("x", "fanout")).rejects.toThrow(
      "PRECONDITION_FAILED - cannot declare exchange 'x' in vhost '/': exchange limit of 15 is reached",
    );
    // What is there may be declared again.
    await there.assertQueue("q");
    await there.assertExchange("x", "fanout");
    expectRefusal(
      () => broker.users.change("guest", { limits: { maxChannels: Number.NaN } }),
      "INVALID",
      "maxChannels: a limit is an integer",
    );
  });
});
