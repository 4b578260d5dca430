/**
 * Arguments of queues that change nothing on one node, or nothing any more, and how they are checked.
 * Reference rows Q22 and Q28 to Q32, and Q12 and Q21.
 */
import { describe, expect, test } from "vitest";
import { isOldRabbitMQ, openChannel, openConfirmChannel, refused, unique } from "./harness.ts";
import { deadLetterQueue, drain, get, newQueue, path, send, text, texts } from "./messaging.ts";

type Arguments = Record<string, unknown>;

function ofType(type: string, args: Arguments): Arguments {
  return { "x-queue-type": type, ...args };
}

async function expectAccepted(args: Arguments): Promise<void> {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, args);
  await send(channel, queue, "1", "2", "3");
  expect(texts(await drain(channel, queue))).toEqual(["1", "2", "3"]);
}

/** What a declare with these arguments says about the one called `key`. */
async function refusal(args: Arguments, key: string): Promise<string> {
  const channel = await openChannel();
  const queue = unique("refused");
  const { code, message } = await refused(channel, channel.assertQueue(queue, { arguments: args }));
  const start = `PRECONDITION_FAILED - invalid arg '${key}' for queue '${queue}' in vhost '/'`;
  expect([code, message.slice(0, start.length)]).toEqual([406, start]);
  return message.slice(start.length);
}

describe("Q28 x-queue-mode", () => {
  test.each(["default", "lazy"])("%s changes nothing that clients see", async (mode) => {
    await expectAccepted({ "x-queue-mode": mode });
  });

  test.each<[unknown, string]>([
    ["eager", ": \"unsupported queue mode 'eager'\""],
    [1, ": {unacceptable_type,byte}"],
  ])("may not be %j", async (mode, text) => {
    expect(await refusal({ "x-queue-mode": mode }, "x-queue-mode")).toBe(text);
  });

  test("is nothing for quorum queues, whatever its value", async () => {
    for (const mode of ["lazy", 1])
      expect(await refusal(ofType("quorum", { "x-queue-mode": mode }), "x-queue-mode")).toBe(
        " of queue type rabbit_quorum_queue",
      );
  });
});

describe("Q29 x-queue-version", () => {
  test.each([1, 2])("%i is as good as the other", async (version) => {
    await expectAccepted({ "x-queue-version": version });
  });

  test.each<[unknown, string]>([
    [0, ": \"unsupported queue version '0'\""],
    [3, ": \"unsupported queue version '3'\""],
    [-1, ": {value_negative,-1}"],
    ["2", ': "expected integer, got longstr"'],
  ])("may not be %j", async (version, text) => {
    expect(await refusal({ "x-queue-version": version }, "x-queue-version")).toBe(text);
  });
});

describe("Q30 x-queue-master-locator", () => {
  test.each(["min-masters", "client-local", "random"])("%s changes nothing", async (locator) => {
    await expectAccepted({ "x-queue-master-locator": locator });
  });

  test("is nothing for quorum queues", async () => {
    const args = ofType("quorum", { "x-queue-master-locator": "random" });
    expect(await refusal(args, "x-queue-master-locator")).toBe(
      " of queue type rabbit_quorum_queue",
    );
  });
});

describe("Q31 of the arguments that place a queue's replicas,", () => {
  test.each<Arguments>([
    { "x-queue-leader-locator": "balanced" },
    { "x-queue-leader-locator": "client-local" },
    { "x-quorum-initial-group-size": 1 },
    { "x-quorum-initial-group-size": 5 },
    { "x-quorum-target-group-size": 5 },
  ])("%j changes nothing for a quorum queue", async (args) => {
    await expectAccepted(ofType("quorum", args));
  });

  test("x-queue-leader-locator is one for classic queues too", async ({ skip }) => {
    skip(await isOldRabbitMQ(), "3.10 has it for the other types only");
    await expectAccepted({ "x-queue-leader-locator": "balanced" });
  });

  test.each<[string, unknown, string]>([
    ["x-queue-leader-locator", "nearby", ": invalid_queue_locator_arg"],
    ["x-queue-leader-locator", 1, ": {unacceptable_type,byte}"],
    ["x-quorum-initial-group-size", 0, ": {value_zero,0}"],
    ["x-quorum-initial-group-size", -1, ": {value_negative,-1}"],
    ["x-quorum-initial-group-size", "1", ': "expected integer, got longstr"'],
    ["x-initial-cluster-size", 1, " of queue type rabbit_quorum_queue"],
  ])("%s may not be %j", async (key, value, text) => {
    expect(await refusal(ofType("quorum", { [key]: value }), key)).toBe(text);
  });

  test.each(["x-quorum-initial-group-size", "x-initial-cluster-size"])(
    "%s is nothing for classic queues",
    async (key) => {
      expect(await refusal({ [key]: 1 }, key)).toBe(" of queue type rabbit_classic_queue");
    },
  );
});

