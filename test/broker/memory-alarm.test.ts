/**
 * The memory alarm: publishers wait while the process uses more than the watermark. The memory is a number that the test
 * sets; the broker looks at it every second of its virtual time.
 */
import { once } from "node:events";
import { setImmediate } from "node:timers/promises";
import { connect } from "amqplib";
import { expect, onTestFinished, test } from "vitest";
import type { BasicProperties } from "../../src/amqp/basic-properties.ts";
import { Alarm } from "../../src/broker/alarm.ts";
import { Host } from "../../src/broker/host.ts";
import { makePublication } from "../../src/broker/make-publication.ts";
import { MemoryWatch, type ProcessMemory } from "../../src/broker/memory-watch.ts";
import { defaultSettings } from "../../src/config.ts";
import { Broker, VirtualClock } from "../../src/index.ts";
import { silentLog } from "../../src/log.ts";
import { NodeMemory } from "../../src/process-memory.ts";
import { Turn } from "../../src/turn.ts";
import { Random } from "../seeded.ts";
import { SimulatedDisk } from "../store/simulated-disk.ts";

class FakeMemory implements ProcessMemory {
  readonly totalBytes = 1000;
  used = 0;
  garbage = 0;
  collections = 0;

  usedBytes(): number {
    return this.used + this.garbage;
  }

  collectGarbage(): void {
    this.garbage = 0;
    this.collections++;
  }
}

async function startWith(memoryHighWatermark: number) {
  const [clock, processMemory] = [new VirtualClock(), new FakeMemory()];
  const broker = await Broker.start({
    ...{ port: 0, managementPort: 0, prometheusPort: 0 },
    ...{ clock, processMemory, memoryHighWatermark },
  });
  onTestFinished(() => broker.close());
  const use = (bytes: number) => {
    processMemory.used = bytes;
    clock.advance("1s");
  };
  return { broker, use, processMemory, clock };
}

async function client({ url }: Broker) {
  const connection = await connect(url);
  onTestFinished(() => connection.close().catch(() => undefined));
  return { connection, channel: await connection.createConfirmChannel() };
}

async function get(broker: Broker, path: string): Promise<Record<string, unknown>[]> {
  const headers = { authorization: `Basic ${Buffer.from("guest:guest").toString("base64")}` };
  return (await fetch(`${broker.managementUrl}${path}`, { headers })).json() as never;
}

test("M6 over the watermark publishers are blocked and consumers go on, until less is used", async () => {
  const { broker, use } = await startWith(0.6);
  const publisher = await client(broker);
  const consumer = await client(broker);
  await publisher.channel.assertQueue("q");
  publisher.channel.sendToQueue("q", Buffer.from("before"));
  await publisher.channel.waitForConfirms();
  use(601);
  const blocked = once(publisher.connection, "blocked");
  publisher.channel.sendToQueue("q", Buffer.from("after"));
  expect(await blocked).toEqual(["low on memory"]);
  expect(await consumer.channel.get("q", { noAck: true })).toMatchObject({
    content: Buffer.from("before"),
  });
  expect(await consumer.channel.get("q", { noAck: true })).toBe(false);

  const unblocked = once(publisher.connection, "unblocked");
  use(600);
  await unblocked;
  await publisher.channel.waitForConfirms();
  expect(await consumer.channel.checkQueue("q")).toMatchObject({ messageCount: 1 });
});

test("M6 the alarm and its limit are seen by the management API and by Prometheus", async () => {
  const { broker, use } = await startWith(0.4);
  expect(await get(broker, "/api/nodes")).toMatchObject([{ mem_alarm: false, mem_limit: 400 }]);
  use(500);
  expect(await get(broker, "/api/nodes")).toMatchObject([{ mem_alarm: true, mem_limit: 400 }]);
  expect(await get(broker, "/api/health/checks/alarms")).toMatchObject({
    status: "failed",
    alarms: [{ resource: "memory" }],
  });
  const metrics = await (await fetch(broker.metricsUrl!)).text();
  expect(metrics).toMatch(/^rabbitmq_alarms_memory_used_watermark(\{.*\})? 1$/m);
  expect(metrics).toMatch(/^rabbitmq_resident_memory_limit_bytes(\{.*\})? 400$/m);
});

