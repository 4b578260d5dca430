/**
 * What the log says of connections: RabbitMQ's words where tools and people know them, one line each, who and why, and what
 * to do about it.
 */
import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { connect } from "amqplib";
import { describe, expect, onTestFinished, test } from "vitest";
import { VirtualClock } from "../../src/clock.ts";
import { Broker, type BrokerOptions } from "../../src/index.ts";
import { prettyLine } from "../../src/log-output.ts";
import { durationText } from "../../src/server/connection-log.ts";
import { LogLines } from "./log-lines.ts";

const NAME = "IP:PORT -> IP:PORT";
const WHO = `${NAME}, vhost: '/', user: 'guest'`;

async function start(options: BrokerOptions = {}) {
  const log = new LogLines();
  const broker = await Broker.start({ port: 0, log, ...options });
  onTestFinished(() => broker.close());
  return { broker, log };
}

async function open(url: string, options: object = {}) {
  const connection = await connect(url, options);
  connection.on("error", () => undefined);
  onTestFinished(() => connection.close().catch(() => undefined));
  return connection;
}

async function openChannel(url: string) {
  const channel = await (await open(url)).createChannel();
  channel.on("error", () => undefined);
  return channel;
}

/** A client that speaks in bytes. */
async function speak(broker: Broker, bytes: string | Buffer): Promise<Socket> {
  const socket = connectTcp(broker.port, "127.0.0.1").resume();
  socket.on("error", () => undefined);
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  socket.write(bytes);
  return socket;
}

describe("G14 a connection in the log", () => {
  test("G14 begins, opens and ends in RabbitMQ's words", async () => {
    const clock = new VirtualClock();
    const { broker, log } = await start({ clock });
    const connection = await open(broker.url);
    clock.advance("125s");
    await connection.close();
    await log.line("closing AMQP connection");
    expect(log.messages).toEqual([
      "started TCP listener on IP:PORT",
      `accepting AMQP connection ${NAME}`,
      `connection ${NAME}: user 'guest' authenticated and granted access to vhost '/'`,
      `closing AMQP connection (${WHO}, duration: '2m, 5s')`,
    ]);
    expect(new Set(log.lines.map(({ level }) => level))).toEqual(new Set(["info"]));
  });

  test("N4 G14 has the name that the client gave itself", async () => {
    const { broker, log } = await start();
    const clientProperties = { connection_name: "the mill" };
    await (await open(broker.url, { clientProperties })).close();
    await log.line("closing AMQP connection");
    expect(log.messages.slice(2)).toEqual([
      `connection ${NAME} - the mill: user 'guest' authenticated and granted access to vhost '/'`,
      expect.stringContaining(`closing AMQP connection (${NAME} - the mill, vhost: '/'`),
    ]);
  });

  test("G14 that is lost is a warning", async () => {
    const { broker, log } = await start();
    // It is not closed afterwards: there is nobody to answer.
    const connection = await connect(broker.url);
    (connection.connection as unknown as { stream: Socket }).stream.destroy();
    const { level } = await log.line("client unexpectedly closed TCP connection");
    expect(level).toBe("warn");
    expect(log.messages.at(-1)).toBe(
      `closing AMQP connection (${WHO}): client unexpectedly closed TCP connection`,
    );
  });

  test("G14 on which nothing was said is for debugging only", async () => {
    const { broker, log } = await start();
    const socket = connectTcp(broker.port, "127.0.0.1");
    await once(socket, "connect");
    socket.end();
    const { level } = await log.line("closed before it began");
    expect(level).toBe("debug");
    expect(log.lines.filter((line) => line.level !== "debug")).toHaveLength(1);
  });
});

