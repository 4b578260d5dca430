/**
 * Channels: opening, closing and what each of them sets back, the queue a channel declared last, nowait, and
 * errors that arrive later than their cause. Reference rows H1 to H5, H8, N17, N26.
 */
import { expect, test } from "vitest";
import {
  channelError,
  connect,
  connectionError,
  consume,
  drain,
  getBody,
  openChannel,
  openConfirmChannel,
  refused,
  unique,
  untilReady,
} from "./harness.ts";
import {
  bits,
  frame,
  headerFrame,
  longstr,
  methodFrame,
  publishFrame,
  RawClient,
  shortstr,
  table,
  u16,
  u32,
} from "./raw-client.ts";

const PASSIVE = bits(true);
const EXCLUSIVE = bits(false, false, true);
const NOWAIT = bits(false, false, false, false, true);

function declare(queue: string, flags: Buffer): Buffer[] {
  return [u16(0), shortstr(queue), flags, table()];
}

const closeFields = [u16(200), shortstr("bye"), u16(0), u16(0)];

test("H1 channel.open-ok carries an empty long string", async () => {
  const raw = await RawClient.connect();
  expect((await raw.rpc(7, 20, 10, shortstr(""))).rest()).toEqual(longstr(""));
});

test("H1 K12 K13 closing a channel puts its unacknowledged messages back in order, as redelivered", async () => {
  const { connection } = await connect();
  const channel = await connection.createChannel();
  const queue = unique("requeued");
  await channel.assertQueue(queue);
  for (const body of ["1", "2", "3", "4"]) channel.sendToQueue(queue, Buffer.from(body));
  const inbox = await consume(channel, queue);
  const [, second] = await inbox.take(4);
  if (second !== undefined) channel.ack(second);
  await channel.close();

  const other = await connection.createChannel();
  const again = await (await consume(other, queue)).take(3);
  expect(again.map((message) => message.content.toString())).toEqual(["1", "3", "4"]);
  expect(again.map((message) => message.fields.redelivered)).toEqual([true, true, true]);
});

test("H1 closing a channel ends its consumers", async () => {
  const { connection } = await connect();
  const channel = await connection.createChannel();
  const queue = unique("abandoned");
  await channel.assertQueue(queue);
  await consume(channel, queue);
  const other = await connection.createChannel();
  expect((await other.checkQueue(queue)).consumerCount).toBe(1);
  await channel.close();
  expect((await other.checkQueue(queue)).consumerCount).toBe(0);
});

test("H1 a channel's number can be used again once it is closed", async () => {
  const raw = await RawClient.connect();
  for (let round = 0; round < 3; round++) {
    await raw.openChannel(5);
    await raw.rpc(5, 20, 40, closeFields);
  }
});

test("H2 channel.flow active is answered, inactive is not implemented", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  expect((await raw.rpc(1, 20, 20, bits(true))).rest()).toEqual(bits(true));
  raw.sendMethod(1, 20, 20, bits(false));
  expect(await raw.expectClose()).toEqual({
    code: 540,
    text: "NOT_IMPLEMENTED - active=false",
    classId: 20,
    methodId: 20,
  });
});

test("H3 access.request is answered with ticket 1", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const answer = await raw.rpc(1, 30, 10, [shortstr("/data"), bits(false, true, true, true, true)]);
  expect(answer.rest()).toEqual(u16(1));
});

test("H4 an empty queue name is the queue that the channel declared last", async () => {
  const channel = await openChannel();
  await channel.assertQueue(unique("first"));
  const queue = unique("last");
  await channel.assertQueue(queue);

  // With the routing key empty too, the key is the queue's name.
  await channel.bindQueue("", "amq.direct", "");
  await channel.bindQueue("", "amq.direct", "key");
  channel.publish("amq.direct", queue, Buffer.from("by name"));
  channel.publish("amq.direct", "key", Buffer.from("by key"));
  expect(await getBody(channel, "")).toBe("by name");
  expect(await channel.purgeQueue("")).toEqual({ messageCount: 1 });
  await channel.unbindQueue("", "amq.direct", "key");
  channel.publish("amq.direct", "key", Buffer.from("nowhere"));
  const inbox = await consume(channel, "", { noAck: true });
  channel.publish("amq.direct", queue, Buffer.from("consumed"));
  expect((await inbox.next()).content.toString()).toBe("consumed");
  expect(await channel.deleteQueue("")).toEqual({ messageCount: 0 });
  expect(await refused(channel, channel.checkQueue(queue))).toMatchObject({ code: 404 });
});

