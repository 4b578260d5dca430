/**
 * The opening and the closing of a connection: protocol header, server properties, login, tuning, vhost,
 * heartbeats. Reference rows N1 to N8, N10, N18, N22 and A1 to A3.
 */
import { beforeAll, expect, test } from "vitest";
import { connect, isOldRabbitMQ } from "./harness.ts";
import {
  FRAME_HEARTBEAT,
  frame,
  longstr,
  PROTOCOL_HEADER,
  RawClient,
  type RawCloseReason,
  shortstr,
  table,
  typed,
  u8,
  u16,
  u32,
} from "./raw-client.ts";

/** The socket on which nothing is ever said; the last test of this file waits for its end. */
let silent: RawClient;

beforeAll(async () => {
  silent = await RawClient.tcp();
});

/** A connection that has come as far as connection.start. */
async function started(): Promise<RawClient> {
  const raw = await RawClient.tcp();
  await raw.start();
  return raw;
}

/** A connection that has come as far as connection.tune. */
async function tuned(): Promise<RawClient> {
  const raw = await started();
  raw.startOk();
  await raw.readTune();
  return raw;
}

/**
 * RabbitMQ 3.10 answers most errors of the handshake with three seconds of silence and then the end of the
 * socket: the close method it has ready is not sent. Saying what is wrong is what the protocol asks for.
 */
async function expectRefusal(raw: RawClient, reason: RawCloseReason): Promise<void> {
  if (!(await isOldRabbitMQ())) expect(await raw.expectClose()).toEqual(reason);
  await raw.untilEnd();
}

test("N1 the header of AMQP 0-9 is taken as that of 0-9-1", async () => {
  const raw = await RawClient.tcp();
  raw.send(Buffer.from("AMQP\x01\x01\x00\x09", "latin1"));
  await raw.expectMethod(0, 10, 10);
});

test("N1 a protocol header of another 0-9 revision is answered with the one that is spoken, then the end", async () => {
  const raw = await RawClient.tcp();
  raw.send(Buffer.from("AMQP\x00\x00\x09\x02", "latin1"));
  expect(await raw.readBytes(8)).toEqual(PROTOCOL_HEADER);
  await raw.untilEnd();
});

test("N1 the header of AMQP 0-8 is answered with the one that is spoken, then the end", async () => {
  const raw = await RawClient.tcp();
  raw.send(Buffer.from("AMQP\x01\x01\x08\x00", "latin1"));
  if (await isOldRabbitMQ()) {
    // RabbitMQ 3.10 still speaks it.
    const start = await raw.expectMethod(0, 10, 10);
    expect([start.fields.u8(), start.fields.u8()]).toEqual([8, 0]);
    return;
  }
  expect(await raw.readBytes(8)).toEqual(PROTOCOL_HEADER);
  await raw.untilEnd();
});

test.each([
  ["an HTTP request", "GET / HTTP/1.1\r\n\r\n"],
  ["a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01"],
  ["AMQP with a letter wrong", "AMQQ\x00\x00\x09\x01"],
  ["AMQP 2.1", "AMQP\x02\x01\x00\x00"],
  ["AMQP 1.0", "AMQP\x00\x01\x00\x00"],
  ["AMQP 1.0 with SASL", "AMQP\x03\x01\x00\x00"],
])("N1 %s is answered with a protocol header, then the end", async (_what, bytes) => {
  const raw = await RawClient.tcp();
  raw.send(Buffer.from(bytes, "latin1"));
  const answer = await raw.readBytes(8);
  // A broker that also speaks AMQP 1.0, such as RabbitMQ 4, names the header of that.
  expect([PROTOCOL_HEADER, Buffer.from("AMQP\x03\x01\x00\x00", "latin1")]).toContainEqual(answer);
  await raw.untilEnd();
});

test("N1 a protocol header that comes byte by byte is understood", async () => {
  const raw = await RawClient.tcp();
  for (const byte of PROTOCOL_HEADER) raw.send(u8(byte));
  await raw.expectMethod(0, 10, 10);
});

