/** The metrics of the broker as a whole: what it is, what it has, and what has gone through it, by type of queue. */

import { NODE_NAME } from "../broker/host.ts";
import { RABBITMQ_VERSION, version } from "../config.ts";
import { ChannelCounts, deathReasons, deathStrategies, QueueCounts } from "../queue/counts.ts";
import type { ManagementContext } from "./context.ts";
import type { MetricType } from "./metrics.ts";

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric with its values at this moment. */
export interface Metric {
  /** All of it. */
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly samples: readonly Sample[];
}

type Context = Pick<ManagementContext, "host" | "statistics" | "processFacts">;

function metric(type: MetricType, name: string, help: string, ...samples: Sample[]): Metric {
  return { name: `rabbitmq_${name}`, type, help, samples };
}

function gauge(name: string, value: number, help: string): Metric {
  return metric("gauge", name, help, { value });
}

function counter(name: string, value: number, help: string): Metric {
  return metric("counter", name, help, { value });
}

/** What is known of this broker: always 1, with the answer in the labels. */
export function identity({ host }: Context): Metric[] {
  return [
    metric("gauge", "build_info", "RabbitMQ & Erlang/OTP version info", {
      value: 1,
      labels: {
        rabbitmq_version: RABBITMQ_VERSION,
        prometheus_plugin_version: RABBITMQ_VERSION,
        leveret_version: version,
        erlang_version: "0",
      },
    }),
    metric("gauge", "identity_info", "RabbitMQ node & cluster identity info", {
      value: 1,
      labels: {
        rabbitmq_node: NODE_NAME,
        rabbitmq_cluster: host.clusterName,
        rabbitmq_cluster_permanent_id: host.clusterName,
      },
    }),
  ];
}

export function nodeMetrics({ host, processFacts }: Context): Metric[] {
  const { alarm, churn } = host;
  const facts = processFacts();
  const free = host.freeDiskBytes;
  return [
    gauge("alarms_file_descriptor_limit", 0, "is 1 if file descriptor limit alarm is in effect"),
    gauge(
      "alarms_free_disk_space_watermark",
      Number(alarm.isLow("disk")),
      "is 1 if free disk space watermark alarm is in effect",
    ),
    gauge(
      "alarms_memory_used_watermark",
      Number(alarm.isLow("memory")),
      "is 1 if VM memory watermark alarm is in effect",
    ),
    counter(
      "connections_opened_total",
      churn.connectionCreated,
      "Total number of connections opened",
    ),
    counter(
      "connections_closed_total",
      churn.connectionClosed,
      "Total number of connections closed or terminated",
    ),
    counter("channels_opened_total", churn.channelCreated, "Total number of channels opened"),
    counter("channels_closed_total", churn.channelClosed, "Total number of channels closed"),
    counter("queues_declared_total", churn.queueDeclared, "Total number of queues declared"),
    counter("queues_created_total", churn.queueCreated, "Total number of queues created"),
    counter("queues_deleted_total", churn.queueDeleted, "Total number of queues deleted"),
    gauge("process_open_fds", facts.filesOpen ?? 0, "Open file descriptors"),
    gauge("process_max_fds", 1_048_576, "Open file descriptors limit"),
    gauge("process_open_tcp_sockets", host.connections.count, "Open TCP sockets"),
    gauge("process_max_tcp_sockets", 1_048_576, "Open TCP sockets limit"),
    gauge("process_resident_memory_bytes", facts.memoryUsedBytes, "Memory used in bytes"),
    gauge(
      "resident_memory_limit_bytes",
      host.memoryAlarmBytes ?? facts.memoryTotalBytes,
      "Memory high watermark in bytes",
    ),
    ...(free === undefined
      ? []
      : [gauge("disk_space_available_bytes", free, "Disk space available in bytes")]),
    gauge(
      "disk_space_available_limit_bytes",
      host.diskFreeLimit,
      "Free disk space low watermark in bytes",
    ),
  ];
}

/** How many of everything there are. */
export function objectCounts({ host }: Context): Metric[] {
  let channels = 0;
  let consumers = 0;
  let queues = 0;
  for (const connection of host.connections.all()) channels += connection.channelCount;
  for (const vhost of host.virtualHosts.all()) {
    queues += vhost.queues.count;
    for (const queue of vhost.queues.all()) consumers += queue.consumerCount;
  }
  return [
    gauge("connections", host.connections.count, "Connections currently open"),
    gauge("channels", channels, "Channels currently open"),
    gauge("consumers", consumers, "Consumers currently connected"),
    gauge("queues", queues, "Queues available"),
  ];
}

