/**
 * How the body of a message is cut into frames, in both directions: empty bodies, bodies around the agreed
 * frame size, frames of odd sizes. Reference rows P10 and P11.
 */
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { unique } from "./harness.ts";
import { consumeFrame, NO_ACK, publication, readContent } from "./messaging.ts";
import {
  bits,
  FRAME_BODY,
  frame,
  headerFrame,
  publishFrame,
  RawClient,
  shortstr,
  table,
  u16,
} from "./raw-client.ts";

/** Type, channel, size and the end octet: what a frame costs beside its payload. */
const FRAME_OVERHEAD = 8;
/** The smallest frame-max that every version of RabbitMQ agrees to. */
const FRAME_MAX = 8192;

/** A connection whose frames are FRAME_MAX at most, and that consumes from a queue of its own. */
async function consuming(): Promise<{ raw: RawClient; queue: string }> {
  const raw = await RawClient.connect({ tune: { frameMax: FRAME_MAX } });
  await raw.openChannel(1);
  const queue = unique("queue");
  await raw.rpc(1, 50, 10, [u16(0), shortstr(queue), bits(false, true), table()]);
  raw.send(consumeFrame(queue, "tag", NO_ACK));
  await raw.expectMethod(1, 60, 21);
  return { raw, queue };
}

test("P10 an empty body is a content header of size 0 and no body frame, in both directions", async () => {
  const { raw, queue } = await consuming();
  raw.send(Buffer.concat([publication(queue, ""), publication(queue, "end")]));
  const empty = await readContent(raw);
  expect(empty.body).toHaveLength(0);
  // The very next frame belongs to the next message: readContent refuses any other.
  const end = await readContent(raw);
  expect(end.body.toString()).toBe("end");
});

test.each([-1, 0, 1])("P11 a body %i bytes beyond one full frame", async (bytesBeyond) => {
  const { raw, queue } = await consuming();
  const payloadBytesMax = FRAME_MAX - FRAME_OVERHEAD;
  const body = randomBytes(payloadBytesMax + bytesBeyond);
  raw.send(publication(queue, body, { bodyBytesMax: payloadBytesMax }));
  const delivered = await readContent(raw);
  expect(delivered.body.equals(body)).toBe(true);
  const expected = bytesBeyond > 0 ? [payloadBytesMax, bytesBeyond] : [body.length];
  expect(delivered.bodyFrameBytes).toEqual(expected);
});

test("P11 the server fills its frames up to the agreed size, however the client cut the body", async () => {
  const { raw, queue } = await consuming();
  const body = randomBytes(20_000);
  const cuts = [0, 1, 3, 8191 - FRAME_OVERHEAD, 8192, 8192, 9000, 17_000, body.length];
  const frames = cuts.slice(1).map((end, i) => frame(FRAME_BODY, 1, body.subarray(cuts[i], end)));
  raw.send(Buffer.concat([publishFrame(1, "", queue), headerFrame(1, body.length), ...frames]));
  const delivered = await readContent(raw);
  expect(delivered.body.equals(body)).toBe(true);
  const payloadBytesMax = FRAME_MAX - FRAME_OVERHEAD;
  expect(delivered.bodyFrameBytes).toEqual([
    payloadBytesMax,
    payloadBytesMax,
    body.length - 2 * payloadBytesMax,
  ]);
});

test("P11 a body in frames of one byte each is put together", async () => {
  const { raw, queue } = await consuming();
  const body = randomBytes(500);
  raw.send(publication(queue, body, { bodyBytesMax: 1 }));
  expect((await readContent(raw)).body.equals(body)).toBe(true);
});

test("P11 a message that comes byte by byte is put together", async () => {
  const { raw, queue } = await consuming();
  for (const byte of publication(queue, "slowly")) raw.send(Buffer.from([byte]));
  expect((await readContent(raw)).body.toString()).toBe("slowly");
});

test("P11 a message of 4 MiB crosses in small frames and each connection gets its own frame size", async () => {
  const { raw, queue } = await consuming();
  const wide = await RawClient.connect();
  await wide.openChannel(1);
  const body = randomBytes(4 * 1024 * 1024);
  const payloadBytesMax = wide.tune.frameMax - FRAME_OVERHEAD;
  wide.send(publication(queue, body, { bodyBytesMax: payloadBytesMax }));
  const delivered = await readContent(raw);
  expect(delivered.body.equals(body)).toBe(true);
  expect(Math.max(...delivered.bodyFrameBytes)).toBe(FRAME_MAX - FRAME_OVERHEAD);
});

test("P11 get-ok carries a body in frames like a delivery", async () => {
  const raw = await RawClient.connect({ tune: { frameMax: FRAME_MAX } });
  await raw.openChannel(1);
  const queue = unique("queue");
  await raw.rpc(1, 50, 10, [u16(0), shortstr(queue), bits(false, true), table()]);
  const body = randomBytes(10_000);
  raw.send(publication(queue, body));
  raw.sendMethod(1, 60, 70, [u16(0), shortstr(queue), bits(true)]);
  const got = await readContent(raw);
  expect([got.classId, got.methodId]).toEqual([60, 71]);
  expect(got.body.equals(body)).toBe(true);
  const first = FRAME_MAX - FRAME_OVERHEAD;
  expect(got.bodyFrameBytes).toEqual([first, body.length - first]);
});
