/**
 * Rates: how fast counts grow.
 *
 * The counts themselves are read when somebody asks, so they are never late. Every five seconds a sample of all of them is
 * kept, as long as somebody has asked within the last minute; a rate is what has been counted since the sample
 * before, by the time that has passed. So a broker that nobody watches does nothing here.
 */

import type { ClientConnection } from "../broker/connections.ts";
import type { Host } from "../broker/host.ts";
import type { VirtualHost } from "../broker/vhost.ts";
import type { Timer } from "../clock.ts";
import { ChannelCounts, type MessageCounts } from "../queue/counts.ts";
import type { Queue } from "../queue/queue.ts";

const SAMPLE_MS = 5000;
/** Without a question for so long no more samples are taken. */
const INTEREST_MS = 60_000;

export type Counts = Record<string, number>;

interface Sample {
  readonly atMs: number;
  readonly counts: Counts;
}

/** The last two samples of something, and since when nothing has changed. */
interface History {
  before: Sample;
  last: Sample;
  idleSinceMs: number;
}

type Exchange = NonNullable<ReturnType<VirtualHost["exchanges"]["find"]>>;

export function exchangeCounts({ publishedIn, publishedOut }: Exchange): Counts {
  return { publish_in: publishedIn, publish_out: publishedOut };
}

export function messageCounts(counts: MessageCounts): Counts {
  const { deliver, deliverNoAck, get, getNoAck } = counts;
  return {
    ack: counts.ack,
    deliver,
    deliver_get: deliver + deliverNoAck + get + getNoAck,
    deliver_no_ack: deliverNoAck,
    get,
    get_empty: counts.getEmpty,
    get_no_ack: getNoAck,
    redeliver: counts.redeliver,
  };
}

export function channelCounts(counts: ChannelCounts): Counts {
  return {
    ...messageCounts(counts),
    publish: counts.publish,
    confirm: counts.confirm,
    return_unroutable: counts.returnUnroutable,
    drop_unroutable: counts.dropUnroutable,
  };
}

export function queueCounts(queue: Queue): Counts {
  return { ...messageCounts(queue.counts), publish: queue.enqueuedCount };
}

export function queueLengths(queue: Queue): Counts {
  return {
    messages: queue.readyCount + queue.unackedCount,
    messages_ready: queue.readyCount,
    messages_unacknowledged: queue.unackedCount,
  };
}

export function connectionCounts(connection: ClientConnection): Counts {
  const { receivedBytes, sentBytes } = connection.info();
  return { recv_oct: receivedBytes, send_oct: sentBytes };
}

function sum(all: Iterable<Counts>): Counts {
  const total: Counts = {};
  for (const counts of all)
    for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count;
  return total;
}

const NOTHING: Counts = { messages: 0, messages_ready: 0, messages_unacknowledged: 0 };

export class Statistics {
  readonly #host: Host;
  #histories = new WeakMap<object, History>();
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  /** What all channels of a virtual host have counted, those that are closed too. */
  channelsOf(vhost: VirtualHost): Counts {
    return channelCounts(this.channelTotal(vhost));
  }

  channelTotal(vhost: VirtualHost): ChannelCounts {
    const total = new ChannelCounts();
    total.addChannel(vhost.closedChannels);
    for (const connection of this.#host.connections.all()) {
      if (connection.vhost !== vhost) continue;
      for (const channel of connection.channels()) total.addChannel(channel.counts);
    }
    return total;
  }

  lengthsOf(vhost: VirtualHost): Counts {
    return sum([NOTHING, ...[...vhost.queues.all()].map(queueLengths)]);
  }