test("N2 the server properties say what client libraries branch on", async () => {
  const { connection } = await connect();
  const properties = connection.connection.serverProperties as unknown as Record<string, unknown>;
  expect(properties).toMatchObject({
    product: "RabbitMQ",
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    platform: expect.any(String),
    copyright: expect.any(String),
    information: expect.any(String),
    cluster_name: expect.stringMatching(/./),
  });
  expect(properties).toHaveProperty("capabilities", {
    publisher_confirms: true,
    exchange_exchange_bindings: true,
    "basic.nack": true,
    consumer_cancel_notify: true,
    "connection.blocked": true,
    consumer_priorities: true,
    authentication_failure_close: true,
    per_consumer_qos: true,
    direct_reply_to: true,
  });
});

test("N3 connection.start offers version 0-9, PLAIN, AMQPLAIN and ANONYMOUS, and the locale en_US", async () => {
  const raw = await RawClient.tcp();
  const start = await raw.start();
  expect([start.u8(), start.u8()]).toEqual([0, 9]);
  start.table();
  const mechanisms = ["PLAIN", "AMQPLAIN", ...((await isOldRabbitMQ()) ? [] : ["ANONYMOUS"])];
  expect(start.longstr().split(" ")).toEqual(expect.arrayContaining(mechanisms));
  expect(start.longstr()).toBe("en_US");
});

test("N4 client properties may hold any type of field, and tables in tables", async () => {
  const clientProperties = table({
    product: typed("S", longstr("a test")),
    "": typed("V"),
    capabilities: typed("F", table({ "basic.nack": typed("t", u8(1)), no: typed("V") })),
    list: typed("A", longstr(Buffer.concat([typed("I", u32(7)), typed("d", Buffer.alloc(8))]))),
  });
  const raw = await RawClient.connect({ clientProperties });
  await raw.expectAlive();
});

test("N3 with ANONYMOUS one is logged in as guest, whatever one says", async ({ skip }) => {
  skip(await isOldRabbitMQ(), "3.10 does not know it");
  const raw = await started();
  const response = longstr("a trace, or nothing");
  raw.sendMethod(0, 10, 11, [table(), shortstr("ANONYMOUS"), response, shortstr("en_US")]);
  await raw.readTune();
});

test("N3 a locale that is not offered is taken all the same", async () => {
  const raw = await started();
  const response = longstr("\0guest\0guest");
  raw.sendMethod(0, 10, 11, [table(), shortstr("PLAIN"), response, shortstr("xx_XX")]);
  await raw.readTune();
});

test.each([
  ["without its first zero byte", "guest\0guest"],
  ["without its second zero byte", "\0guest"],
  ["with an authorization id", "me\0guest\0guest"],
  ["with a zero byte in the password", "\0guest\0guest\0"],
  ["of nothing", ""],
])("A1 a PLAIN response %s is a syntax error", async (_what, response) => {
  const raw = await started();
  raw.sendMethod(0, 10, 11, [table(), shortstr("PLAIN"), longstr(response), shortstr("en_US")]);
  await expectRefusal(raw, {
    code: 502,
    text: `SYNTAX_ERROR - response <<${[...Buffer.from(response)].join()}>> invalid`,
    classId: 10,
    methodId: 11,
  });
});

test("A2 AMQPLAIN logs in with a table that has no length in front", async () => {
  const raw = await started();
  const response = table({
    LOGIN: typed("S", longstr("guest")),
    PASSWORD: typed("S", longstr("guest")),
  }).subarray(4);
  raw.sendMethod(0, 10, 11, [table(), shortstr("AMQPLAIN"), longstr(response), shortstr("en_US")]);
  await raw.readTune();
});

test("A3 a wrong password closes with 403 when the client can be told so", async () => {
  const raw = await started();
  const capabilities = table({ authentication_failure_close: typed("t", u8(1)) });
  const clientProperties = table({ capabilities: typed("F", capabilities) });
  raw.startOk({ password: "wrong", clientProperties });
  expect(await raw.expectClose()).toEqual({
    code: 403,
    text: "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
    classId: 0,
    methodId: 0,
  });
  await raw.untilEnd();
});

test("A2 A3 a name that nobody has is refused in the same words, with the mechanism's name", async () => {
  const raw = await started();
  const capabilities = table({ authentication_failure_close: typed("t", u8(1)) });
  const response = table({
    LOGIN: typed("S", longstr("nobody")),
    PASSWORD: typed("S", longstr("guest")),
  }).subarray(4);
  raw.sendMethod(0, 10, 11, [
    table({ capabilities: typed("F", capabilities) }),
    shortstr("AMQPLAIN"),
    longstr(response),
    shortstr("en_US"),
  ]);
  expect((await raw.expectClose()).text).toBe(
    "ACCESS_REFUSED - Login was refused using authentication mechanism AMQPLAIN. For details see the broker logfile.",
  );
});

