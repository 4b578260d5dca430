/**
 * Direct reply-to: answers to a request without declaring a queue for them.
 *
 * A client consumes from the name `amq.rabbitmq.reply-to` and names it as reply-to of its requests; the broker puts a name
 * in its place that leads back to that channel. Behind the name stands an ordinary transient queue that lives as long as
 * the consumer [RabbitMQ: direct reply-to].
 */

import type { Queue } from "../queue/queue.ts";
import { generateName } from "./names.ts";
import type { VirtualHost } from "./vhost.ts";

/** The name that clients use. */
export const REPLY_QUEUE = "amq.rabbitmq.reply-to";

export function isReplyQueue(name: string): boolean {
  return name.startsWith(REPLY_QUEUE);
}

/** A queue of its own for one consumer of replies. */
export function createReplyQueue(vhost: VirtualHost): Queue {
  return vhost.addReplyQueue(generateName(`${REPLY_QUEUE}.`));
}
