/** Connections, channels and consumers as the API shows them, and the counts and rates of what they do. */
import { once } from "node:events";
import { type ChannelModel, connect } from "amqplib";
import { describe, expect, onTestFinished, test } from "vitest";
import { Broker, VirtualClock } from "../../src/index.ts";
import {
  type Answer,
  Api,
  api,
  eventually,
  isForeign,
  newUser,
  newVirtualHost,
  permit,
  target,
} from "./api.ts";

const text = expect.any(String);
const number = expect.any(Number);

/** A connection of guest's, or of another user's, that ends with the test. */
async function client(vhost: string, name: string, url?: string): Promise<ChannelModel> {
  const base = url ?? (await target()).amqp;
  const connection = await connect(`${base}/${encodeURIComponent(vhost)}`, {
    clientProperties: { connection_name: name },
  });
  connection.on("error", () => undefined);
  onTestFinished(() => connection.close().catch(() => undefined));
  return connection;
}

/** The connection of that name, when the API knows it and has counted what it does. */
async function connectionNamed(guest: Api, name: string): Promise<Answer["body"]> {
  const isNamed = (row: { user_provided_name?: string; recv_oct?: number }): boolean =>
    row.user_provided_name === name && row.recv_oct !== undefined;
  const { body } = await eventually(
    () => guest.get("connections"),
    (answer) => answer.body.some(isNamed),
  );
  return body.find(isNamed);
}

function unique(): string {
  return `client-${Math.random().toString(36).slice(2)}`;
}

describe("G1 connections", { timeout: 60_000 }, () => {
  test("GET /api/connections and GET /api/connections/:connection tell of each", async () => {
    const [guest, vhost, name] = [await api(), await newVirtualHost(), unique()];
    await client(vhost, name);
    const row = await connectionNamed(guest, name);
    expect(row).toMatchObject({
      ...{ name: expect.stringMatching(/^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$/), node: text },
      ...{ user: "guest", vhost, state: "running", protocol: "AMQP 0-9-1", type: "network" },
      ...{ auth_mechanism: "PLAIN", host: "127.0.0.1", port: number, peer_host: "127.0.0.1" },
      ...{ peer_port: number, ssl: false, channel_max: 2047, frame_max: 131072, timeout: 60 },
      ...{
        connected_at: number,
        recv_oct: number,
        send_oct: number,
        recv_cnt: number,
        send_cnt: number,
      },
      ...{ channels: number, user_provided_name: name, send_pend: number },
      client_properties: {
        connection_name: name,
        product: "amqplib",
        capabilities: { "basic.nack": true },
      },
    });
    const path = `connections/${encodeURIComponent(row.name)}`;
    expect((await guest.get(path)).body).toMatchObject({ name: row.name, vhost });
    const { body } = await guest.get(`${path}?columns=vhost`);
    if (!isForeign) expect(body).toEqual({ vhost });
    expect((await guest.get("connections/nope")).status).toBe(404);
  });

  test("GET /api/vhosts/:vhost/connections and GET /api/connections/username/:user have theirs", async () => {
    const [guest, vhost, name] = [await api(), await newVirtualHost(), unique()];
    await client(vhost, name);
    const row = await connectionNamed(guest, name);
    const there = await guest.get(`vhosts/${vhost}/connections?columns=name`);
    expect(there.body).toEqual([{ name: row.name }]);
    const { node } = row;
    expect((await guest.get("connections/username/guest")).body).toContainEqual({
      ...{ name: row.name, vhost, user: "guest", node },
    });
  });

  test("DELETE /api/connections/:connection closes it with the reason of X-Reason", async () => {
    const [guest, vhost, name] = [await api(), await newVirtualHost(), unique()];
    const connection = await client(vhost, name);
    const row = await connectionNamed(guest, name);
    const closed = once(connection, "close");
    const path = `connections/${encodeURIComponent(row.name)}`;
    expect((await guest.delete(path, { "x-reason": "for a test" })).status).toBe(204);
    const [error] = await closed;
    expect(error.message).toContain(
      '320 (CONNECTION-FORCED) with message "CONNECTION_FORCED - for a test"',
    );
    expect((await guest.delete("connections/nope")).status).toBe(404);
  });

  test("DELETE /api/connections/username/:user closes all of a user", async () => {
    const [guest, vhost, name] = [await api(), await newVirtualHost(), unique()];
    const { user } = await newUser("");
    await permit(user, vhost);
    const url = new URL((await target()).amqp);
    url.username = user;
    url.password = encodeURIComponent("correct horse");
    const connection = await client(vhost, name, url.href.replace(/\/$/, ""));
    await connectionNamed(guest, name);
    const closed = once(connection, "close");
    expect((await guest.delete(`connections/username/${user}`)).status).toBe(204);
    await closed;
  });

  test("are seen by their own user, and by those who monitor", async () => {
    const [guest, vhost, name] = [await api(), await newVirtualHost(), unique()];
    await client(vhost, name);
    const row = await connectionNamed(guest, name);
    const other = await newUser("management");
    const monitor = await newUser("monitoring");
    await permit(other.user, vhost);
    expect((await other.as.get("connections")).body).toEqual([]);
    expect((await other.as.get(`connections/${encodeURIComponent(row.name)}`)).status).not.toBe(
      200,
    );
    expect((await other.as.delete(`connections/${encodeURIComponent(row.name)}`)).status).not.toBe(
      204,
    );
    const seen = await monitor.as.get("connections?columns=name");
    expect(seen.body).toContainEqual({ name: row.name });
  });

  test.skipIf(isForeign)("GET /api/connections/:connection/sessions has none", async () => {
    const [guest, vhost, name] = [await api(), await newVirtualHost(), unique()];
    await client(vhost, name);
    const row = await connectionNamed(guest, name);
    expect((await guest.get(`connections/${encodeURIComponent(row.name)}/sessions`)).body).toEqual(
      [],
    );
  });
});

