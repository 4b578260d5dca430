/** A broker that closes while the disk fails: what can be made safe is, and what could not is told. */
import { expect, test } from "vitest";
import { silentLog } from "../../src/log.ts";
import { Random } from "../seeded.ts";
import { BrokerLife } from "../simulation/broker-life.ts";
import { diskError, SimulatedDisk } from "../store/simulated-disk.ts";

const all = { configure: ".*", write: ".*", read: ".*" };
const nobody = {
  delivered: () => undefined,
  confirmed: () => undefined,
  closed: () => undefined,
};

function start(disk: SimulatedDisk): BrokerLife {
  const life = new BrokerLife(disk, { diskFreeLimit: 0 }, silentLog, 0);
  life.rest();
  return life;
}

/** Messages that wait in each virtual host's queue. */
function waiting({ host }: BrokerLife): Record<string, number> {
  const counts = [...host.virtualHosts.all()].map(
    ({ name, queues }) => [name, queues.find("q")?.readyCount ?? 0] as const,
  );
  return Object.fromEntries(counts);
}

test("a journal that cannot be synced keeps no other from the disk, and its error is told", () => {
  const disk = new SimulatedDisk(new Random(1));
  const broker = start(disk);
  const { virtualHosts, permissions } = broker.host;
  const names = ["/", "a", "b"];
  for (const name of names) {
    if (name !== "/") virtualHosts.add(name);
    permissions.set("guest", name, all);
    const client = broker.connect(nobody, name);
    client.ask("queue.declare", { queue: "q", durable: true });
    // Without confirms nobody waits for a sync before the end.
    client.publish("", "q", { id: "1", body: Buffer.alloc(100), persistent: true });
  }
  broker.rest();
  for (const name of ["/", "a"]) {
    disk.subfolder(`vhost-${Buffer.from(name).toString("hex")}`).syncNow = () => {
      throw Object.assign(diskError("EIO"), { message: `no sync of ${name}` });
    };
  }
  expect(() => broker.host.close()).toThrow("no sync of /");
  // The names of their files are on the disk; what is in those that could not be synced is a matter of luck.
  expect(waiting(start(disk.crash("power")))).toMatchObject({ b: 1 });
});
