/**
 * Runs every program of examples/ as a user would, as a process of its own, and checks what it prints and
 * that it takes away what it declared.
 */
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { brokerUrl, openChannel, refused } from "./conformance/harness.ts";
import { runProgram } from "./interop/run-program.ts";

const folder = fileURLToPath(new URL("../examples/", import.meta.url));

/** The lines an example printed. It must have ended by itself, without an error. */
async function linesOf(example: string, args: string[] = []): Promise<string[]> {
  const env = { BROKER_URL: await brokerUrl() };
  const { code, lines, transcript } = await runProgram(process.execPath, [example, ...args], {
    cwd: folder,
    env,
  });
  expect(code, transcript).toBe(0);
  return lines;
}

test("work-queue.mjs gives every task to exactly one worker, and most to the quick one", async () => {
  const [first, ...rest] = await linesOf("work-queue.mjs");
  const last = rest.pop();
  expect(first).toBe("queued 10 tasks");

  const tasks = rest.map(
    (line) => /^the (?:quick|slow) worker finished (task \d+)$/.exec(line)?.[1],
  );
  const expected = Array.from({ length: 10 }, (_, i) => `task ${i + 1}`);
  expect(tasks.toSorted()).toEqual(expected.toSorted());

  const [, quick, slow] = /^quick: (\d+) tasks, slow: (\d+) tasks$/.exec(last ?? "") ?? [];
  expect(Number(quick) + Number(slow)).toBe(10);
  expect(Number(slow)).toBeGreaterThan(0);
  // Dealt out in turn, without prefetch 1, it would be five each.
  expect(Number(quick)).toBeGreaterThan(5);
});

test("publish-subscribe.mjs copies each message to the queues whose binding fits, in order", async () => {
  const lines = await linesOf("publish-subscribe.mjs");
  expect(lines.filter((line) => line.startsWith("ann "))).toEqual(["ann got: the hare is home"]);
  expect(lines.filter((line) => line.startsWith("bob "))).toEqual(["bob got: the hare is home"]);
  expect(lines.filter((line) => line.startsWith("rain watch "))).toEqual([
    "rain watch got: rain in the north",
    "rain watch got: rain in the south",
  ]);
  expect(lines.filter((line) => line.startsWith("north watch "))).toEqual([
    "north watch got: rain in the north",
    "north watch got: heavy snow in the north",
  ]);
  expect(lines.at(-1)).toBe("6 copies of 4 messages; nobody wanted the fifth");
  expect(lines).toHaveLength(7);
});

test("rpc.mjs gets every request its own reply", async () => {
  const lines = await linesOf("rpc.mjs");
  expect(lines.toSorted()).toEqual(["1 squared is 1", "5 squared is 25", "50 squared is 2500"]);
});

test("retry.mjs tries three times and gives up", async () => {
  expect(await linesOf("retry.mjs")).toEqual([
    "try 1: payment 17 fails",
    "try 2: payment 17 fails",
    "try 3: payment 17 fails",
    "gave up after 3 tries: payment 17 is in example.payments.failed",
  ]);
});

test("priorities.mjs gets the urgent first and equals in order", async () => {
  const lines = await linesOf("priorities.mjs");
  expect(lines.slice(5)).toEqual([
    "1. the site is down",
    "2. the shop is down too",
    "3. a slow page",
    "4. a typo",
    "5. another typo",
  ]);
});

test("an example takes the broker's URL as its argument too", async () => {
  // Nobody listens on port 1, so it fails if it uses the argument, and works if it uses BROKER_URL.
  const env = { BROKER_URL: await brokerUrl() };
  const args = ["rpc.mjs", "amqp://guest:guest@127.0.0.1:1"];
  const { code, transcript } = await runProgram(process.execPath, args, { cwd: folder, env });
  expect(code).toBe(1);
  expect(transcript).toContain("ECONNREFUSED 127.0.0.1:1");
});

test.each([
  "example.tasks",
  "example.square",
  "example.payments",
  "example.payments.retry",
  "example.payments.failed",
  "example.tickets",
])("the queue %s does not outlive its example", async (queue) => {
  const channel = await openChannel();
  const { code } = await refused(channel, channel.checkQueue(queue));
  expect(code).toBe(404);
});

test.each(["example.news", "example.weather"])(
  "the exchange %s does not outlive its example",
  async (exchange) => {
    const channel = await openChannel();
    const { code } = await refused(channel, channel.checkExchange(exchange));
    expect(code).toBe(404);
  },
);

test("no example is without a test here", async () => {
  const examples = (await readdir(folder)).filter((name) => name.endsWith(".mjs"));
  expect(examples.toSorted()).toEqual([
    "priorities.mjs",
    "publish-subscribe.mjs",
    "retry.mjs",
    "rpc.mjs",
    "work-queue.mjs",
  ]);
});
