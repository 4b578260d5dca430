/** Queues, exchanges and bindings over HTTP, and the lists of them. */
import { describe, expect, test } from "vitest";
import { type Api, api, isForeign, newVirtualHost } from "./api.ts";

const missing = { error: "Object Not Found", reason: "Not Found" };
const refused = { error: "not_authorised", reason: "Access refused." };
const number = expect.any(Number);
const INVALID_PAGE = "Invalid pagination parameters:";

async function fresh(): Promise<{ guest: Api; vhost: string }> {
  return { guest: await api(), vhost: await newVirtualHost() };
}

describe("G1 queues", () => {
  test("PUT, GET and DELETE /api/queues/:vhost/:queue", async () => {
    const { guest, vhost } = await fresh();
    const spec = {
      durable: true,
      arguments: { "x-max-length": 10, "x-overflow": "reject-publish" },
    };
    expect((await guest.put(`queues/${vhost}/q`, spec)).status).toBe(201);
    expect((await guest.put(`queues/${vhost}/q`, spec)).status).toBe(204);
    const { status, body } = await guest.get(`queues/${vhost}/q`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      ...{ name: "q", vhost, type: "classic", durable: true, auto_delete: false, exclusive: false },
      ...{ arguments: spec.arguments, node: expect.any(String) },
    });
    expect((await guest.delete(`queues/${vhost}/q`)).status).toBe(204);
    expect((await guest.delete(`queues/${vhost}/q`)).body).toEqual(missing);
  });

  test.skipIf(isForeign)("GET /api/queues/:vhost/:queue has what tools read, at once", async () => {
    const { guest, vhost } = await fresh();
    await guest.put(`queues/${vhost}/q`, {});
    const { body } = await guest.get(`queues/${vhost}/q`);
    const details = { rate: number };
    expect(body).toMatchObject({
      ...{
        messages: 0,
        messages_ready: 0,
        messages_unacknowledged: 0,
        consumers: 0,
        memory: number,
      },
      ...{ messages_details: details, messages_ready_details: details },
      ...{ message_bytes: 0, message_bytes_ready: 0, message_bytes_unacknowledged: 0 },
      ...{ messages_persistent: 0, message_bytes_persistent: 0, consumer_utilisation: 0 },
      message_stats: { publish: 0, publish_details: details, deliver_get: 0, ack: 0 },
      ...{ policy: null, operator_policy: null, effective_policy_definition: {} },
      ...{ exclusive_consumer_tag: null, single_active_consumer_tag: null },
      ...{ consumer_details: [], incoming: [], deliveries: [] },
    });
  });

  test.skipIf(isForeign)(
    "QQ2 a quorum queue shows its one replica and its delivery limit",
    async () => {
      const { guest, vhost } = await fresh();
      const quorum = { "x-queue-type": "quorum" };
      await guest.put(`queues/${vhost}/q`, { durable: true, arguments: quorum });
      await guest.put(`queues/${vhost}/r`, {
        durable: true,
        arguments: { ...quorum, "x-delivery-limit": 3 },
      });
      const nodes = ["rabbit@localhost"];
      expect((await guest.get(`queues/${vhost}/q`)).body).toMatchObject({
        ...{ type: "quorum", leader: nodes[0], members: nodes, online: nodes, delivery_limit: 20 },
      });
      expect((await guest.get(`queues/${vhost}/r`)).body.delivery_limit).toBe(3);
    },
  );

  test("PUT /api/queues/:vhost/:queue says what is wrong", async () => {
    const { guest, vhost } = await fresh();
    await guest.put(`queues/${vhost}/q`, { durable: true });
    const inequivalent = await guest.put(`queues/${vhost}/q`, { durable: false });
    expect(inequivalent.status).toBe(400);
    expect(inequivalent.body).toEqual({
      error: "bad_request",
      reason: `inequivalent arg 'durable' for queue 'q' in vhost '${vhost}': received 'false' but current is 'true'`,
    });
    expect((await guest.put(`queues/${vhost}/b`, { durable: "nope" })).body.reason).toEqual([
      ...["not_boolean", "nope"],
    ]);
    expect((await guest.put(`queues/${vhost}/b`, { node: "x@y" })).body.reason).toBe(
      "Node x@y could not be contacted",
    );
    expect((await guest.put(`queues/${vhost}/amq.x`, {})).body).toEqual(refused);
    expect((await guest.put("queues/no-such-vhost/q", {})).body).toEqual({
      ...{ error: "not_found", reason: "vhost_not_found" },
    });
    const wrong = await guest.put(`queues/${vhost}/b`, { arguments: { "x-max-length": "a" } });
    expect(wrong.status).toBe(400);
    expect(wrong.body.reason).toContain("invalid arg 'x-max-length' for queue 'b'");
  });

  test("an empty list stands for no arguments, and booleans may be texts", async () => {
    const { guest, vhost } = await fresh();
    const spec = { arguments: [], durable: "true", auto_delete: "false" };
    expect((await guest.put(`queues/${vhost}/q`, spec)).status).toBe(201);
    expect((await guest.get(`queues/${vhost}/q`)).body).toMatchObject({
      durable: true,
      arguments: {},
    });
  });

  test("DELETE /api/queues/:vhost/:queue with if-empty keeps a queue with messages", async () => {
    const { guest, vhost } = await fresh();
    await guest.put(`queues/${vhost}/q`, {});
    await guest.post(`exchanges/${vhost}/amq.default/publish`, {
      ...{ properties: {}, routing_key: "q", payload: "x", payload_encoding: "string" },
    });
    const kept = await guest.delete(`queues/${vhost}/q?if-empty=true`);
    expect(kept.status).toBe(400);
    expect(kept.body.reason).toBe(`queue 'q' in vhost '${vhost}' not empty`);
    expect((await guest.delete(`queues/${vhost}/q/contents`)).status).toBe(204);
    expect((await guest.delete(`queues/${vhost}/q?if-empty=true&if-unused=true`)).status).toBe(204);
  });

  test("DELETE /api/queues/:vhost/:queue/contents is a 404 for a queue that is not there", async () => {
    const { guest, vhost } = await fresh();
    expect((await guest.delete(`queues/${vhost}/q/contents`)).body).toEqual(missing);
  });

  test("POST /api/queues/:vhost/:queue/actions knows how to synchronise", async () => {
    const { guest, vhost } = await fresh();
    await guest.put(`queues/${vhost}/q`, {});
    const act = (body: object) => guest.post(`queues/${vhost}/q/actions`, body);
    expect((await act({ action: "sync" })).status).toBe(204);
    expect((await act({ action: "nope" })).body.reason).toEqual(["unknown", "nope"]);
    expect((await act({})).body.reason).toBe("[{key_missing,action}]");
  });

  test("names with every odd character come back as they are", async () => {
    const { guest, vhost } = await fresh();
    const names = [
      "a/b",
      "ä ö",
      "100%",
      "q+r",
      "<&>\"'",
      "?#",
      "..",
      "a~b",
      "日本",
      "\u0001",
      "%2F",
    ];
    for (const name of names) {
      const path = `queues/${vhost}/${encodeURIComponent(name)}`;
      if (name === "..") continue;
      expect([name, (await guest.put(path, {})).status]).toEqual([name, 201]);
      expect((await guest.get(path)).body.name).toBe(name);
      const bindings = `bindings/${vhost}/e/amq.direct/q/${encodeURIComponent(name)}`;
      const made = await guest.post(bindings, { routing_key: name });
      expect([name, made.status]).toEqual([name, 201]);
      const [, key] = made.headers.get("location")!.split("/");
      const one = await guest.get(`${bindings}/${key}`);
      expect([name, one.body.routing_key]).toEqual([name, name]);
      expect((await guest.delete(`${bindings}/${key}`)).status).toBe(204);
      expect((await guest.delete(path)).status).toBe(204);
    }
  });
});

