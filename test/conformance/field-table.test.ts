/**
 * Field tables: every type of value, in the letters RabbitMQ gives them, through message headers and through
 * arguments. Reference row N27; the ids of RabbitMQ's own methods, row N28.
 */
import { expect, test } from "vitest";
import { unique } from "./harness.ts";
import {
  array,
  bits,
  FieldReader,
  headerFrame,
  longstr,
  publishFrame,
  RawClient,
  shortstr,
  table,
  typed,
  u8,
  u16,
  u32,
  u64,
} from "./raw-client.ts";

const EXCLUSIVE = bits(false, false, true);
const HEADERS_FLAG = u16(0x2000);

function float32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatBE(value);
  return bytes;
}

function float64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes;
}

/** One value of every type, keys in order: a broker that sorts tables by key changes nothing in it. */
const EVERY_TYPE: Record<string, Buffer> = {
  A: typed("A", array(typed("I", u32(1)), typed("S", longstr("two")), typed("V"))),
  B: typed("B", u8(0xff)),
  D: typed("D", Buffer.concat([u8(2), u32(12_345)])),
  F: typed("F", table({ inner: typed("F", table({ innermost: typed("t", u8(0)) })) })),
  I: typed("I", u32(0x8000_0000)),
  S: typed("S", longstr("long string, ünïcode")),
  T: typed("T", u64(1_700_000_000)),
  V: typed("V"),
  b: typed("b", u8(0x80)),
  d: typed("d", float64(-1.5e300)),
  f: typed("f", float32(0.1)),
  i: typed("i", u32(0xffff_ffff)),
  l: typed("l", u64(0x8000_0000_0000_0001n)),
  s: typed("s", u16(0x8001)),
  t: typed("t", u8(1)),
  u: typed("u", u16(0xffff)),
  x: typed("x", longstr(Buffer.from([0, 255, 206]))),
};

async function withQueue(): Promise<{ raw: RawClient; queue: string }> {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  const fields = [u16(0), shortstr(""), EXCLUSIVE, table()];
  const queue = (await raw.rpc(1, 50, 10, fields)).shortstr();
  return { raw, queue };
}

/** Publishes an empty message with these property flags and properties; returns what basic.get brings back. */
async function throughQueue(properties: Buffer): Promise<Buffer> {
  const { raw, queue } = await withQueue();
  raw.send(Buffer.concat([publishFrame(1, "", queue), headerFrame(1, 0, properties)]));
  await raw.rpc(1, 60, 70, [u16(0), shortstr(queue), bits(true)]);
  const header = await raw.readFrame();
  if (header === undefined) throw new Error("the stream ended before the content header");
  const fields = new FieldReader(header.payload);
  expect([fields.u16(), fields.u16(), fields.u64()]).toEqual([60, 0, 0n]);
  return fields.rest();
}

test.each(Object.keys(EVERY_TYPE))(
  "N27 a header of type %s comes back as it was sent",
  async (letter) => {
    const value = EVERY_TYPE[letter];
    if (value === undefined) throw new Error("no such letter");
    const properties = Buffer.concat([HEADERS_FLAG, table({ header: value })]);
    expect(await throughQueue(properties)).toEqual(properties);
  },
);

test("N27 a header table with every type, nested and in a list, comes back as it was sent", async () => {
  const list = array(...Object.values(EVERY_TYPE), typed("A", array()), typed("F", table()));
  const headers = table({ ...EVERY_TYPE, y: typed("F", table(EVERY_TYPE)), z: typed("A", list) });
  const properties = Buffer.concat([HEADERS_FLAG, headers]);
  expect(await throughQueue(properties)).toEqual(properties);
});

test("N27 the type L is taken for a signed 64-bit number", async () => {
  const value = u64(0xffff_ffff_ffff_fffen);
  const headers = (letter: string) =>
    Buffer.concat([HEADERS_FLAG, table({ n: typed(letter, value) })]);
  expect([headers("L"), headers("l")]).toContainEqual(await throughQueue(headers("L")));
});

test.each<[string, Buffer, string]>([
  ["b", u8(0x80), "-128"],
  ["s", u16(0x8000), "-32768"],
  ["I", u32(0x8000_0000), "-2147483648"],
  ["l", u64(2n ** 64n - 5n), "-5"],
  ["L", u64(2n ** 64n - 5n), "-5"],
])("N27 an integer of type %s has a sign", async (letter, bytes, shown) => {
  const { raw } = await withQueue();
  const queue = unique("signed");
  const args = table({ "x-max-length": typed(letter, bytes) });
  raw.sendMethod(1, 50, 10, [u16(0), shortstr(queue), bits(), args]);
  expect((await raw.expectChannelClose(1)).text).toBe(
    `PRECONDITION_FAILED - invalid arg 'x-max-length' for queue '${queue}' in vhost '/': {value_negative,${shown}}`,
  );
});