test("A1 A3 a wrong password, an unknown mechanism and a malformed response end the connection", async () => {
  const [password, mechanism, response] = [await started(), await started(), await started()];
  password.startOk({ password: "wrong" });
  mechanism.sendMethod(0, 10, 11, [table(), shortstr("FOO"), longstr("x"), shortstr("en_US")]);
  response.sendMethod(0, 10, 11, [table(), shortstr("PLAIN"), longstr("x"), shortstr("en_US")]);
  await password.untilEnd();
  await expectRefusal(mechanism, {
    code: 503,
    text: "COMMAND_INVALID - unknown authentication mechanism 'FOO'",
    classId: 10,
    methodId: 11,
  });
  await expectRefusal(response, {
    code: 502,
    text: 'SYNTAX_ERROR - response <<"x">> invalid',
    classId: 10,
    methodId: 11,
  });
});

test("N6 connection.tune offers 2047 channels, and no other number of them above is agreed to", async () => {
  const [unlimited, higher] = [await tuned(), await tuned()];
  expect(unlimited.tune.channelMax).toBe(2047);
  unlimited.tuneOk({ channelMax: 0 });
  higher.tuneOk({ channelMax: 2048 });
  const text = (what: string) =>
    `NOT_ALLOWED - negotiated channel_max = ${what} is higher than the maximum allowed value (2047)`;
  await expectRefusal(unlimited, {
    code: 530,
    text: text("0 (no limit)"),
    classId: 10,
    methodId: 30,
  });
  await expectRefusal(higher, { code: 530, text: text("2048"), classId: 10, methodId: 30 });
});

test("N7 connection.tune offers frames of 131072 bytes, and neither more nor fewer than 4096 are agreed to", async () => {
  const [unlimited, higher, lower] = [await tuned(), await tuned(), await tuned()];
  expect(unlimited.tune.frameMax).toBe(131_072);
  unlimited.tuneOk({ frameMax: 0 });
  higher.tuneOk({ frameMax: 131_073 });
  lower.tuneOk({ frameMax: 4095 });
  const reason = (text: string) => ({
    code: 530,
    text: `NOT_ALLOWED - negotiated frame_max = ${text}`,
    classId: 10,
    methodId: 30,
  });
  const high = "is higher than the maximum allowed value (131072)";
  await expectRefusal(unlimited, reason(`0 ${high}`));
  await expectRefusal(higher, reason(`131073 ${high}`));
  await expectRefusal(lower, reason("4095 is lower than the minimum allowed value (4096)"));
});

test("N7 the smallest frames agreed to hold for what the server sends", async () => {
  const raw = await RawClient.connect({ tune: { frameMax: 4096 } });
  await raw.openChannel();
  const queue = (await raw.rpc(1, 50, 10, [u16(0), shortstr(""), u8(0b1100), table()])).shortstr();
  raw.sendMethod(1, 60, 40, [u16(0), shortstr(""), shortstr(queue), u8(0)]);
  raw.send(frame(2, 1, Buffer.concat([u16(60), u16(0), u32(0), u32(5000), u16(0)])));
  raw.send(frame(3, 1, Buffer.alloc(4000, "a")));
  raw.send(frame(3, 1, Buffer.alloc(1000, "b")));
  await raw.rpc(1, 60, 70, [u16(0), shortstr(queue), u8(1)]);
  const [header, first, second] = [
    await raw.readFrame(),
    await raw.readFrame(),
    await raw.readFrame(),
  ];
  expect(header?.type).toBe(2);
  // A body frame may hold frame_max less the eight bytes around it.
  expect([first?.payload.length, second?.payload.length]).toEqual([4088, 912]);
});

