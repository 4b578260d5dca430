/**
 * Queues of limited length: x-max-length, x-max-length-bytes and x-overflow. Reference rows Q17 to Q20; for
 * the confirms of rejected publications see confirm.test.ts.
 */
import type { ConfirmChannel } from "amqplib";
import { expect, test } from "vitest";
import { consume, openConfirmChannel, refused, unique, untilReady } from "./harness.ts";
import {
  deadLetterQueue,
  drain,
  get,
  newFanout,
  newQueue,
  readyCount,
  send,
  text,
  texts,
} from "./messaging.ts";

async function bodies(channel: ConfirmChannel, queue: string): Promise<string[]> {
  return texts(await drain(channel, queue));
}

test("Q18 a full queue drops its oldest messages", async () => {
  const channel = await openConfirmChannel();
  for (const args of [{}, { "x-overflow": "drop-head" }]) {
    const queue = await newQueue(channel, { "x-max-length": 3, ...args });
    await send(channel, queue, "1", "2", "3", "4", "5");
    expect(await readyCount(channel, queue)).toBe(3);
    expect(await bodies(channel, queue)).toEqual(["3", "4", "5"]);
  }
});

test("Q17 x-max-length counts ready messages only", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-max-length": 2 });
  await channel.prefetch(2);
  const inbox = await consume(channel, queue);
  await send(channel, queue, "1", "2", "3", "4");
  const unacked = await inbox.take(2);
  expect(await readyCount(channel, queue)).toBe(2);
  await channel.cancel(inbox.consumerTag);
  for (const message of unacked) channel.ack(message);
  expect(await bodies(channel, queue)).toEqual(["3", "4"]);
});

test("Q17 messages that are requeued into a full queue push out the oldest", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-max-length": 2 });
  await send(channel, queue, "1", "2");
  const [one, two] = [await get(channel, queue), await get(channel, queue)];
  await send(channel, queue, "3");
  channel.nack(two);
  await untilReady(queue, 2);
  channel.nack(one);
  expect(await bodies(channel, queue)).toEqual(["2", "3"]);
});

test("Q17 x-max-length-bytes counts the bytes of the bodies", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-max-length-bytes": 10 });
  const headers = { padding: "x".repeat(1000) };
  for (const body of ["aaaa", "bbbb", "cc"]) {
    channel.sendToQueue(queue, Buffer.from(body), { headers });
  }
  await channel.waitForConfirms();
  expect(await readyCount(channel, queue)).toBe(3);
  await send(channel, queue, "d");
  expect(await readyCount(channel, queue)).toBe(3);
  await send(channel, queue, "eeeeee");
  expect(await bodies(channel, queue)).toEqual(["cc", "d", "eeeeee"]);
});

test("Q17 empty messages take no room of the bytes", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-max-length-bytes": 2 });
  await send(channel, queue, "", "ab", "", "", "c");
  expect(await bodies(channel, queue)).toEqual(["", "", "c"]);
});

test("Q17 a message larger than all the room pushes out everything, itself included", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-max-length-bytes": 10,
    "x-dead-letter-exchange": exchange,
  });
  await send(channel, queue, "small", "much too large");
  expect(texts(await deadLetters.take(2))).toEqual(["small", "much too large"]);
  expect(await bodies(channel, queue)).toEqual([]);
});

test("Q17 of both limits each holds", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-max-length": 3, "x-max-length-bytes": 4 });
  await send(channel, queue, "1", "2", "3", "4");
  expect(await readyCount(channel, queue)).toBe(3);
  await send(channel, queue, "555");
  expect(await bodies(channel, queue)).toEqual(["4", "555"]);
});

test("Q17 a limit of 0 keeps nothing, but consumers with credit get what is published", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-max-length": 0,
    "x-dead-letter-exchange": exchange,
  });
  await send(channel, queue, "nobody");
  expect(text(await deadLetters.next())).toBe("nobody");
  await channel.prefetch(1);
  const inbox = await consume(channel, queue);
  await send(channel, queue, "taken", "no credit");
  expect(text(await inbox.next())).toBe("taken");
  expect(text(await deadLetters.next())).toBe("no credit");
});

test("Q18 what is pushed out is dead-lettered, the oldest first", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-max-length-bytes": 6,
    "x-dead-letter-exchange": exchange,
  });
  await send(channel, queue, "11", "22", "33", "4444");
  expect(texts(await deadLetters.take(2))).toEqual(["11", "22"]);
  expect(await bodies(channel, queue)).toEqual(["33", "4444"]);
});

test("P8 Q18 a message that was pushed out is acked to its publisher", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-max-length": 1 });
  for (const body of ["1", "2", "3"]) {
    channel.sendToQueue(queue, Buffer.from(body), { persistent: true });
  }
  await channel.waitForConfirms();
  expect(await bodies(channel, queue)).toEqual(["3"]);
});