test.each<[string, Buffer, string, string]>([
  ["B", u8(0xff), "255", "unsignedbyte"],
  ["u", u16(0xffff), "65535", "unsignedshort"],
  ["i", u32(0xffff_ffff), "4294967295", "unsignedint"],
])("N27 an integer of type %s has none", async (letter, bytes, shown, type) => {
  const { raw } = await withQueue();
  const queue = unique("unsigned");
  const args = table({ "x-max-length": typed(letter, bytes) });
  await raw.rpc(1, 50, 10, [u16(0), shortstr(queue), bits(), args]);
  raw.sendMethod(1, 50, 10, [u16(0), shortstr(queue), bits(), table()]);
  expect((await raw.expectChannelClose(1)).text).toBe(
    `PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '${queue}' in vhost '/': received none but current is the value '${shown}' of type '${type}'`,
  );
});

test("N27 an empty header table stays, and is not the same as none", async () => {
  const empty = Buffer.concat([HEADERS_FLAG, table()]);
  expect(await throughQueue(empty)).toEqual(empty);
  expect(await throughQueue(u16(0))).toEqual(u16(0));
});

test("N27 a header's key may be empty, and 255 bytes long", async () => {
  const headers = table({ "": typed("V"), ["k".repeat(255)]: typed("t", u8(1)) });
  const properties = Buffer.concat([HEADERS_FLAG, headers]);
  expect(await throughQueue(properties)).toEqual(properties);
});

test("A13 N27 P6 every property comes back as it was sent, and no other is added", async () => {
  const properties = Buffer.concat([
    // All fourteen flags; user-id has to be the true one.
    u16(0xfffc),
    shortstr("text/plain"),
    shortstr("gzip"),
    table({ a: typed("I", u32(1)) }),
    u8(2),
    u8(9),
    shortstr("correlation"),
    shortstr("reply-here"),
    shortstr("60000"),
    shortstr("message-id"),
    u64(1_700_000_000),
    shortstr("type"),
    shortstr("guest"),
    shortstr("app"),
    shortstr("cluster"),
  ]);
  expect(await throughQueue(properties)).toEqual(properties);
});

test("P6 bytes that are no UTF-8 are passed on as they are, in headers and in properties", async () => {
  const bytes = Buffer.from([0xff, 0xfe, 0x00, 0xc3]);
  const headers = table({ latin: typed("S", longstr(bytes)) });
  const properties = Buffer.concat([u16(0xa080), shortstr(bytes), headers, shortstr(bytes)]);
  expect(await throughQueue(properties)).toEqual(properties);
});

test("N27 arguments of a queue, a binding, an exchange and a consumer may hold every type", async () => {
  const exchange = unique("every-type");
  const { raw, queue } = await withQueue();
  const args = table(EVERY_TYPE);
  await raw.rpc(1, 40, 10, [u16(0), shortstr(exchange), shortstr("direct"), bits(), args]);
  await raw.rpc(1, 50, 10, [u16(0), shortstr(""), EXCLUSIVE, args]);
  await raw.rpc(1, 50, 20, [
    u16(0),
    shortstr(queue),
    shortstr(exchange),
    shortstr("k"),
    bits(),
    args,
  ]);
  await raw.rpc(1, 60, 20, [u16(0), shortstr(queue), shortstr("tag"), bits(), args]);
  raw.sendMethod(1, 60, 40, [u16(0), shortstr(exchange), shortstr("k"), bits()]);
  raw.send(headerFrame(1, 0));
  const delivered = await raw.expectMethod(1, 60, 60);
  expect(delivered.fields.shortstr()).toBe("tag");
});

test("N28 exchange.unbind-ok is method 40.51", async () => {
  const [from, to] = [unique("from"), unique("to")];
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  for (const exchange of [from, to]) {
    const fields = [u16(0), shortstr(exchange), shortstr("fanout"), bits(), table()];
    await raw.rpc(1, 40, 10, fields);
  }
  const binding = [u16(0), shortstr(to), shortstr(from), shortstr(""), bits(), table()];
  await raw.rpc(1, 40, 30, binding, 31);
  await raw.rpc(1, 40, 40, binding, 51);
});

test("N28 queue.unbind has no nowait flag before its arguments", async () => {
  const { raw, queue } = await withQueue();
  const binding = [u16(0), shortstr(queue), shortstr("amq.direct"), shortstr("k")];
  await raw.rpc(1, 50, 20, [...binding, bits(), table()], 21);
  await raw.rpc(1, 50, 50, [...binding, table()], 51);
});

test("N28 the classes access, confirm and tx are 30, 85 and 90", async () => {
  const raw = await RawClient.connect();
  for (const channel of [1, 2, 3]) await raw.openChannel(channel);
  await raw.rpc(1, 30, 10, [shortstr("/data"), bits()], 11);
  await raw.rpc(2, 85, 10, [bits()], 11);
  await raw.rpc(3, 90, 10, [], 11);
  await raw.rpc(3, 90, 20, [], 21);
  await raw.rpc(3, 90, 30, [], 31);
});
