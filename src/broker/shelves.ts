/**
 * What the exchanges of a virtual host keep messages on: those that wait until they are due, and the last ones for those who
 * bind later.
 *
 * Makes the shelves, puts messages on them, and publishes what comes off. What is due is published and let go of in one
 * flush, so that after a crash it is in one of the two places.
 */

import type { FieldTable } from "../amqp/field-table.ts";
import { StoredMessage } from "../amqp/stored-message.ts";
import { AssertionError } from "../assert.ts";
import type { Clock } from "../clock.ts";
import { delayMs, negateDelay } from "../exchange/delayed-message.ts";
import type { Destination, Exchange, ExchangeType, Shelf } from "../exchange/exchange.ts";
import { historyLength } from "../exchange/recent-history.ts";
import type { Log } from "../log.ts";
import { DelayedMessages, type DelayedOwner } from "../queue/delayed-messages.ts";
import type { Queue } from "../queue/queue.ts";
import { RecentMessages } from "../queue/recent-messages.ts";
import { isDiskError } from "../store/disk.ts";
import type { Holder } from "../store/message-store.ts";
import type { Turn } from "../turn.ts";
import type { ShelfKeeper } from "./exchanges.ts";
import { Publication } from "./publication.ts";
import type { VirtualHost } from "./vhost.ts";

/** What takes messages: queues, and shelves on which these wait. */
export type Receiver = Queue | DelayedMessages;

/** An exchange to be, as far as its shelf must know it. */
export interface ShelfSpec {
  readonly type: ExchangeType;
  readonly name: string;
  readonly durable: boolean;
  readonly arguments: FieldTable;
  /** The id that it had before a restart. */
  readonly shelfId?: number | undefined;
}

export class Shelves implements DelayedOwner, ShelfKeeper {
  readonly #vhost: VirtualHost;
  readonly #log: Log;
  readonly #turn: Turn;
  readonly #publication = new Publication();
  readonly #message = new StoredMessage();

  constructor(vhost: VirtualHost, log: Log, turn: Turn) {
    this.#vhost = vhost;
    this.#log = log;
    this.#turn = turn;
  }

  get clock(): Clock {
    return this.#vhost.clock;
  }

  /** A shelf for an exchange whose type needs one. */
  make({ type, name, durable, arguments: args, shelfId }: ShelfSpec): Shelf | undefined {
    if (type.keeps === undefined) return undefined;
    const { store, clock, queues } = this.#vhost;
    if (type.keeps === "recent") return new RecentMessages(name, historyLength(args), store);
    if (shelfId !== undefined) queues.reserveIds(shelfId + 1);
    const id = shelfId ?? queues.takeId();
    return new DelayedMessages(id, name, durable, { store, clock, owner: this });
  }

  /** Those on which messages wait. */
  *delayed(): Iterable<DelayedMessages> {
    for (const { shelf } of this.#vhost.exchanges.all())
      if (shelf instanceof DelayedMessages) yield shelf;
  }

  /** Lets a message wait, durably if its exchange is durable, whatever its delivery mode. */
  delay(publication: Publication, shelf: DelayedMessages): void {
    const dueMs = this.#vhost.clock.now() + delayMs(publication.decodeHeaders());
    // As the label it comes back with the message, which a restart need not read.
    const position = this.#vhost.keep(publication, [shelf], shelf.persists, dueMs);
    shelf.add(position, dueMs);
  }

  /** Keeps a copy of a message on each of the shelves that asked for it. */
  remember(publication: Publication): void {
    const shelves = publication.remembering;
    publication.remembering = [];
    for (const shelf of shelves) {
      if (!(shelf instanceof RecentMessages)) continue;
      shelf.add(this.#vhost.keep(publication, [shelf], false, 0));
    }
  }

  /** Somebody has bound to the exchange: it gets what is remembered, the oldest first. */
  bound(source: Exchange, destination: Destination): void {
    const { shelf } = source;
    if (!(shelf instanceof RecentMessages)) return;
    shelf.forEach((position) => {
      this.#attempt(shelf.name, () => {
        const publication = this.#open(position);
        if (destination.kind === "queue") this.#vhost.enqueue(publication, [destination as Queue]);
        else this.#publish(publication, destination as Exchange);
      });
    });
  }

  publishDue(shelf: DelayedMessages, position: number): void {
    this.#turn.undivided(() => {
      this.#attempt(shelf.name, () => {
        const exchange = this.#vhost.exchanges.find(shelf.name);
        if (exchange === undefined) return;
        const publication = this.#open(position);
        const headers = publication.decodeHeaders();
        negateDelay(headers);
        publication.rewrite({ headers });
        this.#publish(publication, exchange);
      });
      this.#vhost.store.release(position, shelf as Holder);
    });
  }

  unreadable({ name }: DelayedMessages, error: unknown): void {
    if (!isDiskError(error)) throw error;
    this.#log.warn(
      { vhost: this.#vhost.name, exchange: name, error: error.message },
      "messages that an exchange has delayed cannot be read now: it is tried again in a second",
    );
  }

  /** One message's trouble is not to be that of others. */
  #attempt(exchange: string, act: () => void): void {
    try {
      act();
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      this.#log.error(
        { vhost: this.#vhost.name, exchange, error },
        "a message that an exchange has kept could not be published",
      );
    } finally {
      this.#publication.properties.release();
    }
  }

  /** A message on its way once more. Its bytes are the store's, borrowed for the turn. */
  #open(position: number): Publication {
    const publication = this.#publication;
    const message = this.#message;
    const place = this.#vhost.store.locate(position);
    message.open(place, place.offset);
    const { buffer, bodyStart, bodyBytes } = message;
    publication.load({
      routingBuffer: buffer,
      routingStart: message.routingStart,
      routingEnd: message.routingEnd,
      headerBuffer: buffer,
      headerStart: message.headerStart,
      headerEnd: message.headerEnd,
      bodyBuffer: buffer,
      bodyStart,
      bodyEnd: bodyStart + bodyBytes,
      contiguous: false,
    });
    publication.loadTtl();
    publication.hasDeaths = message.hasDeaths;
    publication.hiddenKeys = message.hiddenKeys;
    publication.routingKey = message.routingKey;
    return publication;
  }

  #publish(publication: Publication, exchange: Exchange): void {
    publication.exchange = exchange;
    const receivers = this.#vhost.route(publication, publication.allRoutingKeys());
    this.#vhost.enqueue(publication, receivers);
  }
}
