/** Consuming, getting and settling [basic]; basic.publish goes its own way through publishing.ts. */

import { AmqpError } from "../amqp/errors.ts";
import { integerValue } from "../amqp/field-equality.ts";
import type { FieldTable } from "../amqp/field-table.ts";
import { StoredMessage } from "../amqp/stored-message.ts";
import { typeName } from "../amqp/type-names.ts";
import { generateName, queueIn } from "../broker/names.ts";
import { REPLY_QUEUE } from "../broker/reply-queue.ts";
import type { Queue } from "../queue/queue.ts";
import { REDELIVERED } from "../queue/ready.ts";
import type { Channel } from "./channel.ts";
import { showDeliveryCount } from "./delivery-count.ts";
import type { ChannelMethodName, HandlersOf } from "./handlers.ts";
import { settle, settleAll } from "./settling.ts";

const message = new StoredMessage();

/** Nobody counts what basic.get has taken. */
function nothing(): void {}

/** The consumer argument x-priority; 0 when absent. */
function consumerPriority(args: FieldTable, queue: string): number {
  const value = args.get("x-priority");
  if (value === undefined) return 0;
  const priority = integerValue(value);
  if (priority !== undefined) return priority;
  throw new AmqpError(
    "PRECONDITION_FAILED",
    `invalid arg 'x-priority' for ${queue}: "expected integer, got ${typeName(value)}"`,
  );
}

/** Throws ACCESS_REFUSED when somebody has the queue for himself, or wants to and is not alone. */
function checkExclusiveUse(queue: Queue, exclusive: boolean, shown: string): void {
  const refused =
    queue.exclusivelyConsumed ||
    (exclusive && (queue.consumerCount > 0 || queue.settings.singleActiveConsumer));
  if (refused) throw new AmqpError("ACCESS_REFUSED", `${shown} in exclusive use`);
}

/** Throws RESOURCE_LOCKED when the queue's messages are for its single active consumer alone. */
function checkGetting(queue: Queue, shown: string): void {
  if (!queue.isQuorum || !queue.settings.singleActiveConsumer) return;
  throw new AmqpError(
    "RESOURCE_LOCKED",
    `cannot obtain access to locked ${shown}. basic.get operations are not supported by quorum queues with single active consumer`,
  );
}

/** What a consumer of a quorum queue may have unacked if its client sets no limit [RabbitMQ]. */
const QUORUM_PREFETCH_MAX = 2000;

function prefetchFor(queue: Queue, prefetch: number): number {
  return prefetch === 0 && queue.isQuorum ? QUORUM_PREFETCH_MAX : prefetch;
}

/** Gives back all that is unacked: at once, and also in a transaction. */
function recover(channel: Channel): void {
  settleAll(channel, channel.unacked.takeAll(), "returned");
}

function checkRequeue(requeue: boolean): void {
  if (!requeue) throw new AmqpError("NOT_IMPLEMENTED", "requeue=false");
}

export const basicHandlers: HandlersOf<Extract<ChannelMethodName, `basic.${string}`>> = {
  "basic.qos": (channel, { prefetchSize, prefetchCount, global }) => {
    if (prefetchSize !== 0)
      throw new AmqpError("NOT_IMPLEMENTED", `prefetch_size!=0 (${prefetchSize})`);
    // What basic.get has brought until now counts as if consumers had it, and will for as long as the limit holds [RabbitMQ].
    if (global && channel.prefetch === 0) channel.consumersUnacked = channel.unacked.count;
    // A limit for each consumer that comes later lifts the one for all [RabbitMQ].
    channel.prefetch = global ? prefetchCount : 0;
    if (!global) channel.consumerPrefetch = prefetchCount;
    channel.wakeConsumers();
    channel.reply("basic.qos-ok", {});
  },

  "basic.consume": (channel, args) => {
    const consumerTag = args.consumerTag === "" ? generateName("amq.ctag-") : args.consumerTag;
    const { noAck } = args;
    const consumeOk = (): void => {
      if (!args.noWait) channel.reply("basic.consume-ok", { consumerTag });
    };
    if (args.queue === REPLY_QUEUE) {
      const replies = channel.consumeReplies({
        consumerTag,
        noAck,
        exclusive: false,
        priority: 0,
        prefetch: 0,
        arguments: args.arguments,
      });
      consumeOk();
      replies.queue.addConsumer(replies);
      return;
    }
    channel.checkNewConsumer(consumerTag);
    const queue = channel.readableQueue(args.queue);
    const shown = queueIn(channel.vhost.name, queue.name);
    const priority = consumerPriority(args.arguments, shown);
    if (queue.isQuorum && channel.prefetch > 0)
      throw new AmqpError("NOT_IMPLEMENTED", `${shown} does not support global qos`);
    const exclusive = args.exclusive && !queue.isQuorum;
    checkExclusiveUse(queue, exclusive, shown);
    const prefetch = prefetchFor(queue, channel.consumerPrefetch);
    const consumer = channel.consume(queue, {
      ...{ consumerTag, noAck, exclusive, priority, prefetch },
      arguments: args.arguments,
    });
    // Before the first delivery.
    consumeOk();
    queue.addConsumer(consumer);
    queue.dispatch();
  },

  "basic.cancel": (channel, { consumerTag, noWait }) => {
    channel.cancel(consumerTag);
    if (!noWait) channel.reply("basic.cancel-ok", { consumerTag });
  },
  "basic.cancel-ok": () => undefined,

  "basic.get": (channel, { queue: name, noAck }) => {
    const queue = channel.readableQueue(name);
    checkGetting(queue, queueIn(channel.vhost.name, queue.name));
    const taken = channel.vhost.take(queue, message);
    if (taken === undefined) {
      queue.counts.getEmpty++;
      channel.counts.getEmpty++;
      channel.reply("basic.get-empty", { clusterId: "" });
      return;
    }
    const { position, sequence, bits } = taken;
    const deliveryTag = ++channel.lastDeliveryTag;
    const redelivered = (bits & REDELIVERED) !== 0;
    queue.counts.got(noAck, redelivered);
    channel.counts.got(noAck, redelivered);
    if (redelivered) showDeliveryCount(queue, position, message);
    channel.output.method(channel.number, "basic.get-ok", {
      deliveryTag,
      redelivered,
      exchange: message.exchange,
      routingKey: message.routingKey,
      messageCount: queue.readyCount,
    });
    channel.output.content(channel.number, message);
    const { vhost } = channel;
    if (vhost.tracing) vhost.firehose.delivered(message, queue.name, redelivered, channel);
    channel.connection.writer.grew();
    if (noAck) queue.settle(position);
    else
      channel.unacked.add(
        deliveryTag,
        { queue, settled: nothing, wake: nothing },
        position,
        sequence,
        bits,
      );
  },

  "basic.ack": (channel, { deliveryTag, multiple }) =>
    settle(channel, deliveryTag, multiple, "ack"),
  "basic.nack": (channel, { deliveryTag, multiple, requeue }) =>
    settle(channel, deliveryTag, multiple, requeue ? "returned" : "reject"),
  "basic.reject": (channel, { deliveryTag, requeue }) =>
    settle(channel, deliveryTag, false, requeue ? "failed" : "reject"),

  "basic.recover-async": (channel, { requeue }) => {
    checkRequeue(requeue);
    recover(channel);
  },
  "basic.recover": (channel, { requeue }) => {
    checkRequeue(requeue);
    // What comes again comes after the reply [RabbitMQ].
    channel.reply("basic.recover-ok", {});
    recover(channel);
  },
};
