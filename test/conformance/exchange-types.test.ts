/**
 * What holds for every type of exchange, shown for those that are plugins in RabbitMQ: internal exchanges, exchanges bound
 * to exchanges, alternate exchanges, redeclaring, permissions. Reference rows X2, X9, X15, X16, A6.
 *
 * A RabbitMQ has not all of the plugins: types that it lacks are passed over there.
 */
import { beforeAll, describe, expect, test } from "vitest";
import {
  administration,
  needsAdministration,
  newUserIn,
  newVirtualHost,
} from "./administration.ts";
import {
  channelError,
  connect,
  drain,
  isOldRabbitMQ,
  openConfirmChannel,
  refused,
  unique,
  untilReady,
} from "./harness.ts";

needsAdministration();

/** Each with the arguments and the binding key that it needs, and the row that is about it. */
const types = [
  { row: "X20", type: "x-consistent-hash", args: {}, key: "1" },
  { row: "X21", type: "x-modulus-hash", args: {}, key: "k" },
  { row: "X22", type: "x-random", args: {}, key: "k" },
  { row: "X24", type: "x-recent-history", args: {}, key: "k" },
  { row: "X26", type: "x-delayed-message", args: { "x-delayed-type": "direct" }, key: "k" },
  { row: "P19", type: "x-message-deduplication", args: { "x-cache-size": 9 }, key: "k" },
] as const;

const notInRabbitMQ: readonly string[] = ["x-delayed-message", "x-message-deduplication"];
let oldRabbitMQ: boolean;

beforeAll(async () => {
  oldRabbitMQ = await isOldRabbitMQ();
});

const named = types.map(({ row, type, args, key }) => [row, type, args, key] as const);

describe.each(named)("%s an exchange of type %s", (_row, type, args, key) => {
  test("X9 X16 takes messages from exchanges and hands them to exchanges, internal or not", async (context) => {
    if (oldRabbitMQ && notInRabbitMQ.includes(type)) return context.skip();
    const channel = await openConfirmChannel();
    const [front, inner, behind, queue] = ["front", "inner", "behind", "q"].map(unique);
    await channel.assertExchange(front!, "fanout");
    await channel.assertExchange(inner!, type, { internal: true, arguments: args });
    await channel.assertExchange(behind!, "fanout");
    await channel.assertQueue(queue!);
    await channel.bindExchange(inner!, front!, "");
    await channel.bindExchange(behind!, inner!, key);
    await channel.bindQueue(queue!, behind!, "");
    channel.publish(front!, "k", Buffer.from("m"));
    await channel.waitForConfirms();
    expect(await drain(channel, queue!)).toEqual(["m"]);
    channel.publish(inner!, "k", Buffer.from("m"));
    expect(await channelError(channel)).toMatchObject({
      code: 403,
      message: `ACCESS_REFUSED - cannot publish to internal exchange '${inner}' in vhost '/'`,
    });
  });

  test("X15 falls back on its alternate exchange, that of a policy as well", async (context) => {
    if (oldRabbitMQ && notInRabbitMQ.includes(type)) return context.skip();
    const vhost = await newVirtualHost();
    const channel = await (await connect({ vhost })).connection.createConfirmChannel();
    await channel.assertExchange("else", "fanout");
    await channel.assertQueue("fallback");
    await channel.bindQueue("fallback", "else", "");
    const options = { arguments: { ...args, "alternate-exchange": "else" } };
    await channel.assertExchange("by-argument", type, options);
    await channel.assertExchange("by-policy", type, { arguments: args });
    const administrator = await administration();
    await administrator.setPolicy("policies", vhost, "alternate", {
      pattern: "^by-policy$",
      definition: { "alternate-exchange": "else" },
    });
    for (const exchange of ["by-argument", "by-policy"]) {
      channel.publish(exchange, "k", Buffer.from(exchange), { mandatory: true });
      await channel.waitForConfirms();
    }
    expect(await drain(channel, "fallback")).toEqual(["by-argument", "by-policy"]);
  });

  test("X2 may be declared again with other arguments of its type, and not with another type", async (context) => {
    if (oldRabbitMQ && notInRabbitMQ.includes(type)) return context.skip();
    const channel = await openConfirmChannel();
    const exchange = unique("x");
    await channel.assertExchange(exchange, type, { arguments: args });
    await channel.assertExchange(exchange, type, { arguments: { ...args, other: 1 } });
    // An atom with a hyphen in it has quotes of its own.
    expect(await refused(channel, channel.assertExchange(exchange, "fanout"))).toMatchObject({
      code: 406,
      message: expect.stringContaining(`received 'fanout' but current is ''${type}''`),
    });
    const other = await openConfirmChannel();
    expect(await refused(other, other.assertExchange("amq.fanout", type))).toMatchObject({
      message: expect.stringContaining(`received ''${type}'' but current is 'fanout'`),
    });
  });

  test("A6 is closed to who may not write to it, read from it, or configure it", async (context) => {
    if (oldRabbitMQ && notInRabbitMQ.includes(type)) return context.skip();
    const vhost = await newVirtualHost();
    const owner = await (await connect({ vhost })).connection.createChannel();
    await owner.assertExchange("other", type, { arguments: args });
    await owner.assertQueue("mine");
    const user = await newUserIn(vhost, { configure: "^mine", write: "^mine", read: "^mine" });
    const { connection } = await connect({ vhost, ...user });
    for (const operation of [
      (channel: typeof owner) => channel.publish("other", "k", Buffer.from("m")),
      (channel: typeof owner) => channel.bindQueue("mine", "other", key),
      (channel: typeof owner) => channel.assertExchange("other", type, { arguments: args }),
    ]) {
      const channel = await connection.createChannel();
      void Promise.resolve(operation(channel)).catch(() => undefined);
      expect(await channelError(channel)).toMatchObject({
        code: 403,
        message: expect.stringMatching(/^ACCESS_REFUSED - .*access to exchange 'other' in vhost/),
      });
    }
    await untilReady("mine", 0, (await connect({ vhost })).connection);
  });
});
