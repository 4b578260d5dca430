/**
 * Transactions on a channel: what waits for the commit, what a rollback undoes, and in which modes they are
 * refused. Reference row H6.
 */
import { expect, test } from "vitest";
import { getBody, openChannel, unique, untilReady } from "./harness.ts";
import {
  bits,
  headerFrame,
  longstr,
  methodFrame,
  publishFrame,
  RawClient,
  shortstr,
  table,
  typed,
  u16,
  u32,
  u64,
} from "./raw-client.ts";

const EXCLUSIVE = bits(false, false, true);

/** A transactional channel 1 with a queue of its own. */
async function transactional(): Promise<{ raw: RawClient; queue: string }> {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const fields = [u16(0), shortstr(""), EXCLUSIVE, table()];
  const queue = (await raw.rpc(1, 50, 10, fields)).shortstr();
  await raw.rpc(1, 90, 10);
  return { raw, queue };
}

function publish(raw: RawClient, queue: string, exchange = "", mandatory = false): void {
  const fields = [u16(0), shortstr(exchange), shortstr(queue), bits(mandatory)];
  raw.sendMethod(1, 60, 40, fields);
  raw.send(headerFrame(1, 0));
}

/** basic.get with acknowledgement: the delivery tag, or undefined when the queue was empty. */
async function get(raw: RawClient, queue: string): Promise<bigint | undefined> {
  raw.sendMethod(1, 60, 70, [u16(0), shortstr(queue), bits()]);
  const answer = await raw.readMethod(1);
  return answer?.methodId === 71 ? answer.fields.u64() : undefined;
}

/**
 * Takes what is ready and counts it. A passive declaration would be no proof: RabbitMQ's queues answer it
 * before they have seen what was published earlier.
 */
async function takeAll(raw: RawClient, queue: string): Promise<number> {
  for (let count = 0; ; count++) {
    raw.sendMethod(1, 60, 70, [u16(0), shortstr(queue), bits(true)]);
    if ((await raw.readMethod(1))?.methodId !== 71) return count;
  }
}

const commit = (raw: RawClient) => raw.rpc(1, 90, 20);
const rollback = (raw: RawClient) => raw.rpc(1, 90, 30);

test("H6 published messages are in the queue after the commit, not before", async () => {
  const { raw, queue } = await transactional();
  publish(raw, queue);
  publish(raw, queue);
  expect(await takeAll(raw, queue)).toBe(0);
  await commit(raw);
  expect(await takeAll(raw, queue)).toBe(2);
});

test("H6 a rollback drops the published messages, and the next transaction starts empty", async () => {
  const { raw, queue } = await transactional();
  publish(raw, queue);
  await rollback(raw);
  publish(raw, queue);
  await commit(raw);
  expect(await takeAll(raw, queue)).toBe(1);
});

test("H6 a message is routed when it is published: a binding made before the commit is too late", async () => {
  const { raw, queue } = await transactional();
  const key = shortstr(unique("key"));
  raw.sendMethod(1, 60, 40, [u16(0), shortstr("amq.direct"), key, bits()]);
  raw.send(headerFrame(1, 0));
  await raw.rpc(1, 50, 20, [u16(0), shortstr(queue), shortstr("amq.direct"), key, bits(), table()]);
  await commit(raw);
  expect(await takeAll(raw, queue)).toBe(0);
});

test("H6 the queue that has the name at the commit gets the message, whichever it was before", async () => {
  const { raw, queue } = await transactional();
  const other = unique("later");
  const declare = [u16(0), shortstr(other), EXCLUSIVE, table()];
  publish(raw, other);
  await raw.rpc(1, 50, 10, declare);
  publish(raw, other, "", true);
  const bind = [u16(0), shortstr(other), shortstr("amq.direct"), shortstr(other), bits(), table()];
  await raw.rpc(1, 50, 20, bind);
  publish(raw, other, "amq.direct", true);
  await raw.rpc(1, 50, 40, [u16(0), shortstr(other), bits()]);
  await raw.rpc(1, 50, 10, declare);
  await raw.rpc(1, 90, 20);
  expect([await get(raw, other), await get(raw, other), await get(raw, other)]).toEqual([
    1n,
    2n,
    3n,
  ]);
  expect([await get(raw, other), await get(raw, queue)]).toEqual([undefined, undefined]);
});

test("H6 a mandatory message is returned at the commit when its queue is gone by then", async () => {
  const { raw, queue } = await transactional();
  publish(raw, queue, "", true);
  await raw.rpc(1, 50, 40, [u16(0), shortstr(queue), bits()]);
  raw.sendMethod(1, 90, 20);
  const { fields } = await raw.expectMethod(1, 60, 50);
  expect([fields.u16(), fields.shortstr()]).toEqual([312, "NO_ROUTE"]);
  await raw.expectMethod(1, 90, 21);
});