test("H4 a bound key is left as it is when the queue is named", async () => {
  const channel = await openChannel();
  const queue = unique("named");
  await channel.assertQueue(queue);
  await channel.bindQueue(queue, "amq.direct", "");
  channel.publish("amq.direct", queue, Buffer.from("not for the empty key"));
  channel.publish("amq.direct", "", Buffer.from("for the empty key"));
  expect(await getBody(channel, queue)).toBe("for the empty key");
});

test("H4 a passive declaration counts, and so does one of a server-named queue", async () => {
  const channel = await openChannel();
  const queue = unique("named");
  await channel.assertQueue(queue);
  const generated = await channel.assertQueue("", { exclusive: true });
  channel.sendToQueue(generated.queue, Buffer.from("generated"));
  channel.sendToQueue(queue, Buffer.from("named"));
  expect(await getBody(channel, "")).toBe("generated");
  await channel.checkQueue(queue);
  expect(await getBody(channel, "")).toBe("named");
});

test("H4 a queue that was deleted is still the last one declared", async () => {
  const channel = await openChannel();
  const queue = unique("deleted");
  await channel.assertQueue(queue);
  await channel.deleteQueue("");
  expect(await refused(channel, channel.get(""))).toMatchObject({
    code: 404,
    message: `NOT_FOUND - no queue '${queue}' in vhost '/'`,
  });
});

test("H4 a passive declare of an empty name looks for a queue of that name", async () => {
  const channel = await openChannel();
  await channel.assertQueue(unique("last"));
  expect(await refused(channel, channel.checkQueue(""))).toMatchObject({
    code: 404,
    message: "NOT_FOUND - no queue '' in vhost '/'",
  });
});

test.each<[string, number, number, Buffer[]]>([
  [
    "queue.bind",
    50,
    20,
    [u16(0), shortstr(""), shortstr("amq.direct"), shortstr(""), bits(), table()],
  ],
  [
    "queue.unbind",
    50,
    50,
    [u16(0), shortstr(""), shortstr("amq.direct"), shortstr("key"), table()],
  ],
  ["queue.purge", 50, 30, [u16(0), shortstr(""), bits()]],
  ["queue.delete", 50, 40, [u16(0), shortstr(""), bits()]],
  ["basic.get", 60, 70, [u16(0), shortstr(""), bits()]],
  ["basic.consume", 60, 20, [u16(0), shortstr(""), shortstr(""), bits(), table()]],
])(
  "H4 %s of an empty name with nothing declared before is 404",
  async (_, classId, methodId, fields) => {
    const raw = await RawClient.connect();
    await raw.openChannel(1);
    // What another channel declared does not count.
    await raw.openChannel(2);
    await raw.rpc(2, 50, 10, declare("", EXCLUSIVE));
    raw.sendMethod(1, classId, methodId, fields);
    expect(await raw.expectChannelClose(1)).toEqual({
      code: 404,
      text: "NOT_FOUND - no previously declared queue",
      classId,
      methodId,
    });
  },
);

