/** An embedded broker as the people who embed it see it: starting, time in hand, closing. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect as tcpConnect } from "node:net";
import { type Channel, type ChannelModel, type ConfirmChannel, connect } from "amqplib";
import { describe, expect, onTestFinished, test } from "vitest";
import { FrameParser } from "../src/amqp/frame-parser.ts";
import { decodeMethod } from "../src/amqp/method-codec.ts";
import type { Method, MethodArguments } from "../src/amqp/methods.ts";
import { Output } from "../src/amqp/output.ts";
import { Broker, type BrokerOptions, VirtualClock, version } from "../src/index.ts";

async function start(options: BrokerOptions = {}): Promise<Broker> {
  const broker = await Broker.start({ port: 0, ...options });
  onTestFinished(() => broker.close());
  return broker;
}

/** An amqplib connection, closed after the test, whose end is no uncaught error. */
async function client(url: string): Promise<ChannelModel> {
  const connection = await connect(url);
  connection.on("error", () => undefined);
  onTestFinished(async () => {
    await connection.close().catch(() => undefined);
  });
  return connection;
}

async function confirmChannel(url: string): Promise<ConfirmChannel> {
  return (await client(url)).createConfirmChannel();
}

async function drain(channel: Channel, queue: string): Promise<string[]> {
  const bodies: string[] = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (message === false) return bodies;
    bodies.push(message.content.toString());
  }
}

test("the version is the package's", async () => {
  const manifest = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));
  expect(version).toBe(manifest.version);
});

/** What a client is offered in connection.tune, once it has said who it is. */
async function tuneOffer(port: number): Promise<MethodArguments<"connection.tune">> {
  const socket = tcpConnect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  const methods: Method[] = [];
  const ignore = () => undefined;
  const parser = new FrameParser(
    {
      onMethodFrame: (_channel, ...range) => void methods.push(decodeMethod(...range)),
      ...{ onHeaderFrame: ignore, onBodyBytes: ignore, onHeartbeat: ignore },
    },
    8192,
  );
  socket.on("data", (chunk: Buffer) => parser.push(chunk));
  socket.write("AMQP\0\0\u0009\u0001");
  const said = new Output(8192);
  const response = Buffer.from("\0guest\0guest");
  const startOk = { clientProperties: new Map(), mechanism: "PLAIN", response, locale: "en_US" };
  said.method(0, "connection.start-ok", startOk);
  await once(socket, "data");
  socket.write(Buffer.concat(said.take().parts));
  await once(socket, "data");
  const tune = methods.at(-1);
  if (tune?.name !== "connection.tune") throw new Error(`it said ${tune?.name}`);
  return tune.arguments;
}

