/**
 * basic.qos: how many unacked messages a consumer, or a channel, may have. Reference rows K7 to K9.
 *
 * That nothing more is delivered is seen in the queue: what stays ready has not been sent to anybody.
 */
import type { ConfirmChannel } from "amqplib";
import { expect, test } from "vitest";
import { consume, openConfirmChannel, untilReady } from "./harness.ts";
import { get, newQueue, send, text, texts } from "./messaging.ts";
import { bits, RawClient, u16, u32 } from "./raw-client.ts";

const BODIES = ["1", "2", "3", "4", "5", "6", "7", "8"];

async function queueOfEight(args = {}): Promise<{ channel: ConfirmChannel; queue: string }> {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, args);
  await send(channel, queue, ...BODIES);
  return { channel, queue };
}

test("K7 a consumer gets as many as the limit, then one for each that is settled", async () => {
  const { channel, queue } = await queueOfEight();
  await channel.prefetch(3);
  const inbox = await consume(channel, queue);
  const [first, second, third] = await inbox.take(3);
  await untilReady(queue, 5);
  channel.ack(second!);
  expect(text(await inbox.next())).toBe("4");
  channel.nack(first!, false, false);
  expect(text(await inbox.next())).toBe("5");
  channel.reject(third!, false);
  expect(text(await inbox.next())).toBe("6");
  await untilReady(queue, 2);
  expect(inbox.count).toBe(0);
});

test("K7 settling several at once makes room for as many", async () => {
  const { channel, queue } = await queueOfEight();
  await channel.prefetch(3);
  const inbox = await consume(channel, queue);
  const messages = await inbox.take(3);
  channel.ack(messages[2]!, true);
  expect(texts(await inbox.take(3))).toEqual(["4", "5", "6"]);
  await untilReady(queue, 2);
});

test("K7 the limit holds for each consumer of its own", async () => {
  const { channel, queue } = await queueOfEight();
  await channel.prefetch(2);
  const [one, two] = [await consume(channel, queue), await consume(channel, queue)];
  const [, mine] = [await one.take(2), await two.take(2)];
  await untilReady(queue, 4);
  channel.ack(mine[0]!);
  // Room for the one that acknowledged, none for the other.
  expect(text(await two.next())).toBe("5");
  await untilReady(queue, 3);
  expect(one.count).toBe(0);
});

test("K7 the limit holds for consumers that start after it was set", async () => {
  const { channel, queue } = await queueOfEight();
  await channel.prefetch(2);
  const limited = await consume(channel, queue);
  await channel.prefetch(0);
  expect(texts(await limited.take(2))).toEqual(["1", "2"]);
  await untilReady(queue, 6);
  const unlimited = await consume(channel, queue);
  await channel.prefetch(1);
  expect(texts(await unlimited.take(6))).toEqual(["3", "4", "5", "6", "7", "8"]);
  expect(limited.count).toBe(0);
});

test("K7 the limit of one channel does not concern another of the same connection", async () => {
  const { queue, channel } = await queueOfEight();
  await channel.prefetch(1);
  const other = await openConfirmChannel();
  const inbox = await consume(other, queue);
  expect(texts(await inbox.take(8))).toEqual(BODIES);
});

test("K7 basic.get is neither limited nor counted", async () => {
  const { channel, queue } = await queueOfEight();
  await channel.prefetch(2);
  for (let i = 0; i < 3; i++) await get(channel, queue);
  const inbox = await consume(channel, queue);
  expect(texts(await inbox.take(2))).toEqual(["4", "5"]);
  await untilReady(queue, 3);
  expect(text(await get(channel, queue))).toBe("6");
});

test("K7 a consumer without acknowledgements is not limited", async () => {
  const { channel, queue } = await queueOfEight();
  await channel.prefetch(1);
  const inbox = await consume(channel, queue, { noAck: true });
  expect(texts(await inbox.take(8))).toEqual(BODIES);
});

test("K7 a requeued message leaves room for itself", async () => {
  const { channel, queue } = await queueOfEight();
  await channel.prefetch(2);
  const inbox = await consume(channel, queue);
  const [first] = await inbox.take(2);
  channel.nack(first!);
  const again = await inbox.next();
  expect([text(again), again.fields.redelivered]).toEqual(["1", true]);
  await untilReady(queue, 6);
});

test("K7 a limit of 65535 is not no limit", async () => {
  const channel = await openConfirmChannel();
  await channel.prefetch(65_535);
  const queue = await newQueue(channel);
  const inbox = await consume(channel, queue);
  await send(channel, queue, "x");
  expect(text(await inbox.next())).toBe("x");
});

