/** Definitions: what is exported, what an import makes, at the start too, and that RabbitMQ and Leveret read each other's. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "amqplib";
import { describe, expect, onTestFinished, test } from "vitest";
import { Broker, type BrokerOptions } from "../../src/index.ts";
import { loadSettings } from "../../src/settings/load.ts";
import { readCommandLine } from "../../src/settings/sources.ts";
import { Api, api, isForeign, newUser, newVirtualHost, rabbitmq } from "./api.ts";

interface Row {
  name?: unknown;
  vhost?: unknown;
  [member: string]: unknown;
}

/** Puts something of every kind into a virtual host. */
async function fill(guest: Api, vhost: string): Promise<void> {
  await guest.put(`vhosts/${vhost}`, { description: "filled", tags: "a,b" });
  await guest.put(`queues/${vhost}/q`, { durable: true, arguments: { "x-max-length": 7 } });
  await guest.put(`queues/${vhost}/transient`, { durable: false, auto_delete: true });
  await guest.put(`exchanges/${vhost}/x`, {
    type: "topic",
    arguments: { "alternate-exchange": "y" },
  });
  await guest.put(`exchanges/${vhost}/y`, { type: "headers", durable: true, internal: true });
  await guest.post(`bindings/${vhost}/e/x/q/q`, { routing_key: "a.#", arguments: { z: 1 } });
  await guest.post(`bindings/${vhost}/e/x/e/y`, { routing_key: "b" });
  await guest.put(`policies/${vhost}/p`, {
    ...{ pattern: "^q", definition: { "max-length": 5 }, "apply-to": "queues", priority: 2 },
  });
  await guest.put(`operator-policies/${vhost}/o`, { pattern: ".*", definition: { expires: 1e6 } });
  await guest.put(`vhost-limits/${vhost}/max-queues`, { value: 100 });
}

/** The rows of one virtual host or user, in an order of their own. */
function of(definitions: Record<string, Row[]>, kind: string, vhost: string): Row[] {
  return definitions[kind]!.filter((row) => row.vhost === vhost || row.name === vhost).sort(
    (a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1),
  );
}

const content = ["queues", "exchanges", "bindings", "policies", "parameters"];

/** What is in a virtual host, as definitions tell, whatever order they have it in. */
async function contentOf(guest: Api, vhost: string): Promise<Record<string, Row[]>> {
  const { body } = await guest.get("definitions");
  return Object.fromEntries(content.map((kind) => [kind, of(sorted(body) as never, kind, vhost)]));
}