describe("G1 lists", () => {
  async function someQueues(): Promise<{ guest: Api; vhost: string }> {
    const { guest, vhost } = await fresh();
    for (const name of ["b", "a", "ab", "c"]) await guest.put(`queues/${vhost}/${name}`, {});
    return { guest, vhost };
  }

  const names = (body: { name: string }[]) => body.map(({ name }) => name);

  test("GET /api/queues and GET /api/queues/:vhost have all that there are", async () => {
    const { guest, vhost } = await someQueues();
    expect(names((await guest.get(`queues/${vhost}`)).body).sort()).toEqual(["a", "ab", "b", "c"]);
    const all = (await guest.get("queues?columns=name,vhost")).body;
    expect(all).toContainEqual({ name: "ab", vhost });
  });

  test.skipIf(isForeign)("GET /api/queues/detailed has the same", async () => {
    const { guest, vhost } = await someQueues();
    const { body } = await guest.get("queues/detailed?columns=name,vhost");
    expect(body).toContainEqual({ name: "ab", vhost });
  });

  test("are sorted by a column, and the other way round", async () => {
    const { guest, vhost } = await someQueues();
    const list = async (query: string) => names((await guest.get(`queues/${vhost}?${query}`)).body);
    expect(await list("sort=name")).toEqual(["a", "ab", "b", "c"]);
    expect(await list("sort=name&sort_reverse=true")).toEqual(["c", "b", "ab", "a"]);
  });

  test.skipIf(isForeign)(
    "have the columns that are asked for, those within objects too",
    async () => {
      const { guest, vhost } = await fresh();
      await guest.put(`queues/${vhost}/q`, {
        arguments: { "x-max-length": 5, "x-expires": 60000 },
      });
      const { body } = await guest.get(`queues/${vhost}?columns=name,arguments.x-max-length,nope`);
      expect(body).toEqual([{ name: "q", arguments: { "x-max-length": 5 } }]);
    },
  );

  test("have pages", async () => {
    const { guest, vhost } = await someQueues();
    const page = async (query: string) => (await guest.get(`queues/${vhost}?${query}`)).body;
    expect(await page("page=2&page_size=3&sort=name&columns=name")).toEqual({
      ...{ filtered_count: 4, item_count: 1, items: [{ name: "c" }] },
      ...{ page: 2, page_count: 2, page_size: 3, total_count: 4 },
    });
    expect(await page("page=1&name=A&sort=name&columns=name")).toMatchObject({
      ...{
        filtered_count: 2,
        items: [{ name: "a" }, { name: "ab" }],
        page_size: 100,
        total_count: 4,
      },
    });
    expect(await page("page=1&name=%5Ea%24&use_regex=true&pagination=false")).toMatchObject({
      ...{ filtered_count: 1, page_count: 1, item_count: 1 },
    });
    expect(await page("page=1&name=zzz")).toMatchObject({
      filtered_count: 0,
      items: [],
      page_count: 0,
    });
  });

  test.each([
    ["page=5", "page_out_of_range", "Page out of range, page: 5 page size: 100, len: 4"],
    [
      "page=0",
      "invalid_pagination_parameters",
      `${INVALID_PAGE} page number 0, page size undefined`,
    ],
    [
      "page=1&page_size=501",
      "invalid_pagination_parameters",
      `${INVALID_PAGE} page number 1, page size 501`,
    ],
    ["page=x", "bad_request", "Pagination parameters are invalid"],
    ["page=1&page_size=x", "bad_request", "Pagination parameters are invalid"],
    ["page=1&name=(&use_regex=true", "bad_request", "Pagination parameters are invalid"],
  ])("with %s are a 400", async (query, error, reason) => {
    const { guest, vhost } = await someQueues();
    const answer = await guest.get(`queues/${vhost}?${query}`);
    expect(answer.status).toBe(400);
    expect(answer.body).toEqual({ error, reason });
  });

  test.skipIf(isForeign)("a regular expression for names cannot hang the broker", async () => {
    const { guest, vhost } = await fresh();
    await guest.put(`queues/${vhost}/${"a".repeat(200)}`, {});
    const name = encodeURIComponent("^(a+)+$b");
    const { body } = await guest.get(`queues/${vhost}?page=1&use_regex=true&name=${name}`);
    expect(body.items).toEqual([]);
  });

  test("without statistics have the totals alone, or not even these", async () => {
    const { guest, vhost } = await fresh();
    await guest.put(`queues/${vhost}/q`, {});
    const short = (await guest.get(`queues/${vhost}?disable_stats=true`)).body[0];
    expect(Object.keys(short).sort()).toEqual([
      ...[
        "arguments",
        "auto_delete",
        "durable",
        "exclusive",
        "name",
        "node",
        "state",
        "type",
        "vhost",
      ],
    ]);
    const totals = (await guest.get(`queues/${vhost}?disable_stats=true&enable_queue_totals=true`))
      .body;
    expect(totals[0]).toMatchObject({ messages: 0, messages_ready: 0, messages_unacknowledged: 0 });
  });
});

