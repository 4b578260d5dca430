/**
 * Users, permissions and virtual hosts outlive a restart, and what was deleted stays deleted, whatever is left of it on the
 * disk. Reference rows A10, A14, V1.
 */
import { cp, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type ConfirmChannel, connect } from "amqplib";
import { expect, onTestFinished, test } from "vitest";
import type { Broker } from "../../src/index.ts";
import { drainTexts, KeptBroker } from "./kept-broker.ts";

const all = { configure: ".*", write: ".*", read: ".*" };

async function channelIn(
  broker: Broker,
  vhost: string,
  login = "guest:guest",
): Promise<ConfirmChannel> {
  const connection = await connect(
    `amqp://${login}@127.0.0.1:${broker.port}/${encodeURIComponent(vhost)}`,
  );
  connection.on("error", () => undefined);
  onTestFinished(async () => {
    await connection.close().catch(() => undefined);
  });
  const channel = await connection.createConfirmChannel();
  channel.on("error", () => undefined);
  return channel;
}

/** All that the interface tells. */
function described({ users, permissions, virtualHosts }: Broker) {
  return {
    users: [...users.all()].map(({ passwordHash, ...user }) => ({
      ...user,
      passwordHash: `${passwordHash?.algorithm} ${passwordHash}`,
    })),
    permissions: [...permissions.all()],
    topicPermissions: [...permissions.allTopics()],
    virtualHosts: [...virtualHosts.all()].map(({ name, properties }) => ({ name, properties })),
  };
}

function furnish({ users, permissions, virtualHosts }: Broker): void {
  virtualHosts.add("a/b é", {
    description: "with a name for folders to fear",
    tags: ["x"],
    defaultQueueType: "quorum",
    protectedFromDeletion: true,
    limits: { maxQueues: 7 },
  });
  virtualHosts.add("gone");
  users.add("app", { password: "secret", tags: ["impersonator"], limits: { maxChannels: 9 } });
  users.add("idle");
  users.add("left", { password: "p" });
  permissions.set("app", "a/b é", { configure: "^app-", write: ".*", read: "" });
  permissions.set("app", "gone", all);
  permissions.set("app", "/", all);
  permissions.set("left", "/", all);
  permissions.setTopic("app", "a/b é", "amq.topic", { write: "^{username}\\.", read: ".*" });
  permissions.setTopic("app", "/", "amq.topic", { write: "", read: "" });
  permissions.clear("app", "/");
  permissions.clearTopic("app", "/");
  users.delete("left");
  virtualHosts.delete("gone");
}

test("A10 V1 users, permissions and virtual hosts are after a restart what they were before", async () => {
  const kept = await KeptBroker.start();
  furnish(kept.broker);
  const before = described(kept.broker);
  expect(before.users.map(({ name }) => name)).toEqual(["guest", "app", "idle"]);
  expect(before.permissions).toHaveLength(2);
  for (let restart = 0; restart < 2; restart++) {
    await kept.restart();
    expect(described(kept.broker)).toEqual(before);
  }
  const channel = await channelIn(kept.broker, "a/b é", "app:secret");
  await channel.assertQueue("app-q");
  await expect(channel.assertQueue("q")).rejects.toThrow("refused for user 'app'");
});

test("A10 V1 thousands of changes leave what they came to, in a small log", async () => {
  const kept = await KeptBroker.start();
  furnish(kept.broker);
  for (let round = 0; round < 3000; round++)
    kept.broker.permissions.set("app", "/", { ...all, read: `^${round}$` });
  // Entries are written when the turn ends: a reply to a client comes after it.
  await (await kept.channel()).assertQueue("q");
  const before = described(kept.broker);
  expect((await stat(join(kept.folder, "topology"))).size).toBeLessThan(100_000);
  await kept.restart();
  expect(described(kept.broker)).toEqual(before);
});