test("H6 an acknowledgement takes effect at the commit", async () => {
  const { raw, queue } = await transactional();
  publish(raw, queue);
  await commit(raw);
  const tag = await get(raw, queue);
  raw.sendMethod(1, 60, 80, [u64(tag ?? 0n), bits()]);
  await commit(raw);
  // Were it not settled, recovering would bring it back.
  await raw.rpc(1, 60, 110, bits(true));
  expect(await takeAll(raw, queue)).toBe(0);
});

test("H6 a rollback undoes acknowledgements without redelivering", async () => {
  const { raw, queue } = await transactional();
  publish(raw, queue);
  await commit(raw);
  const tag = await get(raw, queue);
  raw.sendMethod(1, 60, 80, [u64(tag ?? 0n), bits()]);
  await rollback(raw);
  expect(await takeAll(raw, queue)).toBe(0);
  await raw.rpc(1, 60, 110, bits(true));
  expect(await takeAll(raw, queue)).toBe(1);
});

test("H6 a rejection takes effect at the commit, and a rollback undoes it", async () => {
  const { raw, queue } = await transactional();
  publish(raw, queue);
  await commit(raw);
  const tag = u64((await get(raw, queue)) ?? 0n);
  raw.sendMethod(1, 60, 90, [tag, bits(true)]);
  expect(await takeAll(raw, queue)).toBe(0);
  await rollback(raw);
  expect(await takeAll(raw, queue)).toBe(0);
  raw.sendMethod(1, 60, 90, [tag, bits(true)]);
  await commit(raw);
  expect(await takeAll(raw, queue)).toBe(1);
});

test("H6 closing the channel in a transaction is a rollback", async () => {
  const queue = unique("rolled-back");
  const channel = await openChannel();
  await channel.assertQueue(queue);
  channel.sendToQueue(queue, Buffer.from("settled in no commit"));
  await untilReady(queue, 1);

  const raw = await RawClient.connect();
  await raw.openChannel(1);
  await raw.rpc(1, 90, 10);
  publish(raw, queue);
  const tag = await get(raw, queue);
  raw.sendMethod(1, 60, 80, [u64(tag ?? 0n), bits()]);
  await raw.rpc(1, 20, 40, [u16(200), shortstr(""), u16(0), u16(0)]);
  await untilReady(queue, 1);
  expect(await getBody(channel, queue)).toBe("settled in no commit");
});

test("H6 an unroutable mandatory message is returned at the commit", async () => {
  const { raw, queue } = await transactional();
  publish(raw, unique("nobody"), "", true);
  expect(await takeAll(raw, queue)).toBe(0);
  raw.sendMethod(1, 90, 20);
  const returned = await raw.expectMethod(1, 60, 50);
  expect([returned.fields.u16(), returned.fields.shortstr()]).toEqual([312, "NO_ROUTE"]);
  await raw.expectMethod(1, 90, 21);
});

test("H6 publishing to a missing exchange closes the channel before any commit", async () => {
  const { raw } = await transactional();
  publish(raw, "key", "no-such-exchange");
  expect(await raw.expectChannelClose(1)).toEqual({
    code: 404,
    text: "NOT_FOUND - no exchange 'no-such-exchange' in vhost '/'",
    classId: 60,
    methodId: 40,
  });
});

test("H6 an unknown delivery tag closes the channel when it is acknowledged, before any commit", async () => {
  const { raw } = await transactional();
  raw.sendMethod(1, 60, 80, [u64(7), bits()]);
  expect(await raw.expectChannelClose(1)).toEqual({
    code: 406,
    text: "PRECONDITION_FAILED - unknown delivery tag 7",
    classId: 60,
    methodId: 80,
  });
});

test("H6 an empty commit and a second tx.select are answered", async () => {
  const { raw, queue } = await transactional();
  await commit(raw);
  await rollback(raw);
  publish(raw, queue);
  await raw.rpc(1, 90, 10);
  await commit(raw);
  expect(await takeAll(raw, queue)).toBe(1);
});

test.each<[string, [number, number][], string]>([
  [
    "tx.select after confirm.select",
    [
      [85, 10],
      [90, 10],
    ],
    "cannot switch from confirm to tx mode",
  ],
  [
    "confirm.select after tx.select",
    [
      [90, 10],
      [85, 10],
    ],
    "cannot switch from tx to confirm mode",
  ],
  ["tx.commit without tx.select", [[90, 20]], "channel is not transactional"],
  ["tx.rollback without tx.select", [[90, 30]], "channel is not transactional"],
])("H6 %s is refused with 406", async (_, methods, text) => {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  for (const [classId, methodId] of methods) {
    raw.sendMethod(1, classId, methodId, classId === 85 ? bits() : []);
  }
  const [classId, methodId] = methods.at(-1) ?? [0, 0];
  expect(await raw.expectChannelClose(1)).toEqual({
    code: 406,
    text: `PRECONDITION_FAILED - ${text}`,
    classId,
    methodId,
  });
});

