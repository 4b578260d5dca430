/** Virtual hosts, users, permissions, limits, policies and parameters over HTTP. */
import { describe, expect, test } from "vitest";
import { api, isForeign, newUser, newVirtualHost, permit } from "./api.ts";

const missing = { error: "Object Not Found", reason: "Not Found" };

describe("V1 V2 virtual hosts", () => {
  test("PUT /api/vhosts/:vhost adds, then changes, and GET /api/vhosts/:vhost tells", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    expect((await guest.put(`vhosts/${vhost}`, {})).status).toBe(204);
    const changed = { description: "for tests", tags: "a, b" };
    expect((await guest.put(`vhosts/${vhost}`, changed)).status).toBe(204);
    const { body } = await guest.get(`vhosts/${vhost}`);
    expect(body).toMatchObject({
      ...{ name: vhost, description: "for tests", tags: ["a", "b"], tracing: false },
      ...{
        default_queue_type: "undefined",
        metadata: { description: "for tests", tags: ["a", "b"] },
      },
    });
    expect(Object.values(body.cluster_state)).toEqual(["running"]);
  });

  test("a new one has the predeclared exchanges, and its maker all permissions there", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    const names = (await guest.get(`exchanges/${vhost}?columns=name`)).body;
    expect(names).toContainEqual({ name: "amq.topic" });
    expect((await guest.get(`permissions/${vhost}/guest`)).body).toEqual({
      ...{ user: "guest", vhost, configure: ".*", write: ".*", read: ".*" },
    });
  });

  test("GET /api/vhosts has pages", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    const { body } = await guest.get(`vhosts?page=1&page_size=1&name=${vhost}&columns=name`);
    expect(body).toMatchObject({
      ...{ items: [{ name: vhost }], page: 1, page_size: 1, page_count: 1 },
      ...{ filtered_count: 1, item_count: 1, total_count: expect.any(Number) },
    });
  });

  test("DELETE /api/vhosts/:vhost takes everything in it", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    await guest.put(`queues/${vhost}/q`, {});
    expect((await guest.delete(`vhosts/${vhost}`)).status).toBe(204);
    expect((await guest.delete(`vhosts/${vhost}`)).body).toEqual(missing);
    await guest.put(`vhosts/${vhost}`, {});
    expect((await guest.get(`queues/${vhost}`)).body).toEqual([]);
  });

  test.skipIf(isForeign)(
    "POST /api/vhosts/:vhost/deletion/protection and DELETE /api/vhosts/:vhost/deletion/protection",
    async () => {
      const guest = await api();
      const vhost = await newVirtualHost();
      expect((await guest.post(`vhosts/${vhost}/deletion/protection`)).status).toBe(204);
      expect((await guest.get(`vhosts/${vhost}`)).body.protected_from_deletion).toBe(true);
      const refused = await guest.delete(`vhosts/${vhost}`);
      expect(refused.status).toBe(412);
      expect(refused.body.error).toBe("precondition_failed");
      expect((await guest.delete(`vhosts/${vhost}/deletion/protection`)).status).toBe(204);
      expect((await guest.delete(`vhosts/${vhost}`)).status).toBe(204);
    },
  );

  test("POST /api/vhosts/:vhost/start/:node does what is done", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    const { node } = (await guest.get("overview?columns=node")).body;
    expect((await guest.post(`vhosts/${vhost}/start/${node}`)).status).toBe(204);
  });

  test.skipIf(isForeign)("V3 the default queue type counts for queues declared here", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    await guest.put(`vhosts/${vhost}`, { default_queue_type: "quorum" });
    await guest.put(`queues/${vhost}/q`, { durable: true });
    expect((await guest.get(`queues/${vhost}/q`)).body.type).toBe("quorum");
    expect((await guest.put(`vhosts/${vhost}`, { default_queue_type: "x" })).status).toBe(400);
  });
});

