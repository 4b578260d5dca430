/**
 * A broker whose disk is full or fails: publishers wait, consumers go on and make room, nothing that was confirmed is lost, and
 * all goes on without a restart when the disk is well again. On a simulated disk, in virtual time.
 */
import { expect, test } from "vitest";
import { longstr } from "../../src/amqp/field-table.ts";
import type { Settings } from "../../src/config.ts";
import { type Log, silentLog } from "../../src/log.ts";
import { Random } from "../seeded.ts";
import { BrokerLife } from "../simulation/broker-life.ts";
import type { ClientListener, Message, SimulatedClient } from "../simulation/simulated-client.ts";
import { SimulatedDisk } from "../store/simulated-disk.ts";

const SEGMENT_BYTES = 65_536;
const BODY_BYTES = 1000;

function start(
  disk: SimulatedDisk,
  settings: Partial<Settings> & { readonly reserveBytes?: number } = {},
): { broker: BrokerLife; warnings: string[] } {
  const warnings: string[] = [];
  const note = (_: object, message: string): void => void warnings.push(message);
  const log: Log = { ...silentLog, info: note, warn: note, error: note };
  const all = { segmentBytes: SEGMENT_BYTES, diskFreeLimit: 0, ...settings };
  const broker = new BrokerLife(disk, all, log, 0);
  // The reserve is there after a second.
  broker.advance(1000);
  broker.rest();
  return { broker, warnings };
}

/** Says its messages' numbers, and what became of them. */
class Peer implements ClientListener {
  readonly client: SimulatedClient;
  readonly confirmedNumbers = new Set<number>();
  readonly received: Message[] = [];
  closedWith: string | undefined;
  /** Whether it acks what it is delivered. */
  acks = true;
  #published = 0;
  #confirmedUpTo = 0;

  constructor(broker: BrokerLife) {
    this.client = broker.connect(this);
    this.client.ask("confirm.select", {});
  }

  declare(queue: string): void {
    this.client.ask("queue.declare", { queue, durable: true });
  }

