/** basic.get: one message on request. Reference row K10. */
import { expect, test } from "vitest";
import { connect, consume, openConfirmChannel, refused, unique, untilReady } from "./harness.ts";
import { drain, get, newQueue, readContent, readyCount, send, text } from "./messaging.ts";
import { bits, FieldReader, RawClient, shortstr, u16 } from "./raw-client.ts";

test("K10 get-ok carries the message, its tag and how many are left ready", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  await send(channel, queue, "1", "2", "3");
  const first = await get(channel, queue);
  expect(first.fields).toEqual({
    deliveryTag: 1,
    redelivered: false,
    exchange: "",
    routingKey: queue,
    messageCount: 2,
  });
  // The first is unacked now, and not counted.
  const second = await get(channel, queue);
  expect(second.fields.messageCount).toBe(1);
});

test("K10 get-ok is followed by content, get-empty by nothing", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  await send(channel, queue, "only");
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const get = [u16(0), shortstr(queue), bits()];
  raw.sendMethod(1, 60, 70, get);
  const { methodId, body } = await readContent(raw);
  expect([methodId, body.toString()]).toEqual([71, "only"]);
  raw.sendMethod(1, 60, 70, get);
  const payload = (await raw.readFrame())?.payload ?? Buffer.alloc(0);
  const fields = new FieldReader(payload);
  expect([fields.u16(), fields.u16(), fields.shortstr(), fields.rest().length]).toEqual([
    60,
    72,
    "",
    0,
  ]);
});

test("K10 with no-ack the message is gone, without it it waits to be settled", async () => {
  const { connection } = await connect();
  const channel = await connection.createConfirmChannel();
  const queue = await newQueue(channel);
  await send(channel, queue, "1", "2");
  await get(channel, queue, { noAck: true });
  await get(channel, queue);
  expect(await readyCount(channel, queue)).toBe(0);
  await channel.close();
  await untilReady(queue, 1);
  const again = await get(await connection.createConfirmChannel(), queue);
  expect(text(again)).toBe("2");
  expect(again.fields.redelivered).toBe(true);
});

test("K10 an exclusive consumer does not keep anybody from getting", async () => {
  const holder = await openConfirmChannel();
  const queue = await newQueue(holder);
  await holder.prefetch(1);
  const inbox = await consume(holder, queue, { exclusive: true });
  const channel = await openConfirmChannel();
  await send(channel, queue, "consumed", "got");
  await inbox.next();
  expect(text(await get(channel, queue))).toBe("got");
});

test("K10 getting from a missing queue closes the channel with 404", async () => {
  const channel = await openConfirmChannel();
  const queue = unique("missing");
  expect(await refused(channel, channel.get(queue))).toEqual({
    code: 404,
    classId: 60,
    methodId: 70,
    message: `NOT_FOUND - no queue '${queue}' in vhost '/'`,
  });
});

test("K10 getting from another connection's exclusive queue closes the channel with 405", async () => {
  const owner = await openConfirmChannel();
  const { queue } = await owner.assertQueue("", { exclusive: true });
  const channel = await openConfirmChannel();
  expect(await refused(channel, channel.get(queue))).toEqual({
    code: 405,
    classId: 60,
    methodId: 70,
    message:
      `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.`.slice(
        0,
        255,
      ),
  });
});

test("K10 getting is no use that lets an auto-delete queue go", async () => {
  const channel = await openConfirmChannel();
  const queue = unique("auto-delete");
  await channel.assertQueue(queue, { autoDelete: true });
  await send(channel, queue, "1", "2");
  await get(channel, queue, { noAck: true });
  expect(await drain(channel, queue)).toHaveLength(1);
  expect(await readyCount(channel, queue)).toBe(0);
});