test("H5 with nowait there is no answer, and the request is carried out", async () => {
  const [queue, exchange] = [unique("queue"), unique("exchange")];
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  raw.sendMethod(1, 50, 10, declare(queue, NOWAIT));
  raw.sendMethod(1, 40, 10, [
    ...[u16(0), shortstr(exchange), shortstr("direct")],
    ...[bits(false, false, false, false, true), table()],
  ]);
  const key = shortstr("key");
  const bind = [u16(0), shortstr(queue), shortstr(exchange), key, bits(true), table()];
  raw.sendMethod(1, 50, 20, bind);
  raw.send(Buffer.concat([publishFrame(1, exchange, "key"), headerFrame(1, 0)]));
  raw.sendMethod(1, 60, 20, [
    ...[u16(0), shortstr(queue), shortstr("tag")],
    ...[bits(false, true, false, true), table()],
  ]);
  // The first thing the server says since channel.open-ok is the delivery.
  expect((await raw.expectMethod(1, 60, 60)).fields.shortstr()).toBe("tag");
  raw.sendMethod(1, 60, 30, [shortstr("tag"), bits(true)]);
  raw.sendMethod(1, 50, 30, [u16(0), shortstr(queue), bits(true)]);
  raw.sendMethod(1, 85, 10, [bits(true)]);
  raw.sendMethod(1, 40, 20, [u16(0), shortstr(exchange), bits(false, true)]);
  raw.sendMethod(1, 50, 40, [u16(0), shortstr(queue), bits(false, false, true)]);
  raw.sendMethod(1, 50, 10, declare(queue, PASSIVE));
  expect(await raw.expectChannelClose(1)).toMatchObject({ code: 404, classId: 50, methodId: 10 });
});

test("H5 bindings of exchanges can be made and undone with nowait", async () => {
  const [source, queue] = [unique("source"), unique("queue")];
  const channel = await openChannel();
  await channel.assertExchange(source, "fanout");
  const destination = unique("destination");
  await channel.assertExchange(destination, "fanout");
  await channel.assertQueue(queue);
  await channel.bindQueue(queue, destination, "");
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const ends = [shortstr(destination), shortstr(source), shortstr(""), bits(true), table()];
  const publish = Buffer.concat([publishFrame(1, source, ""), headerFrame(1, 0)]);
  raw.sendMethod(1, 40, 30, [u16(0), ...ends]);
  raw.send(publish);
  raw.sendMethod(1, 40, 40, [u16(0), ...ends]);
  raw.send(publish);
  // The first answer since channel.open-ok.
  await raw.rpc(1, 20, 20, bits(true));
  expect(await drain(channel, queue)).toEqual([""]);
});

test("H5 with nowait an error still closes the channel", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const fields = [u16(0), shortstr("no-such-queue"), shortstr("amq.direct"), shortstr("key")];
  raw.sendMethod(1, 50, 20, [...fields, bits(true), table()]);
  expect(await raw.expectChannelClose(1)).toEqual({
    code: 404,
    text: "NOT_FOUND - no queue 'no-such-queue' in vhost '/'",
    classId: 50,
    methodId: 20,
  });
});

test("H8 publishing to an exchange that does not exist closes the channel, and its confirms are lost", async () => {
  const channel = await openConfirmChannel();
  const confirmed = new Promise((resolve) => {
    channel.publish("no-such-exchange", "key", Buffer.from("lost"), {}, resolve);
  });
  expect(await channelError(channel)).toEqual({
    code: 404,
    message: "NOT_FOUND - no exchange 'no-such-exchange' in vhost '/'",
    classId: 60,
    methodId: 40,
  });
  expect(await confirmed).toEqual(new Error("channel closed"));
});

test("H8 what was published before the error has been routed, what came after it has not", async () => {
  const queue = unique("before-and-after");
  const { connection } = await connect();
  const channel = await connection.createChannel();
  await channel.assertQueue(queue);
  channel.sendToQueue(queue, Buffer.from("before"));
  channel.publish("no-such-exchange", "key", Buffer.from("error"));
  channel.sendToQueue(queue, Buffer.from("after"));
  expect(await channelError(channel)).toMatchObject({ code: 404 });
  const other = await connection.createChannel();
  expect(await drain(other, queue)).toEqual(["before"]);
});

test("N20 a channel's error leaves the other channels of the connection alone", async () => {
  const queue = unique("alive");
  const { connection, errors } = await connect();
  const [failing, working] = [await connection.createChannel(), await connection.createChannel()];
  await working.assertQueue(queue);
  const inbox = await consume(working, queue, { noAck: true });
  expect(await refused(failing, failing.checkQueue("no-such-queue"))).toMatchObject({ code: 404 });
  working.sendToQueue(queue, Buffer.from("still here"));
  expect((await inbox.next()).content.toString()).toBe("still here");
  expect(errors).toEqual([]);
});