describe("a broker that starts", () => {
  test("A14 on port 0 listens where its url says, on loopback", async () => {
    const broker = await start();
    expect(broker.port).toBeGreaterThan(0);
    expect(broker.host).toBe("127.0.0.1");
    expect(broker.url).toBe(`amqp://guest:guest@127.0.0.1:${broker.port}`);
    const channel = await confirmChannel(broker.url);
    await channel.assertQueue("q");
    channel.sendToQueue("q", Buffer.from("hello"));
    await channel.waitForConfirms();
    expect(await drain(channel, "q")).toEqual(["hello"]);
  });

  test("A14 with a user of another name has that one, and no other", async () => {
    const broker = await start({ defaultUser: "me@home", defaultPassword: "p/w:d ?" });
    const channel = await confirmChannel(broker.url);
    await channel.assertQueue("q");
    const asGuest = connect(`amqp://guest:guest@127.0.0.1:${broker.port}`);
    await expect(asGuest).rejects.toThrow("ACCESS_REFUSED");
  });

  test("with a virtual host of another name leads there by its url", async () => {
    const broker = await start({ defaultVhost: "a/b" });
    const channel = await confirmChannel(broker.url);
    await channel.assertQueue("q");
    const atRoot = connect(`amqp://guest:guest@127.0.0.1:${broker.port}/%2F`);
    await expect(atRoot).rejects.toThrow("ConnectionClose");
  });

  test("on a port that is taken rejects with the system's error", async () => {
    const { port } = await start();
    await expect(Broker.start({ port })).rejects.toMatchObject({ code: "EADDRINUSE", port });
    await expect(Broker.start({ port: 0, host: "no.such.host.invalid" })).rejects.toThrow();
  });

  test("does not see what another one in the process has", async () => {
    const [first, second] = [await start(), await start()];
    const [a, b] = [await confirmChannel(first.url), await confirmChannel(second.url)];
    for (const channel of [a, b]) await channel.assertQueue("q");
    a.sendToQueue("q", Buffer.from("of the first"));
    await a.waitForConfirms();
    expect(await drain(b, "q")).toEqual([]);
    expect(await drain(a, "q")).toEqual(["of the first"]);
    await first.close();
    b.sendToQueue("q", Buffer.from("of the second"));
    await b.waitForConfirms();
    expect(await drain(b, "q")).toEqual(["of the second"]);
  });

  test("keeps to the limits that it was given", async () => {
    const broker = await start({ maxMessageSize: 10, channelMax: 3, frameMax: 8192 });
    const connection = await client(broker.url);
    const channels = [1, 2, 3].map(() => connection.createConfirmChannel());
    const channel = (await Promise.all(channels))[0]!;
    await expect(connection.createChannel()).rejects.toThrow("No channels left to allocate");
    await channel.assertQueue("q");
    channel.sendToQueue("q", Buffer.alloc(10));
    await channel.waitForConfirms();
    const [error] = await Promise.all([once(channel, "error"), sendTooMuch(channel)]);
    expect(String(error[0])).toContain(
      "PRECONDITION_FAILED - message size 11 is larger than configured max size 10",
    );
  });

  test("offers clients its limits, and heartbeats where time passes by itself", async () => {
    const usual = { channelMax: 2047, frameMax: 131_072, heartbeat: 60 };
    expect(await tuneOffer((await start()).port)).toEqual(usual);
    const inVirtualTime = await start({ clock: new VirtualClock() });
    expect(await tuneOffer(inVirtualTime.port)).toEqual({ ...usual, heartbeat: 0 });
    const given = { channelMax: 10, frameMax: 4096, heartbeat: 5 };
    const asGiven = await start({ clock: new VirtualClock(), ...given });
    expect(await tuneOffer(asGiven.port)).toEqual(given);
  });

  test("refuses to promise messages larger than it can hold", async () => {
    const start = Broker.start({ port: 0, maxMessageSize: 2 ** 29 });
    await expect(start).rejects.toThrow(RangeError);
    await (await Broker.start({ port: 0, maxMessageSize: 2 ** 29 - 1 })).close();
  });

  test("tells the log that it was given about connections", async () => {
    const lines: string[] = [];
    const note = (fields: object, message: string) =>
      void lines.push(`${message} ${Object.keys(fields).sort().join()}`);
    const broker = await start({ log: { debug: note, info: note, warn: note, error: note } });
    await client(broker.url);
    const shown = lines.map((line) => line.replaceAll(/127\.0\.0\.1:\d+/g, "IP:PORT"));
    expect(shown).toEqual([
      "started TCP listener on IP:PORT host,port",
      "accepting AMQP connection IP:PORT -> IP:PORT connection",
      "connection IP:PORT -> IP:PORT: user 'guest' authenticated and granted access to vhost '/' connection,user,vhost",
    ]);
  });
});

async function sendTooMuch(channel: ConfirmChannel): Promise<void> {
  channel.sendToQueue("q", Buffer.alloc(11));
  // The channel is closed over it, and the confirm never comes.
  await channel.waitForConfirms().catch(() => undefined);
}

/** A queue whose dead letters go to `dead`, which exists too. */
async function queueWithDeadLetters(channel: Channel, queue: string, ttlMs?: number) {
  await channel.assertQueue("dead");
  await channel.assertQueue(queue, {
    deadLetterExchange: "",
    deadLetterRoutingKey: "dead",
    ...(ttlMs === undefined ? {} : { messageTtl: ttlMs }),
  });
}

