/**
 * The metrics, under RabbitMQ's names: a row each, with what it reads.
 *
 * Metrics of objects (queues, connections, channels) are summed up, or given for each object. Nothing is kept between two
 * scrapes: every value is read from the counts and lengths as they are.
 */

import type { ChannelInfo, ClientChannel, ConnectionInfo } from "../broker/connections.ts";
import type { Queue } from "../queue/queue.ts";

export type MetricType = "counter" | "gauge";

/** A metric of objects of one kind. */
export interface ObjectMetric<Subject> {
  /** After `rabbitmq_` or `rabbitmq_detailed_`. */
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  /** The name under which /metrics/detailed is asked for it. */
  readonly family: string;
  readonly read: (subject: Subject) => number;
}

export interface QueueSubject {
  readonly queue: Queue;
  /** Of what has been delivered and not settled. */
  readonly unackedBytes: number;
}

export interface ChannelSubject {
  readonly counts: ClientChannel["counts"];
  readonly info: ChannelInfo;
}

type Row<Subject> = readonly [
  name: string,
  type: MetricType,
  read: (subject: Subject) => number,
  help: string,
];

function family<Subject>(
  name: string,
  rows: readonly Row<Subject>[],
): readonly ObjectMetric<Subject>[] {
  return rows.map(([metric, type, read, help]) => ({
    name: metric,
    type,
    help,
    family: name,
    read,
  }));
}

const coarse: readonly Row<QueueSubject>[] = [
  [
    "queue_messages_ready",
    "gauge",
    ({ queue }) => queue.readyCount,
    "Messages ready to be delivered to consumers",
  ],
  [
    "queue_messages_unacked",
    "gauge",
    ({ queue }) => queue.unackedCount,
    "Messages delivered to consumers but not yet acknowledged",
  ],
  [
    "queue_messages",
    "gauge",
    ({ queue }) => queue.readyCount + queue.unackedCount,
    "Sum of ready and unacknowledged messages - total queue depth",
  ],
];

const ofQueues: readonly Row<QueueSubject>[] = [
  [
    "queue_consumer_capacity",
    "gauge",
    ({ queue }) => (queue.consumerCount > 0 ? 1 : 0),
    "Consumer capacity",
  ],
  [
    "queue_consumer_utilisation",
    "gauge",
    ({ queue }) => (queue.consumerCount > 0 ? 1 : 0),
    "Same as consumer capacity",
  ],
  [
    "queue_messages_persistent",
    "gauge",
    ({ queue }) => queue.readyPersistent.count,
    "Persistent messages",
  ],
  [
    "queue_messages_persistent_bytes",
    "gauge",
    ({ queue }) => queue.readyPersistent.bodyBytes,
    "Size in bytes of persistent messages",
  ],
  [
    "queue_messages_bytes",
    "gauge",
    ({ queue, unackedBytes }) => queue.readyBytes + unackedBytes,
    "Size in bytes of ready and unacknowledged messages",
  ],
  [
    "queue_messages_ready_bytes",
    "gauge",
    ({ queue }) => queue.readyBytes,
    "Size in bytes of ready messages",
  ],
  [
    "queue_messages_unacked_bytes",
    "gauge",
    ({ unackedBytes }) => unackedBytes,
    "Size in bytes of all unacknowledged messages",
  ],
  [
    "queue_messages_published_total",
    "counter",
    ({ queue }) => queue.enqueuedCount,
    "Total number of messages published to queues",
  ],
];

export const queueMetrics: readonly ObjectMetric<QueueSubject>[] = [
  ...family("queue_coarse_metrics", coarse),
  ...family<QueueSubject>("queue_consumer_count", [
    ["queue_consumers", "gauge", ({ queue }) => queue.consumerCount, "Consumers on a queue"],
  ]),
  ...family("queue_metrics", ofQueues),
];