describe("Q32 of x-max-in-memory-length and x-max-in-memory-bytes", () => {
  test.each(["x-max-in-memory-length", "x-max-in-memory-bytes"])(
    "%s changes nothing for a quorum queue, and is checked",
    async (key) => {
      await expectAccepted(ofType("quorum", { [key]: 0 }));
      expect(await refusal(ofType("quorum", { [key]: -1 }), key)).toBe(": {value_negative,-1}");
      expect(await refusal(ofType("quorum", { [key]: "1" }), key)).toBe(
        ': "expected integer, got longstr"',
      );
    },
  );
});

test("Q12 arguments of streams are refused for both other types", async () => {
  for (const [type, module] of [
    ["classic", "rabbit_classic_queue"],
    ["quorum", "rabbit_quorum_queue"],
  ] as const) {
    for (const key of ["x-max-age", "x-stream-max-segment-size-bytes"])
      expect(await refusal(ofType(type, { [key]: "1D" }), key)).toBe(` of queue type ${module}`);
  }
});

test("Q2 Q12 a second declaration is not compared in arguments that the queue cannot have", async () => {
  const channel = await openChannel();
  const queue = unique("classic");
  await channel.assertQueue(queue);
  await channel.assertQueue(queue, { arguments: { "x-delivery-limit": 5 } });
});

test("Q20 QQ4 reject-publish-dlx is as good as none for a quorum queue", async () => {
  const channel = await openConfirmChannel();
  const args = { "x-max-length": 1, "x-overflow": "reject-publish-dlx" };
  const queue = await newQueue(channel, ofType("quorum", args));
  await send(channel, queue, "1", "2");
  expect(texts(await drain(channel, queue))).toEqual(["2"]);
});

test("Q21 a dead letter exchange of a name too long for any may be given, and takes nothing", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-dead-letter-exchange": "x".repeat(300) });
  await send(channel, queue, "1", "2");
  channel.reject(await get(channel, queue), false);
  expect(texts(await drain(channel, queue))).toEqual(["2"]);
});

describe("Q22 with x-dead-letter-strategy", () => {
  test.each(["at-most-once", "at-least-once"])(
    "%s dead letters arrive, and are told why",
    async (strategy) => {
      const channel = await openConfirmChannel();
      const { exchange, deadLetters } = await deadLetterQueue(channel);
      const args = {
        "x-dead-letter-strategy": strategy,
        "x-dead-letter-exchange": exchange,
        "x-overflow": "reject-publish",
      };
      const queue = await newQueue(channel, ofType("quorum", args));
      await send(channel, queue, "1", "2");
      for (let message = 0; message < 2; message++)
        channel.reject(await get(channel, queue), false);
      for (const body of ["1", "2"]) {
        const letter = await deadLetters.next();
        expect([text(letter), path(letter)]).toEqual([body, [`${queue} rejected 1`]]);
      }
    },
  );

  test("at-least-once a queue may be declared that cannot have it", async () => {
    await expectAccepted(ofType("quorum", { "x-dead-letter-strategy": "at-least-once" }));
  });

  test.each<[unknown, string]>([
    ["once", ": invalid_dlx_strategy"],
    [1, ": {unacceptable_type,byte}"],
  ])("%j it is refused", async (strategy, text) => {
    const args = ofType("quorum", { "x-dead-letter-strategy": strategy });
    expect(await refusal(args, "x-dead-letter-strategy")).toBe(text);
  });
});
