/**
 * Policies and operator policies: what they do to queues and exchanges while these live, which of several counts, and
 * what is refused. Reference rows V6, V7, V8, V9, Q35.
 *
 * All policies are for the names of one test alone. A message's confirm comes after every change that was made before.
 */
import type { ConfirmChannel } from "amqplib";
import { expect, test } from "vitest";
import {
  type AppliedPolicies,
  administration,
  needsAdministration,
  newPolicy,
  newVirtualHost,
  type PolicyKind,
  type PolicyOptions,
} from "./administration.ts";
import {
  connect,
  consume,
  isOldRabbitMQ,
  openConfirmChannel,
  refused,
  unique,
  untilReady,
} from "./harness.ts";
import {
  deadLetterQueue,
  deaths,
  drain,
  get,
  newFanout,
  newQueue,
  readyCount,
  send,
  text,
  texts,
  untilGone,
} from "./messaging.ts";

needsAdministration();

const OPERATOR = { kind: "operator-policies" } as const;

/** Long enough for a few requests in between, also on a busy machine. */
const TTL_MS = 100;

async function numberOfTen(channel: ConfirmChannel, queue: string): Promise<number> {
  await send(channel, queue, ..."1234567890");
  return readyCount(channel, queue);
}

test("V6 a policy counts at once for a queue that exists, and is gone at once", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  await send(channel, queue, ..."1234567890");
  const policy = await newPolicy(queue, { "max-length": 3 });
  await untilReady(queue, 3);
  expect(texts(await drain(channel, queue))).toEqual(["8", "9", "0"]);
  expect(await numberOfTen(channel, queue)).toBe(3);
  await policy.clear();
  expect(await numberOfTen(channel, queue)).toBe(13);
});

test("V6 a policy counts for queues that are declared later, and for no name that its pattern does not find", async () => {
  const channel = await openConfirmChannel();
  const stem = unique("stem");
  await newPolicy(stem, { "max-length": 3 }, { pattern: `${stem}[.](a|b)` });
  for (const [suffix, expected] of [
    [".a", 3],
    [".b.more", 3],
    [".c", 10],
  ] as const) {
    const queue = await newQueue(channel, {}, `${stem}${suffix}`);
    expect(await numberOfTen(channel, queue)).toBe(expected);
  }
});

test("V6 a policy counts for exclusive queues that the server has named", async () => {
  const vhost = await newVirtualHost();
  const definition = { "max-length": 3 };
  await (await administration()).setPolicy("policies", vhost, "amq.p", {
    pattern: "^amq[.]gen-",
    definition,
  });
  const { connection } = await connect({ vhost });
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue("", { exclusive: true });
  expect(await numberOfTen(channel, queue)).toBe(3);
});

test("V6 a queue under a policy is declared again with its own arguments alone", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel, { "x-max-length": 5 });
  await newPolicy(queue, { "max-length": 3, "message-ttl": 60_000 });
  await channel.assertQueue(queue, { arguments: { "x-max-length": 5 } });
  const { message } = await refused(
    channel,
    channel.assertQueue(queue, { arguments: { "x-max-length": 3 } }),
  );
  expect(message).toContain("inequivalent arg 'x-max-length'");
});

test("V6 of several policies the one with the highest priority counts, and it alone", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  await newPolicy(queue, { "max-length": 2 });
  const high = await newPolicy(queue, { "max-length-bytes": 4 }, { priority: 7 });
  await newPolicy(queue, { "max-length": 1 }, { priority: 3 });
  expect(await numberOfTen(channel, queue)).toBe(4);
  await high.clear();
  await untilReady(queue, 1);
});

test("V6 a policy that is set again is another one", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const { name } = await newPolicy(queue, { "max-length": 3 });
  await newPolicy(queue, { "max-length": 5 }, { name });
  expect(await numberOfTen(channel, queue)).toBe(5);
  await newPolicy(queue, { "max-length": 5 }, { name, pattern: `^${queue}-other$` });
  expect(await numberOfTen(channel, queue)).toBe(15);
});

