/**
 * Dead letters that may not be lost, in virtual time: what nobody takes is tried again every second. RabbitMQ takes three
 * minutes for that, so that its own part of this is in the conformance tests.
 */
import { type ConfirmChannel, connect } from "amqplib";
import { expect, onTestFinished, test } from "vitest";
import { Broker, VirtualClock } from "../../src/index.ts";

const AT_LEAST_ONCE = {
  "x-queue-type": "quorum",
  "x-dead-letter-strategy": "at-least-once",
  "x-overflow": "reject-publish",
  "x-dead-letter-exchange": "dlx",
};

async function start() {
  const clock = new VirtualClock();
  const warnings: string[] = [];
  const note = (_: object, message: string) => void warnings.push(message);
  const log = { debug: () => undefined, info: () => undefined, warn: note, error: note };
  const broker = await Broker.start({ port: 0, clock, log });
  onTestFinished(() => broker.close());
  const connection = await connect(broker.url, { noDelay: true });
  connection.on("error", () => undefined);
  onTestFinished(() => connection.close().catch(() => undefined));
  return { broker, clock, warnings, channel: await connection.createConfirmChannel() };
}

/** Whether the queue took it. */
async function send(channel: ConfirmChannel, queue: string, body: string): Promise<boolean> {
  return new Promise((resolve) =>
    channel.sendToQueue(queue, Buffer.from(body), {}, (error) => resolve(error === null)),
  );
}

/** Publishes a message to the queue and rejects it. */
async function kill(channel: ConfirmChannel, queue: string, body: string): Promise<void> {
  expect(await send(channel, queue, body)).toBe(true);
  const message = await channel.get(queue);
  if (message !== false) channel.reject(message, false);
  await channel.checkQueue(queue);
}

async function drain(channel: ConfirmChannel, queue: string): Promise<string[]> {
  const bodies: string[] = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (message === false) return bodies;
    bodies.push(message.content.toString());
  }
}

test("Q22 a dead letter that no queue takes is kept until there is one, and said so once", async () => {
  const { clock, warnings, channel } = await start();
  await channel.assertQueue("q", { arguments: AT_LEAST_ONCE });
  for (const body of ["1", "2", "3"]) await kill(channel, "q", body);
  clock.advance("5s");
  await channel.assertExchange("dlx", "fanout");
  clock.advance("5s");
  await channel.assertQueue("dead");
  await channel.bindQueue("dead", "dlx", "");
  expect(await drain(channel, "dead")).toEqual([]);
  clock.advance("1s");
  expect((await drain(channel, "dead")).sort()).toEqual(["1", "2", "3"]);
  clock.advance("5s");
  expect([await drain(channel, "dead"), await drain(channel, "q")]).toEqual([[], []]);
  expect(warnings.filter((text) => text.includes("kept and tried again"))).toHaveLength(1);
});

test("Q22 a target that is full gets its dead letter when it has room, and the others not twice", async () => {
  const { clock, channel } = await start();
  await channel.assertExchange("dlx", "fanout");
  const full = { "x-max-length": 1, "x-overflow": "reject-publish" };
  await channel.assertQueue("full", { arguments: full });
  await channel.assertQueue("free");
  for (const queue of ["full", "free"]) await channel.bindQueue(queue, "dlx", "");
  await channel.assertQueue("q", { arguments: AT_LEAST_ONCE });
  await kill(channel, "q", "1");
  await kill(channel, "q", "2");
  clock.advance("3s");
  expect(await drain(channel, "free")).toEqual(["1"]);
  expect(await drain(channel, "full")).toEqual(["1"]);
  clock.advance("1s");
  expect(await drain(channel, "free")).toEqual(["2"]);
  expect(await drain(channel, "full")).toEqual(["2"]);
});

