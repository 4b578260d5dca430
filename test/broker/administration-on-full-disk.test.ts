/** What an administrator changes is written before it counts: on a disk that takes nothing it is refused, and nothing changes. */
import { beforeEach, describe, expect, test } from "vitest";
import { AdministrationError } from "../../src/broker/administration.ts";
import type { Host } from "../../src/broker/host.ts";
import { silentLog } from "../../src/log.ts";
import { Random } from "../seeded.ts";
import { BrokerLife } from "../simulation/broker-life.ts";
import { diskError, SimulatedDisk } from "../store/simulated-disk.ts";

const all = { configure: ".*", write: ".*", read: ".*" };

let disk: SimulatedDisk;
let broker: BrokerLife;

function start(on: SimulatedDisk): BrokerLife {
  const life = new BrokerLife(on, { diskFreeLimit: 0 }, silentLog, 0);
  life.rest();
  return life;
}

/** All that there is, as the log of the topology would have it. */
function state({ users, permissions, virtualHosts }: Host): string {
  const lists = [users.entries(), permissions.entries(), virtualHosts.entries()];
  return JSON.stringify(lists.map((list) => [...list]));
}

beforeEach(() => {
  disk = new SimulatedDisk(new Random(1));
  broker = start(disk);
  const { users, permissions, virtualHosts } = broker.host;
  users.add("app", { password: "secret" });
  virtualHosts.add("test");
  permissions.set("app", "test", all);
  permissions.setTopic("app", "test", "amq.topic", { write: "a", read: "b" });
  broker.rest();
});

const changes: readonly [string, (host: Host) => void][] = [
  ["a new user", ({ users }) => users.add("other", { password: "x" })],
  ["a user's password", ({ users }) => users.change("app", { password: "other" })],
  ["the end of a user", ({ users }) => users.delete("app")],
  ["a permission", ({ permissions }) => permissions.set("app", "/", all)],
  ["the end of a permission", ({ permissions }) => permissions.clear("app", "test")],
  [
    "a topic permission",
    ({ permissions }) => permissions.setTopic("app", "test", "amq.topic", { write: "", read: "" }),
  ],
  ["the end of a topic permission", ({ permissions }) => permissions.clearTopic("app", "test")],
  ["a new virtual host", ({ virtualHosts }) => virtualHosts.add("other")],
  [
    "a virtual host's limits",
    ({ virtualHosts }) => virtualHosts.change("test", { limits: { maxQueues: 5 } }),
  ],
  ["the end of a virtual host", ({ virtualHosts }) => virtualHosts.delete("test")],
];

test("V1 a virtual host goes whatever the disk does with its messages, and holds nobody back then", () => {
  const { virtualHosts, alarm, memory } = broker.host;
  const before = memory.usedBytes - memory.keptBytes;
  const journals = disk.subfolder("vhost-74657374");
  let reason = "";
  const listener = {
    delivered: () => undefined,
    confirmed: () => undefined,
    closed: (text: string) => {
      reason = text;
    },
  };
  broker.host.permissions.set("guest", "test", all);
  const client = broker.connect(listener, "test");
  client.ask("queue.declare", { queue: "q", durable: true });
  for (const id of ["1", "2"])
    client.publish("", "q", { id, body: Buffer.alloc(100), persistent: true });
  broker.rest();
  expect(journals.list()).toHaveLength(1);
  const fail = (): void => {
    throw diskError("EIO");
  };
  journals.write = fail;
  // What has been said so far, and all behind it, waits for this.
  client.ask("tx.select", {});
  client.publish("", "q", { id: "3", body: Buffer.alloc(100), persistent: true });
  client.ask("tx.commit", {});
  broker.rest();
  expect(alarm.isSet).toBe(true);
  journals.syncNow = fail;
  virtualHosts.delete("test");
  broker.advance(2000);
  broker.rest();
  expect(alarm.isSet).toBe(false);
  expect(reason).toContain("vhost 'test' is deleted");
  expect(memory.usedBytes - memory.keptBytes).toBeLessThanOrEqual(before);
  expect(disk.list()).not.toContain("vhost-74657374");
});

describe("a disk that takes nothing refuses", () => {
  test.each(changes)("%s, and nothing has changed, now or after a restart", (_, change) => {
    const before = state(broker.host);
    disk.capacityBytes = disk.usedBytes;
    let error: unknown;
    try {
      change(broker.host);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(AdministrationError);
    expect(error).toMatchObject({
      code: "UNAVAILABLE",
      message: "the disk does not take the change: ENOSPC: simulated",
    });
    expect(state(broker.host)).toBe(before);
    broker.rest();
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    expect(state(start(disk.crash("kill")).host)).toBe(before);
  });

  test.each(changes)("%s only as long as it does not take it", (_, change) => {
    disk.failing.add("write");
    expect(() => change(broker.host)).toThrow("EIO");
    disk.failing.clear();
    change(broker.host);
    const after = state(broker.host);
    broker.rest();
    expect(state(start(disk.crash("power")).host)).toBe(after);
  });
});

test("a virtual host whose journal's folder cannot be made is refused, and is not there after a restart", () => {
  const before = state(broker.host);
  const subfolder = disk.subfolder.bind(disk);
  disk.subfolder = () => {
    throw new Error("EIO: simulated");
  };
  expect(() => broker.host.virtualHosts.add("other")).toThrow("the disk does not take the change");
  disk.subfolder = subfolder;
  expect(state(broker.host)).toBe(before);
  broker.rest();
  expect(state(start(disk.crash("power")).host)).toBe(before);
});
