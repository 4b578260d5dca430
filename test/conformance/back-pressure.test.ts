/**
 * What becomes of a broker between fast publishers and slow consumers: everything arrives, in order, and who
 * is slow holds up nobody else. Reference rows K19, K13 and P12.
 *
 * The traffic is several times what the system buffers for a socket, so that a broker that writes to a
 * consumer that does not read must notice.
 */
import type { Channel } from "amqplib";
import { expect, test } from "vitest";
import { openConfirmChannel, untilReady } from "./harness.ts";
import { NO_ACK, newQueue, publication, readyCount } from "./messaging.ts";
import { bits, RawClient } from "./raw-client.ts";
import { SlowClient } from "./slow-client.ts";

const BODY_BYTES = 10_000;
/** 40 MB altogether. */
const COUNT = 4_000;
const NUMBERS = Array.from({ length: COUNT }, (_, i) => i);

/** Publishes COUNT transient messages, numbered from 0, as fast as the broker takes them. */
async function flood(queue: string): Promise<void> {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  for (const number of NUMBERS) {
    const body = Buffer.alloc(BODY_BYTES);
    body.writeUInt32BE(number);
    raw.send(publication(queue, body, { bodyBytesMax: BODY_BYTES }));
  }
  // channel.flow-ok says that the channel has seen all of it.
  await raw.rpc(1, 20, 20, bits(true));
}

async function newQueueOf(channel: Channel, slow: SlowClient, flags = 0): Promise<string> {
  const queue = await newQueue(channel);
  await slow.consume(queue, flags);
  return queue;
}

/** That each of the numbers is larger than the one before. */
function isAscending(numbers: number[]): boolean {
  return numbers.every((number, i) => i === 0 || number > numbers[i - 1]!);
}

test("K19 a consumer that does not read leaves the messages in the queue, and gets all of them in order later", {
  timeout: 90_000,
}, async () => {
  const channel = await openConfirmChannel();
  const slow = await SlowClient.connect();
  const queue = await newQueueOf(channel, slow, NO_ACK);
  slow.stopReading();
  await flood(queue);
  // What the buffers on the way do not hold is still ready, not in the memory of a connection.
  await expect.poll(() => readyCount(channel, queue)).toBeGreaterThan(COUNT / 4);
  slow.readOn();
  await slow.untilReceived(COUNT);
  expect(slow.numbers).toEqual(NUMBERS);
  expect(await readyCount(channel, queue)).toBe(0);
});

test("K19 a consumer that does not read holds up no other consumer of its queue", {
  timeout: 90_000,
}, async () => {
  const channel = await openConfirmChannel();
  const [slow, quick] = [await SlowClient.connect(), await SlowClient.connect()];
  const queue = await newQueueOf(channel, slow, NO_ACK);
  await quick.consume(queue, NO_ACK);
  slow.stopReading();
  await flood(queue);
  // Taking turns, it would get one half. It gets what the other cannot be given.
  await quick.untilReceived(COUNT / 2 + 1);
  await untilReady(queue, 0);
  slow.readOn();
  await expect
    .poll(() => slow.numbers.length + quick.numbers.length, { timeout: 60_000 })
    .toBe(COUNT);
  expect(isAscending(slow.numbers)).toBe(true);
  expect(isAscending(quick.numbers)).toBe(true);
  expect([...slow.numbers, ...quick.numbers].sort((a, b) => a - b)).toEqual(NUMBERS);
});

test("K13 a consumer that goes without having read leaves everything to the next, in order", {
  timeout: 90_000,
}, async () => {
  const channel = await openConfirmChannel();
  const slow = await SlowClient.connect();
  const queue = await newQueueOf(channel, slow);
  slow.stopReading();
  await flood(queue);
  slow.destroy();
  await untilReady(queue, COUNT);
  const next = await SlowClient.connect();
  await next.consume(queue, NO_ACK);
  await next.untilReceived(COUNT);
  expect(next.numbers).toEqual(NUMBERS);
});

test("P12 a publisher that floods a queue loses nothing to a consumer that reads in small bits", {
  timeout: 90_000,
}, async () => {
  const channel = await openConfirmChannel();
  const slow = await SlowClient.connect();
  const queue = await newQueueOf(channel, slow);
  slow.stopReading();
  const flooded = flood(queue);
  for (let received = 0; received < COUNT; ) {
    slow.readOn();
    await slow.untilReceived(Math.min(received + 100, COUNT));
    slow.stopReading();
    received = slow.numbers.length;
    slow.ackUpTo(received);
  }
  await flooded;
  expect(slow.numbers).toEqual(NUMBERS);
  slow.destroy();
  // Once the consumer is gone, what it had not acknowledged is back.
  const consumers = async () => (await channel.checkQueue(queue)).consumerCount;
  await expect.poll(consumers).toBe(0);
  expect(await readyCount(channel, queue)).toBe(0);
});
