/** The first start of a broker may end anywhere: the next one finishes what it began. */
import { expect, test } from "vitest";
import { silentLog } from "../../src/log.ts";
import { Random } from "../seeded.ts";
import { Cut, SimulatedDisk } from "../store/simulated-disk.ts";
import { BrokerLife } from "./broker-life.ts";

function start(disk: SimulatedDisk): BrokerLife {
  return new BrokerLife(disk, {}, silentLog, 0);
}

/** Whether a start ends before it is done when the disk stops at this operation. */
function isCut(disk: SimulatedDisk, cutAt: number): boolean {
  disk.cutAt = cutAt;
  try {
    start(disk).rest();
    return false;
  } catch (error) {
    if (!(error instanceof Cut)) throw error;
    return true;
  }
}

test("the default user is there whenever the first start ended before it was done", () => {
  for (const kind of ["kill", "power"] as const) {
    let cutAt = 1;
    for (let disk = new SimulatedDisk(new Random(cutAt)); isCut(disk, cutAt); cutAt++) {
      const { host } = start(disk.crash(kind));
      const { users, permissions } = host;
      expect([users.authenticate("guest", Buffer.from("guest"))?.name, cutAt]).toEqual([
        "guest",
        cutAt,
      ]);
      expect(permissions.get("guest", "/")?.configure).toBe(".*");
      disk = new SimulatedDisk(new Random(cutAt));
    }
    // A start that nothing can end proves nothing.
    expect(cutAt).toBeGreaterThan(5);
  }
});

test("a default user that was deleted does not come back", () => {
  const disk = new SimulatedDisk(new Random(1));
  const broker = start(disk);
  broker.host.users.delete("guest");
  broker.rest();
  expect(start(disk.crash("kill")).host.users.find("guest")).toBeUndefined();
});
