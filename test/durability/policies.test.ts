/**
 * Policies and parameters outlive a restart, and count for what comes back; with their virtual host they go. Reference
 * rows V6, V8, V10.
 */
import { expect, test } from "vitest";
import { type Broker, VirtualClock } from "../../src/index.ts";
import { drainTexts, KeptBroker, readyCount, sendTexts } from "./kept-broker.ts";

/** All that the interface tells. */
function described(broker: Broker) {
  const { policies, operatorPolicies, parameters, globalParameters } = broker;
  return {
    policies: [...policies.all()].map(
      ({ vhost, name, pattern, definition, applyTo, priority }) => ({
        ...{ vhost, name, pattern, definition, applyTo, priority },
      }),
    ),
    operatorPolicies: [...operatorPolicies.all()].map(({ vhost, name }) => `${vhost} ${name}`),
    parameters: [...parameters.all()],
    globalParameters: [...globalParameters.all()],
  };
}

function furnish(broker: Broker): void {
  const { virtualHosts, policies, operatorPolicies, parameters, globalParameters } = broker;
  virtualHosts.add("v");
  virtualHosts.add("gone");
  for (const vhost of ["/", "v", "gone"]) {
    policies.set(vhost, "low", { pattern: "^q", definition: { "max-length": 9 } });
    policies.set(vhost, "high é", {
      pattern: "^q",
      definition: { "max-length": 3, "dead-letter-exchange": "x" },
      applyTo: "queues",
      priority: 5,
    });
    policies.set(vhost, "cleared", { pattern: "", definition: { expires: 1 }, priority: 9 });
    policies.clear(vhost, "cleared");
    operatorPolicies.set(vhost, "op", { pattern: "", definition: { "max-length-bytes": 100 } });
    parameters.set(vhost, "shovel", "s", { "src-uri": "amqp://", nested: [1, null] });
    parameters.set(vhost, "shovel", "cleared", 1);
    parameters.clear(vhost, "shovel", "cleared");
  }
  globalParameters.set("cluster_name", "here");
  globalParameters.set("cleared", 1);
  globalParameters.clear("cleared");
  virtualHosts.delete("gone");
}

test("V6 V8 V10 policies and parameters are after a restart what they were before", async () => {
  const kept = await KeptBroker.start();
  furnish(kept.broker);
  const before = described(kept.broker);
  expect(before.policies.map(({ vhost, name }) => `${vhost} ${name}`)).toEqual([
    ...["/ high é", "/ low", "v high é", "v low"],
  ]);
  expect(before.operatorPolicies).toEqual(["/ op", "v op"]);
  expect(before.parameters.map(({ component }) => component)).toEqual([
    ...["shovel", "shovel", "operator_policy", "operator_policy"],
  ]);
  for (let restart = 0; restart < 2; restart++) {
    await kept.restart();
    expect(described(kept.broker)).toEqual(before);
  }
  kept.broker.virtualHosts.add("gone");
  expect(kept.broker.policies.find("gone", "low")).toBeUndefined();
});

test("V6 thousands of changes of a policy leave what they came to, in a small log", async () => {
  const kept = await KeptBroker.start();
  furnish(kept.broker);
  for (let max = 0; max < 5000; max++)
    kept.broker.policies.set("/", "low", { pattern: "^q", definition: { "max-length": max } });
  await (await kept.channel()).assertQueue("other");
  const before = described(kept.broker);
  await kept.restart();
  expect(described(kept.broker)).toEqual(before);
});

test("V6 X15 queues and exchanges that come back go by the policies that were there", async () => {
  const kept = await KeptBroker.start();
  const before = await kept.channel();
  await before.assertQueue("q");
  await before.assertQueue("unrouted");
  await before.assertExchange("alternate", "fanout");
  await before.bindQueue("unrouted", "alternate", "");
  await before.assertExchange("exchange", "direct");
  kept.broker.policies.set("/", "p", {
    pattern: "^(q|exchange)$",
    definition: { "max-length": 2, "alternate-exchange": "alternate" },
  });
  await sendTexts(before, "q", ["1", "2"]);
  const channel = await kept.restart();
  await sendTexts(channel, "q", ["3"]);
  expect(await drainTexts(channel, "q")).toEqual(["2", "3"]);
  channel.publish("exchange", "nowhere", Buffer.from("alternate"));
  await channel.waitForConfirms();
  expect(await drainTexts(channel, "unrouted")).toEqual(["alternate"]);
});

test("V6 a restart gives no time to live to messages that were there before the policy", async () => {
  const clock = new VirtualClock();
  const kept = await KeptBroker.start({ clock });
  const before = await kept.channel();
  await before.assertQueue("q");
  await sendTexts(before, "q", ["before the policy"]);
  clock.advance("1s");
  const policy = { pattern: "^q$", definition: { "message-ttl": 1000 } };
  kept.broker.policies.set("/", "p", policy);
  await sendTexts(before, "q", ["under the policy"]);
  const channel = await kept.restart();
  // Set at each start of an application, and the same each time.
  kept.broker.policies.set("/", "p", policy);
  clock.advance("1h");
  expect(await readyCount(channel, "q")).toBe(2);
  expect(await drainTexts(channel, "q")).toEqual(["before the policy"]);
});
