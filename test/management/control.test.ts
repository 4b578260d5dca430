/** The operator's key, and what an operator does to the node: on a broker of its own for each test. */
import { connect } from "amqplib";
import { describe, expect, onTestFinished, test } from "vitest";
import { Broker, type BrokerOptions } from "../../src/index.ts";
import { Api } from "./api.ts";

const KEY = "a-key-that-nobody-guesses";

async function started(options: BrokerOptions = {}): Promise<{ broker: Broker; guest: Api }> {
  const broker = await Broker.start({
    ...{ port: 0, managementPort: 0, operatorKey: KEY },
    ...options,
  });
  onTestFinished(() => broker.close());
  return { broker, guest: new Api(broker.managementUrl!) };
}

function operator(broker: Broker, key = KEY): Pick<Api, "request"> {
  const api = new Api(broker.managementUrl!, null);
  return {
    request: (method, path, body, headers = {}) =>
      api.request(method, path, body, { authorization: `Bearer ${key}`, ...headers }),
  };
}

describe("G20 the operator's key", () => {
  test("lets whoever has it do everything, without any user", async () => {
    const { broker } = await started();
    broker.users.delete("guest");
    const { request } = operator(broker);
    expect((await request("GET", "whoami")).body).toEqual({
      ...{ name: "rmq-cli", tags: ["administrator"] },
    });
    expect((await request("PUT", "vhosts/v", {})).status).toBe(201);
    expect((await request("PUT", "queues/v/q", {})).status).toBe(201);
    const message = { properties: {}, routing_key: "q", payload: "x", payload_encoding: "string" };
    const published = await request("POST", "exchanges/v/amq.default/publish", message);
    expect(published.body).toEqual({ routed: true });
    const body = { count: 1, ackmode: "ack_requeue_false", encoding: "auto" };
    expect((await request("POST", "queues/v/q/get", body)).body).toMatchObject([{ payload: "x" }]);
    // Nobody has become permitted to anything by it.
    expect([...broker.permissions.all()]).toEqual([]);
  });

  test("is refused when it is another, and where a broker has none", async () => {
    const { broker } = await started();
    for (const wrong of ["", "a", `${KEY}x`, KEY.slice(1), KEY.toUpperCase()])
      expect((await operator(broker, wrong).request("GET", "whoami")).status).toBe(401);
    const without = await Broker.start({ port: 0, managementPort: 0 });
    onTestFinished(() => without.close());
    for (const key of [KEY, "undefined", ""])
      expect((await operator(without, key).request("GET", "whoami")).status).toBe(401);
  });
});

describe("G22 the node", () => {
  test("POST /api/control/stop-app closes what is connected, POST /api/control/start-app lets in again at the same port", async () => {
    const { broker, guest } = await started();
    const connection = await connect(broker.url);
    const closed = new Promise((resolve) => connection.on("close", resolve));
    connection.on("error", () => undefined);
    expect((await guest.post("control/stop-app")).status).toBe(204);
    expect(String(await closed)).toContain("CONNECTION_FORCED");
    await expect(connect(broker.url)).rejects.toThrow("ECONNREFUSED");
    expect((await guest.get("health/checks/ready-to-serve-clients")).status).toBe(503);
    expect((await guest.get("nodes")).body).toMatchObject([{ running: false }]);
    expect((await guest.post("control/stop-app")).status).toBe(204);
    expect((await guest.post("control/start-app")).status).toBe(204);
    await (await connect(broker.url)).close();
    expect((await guest.get("health/checks/is-in-service")).status).toBe(200);
  });

  test("POST /api/control/suspend-listeners keeps those who are in, POST /api/control/resume-listeners lets in others", async () => {
    const { broker, guest } = await started();
    const connection = await connect(broker.url);
    onTestFinished(() => connection.close());
    await guest.post("control/suspend-listeners");
    await expect(connect(broker.url)).rejects.toThrow("ECONNREFUSED");
    await (await connection.createChannel()).assertQueue("still here");
    await guest.post("control/resume-listeners");
    await (await connect(broker.url)).close();
  });

  test("POST /api/control/reset leaves what exists from the start, and wants the node stopped", async () => {
    const { broker, guest } = await started();
    broker.virtualHosts.add("v", { protectedFromDeletion: true });
    broker.users.add("somebody");
    broker.users.change("guest", { password: "changed" });
    broker.globalParameters.set("p", 1);
    await guest.as("guest", "changed").put("queues/%2F/q", {});
    expect((await guest.as("guest", "changed").post("control/reset")).status).toBe(412);
    await guest.as("guest", "changed").post("control/stop-app");
    expect((await guest.as("guest", "changed").post("control/reset")).status).toBe(204);
    expect((await guest.get("vhosts?columns=name")).body).toEqual([{ name: "/" }]);
    expect((await guest.get("users?columns=name")).body).toEqual([{ name: "guest" }]);
    expect((await guest.get("queues")).body).toEqual([]);
    expect([...broker.globalParameters.all()]).toEqual([]);
    await guest.post("control/start-app");
    await (await connect(broker.url)).close();
  });

  test("PUT /api/control/memory-high-watermark counts at once, and nothing in it means what the settings say", async () => {
    const { guest } = await started();
    const alarms = async () => (await guest.get("health/checks/local-alarms")).status;
    await guest.put("control/memory-high-watermark", { value: 1000 });
    expect(await alarms()).toBe(503);
    expect((await guest.get("nodes")).body).toMatchObject([{ mem_limit: 1000, mem_alarm: true }]);
    expect((await guest.put("control/memory-high-watermark", { value: "x" })).status).toBe(400);
    await guest.put("control/memory-high-watermark", {});
    expect(await alarms()).toBe(200);
  });

  test("PUT /api/control/disk-free-limit counts in the overview of the node", async () => {
    const { guest } = await started();
    expect((await guest.put("control/disk-free-limit", { value: 7 })).status).toBe(204);
    expect((await guest.put("control/disk-free-limit", { value: "x" })).status).toBe(400);
  });
});