  /** What everything together has counted. */
  totals(): { readonly messages: Counts; readonly lengths: Counts; readonly churn: Counts } {
    const vhosts = [...this.#host.virtualHosts.all()];
    const { churn } = this.#host;
    return {
      messages: sum(vhosts.map((vhost) => this.channelsOf(vhost))),
      lengths: sum([NOTHING, ...vhosts.map((vhost) => this.lengthsOf(vhost))]),
      churn: {
        channel_closed: churn.channelClosed,
        channel_created: churn.channelCreated,
        connection_closed: churn.connectionClosed,
        connection_created: churn.connectionCreated,
        queue_created: churn.queueCreated,
        queue_declared: churn.queueDeclared,
        queue_deleted: churn.queueDeleted,
      },
    };
  }

  /** `{ publish: 5, publish_details: { rate: 0.2 }, ... }`; `of` is what the counts were sampled for. */
  withRates(of: object, counts: Counts): Record<string, unknown> {
    this.#ask();
    const history = this.#histories.get(of);
    const shown: Record<string, unknown> = {};
    for (const [name, count] of Object.entries(counts)) {
      shown[name] = count;
      shown[`${name}_details`] = { rate: this.#rate(history, name, count) };
    }
    return shown;
  }

  /** Since when nothing of it has changed, or undefined when it is in use or has not been watched long enough. */
  idleSinceMs(of: object): number | undefined {
    const history = this.#histories.get(of);
    if (history === undefined || history.idleSinceMs === history.last.atMs) return undefined;
    return history.idleSinceMs;
  }

  /** The sample before is taken when the last one has just been made, so that a rate is over five to ten seconds. */
  #rate(history: History | undefined, name: string, count: number): number {
    if (history === undefined) return 0;
    const nowMs = this.#host.clock.now();
    const from = nowMs - history.last.atMs >= SAMPLE_MS ? history.last : history.before;
    const passedMs = nowMs - from.atMs;
    const before = from.counts[name];
    if (passedMs <= 0 || before === undefined) return 0;
    return Math.round(((count - before) * 1e5) / passedMs) / 100;
  }

  #ask(): void {
    this.#askedAtMs = this.#host.clock.now();
    if (this.#timer === undefined) this.#sample();
  }

  #sample(): void {
    const { clock } = this.#host;
    for (const [of, counts] of this.#everything()) this.#keep(of, counts);
    this.#timer = clock.setTimer(SAMPLE_MS, () => {
      this.#timer = undefined;
      if (clock.now() - this.#askedAtMs < INTEREST_MS) this.#sample();
      else this.#histories = new WeakMap();
    });
  }

  #keep(of: object, counts: Counts): void {
    const sample = { atMs: this.#host.clock.now(), counts };
    const history = this.#histories.get(of);
    if (history === undefined) {
      this.#histories.set(of, { before: sample, last: sample, idleSinceMs: sample.atMs });
      return;
    }
    if (Object.entries(counts).some(([name, count]) => count !== history.last.counts[name]))
      history.idleSinceMs = sample.atMs;
    history.before = history.last;
    history.last = sample;
  }

  *#everything(): Iterable<readonly [object, Counts]> {
    const { messages, lengths, churn } = this.totals();
    yield [this.#host, { ...messages, ...lengths, ...churn }];
    for (const vhost of this.#host.virtualHosts.all()) {
      yield [
        vhost,
        { ...this.channelsOf(vhost), ...this.lengthsOf(vhost), ...this.trafficOf(vhost) },
      ];
      for (const queue of vhost.queues.all())
        yield [queue, { ...queueCounts(queue), ...queueLengths(queue) }];
      for (const exchange of vhost.exchanges.all()) yield [exchange, exchangeCounts(exchange)];
    }
    for (const connection of this.#host.connections.all()) {
      yield [connection, connectionCounts(connection)];
      for (const channel of connection.channels()) yield [channel, channelCounts(channel.counts)];
    }
  }

  /** Bytes to and from the clients that are connected to a virtual host. */
  trafficOf(vhost: VirtualHost): Counts {
    const connections = [...this.#host.connections.all()].filter((each) => each.vhost === vhost);
    return sum(connections.map(connectionCounts));
  }

  /** Begins anew. */
  reset(): void {
    this.#histories = new WeakMap();
  }

  /** No more samples are taken. */
  stop(): void {
    this.#timer?.cancel();
  }
}

/** Whether a channel has ever done anything worth counting. */
export function isSilent(counts: Counts): boolean {
  return Object.values(counts).every((count) => count === 0);
}
