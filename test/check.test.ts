/** What `leveret check` says of a data folder: nothing is changed by it, and damage is told from a crash's leavings. */

import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "amqplib";
import { expect, onTestFinished, test } from "vitest";
import { check } from "../src/check.ts";
import { Broker } from "../src/index.ts";

const SEGMENT_BYTES = 1 << 16;

/** A folder in which the queue "orders" holds `count` messages of 1 KiB, in several small segments. */
async function folderWith(count: number): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), "leveret-check-"));
  onTestFinished(() => rm(dataDir, { recursive: true }));
  const broker = await Broker.start({ port: 0, dataDir, segmentBytes: SEGMENT_BYTES });
  const connection = await connect(broker.url);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("orders", { durable: true });
  for (let index = 0; index < count; index++) {
    channel.sendToQueue("orders", Buffer.alloc(1024, index), { persistent: true });
    if (index % 50 === 49) await channel.waitForConfirms();
  }
  await channel.waitForConfirms();
  await connection.close();
  await broker.close();
  return dataDir;
}

function report(folder: string): { sound: boolean; text: string } {
  const lines: string[] = [];
  const sound = check(folder, (line) => lines.push(line));
  return { sound, text: lines.join("\n") };
}

function segments(folder: string): string[] {
  const vhost = join(folder, "vhost-2f");
  return readdirSync(vhost).map((name) => join(vhost, name));
}

test("a folder after a clean stop is sound, and its queues are listed with what they hold", async () => {
  const folder = await folderWith(200);
  const { sound, text } = report(folder);
  expect(sound).toBe(true);
  expect(text).toContain("vhost /: ");
  expect(text).toContain("queue orders: 200 messages");
});

test("an unfinished end is what a crash leaves, and is left as it is", async () => {
  const folder = await folderWith(200);
  const last = segments(folder).at(-1)!;
  writeFileSync(last, readFileSync(last).subarray(0, -10));
  const { size } = statSync(last);
  const { sound, text } = report(folder);
  expect(sound).toBe(true);
  expect(text).toContain("an unfinished end");
  expect(statSync(last).size).toBe(size);
});

test("a flipped bit in an older segment is damage, and what stands around it is counted", async () => {
  const folder = await folderWith(200);
  const [oldest] = segments(folder);
  const bytes = readFileSync(oldest!);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(oldest!, bytes);
  const before = segments(folder);
  const { sound, text } = report(folder);
  expect(sound).toBe(false);
  expect(text).toContain("DAMAGED");
  const [, left] = /queue orders: (\d+) messages/.exec(text)!;
  expect(Number(left)).toBeGreaterThan(100);
  expect(Number(left)).toBeLessThan(200);
  expect(segments(folder)).toEqual(before);
});

test("a folder without the log of its queues is damaged, and is left as it is", async () => {
  const folder = await folderWith(20);
  await rm(join(folder, "topology"));
  const before = readdirSync(folder);
  const { sound, text } = report(folder);
  expect(sound).toBe(false);
  expect(text).toContain("topology: LOST");
  expect(readdirSync(folder)).toEqual(before);
});