describe("A5 A10 users", () => {
  test("PUT /api/users/:user adds, then changes, GET /api/users/:user and /api/users tell all but the password", async () => {
    const guest = await api();
    const { user } = await newUser("management, custom");
    const { status, body } = await guest.get(`users/${user}`);
    expect(status).toBe(200);
    expect(body).toEqual({
      ...{ name: user, tags: ["management", "custom"], limits: {} },
      hashing_algorithm: "rabbit_password_hashing_sha256",
      password_hash: expect.stringMatching(/^[A-Za-z0-9+/]{48}$/),
    });
    expect(
      (await guest.put(`users/${user}`, { password: "other", tags: ["monitoring"] })).status,
    ).toBe(204);
    expect((await guest.as(user, "other").get("whoami")).body.tags).toEqual(["monitoring"]);
    expect((await guest.get("users?columns=name")).body).toContainEqual({ name: user });
  });

  test("PUT /api/users/:user needs tags, and takes the password away when none is given", async () => {
    const guest = await api();
    const { user, as } = await newUser("management");
    expect((await guest.put(`users/${user}`, { password: "x" })).body).toEqual({
      ...{ error: "bad_request", reason: "tags_not_present" },
    });
    await guest.put(`users/${user}`, { tags: "management" });
    expect((await guest.get(`users/${user}`)).body.password_hash).toBe("");
    expect((await as.get("whoami")).status).toBe(401);
  });

  test("PUT /api/users/:user takes a hash for a password", async () => {
    const guest = await api();
    const { user } = await newUser("management");
    const { password_hash } = (await guest.get(`users/${user}`)).body;
    const other = await newUser("management");
    await guest.put(`users/${other.user}`, { password_hash, tags: "management" });
    expect((await guest.as(other.user, "correct horse").get("whoami")).status).toBe(200);
    expect((await guest.put(`users/${user}`, { password_hash: "zz", tags: "" })).status).toBe(400);
  });

  test("DELETE /api/users/:user and POST /api/users/bulk-delete take users away", async () => {
    const guest = await api();
    const users = [await newUser(""), await newUser(""), await newUser("")].map(({ user }) => user);
    expect((await guest.delete(`users/${users[0]}`)).status).toBe(204);
    expect((await guest.delete(`users/${users[0]}`)).body).toEqual(missing);
    expect((await guest.post("users/bulk-delete", { users: [users[0]] })).status).toBe(400);
    expect((await guest.post("users/bulk-delete", { users: users.slice(1) })).status).toBe(204);
    for (const user of users) expect((await guest.get(`users/${user}`)).status).toBe(404);
  });

  test("GET /api/users/without-permissions has those who may do nothing", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    const [none, some] = [await newUser(""), await newUser("")];
    await permit(some.user, vhost);
    const { body } = await guest.get("users/without-permissions?columns=name");
    expect(body).toContainEqual({ name: none.user });
    expect(body).not.toContainEqual({ name: some.user });
  });

  test.skipIf(isForeign)(
    "GET /api/auth/hash_password/:password makes a hash that can be used",
    async () => {
      const guest = await api();
      const { ok } = (await guest.get("auth/hash_password/battery%20staple")).body;
      const { user } = await newUser("management");
      await guest.put(`users/${user}`, { password_hash: ok, tags: "management" });
      expect((await guest.as(user, "battery staple").get("whoami")).status).toBe(200);
    },
  );
});

