/** What exchange types with a state of their own are after a restart. */
import type { ConfirmChannel } from "amqplib";
import { expect, test } from "vitest";
import { drainTexts, KeptBroker, numbered } from "./kept-broker.ts";

/** Publishes each text under itself as the key; returns what has come to each of the queues. */
async function spread(channel: ConfirmChannel, exchange: string, queues: string[]) {
  for (const text of numbered("key", 100)) channel.publish(exchange, text, Buffer.from(text));
  await channel.waitForConfirms();
  const arrived: string[][] = [];
  for (const queue of queues) arrived.push(await drainTexts(channel, queue));
  return arrived;
}

test("X20 a consistent-hash exchange sends each key where it sent it before the restart", async () => {
  const broker = await KeptBroker.start();
  const channel = await broker.channel();
  await channel.assertExchange("by-key", "x-consistent-hash");
  await channel.assertExchange("by-id", "x-consistent-hash", {
    arguments: { "hash-property": "message_id" },
  });
  const queues = ["d", "b", "a", "c"];
  for (const queue of queues) await channel.assertQueue(queue);
  for (const [index, queue] of queues.entries()) {
    await channel.bindQueue(queue, "by-key", `${index + 1}`);
    await channel.bindQueue(queue, "by-id", "1");
  }
  await channel.bindQueue("d", "by-key", "7");
  await channel.unbindQueue("d", "by-key", "1");
  const before = await spread(channel, "by-key", queues);
  expect(before.map((texts) => texts.length > 3)).toEqual([true, true, true, true]);
  // Twice, for the second time its log has been written anew.
  await broker.restart();
  const again = await broker.restart();
  expect(await spread(again, "by-key", queues)).toEqual(before);
  const lone = (await spread(again, "by-id", queues)).filter((texts) => texts.length > 0);
  expect(lone).toEqual([numbered("key", 100)]);
});
