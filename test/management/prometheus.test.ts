/** The metrics: RabbitMQ's names, what they say, and that every metric of RabbitMQ's dashboards is there. */
import { type Channel, connect } from "amqplib";
import { describe, expect, onTestFinished, test } from "vitest";
import { Broker, type BrokerOptions, VirtualClock } from "../../src/index.ts";

/** The values of a scrape by name and labels as they are written: `rabbitmq_queue_messages{vhost="/",queue="q"}`. */
function parse(text: string): Map<string, number> {
  const values = text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map(
      (line) =>
        [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))] as const,
    );
  return new Map(values);
}

async function start(options: BrokerOptions = {}) {
  const broker = await Broker.start({ port: 0, prometheusPort: 0, ...options });
  onTestFinished(() => broker.close());
  const scrape = async (more = ""): Promise<Map<string, number>> =>
    parse(await (await fetch(`${broker.metricsUrl}${more}`)).text());
  return { broker, scrape };
}

/** Two queues, some messages published, got, delivered, acknowledged, expired. */
async function traffic(broker: Broker): Promise<Channel> {
  const connection = await connect(broker.url);
  onTestFinished(() => connection.close());
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("a");
  await channel.assertQueue("b", { arguments: { "x-queue-type": "quorum" } });
  await channel.assertQueue("short", { maxLength: 1 });
  for (let n = 0; n < 3; n++) channel.sendToQueue("a", Buffer.from("12345"));
  for (let n = 0; n < 2; n++) channel.sendToQueue("b", Buffer.from("1"));
  for (let n = 0; n < 3; n++) channel.sendToQueue("short", Buffer.from("1"));
  channel.publish("amq.topic", "nowhere", Buffer.from("x"));
  await channel.waitForConfirms();
  const got = await channel.get("a");
  if (got === false) throw new Error("there are messages");
  channel.ack(got);
  await channel.get("a");
  await channel.consume("b", (message) => message && channel.ack(message));
  await channel.checkQueue("b");
  await channel.checkExchange("amq.topic");
  return channel;
}

/** What the overview dashboard that RabbitMQ publishes for Grafana reads. */
const ofDashboards = [
  ...["rabbitmq_identity_info", "rabbitmq_build_info", "rabbitmq_connections", "rabbitmq_channels"],
  ...["rabbitmq_queues", "rabbitmq_consumers", "rabbitmq_queue_messages_ready"],
  ...["rabbitmq_queue_messages_unacked", "rabbitmq_channels_opened_total"],
  ...["rabbitmq_channels_closed_total", "rabbitmq_connections_opened_total"],
  ...["rabbitmq_connections_closed_total", "rabbitmq_queues_declared_total"],
  ...["rabbitmq_queues_created_total", "rabbitmq_queues_deleted_total"],
  ...["rabbitmq_resident_memory_limit_bytes", "rabbitmq_process_resident_memory_bytes"],
  ...["rabbitmq_disk_space_available_limit_bytes", "rabbitmq_process_open_fds"],
  ...["rabbitmq_process_max_fds", "rabbitmq_process_open_tcp_sockets"],
  ...["rabbitmq_process_max_tcp_sockets", "rabbitmq_global_messages_received_total"],
  ...[
    "rabbitmq_global_messages_received_confirm_total",
    "rabbitmq_global_messages_confirmed_total",
  ],
  ...["rabbitmq_global_messages_routed_total", "rabbitmq_global_messages_unroutable_dropped_total"],
  ...["rabbitmq_global_messages_unroutable_returned_total", "rabbitmq_global_publishers"],
  ...["rabbitmq_global_messages_delivered_consume_auto_ack_total", "rabbitmq_global_consumers"],
  ...["rabbitmq_global_messages_delivered_consume_manual_ack_total"],
  ...["rabbitmq_global_messages_delivered_get_auto_ack_total"],
  ...["rabbitmq_global_messages_delivered_get_manual_ack_total"],
  ...["rabbitmq_global_messages_redelivered_total", "rabbitmq_global_messages_get_empty_total"],
  ...["rabbitmq_global_messages_acknowledged_total", "rabbitmq_channel_messages_unconfirmed"],
  ...["rabbitmq_alarms_memory_used_watermark", "rabbitmq_alarms_free_disk_space_watermark"],
];

