/**
 * connection.blocked: what publishers and consumers notice of a disk that is nearly full. The disk is a folder that says
 * of itself how much is free; the broker looks at it every second of its virtual time.
 *
 * When and with which words a publisher is blocked was seen on RabbitMQ 3.10, where the publication that meets the alarm
 * waits as well.
 */
import { once } from "node:events";
import type { Socket } from "node:net";
import { type ChannelModel, connect } from "amqplib";
import { expect, onTestFinished, test } from "vitest";
import { Alarm } from "../../src/broker/alarm.ts";
import { Broker, VirtualClock } from "../../src/index.ts";
import { FileDisk } from "../../src/store/disk.ts";
import { temporaryFolder } from "../durability/kept-broker.ts";

class SmallDisk extends FileDisk {
  isFull = false;

  override freeBytes(): number {
    return this.isFull ? 0 : Number.MAX_SAFE_INTEGER;
  }
}

async function startOnSmallDisk() {
  const [clock, disk] = [new VirtualClock(), new SmallDisk(await temporaryFolder())];
  const broker = await Broker.start({ port: 0, clock, disk });
  onTestFinished(() => broker.close());
  const fill = (isFull: boolean) => {
    disk.isFull = isFull;
    clock.advance("1s");
  };
  return { broker, fill };
}

/** A connection that notes when it is blocked and unblocked. */
async function client({ url }: Broker, clientProperties = {}) {
  const connection: ChannelModel = await connect(url, { noDelay: true, clientProperties });
  onTestFinished(() => connection.close().catch(() => undefined));
  connection.on("error", () => undefined);
  const told: string[] = [];
  connection.on("blocked", (reason) => told.push(`blocked: ${reason}`));
  connection.on("unblocked", () => told.push("unblocked"));
  return { connection, channel: await connection.createConfirmChannel(), told };
}

test("N21 a connection is blocked by its first publish, which waits as all that follows until there is space", async () => {
  const { broker, fill } = await startOnSmallDisk();
  const { connection, channel, told } = await client(broker);
  const { channel: watcher } = await client(broker);
  await channel.assertQueue("q");
  fill(true);
  // Nobody has published yet, so nobody is held back.
  await channel.checkQueue("q");
  expect(told).toEqual([]);

  const blocked = once(connection, "blocked");
  channel.sendToQueue("q", Buffer.from("1"));
  await blocked;
  channel.sendToQueue("q", Buffer.from("2"));
  const answer = channel.checkQueue("q");
  // What another connection asks for meanwhile is answered, again and again.
  for (let round = 0; round < 10; round++) await watcher.checkQueue("q");
  expect(await watcher.checkQueue("q")).toMatchObject({ messageCount: 0 });

  fill(false);
  expect(await answer).toMatchObject({ messageCount: 2 });
  await channel.waitForConfirms();
  expect(told).toEqual(["blocked: low on disk", "unblocked"]);
});

test("N21 the reason names all that is low", () => {
  const alarm = new Alarm();
  const told: string[] = [];
  const publisher = () => ({
    blocked: (reason: string) => void told.push(reason),
    unblocked: () => void told.push("unblocked"),
  });
  alarm.raise("memory");
  alarm.block(publisher());
  alarm.raise("disk");
  alarm.block(publisher());
  alarm.clear("memory");
  alarm.block(publisher());
  alarm.clear("disk");
  const reasons = ["low on memory", "low on disk & memory", "low on disk"];
  expect(told).toEqual([...reasons, "unblocked", "unblocked", "unblocked"]);
});

