/** Logging in without a name. Reference row N3. */
import { expect, test } from "vitest";
import { decodeMethod } from "../../src/amqp/method-codec.ts";
import { Host } from "../../src/broker/host.ts";
import { VirtualClock } from "../../src/clock.ts";
import { defaultSettings, type Settings } from "../../src/config.ts";
import { silentLog } from "../../src/log.ts";
import { Handshake } from "../../src/server/handshake.ts";
import { Turn } from "../../src/turn.ts";

function handshake(settings: Partial<Settings>, address = "127.0.0.1"): Handshake {
  const host = new Host({
    settings: { ...defaultSettings, ...settings },
    clock: new VirtualClock(),
    turn: new Turn(),
    log: silentLog,
    disk: undefined,
  });
  return new Handshake(host, { address, port: 1, localAddress: address, localPort: 2 });
}

function login(settings: Partial<Settings>, address?: string) {
  return handshake(settings, address).receive({
    name: "connection.start-ok",
    arguments: {
      clientProperties: new Map(),
      mechanism: "ANONYMOUS",
      response: Buffer.alloc(0),
      locale: "en_US",
    },
  });
}

test("N3 nobody in particular is the user of the settings", () => {
  expect(login({}).name).toBe("connection.tune");
  const own = { defaultUser: "me", defaultPassword: "secret" };
  expect(login({ ...own, anonymousLoginUser: "me" })).toMatchObject({ name: "refused" });
  const right = { anonymousLoginUser: "me", anonymousLoginPassword: "secret" };
  expect(login({ ...own, ...right }).name).toBe("connection.tune");
});

test("N3 A4 where guest may log in from loopback only, nobody can without a name from elsewhere", () => {
  const loopbackUsers = ["guest"];
  expect(login({ loopbackUsers }).name).toBe("connection.tune");
  expect(login({ loopbackUsers }, "192.0.2.7")).toMatchObject({
    name: "refused",
    userName: "guest",
  });
});

test("N3 without a user for it the mechanism is neither offered nor taken", () => {
  const settings = { anonymousLoginUser: "none" };
  const start = handshake(settings).start();
  const { arguments: offer } = decodeMethod(start, 0, start.length);
  expect(offer).toMatchObject({ mechanisms: Buffer.from("PLAIN AMQPLAIN") });
  expect(() => login(settings)).toThrow("unknown authentication mechanism 'ANONYMOUS'");
});