test("K8 a global limit is shared by the consumers of the channel", async () => {
  const { channel, queue } = await queueOfEight();
  const other = await newQueue(channel);
  await channel.prefetch(3, true);
  const one = await consume(channel, queue);
  const messages = await one.take(3);
  const two = await consume(channel, other);
  await send(channel, other, "a");
  await untilReady(queue, 5);
  expect(two.count).toBe(0);
  await untilReady(other, 1);
  channel.ack(messages[2]!, true);
  // Three places, six candidates: never more than three together.
  await untilTotal([queue, other], 3);
});

/** Waits until exactly so many messages are ready in these queues together. */
async function untilTotal(queues: string[], ready: number): Promise<void> {
  const channel = await openConfirmChannel();
  await expect
    .poll(
      async () => {
        let total = 0;
        for (const queue of queues) total += (await channel.checkQueue(queue)).messageCount;
        return total;
      },
      { timeout: 5000, interval: 5 },
    )
    .toBe(ready);
}

test("K8 a global limit applies at once to the consumers that are there", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const inbox = await consume(channel, queue);
  await channel.prefetch(2, true);
  await send(channel, queue, ...BODIES);
  const messages = await inbox.take(2);
  await untilReady(queue, 6);
  channel.ack(messages[1]!, true);
  expect(texts(await inbox.take(2))).toEqual(["3", "4"]);
  await untilReady(queue, 4);
});

test("K8 lowering the global limit stops deliveries until enough is settled", async () => {
  const { channel, queue } = await queueOfEight();
  await channel.prefetch(4, true);
  const inbox = await consume(channel, queue);
  const messages = await inbox.take(4);
  await channel.prefetch(2, true);
  channel.ack(messages[1]!, true);
  await channel.prefetch(2, true);
  await untilReady(queue, 4);
  expect(inbox.count).toBe(0);
  channel.ack(messages[2]!);
  expect(text(await inbox.next())).toBe("5");
  await untilReady(queue, 3);
});

test("K8 a global limit of 0 lifts it", async () => {
  const { channel, queue } = await queueOfEight();
  await channel.prefetch(1, true);
  const inbox = await consume(channel, queue);
  await inbox.next();
  await untilReady(queue, 7);
  await channel.prefetch(0, true);
  expect(await inbox.take(7)).toHaveLength(7);
});

test("K8 of a global and a consumer's own limit the lower one counts", async () => {
  const { channel, queue } = await queueOfEight();
  await channel.prefetch(2, false);
  await channel.prefetch(3, true);
  const [one, two] = [await consume(channel, queue), await consume(channel, queue)];
  expect(texts(await one.take(2))).toEqual(["1", "2"]);
  expect(texts(await two.take(1))).toEqual(["3"]);
  await untilReady(queue, 5);
  expect([one.count, two.count]).toEqual([0, 0]);
});

test("K8 a limit for each consumer that is set later lifts the global one", async () => {
  const { channel, queue } = await queueOfEight();
  await channel.prefetch(3, true);
  const inbox = await consume(channel, queue);
  await inbox.take(3);
  await untilReady(queue, 5);
  await channel.prefetch(2, false);
  expect(texts(await inbox.take(5))).toEqual(["4", "5", "6", "7", "8"]);
});

test("K8 a consumer without acknowledgements is not held by the global limit", async () => {
  const { channel, queue } = await queueOfEight();
  await channel.prefetch(1, true);
  const inbox = await consume(channel, queue, { noAck: true });
  expect(texts(await inbox.take(8))).toEqual(BODIES);
});

test("K8 what basic.get brought before there was a global limit counts, also when it is settled", async () => {
  const { channel, queue } = await queueOfEight();
  const got = await get(channel, queue);
  await channel.prefetch(2, true);
  const inbox = await consume(channel, queue);
  const second = await inbox.next();
  expect(text(second)).toBe("2");
  await untilReady(queue, 6);
  channel.ack(got);
  channel.ack(second);
  // One for the one that is settled, none for what was got.
  expect(text(await inbox.next())).toBe("3");
  await untilReady(queue, 5);
});

test("K8 basic.get is not held by the global limit, and what it brings does not count", async () => {
  const { channel, queue } = await queueOfEight();
  await channel.prefetch(2, true);
  for (const body of ["1", "2", "3"]) expect(text(await get(channel, queue))).toBe(body);
  const inbox = await consume(channel, queue);
  expect(texts(await inbox.take(2))).toEqual(["4", "5"]);
  await untilReady(queue, 3);
  expect(text(await get(channel, queue))).toBe("6");
});

test("K9 a limit in octets closes the connection with 540", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  raw.sendMethod(1, 60, 10, [u32(4096), u16(1), bits()]);
  expect(await raw.expectClose()).toEqual({
    code: 540,
    text: "NOT_IMPLEMENTED - prefetch_size!=0 (4096)",
    classId: 60,
    methodId: 10,
  });
});
