/** Who may use the API, and what those hear who may not. */
import { request as httpRequest } from "node:http";
import { describe, expect, test } from "vitest";
import { routes } from "../../src/management/routes.ts";
import { api, isForeign, newUser, newVirtualHost, permit, stranger, target } from "./api.ts";

const CHALLENGE = 'Basic realm="RabbitMQ Management"';

describe("G20 the log-in", () => {
  test("is asked for where there is none, without a body", async () => {
    const answer = await (await stranger()).get("whoami");
    expect(answer.status).toBe(401);
    expect(answer.text).toBe("");
    expect(answer.headers.get("www-authenticate")).toBe(CHALLENGE);
  });

  test("is refused alike for an unknown user and a wrong password", async () => {
    const guest = await api();
    const { user } = await newUser("administrator");
    for (const as of [guest.as(user, "wrong"), guest.as(user, ""), guest.as("no-such-user", "x")]) {
      const answer = await as.get("whoami");
      expect(answer.status).toBe(401);
      expect(answer.headers.get("www-authenticate")).toBe(CHALLENGE);
      expect(answer.body).toEqual({ error: "not_authorized", reason: "Login failed" });
    }
  });

  test.each(["Bearer abc", "Basic", "Basic %%%", "Basic bm9jb2xvbg==", ""])(
    "is refused with the header '%s'",
    async (authorization) => {
      const answer = await (await stranger()).request("GET", "whoami", undefined, {
        authorization,
      });
      // RabbitMQ does not understand most of them: a 400.
      expect(isForeign ? [400, 401] : [401]).toContain(answer.status);
    },
  );

  test.skipIf(isForeign)(
    "stands before every route but /api/auth, whatever is in the path",
    async () => {
      const nobody = await stranger();
      const open: string[] = [];
      for (const { method, path } of routes) {
        const answer = await nobody.request(
          method,
          path.replace("/api/", "").replaceAll(/:\w+/g, "x"),
        );
        if (answer.status !== 401) open.push(`${method} ${path}: ${answer.status}`);
      }
      expect(open).toEqual(["GET /api/auth: 200"]);
    },
  );

  test("GET /api/auth needs none", async () => {
    const answer = await (await stranger()).get("auth");
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ enable_uaa: false, uaa_client_id: "", uaa_location: "" });
  });
});

describe("G20 A5 user tags", () => {
  test("let nobody in who has none of the API's", async () => {
    const { user, as } = await newUser("impersonator,other");
    const vhost = await newVirtualHost();
    await permit(user, vhost);
    for (const path of ["whoami", "overview", `queues/${vhost}`]) {
      const answer = await as.get(path);
      expect(answer.status).toBe(401);
      expect(answer.body).toEqual({ error: "not_authorised", reason: "Not management user" });
    }
  });

  test.each([
    ["management", "nodes", "Not monitor user"],
    ["policymaker", "nodes", "Not monitor user"],
    ["monitoring", "users", "Not administrator user"],
    ["management", "permissions", "Not administrator user"],
    ["management", "feature-flags", "Not administrator user"],
    ["management", "parameters", "User not authorised to access object"],
    ["management", "global-parameters", "User not authorised to access object"],
  ])("%s may not have %s", async (tag, path, reason) => {
    const { as } = await newUser(tag);
    const answer = await as.get(path);
    expect(answer.status).toBe(401);
    expect(answer.body).toEqual({ error: "not_authorised", reason });
  });

  test("monitoring sees nodes and virtual hosts, and may not change them", async () => {
    const { as } = await newUser("monitoring");
    const vhost = await newVirtualHost();
    expect((await as.get("nodes")).status).toBe(200);
    expect((await as.get(`vhosts?columns=name`)).body).toContainEqual({ name: vhost });
    expect((await as.put(`vhosts/${vhost}`, {})).status).toBe(401);
    expect((await as.put(`queues/${vhost}/q`, {})).status).toBe(401);
  });

  test.skipIf(isForeign)(
    "are looked at on every route that needs more than management",
    async () => {
      const { user, as } = await newUser("management");
      const vhost = await newVirtualHost();
      await permit(user, vhost);
      const open: string[] = [];
      for (const { method, path, needs } of routes) {
        if (needs === "management" || needs === "nothing") continue;
        const asked = path.replace("/api/", "").replace(":vhost", vhost).replaceAll(/:\w+/g, "x");
        const answer = await as.request(method, asked);
        if (answer.status !== 401) open.push(`${method} ${path}: ${answer.status}`);
      }
      expect(open).toEqual([]);
    },
  );
});

