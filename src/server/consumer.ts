/**
 * A consumer: the link from a queue to the channel that asked for its messages.
 *
 * It has credit while its prefetch and the channel's are not used up and its connection can take more. It turns a position
 * into a delivery and remembers what has to be settled.
 */

import type { FieldTable } from "../amqp/field-table.ts";
import { deliverTemplate } from "../amqp/output.ts";
import type { Room } from "../amqp/room.ts";
import { StoredMessage } from "../amqp/stored-message.ts";
import type { Consumer } from "../queue/consumers.ts";
import type { Queue } from "../queue/queue.ts";
import { REDELIVERED } from "../queue/ready.ts";
import type { Channel } from "./channel.ts";
import { showDeliveryCount } from "./delivery-count.ts";
import type { DeliverySource } from "./delivery-sources.ts";

export interface ConsumerSpec {
  readonly consumerTag: string;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly priority: number;
  /** Unacked messages at most; 0 is without limit. */
  readonly prefetch: number;
  readonly arguments: FieldTable;
}

/** One for all: a delivery uses it and is done with it. */
const message = new StoredMessage();

export class ChannelConsumer implements Consumer, DeliverySource {
  readonly consumerTag: string;
  readonly queue: Queue;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly priority: number;
  readonly prefetch: number;
  readonly arguments: FieldTable;
  rotates = false;
  /** Whether it has left its queue; what it still has unacked can be settled all the same. */
  cancelled = false;
  unackedCount = 0;
  readonly #channel: Channel;
  readonly #template: Room;

  constructor(channel: Channel, queue: Queue, spec: ConsumerSpec) {
    this.#channel = channel;
    this.queue = queue;
    this.consumerTag = spec.consumerTag;
    this.noAck = spec.noAck;
    this.exclusive = spec.exclusive;
    this.priority = spec.priority;
    this.prefetch = spec.prefetch;
    this.arguments = spec.arguments;
    this.#template = deliverTemplate(channel.number, spec.consumerTag);
  }

  hasCredit(): boolean {
    const channel = this.#channel;
    if (channel.connection.writer.congested) return false;
    if (this.noAck) return true;
    if (this.prefetch > 0 && this.unackedCount >= this.prefetch) return false;
    return channel.prefetch === 0 || channel.consumersUnacked < channel.prefetch;
  }

  deliver(position: number, sequence: number, bits: number): void {
    const channel = this.#channel;
    const redelivered = (bits & REDELIVERED) !== 0;
    // It may be that the disk does not give it: then nothing has happened.
    this.queue.open(position, message);
    if (redelivered) showDeliveryCount(this.queue, position, message);
    const deliveryTag = this.#send(message, redelivered);
    if (this.noAck) {
      this.queue.settle(position);
    } else {
      this.unackedCount++;
      channel.consumersUnacked++;
      channel.unacked.add(deliveryTag, this, position, sequence, bits);
    }
    channel.connection.writer.grew();
  }

  pass(passing: StoredMessage): void {
    this.#send(passing, false);
    this.#channel.connection.writer.grew();
  }

  /** Says the message to the client, and returns its delivery tag. */
  #send(sent: StoredMessage, redelivered: boolean): number {
    const channel = this.#channel;
    const deliveryTag = ++channel.lastDeliveryTag;
    channel.counts.delivered(this.noAck, redelivered);
    this.queue.counts.delivered(this.noAck, redelivered);
    channel.connection.output.deliver(this.#template, deliveryTag, redelivered, sent);
    const { vhost } = channel;
    if (vhost.tracing) vhost.firehose.delivered(sent, this.queue.name, redelivered, channel);
    return deliveryTag;
  }

  settled(): void {
    this.unackedCount--;
    this.#channel.consumersUnacked--;
  }

  wake(): void {
    if (!this.rotates && !this.cancelled) this.queue.consumerReady(this);
  }

  queueDeleted(): void {
    this.cancelled = true;
    this.#channel.consumerLost(this);
  }
}
