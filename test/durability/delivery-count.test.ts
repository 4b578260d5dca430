/** How often messages of a quorum queue have come back, over restarts. Reference rows QQ3, Q26 and Q36. */
import type { ConfirmChannel } from "amqplib";
import { expect, test } from "vitest";
import { KeptBroker, sendTexts } from "./kept-broker.ts";

const QUORUM = { arguments: { "x-queue-type": "quorum", "x-delivery-limit": 4 } };

/** Body and count of what is ready, in order; all of it comes back. */
async function look(channel: ConfirmChannel): Promise<[string, number][]> {
  const seen: [string, number][] = [];
  for (;;) {
    const message = await channel.get("q");
    if (message === false) break;
    seen.push([message.content.toString(), message.properties.headers?.["x-delivery-count"] ?? 0]);
  }
  channel.nackAll();
  await channel.checkQueue("q");
  return seen;
}

test("QQ3 Q26 the count of a message goes on after a restart, until it is too high", async () => {
  const broker = await KeptBroker.start();
  let channel = await broker.channel();
  await channel.assertQueue("q", QUORUM);
  await sendTexts(channel, "q", ["1", "2"]);
  expect(await look(channel)).toEqual([
    ["1", 0],
    ["2", 0],
  ]);
  const one = await channel.get("q");
  expect(one).not.toBe(false);
  if (one !== false) channel.nack(one);
  await channel.checkQueue("q");
  // What is unacked when the broker ends has come back once more.
  channel = await broker.restart();
  expect(await look(channel)).toEqual([
    ["1", 2],
    ["2", 1],
  ]);
  channel = await broker.restart();
  expect(await look(channel)).toEqual([
    ["1", 3],
    ["2", 2],
  ]);
  // The fifth time is one too many, also when it is the broker's end that brings the message back.
  await channel.get("q");
  channel = await broker.restart();
  expect(await look(channel)).toEqual([["2", 3]]);
  channel = await broker.restart();
  expect(await look(channel)).toEqual([["2", 4]]);
  expect(await look(channel)).toEqual([]);
});

test("Q36 QQ1 a quorum queue keeps messages over a restart that are not persistent", async () => {
  const broker = await KeptBroker.start();
  const channel = await broker.channel();
  await channel.assertQueue("q", QUORUM);
  channel.sendToQueue("q", Buffer.from("transient"), { persistent: false });
  await channel.waitForConfirms();
  const again = await broker.restart();
  expect(await look(again)).toEqual([["transient", 0]]);
});
