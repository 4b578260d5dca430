/** What the broker writes into messages on their way in, where its settings ask for it. */
import { type ConfirmChannel, connect, type GetMessage, type Options } from "amqplib";
import { expect, onTestFinished, test } from "vitest";
import { Broker, type BrokerOptions, VirtualClock } from "../../src/index.ts";

const NOW_MS = 1_700_000_000_123;

async function start(settings: BrokerOptions) {
  const broker = await Broker.start({
    ...{ port: 0, managementPort: 0, clock: new VirtualClock(NOW_MS) },
    ...settings,
  });
  const connection = await connect(broker.url);
  onTestFinished(async () => {
    await connection.close();
    await broker.close();
  });
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("q");
  return { broker, channel };
}

async function next(channel: ConfirmChannel): Promise<GetMessage> {
  const message = await channel.get("q", { noAck: true });
  if (message === false) throw new Error("the queue is empty");
  return message;
}

async function through(channel: ConfirmChannel, options: Options.Publish) {
  channel.sendToQueue("q", Buffer.from("body"), options);
  await channel.waitForConfirms();
  const { properties, content } = await next(channel);
  expect(content.toString()).toBe("body");
  return properties;
}

const written = { messageId: "m", type: "t", replyTo: "r", correlationId: "c", priority: 1 };

test("V14 a message without a timestamp gets the time of its arrival, and the rest stays as it is", async () => {
  const { channel } = await start({ messageTimestampOverwrite: false });
  const headers = { a: "b" };
  expect(await through(channel, { ...written, headers })).toMatchObject({
    ...{ ...written, timestamp: 1_700_000_000 },
    headers: { a: "b", timestamp_in_ms: NOW_MS },
  });
  expect(await through(channel, {})).toMatchObject({ headers: { timestamp_in_ms: NOW_MS } });
});

test("V14 a time that is there stays, or does not, as the setting says", async () => {
  const given = { ...written, timestamp: 5, headers: { timestamp_in_ms: 6 } };
  const kept = await start({ messageTimestampOverwrite: false });
  expect(await through(kept.channel, given)).toMatchObject(given);
  const replaced = await start({ messageTimestampOverwrite: true });
  expect(await through(replaced.channel, given)).toMatchObject({
    ...{ ...written, timestamp: 1_700_000_000 },
    headers: { timestamp_in_ms: NOW_MS },
  });
});

test("V14 the node's name is written into the header x-routed-by", async () => {
  const kept = await start({ messageNodeOverwrite: false });
  const headers = { "x-routed-by": "other" };
  expect((await through(kept.channel, { headers })).headers).toEqual(headers);
  const mine = (await through(kept.channel, {})).headers;
  expect(mine).toEqual({ "x-routed-by": expect.stringMatching(/^\w+@\w+$/) });
  const replaced = await start({ messageNodeOverwrite: true });
  expect((await through(replaced.channel, { headers })).headers).toEqual(mine);
});

test("V14 what is written counts for routing, copies by CC too", async () => {
  const { channel } = await start({ messageTimestampOverwrite: true });
  const match = { "x-match": "all", timestamp_in_ms: NOW_MS };
  await channel.bindQueue("q", "amq.headers", "", match);
  channel.publish("amq.headers", "", Buffer.from("body"));
  await channel.waitForConfirms();
  expect((await next(channel)).fields.exchange).toBe("amq.headers");
  channel.publish("", "nowhere", Buffer.from("body"), { CC: ["q"], BCC: ["nobody"] });
  await channel.waitForConfirms();
  expect((await next(channel)).properties.headers).toEqual({
    ...{ CC: ["q"], timestamp_in_ms: NOW_MS },
  });
});

test("V14 messages that are published over HTTP are no exception", async () => {
  const { broker, channel } = await start({ messageTimestampOverwrite: true });
  await fetch(`${broker.managementUrl}/api/exchanges/%2F/amq.default/publish`, {
    method: "POST",
    headers: { authorization: `Basic ${Buffer.from("guest:guest").toString("base64")}` },
    body: JSON.stringify({
      ...{ properties: {}, routing_key: "q", payload: "x", payload_encoding: "string" },
    }),
  });
  expect((await next(channel)).properties.timestamp).toBe(1_700_000_000);
});

test("V14 without the settings nothing is written", async () => {
  const { channel } = await start({});
  const { headers, timestamp } = await through(channel, {});
  expect({ headers, timestamp }).toEqual({ headers: {}, timestamp: undefined });
});
