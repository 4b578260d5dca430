/**
 * Runtime parameters of virtual hosts, global parameters, and what RabbitMQ keeps among them: operator policies and the
 * limits of a virtual host. Reference row V10.
 */
import type { Channel } from "amqplib";
import { expect, test } from "vitest";
import type { Json } from "../../src/index.ts";
import { administration, needsAdministration, newVirtualHost } from "./administration.ts";
import { closeAfterTest, connect, refused, unique } from "./harness.ts";

needsAdministration();

async function channelIn(vhost: string): Promise<Channel> {
  return (await connect({ vhost })).connection.createChannel();
}

/** What is said of a parameter that cannot be. */
async function refusal(component: string, value: Json): Promise<string> {
  const vhost = await newVirtualHost();
  return (await administration()).setParameter(vhost, component, "name", value).then(
    () => "",
    ({ message }: Error) => message,
  );
}

test("V10 global parameters are kept, changed and cleared", async () => {
  const administrator = await administration();
  const name = unique("parameter");
  closeAfterTest(() => administrator.clearGlobalParameter(name).catch(() => {}));
  for (const value of [{ nested: [1, "two", null, { three: true }] }, "text", 5]) {
    await administrator.setGlobalParameter(name, value);
    expect((await administrator.globalParameters())[name]).toEqual(value);
  }
  await administrator.clearGlobalParameter(name);
  expect(await administrator.globalParameters()).not.toHaveProperty([name]);
  await expect(administrator.clearGlobalParameter(name)).rejects.toThrow();
});

test("V10 V4 the limits of a virtual host are a parameter", async () => {
  const vhost = await newVirtualHost();
  const administrator = await administration();
  await administrator.setParameter(vhost, "vhost-limits", "limits", { "max-queues": 1 });
  expect(await administrator.parameters(vhost, "vhost-limits")).toEqual({
    limits: { "max-queues": 1 },
  });
  const channel = await channelIn(vhost);
  await channel.assertQueue("1");
  expect((await refused(channel, channel.assertQueue("2"))).message).toContain("queue limit");
  await administrator.clearParameter(vhost, "vhost-limits", "limits");
  expect(await administrator.parameters(vhost, "vhost-limits")).toEqual({});
  await (await channelIn(vhost)).assertQueue("2");
});

test("V10 V8 an operator policy is a parameter", async () => {
  const vhost = await newVirtualHost();
  const administrator = await administration();
  const policy = {
    pattern: "^q",
    definition: { "max-length": 1 },
    priority: 3,
    "apply-to": "queues",
  };
  await administrator.setParameter(vhost, "operator_policy", "by parameter", policy);
  await administrator.setPolicy("operator-policies", vhost, "as policy", {
    pattern: "^nothing",
    definition: { expires: 9 },
  });
  expect(await administrator.parameters(vhost, "operator_policy")).toEqual({
    "by parameter": policy,
    "as policy": {
      pattern: "^nothing",
      definition: { expires: 9 },
      priority: 0,
      "apply-to": "all",
    },
  });
  const { connection } = await connect({ vhost });
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("q");
  for (const body of "12") channel.sendToQueue("q", Buffer.from(body));
  await channel.waitForConfirms();
  expect((await channel.checkQueue("q")).messageCount).toBe(1);
  await administrator.clearParameter(vhost, "operator_policy", "by parameter");
  await expect(
    administrator.clearPolicy("operator-policies", vhost, "by parameter"),
  ).rejects.toThrow();
});

test("V10 policies are no parameters", async () => {
  const text = "policies may not be set using this method";
  expect(await refusal("policy", { pattern: "", definition: { expires: 1 } })).toBe(text);
});

test("V10 a component that nobody knows is refused", async () => {
  expect(await refusal("nonsense", 1)).toBe("Validation failed\n\ncomponent nonsense not found\n");
});

test("V10 limits are numbers, and of those that there are", async () => {
  const lines = [
    'Unrecognised terms [{<<"max-channels">>,1}] in name',
    'max-queues should be a number, actually was <<"few">>',
    "max-connections should be a number, actually was null",
  ];
  const value = { "max-queues": "few", "max-connections": null, "max-channels": 1 };
  const text = `Validation failed\n\n${lines.map((line) => `${line}\n`).join("")}`;
  expect(await refusal("vhost-limits", value)).toBe(text);
});