test("N8 the server beats when idle, drops a peer that is not heard, and hears any frame", async () => {
  const deaf = await RawClient.connect({ tune: { heartbeat: 1 } });
  const lively = await RawClient.connect({ tune: { heartbeat: 1 } });
  expect(deaf.tune.heartbeat).toBe(60);
  let beats = 0;
  const answering = (async () => {
    for (;;) {
      const received = await lively.readFrame();
      if (received?.type !== FRAME_HEARTBEAT) return received;
      beats += 1;
      lively.send(frame(FRAME_HEARTBEAT, 0, Buffer.alloc(0)));
    }
  })();
  for (;;) {
    const received = await deaf.readFrame();
    if (received === undefined) break;
    expect(received).toEqual({ type: FRAME_HEARTBEAT, channel: 0, payload: Buffer.alloc(0) });
  }
  expect(beats).toBeGreaterThanOrEqual(2);
  lively.sendMethod(1, 20, 10, shortstr(""));
  expect((await answering)?.payload.subarray(0, 4)).toEqual(Buffer.concat([u16(20), u16(11)]));
});

test("N8 an interval of zero agrees on no heartbeats", async () => {
  const quiet = await RawClient.connect({ tune: { heartbeat: 0 } });
  const beating = await RawClient.connect({ tune: { heartbeat: 1 } });
  expect((await beating.readFrame())?.type).toBe(FRAME_HEARTBEAT);
  expect((await beating.readFrame())?.type).toBe(FRAME_HEARTBEAT);
  quiet.sendMethod(1, 20, 10, shortstr(""));
  expect((await quiet.readFrame())?.type).toBe(1);
});

test("N10 connection.open-ok names no known hosts", async () => {
  const raw = await tuned();
  raw.tuneOk();
  raw.open("/");
  expect((await raw.expectMethod(0, 10, 41)).fields.shortstr()).toBe("");
});

test("N10 a vhost that does not exist closes with 530", async () => {
  const raw = await tuned();
  raw.tuneOk();
  raw.open("nowhere");
  expect(await raw.expectClose()).toEqual({
    code: 530,
    text: "NOT_ALLOWED - vhost nowhere not found",
    classId: 10,
    methodId: 40,
  });
  await raw.untilEnd();
});

test("N15 methods of the handshake out of turn end the connection", async () => {
  const [channelFirst, noTuneOk, notConnection] = [await started(), await tuned(), await started()];
  channelFirst.sendMethod(1, 20, 10, shortstr(""));
  noTuneOk.open();
  notConnection.sendMethod(0, 50, 10, [u16(0), shortstr("q"), u8(0), table()]);
  await expectRefusal(channelFirst, {
    code: 505,
    text: "UNEXPECTED_FRAME - type 1, all octets = <<0,20,0,10,0>>",
    classId: 0,
    methodId: 0,
  });
  const reason = (state: string, classId: number, methodId: number) => ({
    code: 504,
    text: `CHANNEL_ERROR - unexpected method in connection state ${state}`,
    classId,
    methodId,
  });
  await expectRefusal(noTuneOk, reason("tuning", 10, 40));
  await expectRefusal(notConnection, reason("starting", 50, 10));
});

test("N18 connection.close is answered with close-ok, and what follows it is dropped", async () => {
  const raw = await RawClient.connect();
  raw.sendMethod(0, 10, 50, [u16(200), shortstr("bye"), u32(0)]);
  raw.sendMethod(1, 20, 10, shortstr(""));
  expect(await raw.readFrame()).toEqual({
    type: 1,
    channel: 0,
    payload: Buffer.concat([u16(10), u16(51)]),
  });
  // RabbitMQ 3.10 leaves it to the client to close the socket, for half a minute or a heartbeat.
  if (await isOldRabbitMQ()) raw.endSending();
  await raw.untilEnd();
  expect(await raw.readFrame()).toBeUndefined();
});

test("N18 after its own close the server ignores everything but close and close-ok", async () => {
  const raw = await RawClient.connect();
  raw.sendMethod(0, 20, 10, shortstr(""));
  const reason = await raw.readClose();
  expect(reason.code).toBe(504);
  raw.sendMethod(1, 20, 10, shortstr(""));
  raw.sendMethod(0, 10, 51);
  expect(await raw.readFrame()).toBeUndefined();
});

test("N22 connection.update-secret is accepted", async () => {
  const { connection } = await connect();
  await connection.updateSecret(Buffer.from("guest"), "it was time");
});

test("N5 a client that says nothing is disconnected after ten seconds", {
  timeout: 25_000,
}, async () => {
  await silent.untilEnd(20_000);
  expect(await silent.readFrame()).toBeUndefined();
});