describe("A6 A9 permissions", () => {
  const all = { configure: ".*", write: "^w", read: "" };

  test("PUT, GET and DELETE /api/permissions/:vhost/:user, GET /api/permissions, /api/vhosts/:vhost/permissions and /api/users/:user/permissions", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    const { user } = await newUser("");
    const path = `permissions/${vhost}/${user}`;
    expect((await guest.get(path)).body).toEqual(missing);
    expect((await guest.put(path, all)).status).toBe(201);
    expect((await guest.put(path, all)).status).toBe(204);
    const row = { user, vhost, ...all };
    expect((await guest.get(path)).body).toEqual(row);
    expect((await guest.get("permissions")).body).toContainEqual(row);
    expect((await guest.get(`vhosts/${vhost}/permissions`)).body).toContainEqual(row);
    expect((await guest.get(`users/${user}/permissions`)).body).toEqual([row]);
    expect((await guest.delete(path)).status).toBe(204);
    expect((await guest.delete(path)).body).toEqual(missing);
  });

  test("PUT /api/permissions/:vhost/:user says what is wrong", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    const { user } = await newUser("");
    const bad = { error: "bad_request", reason: "vhost_or_user_not_found" };
    expect((await guest.put(`permissions/${vhost}/no-such-user`, all)).body).toEqual(bad);
    expect((await guest.put(`permissions/no-such-vhost/${user}`, all)).body).toEqual(bad);
    const { configure, write } = all;
    expect(
      (await guest.put(`permissions/${vhost}/${user}`, { configure, write })).body.reason,
    ).toBe("[{key_missing,read}]");
    const wrong = await guest.put(`permissions/${vhost}/${user}`, { ...all, read: "(" });
    expect(wrong.status).toBe(400);
  });

  test("PUT, GET and DELETE /api/topic-permissions/:vhost/:user, GET /api/topic-permissions, /api/vhosts/:vhost/topic-permissions and /api/users/:user/topic-permissions", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    const { user } = await newUser("");
    const path = `topic-permissions/${vhost}/${user}`;
    const [a, b] = ["amq.topic", "other"].map((exchange) => ({
      exchange,
      write: "^a",
      read: ".*",
    }));
    expect((await guest.get(path)).body).toEqual(missing);
    expect((await guest.put(path, a)).status).toBe(201);
    expect((await guest.put(path, a)).status).toBe(204);
    expect((await guest.put(path, b)).status).toBe(204);
    const rows = [a, b].map((each) => ({ user, vhost, ...each }));
    for (const list of [
      path,
      `users/${user}/topic-permissions`,
      `vhosts/${vhost}/topic-permissions`,
    ]) {
      const { body } = await guest.get(list);
      expect(body).toHaveLength(2);
      expect(body).toEqual(expect.arrayContaining(rows));
    }
    expect((await guest.get("topic-permissions")).body).toEqual(expect.arrayContaining(rows));
    expect((await guest.delete(path)).status).toBe(204);
    expect((await guest.get(`users/${user}/topic-permissions`)).body).toEqual([]);
  });

  test.skipIf(isForeign)(
    "GET and DELETE /api/topic-permissions/:vhost/:user/:exchange are for one exchange",
    async () => {
      const guest = await api();
      const vhost = await newVirtualHost();
      const { user } = await newUser("");
      const path = `topic-permissions/${vhost}/${user}`;
      for (const exchange of ["a", "b"]) await guest.put(path, { exchange, write: "w", read: "r" });
      expect((await guest.get(`${path}/a`)).body).toEqual([
        { user, vhost, exchange: "a", write: "w", read: "r" },
      ]);
      expect((await guest.delete(`${path}/a`)).status).toBe(204);
      expect((await guest.get(path)).body).toEqual([
        { user, vhost, exchange: "b", write: "w", read: "r" },
      ]);
    },
  );
});

