/** basic.cancel, by the client and by the broker. Reference rows K5 and K6. */
import { expect, test } from "vitest";
import { connect, consume, openConfirmChannel } from "./harness.ts";
import { consumeFrame, drain, newQueue, readyCount, send, texts } from "./messaging.ts";
import { bits, RawClient, shortstr, table, typed, u8 } from "./raw-client.ts";

test("K5 cancelling a tag that nobody has is answered all the same", async () => {
  const channel = await openConfirmChannel();
  expect(await channel.cancel("nobody")).toEqual({ consumerTag: "nobody" });
});

test("K5 after cancel-ok nothing is delivered, and what was delivered can still be settled", async () => {
  const { connection } = await connect();
  const channel = await connection.createConfirmChannel();
  const queue = await newQueue(channel);
  const inbox = await consume(channel, queue);
  await send(channel, queue, "before");
  const delivered = await inbox.next();
  await channel.cancel(inbox.consumerTag);
  // Ready again means that cancelling requeued it.
  expect(await readyCount(channel, queue)).toBe(0);
  await send(channel, queue, "after");
  channel.ack(delivered);
  expect(await readyCount(channel, queue)).toBe(1);
  expect(inbox.count).toBe(0);
  await channel.close();
  expect(texts(await drain(await connection.createConfirmChannel(), queue))).toEqual(["after"]);
});

test("K6 the consumers of a deleted queue are told by basic.cancel", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const first = await consume(channel, queue);
  const second = await consume(await openConfirmChannel(), queue);
  await (await openConfirmChannel()).deleteQueue(queue);
  await first.cancelled;
  await second.cancelled;
  // The channel goes on: its tag is free again.
  const other = await newQueue(channel);
  await consume(channel, other, { consumerTag: first.consumerTag });
});

test("K6 the cancel bears the consumer's tag and wants no answer", async () => {
  const capability = typed("F", table({ consumer_cancel_notify: typed("t", u8(1)) }));
  const clientProperties = table({ capabilities: capability });
  const raw = await RawClient.connect({ clientProperties });
  await raw.openChannel(1);
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  raw.send(consumeFrame(queue, "my tag"));
  await raw.expectMethod(1, 60, 21);
  await channel.deleteQueue(queue);
  const { fields } = await raw.expectMethod(1, 60, 30);
  expect([fields.shortstr(), fields.u8()]).toEqual(["my tag", 1]);
});

test("K6 a client that did not say it understands the cancel gets none", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const informed = await consume(channel, queue);
  raw.send(consumeFrame(queue, "tag"));
  await raw.expectMethod(1, 60, 21);
  await (await openConfirmChannel()).deleteQueue(queue);
  await informed.cancelled;
  // Any method other than the answers to these would be refused by expectMethod.
  await raw.rpc(1, 20, 20, bits(true));
  await raw.rpc(1, 60, 30, [shortstr("tag"), bits()]);
});