  publish(queue: string, count: number, bytes = BODY_BYTES): void {
    for (; count > 0; count--) {
      const id = String(++this.#published);
      const body = Buffer.alloc(bytes, `${id} `);
      this.client.publish("", queue, { id, body, persistent: true });
    }
  }

  confirmed(deliveryTag: number, multiple: boolean, isAck: boolean): void {
    const first = multiple ? this.#confirmedUpTo + 1 : deliveryTag;
    for (let number = first; number <= deliveryTag; number++)
      if (isAck) this.confirmedNumbers.add(number);
    this.#confirmedUpTo = deliveryTag;
  }

  delivered(message: Message): void {
    this.received.push(message);
    if (this.acks) this.client.say("basic.ack", { deliveryTag: message.deliveryTag });
  }

  closed(reason: string): void {
    this.closedWith = reason;
  }
}

/** Seconds pass, in which the broker does what it has to. */
function pass(broker: BrokerLife, seconds: number): void {
  for (let second = 0; second < seconds; second++) {
    broker.advance(1000);
    broker.rest();
  }
}

/** The numbers of the messages that a queue holds after a loss of power. */
function numbersAfterCrash(disk: SimulatedDisk, queue: string): number[] {
  const { broker } = start(disk.crash("power"));
  const looker = new Peer(broker);
  looker.acks = false;
  looker.client.consume(queue);
  broker.rest();
  return looker.received.map(({ body }) => Number.parseInt(body.toString(), 10));
}

/** A queue with a backlog that is safe, on a disk with `spareBytes` left. */
function withBacklog(spareBytes: number, messages = 300, settings: Partial<Settings> = {}) {
  const disk = new SimulatedDisk(new Random(1));
  const { broker, warnings } = start(disk, settings);
  const publisher = new Peer(broker);
  publisher.declare("q");
  publisher.declare("other");
  for (let left = messages; left > 0; left -= 20) {
    publisher.publish("q", Math.min(20, left));
    broker.rest();
  }
  expect(publisher.confirmedNumbers.size).toBe(messages);
  disk.capacityBytes = disk.usedBytes + spareBytes;
  return { disk, broker, warnings, publisher };
}

test("N21 with less space than the limit publishers are blocked, consumers make room, and publishers go on", () => {
  const { disk, broker, publisher } = withBacklog(100_000, 300, { diskFreeLimit: 150_000 });
  pass(broker, 1);
  publisher.publish("q", 51);
  broker.rest();
  expect([publisher.client.isBlocked, publisher.client.blockedReason]).toEqual([
    true,
    "low on disk",
  ]);
  expect(publisher.confirmedNumbers.size).toBe(300);
  const consumer = new Peer(broker);
  consumer.client.consume("q");
  pass(broker, 3);
  expect(publisher.client.isBlocked).toBe(false);
  expect(publisher.confirmedNumbers.size).toBe(351);
  expect(consumer.received).toHaveLength(351);
  expect(numbersAfterCrash(disk, "q")).toEqual([]);
});

test("N21 a full disk confirms nothing that it did not take, and what it did is there", () => {
  const { disk, broker, warnings, publisher } = withBacklog(30_000);
  // More than what is spared and the reserve take together.
  publisher.publish("q", 5000);
  pass(broker, 3);
  publisher.publish("q", 1);
  broker.rest();
  expect(publisher.client.isBlocked).toBe(true);
  expect(publisher.client.blockedReason).toBe("low on disk");
  expect(warnings).toContain("disk alarm: publishers are blocked until there is space again");
  const { confirmedNumbers } = publisher;
  const back = numbersAfterCrash(disk.clone(new Random(2)), "q");
  for (const number of confirmedNumbers) expect(back).toContain(number);
  expect(back).toEqual([...back].sort((a, b) => a - b));
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  pass(broker, 3);
  expect(publisher.client.isBlocked).toBe(false);
  expect(confirmedNumbers.size).toBe(5301);
  expect(warnings).toContain("disk alarm cleared: publishers go on");
  expect(numbersAfterCrash(disk, "q")).toHaveLength(5301);
});

test("N21 a disk that cannot be written holds publishers back until it can, and consumers do not notice", () => {
  for (const operation of ["write", "create", "syncFolder"] as const) {
    const { disk, broker, publisher } = withBacklog(Number.POSITIVE_INFINITY);
    disk.failing.add(operation);
    publisher.publish("q", 100);
    broker.rest();
    const consumer = new Peer(broker);
    consumer.client.consume("q");
    pass(broker, 2);
    // All that has come in before the trouble is there for whoever wants it.
    expect([operation, consumer.received.length]).toEqual([operation, 400]);
    expect([operation, publisher.confirmedNumbers.size]).toEqual([operation, 300]);
    disk.failing.clear();
    pass(broker, 3);
    expect([operation, publisher.confirmedNumbers.size]).toEqual([operation, 400]);
    expect([publisher.closedWith, consumer.closedWith]).toEqual([undefined, undefined]);
    expect(numbersAfterCrash(disk, "q")).toEqual([]);
  }
});

test("N21 what consumers settle frees the disk, however much stands before it that the disk does not take", () => {
  const { disk, broker, publisher } = withBacklog(30_000, 5000);
  // In one turn more than the reserve holds, in a queue that nobody consumes.
  publisher.publish("other", 8000);
  pass(broker, 3);
  expect(publisher.confirmedNumbers.size).toBe(5000);
  expect(disk.list()).not.toContain("reserve");
  const consumer = new Peer(broker);
  consumer.client.consume("q");
  pass(broker, 5);
  expect(consumer.received).toHaveLength(5000);
  // There is no more space than before; what was settled has gone for it.
  expect(publisher.confirmedNumbers.size).toBe(13_000);
  expect(publisher.client.isBlocked).toBe(false);
  expect(numbersAfterCrash(disk, "q")).toEqual([]);
  expect(numbersAfterCrash(disk, "other")).toHaveLength(8000);
});

test("N21 what consumers settle frees the disk, though one message that nobody wants stands before it", () => {
  const disk = new SimulatedDisk(new Random(1));
  // Less than a segment.
  const { broker } = start(disk, { reserveBytes: 50_000 });
  const peer = new Peer(broker);
  for (const queue of ["other", "q"]) peer.declare(queue);
  peer.publish("other", 1);
  for (let burst = 0; burst < 50; burst++) {
    peer.publish("q", 100);
    broker.rest();
  }
  disk.capacityBytes = disk.usedBytes;
  peer.publish("q", 1);
  pass(broker, 3);
  expect(disk.list()).not.toContain("reserve");
  expect(peer.confirmedNumbers.size).toBe(5002);
  const consumer = new Peer(broker);
  consumer.client.consume("q");
  pass(broker, 5);
  expect(consumer.received).toHaveLength(5001);
  expect(disk.usedBytes).toBeLessThan(6 * SEGMENT_BYTES);
  expect(disk.list()).toContain("reserve");
  expect(numbersAfterCrash(disk, "other")).toEqual([1]);
});

test("N21 on a full disk dead letters stand in their old queue until the new one has them", () => {
  const disk = new SimulatedDisk(new Random(1));
  const { broker } = start(disk);
  const peer = new Peer(broker);
  const deadLetters: [string, ReturnType<typeof longstr>][] = [
    ["x-dead-letter-exchange", longstr("")],
    ["x-dead-letter-routing-key", longstr("dead")],
  ];
  peer.declare("dead");
  peer.client.ask("queue.declare", { queue: "q", durable: true, arguments: new Map(deadLetters) });
  for (let burst = 0; burst < 10; burst++) {
    peer.publish("q", 100);
    broker.rest();
  }
  // Without the reserve and without space no copy can be written.
  disk.capacityBytes = disk.usedBytes - disk.bytesOf("reserve").length;
  disk.remove("reserve");
  const rejecting = new Peer(broker);
  rejecting.acks = false;
  rejecting.client.consume("q");
  broker.rest();
  expect(rejecting.received).toHaveLength(1000);
  rejecting.client.say("basic.nack", { deliveryTag: 1000, multiple: true });
  pass(broker, 3);
  const numbers = Array.from({ length: 1000 }, (_, index) => index + 1);
  expect(numbersAfterCrash(disk.clone(new Random(2)), "q")).toEqual(numbers);
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  pass(broker, 3);
  expect(numbersAfterCrash(disk.clone(new Random(2)), "q")).toEqual([]);
  expect(numbersAfterCrash(disk, "dead")).toEqual(numbers);
});

test("what the disk does not give to be read waits until it does, and nobody's connection ends for it", () => {
  for (const operation of ["open", "read"] as const) {
    // Next to no memory: nearly all of the queue has to be read back.
    const settings = { memoryLimit: 1 };
    const { disk, broker, warnings } = withBacklog(Number.POSITIVE_INFINITY, 1000, settings);
    disk.failing.add(operation);
    const consumer = new Peer(broker);
    consumer.client.consume("q");
    pass(broker, 3);
    expect([operation, consumer.received.length, consumer.closedWith]).toEqual([
      operation,
      0,
      undefined,
    ]);
    expect(warnings).toContain(
      "messages of a queue cannot be read now: it is tried again every second",
    );
    disk.failing.clear();
    pass(broker, 2);
    const numbers = consumer.received.map(({ body }) => Number.parseInt(body.toString(), 10));
    expect(numbers).toEqual(Array.from({ length: 1000 }, (_, index) => index + 1));
  }
});

test("basic.get of what the disk does not give closes the channel alone, and takes nothing", () => {
  for (const operation of ["open", "read"] as const) {
    const { disk, broker, publisher } = withBacklog(Number.POSITIVE_INFINITY, 10, {
      memoryLimit: 1,
      segmentBytes: SEGMENT_BYTES,
    });
    const queue = broker.host.virtualHosts.get("/").queues.get("q", {});
    // What is written to stays in memory.
    publisher.publish("q", 200);
    broker.rest();
    disk.failing.add(operation);
    const peer = new Peer(broker);
    peer.client.get("q", () => undefined);
    broker.rest();
    expect(peer.closedWith).toBe(
      "406 PRECONDITION_FAILED - the first message of queue 'q' in vhost '/' cannot be read now: EIO: simulated",
    );
    expect([queue.readyCount, queue.unackedCount]).toEqual([210, 0]);
    disk.failing.clear();
    const again = new Peer(broker);
    let got = "";
    again.client.get("q", (message) => {
      got = message?.body.toString() ?? "nothing";
    });
    broker.rest();
    expect([got.split(" ")[0], again.closedWith]).toEqual(["1", undefined]);
  }
});

test("a declare that a full disk does not take is refused to whoever asks, and to nobody else", () => {
  const { disk, broker, publisher } = withBacklog(0);
  const declaring = new Peer(broker);
  declaring.declare("refused");
  broker.rest();
  expect(declaring.closedWith).toContain("the disk does not take the change: ENOSPC");
  expect(declaring.closedWith).toContain("541");
  expect(publisher.closedWith).toBeUndefined();
  expect(broker.host.virtualHosts.get("/").queues.find("refused")).toBeUndefined();
  disk.capacityBytes = Number.POSITIVE_INFINITY;
  const again = new Peer(broker);
  again.declare("refused");
  broker.rest();
  expect(again.closedWith).toBeUndefined();
});

test("a sync that fails ends the process, and nobody is told that anything is safe", () => {
  const { disk, broker, warnings, publisher } = withBacklog(Number.POSITIVE_INFINITY);
  disk.failing.add("sync");
  publisher.publish("q", 10);
  expect(() => broker.rest()).toThrow("EIO");
  broker.lastWords(() => true);
  expect(publisher.confirmedNumbers.size).toBe(300);
  expect(warnings).toContain(
    "the disk could not sync the journal: what it holds is not known, so the broker stops",
  );
  const back = numbersAfterCrash(disk, "q");
  expect(back.slice(0, 300)).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
});

test("a sync of the topology that fails ends the process, and nobody hears that what he declared is there", () => {
  const { disk, broker, publisher } = withBacklog(Number.POSITIVE_INFINITY);
  disk.failing.add("sync");
  let answered = false;
  publisher.client.ask("queue.declare", { queue: "new", durable: true }, () => {
    answered = true;
  });
  expect(() => broker.rest()).toThrow("EIO");
  disk.failing.clear();
  // Whoever has caught it gets it again, and no socket is written to.
  expect(() => broker.rest()).not.toThrow();
  broker.lastWords(() => true);
  expect(answered).toBe(false);
});