describe("G20 A6 virtual hosts", () => {
  test("are closed to users without permissions there", async () => {
    const { user, as } = await newUser("management");
    const mine = await newVirtualHost();
    const other = await newVirtualHost();
    await permit(user, mine);
    expect((await as.get(`queues/${mine}`)).status).toBe(200);
    for (const kind of ["queues", "exchanges", "bindings", "aliveness-test"]) {
      const answer = await as.get(`${kind}/${other}`);
      expect([kind, answer.status]).toEqual([kind, 401]);
      expect(answer.body.reason).toBe("User not authorised to access virtual host");
    }
    expect((await as.get("vhosts?columns=name")).body).toEqual([{ name: mine }]);
  });

  test.skipIf(isForeign)("are closed on every route that names one", async () => {
    const { as } = await newUser("management,policymaker");
    const other = await newVirtualHost();
    const open: string[] = [];
    for (const { method, path } of routes) {
      if (!path.includes(":vhost")) continue;
      const asked = path.replace("/api/", "").replace(":vhost", other).replaceAll(/:\w+/g, "x");
      const answer = await as.request(method, asked);
      if (answer.status !== 401) open.push(`${method} ${path}: ${answer.status}`);
    }
    expect(open).toEqual([]);
  });

  test("permissions count for what is declared, published and got", async () => {
    const { user, as } = await newUser("management");
    const vhost = await newVirtualHost();
    const guest = await api();
    await guest.put(`permissions/${vhost}/${user}`, {
      ...{ configure: "^my-", write: "^my-", read: "^my-" },
    });
    await guest.put(`queues/${vhost}/other`, {});
    expect((await as.put(`queues/${vhost}/my-queue`, {})).status).toBe(201);
    const message = {
      properties: {},
      routing_key: "other",
      payload: "x",
      payload_encoding: "string",
    };
    const wanted = { count: 1, ackmode: "ack_requeue_true", encoding: "auto" };
    const refusals = [
      await as.put(`queues/${vhost}/yours`, {}),
      await as.put(`exchanges/${vhost}/yours`, { type: "direct" }),
      await as.delete(`queues/${vhost}/other`),
      await as.delete(`queues/${vhost}/other/contents`),
      await as.post(`bindings/${vhost}/e/amq.direct/q/my-queue`, {}),
    ];
    for (const { status, body } of refusals) {
      expect(status).toBe(401);
      expect(body).toEqual({ error: "not_authorised", reason: "Access refused." });
    }
    const got = await as.post(`queues/${vhost}/other/get`, wanted);
    expect(got.status).toBe(401);
    expect(got.body.reason).toMatch(
      new RegExp(
        `^ACCESS_REFUSED - .*access to queue 'other' in vhost '${vhost}' refused for user '${user}'$`,
      ),
    );
    const published = await as.post(`exchanges/${vhost}/amq.default/publish`, message);
    expect(published.status).toBe(400);
    expect(published.body.reason).toMatch(
      new RegExp(
        `^403 ACCESS_REFUSED - .*access to exchange 'amq.default' in vhost '${vhost}' refused`,
      ),
    );
  });
});

