/** What the API shows of exchanges with a life of their own, and what it does to them. */
import { expect, onTestFinished, test } from "vitest";
import { Broker, VirtualClock } from "../../src/index.ts";
import { Api } from "./api.ts";

async function start() {
  const clock = new VirtualClock();
  const broker = await Broker.start({ port: 0, managementPort: 0, clock });
  onTestFinished(() => broker.close());
  return { api: new Api(broker.managementUrl!), clock };
}

function message(text: string, headers = {}) {
  return { properties: { headers }, routing_key: "key", payload: text, payload_encoding: "string" };
}

test("X26 an exchange that delays shows how many messages wait in it, and no other does", async () => {
  const { api, clock } = await start();
  const args = { "x-delayed-type": "direct" };
  await api.put("exchanges/%2F/later", { type: "x-delayed-message", arguments: args });
  await api.put("queues/%2F/q", {});
  await api.post("bindings/%2F/e/later/q/q", { routing_key: "key" });
  const delayed = message("m", { "x-delay": 1000 });
  expect((await api.post("exchanges/%2F/later/publish", delayed)).body).toEqual({ routed: true });
  const { body } = await api.get("exchanges/%2F/later");
  expect(body).toMatchObject({ type: "x-delayed-message", arguments: args, messages_delayed: 1 });
  expect((await api.get("exchanges/%2F/amq.direct")).body).not.toHaveProperty("messages_delayed");
  clock.advance(1000);
  expect((await api.get("exchanges/%2F/later")).body.messages_delayed).toBe(0);
  const ask = { count: 5, ackmode: "ack_requeue_false", encoding: "auto" };
  const { body: found } = await api.post("queues/%2F/q/get", ask);
  expect(found).toEqual([expect.objectContaining({ payload: "m", exchange: "later" })]);
});

test("X24 a message published and a queue bound through the API have a part in the history", async () => {
  const { api } = await start();
  await api.put("exchanges/%2F/history", { type: "x-recent-history" });
  const { body } = await api.post("exchanges/%2F/history/publish", message("old"));
  expect(body).toEqual({ routed: false });
  await api.put("queues/%2F/q", {});
  await api.post("bindings/%2F/e/history/q/q", {});
  expect((await api.get("queues/%2F/q")).body.messages).toBe(1);
});

test("X20 the API refuses what an exchange type refuses", async () => {
  const { api } = await start();
  const args = { "hash-header": "a", "hash-property": "message_id" };
  const wrong = await api.put("exchanges/%2F/x", { type: "x-consistent-hash", arguments: args });
  expect([wrong.status, wrong.body.reason]).toEqual([
    400,
    expect.stringContaining("hash-header and hash-property are mutually exclusive"),
  ]);
  await api.put("exchanges/%2F/x", { type: "x-consistent-hash" });
  await api.put("queues/%2F/q", {});
  const { status, body } = await api.post("bindings/%2F/e/x/q/q", { routing_key: "ten" });
  expect([status, body.reason]).toEqual([
    400,
    expect.stringContaining("The binding key must be an integer"),
  ]);
});