describe("G1 channels and consumers", { timeout: 60_000 }, () => {
  test("GET /api/channels, /api/channels/:channel, /api/vhosts/:vhost/channels and /api/connections/:connection/channels", async () => {
    const [guest, vhost, name] = [await api(), await newVirtualHost(), unique()];
    const connection = await client(vhost, name);
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue("q");
    await channel.prefetch(7);
    await channel.consume("q", () => undefined, { consumerTag: "tag", arguments: { "x-y": 1 } });
    const row = await connectionNamed(guest, name);
    const channelName = `${row.name} (1)`;
    const path = `channels/${encodeURIComponent(channelName)}`;
    const { body } = await eventually(
      () => guest.get(path),
      (answer) => answer.body.consumer_details?.length === 1,
    );
    expect(body).toMatchObject({
      ...{ name: channelName, number: 1, user: "guest", vhost, node: text, state: "running" },
      ...{ confirm: true, transactional: false, prefetch_count: 7, global_prefetch_count: 0 },
      ...{ consumer_count: 1, messages_unacknowledged: 0, messages_unconfirmed: 0 },
      ...{ messages_uncommitted: 0, acks_uncommitted: 0 },
      connection_details: { name: row.name, peer_host: "127.0.0.1", peer_port: number },
    });
    expect(body.consumer_details).toEqual([
      {
        ...{ consumer_tag: "tag", ack_required: true, exclusive: false, prefetch_count: 7 },
        ...{ active: true, activity_status: "up", arguments: { "x-y": 1 } },
        queue: { name: "q", vhost },
        channel_details: {
          ...{ connection_name: row.name, name: channelName, node: text, number: 1, user: "guest" },
          ...{ peer_host: "127.0.0.1", peer_port: number },
        },
      },
    ]);
    for (const list of [
      "channels",
      `vhosts/${vhost}/channels`,
      `connections/${encodeURIComponent(row.name)}/channels`,
    ]) {
      const listed = await eventually(
        () => guest.get(`${list}?columns=name`),
        (answer) => answer.body.some((each: { name: string }) => each.name === channelName),
      );
      expect(listed.body).toContainEqual({ name: channelName });
    }
    expect((await guest.get("channels/nope")).status).toBe(404);
  });

  test("GET /api/consumers and GET /api/consumers/:vhost have the consumers, and so has their queue", async () => {
    const [guest, vhost, name] = [await api(), await newVirtualHost(), unique()];
    const channel = await (await client(vhost, name)).createChannel();
    await channel.assertQueue("q", { arguments: { "x-single-active-consumer": true } });
    await channel.consume("q", () => undefined, { consumerTag: "a", noAck: true });
    await channel.consume("q", () => undefined, { consumerTag: "b" });
    const columns = "consumer_tag,active,activity_status,ack_required";
    const rows = [
      { consumer_tag: "a", active: true, activity_status: "single_active", ack_required: false },
      { consumer_tag: "b", active: false, activity_status: "waiting", ack_required: true },
    ];
    const { body } = await eventually(
      () => guest.get(`consumers/${vhost}?columns=${columns}`),
      (answer) => answer.body.length === 2,
    );
    expect(body).toEqual(expect.arrayContaining(rows));
    expect((await guest.get(`consumers?columns=${columns}`)).body).toEqual(
      expect.arrayContaining(rows),
    );
    const queue = await eventually(
      () => guest.get(`queues/${vhost}/q`),
      (answer) => answer.body.single_active_consumer_tag === "a",
    );
    expect(queue.body).toMatchObject({ single_active_consumer_tag: "a" });
    expect(queue.body.consumer_details).toHaveLength(2);
  });

  test("an exclusive queue shows whose it is", async () => {
    const [guest, vhost, name] = [await api(), await newVirtualHost(), unique()];
    const channel = await (await client(vhost, name)).createChannel();
    await channel.assertQueue("q", { exclusive: true });
    const row = await connectionNamed(guest, name);
    const { body } = await eventually(
      () => guest.get(`queues/${vhost}/q`),
      (answer) => answer.body.owner_pid_details !== undefined,
    );
    expect(body.exclusive).toBe(true);
    expect(body.owner_pid_details).toMatchObject({ name: row.name, peer_host: "127.0.0.1" });
    const refused = await guest.delete(`queues/${vhost}/q`);
    expect(refused.status).toBe(400);
    expect(refused.body.reason).toContain("cannot obtain exclusive access to locked queue 'q'");
  });
});