const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
const oddBodies = [
  ...[undefined, {}, '{"value":null}', '{"arguments":5,"tags":{},"value":"x","name":[]}'],
  ...[`{"arguments":{"a":${deep}},"value":${deep}}`, '{"__proto__":{"x":1},"arguments":[1]}'],
  '{"properties":{"headers":[1]},"routing_key":1,"payload":2,"payload_encoding":3}',
  '{"count":1e99,"ackmode":"x","encoding":"__proto__"}',
  '{"durable":"x","auto_delete":7,"type":{},"node":9,"users":[[]],"description":{}}',
  '{"password_hash":"%%%","tags":[1],"limits":"x","metadata":7}',
];
const oddNames = ["x", "%00%ff", "%e2%82%ac%27%22%3c", "a".repeat(3000), "%zz", "__proto__"];

function oddRequests(vhost: string): { method: string; path: string; asked: string }[] {
  return routes.flatMap(({ method, path }) =>
    oddNames.map((name) => {
      const asked = path.replace("/api/", "").replace(":vhost", vhost).replaceAll(/:\w+/g, name);
      return { method, path, asked };
    }),
  );
}

describe("G1 requests that are wrong", () => {
  test("for what is not there: a 404", async () => {
    const guest = await api();
    for (const path of ["no-such-route", "queues/%2F/no-such-queue", "vhosts/no-such-vhost"]) {
      const answer = await guest.get(path);
      expect(answer.status).toBe(404);
      expect(answer.body).toEqual({ error: "Object Not Found", reason: "Not Found" });
    }
  });

  test("with another method: a 405 that names those that there are", async () => {
    const guest = await api();
    const answer = await guest.post("whoami", {});
    expect(answer.status).toBe(405);
    expect(answer.text).toBe("");
    expect(answer.headers.get("allow")).toBe("HEAD, GET, OPTIONS");
    const options = await guest.request("OPTIONS", "queues/%2F/q");
    expect(options.status).toBe(200);
    expect(options.headers.get("allow")).toBe("HEAD, GET, PUT, DELETE, OPTIONS");
  });

  test.each(["{", "[]", "5"])("with the body %s: a 400", async (body) => {
    const vhost = await newVirtualHost();
    const answer = await (await api()).put(`vhosts/${vhost}`, body);
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual({ error: "bad_request", reason: "not_json" });
  });

  test("a path ends with a slash, or without", async () => {
    const guest = await api();
    expect((await guest.get("overview/")).body).toMatchObject({ product_name: "RabbitMQ" });
  });

  test("HEAD is answered as GET, without the body", async () => {
    const answer = await (await api()).request("HEAD", "overview");
    expect(answer.status).toBe(200);
    expect(answer.text).toBe("");
  });

  test.skipIf(isForeign)("no path and no body makes a 500", async () => {
    const guest = await api();
    const vhost = await newVirtualHost();
    const failed: string[] = [];
    for (const { method, path, asked } of oddRequests(vhost)) {
      for (const [index, body] of (method === "GET" || method === "DELETE"
        ? [undefined]
        : oddBodies
      ).entries()) {
        const { status } = await guest.request(method, asked, body);
        if (status >= 500 && status !== 503)
          failed.push(`${method} ${path}: ${status}, body ${index}`);
      }
    }
    expect(failed).toEqual([]);
  });

  test.skipIf(isForeign)("a body over the limit is refused, and not read to its end", async () => {
    const answer = await (await api()).put("vhosts/x", `{"description":"${"x".repeat(1 << 21)}"}`);
    expect(answer.status).toBe(413);
    expect(answer.body.error).toBe("bad_request");
  });

  test.skipIf(isForeign)("a stranger's body is not waited for", async () => {
    const { http } = await target();
    const status = await new Promise((resolve, reject) => {
      const request = httpRequest(`${http}/api/vhosts/x`, { method: "PUT" });
      request.on("response", (response) => {
        resolve(response.statusCode);
        request.destroy();
      });
      request.on("error", reject);
      request.setHeader("content-length", 1000);
      request.flushHeaders();
    });
    expect(status).toBe(401);
  });
});
