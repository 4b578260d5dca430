/**
 * How queues end, and whose they are: exclusive, auto-delete and expiring queues, deleting and purging.
 * Reference rows Q8 to Q11 and Q16.
 */
import type { Channel } from "amqplib";
import { describe, expect, test } from "vitest";
import {
  connect,
  consume,
  DEADLINE_MS,
  drain,
  openChannel,
  refused,
  unique,
  untilReady,
} from "./harness.ts";
import { bits, RawClient, shortstr, table, u16, u32 } from "./raw-client.ts";

/** Waits until the queue is gone. Nothing tells when it goes, so a passive declaration asks. */
async function untilGone(queue: string): Promise<void> {
  const { connection } = await connect();
  const end = Date.now() + DEADLINE_MS;
  while (Date.now() < end) {
    const channel = await connection.createChannel();
    const found = await channel.checkQueue(queue).catch(() => undefined);
    if (found === undefined) return;
    await channel.close();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${queue} is still there`);
}

describe("Q8 an exclusive queue", () => {
  test.each<[string, number, number, (channel: Channel, queue: string) => Promise<unknown>]>([
    ["declared", 50, 10, (channel, queue) => channel.assertQueue(queue)],
    [
      "declared as exclusive",
      50,
      10,
      (channel, queue) => channel.assertQueue(queue, { exclusive: true }),
    ],
    ["looked up", 50, 10, (channel, queue) => channel.checkQueue(queue)],
    ["bound", 50, 20, (channel, queue) => channel.bindQueue(queue, "amq.direct", "key")],
    ["purged", 50, 30, (channel, queue) => channel.purgeQueue(queue)],
    ["deleted", 50, 40, (channel, queue) => channel.deleteQueue(queue)],
    ["consumed from", 60, 20, (channel, queue) => channel.consume(queue, () => {})],
    ["asked for a message", 60, 70, (channel, queue) => channel.get(queue)],
  ])("cannot be %s by another connection", async (_, classId, methodId, request) => {
    const owner = await openChannel();
    const queue = unique("exclusive");
    await owner.assertQueue(queue, { exclusive: true, durable: false });
    const channel = await openChannel();
    expect(await refused(channel, request(channel, queue))).toEqual({
      code: 405,
      message:
        `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.`.slice(
          0,
          255,
        ),
      classId,
      methodId,
    });
    await owner.checkQueue(queue);
  });

  test("can be used by every channel of its connection, and takes messages from anywhere", async () => {
    const { connection } = await connect();
    const [one, two] = [await connection.createChannel(), await connection.createChannel()];
    const queue = unique("exclusive");
    await one.assertQueue(queue, { exclusive: true });
    const inbox = await consume(two, queue, { noAck: true });
    const stranger = await openChannel();
    stranger.sendToQueue(queue, Buffer.from("from a stranger"));
    expect((await inbox.next()).content.toString()).toBe("from a stranger");
    await one.close();
    await two.checkQueue(queue);
  });

  test("is gone when its connection's close has been answered", async () => {
    const queue = unique("exclusive");
    const { connection } = await connect();
    const channel = await connection.createChannel();
    await channel.assertQueue(queue, { exclusive: true });
    await connection.close();
    const other = await openChannel();
    expect(await refused(other, other.checkQueue(queue))).toMatchObject({ code: 404 });
  });

  test("is gone when its connection's socket is lost", async () => {
    const queue = unique("exclusive");
    const raw = await RawClient.connect();
    await raw.openChannel(1);
    await raw.rpc(1, 50, 10, [u16(0), shortstr(queue), bits(false, false, true), table()]);
    raw.destroy();
    await untilGone(queue);
  });

  test("declared again by its connection must be exclusive again", async () => {
    const { connection } = await connect();
    const queue = unique("exclusive");
    const channel = await connection.createChannel();
    await channel.assertQueue(queue, { exclusive: true, durable: false });
    await channel.assertQueue(queue, { exclusive: true, durable: false });
    expect(await refused(channel, channel.assertQueue(queue, { durable: false }))).toMatchObject({
      code: 405,
    });
  });

  test("is durable for nobody: it can be declared again with the flag and without", async () => {
    const channel = await openChannel();
    const queue = unique("exclusive");
    await channel.assertQueue(queue, { exclusive: true, durable: true });
    await channel.assertQueue(queue, { exclusive: true, durable: false });
    await channel.assertQueue(queue, { exclusive: true, durable: true });
  });

  test("cannot be made of one that is not", async () => {
    const channel = await openChannel();
    const queue = unique("shared");
    await channel.assertQueue(queue);
    expect(await refused(channel, channel.assertQueue(queue, { exclusive: true }))).toMatchObject({
      code: 405,
      message: expect.stringContaining("cannot obtain exclusive access to locked queue"),
    });
  });
});

describe("Q9 an auto-delete queue", () => {
  test("goes with its last consumer, not with the first", async () => {
    const channel = await openChannel();
    const queue = unique("auto-delete");
    await channel.assertQueue(queue, { autoDelete: true });
    const [one, two] = [await consume(channel, queue), await consume(channel, queue)];
    await channel.cancel(one.consumerTag);
    await channel.checkQueue(queue);
    await channel.cancel(two.consumerTag);
    await untilGone(queue);
  });

  test("goes when its consumer's channel closes, with its messages and bindings", async () => {
    const { connection } = await connect();
    const [channel, consumer] = [
      await connection.createChannel(),
      await connection.createChannel(),
    ];
    const queue = unique("auto-delete");
    await channel.assertQueue(queue, { autoDelete: true });
    await channel.bindQueue(queue, "amq.direct", queue);
    await consumer.prefetch(1);
    const inbox = await consume(consumer, queue);
    for (const body of ["1", "2"]) channel.sendToQueue(queue, Buffer.from(body));
    await inbox.next();
    await consumer.close();
    await untilGone(queue);
    await channel.assertQueue(queue, { autoDelete: true });
    channel.publish("amq.direct", queue, Buffer.from("no longer bound"));
    expect(await drain(channel, queue)).toEqual([]);
  });

  test("goes when its consumer's socket is lost", async () => {
    const queue = unique("auto-delete");
    await (await openChannel()).assertQueue(queue, { autoDelete: true });
    const raw = await RawClient.connect();
    await raw.openChannel(1);
    await raw.rpc(1, 60, 20, [u16(0), shortstr(queue), shortstr("tag"), bits(), table()]);
    raw.destroy();
    await untilGone(queue);
  });

  test("stays as long as it never had a consumer, whatever is taken from it", async () => {
    const { connection } = await connect();
    const channel = await connection.createChannel();
    const queue = unique("auto-delete");
    await channel.assertQueue(queue, { autoDelete: true });
    channel.sendToQueue(queue, Buffer.from("m"));
    expect(await drain(channel, queue)).toEqual(["m"]);
    await connection.close();
    await (await openChannel()).checkQueue(queue);
  });
});

describe("Q10 queue.delete", () => {
  test("says how many messages were ready, and of a missing queue says 0", async () => {
    const channel = await openChannel();
    const queue = unique("deleted");
    await channel.assertQueue(queue);
    for (const body of ["1", "2", "3"]) channel.sendToQueue(queue, Buffer.from(body));
    await channel.get(queue);
    expect(await channel.deleteQueue(queue)).toEqual({ messageCount: 2 });
    expect(await channel.deleteQueue(queue)).toEqual({ messageCount: 0 });
    expect(await channel.deleteQueue(queue, { ifEmpty: true, ifUnused: true })).toEqual({
      messageCount: 0,
    });
    expect(await refused(channel, channel.checkQueue(queue))).toMatchObject({ code: 404 });
  });

  test.each([
    ["if-unused", { ifUnused: true }, "in use"],
    ["if-empty", { ifEmpty: true }, "not empty"],
    // Of a queue that is both, not empty is what is said.
    ["if-unused and if-empty", { ifUnused: true, ifEmpty: true }, "not empty"],
  ])("with %s refuses a queue in use that is not empty", async (_, options, text) => {
    const channel = await openChannel();
    const queue = unique("kept");
    await channel.assertQueue(queue);
    await channel.prefetch(1);
    const inbox = await consume(channel, queue);
    for (const body of ["1", "2"]) channel.sendToQueue(queue, Buffer.from(body));
    await inbox.next();
    await untilReady(queue, 1);
    expect(await refused(channel, channel.deleteQueue(queue, options))).toEqual({
      code: 406,
      message: `PRECONDITION_FAILED - queue '${queue}' in vhost '/' ${text}`,
      classId: 50,
      methodId: 40,
    });
    await (await openChannel()).checkQueue(queue);
  });

  test("with if-empty looks at ready messages only, and with if-unused at consumers only", async () => {
    const channel = await openChannel();
    const [unacked, unused] = [unique("unacked"), unique("unused")];
    for (const queue of [unacked, unused]) {
      await channel.assertQueue(queue);
      channel.sendToQueue(queue, Buffer.from("m"));
    }
    expect(await channel.get(unacked)).not.toBe(false);
    expect(await channel.deleteQueue(unacked, { ifEmpty: true })).toEqual({ messageCount: 0 });
    expect(await channel.deleteQueue(unused, { ifUnused: true })).toEqual({ messageCount: 1 });
  });

  test("K6 cancels the queue's consumers and tells them so", async () => {
    const queue = unique("deleted");
    const [consumer, other] = [await openChannel(), await openChannel()];
    await consumer.assertQueue(queue);
    const inbox = await consume(consumer, queue);
    await other.deleteQueue(queue);
    await inbox.cancelled;
    // The channel lives on, and the consumer tag is free again.
    await consumer.assertQueue(queue);
    await consume(consumer, queue, { consumerTag: inbox.consumerTag });
  });

  test("K6 tells nobody who did not say that he understands basic.cancel", async () => {
    const queue = unique("deleted");
    const raw = await RawClient.connect();
    await raw.openChannel(1);
    await raw.rpc(1, 50, 10, [u16(0), shortstr(queue), bits(), table()]);
    await raw.rpc(1, 60, 20, [u16(0), shortstr(queue), shortstr("tag"), bits(), table()]);
    // Whatever the server has to say about it comes before or right after delete-ok.
    await raw.rpc(1, 50, 40, [u16(0), shortstr(queue), bits()]);
    await raw.rpc(1, 60, 10, [u32(0), u16(1), bits()]);
  });

  test.each([
    ["if-unused", bits(true)],
    ["if-empty", bits(false, true)],
  ])("QQ4 with %s is not implemented for quorum queues", async (flag, flags) => {
    const queue = unique("quorum");
    const { connection } = await connect();
    const channel = await connection.createChannel();
    await channel.assertQueue(queue, { arguments: { "x-queue-type": "quorum" } });
    const raw = await RawClient.connect();
    await raw.openChannel(1);
    raw.sendMethod(1, 50, 40, [u16(0), shortstr(queue), flags]);
    expect(await raw.expectClose()).toEqual({
      code: 540,
      text: `NOT_IMPLEMENTED - cannot delete queue '${queue}' in vhost '/'. queue.delete operations with ${flag} flag set are not supported by quorum queues`,
      classId: 50,
      methodId: 40,
    });
  });
});

describe("Q11 queue.purge", () => {
  test("drops what is ready and leaves what is unacknowledged", async () => {
    const channel = await openChannel();
    const queue = unique("purged");
    await channel.assertQueue(queue);
    for (const body of ["1", "2", "3"]) channel.sendToQueue(queue, Buffer.from(body));
    const first = await channel.get(queue);
    expect(await channel.purgeQueue(queue)).toEqual({ messageCount: 2 });
    expect(await channel.purgeQueue(queue)).toEqual({ messageCount: 0 });
    if (first !== false) channel.reject(first, true);
    expect(await drain(channel, queue)).toEqual(["1"]);
  });

  test("of a missing queue is 404", async () => {
    const channel = await openChannel();
    expect(await refused(channel, channel.purgeQueue("no-such-queue"))).toEqual({
      code: 404,
      message: "NOT_FOUND - no queue 'no-such-queue' in vhost '/'",
      classId: 50,
      methodId: 30,
    });
  });
});

describe("Q16 a queue with x-expires", () => {
  const EXPIRES_MS = 100;

  test("goes when it has not been used for that time, with the messages in it", async () => {
    const channel = await openChannel();
    const queue = unique("expiring");
    await channel.assertQueue(queue, { expires: EXPIRES_MS });
    channel.sendToQueue(queue, Buffer.from("m"));
    await untilExpired(queue);
  });

  test("stays as long as it has a consumer, and goes after the last", async () => {
    const channel = await openChannel();
    const [queue, idle] = [unique("consumed"), unique("idle")];
    await channel.assertQueue(queue, { expires: EXPIRES_MS });
    const inbox = await consume(channel, queue, { noAck: true });
    // A queue made later with twice the time is gone: then this one has had its time as well.
    await channel.assertQueue(idle, { expires: 2 * EXPIRES_MS });
    await untilExpired(idle);
    channel.sendToQueue(queue, Buffer.from("still there"));
    expect((await inbox.next()).content.toString()).toBe("still there");
    await channel.cancel(inbox.consumerTag);
    await untilExpired(queue);
  });

  /** Looks on by publishing: a message that is returned was for a queue that is gone. */
  async function untilExpired(queue: string): Promise<void> {
    const channel = await openChannel();
    let isGone = false;
    channel.on("return", () => {
      isGone = true;
    });
    const end = Date.now() + DEADLINE_MS;
    while (!isGone && Date.now() < end) {
      channel.sendToQueue(queue, Buffer.from("probe"), { mandatory: true });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(isGone).toBe(true);
    expect(await refused(channel, channel.checkQueue(queue))).toMatchObject({ code: 404 });
  }
});