describe("who is refused, and why", () => {
  test.each([
    ["GET / HTTP/1.1\r\n\r\n", "this is an HTTP request on the port for AMQP"],
    [Buffer.from("160301020001000161", "hex"), "this is TLS on a port without it: use amqp://"],
    ["AMQP\u0003\u0001\0\0", "the client speaks AMQP 1.0: set it to 0-9-1"],
    ["AMQP\0\u0001\0\0", "the client speaks AMQP 1.0: set it to 0-9-1"],
    ["AMQP\u0001\u0001\u0008\0", "the client speaks another version of AMQP"],
    ["PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "a proxy sends the PROXY protocol"],
    [Buffer.from("100c00044d5154540402003c", "hex"), "this may be MQTT"],
    ["12345678", "AMQP 0-9-1 is spoken here"],
  ])("N1 %j as a protocol header", async (bytes, advice) => {
    const { broker, log } = await start();
    const socket = await speak(broker, bytes);
    await once(socket, "close");
    const { level } = await log.line(advice);
    expect(level).toBe("warn");
    const ends = log.messages.filter((message) => message.startsWith("closing"));
    const begins = `closing AMQP connection (${NAME}): bad protocol header `;
    expect(ends).toEqual([expect.stringContaining(begins)]);
  });

  test("N5 a handshake that takes too long", async () => {
    const { broker, log } = await start({ handshakeTimeoutMs: 50 });
    await once(await speak(broker, "AMQP\0\0\u0009\u0001"), "close");
    await log.line("handshake timeout in state starting");
  });

  test("A3 a login, without the password", async () => {
    const { broker, log } = await start();
    const wrong = broker.url.replace("guest:guest", "guest:s3cret");
    await expect(connect(wrong)).rejects.toThrow("ACCESS_REFUSED");
    const { level } = await log.line("PLAIN login refused: user 'guest' - invalid credentials");
    expect(level).toBe("warn");
    expect(JSON.stringify(log.lines)).not.toContain("s3cret");
  });

  test("N10 a virtual host that is not there, with what a URL would have to say", async () => {
    const { broker, log } = await start();
    await expect(connect(`${broker.url}/nowhere`)).rejects.toThrow();
    await log.line("vhost nowhere not found");
    expect(log.messages.at(-1)).toBe(
      `Error on AMQP connection (${NAME}, state: opening), channel 0: operation connection.open caused a connection exception not_allowed: vhost nowhere not found (in a URL the vhost '/' is written %2F or left out)`,
    );
  });

  test("N10 a virtual host that got the slash of the URL into its name", async () => {
    const { broker, log } = await start({ defaultVhost: "mill" });
    await expect(connect(broker.url.replace(/\/mill$/, "/%2Fmill"))).rejects.toThrow();
    await log.line(
      "(there is 'mill': in a URL its name follows the slash, as in amqp://host/mill)",
    );
  });

  test("N8 missed heartbeats", async () => {
    const clock = new VirtualClock();
    const { broker, log } = await start({ clock, heartbeat: 3600 });
    const connection = await open(`${broker.url}?heartbeat=3600`);
    const closed = new Promise((resolve) => void connection.once("close", resolve));
    // The client lives in real time and has no reason to speak.
    for (let look = 0; look < 6; look++) {
      clock.advance("1800s");
      await turn();
      await turn();
    }
    await closed;
    await log.line("missed heartbeats from client, timeout: 3600s");
    expect(log.messages.at(-1)).toBe(
      `closing AMQP connection (${WHO}): missed heartbeats from client, timeout: 3600s`,
    );
  });
});

describe("errors of clients", () => {
  test("a channel's, with the method and its words", async () => {
    const { broker, log } = await start();
    const channel = await openChannel(broker.url);
    await expect(channel.checkQueue("nope")).rejects.toThrow("NOT_FOUND");
    const { level } = await log.line("Channel error");
    expect(level).toBe("warn");
    expect(log.messages.at(-1)).toBe(
      `Channel error on connection (${WHO}), channel 1: operation queue.declare caused a channel exception not_found: no queue 'nope' in vhost '/'`,
    );
  });

  test("a connection's", async () => {
    const { broker, log } = await start();
    const channel = await openChannel(broker.url);
    await channel.assertQueue("q");
    const consume = () => channel.consume("q", () => undefined, { consumerTag: "tag" });
    await consume();
    await expect(consume()).rejects.toThrow();
    await log.line("Error on AMQP connection");
    expect(log.messages).toContain(
      `Error on AMQP connection (${WHO}, state: running), channel 1: operation basic.consume caused a connection exception not_allowed: attempt to reuse consumer tag 'tag'`,
    );
    await log.line("closing AMQP connection");
  });

  test("a second declaration that differs, with how the first one was", async () => {
    const { broker, log } = await start();
    const first = await openChannel(broker.url);
    await first.assertQueue("q", { maxLength: 10, messageTtl: 1000 });
    await first.assertExchange("x", "fanout", { alternateExchange: "other" });
    const declare = [
      () => openChannel(broker.url).then((channel) => channel.assertQueue("q", { maxLength: 20 })),
      () => openChannel(broker.url).then((channel) => channel.assertExchange("x", "direct")),
    ];
    for (const one of declare) await expect(one()).rejects.toThrow("PRECONDITION_FAILED");
    await log.line(
      /'x-message-ttl' .* \(it exists with the arguments x-m.*: declare it like that, or delete it first\)$/,
    );
    await log.line(
      "received 'direct' but current is 'fanout' (it exists with the arguments alternate-exchange=other: declare",
    );
  });

  test("N25 a shutdown is told as what it is, and is no warning", async () => {
    const { broker, log } = await start();
    await open(broker.url);
    await broker.close();
    const { level } = await log.line("connection_forced");
    expect(level).toBe("info");
    expect(log.messages).toContain(
      `Error on AMQP connection (${WHO}, state: running), channel 0: operation none caused a connection exception connection_forced: broker forced connection closure with reason 'shutdown'`,
    );
  });
});

describe("how things are written", () => {
  test.each([
    [0, "0ms"],
    [999, "999ms"],
    [1000, "1s"],
    [276_000, "4m, 36s"],
    [90_061_000, "1d, 1h, 1m, 1s"],
  ])("a duration of %i ms is %s", (durationMs, text) => {
    expect(durationText(durationMs)).toBe(text);
  });

  test("a line for people has the fields that the message does not name", () => {
    const fields = { vhost: "/", messages: 3, damage: { bytes: 5 } };
    const json = JSON.stringify({ level: 40, time: 0, ...fields, msg: "3 messages are back" });
    const plain = '1970-01-01 00:00:00.000 [warn] 3 messages are back vhost=/ damage={"bytes":5}\n';
    expect(prettyLine(json, false)).toBe(plain);
    expect(prettyLine(json, true)).toContain("[\u001b[33mwarn\u001b[0m]");
  });
});