test.each([
  ["queues", 3],
  ["all", 3],
  ["exchanges", 10],
])("V6 a policy for %s leaves %i of ten messages in a queue", async (target, expected) => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  await newPolicy(queue, { "max-length": 3 }, { "apply-to": target });
  expect(await numberOfTen(channel, queue)).toBe(expected);
});

test.each([
  ["classic_queues", 3, 10],
  ["quorum_queues", 10, 3],
  ["streams", 10, 10],
])("V6 a policy for %s counts for queues of that type", async (target, classic, quorum) => {
  if (await isOldRabbitMQ()) {
    // These targets came with 3.12.
    await expect(newPolicy("q", { "max-length": 3 }, { "apply-to": target })).rejects.toThrow(
      `apply-to '${target}' unrecognised`,
    );
    return;
  }
  const channel = await openConfirmChannel();
  const queues = [
    [await newQueue(channel), classic],
    [await newQueue(channel, { "x-queue-type": "quorum" }), quorum],
  ] as const;
  for (const [queue, expected] of queues) {
    await newPolicy(queue, { "max-length": 3 }, { "apply-to": target });
    expect(await numberOfTen(channel, queue)).toBe(expected);
  }
});

test("V6 a policy with a setting that a type of queue does not know does not count for it at all", async () => {
  const channel = await openConfirmChannel();
  const classic = await newQueue(channel);
  await newPolicy(classic, { "max-length": 3, "delivery-limit": 5 });
  expect(await numberOfTen(channel, classic)).toBe(10);
  const quorum = await newQueue(channel, { "x-queue-type": "quorum" });
  await newPolicy(quorum, { "max-length": 3, "queue-mode": "lazy" });
  expect(await numberOfTen(channel, quorum)).toBe(10);
});

test.each([
  ["classic", 2, 5, 2],
  ["classic", 5, 2, 2],
  ["quorum", 2, 5, 2],
  ["quorum", 5, 2, 2],
])(
  "V6 of a %s queue's length in its arguments, %i, and in a policy, %i, the lower counts",
  async (type, argument, policy, expected) => {
    const channel = await openConfirmChannel();
    const queue = await newQueue(channel, { "x-queue-type": type, "x-max-length": argument });
    await newPolicy(queue, { "max-length": policy });
    expect(await numberOfTen(channel, queue)).toBe(expected);
  },
);

test("V6 what a shorter limit drops is dead-lettered, to the exchange that the same policy names", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel);
  await send(channel, queue, "1", "2", "3");
  await newPolicy(queue, { "max-length": 1, "dead-letter-exchange": exchange });
  const dead = await deadLetters.take(2);
  expect(texts(dead)).toEqual(["1", "2"]);
  expect(deaths(dead[0]!)[0]).toMatchObject({ queue, reason: "maxlen" });
});

test("V6 dead letters go where the arguments say, and where the policy says as far as these say nothing", async () => {
  const channel = await openConfirmChannel();
  const { exchange: ofArgument, deadLetters } = await deadLetterQueue(channel);
  const { exchange: ofPolicy, deadLetters: others } = await deadLetterQueue(channel);
  const definition = { "dead-letter-exchange": ofPolicy, "dead-letter-routing-key": "policy" };
  const withExchange = await newQueue(channel, { "x-dead-letter-exchange": ofArgument });
  const withNothing = await newQueue(channel);
  for (const queue of [withExchange, withNothing]) {
    await newPolicy(queue, definition);
    await send(channel, queue, queue);
    channel.nack(await get(channel, queue), false, false);
  }
  const toArgument = await deadLetters.next();
  expect([text(toArgument), toArgument.fields.routingKey]).toEqual([withExchange, "policy"]);
  const toPolicy = await others.next();
  expect([text(toPolicy), toPolicy.fields.routingKey]).toEqual([withNothing, "policy"]);
});