/** The same in every broker: members in one order. */
function sorted(value: unknown): Row {
  const json = JSON.stringify(value, (_, inner) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
  return JSON.parse(json);
}

describe("V11 GET /api/definitions", () => {
  test("V11 has everything but what brokers make by themselves", async () => {
    const [guest, vhost] = [await api(), await newVirtualHost()];
    const { user } = await newUser("management,x");
    await fill(guest, vhost);
    await guest.put(`permissions/${vhost}/${user}`, { configure: "a", write: "b", read: "c" });
    await guest.put(`topic-permissions/${vhost}/${user}`, { exchange: "x", write: "w", read: "r" });
    const { body } = await guest.get("definitions");
    expect(body).toMatchObject({
      ...{ rabbit_version: expect.any(String), rabbitmq_version: expect.any(String) },
      ...{ product_name: "RabbitMQ", product_version: expect.any(String) },
    });
    expect(body.users).toContainEqual({
      ...{ name: user, tags: ["management", "x"], limits: {}, password_hash: expect.any(String) },
      hashing_algorithm: "rabbit_password_hashing_sha256",
    });
    expect(body.vhosts).toContainEqual(expect.objectContaining({ name: vhost }));
    expect(body.permissions).toContainEqual({ user, vhost, configure: "a", write: "b", read: "c" });
    expect(body.topic_permissions).toContainEqual({
      user,
      vhost,
      exchange: "x",
      write: "w",
      read: "r",
    });
    expect(body.global_parameters).toBeInstanceOf(Array);
    expect(of(body, "queues", vhost)).toEqual([
      { name: "q", vhost, durable: true, auto_delete: false, arguments: { "x-max-length": 7 } },
      { name: "transient", vhost, durable: false, auto_delete: true, arguments: {} },
    ]);
    expect(
      of(body, "exchanges", vhost).map(({ name, type, internal }) => [name, type, internal]),
    ).toEqual([
      ["x", "topic", false],
      ["y", "headers", true],
    ]);
    const ends = { source: "x", vhost };
    expect(body.bindings).toEqual(
      expect.arrayContaining([
        {
          ...{ ...ends, destination: "q", destination_type: "queue" },
          ...{ routing_key: "a.#", arguments: { z: 1 } },
        },
        {
          ...{ ...ends, destination: "y", destination_type: "exchange" },
          ...{ routing_key: "b", arguments: {} },
        },
      ]),
    );
    expect(of(body, "policies", vhost)).toEqual([
      {
        ...{ vhost, name: "p", pattern: "^q", "apply-to": "queues" },
        ...{ definition: { "max-length": 5 }, priority: 2 },
      },
    ]);
    expect(of(body, "parameters", vhost)).toEqual(
      expect.arrayContaining([
        { vhost, component: "vhost-limits", name: "limits", value: { "max-queues": 100 } },
        {
          ...{ vhost, component: "operator_policy", name: "o" },
          value: { pattern: ".*", definition: { expires: 1e6 }, priority: 0, "apply-to": "all" },
        },
      ]),
    );
  });

  test.skipIf(isForeign)("V11 leaves out what goes with a connection", async () => {
    const broker = await startBroker();
    const connection = await connect(broker.url);
    onTestFinished(() => connection.close());
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue("mine", { exclusive: true });
    await channel.bindQueue(queue, "amq.topic", "k");
    const { body } = await new Api(broker.managementUrl!).get("definitions");
    expect(body).toMatchObject({ queues: [], bindings: [], exchanges: [] });
  });

  test("V11 GET /api/definitions/:vhost has what is in one virtual host, without its name", async () => {
    const [guest, vhost] = [await api(), await newVirtualHost()];
    await fill(guest, vhost);
    const { body } = await guest.get(`definitions/${vhost}`);
    expect(Object.keys(body)).toEqual(expect.arrayContaining(content));
    expect(body.users).toBeUndefined();
    const [queue] = body.queues;
    expect(queue.vhost).toBeUndefined();
    expect(body.exchanges.length).toBe(2);
    if (!isForeign) expect((await guest.get("definitions/no-such-vhost")).status).toBe(404);
  });

  test("V11 is saved under a name when asked for", async () => {
    const { headers } = await (await api()).get("definitions?download=broker.json");
    expect(headers.get("content-disposition")).toBe("attachment; filename=broker.json");
  });

  test("V11 is the administrators'", async () => {
    const { as } = await newUser("monitoring");
    expect((await as.get("definitions")).status).toBe(401);
    expect((await as.post("definitions", {})).status).toBe(401);
  });
});

describe("V11 POST /api/definitions", () => {
  test("V11 makes all of it anew", async () => {
    const [guest, vhost] = [await api(), await newVirtualHost()];
    await fill(guest, vhost);
    const { body: definitions } = await guest.get("definitions");
    const before = await contentOf(guest, vhost);
    await guest.delete(`vhosts/${vhost}`);
    const mine: Row = {};
    for (const kind of ["vhosts", ...content]) mine[kind] = of(definitions, kind, vhost);
    // In the order in which nothing finds what it needs.
    const reversed = Object.fromEntries(Object.entries(mine).reverse());
    expect((await guest.post("definitions", reversed)).status).toBe(204);
    await guest.put(`permissions/${vhost}/guest`, { configure: ".*", write: ".*", read: ".*" });
    expect(await contentOf(guest, vhost)).toEqual(before);
  });

  test("V11 changes users and policies, and leaves queues and exchanges as they are", async () => {
    const [guest, vhost] = [await api(), await newVirtualHost()];
    const { user } = await newUser("a");
    await fill(guest, vhost);
    const answer = await guest.post("definitions", {
      users: [{ name: user, tags: "b,management", password: "new one" }],
      permissions: [{ user, vhost, configure: "", write: "", read: ".*" }],
      queues: [{ name: "q", vhost, durable: false, auto_delete: true, arguments: {} }],
      exchanges: [
        {
          ...{
            name: "x",
            vhost,
            type: "fanout",
            durable: true,
            auto_delete: false,
            internal: false,
          },
          arguments: {},
        },
      ],
      policies: [{ name: "p", vhost, pattern: "z", definition: { "max-length": 1 } }],
    });
    expect(answer.status).toBe(204);
    expect((await guest.as(user, "new one").get("whoami")).body.tags).toEqual(["b", "management"]);
    expect((await guest.get(`queues/${vhost}/q`)).body).toMatchObject({
      durable: true,
      auto_delete: false,
    });
    expect((await guest.get(`exchanges/${vhost}/x`)).body.type).toBe("topic");
    expect((await guest.get(`policies/${vhost}/p`)).body).toMatchObject({
      pattern: "z",
      priority: 0,
    });
  });

  test("V11 passes over names that belong to the broker, and bindings without ends", async () => {
    const [guest, vhost] = [await api(), await newVirtualHost()];
    const common = { vhost, durable: true, auto_delete: false, arguments: {} };
    const answer = await guest.post("definitions", {
      queues: [{ name: "amq.gen-x", ...common }],
      exchanges: [{ name: "amq.topic", type: "fanout", internal: false, ...common }],
      bindings: [
        {
          ...{ source: "nope", vhost, destination: "amq.topic", destination_type: "exchange" },
          ...{ routing_key: "", arguments: {} },
        },
      ],
    });
    expect(answer.status).toBe(204);
    expect((await guest.get(`queues/${vhost}`)).body).toEqual([]);
  });

  test("V11 POST /api/definitions/:vhost makes it in that virtual host alone", async () => {
    const [guest, from, to] = [await api(), await newVirtualHost(), await newVirtualHost()];
    await fill(guest, from);
    const { body } = await guest.get(`definitions/${from}`);
    // As 3.10 has them, these name their virtual host.
    const { parameters: _, policies: __, ...rest } = body;
    const intruder = { name: "intruder", tags: "administrator", password: "x" };
    expect((await guest.post(`definitions/${to}`, { ...rest, users: [intruder] })).status).toBe(
      204,
    );
    expect((await guest.get(`queues/${to}/q`)).body.arguments).toEqual({ "x-max-length": 7 });
    expect((await guest.get("users/intruder")).status).toBe(404);
    expect((await guest.post("definitions/no-such-vhost", {})).body).toEqual({
      ...{ error: "not_found", reason: "vhost_not_found" },
    });
  });

  test("V11 takes a file of a form", async () => {
    const [guest, vhost] = [await api(), await newVirtualHost()];
    const queue = { name: "ä", vhost, durable: true, auto_delete: false, arguments: {} };
    const send = (name: string, text: string) =>
      guest.request(
        "POST",
        "definitions",
        `--B\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--B\r\nContent-Disposition: form-data; name="${name}"; filename="d.json"\r\nContent-Type: application/json\r\n\r\n${text}\r\n--B--\r\n`,
        { "content-type": "multipart/form-data; boundary=B" },
      );
    expect((await send("file", JSON.stringify({ queues: [queue] }))).status).toBe(204);
    expect((await guest.get(`queues/${vhost}?columns=name`)).body).toEqual([{ name: "ä" }]);
    expect((await send("other", "{}")).status).toBe(400);
  });

  test.each([
    ["[]", "failed_to_parse_json"],
    ["{", "failed_to_parse_json"],
    [{ users: [{ name: "x" }] }, "tags_not_present"],
    [
      { queues: [{ name: "z", vhost: "nope", durable: true, auto_delete: false, arguments: {} }] },
      ["no_such_vhost", "nope"],
    ],
    [
      { permissions: [{ user: "nobody", vhost: "/", configure: "", write: "", read: "" }] },
      ["no_such_user", "nobody"],
    ],
  ])("V11 says what is wrong with %j", async (definitions, reason) => {
    const { status, body } = await (await api()).post("definitions", definitions);
    expect(status).toBe(400);
    expect(body).toEqual({ error: "bad_request", reason });
  });

  test.skipIf(isForeign)("V11 a list that is none is a 400, whatever it is", async () => {
    for (const kind of [
      "users",
      "vhosts",
      "permissions",
      "topic_permissions",
      "parameters",
      ...content,
    ]) {
      for (const wrong of [{}, "x", 5, [5], [[]], [{}]]) {
        const { status } = await (await api()).post("definitions", { [kind]: wrong });
        expect([kind, wrong, status]).toEqual([kind, wrong, 400]);
      }
    }
  });
});

async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const broker = await Broker.start({ port: 0, managementPort: 0, ...options });
  onTestFinished(() => broker.close());
  return broker;
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "leveret-definitions-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

describe.skipIf(isForeign)("V12 definitions at the start", () => {
  const queue = { name: "q", vhost: "/", durable: true, auto_delete: false, arguments: {} };
  const user = { name: "me", password: "secret", tags: "administrator" };
  const permission = { user: "me", vhost: "/", configure: ".*", write: ".*", read: ".*" };

  test("V12 A14 are made before clients come, and the default user is there unless they define users", async () => {
    const file = join(folder(), "definitions.json");
    writeFileSync(file, JSON.stringify({ queues: [queue] }));
    const broker = await startBroker({ definitions: file });
    const guest = new Api(broker.managementUrl!);
    expect((await guest.get("queues/%2F?columns=name")).body).toEqual([{ name: "q" }]);
    writeFileSync(
      file,
      JSON.stringify({ users: [user], permissions: [permission], queues: [queue] }),
    );
    const other = new Api((await startBroker({ definitions: file })).managementUrl!);
    expect((await other.get("whoami")).status).toBe(401);
    expect((await other.as("me", "secret").get("users?columns=name")).body).toEqual([
      { name: "me" },
    ]);
  });

  test("V12 may be several files in a folder, in the order of their names", async () => {
    const path = folder();
    writeFileSync(join(path, "1-users.json"), JSON.stringify({ vhosts: [{ name: "v" }] }));
    writeFileSync(
      join(path, "2-queues.json"),
      JSON.stringify({ queues: [{ ...queue, vhost: "v" }] }),
    );
    writeFileSync(join(path, "readme.txt"), "no definitions");
    const broker = await startBroker({ definitions: path });
    const { body } = await new Api(broker.managementUrl!).get("queues/v?columns=name");
    expect(body).toEqual([{ name: "q" }]);
  });

  test("V12 are imported at each start, and leave what is there", async () => {
    const path = folder();
    const file = join(path, "d.json");
    writeFileSync(
      file,
      JSON.stringify({ users: [user], permissions: [permission], queues: [queue] }),
    );
    const dataDir = join(path, "data");
    const first = await Broker.start({ port: 0, managementPort: 0, definitions: file, dataDir });
    const me = new Api(first.managementUrl!).as("me", "secret");
    await me.post("exchanges/%2F/amq.default/publish", {
      ...{ properties: { delivery_mode: 2 }, routing_key: "q" },
      ...{ payload: "kept", payload_encoding: "string" },
    });
    await me.delete("queues/%2F/other");
    await first.close();
    const second = await startBroker({ definitions: file, dataDir });
    const again = new Api(second.managementUrl!).as("me", "secret");
    expect((await again.get("queues/%2F/q")).body.messages).toBe(1);
    expect((await again.get("users?columns=name")).body).toEqual([{ name: "me" }]);
  });

  test.each([
    ["{", "not_json"],
    [JSON.stringify({ queues: [{ name: "q", vhost: "nope" }] }), '["no_such_vhost","nope"]'],
    [JSON.stringify({ users: 5 }), '["not_a_list","users"]'],
    [
      JSON.stringify({
        policies: [{ name: "p", vhost: "/", pattern: "x", definition: { foo: 1 } }],
      }),
      'Validation failed; [{<<"foo">>,1}] are not recognised policy settings',
    ],
  ])("V12 end the start when they are wrong: %s", async (text, reason) => {
    const path = folder();
    const file = join(path, "d.json");
    writeFileSync(file, text);
    const started = Broker.start({ port: 0, definitions: file, dataDir: join(path, "data") });
    await expect(started).rejects.toThrow(`${file}: ${reason}`);
    // And nothing stays locked.
    await (await Broker.start({ port: 0, dataDir: join(path, "data") })).close();
  });

  test("V12 G8 A14 the keys of rabbitmq.conf name them, and say what the default user may do", async () => {
    const path = folder();
    const file = join(path, "d.json");
    const conf = join(path, "rabbitmq.conf");
    writeFileSync(file, JSON.stringify({ queues: [queue] }));
    writeFileSync(
      conf,
      `load_definitions = ${file}\ndefault_permissions.write = ^w\ndefault_user_tags.monitoring = true\n` +
        "management.tcp.port = 0\nmanagement.tcp.ip = 127.0.0.1\nprometheus.tcp.port = 0\n",
    );
    const { settings, notices } = loadSettings(readCommandLine(["--config", conf]), {});
    expect(notices).toEqual([]);
    const broker = await Broker.start({ ...settings, port: 0 });
    onTestFinished(() => broker.close());
    const guest = new Api(broker.managementUrl!);
    expect((await guest.get("whoami")).body.tags).toEqual(["monitoring"]);
    expect((await guest.get("queues/%2F?columns=name")).body).toEqual([{ name: "q" }]);
    expect(broker.permissions.get("guest", "/")).toEqual({
      configure: ".*",
      write: "^w",
      read: ".*",
    });
  });

  test("V12 end the start when there is no such file", async () => {
    await expect(Broker.start({ port: 0, definitions: "/no/such/file" })).rejects.toThrow(
      "/no/such/file",
    );
  });
});

/** Each reads what the other has written; `npm run conformance:rabbitmq` starts the RabbitMQ that it takes. */
describe.skipIf(rabbitmq === undefined)("V11 round trips with RabbitMQ", () => {
  async function rabbitVirtualHost(): Promise<{ rabbit: Api; vhost: string }> {
    const rabbit = new Api(rabbitmq!.http);
    const vhost = `vhost-${Math.random().toString(36).slice(2)}`;
    onTestFinished(async () => void (await rabbit.delete(`vhosts/${vhost}`)));
    return { rabbit, vhost };
  }

  test("V11 what RabbitMQ has exported is the same here, and back there", async () => {
    const { rabbit, vhost } = await rabbitVirtualHost();
    await fill(rabbit, vhost);
    const { body: exported } = await rabbit.get("definitions");
    const here = new Api((await startBroker()).managementUrl!);
    const mine = Object.fromEntries(
      ["vhosts", ...content].map((kind) => [kind, of(exported, kind, vhost)]),
    );
    const users = exported.users.filter(({ name }: Row) => name === "guest");
    expect(
      (
        await here.post("definitions", {
          ...exported,
          ...mine,
          users,
          permissions: [],
          topic_permissions: [],
        })
      ).text,
    ).toBe("");
    expect(await contentOf(here, vhost)).toEqual(await contentOf(rabbit, vhost));
    expect((await here.get("whoami")).status).toBe(200);

    const before = await contentOf(rabbit, vhost);
    await rabbit.delete(`vhosts/${vhost}`);
    const { body: ours } = await here.get("definitions");
    const back = Object.fromEntries(
      ["vhosts", ...content].map((kind) => [kind, of(ours, kind, vhost)]),
    );
    expect((await rabbit.post("definitions", back)).text).toBe("");
    await rabbit.put(`permissions/${vhost}/guest`, { configure: ".*", write: ".*", read: ".*" });
    expect(await contentOf(rabbit, vhost)).toEqual(before);
  });

  test("V11 A10 a user that was made here can log in there", async () => {
    const here = new Api((await startBroker()).managementUrl!);
    const name = `user-${Math.random().toString(36).slice(2)}`;
    const rabbit = new Api(rabbitmq!.http);
    onTestFinished(async () => void (await rabbit.delete(`users/${name}`)));
    await here.put(`users/${name}`, { password: "correct horse", tags: "management" });
    const { users } = (await here.get("definitions")).body;
    await rabbit.post("definitions", { users: users.filter((user: Row) => user.name === name) });
    expect((await rabbit.as(name, "correct horse").get("whoami")).body.name).toBe(name);
  });
});
