/**
 * How long a delivery may stay unsettled, in virtual time: the broker looks once a minute. RabbitMQ's smallest timeout is too
 * long for a test, and 3.10 has one for the whole node, so that nothing of this runs on it.
 */
import { once } from "node:events";
import { type Channel, connect } from "amqplib";
import { expect, onTestFinished, test } from "vitest";
import { Broker, type BrokerOptions, VirtualClock } from "../../src/index.ts";

async function start(options: BrokerOptions = {}) {
  const clock = new VirtualClock();
  const broker = await Broker.start({ port: 0, clock, ...options });
  onTestFinished(() => broker.close());
  return { clock, broker };
}

/** A channel that notes why it was closed. */
async function client({ url }: Broker) {
  const connection = await connect(url, { noDelay: true });
  connection.on("error", () => undefined);
  onTestFinished(() => connection.close().catch(() => undefined));
  const channel = await connection.createConfirmChannel();
  const closed = once(channel, "error").then(([error]): string => error.message);
  return { connection, channel, closed };
}

async function queueWith(
  channel: Channel,
  args: Record<string, unknown>,
  ...bodies: string[]
): Promise<string> {
  const { queue } = await channel.assertQueue("q", { arguments: args });
  for (const body of bodies) channel.sendToQueue(queue, Buffer.from(body));
  await channel.checkQueue(queue);
  return queue;
}

async function get(channel: Channel, queue: string) {
  const message = await channel.get(queue);
  if (message === false) throw new Error(`${queue} is empty`);
  return message;
}

function timedOut(timeoutMs: number, channel = 1): RegExp {
  return new RegExp(
    `406 \\(PRECONDITION-FAILED\\) with message "PRECONDITION_FAILED - delivery acknowledgement on channel ${channel} timed out. Timeout value used: ${timeoutMs} ms. This timeout value can be configured, see consumers doc guide to learn more"`,
  );
}

test("K16 a channel is closed when a delivery has not been settled for half an hour, and the message goes on", async () => {
  const { clock, broker } = await start();
  const { channel, closed } = await client(broker);
  const queue = await queueWith(channel, {}, "x");
  await new Promise((arrived) => void channel.consume(queue, arrived));
  const other = await client(broker);
  clock.advance("30m");
  await channel.checkQueue(queue);
  clock.advance("1m");
  expect(await closed).toMatch(timedOut(1_800_000));
  const again = await get(other.channel, queue);
  expect([again.content.toString(), again.fields.redelivered]).toEqual(["x", true]);
});

test("K16 what basic.get has taken counts as well, what needs no acknowledgement does not", async () => {
  const { clock, broker } = await start({ consumerTimeoutMs: 60_000 });
  const getting = await client(broker);
  const queue = await queueWith(getting.channel, {}, "1", "2");
  const automatic = await client(broker);
  await getting.channel.get(queue);
  await automatic.channel.get(queue, { noAck: true });
  clock.advance("2m");
  await getting.closed;
  await automatic.channel.checkQueue(queue);
});

test("K16 each delivery has its own time, and the oldest one counts", async () => {
  const { clock, broker } = await start({ consumerTimeoutMs: 300_000 });
  const { channel, closed } = await client(broker);
  const queue = await queueWith(channel, {}, "1", "2");
  const first = await get(channel, queue);
  clock.advance("4m");
  await get(channel, queue);
  channel.ack(first);
  await channel.checkQueue(queue);
  clock.advance("5m");
  await channel.checkQueue(queue);
  clock.advance("1m");
  await closed;
});

test("K16 no timeout is none", async () => {
  const { clock, broker } = await start({ consumerTimeoutMs: Number.POSITIVE_INFINITY });
  const { channel } = await client(broker);
  const queue = await queueWith(channel, {}, "x");
  const message = await get(channel, queue);
  clock.advance("30d");
  channel.ack(message);
  await channel.checkQueue(queue);
});

test.each(["classic", "quorum"])(
  "K16 Q33 QQ7 the x-consumer-timeout of a %s queue counts in the place of the setting, longer or shorter",
  async (type) => {
    for (const [timeoutMs, minutes] of [
      [120_000, 3],
      [7_200_000, 121],
    ] as const) {
      const { clock, broker } = await start();
      const { channel, closed } = await client(broker);
      const args = { "x-queue-type": type, "x-consumer-timeout": timeoutMs };
      const queue = await queueWith(channel, args, "x");
      // A second declaration may say something else, and changes nothing.
      await channel.assertQueue(queue, { arguments: { "x-queue-type": type } });
      await get(channel, queue);
      clock.advance(`${minutes - 1}m`);
      await channel.checkQueue(queue);
      clock.advance("1m");
      expect(await closed).toMatch(timedOut(timeoutMs));
    }
  },
);

test("K16 only the channel whose client is late is closed", async () => {
  const { clock, broker } = await start({ consumerTimeoutMs: 60_000 });
  const { connection, channel } = await client(broker);
  const queue = await queueWith(channel, {}, "x");
  const late = await connection.createChannel();
  const ended = once(late, "error");
  await late.get(queue);
  clock.advance("2m");
  expect((await ended)[0].message).toMatch(timedOut(60_000, 2));
  await channel.checkQueue(queue);
});

test("K16 what a rolled back transaction had settled keeps the time of its delivery", async () => {
  const { clock, broker } = await start({ consumerTimeoutMs: 300_000 });
  const { channel, connection } = await client(broker);
  const queue = await queueWith(channel, {}, "x");
  const raw = (await connection.createChannel()) as Channel & {
    rpc(method: number, fields: object, reply: number): Promise<unknown>;
  };
  const [TX_SELECT, TX_ROLLBACK] = [0x5a000a, 0x5a001e];
  const ended = once(raw, "error");
  await raw.rpc(TX_SELECT, {}, TX_SELECT + 1);
  const message = await get(raw, queue);
  clock.advance("4m");
  raw.ack(message);
  await raw.rpc(TX_ROLLBACK, {}, TX_ROLLBACK + 1);
  clock.advance("2m");
  expect((await ended)[0].message).toMatch(timedOut(300_000, 2));
});

test("K1 a channel may have so many consumers, and one more ends the connection", async () => {
  const { broker } = await start({ consumerMaxPerChannel: 2 });
  const { connection, channel } = await client(broker);
  const queue = await queueWith(channel, {});
  const { consumerTag } = await channel.consume(queue, () => undefined);
  await channel.consume(queue, () => undefined);
  await channel.cancel(consumerTag);
  await channel.consume(queue, () => undefined);
  const closed = once(connection, "error");
  channel.consume(queue, () => undefined).catch(() => undefined);
  expect((await closed)[0].message).toContain(
    'with message "NOT_ALLOWED - reached maximum (2) of consumers per channel"',
  );
});

test("K16 V6 a policy's timeout counts for queues and deliveries that are there already", async () => {
  const { clock, broker } = await start();
  const { channel, closed } = await client(broker);
  const queue = await queueWith(channel, {}, "x");
  await get(channel, queue);
  broker.policies.set("/", "p", { pattern: "^q$", definition: { "consumer-timeout": 60_000 } });
  clock.advance("2m");
  expect(await closed).toMatch(timedOut(60_000));
});
