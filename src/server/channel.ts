/**
 * A channel: the state that methods work on, and the frames of one conversation.
 *
 * It does not know sockets. Frames come from its connection and what it says goes to the connection's output; methods
 * other than the few of the message path are looked up in the table of handlers. Errors are thrown: the connection
 * turns them into a close.
 */

import { Content, EXPECT_METHOD, unexpectedFrameFor } from "../amqp/content.ts";
import { AmqpError } from "../amqp/errors.ts";
import type { MethodArguments, MethodName } from "../amqp/methods.ts";
import type { Output } from "../amqp/output.ts";
import type { Access } from "../broker/access.ts";
import type { ChannelInfo, ClientChannel, ConsumerInfo } from "../broker/connections.ts";
import type { Actor } from "../broker/firehose.ts";
import { stripLineEnds } from "../broker/names.ts";
import { createReplyQueue } from "../broker/reply-queue.ts";
import type { VirtualHost } from "../broker/vhost.ts";
import { ChannelCounts } from "../queue/counts.ts";
import type { Queue } from "../queue/queue.ts";
import type { Connection } from "./connection.ts";
import { ChannelConsumer, type ConsumerSpec } from "./consumer.ts";
import type { DeliverySource } from "./delivery-sources.ts";
import { Publishing } from "./publishing.ts";
import { settleAll } from "./settling.ts";
import { Transaction } from "./transaction.ts";
import { Unacked } from "./unacked.ts";

export class Channel implements ClientChannel, Actor {
  readonly number: number;
  readonly connection: Connection;
  readonly vhost: VirtualHost;
  readonly output: Output;
  readonly publishing: Publishing;
  readonly unacked: Unacked;
  readonly counts = new ChannelCounts();
  readonly content: Content;
  readonly consumers = new Map<string, ChannelConsumer>();

  lastDeliveryTag = 0;
  /** What all consumers together may have unacked, 0 without limit [basic.qos with global]. */
  prefetch = 0;
  /** What they have; what basic.get took does not count. */
  consumersUnacked = 0;
  /** For each consumer that starts from now on [basic.qos without global]. */
  consumerPrefetch = 0;
  /** The queue that an empty name stands for. */
  lastQueue: string | undefined;
  transaction: Transaction | undefined;
  /** False when a close is under way: what comes then is dropped. */
  isOpen = true;
  #replyConsumer: ChannelConsumer | undefined;
  /** See `wakeSoon`. */
  #waking: DeliverySource | undefined;

  constructor(number: number, connection: Connection, vhost: VirtualHost) {
    this.number = number;
    this.connection = connection;
    this.vhost = vhost;
    this.output = connection.output;
    this.unacked = new Unacked(vhost.clock, connection.host.memory);
    const { settings, bodies } = connection.host;
    this.content = new Content(settings.maxMessageSize, bodies);
    this.publishing = new Publishing(this, vhost);
  }

  /** What the user may do. */
  get access(): Access {
    return this.connection.access;
  }

  get connectionName(): string {
    return this.connection.name;
  }

  get channelNumber(): number {
    return this.number;
  }

  get userName(): string {
    return this.connection.user.name;
  }

  info(): ChannelInfo {
    const { connection, transaction, publishing } = this;
    return {
      number: this.number,
      name: `${connection.name} (${this.number})`,
      confirm: publishing.confirming,
      transactional: transaction !== undefined,
      prefetch: this.consumerPrefetch,
      globalPrefetch: this.prefetch,
      consumers: this.consumers.size,
      unacked: this.unacked.count,
      unconfirmed: publishing.confirming ? publishing.unconfirmedCount : 0,
      uncommitted: transaction?.publishCount ?? 0,
      uncommittedAcks: transaction?.settledCount ?? 0,
    };
  }

  *consumersInfo(): Iterable<ConsumerInfo> {
    for (const consumer of this.consumers.values()) {
      const { queue, consumerTag, noAck, exclusive, prefetch } = consumer;
      const active = queue.isActive(consumer);
      yield {
        queue,
        consumerTag,
        noAck,
        exclusive,
        prefetch,
        active,
        arguments: consumer.arguments,
      };
    }
  }

  forEachUnacked(look: (queue: Queue, bits: number) => void): void {
    this.unacked.forEach(look);
  }

  /** Says a method on this channel. */
  reply<Name extends MethodName>(name: Name, args: MethodArguments<Name>): void {
    this.output.method(this.number, name, args);
    this.connection.writer.grew();
  }

  /** Throws UNEXPECTED_FRAME when the rest of a content is due. */
  expectMethod(): void {
    if (this.content.state !== EXPECT_METHOD) throw unexpectedFrameFor(this.content.state);
  }

  /** Throws CHANNEL_ERROR while a commit is under way: closing the channel is all that may come then. */
  checkNotCommitting(): void {
    if (this.transaction?.isCommitting !== true) return;
    throw new AmqpError("CHANNEL_ERROR", "unexpected command while processing 'tx.commit'");
  }

  /** A content header frame's payload (borrowed). */
  onHeader(buffer: Buffer, start: number, end: number): void {
    if (this.content.addHeader(buffer, start, end)) this.#publish();
  }

  /** The next bytes of a body (borrowed). */
  onBody(buffer: Buffer, start: number, end: number): void {
    if (this.content.addBody(buffer, start, end)) this.#publish();
  }