test("M6 a watermark of 0 holds publishers back from the start", async () => {
  const { broker, use } = await startWith(0);
  use(1);
  const { connection, channel } = await client(broker);
  const blocked = once(connection, "blocked");
  channel.sendToQueue("q", Buffer.from("1"));
  expect(await blocked).toEqual(["low on memory"]);
});

test("M6 the limit of free space on the disk may be a multiple of the memory", async () => {
  const broker = await Broker.start({
    ...{ port: 0, managementPort: 0, processMemory: new FakeMemory() },
    diskFreeLimitRelative: 1.5,
  });
  onTestFinished(() => broker.close());
  expect(await get(broker, "/api/nodes")).toMatchObject([{ disk_free_limit: 1500 }]);
});

function watch(highWatermark: number) {
  const [clock, memory, alarm] = [new VirtualClock(), new FakeMemory(), new Alarm()];
  const evict = () => undefined;
  const watching = new MemoryWatch({ memory, clock, log: silentLog, alarm, highWatermark, evict });
  watching.start();
  return { clock, memory, alarm, watching };
}

test("M6 above 1 the watermark is a number of bytes, and infinity none", () => {
  expect(watch(1).watching.limitBytes).toBe(1000);
  expect(watch(300).watching.limitBytes).toBe(300);
  const { clock, memory, alarm } = watch(Number.POSITIVE_INFINITY);
  memory.used = Number.MAX_SAFE_INTEGER;
  clock.advance("10s");
  expect([alarm.isSet, memory.collections]).toEqual([false, 0]);
});

test("M6 garbage is collected before anybody is held back for it", () => {
  const { clock, memory, alarm } = watch(0.5);
  memory.used = 400;
  memory.garbage = 200;
  clock.advance("1s");
  expect([alarm.isSet, memory.collections]).toEqual([false, 1]);
});

test("M6 messages that are on the disk leave the memory before anybody is held back for them", () => {
  let runTurn = () => {};
  const turn = new Turn((run) => {
    runTurn = run;
  });
  const [clock, disk] = [new VirtualClock(), new SimulatedDisk(new Random(1))];
  const settings = {
    ...{ ...defaultSettings, segmentBytes: 65_536, memoryHighWatermark: 1_500_000 },
    diskFreeLimit: 0,
  };
  let inUse = () => 0;
  const processMemory = {
    totalBytes: 1e9,
    usedBytes: () => inUse(),
    collectGarbage: () => undefined,
  };
  const host = new Host({ settings, clock, turn, log: silentLog, disk, processMemory });
  inUse = () => host.memory.usedBytes - host.memory.keptBytes;
  const vhost = host.virtualHosts.get("/");
  const durable = { name: "q", durable: true, exclusive: false, autoDelete: false };
  const access = host.permissions.access("guest", "/");
  const queue = vhost.declareQueue({ ...durable, arguments: new Map() }, {}, access);
  for (let at = 0; at < 40; at++) {
    const properties: BasicProperties = new Map([["delivery_mode", 2]]);
    const body = Buffer.alloc(30_000);
    vhost.enqueue(makePublication(vhost.exchanges.get(""), "q", properties, body), [queue]);
    runTurn();
    disk.completeSyncs();
  }
  expect(inUse()).toBeGreaterThan(2_000_000);
  clock.advance("1s");
  expect(inUse()).toBeLessThan(1_500_000);
  expect(host.alarm.isSet).toBe(false);
  expect(queue.readyCount).toBe(40);
  host.close();
});

test("M6 garbage that consumers make under the alarm does not keep it", () => {
  const { clock, memory, alarm } = watch(0.5);
  memory.used = 600;
  clock.advance("1s");
  expect(alarm.isSet).toBe(true);
  memory.used = 100;
  memory.garbage = 500;
  clock.advance("1s");
  expect(alarm.isSet).toBe(false);
});

test("M6 a watch that has stopped looks no more", () => {
  const { clock, memory, alarm, watching } = watch(0.5);
  watching.stop();
  memory.used = 600;
  clock.advance("5s");
  expect(alarm.isSet).toBe(false);
});

test("M6 the memory of the process is told, and what nobody uses is given back", async () => {
  const memory = new NodeMemory();
  expect(memory.usedBytes()).toBeGreaterThan(10_000_000);
  expect(memory.totalBytes).toBeGreaterThanOrEqual(memory.usedBytes());
  const reference = new WeakRef({});
  // A reference is kept until the end of the turn that has made it.
  await setImmediate();
  memory.collectGarbage();
  expect(reference.deref()).toBeUndefined();
});