describe("G1 exchanges", () => {
  test("PUT, GET and DELETE /api/exchanges/:vhost/:exchange, GET /api/exchanges and /api/exchanges/:vhost", async () => {
    const { guest, vhost } = await fresh();
    const spec = {
      type: "topic",
      internal: true,
      arguments: { "alternate-exchange": "amq.fanout" },
    };
    expect((await guest.put(`exchanges/${vhost}/x`, spec)).status).toBe(201);
    expect((await guest.put(`exchanges/${vhost}/x`, spec)).status).toBe(204);
    expect((await guest.get(`exchanges/${vhost}/x`)).body).toMatchObject({
      ...{ name: "x", vhost, ...spec, auto_delete: false, incoming: [], outgoing: [] },
      user_who_performed_action: expect.any(String),
    });
    expect((await guest.get(`exchanges/${vhost}?columns=name`)).body).toContainEqual({ name: "x" });
    expect((await guest.get("exchanges?columns=name,vhost")).body).toContainEqual({
      name: "x",
      vhost,
    });
    expect((await guest.delete(`exchanges/${vhost}/x`)).status).toBe(204);
    expect((await guest.delete(`exchanges/${vhost}/x`)).body).toEqual(missing);
  });

  test("amq.default in a path is the default exchange", async () => {
    const { guest, vhost } = await fresh();
    const { body } = await guest.get(`exchanges/${vhost}/amq.default`);
    expect(body).toMatchObject({ name: "", type: "direct", durable: true, internal: false });
    expect((await guest.put(`exchanges/${vhost}/amq.default`, { type: "direct" })).body).toEqual(
      refused,
    );
    expect((await guest.delete(`exchanges/${vhost}/amq.direct`)).body).toEqual(refused);
  });

  test("PUT /api/exchanges/:vhost/:exchange says what is wrong", async () => {
    const { guest, vhost } = await fresh();
    await guest.put(`exchanges/${vhost}/x`, { type: "topic" });
    const { status, body } = await guest.put(`exchanges/${vhost}/x`, { type: "fanout" });
    expect(status).toBe(400);
    expect(body.reason).toBe(
      `inequivalent arg 'type' for exchange 'x' in vhost '${vhost}': received 'fanout' but current is 'topic'`,
    );
    expect((await guest.put(`exchanges/${vhost}/y`, { type: "nope" })).status).toBe(400);
  });

  test("DELETE /api/exchanges/:vhost/:exchange with if-unused keeps one with bindings", async () => {
    const { guest, vhost } = await fresh();
    await guest.put(`exchanges/${vhost}/x`, { type: "topic" });
    await guest.post(`bindings/${vhost}/e/x/e/amq.fanout`, {});
    const kept = await guest.delete(`exchanges/${vhost}/x?if-unused=true`);
    expect(kept.body.reason).toBe(`exchange 'x' in vhost '${vhost}' in use`);
    expect((await guest.delete(`exchanges/${vhost}/x`)).status).toBe(204);
  });
});

