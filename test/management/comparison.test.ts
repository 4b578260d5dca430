/**
 * The same requests to RabbitMQ and to Leveret after the same set-up: their JSON has the same fields with values of the same
 * types, but for the differences that `differences.ts` lists with their reasons.
 *
 * It needs a RabbitMQ with its management API, as `npm run conformance:rabbitmq` starts one, and is skipped without.
 */
import { connect } from "amqplib";
import { beforeAll, describe, expect, test } from "vitest";
import { type Answer, Api, embeddedBroker, rabbitmq } from "./api.ts";
import { type Difference, differences } from "./differences.ts";

const DEADLINE_MS = 30_000;

interface Side {
  readonly api: Api;
  readonly url: string;
  /** The name of the connection that is open there. */
  connection: string;
}

/** Objects whose members are names of somebody's own. */
const dictionaries =
  /(^|\.)(arguments|client_properties|cluster_state|definition|limits|value|metadata)$/;

/** The type of each field by its path: `[].message_stats.ack: number`. */
function shapeOf(
  value: unknown,
  path = "",
  shape = new Map<string, Set<string>>(),
): Map<string, Set<string>> {
  const note = (type: string): void => {
    const types = shape.get(path) ?? new Set();
    shape.set(path, types.add(type));
  };
  if (Array.isArray(value)) {
    note("array");
    for (const item of value) shapeOf(item, `${path}[]`, shape);
  } else if (typeof value === "object" && value !== null) {
    note("object");
    if (dictionaries.test(path)) return shape;
    for (const [name, inner] of Object.entries(value))
      shapeOf(inner, path === "" ? name : `${path}.${name}`, shape);
  } else note(value === null ? "null" : typeof value);
  return shape;
}

function typesText(types: Set<string> | undefined): string {
  return types === undefined ? "absent" : [...types].sort().join("|");
}

/** What differs between two answers, as `field: what RabbitMQ has, what is here`. */
function compare(theirs: unknown, ours: unknown): string[] {
  const [left, right] = [shapeOf(theirs), shapeOf(ours)];
  const paths = [...new Set([...left.keys(), ...right.keys()])].sort();
  return paths.flatMap((path) => {
    const [there, here] = [typesText(left.get(path)), typesText(right.get(path))];
    return there === here ? [] : [`${path}: ${there}, ${here}`];
  });
}

function isListed(request: string, found: string, listed: readonly Difference[]): boolean {
  return listed.some(({ where, what }) => where.test(request) && what.test(found));
}

const vhost = `compare-${Math.random().toString(36).slice(2)}`;

/** The same topology, clients and messages on either side. */
async function setUp({ api, url }: Side): Promise<void> {
  await api.put(`vhosts/${vhost}`, { description: "compared", tags: "a" });
  await api.put(`queues/${vhost}/q`, { durable: true, arguments: { "x-max-length": 1000 } });
  await api.put(`exchanges/${vhost}/x`, { type: "topic", durable: true });
  await api.post(`bindings/${vhost}/e/x/q/q`, { routing_key: "k", arguments: { a: 1 } });
  await api.put(`policies/${vhost}/p`, { pattern: "^q", definition: { "max-length": 500 } });
  await api.put(`vhost-limits/${vhost}/max-queues`, { value: 100 });
  await api.put(`operator-policies/${vhost}/o`, { pattern: "^q", definition: { expires: 1e6 } });
  await api.put(`global-parameters/${vhost}`, { value: "x" });
  await api.put(`users/${vhost}`, { password: "x", tags: "management" });
  await api.put(`permissions/${vhost}/${vhost}`, { configure: "", write: "", read: ".*" });
  await api.put(`topic-permissions/${vhost}/${vhost}`, { exchange: "x", write: "", read: "" });
  await api.put(`user-limits/${vhost}/max-channels`, { value: 5 });
  const connection = await connect(`${url}/${vhost}`, {
    clientProperties: { connection_name: vhost },
  });
  const channel = await connection.createConfirmChannel();
  await channel.prefetch(2);
  await channel.consume("q", () => undefined, { consumerTag: "tag" });
  for (let n = 0; n < 5; n++) channel.publish("x", "k", Buffer.from("hello"), { persistent: true });
  channel.publish("x", "nowhere", Buffer.from("hello"));
  await channel.waitForConfirms();
  await channel.get("q");
  await channel.get("q", { noAck: true });
}