export const connectionMetrics: readonly ObjectMetric<ConnectionInfo>[] = [
  ...family<ConnectionInfo>("connection_coarse_metrics", [
    [
      "connection_incoming_bytes_total",
      "counter",
      ({ receivedBytes }) => receivedBytes,
      "Total number of bytes received on a connection",
    ],
    [
      "connection_outgoing_bytes_total",
      "counter",
      ({ sentBytes }) => sentBytes,
      "Total number of bytes sent on a connection",
    ],
  ]),
  ...family<ConnectionInfo>("connection_metrics", [
    [
      "connection_incoming_packets_total",
      "counter",
      ({ receiveCount }) => receiveCount,
      "Total number of packets received on a connection",
    ],
    [
      "connection_outgoing_packets_total",
      "counter",
      ({ sendCount }) => sendCount,
      "Total number of packets sent on a connection",
    ],
    ["connection_channels", "gauge", ({ channels }) => channels, "Channels on a connection"],
  ]),
];

const ofChannels: readonly Row<ChannelSubject>[] = [
  ["channel_consumers", "gauge", ({ info }) => info.consumers, "Consumers on a channel"],
  [
    "channel_messages_unacked",
    "gauge",
    ({ info }) => info.unacked,
    "Delivered but not yet acknowledged messages",
  ],
  [
    "channel_messages_unconfirmed",
    "gauge",
    ({ info }) => info.unconfirmed,
    "Published but not yet confirmed messages",
  ],
  [
    "channel_messages_uncommitted",
    "gauge",
    ({ info }) => info.uncommitted,
    "Messages received in a transaction but not yet committed",
  ],
  [
    "channel_acks_uncommitted",
    "gauge",
    ({ info }) => info.uncommittedAcks,
    "Message acknowledgements in a transaction not yet committed",
  ],
  [
    "consumer_prefetch",
    "gauge",
    ({ info }) => info.prefetch,
    "Limit of unacknowledged messages for each consumer",
  ],
  [
    "channel_prefetch",
    "gauge",
    ({ info }) => info.globalPrefetch,
    "Total limit of unacknowledged messages for all consumers on a channel",
  ],
];

const ofChannelExchanges: readonly Row<ChannelSubject>[] = [
  [
    "channel_messages_published_total",
    "counter",
    ({ counts }) => counts.publish,
    "Total number of messages published into an exchange on a channel",
  ],
  [
    "channel_messages_confirmed_total",
    "counter",
    ({ counts }) => counts.confirm,
    "Total number of messages published into an exchange and confirmed on the channel",
  ],
  [
    "channel_messages_unroutable_returned_total",
    "counter",
    ({ counts }) => counts.returnUnroutable,
    "Total number of messages published as mandatory into an exchange and returned to the publisher as unroutable",
  ],
  [
    "channel_messages_unroutable_dropped_total",
    "counter",
    ({ counts }) => counts.dropUnroutable,
    "Total number of messages published as non-mandatory into an exchange and dropped as unroutable",
  ],
];

const ofChannelQueues: readonly Row<ChannelSubject>[] = [
  [
    "channel_get_ack_total",
    "counter",
    ({ counts }) => counts.get,
    "Total number of messages fetched with basic.get in manual acknowledgement mode",
  ],
  [
    "channel_get_total",
    "counter",
    ({ counts }) => counts.getNoAck,
    "Total number of messages fetched with basic.get in automatic acknowledgement mode",
  ],
  [
    "channel_messages_delivered_ack_total",
    "counter",
    ({ counts }) => counts.deliver,
    "Total number of messages delivered to consumers in manual acknowledgement mode",
  ],
  [
    "channel_messages_delivered_total",
    "counter",
    ({ counts }) => counts.deliverNoAck,
    "Total number of messages delivered to consumers in automatic acknowledgement mode",
  ],
  [
    "channel_messages_redelivered_total",
    "counter",
    ({ counts }) => counts.redeliver,
    "Total number of messages redelivered to consumers",
  ],
  [
    "channel_messages_acked_total",
    "counter",
    ({ counts }) => counts.ack,
    "Total number of messages acknowledged by consumers",
  ],
  [
    "channel_get_empty_total",
    "counter",
    ({ counts }) => counts.getEmpty,
    "Total number of times basic.get operations fetched no message",
  ],
];

export const channelMetrics: readonly ObjectMetric<ChannelSubject>[] = [
  ...family("channel_metrics", ofChannels),
  ...family("channel_exchange_metrics", ofChannelExchanges),
  ...family("channel_queue_metrics", ofChannelQueues),
];
