/** Messages that wait after they have come back, in virtual time. RabbitMQ has this since 4.3. Reference row Q27. */
import { type ConfirmChannel, connect, type GetMessage } from "amqplib";
import { expect, onTestFinished, test } from "vitest";
import { Broker, VirtualClock } from "../../src/index.ts";

async function start(type: string, args: Record<string, unknown> = {}) {
  const clock = new VirtualClock();
  const broker = await Broker.start({ port: 0, clock });
  onTestFinished(() => broker.close());
  const connection = await connect(broker.url, { noDelay: true });
  onTestFinished(() => connection.close().catch(() => undefined));
  const channel = await connection.createConfirmChannel();
  const retries = {
    "x-delayed-retry-type": type,
    "x-delayed-retry-min": 1000,
    "x-delayed-retry-max": 2500,
  };
  await channel.assertQueue("q", { arguments: { "x-queue-type": "quorum", ...retries, ...args } });
  channel.sendToQueue("q", Buffer.from("x"));
  await channel.waitForConfirms();
  return { clock, connection, channel };
}

async function get(channel: ConfirmChannel): Promise<GetMessage | undefined> {
  return (await channel.get("q")) || undefined;
}

test("Q27 a message waits longer each time that it comes back, up to the maximum", async () => {
  const { clock, channel } = await start("all");
  for (const delayMs of [1000, 2000, 2500, 2500]) {
    channel.nack((await get(channel))!);
    expect(await get(channel)).toBeUndefined();
    expect(await channel.checkQueue("q")).toMatchObject({ messageCount: 0 });
    clock.advance(delayMs - 1);
    expect(await get(channel)).toBeUndefined();
    clock.advance(1);
    expect(await channel.checkQueue("q")).toMatchObject({ messageCount: 1 });
  }
  expect((await get(channel))!.properties.headers).toEqual({ "x-delivery-count": 4 });
});

test("Q27 a consumer that waits gets it when it is due", async () => {
  const { clock, channel } = await start("all");
  channel.nack((await get(channel))!);
  await channel.checkQueue("q");
  const arrived = new Promise((resolve) => void channel.consume("q", resolve));
  await channel.checkQueue("q");
  clock.advance("1s");
  await arrived;
});

test.each([
  ["failed", "reject", true],
  ["failed", "nack", false],
  ["returned", "reject", false],
  ["returned", "nack", true],
  ["disabled", "reject", false],
  ["disabled", "nack", false],
] as const)("Q27 of type %s a %s that requeues: it waits, %s", async (type, method, waits) => {
  const { channel } = await start(type);
  const message = (await get(channel))!;
  if (method === "reject") channel.reject(message, true);
  else channel.nack(message);
  expect((await get(channel)) === undefined).toBe(waits);
});

test("Q27 what a lost channel had has failed", async () => {
  const { clock, connection, channel } = await start("failed");
  const other = await connection.createChannel();
  await other.get("q");
  await other.close();
  expect(await get(channel)).toBeUndefined();
  clock.advance("1s");
  expect(await get(channel)).toBeDefined();
});

test("Q27 the delivery limit counts before the delay", async () => {
  const { clock, channel } = await start("all", { "x-delivery-limit": 0 });
  channel.nack((await get(channel))!);
  await channel.checkQueue("q");
  clock.advance("1h");
  expect(await get(channel)).toBeUndefined();
});

test("Q27 what waits goes with its queue", async () => {
  const { clock, channel } = await start("all");
  channel.nack((await get(channel))!);
  await channel.checkQueue("q");
  await channel.deleteQueue("q");
  await channel.assertQueue("q");
  clock.advance("1h");
  expect(await get(channel)).toBeUndefined();
});
