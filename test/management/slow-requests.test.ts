/** Requests that come too slowly, or are too large, are cut off. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { type HttpLimits, openHttpListeners } from "../../src/http-listeners.ts";
import { silentLog } from "../../src/log.ts";

const limits: HttpLimits = {
  ...{ headersTimeoutMs: 50, requestTimeoutMs: 100, checkingIntervalMs: 20 },
  ...{ headerBytesMax: 1000, connectionsMax: 2 },
};

/** A port on which everything is answered with 200 when it has been read. */
async function open(): Promise<() => Promise<Socket>> {
  const port = {
    ...{ protocol: "http", title: "test", ports: 0, host: "127.0.0.1" },
    load: async () => (request: NodeJS.ReadableStream, response: { end(text: string): void }) => {
      request.resume().on("end", () => response.end("read"));
    },
  };
  const [listener] = await openHttpListeners([port as never], silentLog, limits);
  onTestFinished(async () => void (await listener!.close()));
  return async () => {
    const socket = connect(listener!.port, "127.0.0.1");
    socket.on("error", () => undefined);
    onTestFinished(() => void socket.destroy());
    await once(socket, "connect");
    return socket;
  };
}

/** All that comes until the end. */
async function answerTo(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  await once(socket, "close");
  return text;
}

describe("G1 a request", () => {
  test("G1 whose headers do not come to an end is answered with 408", async () => {
    const socket = await (await open())();
    socket.write("GET / HTTP/1.1\r\nHost: x\r\nX: ");
    expect(await answerTo(socket)).toMatch(/^HTTP\/1\.1 408 /);
  });

  test("G1 whose body does not come to an end is answered with 408", async () => {
    const socket = await (await open())();
    socket.write("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome");
    expect(await answerTo(socket)).toMatch(/^HTTP\/1\.1 408 /);
  });

  test("G1 with too large headers is answered with 431", async () => {
    const socket = await (await open())();
    socket.write(`GET / HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(2000)}\r\n\r\n`);
    expect(await answerTo(socket)).toMatch(/^HTTP\/1\.1 431 /);
  });

  test("G1 that is no HTTP is answered with 400", async () => {
    const socket = await (await open())();
    socket.write("AMQP\0\0\t\u0001");
    expect(await answerTo(socket)).toMatch(/^HTTP\/1\.1 400 /);
  });

  test("G1 of one client too many is not taken", async () => {
    const another = await open();
    const [first, second] = [await another(), await another()];
    const third = await another();
    await once(third, "close");
    first.end("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(await answerTo(first)).toMatch(/^HTTP\/1\.1 200 /);
    second.destroy();
  });
});
