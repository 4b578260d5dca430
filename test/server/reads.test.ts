import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { afterEach, expect, test } from "vitest";
import { readChunks } from "../../src/server/reads.ts";

const open: { close(): unknown }[] = [];

afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

async function listen(): Promise<Server> {
  const server = createServer().listen(0, "127.0.0.1");
  open.push(server);
  await once(server, "listening");
  return server;
}

/** Both ends of a new connection. */
async function pair(server: Server): Promise<{ client: Socket; accepted: Socket }> {
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [accepted] = (await once(server, "connection")) as [Socket];
  open.push({ close: () => client.destroy() }, { close: () => accepted.destroy() });
  return { client, accepted };
}

const pattern = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => (index * 31) >> 4));

test("all sockets are read into one buffer", async () => {
  const server = await listen();
  const [one, other] = [await pair(server), await pair(server)];
  const memories = new Set<ArrayBufferLike>();
  const texts: string[] = [];
  for (const { accepted } of [one, other]) {
    const isLent = readChunks(accepted, (chunk) => {
      memories.add(chunk.buffer);
      texts.push(chunk.toString());
    });
    // Where it is false, Node.js has changed and each read costs 64 KiB again.
    expect(isLent).toBe(true);
  }
  for (const { client, accepted } of [one, other, one]) {
    const before = accepted.bytesRead;
    client.write("hare");
    await expect.poll(() => accepted.bytesRead).toBe(before + 4);
  }
  expect(texts).toEqual(["hare", "hare", "hare"]);
  expect(memories.size).toBe(1);
});

test("whatever comes is there in order, also after a pause, and then the end", async () => {
  const { client, accepted } = await pair(await listen());
  const chunks: Buffer[] = [];
  let bytes = 0;
  readChunks(accepted, (chunk) => {
    chunks.push(Buffer.from(chunk));
    bytes += chunk.length;
    if (chunks.length === 2) accepted.pause();
  });
  client.end(pattern);
  await expect.poll(() => chunks.length).toBe(2);
  const whenPaused = bytes;
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(bytes).toBe(whenPaused);
  expect(whenPaused).toBeLessThan(pattern.length);
  const ended = once(accepted, "end");
  accepted.resume();
  await ended;
  expect(Buffer.concat(chunks).equals(pattern)).toBe(true);
});

test("a socket that the client resets says so and closes", async () => {
  const { client, accepted } = await pair(await listen());
  readChunks(accepted, () => undefined);
  const closed = new Promise((resolve) => accepted.on("close", resolve));
  accepted.on("error", () => undefined);
  client.resetAndDestroy();
  await closed;
  expect(accepted.destroyed).toBe(true);
});

test("streams of other kinds are read as they are", async () => {
  const stream = new PassThrough();
  const chunks: Buffer[] = [];
  expect(readChunks(stream, (chunk) => chunks.push(chunk))).toBe(false);
  stream.end("hare");
  await once(stream, "end");
  expect(Buffer.concat(chunks).toString()).toBe("hare");
});