describe("G1 bindings", () => {
  test("POST and GET /api/bindings/:vhost/e/:source/q/:destination, GET and DELETE /api/bindings/:vhost/e/:source/q/:destination/:properties", async () => {
    const { guest, vhost } = await fresh();
    await guest.put(`queues/${vhost}/q`, {});
    const path = `bindings/${vhost}/e/amq.topic/q/q`;
    const made = await guest.post(path, { routing_key: "a.b/c d", arguments: { x: 1 } });
    expect(made.status).toBe(201);
    expect(made.headers.get("location")).toMatch(/^q\/a\.b%252Fc%2Bd~[\w-]{6}$/);
    expect((await guest.post(path, { routing_key: "k" })).headers.get("location")).toBe("q/k");
    expect((await guest.post(path)).headers.get("location")).toBe("q/~");
    const { body } = await guest.get(path);
    expect(body).toHaveLength(3);
    const row = {
      ...{ source: "amq.topic", vhost, destination: "q", destination_type: "queue" },
      ...{ routing_key: "k", arguments: {}, properties_key: "k" },
    };
    expect(body).toContainEqual(row);
    expect(body).toContainEqual({
      ...{ ...row, routing_key: "a.b/c d", arguments: { x: 1 } },
      properties_key: expect.stringMatching(/^a\.b%2Fc\+d~[\w-]{6}$/),
    });
    expect(body).toContainEqual({ ...row, routing_key: "", properties_key: "~" });
    for (const { properties_key: key, ...rest } of body) {
      const one = `${path}/${encodeURIComponent(key)}`;
      expect((await guest.get(one)).body).toEqual({ ...rest, properties_key: key });
      expect((await guest.delete(one)).status).toBe(204);
      expect((await guest.delete(one)).body).toEqual(missing);
    }
    expect((await guest.get(path)).body).toEqual([]);
  });

  test("POST and GET /api/bindings/:vhost/e/:source/e/:destination, GET and DELETE /api/bindings/:vhost/e/:source/e/:destination/:properties", async () => {
    const { guest, vhost } = await fresh();
    const path = `bindings/${vhost}/e/amq.topic/e/amq.fanout`;
    expect((await guest.post(path, { routing_key: "~" })).headers.get("location")).toBe(
      "amq.fanout/%257E",
    );
    const row = {
      ...{ source: "amq.topic", vhost, destination: "amq.fanout", destination_type: "exchange" },
      ...{ routing_key: "~", arguments: {}, properties_key: "%7E" },
    };
    expect((await guest.get(path)).body).toEqual([row]);
    expect((await guest.get(`${path}/%257E`)).body).toEqual(row);
    expect((await guest.get(`exchanges/${vhost}/amq.topic/bindings/source`)).body).toEqual([row]);
    expect((await guest.get(`exchanges/${vhost}/amq.fanout/bindings/destination`)).body).toEqual([
      row,
    ]);
    expect((await guest.get(`exchanges/${vhost}/amq.direct/bindings/source`)).body).toEqual([]);
    expect((await guest.delete(`${path}/%257E`)).status).toBe(204);
  });

  test("GET /api/bindings, /api/bindings/:vhost and /api/queues/:vhost/:queue/bindings have the default exchange's", async () => {
    const { guest, vhost } = await fresh();
    await guest.put(`queues/${vhost}/q`, {});
    const row = {
      ...{ source: "", vhost, destination: "q", destination_type: "queue" },
      ...{ routing_key: "q", arguments: {}, properties_key: "q" },
    };
    expect((await guest.get(`bindings/${vhost}`)).body).toEqual([row]);
    expect((await guest.get("bindings")).body).toContainEqual(row);
    expect((await guest.get(`queues/${vhost}/q/bindings`)).body).toEqual([row]);
    expect((await guest.get(`bindings/${vhost}/e/amq.default/q/q`)).body).toEqual([row]);
    expect((await guest.get(`bindings/${vhost}/e/amq.default/q/q/q`)).body).toEqual(row);
    expect((await guest.get(`exchanges/${vhost}/amq.default/bindings/source`)).body).toEqual([row]);
  });

  test("GET /api/exchanges/:vhost/:exchange/bindings/source and /api/exchanges/:vhost/:exchange/bindings/destination", async () => {
    const { guest, vhost } = await fresh();
    await guest.post(`bindings/${vhost}/e/amq.topic/e/amq.fanout`, { routing_key: "k" });
    const [away, here] = [
      await guest.get(`exchanges/${vhost}/amq.topic/bindings/source`),
      await guest.get(`exchanges/${vhost}/amq.fanout/bindings/destination`),
    ];
    expect(away.body).toMatchObject([{ source: "amq.topic", destination: "amq.fanout" }]);
    expect(here.body).toEqual(away.body);
    expect((await guest.get(`exchanges/${vhost}/amq.topic/bindings/destination`)).body).toEqual([]);
  });

  test("what is missing is a 404, and the default exchange takes no bindings", async () => {
    const { guest, vhost } = await fresh();
    await guest.put(`queues/${vhost}/q`, {});
    const bind = (path: string) => guest.post(`bindings/${vhost}/e/${path}`, { routing_key: "k" });
    expect((await bind("amq.direct/q/nope")).body).toEqual({
      ...{ error: "not_found", reason: `no queue 'nope' in vhost '${vhost}'` },
    });
    expect((await bind("nope/q/q")).body).toEqual({
      ...{ error: "not_found", reason: `no exchange 'nope' in vhost '${vhost}'` },
    });
    expect((await bind("amq.default/q/q")).body).toEqual(refused);
  });
});
