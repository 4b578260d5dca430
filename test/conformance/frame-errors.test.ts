/**
 * What the server says to frames that are damaged, or come where they may not: always a connection.close,
 * in RabbitMQ's words, with the ids of the method at fault. Reference rows N9, N11 to N16, N19, N20.
 */
import { expect, test } from "vitest";
import { isOldRabbitMQ } from "./harness.ts";
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
  typed,
  u8,
  u16,
  u32,
  u64,
} from "./raw-client.ts";

async function withChannel(): Promise<RawClient> {
  const raw = await RawClient.connect();
  await raw.openChannel(1);
  return raw;
}

type Expected = [code: number, text: string, classId?: number, methodId?: number];

async function expectClosed(raw: RawClient, expected: Expected): Promise<void> {
  const [code, text, classId = 0, methodId = 0] = expected;
  expect(await raw.expectClose()).toEqual({ code, text, classId, methodId });
  await raw.untilEnd();
}

/** Sends the bytes on a connection with channel 1 open, and holds the close method against `expected`. */
async function expectAnswer(bytes: Buffer | Buffer[], expected: Expected): Promise<void> {
  const raw = await withChannel();
  raw.send(Buffer.concat([bytes].flat()));
  await expectClosed(raw, expected);
}

const declareX = methodFrame(1, 50, 10, u16(0), shortstr("x"), bits(), table());
const publish = publishFrame(1, "", "x");

function frameStart(type: number, channel: number, payloadLength: number): Buffer {
  return Buffer.concat([u8(type), u16(channel), u32(payloadLength)]);
}

// Damaged frames

test.each<[string, Buffer, Expected]>([
  [
    "few and printable",
    frame(9, 1, Buffer.from("xyz")),
    [501, 'FRAME_ERROR - type 9, all octets = <<"xyz">>: unknown_frame'],
  ],
  [
    "few and not printable",
    frame(9, 0, Buffer.from([0, 1, 255])),
    [501, "FRAME_ERROR - type 9, all octets = <<0,1,255>>: unknown_frame"],
  ],
  [
    "many",
    frame(4, 1, Buffer.from("abcdefghijklmnopqrstuvwxyz")),
    [501, 'FRAME_ERROR - type 4, first 16 octets = <<"abcdefghijklmnop">>: unknown_frame'],
  ],
])(
  "N11 an unknown frame type is a frame error that shows its octets: %s",
  async (_, bytes, expected) => {
    await expectAnswer(bytes, expected);
  },
);

test("N11 a frame without its end octet is a frame error that names the octet found", async () => {
  // At once, because RabbitMQ waits three seconds after its close for such a connection.
  await Promise.all([
    expectAnswer(
      [frameStart(3, 1, 2), Buffer.from("ab"), u8(7)],
      [501, 'FRAME_ERROR - type 3, all octets = <<"ab">>: {invalid_frame_end_marker,7}'],
    ),
    expectAnswer(
      [frameStart(1, 1, 20), Buffer.alloc(20, "q"), u8(0)],
      [
        501,
        'FRAME_ERROR - type 1, first 16 octets = <<"qqqqqqqqqqqqqqqq">>: {invalid_frame_end_marker,0}',
      ],
    ),
  ]);
});

test("N11 a frame above the agreed size is refused before its payload arrives", async () => {
  await Promise.all([
    // The payload may have frame_max bytes: the eight around it are let pass.
    expectAnswer(frameStart(3, 1, 131_073), [
      501,
      "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,131073,131064}",
    ]),
    expectAnswer(frameStart(77, 0, 0xffff_ffff), [
      501,
      "FRAME_ERROR - type 77, all octets = <<>>: {frame_too_large,4294967295,131064}",
    ]),
  ]);
});

