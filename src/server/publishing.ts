/**
 * The way in: from a complete content to queues, and back to the publisher as return, ack or nack.
 *
 * Publishers mostly publish to the same exchange with the same key again, so the last routing is remembered by its bytes
 * and by the generation of the topology; those before it are, too, for all channels of a user (broker/known-routings.ts). Confirms go out at the end of the turn, as few as possible, when the store says
 * that what they promise is true.
 */

import { decodeUtf8 } from "../amqp/byte-reader.ts";
import type { Content } from "../amqp/content.ts";
import { AmqpError } from "../amqp/errors.ts";
import { FRAME_BODY, FRAME_HEADER, FRAME_OVERHEAD_BYTES } from "../amqp/frame-parser.ts";
import { copyBytes, hasBytes, roomAround, roomOf } from "../amqp/room.ts";
import type { Intercept } from "../broker/interceptors.ts";
import type { KnownRoutings } from "../broker/known-routings.ts";
import { exchangeIn } from "../broker/names.ts";
import { Publication } from "../broker/publication.ts";
import { REPLY_QUEUE } from "../broker/reply-queue.ts";
import type { Receiver } from "../broker/shelves.ts";
import type { VirtualHost } from "../broker/vhost.ts";
import type { TurnTask } from "../turn.ts";
import type { Channel } from "./channel.ts";

type Exchange = Publication["exchange"];

/** Exchange and routing key, two shortstrs. */
const ROUTING_BYTES_MAX = 512;
const NO_QUEUES: readonly Receiver[] = [];
const NO_ROOM = roomOf(Buffer.alloc(0));

/** What has been published in one place the last time, so that the next message need not be looked at again. */
class LastRouting {
  /** Until the first: many channels never publish. */
  bytes = NO_ROOM;
  length = -1;
  generation = -1;
  /** Undefined when the queues depend on more than exchange and routing key. */
  queues: readonly Receiver[] | undefined = undefined;

  holds({ routingBuffer, routingStart, routingEnd }: Content, generation: number): boolean {
    if (this.generation !== generation || this.length !== routingEnd - routingStart) return false;
    return hasBytes(this.bytes, 0, roomAround(routingBuffer), routingStart, routingEnd);
  }

  /** Whether the exchange at least is the same. */
  holdsExchange({ routingBuffer, routingStart }: Content, generation: number): boolean {
    if (this.generation !== generation || this.length < 0) return false;
    const exchangeEnd = routingStart + 1 + routingBuffer[routingStart]!;
    return hasBytes(this.bytes, 0, roomAround(routingBuffer), routingStart, exchangeEnd);
  }

  keep(content: Content, generation: number): void {
    const { routingBuffer, routingStart, routingEnd } = content;
    if (this.length < 0) this.bytes = roomOf(Buffer.allocUnsafeSlow(ROUTING_BYTES_MAX));
    copyBytes(this.bytes, 0, roomAround(routingBuffer), routingStart, routingEnd);
    this.length = routingEnd - routingStart;
    this.generation = generation;
    this.queues = undefined;
  }
}

export class Publishing implements TurnTask {
  readonly #channel: Channel;
  readonly #vhost: VirtualHost;
  readonly #publication = new Publication();
  readonly #last = new LastRouting();
  readonly #intercept: Intercept | undefined;
  readonly #known: KnownRoutings;

  #confirming = false;
  /** The last publish that has been acked or nacked; the channel counts those that have come since confirm.select. */
  #confirmed = 0;
  /** Numbers of those that a queue has refused, in order, not nacked yet. */
  #refused: number[] = [];
  #confirmScheduled = false;
  /** Whether something has been published that only a sync makes safe, since the last turn's end. */
  #promisesSync = false;
  /** Confirms that wait for a sync; those that come after them wait too, for an ack covers all before it. */
  #awaitedSyncs = 0;

  constructor(channel: Channel, vhost: VirtualHost) {
    this.#channel = channel;
    this.#vhost = vhost;
    this.#intercept = channel.connection.host.intercept;
    this.#known = vhost.knownRoutings(channel.access);
  }

  get confirming(): boolean {
    return this.#confirming;
  }