  #publish(): void {
    if (this.transaction !== undefined) this.checkNotCommitting();
    this.publishing.publish(this.content);
    this.content.release();
  }

  /** The queue that a method names, where an empty name is the last one declared here. */
  queueName(name: string): string {
    if (name !== "") return stripLineEnds(name);
    if (this.lastQueue === undefined)
      throw new AmqpError("NOT_FOUND", "no previously declared queue");
    return this.lastQueue;
  }

  /** The queue of that name, if this connection may use it. */
  queue(name: string): Queue {
    return this.vhost.queues.get(this.queueName(name), this.connection);
  }

  /** Throws NOT_ALLOWED when a consumer of this channel has the tag, or when one more would be too many. */
  checkNewConsumer(consumerTag: string): void {
    if (this.consumers.has(consumerTag))
      throw new AmqpError("NOT_ALLOWED", `attempt to reuse consumer tag '${consumerTag}'`);
    const { consumerMaxPerChannel } = this.connection.host.settings;
    if (this.consumers.size < consumerMaxPerChannel) return;
    throw new AmqpError(
      "NOT_ALLOWED",
      `reached maximum (${consumerMaxPerChannel}) of consumers per channel`,
    );
  }

  /** The queue of that name, if the user may read from it and this connection may use it. */
  readableQueue(givenName: string): Queue {
    const name = this.queueName(givenName);
    this.access.check("read", "queue", name);
    return this.vhost.queues.get(name, this.connection);
  }

  consume(queue: Queue, spec: ConsumerSpec): ChannelConsumer {
    const consumer = new ChannelConsumer(this, queue, spec);
    this.consumers.set(spec.consumerTag, consumer);
    return consumer;
  }

  /** Consumes replies to this channel's requests [RabbitMQ: direct reply-to]. */
  consumeReplies(spec: ConsumerSpec): ChannelConsumer {
    if (!spec.noAck) {
      throw new AmqpError("PRECONDITION_FAILED", "reply consumer cannot acknowledge");
    }
    if (this.#replyConsumer !== undefined) {
      throw new AmqpError("PRECONDITION_FAILED", "reply consumer already set");
    }
    this.checkNewConsumer(spec.consumerTag);
    this.#replyConsumer = this.consume(createReplyQueue(this.vhost), spec);
    return this.#replyConsumer;
  }

  /** The name that replies to this channel are sent to. */
  replyQueueName(): string {
    if (this.#replyConsumer === undefined) {
      throw new AmqpError("PRECONDITION_FAILED", "fast reply consumer does not exist");
    }
    return this.#replyConsumer.queue.name;
  }

  /** Ends a consumer; what it has unacked stays so. */
  cancel(consumerTag: string): void {
    const consumer = this.consumers.get(consumerTag);
    if (consumer === undefined) return;
    this.consumers.delete(consumerTag);
    consumer.cancelled = true;
    consumer.queue.removeConsumer(consumer);
    if (consumer === this.#replyConsumer) {
      this.#replyConsumer = undefined;
      this.vhost.removeReplyQueue(consumer.queue);
    }
  }

  /** A consumer's queue is gone. Its client is told if it understands [RabbitMQ: consumer_cancel_notify]. */
  consumerLost(consumer: ChannelConsumer): void {
    const { consumerTag } = consumer;
    if (this.consumers.get(consumerTag) !== consumer) return;
    this.consumers.delete(consumerTag);
    if (consumer === this.#replyConsumer) this.#replyConsumer = undefined;
    else if (this.isOpen && this.connection.notifiesCancel)
      this.reply("basic.cancel", { consumerTag, noWait: true });
  }

  /**
   * One of the channel's deliveries has been acknowledged, and its consumer may have credit again: it is told when something
   * else comes or the chunk ends, as acknowledgements mostly come many at a time.
   */
  wakeSoon(source: DeliverySource): void {
    if (this.#waking === source) return;
    this.wakeNow();
    this.#waking = source;
    this.connection.wakeSoon(this);
  }

  /** Tells it. */
  wakeNow(): void {
    const waking = this.#waking;
    if (waking === undefined) return;
    this.#waking = undefined;
    waking.wake();
    // What it has free of the channel's prefetch another consumer may take.
    if (this.prefetch > 0) this.wakeConsumers();
  }

  /** Consumers may have credit again: the prefetch has changed, or the connection can take more. */
  wakeConsumers(): void {
    for (const consumer of this.consumers.values()) consumer.wake();
  }

  /** Throws PRECONDITION_FAILED when the oldest delivery has stayed unsettled for too long [RabbitMQ: consumer_timeout]. */
  checkConsumerTimeout(): void {
    const timeoutMs = this.unacked.overdue(this.connection.host.settings.consumerTimeoutMs);
    if (timeoutMs === undefined) return;
    throw new AmqpError(
      "PRECONDITION_FAILED",
      `delivery acknowledgement on channel ${this.number} timed out. Timeout value used: ${timeoutMs} ms. This timeout value can be configured, see consumers doc guide to learn more`,
    );
  }

  startTransaction(): void {
    this.transaction ??= new Transaction(this);
  }

  /** Ends all consumers; what they have unacked stays so. */
  cancelAll(): void {
    for (const consumerTag of [...this.consumers.keys()]) this.cancel(consumerTag);
  }

  /** Ends the channel: its consumers leave, and what is unacked goes back to its queues. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.transaction?.rollback();
    this.cancelAll();
    settleAll(this, this.unacked.takeAll(), "lost");
    this.content.release();
    this.vhost.closedChannels.addChannel(this.counts);
  }
}