test("A14 what exists from the start is not made again once somebody has deleted it", async () => {
  const kept = await KeptBroker.start();
  const { users, permissions, virtualHosts } = kept.broker;
  users.add("root", { password: "r", tags: ["administrator"] });
  virtualHosts.add("v");
  permissions.set("root", "v", all);
  users.delete("guest");
  virtualHosts.delete("/");
  const before = described(kept.broker);
  await kept.stop();
  await kept.start();
  expect(described(kept.broker)).toEqual(before);
  expect(kept.warnings).toEqual([expect.stringContaining("the data folder has its own users")]);
  await channelIn(kept.broker, "v", "root:r");
});

test("V1 messages of several virtual hosts come back, each to its own", async () => {
  const kept = await KeptBroker.start();
  kept.broker.virtualHosts.add("v");
  kept.broker.permissions.set("guest", "v", all);
  for (const vhost of ["/", "v"]) {
    const channel = await channelIn(kept.broker, vhost);
    await channel.assertQueue("q");
    channel.sendToQueue("q", Buffer.from(`of ${vhost}`), { persistent: true });
    await channel.waitForConfirms();
  }
  await kept.restart();
  for (const vhost of ["/", "v"])
    expect(await drainTexts(await channelIn(kept.broker, vhost), "q")).toEqual([`of ${vhost}`]);
});

/** A virtual host with a message, a copy of whose folder is returned. */
async function deletedVirtualHost(kept: KeptBroker): Promise<string> {
  kept.broker.virtualHosts.add("v");
  kept.broker.permissions.set("guest", "v", all);
  const channel = await channelIn(kept.broker, "v");
  await channel.assertQueue("q");
  channel.sendToQueue("q", Buffer.from("of the deleted one"), { persistent: true });
  await channel.waitForConfirms();
  const copy = join(kept.folder, "copy");
  await cp(join(kept.folder, "vhost-76"), copy, { recursive: true });
  kept.broker.virtualHosts.delete("v");
  return copy;
}

test("V1 deleting a virtual host removes its folder", async () => {
  const kept = await KeptBroker.start();
  await deletedVirtualHost(kept);
  expect(await readdir(kept.folder)).not.toContain("vhost-76");
  await kept.restart();
  expect(kept.broker.virtualHosts.find("v")).toBeUndefined();
});

test("V1 a folder that a crash has left of a deleted virtual host is removed at the next start", async () => {
  const kept = await KeptBroker.start();
  const copy = await deletedVirtualHost(kept);
  await kept.stop();
  await cp(copy, join(kept.folder, "vhost-76"), { recursive: true });
  await kept.start();
  expect(await readdir(kept.folder)).not.toContain("vhost-76");
});

test("V1 a new virtual host does not find what is left of another of its name", async () => {
  const kept = await KeptBroker.start();
  const copy = await deletedVirtualHost(kept);
  // As if the log had been shortened in between, and knew nothing of either.
  await cp(copy, join(kept.folder, "vhost-76"), { recursive: true });
  kept.broker.virtualHosts.add("v");
  kept.broker.permissions.set("guest", "v", all);
  await (await channelIn(kept.broker, "v")).assertQueue("q");
  await kept.restart();
  expect(await drainTexts(await channelIn(kept.broker, "v"), "q")).toEqual([]);
});

test("V1 a virtual host that is deleted and made again within a turn is the new one after a restart", async () => {
  const kept = await KeptBroker.start();
  await deletedVirtualHost(kept);
  const { virtualHosts, permissions } = kept.broker;
  virtualHosts.add("v", { description: "second" });
  permissions.set("guest", "v", all);
  await (await channelIn(kept.broker, "v")).assertQueue("other");
  virtualHosts.delete("v");
  virtualHosts.add("v", { description: "third" });
  permissions.set("guest", "v", all);
  await kept.restart();
  expect(kept.broker.virtualHosts.get("v").properties.description).toBe("third");
  const channel = await channelIn(kept.broker, "v");
  await expect(channel.checkQueue("other")).rejects.toThrow("NOT_FOUND");
});
