/** What the broker says of itself, and its health checks. */
import { describe, expect, test } from "vitest";
import { Broker, VirtualClock } from "../../src/index.ts";
import { Api, api, isForeign, newUser, newVirtualHost, target } from "./api.ts";

const number = expect.any(Number);
const text = expect.any(String);
const details = { rate: number };

describe("G1 the broker", () => {
  test("GET /api/overview has what clients read before anything else", async () => {
    const { status, body } = await (await api()).get("overview");
    expect(status).toBe(200);
    expect(body).toMatchObject({
      ...{ management_version: text, rabbitmq_version: text, product_name: "RabbitMQ" },
      ...{ product_version: text, cluster_name: text, node: text, rates_mode: text },
      ...{ erlang_version: text, erlang_full_version: text, statistics_db_event_queue: number },
      object_totals: {
        ...{ channels: number, connections: number, consumers: number },
        ...{ exchanges: number, queues: number },
      },
      churn_rates: {
        ...{ connection_created: number, connection_created_details: details },
        ...{ connection_closed: number, channel_created: number, channel_closed: number },
        ...{ queue_declared: number, queue_created: number, queue_deleted: number },
      },
    });
    expect(body.rabbitmq_version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(body.listeners).toContainEqual(
      expect.objectContaining({
        protocol: "amqp",
        node: body.node,
        port: number,
        ip_address: text,
      }),
    );
    expect(body.exchange_types).toContainEqual(expect.objectContaining({ name: "topic" }));
  });

  test("GET /api/overview shows the columns that are asked for", async () => {
    const { body } = await (await api()).get("overview?columns=node,object_totals.queues");
    expect(Object.keys(body).sort()).toEqual(["node", "object_totals"]);
    expect(body.object_totals.queues).toEqual(number);
  });

  test("GET /api/overview hides ports from those who do not monitor", async () => {
    const { as } = await newUser("management");
    const { body } = await as.get("overview");
    expect(body.listeners ?? []).toEqual([]);
  });

  test("G18 GET /api/nodes has one node that runs", async () => {
    const { body } = await (await api()).get("nodes");
    expect(body).toHaveLength(1);
    expect(body[0]).toMatchObject({
      ...{ name: text, type: "disc", running: true, os_pid: text, uptime: number },
      ...{ run_queue: number, processors: number, fd_total: number, proc_total: number },
      ...{ mem_limit: number, mem_used: number, mem_alarm: false, rates_mode: text },
      ...{ disk_free: number, disk_free_limit: number, disk_free_alarm: false },
      ...{ fd_used: number, sockets_used: number, proc_used: number, partitions: [] },
      enabled_plugins: expect.any(Array),
    });
  });

  test("G18 GET /api/nodes/:node and GET /api/nodes/:node/memory are for its name", async () => {
    const guest = await api();
    const { node } = (await guest.get("overview")).body;
    expect((await guest.get(`nodes/${node}?columns=name,running`)).body).toMatchObject({
      name: node,
    });
    expect((await guest.get(`nodes/${node}/memory`)).body.memory.total).toMatchObject({
      rss: number,
    });
    if (!isForeign) expect((await guest.get("nodes/other@host")).status).toBe(404);
  });

  test("GET /api/whoami names the user and its tags", async () => {
    const { user, as } = await newUser("monitoring,custom");
    expect((await as.get("whoami")).body).toEqual({ name: user, tags: ["monitoring", "custom"] });
  });

  test("G19 GET /api/feature-flags has those that clients ask for enabled", async () => {
    const { body } = await (await api()).get("feature-flags");
    const states = new Map(
      body.map((flag: { name: string; state: string }) => [flag.name, flag.state]),
    );
    expect(states.get("quorum_queue")).toBe("enabled");
    expect(states.get("stream_queue")).toBe("enabled");
    expect(body[0]).toEqual({
      ...{ name: text, desc: text, doc_url: expect.any(String), state: "enabled" },
      ...{ stability: "stable", provided_by: text },
    });
  });

  test.skipIf(isForeign)(
    "G19 PUT /api/feature-flags/:name/enable does what is done already",
    async () => {
      expect((await (await api()).put("feature-flags/quorum_queue/enable", {})).status).toBe(204);
    },
  );

  test.skipIf(isForeign)(
    "G19 GET /api/deprecated-features and GET /api/deprecated-features/used are empty",
    async () => {
      const guest = await api();
      expect((await guest.get("deprecated-features")).body).toEqual([]);
      expect((await guest.get("deprecated-features/used")).body).toEqual([]);
    },
  );

  test("GET /api/extensions is a list", async () => {
    expect((await (await api()).get("extensions")).body).toBeInstanceOf(Array);
  });

  test.skipIf(isForeign)("GET /api/version is RabbitMQ's", async () => {
    expect((await (await api()).get("version")).body).toBe("4.2.0");
  });

  test.skipIf(isForeign)(
    "GET /api/cluster-name is what PUT /api/cluster-name has set",
    async () => {
      const guest = await api();
      expect((await guest.get("cluster-name")).body).toEqual({ name: "rabbit@localhost" });
      expect((await guest.put("cluster-name", { name: "hare" })).status).toBe(204);
      expect((await guest.get("cluster-name")).body).toEqual({ name: "hare" });
      expect((await guest.get("overview")).body.cluster_name).toBe("hare");
      expect((await guest.put("cluster-name", {})).body).toEqual({
        ...{ error: "bad_request", reason: "[{key_missing,name}]" },
      });
      await guest.delete("global-parameters/cluster_name");
    },
  );
});

const alwaysWell = [
  "alarms",
  "local-alarms",
  "virtual-hosts",
  "certificate-expiration/1/weeks",
  "protocol-listener/amqp",
];
const newer = [
  "is-in-service",
  "ready-to-serve-clients",
  "below-node-connection-limit",
  "reached-target-cluster-size",
  "metadata-store/initialized",
  "metadata-store/initialized/with-data",
  "quorum-queues-without-elected-leaders/all-vhosts",
];

describe("G17 health checks", () => {
  test.each(isForeign ? alwaysWell : [...alwaysWell, ...newer])(
    "GET /api/health/checks/%s is well",
    async (check) => {
      const { status, body } = await (await api()).get(`health/checks/${check}`);
      expect(status).toBe(200);
      expect(body.status).toBe("ok");
    },
  );

  test("say that one node is no cluster", async () => {
    for (const check of ["node-is-quorum-critical", "node-is-mirror-sync-critical"]) {
      const { body } = await (await api()).get(`health/checks/${check}`);
      expect(body).toEqual({ status: "ok", reason: "single node cluster" });
    }
  });

  test("GET /api/health/checks/port-listener/:port knows the open ports", async () => {
    const guest = await api();
    const port = Number(new URL((await target()).amqp).port);
    expect((await guest.get(`health/checks/port-listener/${port}`)).body).toEqual({
      ...{ status: "ok", port },
    });
    const missing = await guest.get("health/checks/port-listener/1");
    expect(missing.status).toBe(503);
    expect(missing.body).toMatchObject({
      ...{ status: "failed", reason: "No active listener", missing: 1 },
      ports: expect.arrayContaining([port]),
    });
    expect((await guest.get("health/checks/port-listener/x")).body).toEqual({
      ...{ error: "bad_request", reason: "Invalid port" },
    });
  });

  test("GET /api/health/checks/protocol-listener/:protocol knows protocols by several names", async () => {
    const guest = await api();
    expect((await guest.get("health/checks/protocol-listener/amqp091")).body).toEqual({
      ...{ status: "ok", protocol: "amqp" },
    });
    const missing = await guest.get("health/checks/protocol-listener/mqtt");
    expect(missing.status).toBe(503);
    expect(missing.body).toMatchObject({
      ...{ status: "failed", reason: "No active listener", missing: "mqtt" },
      protocols: expect.arrayContaining(["amqp", "http"]),
    });
  });

  test("GET /api/health/checks/certificate-expiration/:within/:unit says what it does not understand", async () => {
    const guest = await api();
    const { status, body } = await guest.get("health/checks/certificate-expiration/1/fortnights");
    expect(status).toBe(400);
    expect(body.reason).toBe(
      "Time unit not recognised. Supported units: days, weeks, months, years.",
    );
    expect((await guest.get("health/checks/certificate-expiration/x/days")).body.reason).toBe(
      "Invalid expiration value.",
    );
  });

  test("GET /api/healthchecks/node and GET /api/healthchecks/node/:node are answered as before", async () => {
    const guest = await api();
    const { node } = (await guest.get("overview")).body;
    expect((await guest.get("healthchecks/node")).body).toEqual({ status: "ok" });
    expect((await guest.get(`healthchecks/node/${node}`)).body).toEqual({ status: "ok" });
  });

  test.skipIf(isForeign)(
    "GET /api/health/checks/below-node-connection-limit fails when no more are taken",
    async () => {
      const clock = new VirtualClock();
      const broker = await Broker.start({ port: 0, managementPort: 0, maxConnections: 0, clock });
      try {
        const { status, body } = await new Api(broker.managementUrl!).get(
          "health/checks/below-node-connection-limit",
        );
        expect(status).toBe(503);
        expect(body).toMatchObject({ status: "failed", connections: 0, limit: 0 });
      } finally {
        await broker.close();
      }
    },
  );
});

describe("G16 GET /api/aliveness-test/:vhost", () => {
  test("answers with exactly these bytes", async () => {
    const vhost = await newVirtualHost();
    const guest = await api();
    expect((await guest.get(`aliveness-test/${vhost}`)).text).toBe('{"status":"ok"}');
    expect((await guest.get(`queues/${vhost}/aliveness-test?columns=name`)).body).toEqual({
      name: "aliveness-test",
    });
  });

  test("is a 404 for a virtual host that is not there", async () => {
    expect((await (await api()).get("aliveness-test/no-such-vhost")).status).toBe(404);
  });
});

describe.skipIf(isForeign)("G18 a cluster of one node", () => {
  test("POST /api/rebalance/queues, DELETE /api/reset and DELETE /api/reset/:node are done", async () => {
    const guest = await api();
    expect((await guest.post("rebalance/queues")).status).toBe(204);
    expect((await guest.delete("reset")).status).toBe(204);
    expect((await guest.delete("reset/rabbit@localhost")).status).toBe(204);
    expect((await guest.delete("reset/other@host")).status).toBe(404);
  });

  test("GET /api/queues/quorum/:vhost/:queue/status has one replica, which leads", async () => {
    const [guest, vhost] = [await api(), await newVirtualHost()];
    await guest.put(`queues/${vhost}/q`, {
      durable: true,
      arguments: { "x-queue-type": "quorum" },
    });
    await guest.put(`queues/${vhost}/c`, {});
    const { body } = await guest.get(`queues/quorum/${vhost}/q/status`);
    expect(body).toMatchObject([{ "Node Name": "rabbit@localhost", "Raft State": "leader" }]);
    expect((await guest.get(`queues/quorum/${vhost}/c/status`)).status).toBe(404);
  });

  test("GET /api/shovels, /api/shovels/:vhost, /api/federation-links, /api/federation-links/:vhost and /api/auth/attempts/:node are empty", async () => {
    const [guest, vhost] = [await api(), await newVirtualHost()];
    const lists = ["shovels", "federation-links", "auth/attempts/rabbit@localhost"];
    for (const list of [...lists, `shovels/${vhost}`, `federation-links/${vhost}`])
      expect((await guest.get(list)).body).toEqual([]);
    expect((await guest.get("shovels/no-such-vhost")).status).toBe(404);
  });

  test("GET /api/health/checks/quorum-queues-without-elected-leaders/vhost/:vhost and /api/health/checks/quorum-queues-without-elected-leaders/vhost/:vhost/pattern/:pattern are well", async () => {
    const [guest, vhost] = [await api(), await newVirtualHost()];
    const check = `health/checks/quorum-queues-without-elected-leaders/vhost/${vhost}`;
    for (const path of [check, `${check}/pattern/.*`])
      expect((await guest.get(path)).body).toEqual({ status: "ok" });
  });
});