test("N11 a payload of the agreed size is let pass, with the eight bytes around it", async () => {
  const raw = await withChannel();
  const queue = (await raw.rpc(1, 50, 10, [u16(0), shortstr(""), u8(0b1100), table()])).shortstr();
  const body = Buffer.alloc(131_072, "x");
  raw.send(Buffer.concat([publishFrame(1, "", queue), headerFrame(1, body.length)]));
  raw.send(frame(3, 1, body));
  raw.sendMethod(1, 60, 70, [u16(0), shortstr(queue), bits(true)]);
  await raw.expectMethod(1, 60, 71);
});

test("N11 the size limit is the one agreed upon, not the one offered", async () => {
  const raw = await RawClient.connect({ tune: { frameMax: 5000 } });
  raw.send(frameStart(1, 0, 5001));
  await expectClosed(raw, [
    501,
    "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,5001,4992}",
  ]);
});

test("N11 frames before the login may not be larger than the initial maximum", async () => {
  const raw = await RawClient.tcp();
  await raw.start();
  raw.send(frameStart(1, 0, 20_000));
  // RabbitMQ 3.10 keeps the reason to itself.
  const expected = (await isOldRabbitMQ()) ? undefined : 501;
  expect(await raw.closeCodeOrEnd()).toBe(expected);
  await raw.untilEnd();
});

test("N9 a heartbeat has no payload and belongs to channel 0", async () => {
  await expectAnswer(frame(8, 1, Buffer.alloc(0)), [
    505,
    "UNEXPECTED_FRAME - type 8, all octets = <<>>",
  ]);
  await expectAnswer(frame(8, 0, Buffer.from("x")), [
    501,
    'FRAME_ERROR - type 8, all octets = <<"x">>: unknown_frame',
  ]);
});

test("N9 a heartbeat between the frames of a message does not disturb it", async () => {
  const raw = await withChannel();
  raw.send(publish);
  raw.send(frame(8, 0, Buffer.alloc(0)));
  raw.send(headerFrame(1, 2));
  raw.send(frame(8, 0, Buffer.alloc(0)));
  raw.send(frame(3, 1, Buffer.from("ab")));
  await raw.expectAlive();
});

test("N11 a method frame too short for its ids, or a header too short for its fields, is a frame error", async () => {
  await expectAnswer(frame(1, 1, Buffer.alloc(0)), [
    501,
    "FRAME_ERROR - type 1, all octets = <<>>: unknown_frame",
  ]);
  await expectAnswer(frame(1, 1, Buffer.alloc(3)), [
    501,
    "FRAME_ERROR - type 1, all octets = <<0,0,0>>: unknown_frame",
  ]);
  await expectAnswer(
    [publish, frame(2, 1, u16(60))],
    [501, "FRAME_ERROR - type 2, all octets = <<0,60>>: unknown_frame"],
  );
});

// Frames out of order