test("H6 a publication that a queue refuses makes the commit fail, and the others count", async () => {
  const { raw, queue } = await transactional();
  const full = unique("full");
  const args = table({
    "x-max-length": typed("I", u32(0)),
    "x-overflow": typed("S", longstr("reject-publish")),
  });
  await raw.rpc(1, 50, 10, [u16(0), shortstr(full), bits(), args]);
  publish(raw, queue);
  publish(raw, full);
  publish(raw, queue);
  raw.sendMethod(1, 90, 20);
  expect(await raw.expectChannelClose(1)).toEqual({
    code: 406,
    text: "PRECONDITION_FAILED - partial tx completion",
    classId: 90,
    methodId: 20,
  });
  await raw.openChannel(1);
  expect(await takeAll(raw, queue)).toBe(2);
});

test("H6 at the commit publications come before rejections", async () => {
  const queue = unique("queue");
  const channel = await openChannel();
  // What is rejected comes back as the last message.
  await channel.assertQueue(queue, { deadLetterExchange: "" });
  channel.sendToQueue(queue, Buffer.from("rejected"));
  await untilReady(queue, 1);
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  await raw.rpc(1, 90, 10);
  const tag = (await get(raw, queue)) ?? 0n;
  raw.sendMethod(1, 60, 90, [u64(tag), bits(false)]);
  publish(raw, queue);
  await commit(raw);
  await untilReady(queue, 2);
  expect(await getBody(channel, queue)).toBe("");
  expect(await getBody(channel, queue)).toBe("rejected");
});

test("H6 in a transaction of many messages all arrive, in order", async () => {
  const { raw, queue } = await transactional();
  const bodies = Array.from({ length: 50 }, (_, index) => index);
  for (const index of bodies) {
    raw.send(publishFrame(1, "", queue));
    // The message id tells the order without a body.
    raw.send(headerFrame(1, 0, Buffer.concat([u16(0x0080), shortstr(String(index))])));
  }
  await commit(raw);
  await raw.rpc(1, 60, 20, [u16(0), shortstr(queue), shortstr("tag"), bits(false, true), table()]);
  const ids: number[] = [];
  while (ids.length < bodies.length) {
    await raw.expectMethod(1, 60, 60);
    const header = await raw.readFrame();
    ids.push(Number(header?.payload.subarray(15).toString()));
  }
  expect(ids).toEqual(bodies);
});

test.each<[string, number, number, Buffer[]]>([
  ["basic.qos", 60, 10, [methodFrame(1, 60, 10, u32(0), u16(1), bits())]],
  ["a second tx.commit", 90, 20, [methodFrame(1, 90, 20)]],
  ["basic.ack", 60, 80, [methodFrame(1, 60, 80, u64(1n), bits())]],
  ["basic.publish", 60, 40, [publishFrame(1, "", "q"), headerFrame(1, 0)]],
])("H7 %s that comes during a commit ends the connection", async (_, classId, methodId, frames) => {
  const durable = unique("durable");
  const { raw } = await transactional();
  await raw.rpc(1, 50, 10, [u16(0), shortstr(durable), bits(false, true), table()]);
  publish(raw, durable);
  // Both before anybody can have been told that it is committed.
  raw.send(Buffer.concat([methodFrame(1, 90, 20), ...frames]));
  expect(await raw.expectClose()).toEqual({
    code: 504,
    text: "CHANNEL_ERROR - unexpected command while processing 'tx.commit'",
    classId,
    methodId,
  });
  // What was committed is.
  await untilReady(durable, 1);
});

test("H7 a channel may be closed during a commit, and commands follow at once when no queue has to take anything", async () => {
  const { raw, queue } = await transactional();
  publish(raw, unique("nobody"));
  const qos = methodFrame(1, 60, 10, u32(0), u16(1), bits());
  raw.send(Buffer.concat([methodFrame(1, 90, 20), qos]));
  await raw.expectMethod(1, 90, 21);
  await raw.expectMethod(1, 60, 11);
  publish(raw, queue);
  const close = methodFrame(1, 20, 40, u16(200), shortstr(""), u16(0), u16(0));
  raw.send(Buffer.concat([methodFrame(1, 90, 20), close]));
  // Whether the commit is answered before depends on how long it takes.
  let answer = await raw.readMethod(1);
  if (answer?.classId === 90) answer = await raw.readMethod(1);
  expect([answer?.classId, answer?.methodId]).toEqual([20, 41]);
});
