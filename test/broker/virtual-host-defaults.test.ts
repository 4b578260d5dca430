/** What the settings give each new virtual host: users, limits, a queue type; and the name of the broker. */
import { connect } from "amqplib";
import { expect, onTestFinished, test } from "vitest";
import { Broker, type BrokerOptions } from "../../src/index.ts";
import { temporaryFolder } from "../durability/kept-broker.ts";

async function start(settings: BrokerOptions) {
  const broker = await Broker.start({ port: 0, ...settings });
  onTestFinished(() => broker.close());
  return broker;
}

function permissionsOf(broker: Broker, user: string) {
  return [...broker.permissions.all()].filter((each) => each.user === user);
}

const all = { configure: ".*", write: ".*", read: ".*" };

test("A15 a default user is made for a virtual host that fits, and gets permissions there", async () => {
  const broker = await start({
    defaultUsers: [
      { name: "qa", vhostPattern: "^qa-", password: "secret", tags: ["monitoring"], write: "^x" },
      { name: "everywhere" },
    ],
  });
  expect(broker.users.find("qa")).toBeUndefined();
  expect(permissionsOf(broker, "everywhere")).toEqual([{ user: "everywhere", vhost: "/", ...all }]);
  broker.virtualHosts.add("qa-1");
  broker.virtualHosts.add("my-qa-2");
  expect(broker.users.get("qa").tags).toEqual(["monitoring"]);
  expect(permissionsOf(broker, "qa")).toEqual([
    { user: "qa", vhost: "qa-1", configure: ".*", write: "^x", read: ".*" },
  ]);
  expect(permissionsOf(broker, "everywhere").map(({ vhost }) => vhost)).toEqual([
    ...["/", "qa-1", "my-qa-2"],
  ]);
  const connection = await connect(`amqp://qa:secret@127.0.0.1:${broker.port}/qa-1`);
  await connection.close();
  // Without a password nobody logs in.
  await expect(connect(`amqp://everywhere:@127.0.0.1:${broker.port}`)).rejects.toThrow();
});

test("A15 a default user that is there already stays as it is, and what is taken away stays away", async () => {
  const dataDir = await temporaryFolder();
  const defaultUsers = [{ name: "app", password: "first", tags: ["management"] }];
  const first = await Broker.start({ port: 0, dataDir, defaultUsers });
  first.users.change("app", { password: "second", tags: [] });
  first.virtualHosts.add("v");
  expect(first.users.get("app").tags).toEqual([]);
  first.permissions.clear("app", "v");
  await first.close();
  const second = await start({ dataDir, defaultUsers });
  expect(permissionsOf(second, "app").map(({ vhost }) => vhost)).toEqual(["/"]);
  await (await connect(`amqp://app:second@127.0.0.1:${second.port}`)).close();
});

test("A15 a pattern that is none ends the start", async () => {
  const broken = { port: 0, defaultUsers: [{ name: "app", vhostPattern: "(" }] };
  await expect(Broker.start(broken)).rejects.toThrow(/^defaultUsers, the pattern of app: /);
});

test("V13 limits of a new virtual host are those of the first pattern that fits, unless it brings its own", async () => {
  const broker = await start({
    defaultLimits: [
      { name: "dev", pattern: "^dev", maxQueues: 1, maxConnections: Number.POSITIVE_INFINITY },
      { name: "rest", maxConnections: 5 },
    ],
  });
  const limitsOf = (name: string) => broker.virtualHosts.get(name).properties.limits;
  broker.virtualHosts.add("dev-1");
  broker.virtualHosts.add("other");
  broker.virtualHosts.add("dev-2", { limits: { maxQueues: 7 } });
  expect([limitsOf("/"), limitsOf("dev-1"), limitsOf("other"), limitsOf("dev-2")]).toEqual([
    { maxConnections: 5 },
    { maxQueues: 1 },
    { maxConnections: 5 },
    { maxQueues: 7 },
  ]);
  broker.permissions.set("guest", "dev-1", all);
  const connection = await connect(`${broker.url}/dev-1`);
  onTestFinished(() => connection.close().catch(() => undefined));
  const channel = await connection.createChannel();
  channel.on("error", () => undefined);
  await channel.assertQueue("one");
  await expect(channel.assertQueue("two")).rejects.toThrow("queue limit in vhost 'dev-1' (1)");
});

test("V8 operator policies of the settings are those of each new virtual host that fits", async () => {
  const broker = await start({
    defaultOperatorPolicies: [
      {
        ...{ name: "cap", vhostPattern: "^dev", queuePattern: "^tmp", applyTo: "queues" },
        ...{ expires: 5000, maxLength: 10, maxLengthBytes: 1000 },
      },
    ],
  });
  broker.virtualHosts.add("dev-1");
  expect([...broker.operatorPolicies.all()]).toMatchObject([
    {
      ...{ vhost: "dev-1", name: "cap", pattern: "^tmp", applyTo: "queues", priority: 0 },
      definition: { expires: 5000, "max-length": 10, "max-length-bytes": 1000 },
    },
  ]);
});

test("V3 new virtual hosts have the default queue type of the settings, unless they bring their own", async () => {
  const broker = await start({ defaultQueueType: "quorum" });
  broker.virtualHosts.add("v", { defaultQueueType: "classic" });
  const typeOf = (name: string) => broker.virtualHosts.get(name).properties.defaultQueueType;
  expect([typeOf("/"), typeOf("v")]).toEqual(["quorum", "classic"]);
});

test("N2 clients are told the name of the settings, until somebody gives the broker another", async () => {
  const broker = await start({ clusterName: "from the settings" });
  const nameTold = async () => {
    const connection = await connect(broker.url);
    onTestFinished(() => connection.close().catch(() => undefined));
    return connection.connection.serverProperties["cluster_name" as never];
  };
  expect(await nameTold()).toBe("from the settings");
  broker.globalParameters.set("cluster_name", "given");
  expect(await nameTold()).toBe("given");
});
