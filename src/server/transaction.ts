/**
 * A transaction of a channel: what was published and settled in it counts at commit, or not at all [tx].
 *
 * Messages are routed when they are published and handed to their queues at commit, before the settlements. Routing says
 * names, and the default exchange any routing key: the queues that have these names at commit get the message [RabbitMQ].
 */

import { type KeptPublication, Publication } from "../broker/publication.ts";
import type { Receiver } from "../broker/shelves.ts";
import type { Channel } from "./channel.ts";
import { type Outcome, settleAll } from "./settling.ts";
import type { Delivery } from "./unacked.ts";

interface PendingPublish {
  readonly kept: KeptPublication;
  /** Names of queues, and what is no queue. */
  readonly targets: readonly (string | Receiver)[];
  readonly mandatory: boolean;
}

interface PendingSettlement {
  readonly deliveries: readonly Delivery[];
  readonly outcome: Outcome;
}

export class Transaction {
  readonly #channel: Channel;
  /** Whether a queue has been handed a message that nobody has heard of yet to be committed: no command may come now [RabbitMQ]. */
  isCommitting = false;
  #publishes: PendingPublish[] = [];
  #settlements: PendingSettlement[] = [];

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  get publishCount(): number {
    return this.#publishes.length;
  }

  get settledCount(): number {
    return this.#settlements.reduce((sum, { deliveries }) => sum + deliveries.length, 0);
  }

  /** Keeps a copy of a message that has been routed. */
  publish(publication: Publication, receivers: readonly Receiver[], mandatory: boolean): void {
    const targets = receivers.map((to) => (to.kind === "queue" ? to.name : to));
    this.#publishes.push({ kept: publication.keep(), targets, mandatory });
  }

  /** Keeps deliveries that have been taken out of the unacked. */
  settle(deliveries: readonly Delivery[], outcome: Outcome): void {
    this.#settlements.push({ deliveries, outcome });
  }

  /** Lets everything since the last commit or rollback count, all of it or nothing. False when a queue refused a message. */
  commit(): boolean {
    return this.#channel.connection.host.turn.undivided(() => this.#commit());
  }

  #commit(): boolean {
    const publishes = this.#publishes;
    const settlements = this.#settlements;
    this.#publishes = [];
    this.#settlements = [];
    let accepted = true;
    const publication = new Publication();
    for (const { kept, targets, mandatory } of publishes) {
      publication.loadKept(kept);
      const receivers = this.#receivers(publication, targets);
      if (receivers.length === 0 && mandatory)
        this.#channel.publishing.returnUnroutable(publication);
      if (receivers.length > 0) this.isCommitting = true;
      if (!this.#channel.vhost.enqueue(publication, receivers)) accepted = false;
    }
    for (const { deliveries, outcome } of settlements)
      settleAll(this.#channel, deliveries, outcome);
    return accepted;
  }

  #receivers(
    publication: Publication,
    targets: readonly (string | Receiver)[],
  ): readonly Receiver[] {
    const { vhost } = this.#channel;
    if (publication.exchange.name === "")
      return vhost.route(publication, publication.allRoutingKeys());
    const receivers: Receiver[] = [];
    for (const target of targets) {
      const receiver = typeof target === "string" ? vhost.queues.find(target) : target;
      if (receiver !== undefined && !receiver.deleted) receivers.push(receiver);
    }
    return receivers;
  }

  /** Forgets the publishes; what was settled is unacked again, and is not delivered again for that. */
  rollback(): void {
    this.#publishes = [];
    this.#channel.unacked.restore(this.#settlements.flatMap(({ deliveries }) => deliveries));
    this.#settlements = [];
  }
}