describe("V4 V5 limits", () => {
  test("PUT and DELETE /api/vhost-limits/:vhost/:name, GET /api/vhost-limits and /api/vhost-limits/:vhost", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    expect((await guest.put(`vhost-limits/${vhost}/max-queues`, { value: 1 })).status).toBe(204);
    const row = { vhost, value: { "max-queues": 1 } };
    expect((await guest.get(`vhost-limits/${vhost}`)).body).toEqual([row]);
    expect((await guest.get("vhost-limits")).body).toContainEqual(row);
    expect((await guest.put(`queues/${vhost}/a`, {})).status).toBe(201);
    const over = await guest.put(`queues/${vhost}/b`, {});
    expect(over.status).toBe(400);
    expect(over.body.reason).toContain("queue limit in vhost");
    expect((await guest.delete(`vhost-limits/${vhost}/max-queues`)).status).toBe(204);
    expect((await guest.get(`vhost-limits/${vhost}`)).body).toEqual([]);
    expect((await guest.put(`queues/${vhost}/b`, {})).status).toBe(201);
  });

  test("PUT and DELETE /api/user-limits/:user/:name, GET /api/user-limits and /api/user-limits/:user", async () => {
    const guest = await api();
    const { user } = await newUser("");
    expect((await guest.put(`user-limits/${user}/max-channels`, { value: 5 })).status).toBe(204);
    const row = { user, value: { "max-channels": 5 } };
    expect((await guest.get(`user-limits/${user}`)).body).toEqual([row]);
    expect((await guest.get("user-limits")).body).toContainEqual(row);
    expect((await guest.get(`users/${user}`)).body.limits).toEqual({ "max-channels": 5 });
    expect((await guest.delete(`user-limits/${user}/max-channels`)).status).toBe(204);
    expect((await guest.get(`user-limits/${user}`)).body).toEqual([]);
    expect((await guest.get("user-limits/no-such-user")).body).toEqual(missing);
  });

  test("a limit that there is not, and one that is none, are a 400", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    const { user } = await newUser("");
    for (const path of [`vhost-limits/${vhost}`, `user-limits/${user}`]) {
      expect((await guest.put(`${path}/max-hares`, { value: 1 })).status).toBe(400);
      expect((await guest.put(`${path}/max-connections`, { value: "x" })).status).toBe(400);
      const { body } = await guest.put(`${path}/max-connections`, {});
      expect(body).toEqual({ error: "bad_request", reason: "[{key_missing,value}]" });
    }
  });
});

describe.each([
  ["V6", "policies"],
  ["V8", "operator-policies"],
])("%s %s", (_, kind) => {
  const definition = { "max-length": 10 };

  test("V6 V8 PUT, GET and DELETE /api/policies/:vhost/:name or /api/operator-policies/:vhost/:name, GET /api/policies, /api/policies/:vhost, /api/operator-policies and /api/operator-policies/:vhost", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    const path = `${kind}/${vhost}/p`;
    const spec = { pattern: "^q", definition, "apply-to": "queues", priority: 3 };
    expect((await guest.put(path, spec)).status).toBe(201);
    expect((await guest.put(path, { pattern: "^q", definition })).status).toBe(204);
    const row = { vhost, name: "p", pattern: "^q", "apply-to": "all", definition, priority: 0 };
    expect((await guest.get(path)).body).toEqual(row);
    expect((await guest.get(`${kind}/${vhost}`)).body).toEqual([row]);
    expect((await guest.get(kind)).body).toContainEqual(row);
    expect((await guest.delete(path)).status).toBe(204);
    expect((await guest.delete(path)).body).toEqual(missing);
    expect((await guest.get(path)).body).toEqual(missing);
  });

  test("V7 what is wrong is a 400 that says so", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    const path = `${kind}/${vhost}/p`;
    expect((await guest.put(path, { pattern: "x" })).body.reason).toBe(
      "[{key_missing,definition}]",
    );
    for (const spec of [
      { pattern: "x", definition: { foo: 1 } },
      { pattern: "(", definition },
      { pattern: "x", definition: { "max-length": -1 } },
    ]) {
      const { status, body } = await guest.put(path, spec);
      expect(status).toBe(400);
      expect(body.reason).toMatch(/^Validation failed\n\n/);
    }
    expect((await guest.put(`${kind}/no-such-vhost/p`, { pattern: "x", definition })).body).toEqual(
      {
        ...{ error: "not_found", reason: "vhost_not_found" },
      },
    );
  });
});