test("Q19 with reject-publish a full queue keeps what it has", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-max-length": 2, "x-overflow": "reject-publish" });
  await send(channel, queue, "1", "2", "3");
  expect(text(await get(channel, queue, { noAck: true }))).toBe("1");
  await send(channel, queue, "4", "5");
  expect(await bodies(channel, queue)).toEqual(["2", "4"]);
});

test("Q19 with reject-publish a message that would exceed the bytes is refused, a smaller one taken", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, {
    "x-max-length-bytes": 10,
    "x-overflow": "reject-publish",
  });
  await send(channel, queue, "12345678", "abc", "9", "0", "1");
  expect(await bodies(channel, queue)).toEqual(["12345678", "9", "0"]);
});

test("Q19 reject-publish does not dead-letter", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-max-length": 1,
    "x-overflow": "reject-publish",
    "x-dead-letter-exchange": exchange,
  });
  await send(channel, queue, "kept", "rejected");
  const kept = await get(channel, queue);
  channel.reject(kept, false);
  expect(text(await deadLetters.next())).toBe("kept");
  expect(deadLetters.count).toBe(0);
});

test("Q20 reject-publish-dlx dead-letters what it rejects, and nacks it", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-max-length": 1,
    "x-overflow": "reject-publish-dlx",
    "x-dead-letter-exchange": exchange,
  });
  const acked: boolean[] = [];
  for (const body of ["kept", "rejected"]) {
    channel.sendToQueue(queue, Buffer.from(body), {}, (error) => acked.push(error === null));
  }
  const rejected = await deadLetters.next();
  expect(text(rejected)).toBe("rejected");
  expect(rejected.properties.headers?.["x-death"]).toMatchObject([
    { count: 1, reason: "maxlen", queue, exchange: "", "routing-keys": [queue] },
  ]);
  await channel.waitForConfirms().catch(() => {});
  expect(acked).toEqual([true, false]);
  expect(await bodies(channel, queue)).toEqual(["kept"]);
});

test("Q20 reject-publish-dlx without a dead letter exchange just rejects", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-max-length": 1, "x-overflow": "reject-publish-dlx" });
  await send(channel, queue, "kept", "rejected");
  expect(await bodies(channel, queue)).toEqual(["kept"]);
});

test("Q19 with a limit of 0 everything is refused, though a consumer would take it", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-max-length": 0, "x-overflow": "reject-publish" });
  const inbox = await consume(channel, queue, { noAck: true });
  channel.sendToQueue(queue, Buffer.from("x"));
  await expect(channel.waitForConfirms()).rejects.toThrow();
  await inbox.none(0);
});

test("Q19 messages requeued into a full queue are kept", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-max-length": 1, "x-overflow": "reject-publish" });
  await send(channel, queue, "1");
  const one = await get(channel, queue);
  await send(channel, queue, "2");
  channel.nack(one);
  expect(await bodies(channel, queue)).toEqual(["1", "2"]);
});

test("Q17 the limits of a queue do not concern the others that get the same message", async () => {
  const channel = await openConfirmChannel();
  const [limited, unlimited] = [
    await newQueue(channel, { "x-max-length": 1 }),
    await newQueue(channel),
  ];
  const exchange = await newFanout(channel, limited, unlimited);
  for (const body of ["1", "2", "3"]) channel.publish(exchange, "", Buffer.from(body));
  expect(await bodies(channel, limited)).toEqual(["3"]);
  expect(await bodies(channel, unlimited)).toEqual(["1", "2", "3"]);
});

test.each<[string, unknown, string]>([
  ["x-max-length", -1, "{value_negative,-1}"],
  ["x-max-length", "5", '"expected integer, got longstr"'],
  ["x-max-length-bytes", -1, "{value_negative,-1}"],
  ["x-max-length-bytes", true, '"expected integer, got bool"'],
  ["x-overflow", "explode", "invalid_overflow"],
  ["x-overflow", 1, "{unacceptable_type,byte}"],
])("Q13 Q17 the argument %s: %j is refused with 406", async (key, value, reason) => {
  const channel = await openConfirmChannel();
  const queue = unique("queue");
  const request = channel.assertQueue(queue, { arguments: { [key]: value } });
  expect(await refused(channel, request)).toEqual({
    code: 406,
    classId: 50,
    methodId: 10,
    message: `PRECONDITION_FAILED - invalid arg '${key}' for queue '${queue}' in vhost '/': ${reason}`,
  });
});

test("Q18 Q15 what is too much and has expired died of being too much", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, {
    "x-max-length": 0,
    "x-message-ttl": 0,
    "x-dead-letter-exchange": exchange,
  });
  await send(channel, queue, "x");
  const { properties } = await deadLetters.next();
  expect(properties.headers?.["x-first-death-reason"]).toBe("maxlen");
});
