/** The methods of queues [queue]. */

import { AmqpError } from "../amqp/errors.ts";
import type { MethodArguments } from "../amqp/methods.ts";
import { checkBinding } from "../broker/binding.ts";
import { queueIn, stripLineEnds } from "../broker/names.ts";
import { isReplyQueue, REPLY_QUEUE } from "../broker/reply-queue.ts";
import type { Queue } from "../queue/queue.ts";
import type { Channel } from "./channel.ts";
import type { ChannelMethodName, HandlersOf } from "./handlers.ts";

/** With no names at all, the queue declared last is bound by its own name [RabbitMQ]. */
function bindingKey(queueName: string, routingKey: string, actualName: string): string {
  return queueName === "" && routingKey === "" ? actualName : routingKey;
}

function checkNotVolatile(name: string): void {
  if (isReplyQueue(name)) {
    throw new AmqpError(
      "ACCESS_REFUSED",
      "cannot bind or unbind to a volatile (direct reply-to) queue",
    );
  }
}

function declared(channel: Channel, queue: Queue, noWait: boolean): void {
  channel.lastQueue = queue.name;
  if (noWait) return;
  channel.reply("queue.declare-ok", {
    queue: queue.name,
    messageCount: queue.readyCount,
    consumerCount: queue.consumerCount,
  });
}

/** A reply queue is there as long as its consumer, and no declaration changes anything. */
function replyQueueDeclared(channel: Channel, args: MethodArguments<"queue.declare">): void {
  const { queue } = args;
  if (queue !== REPLY_QUEUE && !channel.vhost.queues.hasReplyQueue(queue)) {
    throw new AmqpError("NOT_FOUND", `no ${queueIn(channel.vhost.name, queue)}`);
  }
  if (!args.noWait) channel.reply("queue.declare-ok", { queue, messageCount: 0, consumerCount: 1 });
}

export const queueHandlers: HandlersOf<Extract<ChannelMethodName, `queue.${string}`>> = {
  "queue.declare": (channel, args) => {
    const { vhost, connection } = channel;
    if (isReplyQueue(args.queue)) {
      replyQueueDeclared(channel, args);
      return;
    }
    if (args.passive) {
      // Here an empty name is no shortcut [RabbitMQ].
      const queue = vhost.queues.get(stripLineEnds(args.queue), connection);
      queue.use();
      declared(channel, queue, args.noWait);
      return;
    }
    const declaration = { ...args, name: args.queue };
    declared(channel, vhost.declareQueue(declaration, connection, channel.access), args.noWait);
  },

  "queue.bind": (channel, args) => {
    const name = channel.queueName(args.queue);
    const key = bindingKey(args.queue, args.routingKey, name);
    checkBinding(channel, "queue", name, args.exchange, key);
    checkNotVolatile(name);
    channel.vhost.exchanges.named(args.exchange);
    channel.vhost.bindQueue(channel.queue(name), args.exchange, key, args.arguments);
    if (!args.noWait) channel.reply("queue.bind-ok", {});
  },

  "queue.unbind": (channel, args) => {
    const name = channel.queueName(args.queue);
    const key = bindingKey(args.queue, args.routingKey, name);
    checkBinding(channel, "queue", name, args.exchange, key);
    checkNotVolatile(name);
    const { exchanges, queues } = channel.vhost;
    const queue = queues.find(name);
    // Neither has to exist, and nobody asks whose queue it is when there is no binding.
    if (queue !== undefined && exchanges.isBound(args.exchange, queue, key, args.arguments)) {
      queues.checkAccess(queue, channel.connection);
      exchanges.unbind(args.exchange, queue, key, args.arguments);
    }
    channel.reply("queue.unbind-ok", {});
  },

  "queue.purge": (channel, { queue, noWait }) => {
    const messageCount = channel.readableQueue(queue).purge();
    if (!noWait) channel.reply("queue.purge-ok", { messageCount });
  },

  "queue.delete": (channel, args) => {
    const { vhost, connection } = channel;
    const name = channel.queueName(args.queue);
    channel.access.check("configure", "queue", name);
    const queue = vhost.queues.find(name);
    let messageCount = 0;
    if (queue !== undefined) {
      vhost.queues.checkAccess(queue, connection);
      messageCount = vhost.deleteQueue(queue, args.ifUnused, args.ifEmpty);
    }
    if (!args.noWait) channel.reply("queue.delete-ok", { messageCount });
  },
};