test.each([
  ["classic", "argument"],
  ["quorum", "policy"],
])("V6 what happens to excess in a %s queue is what the %s says", async (type, winner) => {
  const channel = await openConfirmChannel();
  const overflow = winner === "argument" ? ["reject-publish", "drop-head"] : [];
  const [argument = "drop-head", policy = "reject-publish"] = overflow;
  const queue = await newQueue(channel, {
    "x-queue-type": type,
    "x-max-length": 1,
    "x-overflow": argument,
  });
  await newPolicy(queue, { overflow: policy });
  // A quorum queue's channels hear only with a confirm that it is full.
  const isTaken = (body: string): Promise<boolean> =>
    new Promise((resolve) => {
      channel.sendToQueue(queue, Buffer.from(body), {}, (error) => resolve(!error));
    });
  const taken: boolean[] = [];
  for (const body of "12345") taken.push(await isTaken(body));
  expect(taken[0]).toBe(true);
  expect(taken[4]).toBe(false);
  expect(text(await get(channel, queue))).toBe("1");
});

test("V6 a time to live by policy is that of messages that come from then on", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const queue = await newQueue(channel, { "x-dead-letter-exchange": exchange });
  await send(channel, queue, "before");
  const policy = await newPolicy(queue, { "message-ttl": TTL_MS });
  await send(channel, queue, "under the policy");
  expect(text(await get(channel, queue, { noAck: true }))).toBe("before");
  expect(text(await deadLetters.next())).toBe("under the policy");
  await send(channel, queue, "just before the end");
  await policy.clear();
  await send(channel, queue, "after");
  expect(text(await deadLetters.next())).toBe("just before the end");
  expect(text(await get(channel, queue))).toBe("after");
});

test("V6 of two times to live the lower counts, whichever is the policy's", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  for (const [argument, policy] of [
    [TTL_MS, 60_000],
    [60_000, TTL_MS],
  ] as const) {
    const queue = await newQueue(channel, {
      "x-message-ttl": argument,
      "x-dead-letter-exchange": exchange,
    });
    await newPolicy(queue, { "message-ttl": policy });
    await send(channel, queue, queue);
    expect(text(await deadLetters.next())).toBe(queue);
  }
});

test("V6 a queue that gets an expiry by policy goes when it has been unused for that long", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const kept = await newQueue(channel);
  await newPolicy(kept, { expires: TTL_MS });
  const clearing = await newPolicy(kept, { expires: 60_000 }, { priority: 1 });
  await newPolicy(queue, { expires: TTL_MS });
  await untilGone(queue);
  await channel.checkQueue(kept);
  await clearing.clear();
  await untilGone(kept);
});

test("V6 QQ2 a delivery limit by policy counts for quorum queues that exist", async () => {
  const channel = await openConfirmChannel();
  const { exchange, deadLetters } = await deadLetterQueue(channel);
  const args = { "x-queue-type": "quorum", "x-dead-letter-exchange": exchange };
  const queue = await newQueue(channel, { ...args, "x-delivery-limit": 9 });
  await newPolicy(queue, { "delivery-limit": 1 });
  await send(channel, queue, "poison");
  // What comes back to a quorum queue is not there at once.
  const inbox = await consume(channel, queue);
  for (let delivery = 0; delivery < 2; delivery++) channel.nack(await inbox.next(), false, true);
  const dead = await deadLetters.next();
  expect([text(dead), deaths(dead)[0]!.reason]).toEqual(["poison", "delivery_limit"]);
  expect(inbox.count).toBe(0);
});

test("V6 X15 a policy gives an exchange an alternate exchange, unless its arguments do", async () => {
  const channel = await openConfirmChannel();
  const toArgument = await newQueue(channel);
  const toPolicy = await newQueue(channel);
  const ofArgument = await newFanout(channel, toArgument);
  const ofPolicy = await newFanout(channel, toPolicy);
  const plain = unique("exchange");
  const withArgument = unique("exchange");
  await channel.assertExchange(plain, "direct");
  await channel.assertExchange(withArgument, "direct", { alternateExchange: ofArgument });
  const publish = async (exchange: string, body: string): Promise<void> => {
    channel.publish(exchange, "nowhere", Buffer.from(body));
    await channel.waitForConfirms();
  };
  await publish(plain, "lost");
  const policies = [
    await newPolicy(plain, { "alternate-exchange": ofPolicy }),
    await newPolicy(withArgument, { "alternate-exchange": ofPolicy }),
  ];
  await publish(plain, "by policy");
  await publish(withArgument, "by argument");
  for (const policy of policies) await policy.clear();
  await publish(plain, "lost again");
  expect(texts(await drain(channel, toPolicy))).toEqual(["by policy"]);
  expect(texts(await drain(channel, toArgument))).toEqual(["by argument"]);
});