test.each<[string, Buffer[], Expected]>([
  [
    "a method where a content header is due",
    [publish, declareX],
    [
      505,
      "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
      60,
      40,
    ],
  ],
  [
    "a body where a content header is due",
    [publish, frame(3, 1, Buffer.from("x"))],
    [
      505,
      "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
      60,
      40,
    ],
  ],
  [
    "a content header of another class",
    [publish, frame(2, 1, Buffer.concat([u16(50), u16(0), u64(0), u16(0)]))],
    [
      505,
      "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
      60,
      40,
    ],
  ],
  [
    "a content header whose weight is not zero",
    [publish, frame(2, 1, Buffer.concat([u16(60), u16(7), u64(0), u16(0)]))],
    [
      505,
      "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
      60,
      40,
    ],
  ],
  [
    "a method where a content body is due",
    [publish, headerFrame(1, 5), declareX],
    [505, "UNEXPECTED_FRAME - expected content body, got non content body frame instead", 60, 40],
  ],
  [
    "a content header where a content body is due",
    [publish, headerFrame(1, 5), headerFrame(1, 5)],
    [505, "UNEXPECTED_FRAME - expected content body, got non content body frame instead", 60, 40],
  ],
  [
    "a content header out of nowhere",
    [headerFrame(1, 0)],
    [505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead"],
  ],
  [
    "a content body out of nowhere",
    [frame(3, 1, Buffer.from("x"))],
    [505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead"],
  ],
  [
    "a content body on a channel that is not open",
    [frame(3, 5, Buffer.from("x"))],
    [505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead"],
  ],
  [
    "a content body on channel 0",
    [frame(3, 0, Buffer.from("x"))],
    [505, 'UNEXPECTED_FRAME - type 3, all octets = <<"x">>'],
  ],
  [
    "a content header on channel 0",
    [headerFrame(0, 0)],
    [505, "UNEXPECTED_FRAME - type 2, all octets = <<0,60,0,0,0,0,0,0,0,0,0,0,0,0>>"],
  ],
])("N12 %s is an unexpected frame", async (_, frames, expected) => {
  await expectAnswer(frames, expected);
});

test("N12 the contents of two channels may be interleaved", async () => {
  const raw = await withChannel();
  await raw.openChannel(2);
  const queue = (await raw.rpc(1, 50, 10, [u16(0), shortstr(""), u8(0b1100), table()])).shortstr();
  raw.send(publishFrame(1, "", queue));
  raw.send(publishFrame(2, "", queue));
  raw.send(headerFrame(2, 2));
  raw.send(headerFrame(1, 2));
  raw.send(frame(3, 1, Buffer.from("a")));
  raw.send(frame(3, 2, Buffer.from("b")));
  raw.send(frame(3, 1, Buffer.alloc(0)));
  raw.send(frame(3, 2, Buffer.from("b")));
  await raw.expectAlive(2 + 1);
  raw.send(frame(3, 1, Buffer.from("a")));
  const bodies: string[] = [];
  while (bodies.length < 2) {
    raw.sendMethod(1, 60, 70, [u16(0), shortstr(queue), bits(true)]);
    const answer = await raw.readFrame();
    if (answer?.payload.readUInt16BE(2) === 72) continue;
    await raw.readFrame();
    bodies.push(String((await raw.readFrame())?.payload));
  }
  expect(bodies).toEqual(["bb", "aa"]);
});

test("N13 more content body than the content header announced is a frame error", async () => {
  const raw = await withChannel();
  raw.send(Buffer.concat([publish, headerFrame(1, 3), frame(3, 1, Buffer.from("1234"))]));
  if (await isOldRabbitMQ()) {
    // RabbitMQ 3.10 does not notice: it goes on collecting a body that never ends.
    await raw.expectAlive();
    return;
  }
  await expectClosed(raw, [
    501,
    "FRAME_ERROR - content body frame exceeds remaining content size",
    60,
    40,
  ]);
});

test("N13 an announced body above 512 MiB is refused before it arrives", async () => {
  const raw = await withChannel();
  raw.send(Buffer.concat([publish, headerFrame(1, 536_870_913)]));
  if (await isOldRabbitMQ()) {
    // RabbitMQ 3.10 looks at the size only when the whole body is there.
    await raw.expectAlive();
    return;
  }
  await expectClosed(raw, [
    501,
    "FRAME_ERROR - content body size 536870913 exceeds maximum allowed size 536870912",
    60,
    40,
  ]);
});

// Methods that cannot be decoded, or that nobody implements

test("N14 fields cut short, or with bytes left over, cannot be decoded", async () => {
  await expectAnswer(methodFrame(1, 50, 10, u16(0), shortstr("x")), [
    501,
    "FRAME_ERROR - cannot decode <<0,0,1,120>>",
    50,
    10,
  ]);
  await expectAnswer(methodFrame(1, 60, 10, u32(0), u16(0), bits(), Buffer.from("ab")), [
    501,
    "FRAME_ERROR - cannot decode <<0,0,0,0,0,0,0,97,98>>",
    60,
    10,
  ]);
});

test("N14 a table longer than its method cannot be decoded", async () => {
  await expectAnswer(methodFrame(1, 50, 10, u16(0), shortstr("x"), bits(), u32(50), u8(1)), [
    501,
    "FRAME_ERROR - cannot decode <<0,0,1,120,0,0,0,0,50,1>>",
    50,
    10,
  ]);
});

test("N14 a short string that is no UTF-8 is a frame error", async () => {
  const bytes = Buffer.from([0xff, 0xfe]);
  await expectAnswer(methodFrame(1, 50, 10, u16(0), shortstr(bytes), bits(), table()), [
    501,
    "FRAME_ERROR - Malformed UTF-8 in shortstr",
  ]);
});

test.each([
  ["an unknown field type", table({ a: typed("Q", u8(1)) })],
  ["a key that runs past the table's end", longstr(Buffer.from([50, 65, 66]))],
  ["a value that runs past the table's end", table({ a: typed("S", u32(9)) })],
  ["a table in a table that runs past its end", table({ a: typed("F", u32(9)) })],
])("N14 %s ends the connection", async (_, badTable) => {
  const raw = await withChannel();
  raw.sendMethod(1, 50, 10, [u16(0), shortstr("x"), bits(), badTable]);
  const code = await raw.closeCodeOrEnd();
  // In RabbitMQ 3.10 the reader crashes over most of these, without a last word.
  if (!(await isOldRabbitMQ())) expect([501, 502]).toContain(code);
  await raw.untilEnd();
});

test.each([
  ["properties cut short", Buffer.concat([u16(0x8000), u8(200), u8(1)])],
  ["bytes behind the properties", Buffer.concat([u16(0), u8(200), u8(1)])],
  ["a header of an unknown type", Buffer.concat([u16(0x2000), table({ a: typed("Q", u8(1)) })])],
  ["a header table cut short", Buffer.concat([u16(0x2000), u32(100), u8(1)])],
])("N14 a content header with %s ends the connection", async (_, properties) => {
  const raw = await withChannel();
  raw.send(Buffer.concat([publish, headerFrame(1, 0, properties)]));
  // RabbitMQ calls it an internal error of its own: the channel's process crashes over them.
  expect([501, 502, 541]).toContain(await raw.closeCodeOrEnd());
  await raw.untilEnd();
});

test.each([
  [99, 10],
  [50, 99],
])("N15 the unknown method %i.%i ends the connection", async (classId, methodId) => {
  const raw = await withChannel();
  raw.sendMethod(1, classId, methodId);
  if (!(await isOldRabbitMQ())) {
    // RabbitMQ 3.10 drops the socket without a word.
    expect(await raw.expectClose()).toEqual({
      code: 503,
      text: "COMMAND_INVALID - unimplemented method",
      classId,
      methodId,
    });
  }
  await raw.untilEnd();
});

test.each<[string, number, number, Buffer[]]>([
  ["channel.open-ok", 20, 11, [longstr("")]],
  ["channel.flow-ok", 20, 21, [bits(true)]],
  ["queue.declare-ok", 50, 11, [shortstr("x"), u32(0), u32(0)]],
  ["basic.consume-ok", 60, 21, [shortstr("x")]],
  ["tx.select-ok", 90, 11, []],
  ["connection.close", 10, 50, [u16(200), shortstr(""), u32(0)]],
  ["connection.start-ok", 10, 11, [table(), shortstr("PLAIN"), longstr(""), shortstr("")]],
])("N15 %s is not for clients to send on a channel", async (_, classId, methodId, fields) => {
  await expectAnswer(methodFrame(1, classId, methodId, ...fields), [
    503,
    "COMMAND_INVALID - unimplemented method",
    classId,
    methodId,
  ]);
});

test("N15 a method with content that only servers send is unimplemented once its content is there", async () => {
  const fields = [u16(312), shortstr("x"), shortstr("x"), shortstr("")];
  await expectAnswer(
    [methodFrame(1, 60, 50, ...fields), headerFrame(1, 0)],
    [503, "COMMAND_INVALID - unimplemented method", 60, 50],
  );
});

test.each<[string, number, number, Buffer[]]>([
  ["connection.open", 10, 40, [shortstr("/"), shortstr(""), bits()]],
  ["connection.tune-ok", 10, 31, [u16(10), u32(4096), u16(0)]],
  ["connection.close-ok", 10, 51, []],
  ["connection.blocked", 10, 60, [shortstr("x")]],
  ["channel.open", 20, 10, [shortstr("")]],
  ["queue.declare", 50, 10, [u16(0), shortstr("x"), bits(), table()]],
])("N15 %s on channel 0 of an open connection closes it", async (_, classId, methodId, fields) => {
  await expectAnswer(methodFrame(0, classId, methodId, ...fields), [
    504,
    "CHANNEL_ERROR - unexpected method in connection state running",
    classId,
    methodId,
  ]);
});

// Channels that are not open

test("N16 a method on a channel that is not open closes the connection with 504", async () => {
  const expected = (classId: number, methodId: number): Expected => [
    504,
    "CHANNEL_ERROR - expected 'channel.open'",
    classId,
    methodId,
  ];
  const declare = methodFrame(5, 50, 10, u16(0), shortstr("x"), bits(), table());
  await expectAnswer(declare, expected(50, 10));
  await expectAnswer([publishFrame(5, "", "x"), headerFrame(5, 0)], expected(60, 40));
  await expectAnswer(methodFrame(5, 20, 40, u16(200), shortstr(""), u32(0)), expected(20, 40));
  await expectAnswer(methodFrame(5, 20, 41), expected(20, 41));
});

test("N16 opening a channel that is open closes the connection with 504", async () => {
  await expectAnswer(methodFrame(1, 20, 10, shortstr("")), [
    504,
    "CHANNEL_ERROR - second 'channel.open' seen",
    20,
    10,
  ]);
});

// What the close method says

test("N19 a reply text is cut to 255 bytes, the last three of them dots", async () => {
  const name = "q".repeat(255);
  const raw = await withChannel();
  raw.sendMethod(1, 50, 10, [u16(0), shortstr(name), bits(true), table()]);
  const { code, text } = await raw.expectChannelClose(1);
  expect(code).toBe(404);
  expect(text).toBe(`NOT_FOUND - no queue '${"q".repeat(255 - 22 - 3)}...`);
});

test("N19 a reply text is cut between bytes, not between letters", async () => {
  // Two bytes each: the last one that fits does so with its first byte only.
  const name = "ü".repeat(127);
  const raw = await withChannel();
  raw.sendMethod(1, 50, 10, [u16(0), shortstr(name), bits(true), table()]);
  const close = await raw.expectMethod(1, 20, 40);
  close.fields.u16();
  const text = Buffer.from(`NOT_FOUND - no queue '${name}' in vhost '/'`);
  const shown = close.fields.rest();
  expect(shown.subarray(1, 1 + shown.readUInt8())).toEqual(
    Buffer.concat([text.subarray(0, 252), Buffer.from("...")]),
  );
});

test.each<[string, number, Buffer, string, number, number]>([
  ["540", 540, bits(false), "NOT_IMPLEMENTED - active=false", 20, 20],
  ["540", 540, bits(false), "NOT_IMPLEMENTED - requeue=false", 60, 110],
])("N20 %s closes the connection though a channel raised it (%s)", async (...row) => {
  const [, code, fields, text, classId, methodId] = row;
  await expectAnswer(methodFrame(1, classId, methodId, fields), [code, text, classId, methodId]);
});

test("N20 530 closes the connection though a channel raised it", async () => {
  const raw = await withChannel();
  const queue = (await raw.rpc(1, 50, 10, [u16(0), shortstr(""), u8(0b1100), table()])).shortstr();
  const consume = [u16(0), shortstr(queue), shortstr("tag"), bits(), table()];
  await raw.rpc(1, 60, 20, consume);
  raw.sendMethod(1, 60, 20, consume);
  await expectClosed(raw, [530, "NOT_ALLOWED - attempt to reuse consumer tag 'tag'", 60, 20]);
});