test("N21 connections that do not publish go on as before, and make room", async () => {
  const { broker, fill } = await startOnSmallDisk();
  const { channel: publisher } = await client(broker);
  const { channel, told } = await client(broker);
  await publisher.assertQueue("q");
  for (const body of ["1", "2", "3"]) publisher.sendToQueue("q", Buffer.from(body));
  await publisher.waitForConfirms();
  fill(true);
  for (const body of ["1", "2", "3"]) {
    const message = await channel.get("q");
    if (message === false) throw new Error("the queue is empty");
    expect(message.content.toString()).toBe(body);
    channel.ack(message);
  }
  await channel.assertQueue("another");
  fill(false);
  await channel.checkQueue("another");
  expect(told).toEqual([]);
});

test("N21 a client that did not say that it understands is held back without being told", async () => {
  const { broker, fill } = await startOnSmallDisk();
  const { channel, told } = await client(broker, { capabilities: {} });
  const { channel: watcher } = await client(broker);
  await channel.assertQueue("q");
  fill(true);
  channel.sendToQueue("q", Buffer.from("1"));
  const answer = channel.checkQueue("q");
  let isAnswered = false;
  void answer.then(() => {
    isAnswered = true;
  });
  for (let round = 0; round < 10; round++) await watcher.checkQueue("q");
  expect(isAnswered).toBe(false);
  fill(false);
  await answer;
  expect(told).toEqual([]);
});

test("N21 the closing of the broker does not wait for publishers that are blocked", async () => {
  const { broker, fill } = await startOnSmallDisk();
  const { connection, channel } = await client(broker);
  await channel.assertQueue("q");
  fill(true);
  const blocked = once(connection, "blocked");
  channel.sendToQueue("q", Buffer.from("1"));
  await blocked;
  const closed = once(connection, "close");
  await broker.close();
  expect((await closed)[0].message).toContain("320");
});

test("N21 a publisher that goes while it is blocked is no trouble when there is space again", async () => {
  const { broker, fill } = await startOnSmallDisk();
  const { connection, channel } = await client(broker);
  const { channel: other } = await client(broker);
  await channel.assertQueue("q");
  fill(true);
  const blocked = once(connection, "blocked");
  channel.sendToQueue("q", Buffer.from("1"));
  await blocked;
  (connection.connection as unknown as { stream: Socket }).stream.destroy();
  await other.checkQueue("q");
  fill(false);
  other.sendToQueue("q", Buffer.from("2"));
  await other.waitForConfirms();
  // Whether its own message counts depends on when the broker hears that it has gone.
  const bodies: string[] = [];
  for (let message = await other.get("q"); message !== false; message = await other.get("q"))
    bodies.push(message.content.toString());
  expect(bodies.at(-1)).toBe("2");
});

test("P17 what is sent on a blocked connection is not read, but left to the system's buffers and to the client", async () => {
  const { broker, fill } = await startOnSmallDisk();
  const { connection, channel } = await client(broker);
  const { channel: watcher } = await client(broker);
  await channel.assertQueue("q");
  const [name] = broker.connections.list().map((each) => each.name);
  const receivedBytes = () =>
    broker.connections.list().find((each) => each.name === name)!.receivedBytes;
  fill(true);
  const blocked = once(connection, "blocked");
  channel.sendToQueue("q", Buffer.from("first"));
  await blocked;
  const before = receivedBytes();
  const [count, body] = [40, Buffer.alloc(1_000_000)];
  for (let at = 0; at < count; at++) channel.sendToQueue("q", body);
  const { stream } = connection.connection as unknown as { stream: Socket };
  // The other connection has been served many times since the system took what it takes.
  for (let round = 0; round < 100; round++) await watcher.checkQueue("q");
  // A chunk may have been under way when reading stopped.
  expect(receivedBytes() - before).toBeLessThanOrEqual(65_536);
  expect(stream.writableLength).toBeGreaterThan(0);
  expect(await watcher.checkQueue("q")).toMatchObject({ messageCount: 0 });

  fill(false);
  await channel.waitForConfirms();
  expect(await watcher.checkQueue("q")).toMatchObject({ messageCount: count + 1 });
  expect(receivedBytes() - before).toBeGreaterThan(count * body.length);
});