test("V6 a policy counts for predeclared exchanges, and changes nothing of the default exchange", async () => {
  const vhost = await newVirtualHost();
  const administrator = await administration();
  const { connection } = await connect({ vhost });
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("q");
  await channel.assertExchange("alternate", "fanout");
  await channel.bindQueue("q", "alternate", "");
  const definition = { "alternate-exchange": "alternate" };
  await administrator.setPolicy("policies", vhost, "p", {
    pattern: "^(amq[.]direct)?$",
    definition,
  });
  channel.publish("amq.direct", "nowhere", Buffer.from("predeclared"));
  channel.publish("", "nowhere", Buffer.from("default"));
  await channel.waitForConfirms();
  expect(texts(await drain(channel, "q"))).toEqual(["predeclared"]);
});

/** What is said of a policy that cannot be. */
async function refusal(kind: PolicyKind, policy: PolicyOptions): Promise<string> {
  const vhost = await newVirtualHost();
  const administrator = await administration();
  return administrator.setPolicy(kind, vhost, "p", { pattern: "^q", ...policy }).then(
    () => "",
    ({ message }: Error) => message,
  );
}

test.each([
  [{}, "no policy provided"],
  [{ foo: 1 }, '[{<<"foo">>,1}] are not recognised policy settings'],
  [
    { "max-priority": 3, bar: ["x", { y: 1.5 }], foo: null },
    '[{<<"bar">>,[<<"x">>,#{<<"y">> => 1.5}]},\n {<<"foo">>,null},\n {<<"max-priority">>,3}] are not recognised policy settings',
  ],
  [
    { "a-name-of-some-length": 1, "another-that-is-not-short": 2, "and-one-more": "of them" },
    '[{<<"a-name-of-some-length">>,1},\n {<<"and-one-more">>,<<"of them">>},\n {<<"another-that-is-not-short">>,2}] are not recognised policy settings',
  ],
  [{ "max-length": -1, foo: 1 }, "-1 is not a valid maximum length"],
  [{ "max-length": "ten" }, '<<"ten">> is not a valid maximum length'],
  [{ "max-length-bytes": 1.5 }, "1.5 is not a valid maximum length in bytes"],
  [{ "max-in-memory-length": -1 }, "-1 is not a valid maximum memory in bytes"],
  [{ "max-in-memory-bytes": -1 }, "-1 is not a valid maximum memory in bytes"],
  [{ "message-ttl": -1 }, "-1 is not a valid message TTL"],
  [{ expires: 0 }, "0 is not a valid queue expiry"],
  [{ overflow: "drop-tail" }, '<<"drop-tail">> is not a valid overflow value'],
  [{ "dead-letter-exchange": [1, 2] }, "[1,2] is not a valid dead letter exchange name"],
  [{ "dead-letter-routing-key": true }, "true is not a valid dead letter routing key"],
  [{ "dead-letter-strategy": "twice" }, '<<"twice">> is not a valid dead letter strategy'],
  [{ "alternate-exchange": {} }, "#{} is not a valid alternate exchange name"],
  [{ "delivery-limit": "" }, "<<>> is not a valid delivery limit"],
  [{ "queue-mode": "lazier" }, '<<"lazier">> is not a valid queue-mode value'],
  [{ "queue-version": 3 }, "3 is not a valid queue-version value"],
  [{ "queue-leader-locator": "x" }, '<<"x">> is not a valid queue leader locator value'],
  [{ "initial-cluster-size": -1 }, "-1 is not a valid cluster size"],
  [{ "stream-max-segment-size-bytes": -1 }, "-1 is not a valid segment size"],
])("V7 a policy of %j is refused", async (definition, text) => {
  expect(await refusal("policies", { definition })).toBe(`Validation failed\n\n${text}\n`);
});