test("N17 after its channel.close the server ignores the channel's frames until close-ok", async () => {
  const queue = unique("never");
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  raw.send(
    Buffer.concat([
      methodFrame(1, 50, 10, ...declare("no-such-queue", PASSIVE)),
      methodFrame(1, 50, 10, ...declare(queue, bits())),
      publishFrame(1, "", "x"),
      headerFrame(1, 3),
      frame(3, 1, Buffer.from("abc")),
      methodFrame(1, 50, 10, ...declare("another-missing-queue", PASSIVE)),
    ]),
  );
  expect(await raw.expectChannelClose(1)).toMatchObject({ code: 404, classId: 50, methodId: 10 });
  await raw.openChannel(1);
  raw.sendMethod(1, 50, 10, declare(queue, PASSIVE));
  expect(await raw.expectChannelClose(1)).toMatchObject({
    text: `NOT_FOUND - no queue '${queue}' in vhost '/'`,
  });
});

test("N17 a client's channel.close that crosses the server's is answered too", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  raw.send(
    Buffer.concat([
      methodFrame(1, 50, 10, ...declare("no-such-queue", PASSIVE)),
      methodFrame(1, 20, 40, ...closeFields),
    ]),
  );
  await raw.expectChannelClose(1);
  await raw.expectMethod(1, 20, 41);
  await raw.openChannel(1);
});

test("N17 frames of a message that was being sent when the channel closed are passed over", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  raw.sendMethod(1, 50, 10, declare("no-such-queue", PASSIVE));
  raw.send(publishFrame(1, "", "x"));
  expect((await raw.readMethod(1))?.methodId).toBe(40);
  raw.send(headerFrame(1, 6));
  raw.send(frame(3, 1, Buffer.from("abc")));
  raw.send(frame(3, 1, Buffer.from("def")));
  raw.sendMethod(1, 20, 41);
  await raw.openChannel(1);
});

test("N17 a closed channel's number is like one that was never open", async () => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  await raw.rpc(1, 20, 40, closeFields);
  raw.sendMethod(1, 50, 10, declare("x", bits()));
  expect(await raw.expectClose()).toEqual({
    code: 504,
    text: "CHANNEL_ERROR - expected 'channel.open'",
    classId: 50,
    methodId: 10,
  });
});

test("N26 opening one channel more than was agreed closes the connection with 530", async () => {
  const raw = await RawClient.connect({ tune: { channelMax: 2 } });
  await raw.openChannel(1);
  await raw.openChannel(2);
  raw.sendMethod(3, 20, 10, shortstr(""));
  expect(await raw.expectClose()).toEqual({
    code: 530,
    text: "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)",
    classId: 0,
    methodId: 0,
  });
});

test("N26 a closed channel no longer counts", async () => {
  const raw = await RawClient.connect({ tune: { channelMax: 1 } });
  for (let round = 0; round < 3; round++) {
    await raw.openChannel(1);
    await raw.rpc(1, 20, 40, closeFields);
  }
});

test("N20 540 in one channel ends the connection with every channel on it", async () => {
  const queue = unique("left-alone");
  const { connection } = await connect();
  const channel = await connection.createChannel();
  const other = await connection.createChannel();
  await other.assertQueue(queue);
  other.sendToQueue(queue, Buffer.from("unacknowledged"));
  await (await consume(other, queue)).next();
  const { channels } = connection.connection as unknown as {
    channels: { buffer: { write(bytes: Buffer): void } }[];
  };
  // amqplib sends no basic.qos with a prefetch size.
  channels[1]?.buffer.write(methodFrame(1, 60, 10, u32(9), u16(0), bits()));
  expect(await connectionError(connection)).toEqual({
    code: 540,
    message: "NOT_IMPLEMENTED - prefetch_size!=0 (9)",
    classId: 60,
    methodId: 10,
  });
  await expect(channel.checkQueue(queue)).rejects.toThrow();
  await untilReady(queue, 1);
});
