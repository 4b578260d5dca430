/** The reserve, and the timers that meet a disk that is full or fails: they survive it, and the broker goes on. */
import { expect, test } from "vitest";
import { type Log, silentLog } from "../../src/log.ts";
import { Random } from "../seeded.ts";
import { BrokerLife } from "../simulation/broker-life.ts";
import { SimulatedDisk } from "../store/simulated-disk.ts";

const RESERVE_BYTES = 4 * 1024 * 1024;

function start(disk: SimulatedDisk) {
  const warnings: string[] = [];
  const note = (_: object, message: string): void => void warnings.push(message);
  const log: Log = { ...silentLog, warn: note, error: note };
  const broker = new BrokerLife(disk, { diskFreeLimit: 0 }, log, 0);
  broker.rest();
  return { broker, warnings };
}

function newDisk(): SimulatedDisk {
  return new SimulatedDisk(new Random(1));
}

test("the reserve is there a second after the start", () => {
  const disk = newDisk();
  start(disk).broker.advance(1000);
  expect(disk.bytesOf("reserve")).toHaveLength(RESERVE_BYTES);
});

test("a reserve for which there is no space is not kept in part, and made when there is", () => {
  const disk = newDisk();
  const { broker, warnings } = start(disk);
  disk.capacityBytes = disk.usedBytes + 1_000_000;
  broker.advance(3000);
  expect(disk.list()).not.toContain("reserve");
  expect(warnings).toEqual(["the reserve on the disk cannot be written"]);
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  broker.advance(1000);
  expect(disk.bytesOf("reserve")).toHaveLength(RESERVE_BYTES);
});

test("a reserve that cannot even be made stops nobody", () => {
  const disk = newDisk();
  const { broker, warnings } = start(disk);
  disk.failing.add("create");
  broker.advance(3000);
  expect(warnings).toEqual(["the reserve on the disk cannot be written"]);
  disk.failing.clear();
  broker.advance(1000);
  expect(disk.list()).toContain("reserve");
});

test("the reserve that the process before has left is given up when the disk is full", () => {
  const disk = newDisk();
  start(disk).broker.advance(1000);
  const next = disk.crash("kill");
  const { broker } = start(next);
  const client = broker.connect({
    delivered: () => undefined,
    confirmed: () => undefined,
    closed: () => undefined,
  });
  client.ask("queue.declare", { queue: "q", durable: true });
  broker.rest();
  next.capacityBytes = next.usedBytes;
  client.publish("", "q", { id: "1", body: Buffer.alloc(1000), persistent: true });
  broker.rest();
  expect(next.list()).not.toContain("reserve");
});