describe("V9 effective policies", () => {
  test.skipIf(isForeign)(
    "stand in the JSON of queues and exchanges, empty ones as an object",
    async () => {
      const guest = await api();
      const vhost = await newVirtualHost();
      await guest.put(`queues/${vhost}/q`, {});
      const columns = "policy,operator_policy,effective_policy_definition";
      const before = await guest.get(`queues/${vhost}/q?columns=${columns}`);
      expect(before.body).toEqual({
        ...{ policy: null, operator_policy: null, effective_policy_definition: {} },
      });
      await guest.put(`policies/${vhost}/p`, { pattern: ".*", definition: { "max-length": 10 } });
      await guest.put(`operator-policies/${vhost}/o`, {
        pattern: ".*",
        definition: { "max-length": 5 },
      });
      expect((await guest.get(`queues/${vhost}/q?columns=${columns}`)).body).toEqual({
        ...{ policy: "p", operator_policy: "o", effective_policy_definition: { "max-length": 5 } },
      });
    },
  );
});

describe("V10 parameters", () => {
  test.skipIf(isForeign)(
    "PUT, GET and DELETE /api/parameters/:component/:vhost/:name, GET /api/parameters, /api/parameters/:component and /api/parameters/:component/:vhost",
    async () => {
      const guest = await api();
      const vhost = await newVirtualHost();
      const path = `parameters/shovel/${vhost}/s`;
      const value = { "src-uri": "amqp://", "src-queue": "a" };
      expect((await guest.put(path, { value })).status).toBe(201);
      expect((await guest.put(path, { value })).status).toBe(204);
      const row = { component: "shovel", vhost, name: "s", value };
      expect((await guest.get(path)).body).toEqual(row);
      for (const list of ["parameters", "parameters/shovel", `parameters/shovel/${vhost}`])
        expect((await guest.get(list)).body).toContainEqual(row);
      expect((await guest.get(`parameters/federation-upstream/${vhost}`)).body).toEqual([]);
      expect((await guest.delete(path)).status).toBe(204);
      expect((await guest.delete(path)).body).toEqual(missing);
    },
  );

  test("a component that there is not is a 400", async () => {
    const vhost = await newVirtualHost();
    const { status, body } = await (await api()).put(`parameters/nope/${vhost}/x`, { value: {} });
    expect(status).toBe(400);
    expect(body).toEqual({
      ...{ error: "bad_request", reason: "Validation failed\n\ncomponent nope not found\n" },
    });
  });

  test.skipIf(isForeign)("those that are administrators' stay so", async () => {
    const { user, as } = await newUser("policymaker");
    const vhost = await newVirtualHost();
    await permit(user, vhost);
    const value = { pattern: ".*", definition: { "max-length": 1 } };
    for (const component of ["operator_policy", "vhost-limits"])
      expect((await as.put(`parameters/${component}/${vhost}/x`, { value })).status).toBe(401);
    expect((await as.put(`parameters/shovel/${vhost}/x`, { value })).status).toBe(201);
  });

  test("PUT, GET and DELETE /api/global-parameters/:name, and GET /api/global-parameters", async () => {
    const guest = await api();
    const name = `test-${Math.random().toString(36).slice(2)}`;
    const path = `global-parameters/${name}`;
    const value = { a: [1, "x", null] };
    expect((await guest.put(path, {})).body.reason).toBe("[{key_missing,value}]");
    expect((await guest.put(path, { value })).status).toBe(201);
    expect((await guest.put(path, { value: 5 })).status).toBe(204);
    expect((await guest.get(path)).body).toEqual({ name, value: 5 });
    expect((await guest.get("global-parameters")).body).toContainEqual({ name, value: 5 });
    expect((await guest.delete(path)).status).toBe(204);
    expect((await guest.delete(path)).body).toEqual(missing);
  });
});
