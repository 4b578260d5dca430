/**
 * What has happened to messages, as plain integers that only grow: raised on the message's way, read by whoever watches.
 *
 * A queue counts what it gives out; a channel counts the same for its client, and what its client publishes besides. Rates
 * and texts are made of them elsewhere.
 */

/** Messages given out, by how, and what came of it. */
export class MessageCounts {
  /** To consumers that acknowledge. */
  deliver = 0;
  /** To consumers that do not. */
  deliverNoAck = 0;
  /** By basic.get, likewise. */
  get = 0;
  getNoAck = 0;
  /** Times that basic.get found nothing. */
  getEmpty = 0;
  /** Those of all of these that were not the first delivery. */
  redeliver = 0;
  /** Acknowledged; rejected ones do not count [RabbitMQ]. */
  ack = 0;

  /** A message leaves for a consumer. */
  delivered(noAck: boolean, redelivered: boolean): void {
    if (noAck) this.deliverNoAck++;
    else this.deliver++;
    if (redelivered) this.redeliver++;
  }

  /** A message leaves for basic.get. */
  got(noAck: boolean, redelivered: boolean): void {
    if (noAck) this.getNoAck++;
    else this.get++;
    if (redelivered) this.redeliver++;
  }

  add(other: MessageCounts): void {
    this.deliver += other.deliver;
    this.deliverNoAck += other.deliverNoAck;
    this.get += other.get;
    this.getNoAck += other.getNoAck;
    this.getEmpty += other.getEmpty;
    this.redeliver += other.redeliver;
    this.ack += other.ack;
  }
}

/** Why messages leave for good, and what is done with them then: nothing, or one of the ways of dead-lettering. */
export const deathReasons = ["rejected", "expired", "maxlen", "delivery_limit"] as const;
export const deathStrategies = ["disabled", "at_most_once", "at_least_once"] as const;

/** What a queue counts, or all queues of a type that are gone. */
export class QueueCounts extends MessageCounts {
  /** By reason, and within it by strategy; none before the first. */
  #deaths: number[] | undefined;
  /** Dead letters that may not be lost, and that queues have taken. */
  deathsConfirmed = 0;

  /** A message leaves for good. */
  died(reason: (typeof deathReasons)[number], strategy: (typeof deathStrategies)[number]): void {
    this.#deaths ??= new Array(deathReasons.length * deathStrategies.length).fill(0);
    this.#deaths[deathIndex(reason, strategy)]! += 1;
  }

  deaths(
    reason: (typeof deathReasons)[number],
    strategy: (typeof deathStrategies)[number],
  ): number {
    return this.#deaths?.[deathIndex(reason, strategy)] ?? 0;
  }

  addQueue(other: QueueCounts): void {
    this.add(other);
    this.deathsConfirmed += other.deathsConfirmed;
    if (other.#deaths === undefined) return;
    this.#deaths = other.#deaths.map((count, index) => count + (this.#deaths?.[index] ?? 0));
  }
}

function deathIndex(reason: string, strategy: string): number {
  const reasons: readonly string[] = deathReasons;
  const strategies: readonly string[] = deathStrategies;
  return reasons.indexOf(reason) * strategies.length + strategies.indexOf(strategy);
}

/** What a channel counts, or all channels of a virtual host together. */
export class ChannelCounts extends MessageCounts {
  publish = 0;
  /** Of these, since the channel confirms: the number of the last one. */
  publishConfirm = 0;
  confirm = 0;
  /** Mandatory messages without a queue, that went back. */
  returnUnroutable = 0;
  /** Other messages without a queue. */
  dropUnroutable = 0;

  /** A message has been routed to so many queues. */
  published(queues: number, mandatory: boolean): void {
    this.publish++;
    if (queues > 0) return;
    if (mandatory) this.returnUnroutable++;
    else this.dropUnroutable++;
  }

  addChannel(other: ChannelCounts): void {
    this.add(other);
    this.publish += other.publish;
    this.publishConfirm += other.publishConfirm;
    this.confirm += other.confirm;
    this.returnUnroutable += other.returnUnroutable;
    this.dropUnroutable += other.dropUnroutable;
  }
}