describe("M1 metrics", () => {
  test("M1 /metrics has all that RabbitMQ's overview dashboard reads", async () => {
    const { scrape } = await start();
    const names = new Set([...(await scrape()).keys()].map((key) => key.split("{")[0]));
    expect(ofDashboards.filter((name) => !names.has(name))).toEqual([]);
  });

  test("M1 /metrics counts what is there and what has happened, at once", async () => {
    const { broker, scrape } = await start();
    const channel = await traffic(broker);
    const values = await scrape();
    const classic = '{protocol="amqp091",queue_type="rabbit_classic_queue"}';
    const quorum = '{protocol="amqp091",queue_type="rabbit_quorum_queue"}';
    const amqp = '{protocol="amqp091"}';
    const dead = '{queue_type="rabbit_classic_queue",dead_letter_strategy="disabled"}';
    expect(Object.fromEntries(values)).toMatchObject({
      ...{
        rabbitmq_connections: 1,
        rabbitmq_channels: 1,
        rabbitmq_queues: 3,
        rabbitmq_consumers: 1,
      },
      ...{ rabbitmq_queue_messages_ready: 2, rabbitmq_queue_messages_unacked: 1 },
      ...{ rabbitmq_queue_messages: 3, rabbitmq_queue_messages_ready_bytes: 6 },
      ...{ rabbitmq_queue_messages_unacked_bytes: 5, rabbitmq_queues_created_total: 3 },
      [`rabbitmq_global_messages_received_total${amqp}`]: 9,
      [`rabbitmq_global_messages_received_confirm_total${amqp}`]: 9,
      [`rabbitmq_global_messages_confirmed_total${amqp}`]: 9,
      [`rabbitmq_global_messages_routed_total${amqp}`]: 8,
      [`rabbitmq_global_messages_unroutable_dropped_total${amqp}`]: 1,
      [`rabbitmq_global_messages_acknowledged_total${classic}`]: 1,
      [`rabbitmq_global_messages_acknowledged_total${quorum}`]: 2,
      [`rabbitmq_global_messages_delivered_get_manual_ack_total${classic}`]: 2,
      [`rabbitmq_global_messages_delivered_consume_manual_ack_total${quorum}`]: 2,
      [`rabbitmq_global_messages_dead_lettered_maxlen_total${dead}`]: 2,
      [`rabbitmq_global_publishers${amqp}`]: 1,
    });
    // What is gone has been counted all the same.
    await channel.deleteQueue("b");
    await channel.deleteQueue("short");
    const after = await scrape();
    expect(after.get(`rabbitmq_global_messages_acknowledged_total${quorum}`)).toBe(2);
    expect(after.get(`rabbitmq_global_messages_dead_lettered_maxlen_total${dead}`)).toBe(2);
    expect(after.get("rabbitmq_queues_deleted_total")).toBe(2);
  });

  test("D10 dead letters are counted by why they died, and by what becomes of them", async () => {
    const clock = new VirtualClock();
    const { broker, scrape } = await start({ clock });
    const connection = await connect(broker.url);
    onTestFinished(() => connection.close());
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue("target", {
      maxLength: 1,
      arguments: { "x-overflow": "reject-publish" },
    });
    const dead = { deadLetterExchange: "", deadLetterRoutingKey: "target" };
    await channel.assertQueue("nothing", { messageTtl: 1000 });
    await channel.assertQueue("once", { ...dead, maxLength: 1 });
    const safe = {
      "x-queue-type": "quorum",
      "x-dead-letter-strategy": "at-least-once",
      "x-overflow": "reject-publish",
      "x-delivery-limit": 0,
    };
    await channel.assertQueue("safe", { ...dead, arguments: safe });
    for (const queue of ["nothing", "once", "once", "safe", "safe"])
      channel.sendToQueue(queue, Buffer.from("1"));
    await channel.waitForConfirms();
    clock.advance("2s");
    // There is room for one dead letter, and the one of the classic queue has come first.
    const [rejected, returned] = [await channel.get("safe"), await channel.get("safe")];
    if (rejected === false || returned === false) throw new Error("there are messages");
    channel.reject(rejected, false);
    channel.reject(returned, true);
    await channel.checkQueue("safe");
    const count = async (reason: string, type: string, strategy: string) =>
      (await scrape()).get(
        `rabbitmq_global_messages_dead_lettered_${reason}_total{queue_type="rabbit_${type}_queue",dead_letter_strategy="${strategy}"}`,
      );
    expect(await count("expired", "classic", "disabled")).toBe(1);
    expect(await count("maxlen", "classic", "at_most_once")).toBe(1);
    expect(await count("rejected", "quorum", "at_least_once")).toBe(1);
    expect(await count("delivery_limit", "quorum", "at_least_once")).toBe(1);
    expect(await count("confirmed", "quorum", "at_least_once")).toBe(0);
    await channel.purgeQueue("target");
    clock.advance("1s");
    expect(await count("confirmed", "quorum", "at_least_once")).toBe(1);
    await channel.purgeQueue("target");
    clock.advance("1s");
    expect(await count("confirmed", "quorum", "at_least_once")).toBe(2);
    expect(await count("rejected", "quorum", "at_least_once")).toBe(1);
  });

  test("M1 /metrics/per-object has a value for each queue, and so has /metrics when told to", async () => {
    const { broker, scrape } = await start();
    await traffic(broker);
    const values = await scrape("/per-object");
    expect(values.get('rabbitmq_queue_messages_ready{vhost="/",queue="a"}')).toBe(1);
    expect(values.get('rabbitmq_queue_messages_unacked{vhost="/",queue="a"}')).toBe(1);
    expect(
      [...values.keys()].some((key) =>
        /^rabbitmq_channel_consumers\{channel="[^"]+ \(1\)"\}$/.test(key),
      ),
    ).toBe(true);
    const told = await start({ prometheusPerObject: true });
    await traffic(told.broker);
    expect((await told.scrape()).get('rabbitmq_queue_messages{vhost="/",queue="a"}')).toBe(2);
  });

  test("M1 /metrics/detailed has the families and virtual hosts that are asked for", async () => {
    const { broker, scrape } = await start();
    broker.virtualHosts.add("other");
    await traffic(broker);
    const names = async (query: string): Promise<string[]> =>
      [...(await scrape(`/detailed${query}`)).keys()].filter((key) => !/_info/.test(key));
    expect(await names("")).toEqual([]);
    const coarse = await scrape(
      "/detailed?family=queue_coarse_metrics&family=queue_consumer_count",
    );
    expect(coarse.get('rabbitmq_detailed_queue_messages_ready{vhost="/",queue="a"}')).toBe(1);
    expect(coarse.get('rabbitmq_detailed_queue_consumers{vhost="/",queue="b"}')).toBe(1);
    expect(await names("?family=queue_coarse_metrics&vhost=other")).toEqual([]);
    expect(await names("?family=vhost_status&vhost=other")).toEqual([
      ...['rabbitmq_cluster_vhost_status{vhost="other"}'],
    ]);
    expect(await names("?family=exchange_bindings&vhost=other")).toContain(
      'rabbitmq_cluster_exchange_bindings{vhost="other",exchange="amq.topic",type="topic"}',
    );
  });

  test("M1 names with odd characters are escaped", async () => {
    const { broker, scrape } = await start();
    const connection = await connect(broker.url);
    onTestFinished(() => connection.close());
    const channel = await connection.createChannel();
    await channel.assertQueue('a"b\\c');
    const values = await scrape("/per-object");
    expect(values.get('rabbitmq_queue_messages{vhost="/",queue="a\\"b\\\\c"}')).toBe(0);
  });

  test("M1 nobody logs in, what is not there is a 404, and nothing can be written", async () => {
    const { broker } = await start();
    const { origin } = new URL(broker.metricsUrl!);
    const answer = await fetch(`${origin}/metrics/`);
    expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4");
    expect((await fetch(`${origin}/nope`)).status).toBe(404);
    expect((await fetch(`${origin}/metrics`, { method: "POST" })).status).toBe(405);
    expect((await fetch(`${origin}/metrics`, { method: "HEAD" })).status).toBe(200);
  });
});