test("Q22 dead letters that wait count for the length of the queue, and go with it", async () => {
  const { clock, channel } = await start();
  const args = { ...AT_LEAST_ONCE, "x-max-length": 2 };
  await channel.assertQueue("q", { arguments: args });
  await kill(channel, "q", "1");
  await kill(channel, "q", "2");
  expect(await send(channel, "q", "3")).toBe(false);
  expect(await channel.purgeQueue("q")).toMatchObject({ messageCount: 0 });
  await channel.deleteQueue("q");
  await channel.assertExchange("dlx", "fanout");
  await channel.assertQueue("dead");
  await channel.bindQueue("dead", "dlx", "");
  clock.advance("5s");
  expect(await drain(channel, "dead")).toEqual([]);
  await channel.assertQueue("q", { arguments: args });
  expect(await send(channel, "q", "4")).toBe(true);
});

test("Q22 thousands of dead letters that nobody takes are tried in turns, and none is lost", async () => {
  const { clock, channel } = await start();
  await channel.assertQueue("q", { arguments: { ...AT_LEAST_ONCE, "x-message-ttl": 1 } });
  for (let message = 0; message < 300; message++) channel.sendToQueue("q", Buffer.from("x"));
  await channel.waitForConfirms();
  clock.advance("1s");
  await channel.assertExchange("dlx", "fanout");
  await channel.assertQueue("dead");
  await channel.bindQueue("dead", "dlx", "");
  clock.advance("1s");
  expect((await channel.checkQueue("dead")).messageCount).toBe(32);
  clock.advance("1m");
  expect((await channel.checkQueue("dead")).messageCount).toBe(300);
});

test.each<[string, object, string | undefined]>([
  [
    "without reject-publish",
    { "x-overflow": "drop-head" },
    "Falling back to dead-letter-strategy at-most-once for queue 'q' in vhost '/' because configured dead-letter-strategy at-least-once is incompatible with effective overflow strategy drop-head. To enable dead-letter-strategy at-least-once, set overflow strategy to reject-publish.",
  ],
  ["at most once", { "x-dead-letter-strategy": "at-most-once" }, undefined],
])("Q22 %s a dead letter that nobody takes is lost", async (_, args, warning) => {
  const { clock, warnings, channel } = await start();
  await channel.assertQueue("q", { arguments: { ...AT_LEAST_ONCE, ...args } });
  expect(warnings).toEqual(warning === undefined ? [] : [warning]);
  await kill(channel, "q", "1");
  await channel.assertExchange("dlx", "fanout");
  await channel.assertQueue("dead");
  await channel.bindQueue("dead", "dlx", "");
  clock.advance("5s");
  expect(await drain(channel, "dead")).toEqual([]);
});

test("Q22 without a dead letter exchange the strategy is none, and the log says so", async () => {
  const { warnings, channel } = await start();
  const { "x-dead-letter-exchange": _, ...args } = AT_LEAST_ONCE;
  await channel.assertQueue("q", { arguments: args });
  await kill(channel, "q", "1");
  expect(warnings).toEqual([
    "Disabling dead-lettering for queue 'q' in vhost '/' despite configured dead-letter-strategy 'at-least-once' because dead-letter-exchange is not configured.",
  ]);
});

test("Q22 V6 a policy can ask that no dead letter is lost, and what waits is lost when it asks no more", async () => {
  const { broker, clock, warnings, channel } = await start();
  await channel.assertQueue("q", { arguments: { "x-queue-type": "quorum" } });
  const strategy = { "dead-letter-strategy": "at-least-once", "dead-letter-exchange": "dlx" };
  const set = (definition: Record<string, string>): void =>
    void broker.policies.set("/", "p", { pattern: "^q$", definition });
  set(strategy);
  expect(warnings).toEqual([expect.stringContaining("Falling back to dead-letter-strategy")]);
  set({ ...strategy, overflow: "reject-publish" });
  expect(warnings).toHaveLength(1);
  await kill(channel, "q", "kept");
  await channel.assertExchange("dlx", "fanout");
  await channel.assertQueue("dead");
  await channel.bindQueue("dead", "dlx", "");
  clock.advance("1s");
  expect(await drain(channel, "dead")).toEqual(["kept"]);
  await channel.deleteExchange("dlx");
  await kill(channel, "q", "lost");
  broker.policies.clear("/", "p");
  clock.advance("5s");
  // It does not come back by the default exchange, either.
  expect([await drain(channel, "q"), await drain(channel, "dead")]).toEqual([[], []]);
});