/** What one broker in virtual time does with messages. */
async function inVirtualTime(): Promise<{ clock: VirtualClock; guest: Api; url: string }> {
  const clock = new VirtualClock();
  const broker = await Broker.start({ port: 0, managementPort: 0, clock });
  onTestFinished(() => broker.close());
  return { clock, guest: new Api(broker.managementUrl!), url: broker.url };
}

describe.skipIf(isForeign)("M7 G21 counts and rates", () => {
  test("M7 lengths and counts are those of now", async () => {
    const { guest, url } = await inVirtualTime();
    const channel = await (await client("/", "x", url)).createConfirmChannel();
    await channel.assertQueue("q");
    for (let n = 0; n < 5; n++)
      channel.sendToQueue("q", Buffer.from("12345"), { persistent: n < 2 });
    channel.publish("amq.topic", "nowhere", Buffer.from("x"));
    channel.publish("amq.topic", "nowhere", Buffer.from("x"), { mandatory: true });
    await channel.waitForConfirms();
    await channel.get("q", { noAck: true });
    const got = await channel.get("q");
    if (got === false) throw new Error("there are messages");
    const held = await guest.get("queues/%2F/q");
    expect(held.body).toMatchObject({
      ...{ messages: 4, messages_ready: 3, messages_unacknowledged: 1, messages_persistent: 1 },
      ...{ message_bytes: 20, message_bytes_ready: 15, message_bytes_unacknowledged: 5 },
      message_bytes_persistent: 5,
      message_stats: { publish: 5, get: 1, get_no_ack: 1, deliver_get: 2, ack: 0, redeliver: 0 },
    });
    channel.nack(got);
    await channel.consume("q", (message) => message && channel.ack(message));
    await channel.checkQueue("q");
    await channel.checkExchange("amq.topic");
    const queue = await guest.get("queues/%2F/q?columns=messages,message_stats");
    expect(queue.body).toMatchObject({
      messages: 0,
      message_stats: { deliver: 4, ack: 4, redeliver: 1, deliver_get: 6, get_empty: 0 },
    });
    const exchange = await guest.get("exchanges/%2F/amq.topic?columns=message_stats");
    expect(exchange.body.message_stats).toMatchObject({ publish_in: 2, publish_out: 0 });
    const { body } = await guest.get("overview");
    expect(body.message_stats).toMatchObject({
      ...{ publish: 7, confirm: 7, drop_unroutable: 1, return_unroutable: 1, deliver: 4, ack: 4 },
    });
    expect(body.queue_totals).toMatchObject({ messages: 0, messages_ready: 0 });
    expect(body.object_totals).toMatchObject({
      channels: 1,
      connections: 1,
      consumers: 1,
      queues: 1,
    });
    expect(body.churn_rates).toMatchObject({
      connection_created: 1,
      channel_created: 1,
      queue_created: 1,
    });
  });

  test("M7 what a channel has counted stays when it is closed", async () => {
    const { guest, url } = await inVirtualTime();
    const connection = await client("/", "x", url);
    const channel = await connection.createConfirmChannel();
    channel.publish("amq.topic", "nowhere", Buffer.from("x"));
    await channel.waitForConfirms();
    await channel.close();
    await connection.close();
    const { body } = await guest.get("vhosts/%2F");
    expect(body.message_stats).toMatchObject({ publish: 1, confirm: 1, drop_unroutable: 1 });
    expect((await guest.get("overview")).body.churn_rates).toMatchObject({
      ...{ connection_created: 1, connection_closed: 1, channel_created: 1, channel_closed: 1 },
    });
  });

  test("G21 a rate is what has come since a sample of five to ten seconds ago", async () => {
    const { clock, guest, url } = await inVirtualTime();
    const channel = await (await client("/", "x", url)).createConfirmChannel();
    await channel.assertQueue("q");
    const publishTen = async (): Promise<void> => {
      for (let n = 0; n < 10; n++) channel.sendToQueue("q", Buffer.from("x"));
      await channel.waitForConfirms();
    };
    const rates = async () => {
      const { body } = await guest.get("queues/%2F/q");
      return [body.message_stats.publish_details.rate, body.messages_details.rate];
    };
    expect(await rates()).toEqual([0, 0]);
    await publishTen();
    clock.advance("5s");
    expect(await rates()).toEqual([2, 2]);
    await publishTen();
    clock.advance("5s");
    expect(await rates()).toEqual([2, 2]);
    clock.advance("5s");
    expect(await rates()).toEqual([0, 0]);
    expect((await guest.get("overview")).body.message_stats.publish_details.rate).toBe(0);
  });

  test("G21 no samples are taken when nobody has asked for a minute", async () => {
    const { clock, guest } = await inVirtualTime();
    await guest.put("queues/%2F/q", {});
    await guest.get("queues/%2F/q");
    clock.advance("10s");
    expect((await guest.get("queues/%2F/q")).body.idle_since).toBe("2026-01-01T00:00:00.000+00:00");
    clock.advance("2m");
    expect((await guest.get("queues/%2F/q")).body.idle_since).toBeUndefined();
  });
});