const PROTOCOL = { protocol: "amqp091" };
const moduleNames = { classic: "rabbit_classic_queue", quorum: "rabbit_quorum_queue" } as const;
const queueTypes = ["classic", "quorum"] as const;

/** What all queues of each type have counted, those that are gone too. */
function countsByType({ host }: Context): Record<(typeof queueTypes)[number], QueueCounts> {
  const counts = { classic: new QueueCounts(), quorum: new QueueCounts() };
  for (const vhost of host.virtualHosts.all()) {
    for (const type of queueTypes) counts[type].addQueue(vhost.goneQueues[type]);
    for (const queue of vhost.queues.all()) counts[queue.settings.type].addQueue(queue.counts);
  }
  return counts;
}

function deaths(counts: ReturnType<typeof countsByType>): Metric[] {
  const byReason = deathReasons.map((reason) =>
    metric(
      "counter",
      `global_messages_dead_lettered_${reason}_total`,
      `Total number of messages dead-lettered due to ${reason}`,
      ...queueTypes.flatMap((type) =>
        deathStrategies.map((strategy) => ({
          labels: { queue_type: moduleNames[type], dead_letter_strategy: strategy },
          value: counts[type].deaths(reason, strategy),
        })),
      ),
    ),
  );
  const confirmed = metric(
    "counter",
    "global_messages_dead_lettered_confirmed_total",
    "Total number of messages dead-lettered and confirmed by target queues",
    {
      labels: { queue_type: moduleNames.quorum, dead_letter_strategy: "at_least_once" },
      value: counts.quorum.deathsConfirmed,
    },
  );
  return [...byReason, confirmed];
}

/** Named and described; of each what the queues of a type have counted. */
const byQueueType: readonly (readonly [string, string, (counts: QueueCounts) => number])[] = [
  ["acknowledged", "acknowledged by consumers", ({ ack }) => ack],
  ["delivered_consume_auto_ack", "delivered to consumers without acks", (c) => c.deliverNoAck],
  ["delivered_consume_manual_ack", "delivered to consumers with acks", ({ deliver }) => deliver],
  ["delivered_get_auto_ack", "delivered by basic.get without acks", ({ getNoAck }) => getNoAck],
  ["delivered_get_manual_ack", "delivered by basic.get with acks", ({ get }) => get],
  [
    "delivered",
    "delivered to consumers and by basic.get",
    ({ deliver, deliverNoAck, get, getNoAck }) => deliver + deliverNoAck + get + getNoAck,
  ],
  ["get_empty", "not found by basic.get", ({ getEmpty }) => getEmpty],
  ["redelivered", "redelivered to consumers", ({ redeliver }) => redeliver],
];

export function globalMetrics(context: Context): Metric[] {
  const channels = new ChannelCounts();
  for (const vhost of context.host.virtualHosts.all())
    channels.addChannel(context.statistics.channelTotal(vhost));
  const { publish, publishConfirm, confirm, returnUnroutable, dropUnroutable } = channels;
  const counts = countsByType(context);
  const { publishers, consumers } = actors(context);
  const total = (name: string, value: number, what: string): Metric =>
    metric("counter", `global_messages_${name}_total`, `Total number of messages ${what}`, {
      labels: PROTOCOL,
      value,
    });
  return [
    total("received", publish, "received from publishers"),
    total("received_confirm", publishConfirm, "received from publishers expecting confirmations"),
    total("confirmed", confirm, "confirmed to publishers"),
    total("routed", publish - returnUnroutable - dropUnroutable, "routed to queues"),
    total(
      "unroutable_returned",
      returnUnroutable,
      "published as mandatory and returned as unroutable",
    ),
    total(
      "unroutable_dropped",
      dropUnroutable,
      "published as non-mandatory and dropped as unroutable",
    ),
    ...byQueueType.map(([name, what, read]) =>
      metric(
        "counter",
        `global_messages_${name}_total`,
        `Total number of messages ${what}`,
        ...queueTypes.map((type) => ({
          labels: { ...PROTOCOL, queue_type: moduleNames[type] },
          value: read(counts[type]),
        })),
      ),
    ),
    ...deaths(counts),
    metric("gauge", "global_publishers", "Publishers currently connected", {
      ...{ labels: PROTOCOL, value: publishers },
    }),
    metric("gauge", "global_consumers", "Consumers currently connected", {
      ...{ labels: PROTOCOL, value: consumers },
    }),
  ];
}

/** Channels that have published, and consumers. */
function actors({ host }: Context): { publishers: number; consumers: number } {
  let publishers = 0;
  let consumers = 0;
  for (const connection of host.connections.all()) {
    for (const channel of connection.channels()) {
      if (channel.counts.publish > 0) publishers++;
      consumers += channel.info().consumers;
    }
  }
  return { publishers, consumers };
}