/** The name of the connection, once everything is counted, which takes RabbitMQ some seconds. */
async function untilCounted({ api }: Side): Promise<string> {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const [queue, connections] = [await api.get(`queues/${vhost}/q`), await api.get("connections")];
    const row = connections.body.find((each: { vhost?: string }) => each.vhost === vhost);
    const { message_stats: counts, consumer_details: consumers, messages, policy } = queue.body;
    const isCounted =
      counts?.publish === 5 && counts.deliver_get === 4 && messages === 4 && policy === "p";
    if (isCounted && consumers?.length === 1 && row?.recv_oct > 0) return row.name;
    if (Date.now() > end) throw new Error(`not counted in time: ${JSON.stringify(queue.body)}`);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

const requests = [
  ...["overview", "nodes", "whoami", "cluster-name", "extensions", "auth", "feature-flags"],
  ...["vhosts/{v}", "queues/{v}", "queues/{v}/q", "queues/{v}?disable_stats=true"],
  ...["queues/{v}?page=1", "queues/{v}/q/bindings", "exchanges/{v}", "exchanges/{v}/x"],
  ...["bindings/{v}", "bindings/{v}/e/x/q/q", "connections/{c}", "vhosts/{v}/connections"],
  ...["connections/{c}/channels", "channels/{c} (1)", "consumers/{v}", "policies/{v}"],
  ...["policies/{v}/p", "users/{v}", "permissions/{v}/{v}", "topic-permissions/{v}/{v}"],
  ...["vhost-limits/{v}", "user-limits", "global-parameters", "parameters", "operator-policies"],
  ...["connections/username/guest", "definitions/{v}", "definitions", "nope", "queues/{v}/nope"],
  ...["queues/{v}?page=0", "vhosts/nope", "health/checks/alarms", "health/checks/local-alarms"],
  ...["health/checks/virtual-hosts", "health/checks/port-listener/1", "aliveness-test/{v}"],
  ...["health/checks/protocol-listener/amqp", "health/checks/node-is-quorum-critical"],
  ...["health/checks/certificate-expiration/1/weeks", "healthchecks/node"],
];

/** What does not depend on who answers. */
const determined = [
  ...["bindings/{v}", "queues/{v}/q/bindings", "permissions/{v}/{v}", "topic-permissions/{v}/{v}"],
  ...["policies/{v}", "policies/{v}/p", "operator-policies/{v}", "vhost-limits/{v}"],
  ...["user-limits/{v}", "users/{v}?columns=name", "global-parameters/{v}", "nope"],
  ...["queues/{v}/nope", "vhosts/nope", "queues/{v}?page=0", "queues/{v}?page=7"],
  ...["queues/{v}?columns=name,durable,arguments", "aliveness-test/{v}"],
  ...["exchanges/{v}?columns=name,type,durable,auto_delete,internal,vhost,arguments&sort=name"],
  ...["consumers/{v}?columns=consumer_tag,prefetch_count,ack_required,active,exclusive,queue"],
  ...["health/checks/alarms", "health/checks/local-alarms", "health/checks/virtual-hosts"],
  ...["health/checks/node-is-quorum-critical", "health/checks/certificate-expiration/1/weeks"],
  ...["health/checks/certificate-expiration/1/x", "health/checks/port-listener/x"],
];

const counted =
  /^(messages|message_bytes)(_ready|_unacknowledged)?$|^(consumers|publish|deliver|ack|get)(_|$)(?!.*details)/;

/** A hash of arguments is each broker's own. */
function withoutHashes(body: unknown): unknown {
  return JSON.parse(JSON.stringify(body).replaceAll(/(?<=~)[\w-]{6}"/g, '"'));
}

describe.skipIf(rabbitmq === undefined)("G1 answers compared with RabbitMQ's", () => {
  let sides: { theirs: Side; ours: Side };

  beforeAll(async () => {
    const broker = await embeddedBroker();
    const theirs: Side = { api: new Api(rabbitmq!.http), url: rabbitmq!.amqp, connection: "" };
    const ours: Side = { api: new Api(broker.managementUrl!), url: broker.url, connection: "" };
    for (const side of [theirs, ours]) {
      await setUp(side);
      side.connection = await untilCounted(side);
    }
    sides = { theirs, ours };
    return async () => {
      for (const { api } of [theirs, ours]) {
        await api.delete(`vhosts/${vhost}`);
        await api.delete(`users/${vhost}`);
        await api.delete(`global-parameters/${vhost}`);
      }
    };
  }, 4 * DEADLINE_MS);

  /** What both answer to the same request. */
  async function both(request: string): Promise<{ theirs: Answer; ours: Answer }> {
    const ask = ({ api, connection }: Side) =>
      api.get(
        request
          .replaceAll("{v}", vhost)
          .replaceAll(/\{c\}([^/]*)/g, (_, more) => encodeURIComponent(connection + more)),
      );
    return { theirs: await ask(sides.theirs), ours: await ask(sides.ours) };
  }

  test.for(requests)("G1 GET /api/%s has RabbitMQ's fields and types", async (request) => {
    const { theirs, ours } = await both(request);
    expect(ours.status).toBe(theirs.status);
    const found = compare(theirs.body, ours.body);
    expect(found.filter((each) => !isListed(request, each, differences))).toEqual([]);
  });

  test.for(determined)("G1 GET /api/%s has RabbitMQ's values", async (request) => {
    const { theirs, ours } = await both(request);
    expect(ours.status).toBe(theirs.status);
    expect(withoutHashes(ours.body)).toEqual(withoutHashes(theirs.body));
  });

  test("G1 GET /api/queues/:vhost/:queue counts as RabbitMQ does", async () => {
    const answers = await both("queues/{v}/q");
    const counts = ({ body }: Answer): object =>
      Object.fromEntries(
        Object.entries({ ...body, ...body.message_stats }).filter(
          ([name, value]) => typeof value === "number" && counted.test(name),
        ),
      );
    expect(counts(answers.ours)).toEqual(counts(answers.theirs));
  });
});