  /** From now on publishes are counted and confirmed [confirm.select]. */
  startConfirming(): void {
    this.#confirming = true;
  }

  /** A message has arrived whole. Its buffers are borrowed. */
  publish(content: Content): void {
    try {
      this.#publish(content);
    } finally {
      this.#publication.properties.release();
    }
  }

  #publish(content: Content): void {
    if (content.immediate) throw new AmqpError("NOT_IMPLEMENTED", "immediate=true");
    if (content.tooLarge) throw this.#tooLarge(content.bodyBytes);
    const publication = this.#publication;
    if (!this.#last.holds(content, this.#vhost.generation)) this.#findRouting(content);
    publication.load(content);
    this.#readProperties(publication);
    if (this.#intercept !== undefined) this.#intercept(publication);
    const queues = this.#route(publication);
    // Only now, for wrong headers CC and BCC come first [RabbitMQ].
    this.#checkUserId(publication);
    const { transaction, counts } = this.#channel;
    counts.published(queues.length, content.mandatory);
    publication.exchange.publishedIn++;
    publication.exchange.publishedOut += queues.length;
    if (this.#vhost.tracing) this.#vhost.firehose.published(publication, queues, this.#channel);
    if (transaction === undefined) this.#hand(publication, queues, content.mandatory);
    else transaction.publish(publication, queues, content.mandatory);
  }

  /** Hands a routed message to its queues, or back to the publisher when there are none and it is mandatory. */
  #hand(publication: Publication, queues: readonly Receiver[], mandatory: boolean): void {
    if (queues.length === 0 && mandatory) this.returnUnroutable(publication);
    const accepted = this.#vhost.enqueue(publication, queues);
    if (!this.#confirming) return;
    if (this.#vhost.promisesSync(publication, queues)) this.#promisesSync = true;
    this.#noteConfirm(accepted);
  }

  #tooLarge(bodyBytes: number): AmqpError {
    const { maxMessageSize } = this.#channel.connection.host.settings;
    return new AmqpError(
      "PRECONDITION_FAILED",
      `message size ${bodyBytes} is larger than configured max size ${maxMessageSize}`,
    );
  }

  #findRouting(content: Content): void {
    const { routingBuffer, routingStart, routingEnd } = content;
    const { generation } = this.#vhost;
    const known = this.#known.find(roomAround(routingBuffer), routingStart, routingEnd, generation);
    if (known === undefined) {
      this.#findExchange(content);
      return;
    }
    this.#publication.exchange = known.exchange;
    this.#publication.routingKey = known.routingKey;
    this.#last.keep(content, generation);
    this.#last.queues = known.queues;
  }

  #findExchange(content: Content): void {
    const { routingBuffer, routingStart, routingEnd } = content;
    const { generation } = this.#vhost;
    const publication = this.#publication;
    const routingKeyAt = routingStart + 1 + routingBuffer[routingStart]!;
    const isSameExchange = this.#last.holdsExchange(content, generation);
    // What throws from here on leaves nothing to go by.
    this.#last.length = -1;
    publication.routingKey = decodeUtf8(routingBuffer, routingKeyAt + 1, routingEnd);
    if (!isSameExchange) {
      const name = decodeUtf8(routingBuffer, routingStart + 1, routingKeyAt);
      publication.exchange = this.#writableExchange(name);
    }
    this.#checkTopic(publication.exchange, publication.routingKey);
    this.#last.keep(content, generation);
  }

