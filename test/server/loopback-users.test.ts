/** Users who may log in from the broker's own machine only. Reference row A4. */
import { expect, test } from "vitest";
import { Host } from "../../src/broker/host.ts";
import { VirtualClock } from "../../src/clock.ts";
import { defaultSettings } from "../../src/config.ts";
import { silentLog } from "../../src/log.ts";
import { Handshake, type HandshakeReply } from "../../src/server/handshake.ts";
import { Turn } from "../../src/turn.ts";

/** The answer to a right password from an address. */
function login(address: string, loopbackUsers: readonly string[], understands = true) {
  const host = new Host({
    settings: { ...defaultSettings, loopbackUsers },
    clock: new VirtualClock(),
    turn: new Turn(),
    log: silentLog,
    disk: undefined,
  });
  const peer = { address, port: 1, localAddress: address, localPort: 2 };
  const capabilities = new Map([
    ["authentication_failure_close", { type: "t", value: understands } as const],
  ]);
  return new Handshake(host, peer).receive({
    name: "connection.start-ok",
    arguments: {
      clientProperties: new Map([["capabilities", { type: "F", value: capabilities }]]),
      mechanism: "PLAIN",
      response: Buffer.from("\0guest\0guest"),
      locale: "en_US",
    },
  });
}

test.each(["127.0.0.1", "127.1.2.3", "::1"])("A4 from %s everybody may log in", (address) => {
  expect(login(address, ["guest"]).name).toBe("connection.tune");
});

test("A4 from elsewhere a loopback user is refused like a stranger, and the log says why", () => {
  const refused: HandshakeReply = login("192.0.2.7", ["guest"]);
  expect(refused).toMatchObject({
    name: "refused",
    reason: "user 'guest' can only connect via localhost",
    error: {
      replyText:
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
    },
  });
  expect(login("2001:db8::1", ["guest"], false)).toMatchObject({ error: undefined });
});

test("A4 by default nobody is a loopback user", () => {
  expect(login("192.0.2.7", defaultSettings.loopbackUsers).name).toBe("connection.tune");
});