test("V7 all that is wrong with a policy is said at once", async () => {
  const text = await refusal("policies", {
    pattern: "(",
    priority: "high",
    "apply-to": "bindings",
    definition: { foo: 1 },
  });
  const lines = text.split("\n");
  expect(lines).toHaveLength(7);
  expect(lines[2]).toBe('[{<<"foo">>,1}] are not recognised policy settings');
  expect(lines[3]).toContain("apply-to 'bindings' unrecognised; should be ");
  expect(lines[4]).toContain('pattern should be regular expression but is invalid: {"');
  expect(lines[5]).toBe('priority should be a number, actually was <<"high">>');
});

test("V7 a pattern is a text", async () => {
  const text = await refusal("policies", { pattern: 3, definition: { expires: 1 } });
  expect(text).toBe("Validation failed\n\npattern should be a binary but was 3\n");
});

test("Q35 policies for mirrored queues are refused since there are none", async () => {
  const text = await refusal("policies", { definition: { "ha-mode": "all" } });
  // They went with 4.0.
  const unknown = '[{<<"ha-mode">>,<<"all">>}] are not recognised policy settings';
  expect(text).toBe((await isOldRabbitMQ()) ? "" : `Validation failed\n\n${unknown}\n`);
});

test.each([
  ["alternate-exchange", "x"],
  ["dead-letter-exchange", "x"],
  ["dead-letter-routing-key", "x"],
  ["queue-mode", "lazy"],
])("V8 an operator policy cannot set %s", async (name, value) => {
  const text = await refusal("operator-policies", { definition: { [name]: value } });
  const unknown = `[{<<"${name}">>,<<"${value}">>}] are not recognised policy settings`;
  expect(text).toBe(`Validation failed\n\n${unknown}\n`);
});

test("V8 an operator policy bounds what arguments and policy ask for", async () => {
  const channel = await openConfirmChannel();
  for (const [argument, policy, operator] of [
    [4, 3, 2],
    [2, 3, 4],
    [3, 2, 4],
  ] as const) {
    const queue = await newQueue(channel, { "x-max-length": argument });
    await newPolicy(queue, { "max-length": policy });
    await newPolicy(queue, { "max-length": operator }, OPERATOR);
    expect(await numberOfTen(channel, queue)).toBe(2);
  }
});

test("V8 policy and operator policy count both, each for what it sets", async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  await newPolicy(queue, { "max-length": 3 });
  const operator = await newPolicy(queue, { "max-length-bytes": 2 }, OPERATOR);
  expect(await numberOfTen(channel, queue)).toBe(2);
  await operator.clear();
  expect(await numberOfTen(channel, queue)).toBe(3);
});

test("V8 an operator says what happens to excess, whatever the policy says", async (context) => {
  if (await isOldRabbitMQ()) context.skip("an operator can set it since 3.12");
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  await newPolicy(queue, { "max-length": 1, overflow: "reject-publish" });
  await newPolicy(queue, { overflow: "drop-head" }, OPERATOR);
  await send(channel, queue, "1", "2");
  expect(text(await get(channel, queue))).toBe("2");
});

/** RabbitMQ's list of queues is some seconds old. */
async function untilApplied(queue: string, expected: AppliedPolicies): Promise<void> {
  const administrator = await administration();
  const look = () => administrator.appliedTo("queue", "/", queue).catch(() => undefined);
  await expect.poll(look, { timeout: 15_000, interval: 100 }).toEqual(expected);
}

test("V9 queues and exchanges show which policies apply and what they come to", {
  timeout: 60_000,
}, async () => {
  const channel = await openConfirmChannel();
  const queue = await newQueue(channel);
  const exchange = await newFanout(channel);
  const [none] = [await newQueue(channel)];
  const policy = await newPolicy(queue, { "max-length": 5, expires: 60_000 }, { priority: 2 });
  await newPolicy(queue, { "max-length": 1 });
  const operator = await newPolicy(queue, { "max-length": 4, "message-ttl": 9_000 }, OPERATOR);
  const ofExchange = await newPolicy(exchange, { "max-length": 5 });
  await untilApplied(queue, {
    policy: policy.name,
    operatorPolicy: operator.name,
    definition: { expires: 60_000, "max-length": 4, "message-ttl": 9_000 },
  });
  await untilApplied(none, { policy: undefined, operatorPolicy: undefined, definition: {} });
  const applied = await (await administration()).appliedTo("exchange", "/", exchange);
  expect(applied.policy).toBe(ofExchange.name);
});