describe("time in hand", () => {
  test("expires messages of several queues in the order in which they fall due", async () => {
    const clock = new VirtualClock();
    const channel = await confirmChannel((await start({ clock })).url);
    const ttls = {
      a: [60_000, 300_000, 540_000],
      b: [599_999, 600_000, 600_001],
      c: [120_000, 1000, 180_000],
      d: [0, 420_000],
    };
    for (const [queue, ofMessages] of Object.entries(ttls)) {
      await queueWithDeadLetters(channel, queue);
      for (const ttl of ofMessages)
        channel.sendToQueue(queue, Buffer.from(`${queue} ${ttl}`), { expiration: ttl });
    }
    await queueWithDeadLetters(channel, "e", 240_000);
    channel.sendToQueue("e", Buffer.from("e of its queue"));
    channel.sendToQueue("e", Buffer.from("e sooner"), { expiration: 240_000 - 1 });
    await channel.waitForConfirms();

    clock.advance("10m");
    expect(await drain(channel, "dead")).toEqual([
      "d 0",
      "a 60000",
      "c 120000",
      // It waited behind the one before.
      "c 1000",
      "c 180000",
      "e of its queue",
      "e sooner",
      "a 300000",
      "d 420000",
      "a 540000",
      "b 599999",
      "b 600000",
    ]);
    expect(await drain(channel, "b")).toEqual(["b 600001"]);
  });

  test("moves in steps as well as at once, and x-death tells the moment", async () => {
    const clock = new VirtualClock(Date.UTC(2030, 0, 1));
    const channel = await confirmChannel((await start({ clock })).url);
    await queueWithDeadLetters(channel, "q", 90_000);
    channel.sendToQueue("q", Buffer.from("m"));
    await channel.waitForConfirms();
    for (let second = 1; second < 90; second++) clock.advance("1s");
    expect(await drain(channel, "dead")).toEqual([]);
    clock.advance("1s");
    const dead = await channel.get("dead", { noAck: true });
    if (dead === false) throw new Error("there is no dead letter");
    expect(dead.properties.headers?.["x-death"]).toMatchObject([
      { queue: "q", reason: "expired", time: { value: Date.UTC(2030, 0, 1, 0, 1, 30) / 1000 } },
    ]);
  });

  test("goes through a chain of retry queues within one advance", async () => {
    const clock = new VirtualClock();
    const channel = await confirmChannel((await start({ clock })).url);
    await channel.assertQueue("work");
    for (const [delay, next] of [
      ["1h", "work"],
      ["10m", "1h"],
      ["1m", "10m"],
    ] as const) {
      await channel.assertQueue(delay, {
        messageTtl: { "1m": 60_000, "10m": 600_000, "1h": 3_600_000 }[delay],
        deadLetterExchange: "",
        deadLetterRoutingKey: next,
      });
    }
    channel.sendToQueue("1m", Buffer.from("m"));
    await channel.waitForConfirms();
    clock.advance("70m");
    expect(await drain(channel, "work")).toEqual([]);
    clock.advance("1m");
    expect(await drain(channel, "work")).toEqual(["m"]);
  });

  test("delivers to consumers in the turn in which something comes about", async () => {
    const clock = new VirtualClock();
    const channel = await confirmChannel((await start({ clock })).url);
    await queueWithDeadLetters(channel, "q");
    const received: string[] = [];
    const three = new Promise<void>((resolve) => {
      void channel.consume(
        "dead",
        (message) => {
          received.push(String(message?.content));
          if (received.length === 3) resolve();
        },
        { noAck: true },
      );
    });
    for (const ttl of [1000, 2000, 3000])
      channel.sendToQueue("q", Buffer.from(String(ttl)), { expiration: ttl });
    await channel.waitForConfirms();
    clock.advance("1h");
    await three;
    expect(received).toEqual(["1000", "2000", "3000"]);
  });

  test("deletes queues that nobody uses", async () => {
    const clock = new VirtualClock();
    const connection = await client((await start({ clock })).url);
    const channel = await connection.createChannel();
    await channel.assertQueue("q", { expires: 1_800_000 });
    clock.advance("29m");
    await channel.checkQueue("q");
    clock.advance("29m");
    await channel.checkQueue("q");
    clock.advance("30m");
    channel.on("error", () => undefined);
    await expect(channel.checkQueue("q")).rejects.toThrow("NOT_FOUND - no queue 'q' in vhost '/'");
  });

  test("kills no connection, however far it goes", async () => {
    const clock = new VirtualClock();
    const channel = await confirmChannel((await start({ clock })).url);
    await channel.assertQueue("q");
    for (const leap of ["1h", "7d", "365d"]) {
      clock.advance(leap);
      channel.sendToQueue("q", Buffer.from(leap));
      await channel.waitForConfirms();
    }
    expect(await drain(channel, "q")).toEqual(["1h", "7d", "365d"]);
  });

  test("ends a handshake that takes too long", async () => {
    const clock = new VirtualClock();
    const { port } = await start({ clock });
    const socket = tcpConnect(port, "127.0.0.1");
    socket.write("AMQP\0\0\u0009\u0001");
    await once(socket, "data");
    clock.advance("9s");
    expect(socket.closed).toBe(false);
    clock.advance("2s");
    await once(socket, "close");
  });

  test("does not bring the broker down over a dead letter with headers nested too deep", async () => {
    const clock = new VirtualClock();
    const { url } = await start({ clock });
    for (let depth = 60; depth <= 70; depth++) {
      const connection = await client(url);
      const channel = await connection.createConfirmChannel();
      channel.on("error", () => undefined);
      await queueWithDeadLetters(channel, "q", 1000);
      let nested: unknown[] = [];
      for (let level = 1; level < depth; level++) nested = [nested];
      channel.sendToQueue("q", Buffer.from("m"), { headers: { nested } });
      // Refused or taken; taken, it must be able to die.
      await channel.waitForConfirms().catch(() => undefined);
      clock.advance("1m");
    }
    const channel = await confirmChannel(url);
    await channel.assertQueue("alive");
  });
});

