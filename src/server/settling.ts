/**
 * How a channel's client settles what it was delivered: ack, reject, requeue, one or many at a time.
 *
 * Deliveries are taken out first and settled then, because settling one can bring the next in, on this very channel.
 */

import { AmqpError } from "../amqp/errors.ts";
import type { Queue, Return } from "../queue/queue.ts";
import type { Channel } from "./channel.ts";
import type { Delivery } from "./unacked.ts";

/** What becomes of a delivery; to come back it has several ways. */
export type Outcome = "ack" | "reject" | Return;

/** Settles by tag; tag 0 with `multiple` is all there are [basic.ack, basic.nack, basic.reject]. */
export function settle(
  channel: Channel,
  deliveryTag: number,
  multiple: boolean,
  outcome: Outcome,
): void {
  const { unacked, transaction } = channel;
  const index = multiple && deliveryTag === 0 ? unacked.last : find(channel, deliveryTag);
  if (transaction !== undefined) {
    const deliveries = multiple ? unacked.takeUpTo(index) : [unacked.take(index)];
    transaction.settle(deliveries, outcome);
  } else if (!multiple) {
    settleOne(channel, index, outcome);
  } else if (outcome === "ack") {
    channel.counts.ack += unacked.ackUpTo(index);
    channel.wakeConsumers();
  } else {
    settleAll(channel, unacked.takeUpTo(index), outcome);
  }
}

function find(channel: Channel, deliveryTag: number): number {
  const index = channel.unacked.find(deliveryTag);
  if (index < 0)
    throw new AmqpError("PRECONDITION_FAILED", `unknown delivery tag ${BigInt(deliveryTag)}`);
  return index;
}

function settleOne(channel: Channel, index: number, outcome: Outcome): void {
  const { unacked } = channel;
  if (outcome === "ack") {
    channel.counts.ack++;
    channel.wakeSoon(unacked.ack(index));
    return;
  }
  const delivery = unacked.take(index);
  finish(delivery, outcome);
  delivery.source.settled();
  delivery.source.wake();
  if (outcome !== "reject") delivery.source.queue.dispatch();
  // What this one frees of the channel's prefetch another consumer may take.
  if (channel.prefetch > 0) channel.wakeConsumers();
}

/** Settles deliveries that have been taken; queues look for consumers once all of them are back. */
export function settleAll(
  channel: Channel,
  deliveries: Iterable<Delivery>,
  outcome: Outcome,
): void {
  const queues = new Set<Queue>();
  for (const delivery of deliveries) {
    if (outcome === "ack") channel.counts.ack++;
    finish(delivery, outcome);
    delivery.source.settled();
    queues.add(delivery.source.queue);
  }
  channel.wakeConsumers();
  if (outcome === "ack" || outcome === "reject") return;
  for (const queue of queues) queue.dispatch();
}

function finish({ source, position, sequence, bits }: Delivery, outcome: Outcome): void {
  const { queue } = source;
  if (outcome === "ack") queue.acknowledge(position);
  else if (outcome === "reject") queue.reject(position);
  else queue.requeue(position, sequence, bits, outcome);
}