  /** Of an exchange that may not be written to nobody hears whether it exists. */
  #writableExchange(name: string): Exchange {
    this.#channel.access.check("write", "exchange", name);
    const exchange = this.#vhost.exchanges.get(name);
    if (exchange.internal) {
      throw new AmqpError(
        "ACCESS_REFUSED",
        `cannot publish to internal ${exchangeIn(this.#vhost.name, name)}`,
      );
    }
    return exchange;
  }

  #checkTopic(exchange: Exchange, routingKey: string): void {
    if (exchange.type.name === "topic")
      this.#channel.access.checkTopic("write", exchange.name, routingKey);
  }

  #readProperties(publication: Publication): void {
    const { properties } = publication;
    if (properties.is(properties.replyTo, REPLY_QUEUE)) {
      publication.rewrite({ replyTo: this.#channel.replyQueueName() });
    }
    publication.loadTtl();
  }

  #checkUserId({ properties }: Publication): void {
    if (properties.userId.start < 0) return;
    const { user } = this.#channel.connection;
    if (properties.is(properties.userId, user.name) || user.impersonates) return;
    const userId = properties.text(properties.userId);
    throw new AmqpError(
      "PRECONDITION_FAILED",
      `user_id property set to '${userId}' but authenticated user was '${user.name}'`,
    );
  }

  #route(publication: Publication): readonly Receiver[] {
    const last = this.#last;
    if (publication.properties.hasSenderSelectedKeys) {
      const routingKeys = publication.takeRoutingKeys();
      for (const routingKey of routingKeys) this.#checkTopic(publication.exchange, routingKey);
      return this.#vhost.route(publication, routingKeys);
    }
    if (last.queues !== undefined) return last.queues;
    const queues = this.#vhost.route(publication);
    if (publication.exchange.routesByKeyAlone) this.#remember(publication, queues);
    return queues;
  }

  #remember(publication: Publication, queues: readonly Receiver[]): void {
    const last = this.#last;
    last.queues = queues.length === 0 ? NO_QUEUES : queues;
    this.#known.keep(last.bytes, last.length, last.generation, publication, last.queues);
  }

  /** Sends a message back [basic.return]. */
  returnUnroutable(publication: Publication): void {
    const { output, number } = this.#channel;
    const { source } = publication;
    output.method(number, "basic.return", {
      replyCode: 312,
      replyText: "NO_ROUTE",
      exchange: publication.exchange.name,
      routingKey: publication.routingKey,
    });
    // What was sent is only borrowed, and is gone before it is written.
    const header = Buffer.from(source.headerBuffer.subarray(source.headerStart, source.headerEnd));
    const body = Buffer.from(source.bodyBuffer.subarray(source.bodyStart, source.bodyEnd));
    output.frame(FRAME_HEADER, number, header, 0, header.length);
    const pieceBytes = output.frameMax - FRAME_OVERHEAD_BYTES;
    for (let from = 0; from < body.length; from += pieceBytes) {
      output.frame(FRAME_BODY, number, body, from, Math.min(body.length, from + pieceBytes));
    }
    this.#channel.connection.writer.grew();
  }

  #noteConfirm(accepted: boolean): void {
    const published = ++this.#channel.counts.publishConfirm;
    if (!accepted) this.#refused.push(published);
    if (this.#confirmScheduled) return;
    this.#confirmScheduled = true;
    this.#channel.connection.host.turn.flushStore(this);
  }

  /** Asks the store to tell when everything published so far is safe. */
  endTurn(): void {
    this.#confirmScheduled = false;
    const upTo = this.#channel.counts.publishConfirm;
    const durable = this.#promisesSync || this.#awaitedSyncs > 0;
    this.#promisesSync = false;
    if (durable) this.#awaitedSyncs++;
    const onFlushed = (): void => {
      if (durable) this.#awaitedSyncs--;
      this.#confirm(upTo);
    };
    this.#vhost.store.afterFlush({ onFlushed }, durable);
  }

  /** Acks up to `upTo`, with a nack in the place of each that was refused. */
  #confirm(upTo: number): void {
    if (!this.#channel.isOpen) return;
    const { output, number, counts } = this.#channel;
    counts.confirm += Math.max(0, upTo - this.#confirmed);
    for (const refused of this.#refused) {
      if (refused > upTo) break;
      this.#ack(refused - 1);
      output.nack(number, refused, false);
      this.#confirmed = refused;
    }
    this.#refused = this.#refused.filter((refused) => refused > upTo);
    this.#ack(upTo);
    this.#channel.connection.writer.grew();
  }

  /** Publishes that are neither acked nor nacked yet. */
  get unconfirmedCount(): number {
    return this.#channel.counts.publishConfirm - this.#confirmed;
  }

  #ack(upTo: number): void {
    if (upTo <= this.#confirmed) return;
    this.#channel.output.ack(this.#channel.number, upTo, upTo > this.#confirmed + 1);
    this.#confirmed = upTo;
  }
}