/** Everything that a busy client does, until its connection is gone; resolves with why. */
async function traffic(url: string): Promise<string> {
  const connection = await client(url);
  const closed = new Promise<string>((resolve) => {
    connection.on("close", (error?: Error) => resolve(error?.message ?? "without a reason"));
  });
  const channel = await connection.createConfirmChannel();
  channel.on("error", () => undefined);
  await channel.assertQueue("busy");
  let running = true;
  void closed.then(() => {
    running = false;
  });
  await channel.consume("busy", (message) => {
    if (message !== null && running) channel.ack(message);
  });
  const publish = (): void => {
    if (!running) return;
    try {
      for (let message = 0; message < 50; message++)
        channel.sendToQueue("busy", Buffer.alloc(200), { persistent: true });
    } catch {
      // The channel has been closed under our hands: that is what is tested.
      running = false;
    }
    setImmediate(publish);
  };
  publish();
  return closed;
}

describe("a broker that closes", () => {
  test("N25 resolves in the midst of traffic, and every client hears why", async () => {
    const broker = await start();
    const clients = [traffic(broker.url), traffic(broker.url), traffic(broker.url)];
    const probe = await confirmChannel(broker.url);
    await probe.assertQueue("busy");
    for (;;) {
      // All of them are there, and messages flow.
      const { consumerCount } = await probe.checkQueue("busy");
      if (consumerCount === 3) break;
    }
    await broker.close();
    const reasons = await Promise.all(clients);
    for (const reason of reasons) {
      expect(reason).toContain(
        "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
      );
    }
    await expect(connect(broker.url)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  test("takes no connection more, and its port can be used again", async () => {
    const broker = await start();
    await client(broker.url);
    await broker.close();
    const second = await start({ port: broker.port });
    await (await confirmChannel(second.url)).assertQueue("q");
  });

  test("with nobody connected resolves, twice too", async () => {
    const broker = await start();
    await broker.close();
    await broker.close();
    const other = await start();
    await Promise.all([other.close(), other.close()]);
  });

  test("does not wait for ever for a client that does not answer, whoever asks", async () => {
    const broker = await start({ clock: new VirtualClock() });
    const socket = tcpConnect(broker.port, "127.0.0.1");
    socket.write("AMQP\0\0\u0009\u0001");
    await once(socket, "data");
    socket.pause();
    const ends: string[] = [];
    const first = broker.close().then(() => ends.push("first"));
    const second = broker.close().then(() => ends.push("second"));
    await Promise.all([first, second]);
    // Neither before the client is gone.
    expect(ends).toEqual(["first", "second"]);
    socket.destroy();
  });
});
