/**
 * A lane: one publisher, the queues its messages go to, and a consumer on each of them.
 *
 * The publisher stays at most `aheadMessages` in front of the slowest consumer, and with confirms
 * at most the window in front of the broker. Without the first bound a fast publisher would only
 * fill the queue, and the figure would tell how fast a queue grows.
 */

import type { Client } from "./client.ts";
import { ConfirmWindow } from "./confirms.ts";
import { Consumer } from "./consumer.ts";
import { basicConsume, basicQos, confirmSelect, METHOD, queueBind } from "./methods.ts";
import { properties } from "./properties.ts";
import { Publisher } from "./publisher.ts";
import type { FlowShape } from "./rows.ts";
import { openClients, type Run } from "./run.ts";

/** In flight at most: enough to keep any broker busy, too little to make it page or block. */
const AHEAD_MESSAGES_MAX = 8000;
const AHEAD_BYTES_MAX = 16 * 1024 * 1024;
const AHEAD_MESSAGES_MIN = 16;

export class Lane {
  readonly publisher: Publisher;
  readonly consumers: readonly Consumer[];
  readonly #clients: readonly Client[];
  readonly #confirms: ConfirmWindow | undefined;
  readonly #window: number;
  readonly #aheadMessages: number;
  /** Published at a time: a quarter of the tightest bound, so that writes and replies overlap. */
  readonly #stride: number;
  #publishing = false;

  /** The first client publishes, the others consume. */
  constructor(
    row: FlowShape,
    clients: readonly Client[],
    publisher: Publisher,
    consumers: Consumer[],
  ) {
    this.publisher = publisher;
    this.consumers = consumers;
    this.#clients = clients;
    this.#window = row.confirmWindow;
    const bodiesAhead = Math.floor(AHEAD_BYTES_MAX / row.bodyBytes / Math.max(1, row.queues));
    this.#aheadMessages = Math.min(AHEAD_MESSAGES_MAX, Math.max(AHEAD_MESSAGES_MIN, bodiesAhead));
    const bound = Math.min(this.#aheadMessages, this.#window || this.#aheadMessages);
    this.#stride = Math.max(1, Math.min(publisher.batchMessages, bound >> 2));
    if (this.#window > 0) {
      this.#confirms = new ConfirmWindow(this.#window);
      clients[0]!.confirms = this.#confirms;
      clients[0]!.onChunkEnd = () => this.#pump();
    }
    publisher.onIdle = () => this.#pump();
    consumers.forEach((consumer, index) => {
      clients[index + 1]!.onChunkEnd = () => {
        consumer.acknowledge();
        this.#pump();
      };
    });
  }

  start(): void {
    this.#publishing = true;
    this.#pump();
  }

  stop(): void {
    this.#publishing = false;
  }

  /** Messages received, over all consumers. */
  get received(): number {
    return this.consumers.reduce((sum, consumer) => sum + consumer.received, 0);
  }

  /**
   * Everything published was received by every consumer, and confirmed where confirms were asked
   * for.
   */
  get settled(): boolean {
    const confirmed = this.#confirms === undefined || this.#confirms.outstanding === 0;
    return confirmed && this.#slowestReceived() === this.publisher.published;
  }

  describe(): string {
    const unconfirmed = this.#confirms ? `, ${this.#confirms.outstanding} unconfirmed` : "";
    const { published } = this.publisher;
    return `${published} published, ${this.#slowestReceived()} received${unconfirmed}`;
  }

  async close(): Promise<void> {
    for (const consumer of this.consumers) consumer.acknowledgeRest();
    for (const client of this.#clients) await client.close();
  }

  #pump(): void {
    while (this.#publishing && !this.publisher.busy && this.#room() >= this.#stride) {
      const count = this.publisher.publish(this.#stride);
      this.#confirms?.onPublished(count);
    }
  }

  #room(): number {
    const ahead = this.#aheadMessages - (this.publisher.published - this.#slowestReceived());
    if (!this.#confirms) return ahead;
    return Math.min(ahead, this.#window - this.#confirms.outstanding);
  }

  #slowestReceived(): number {
    let slowest = this.publisher.published;
    for (const { received } of this.consumers) if (received < slowest) slowest = received;
    return slowest;
  }
}

/** Declares, binds and subscribes what the row asks for; nothing is published yet. */
export async function openLane(row: FlowShape, stream: number, run: Run): Promise<Lane> {
  const clients = await openClients(1 + row.queues, run);
  const encodedProperties = properties(row.properties, run.address.user);
  const queues: string[] = [];
  const consumers: Consumer[] = [];
  for (const [index, client] of clients.slice(1).entries()) {
    const stem = `${row.id}.${stream}.${index}`;
    const queue = await run.topology.queue(client, stem, { durable: row.durable });
    queues.push(queue);
    const { bodyBytes, ackEvery, prefetch } = row;
    consumers.push(
      new Consumer(client, { bodyBytes, stream, ackEvery, properties: encodedProperties }),
    );
    if (prefetch > 0) await client.call(basicQos(prefetch), METHOD.basicQosOk);
    await client.call(basicConsume(queue, ackEvery === 0), METHOD.basicConsumeOk);
  }
  const route = await bindQueues(row, stream, queues, clients[0]!, run);
  if (row.confirmWindow > 0) await clients[0]!.call(confirmSelect(), METHOD.confirmSelectOk);
  const publication = { ...route, bodyBytes: row.bodyBytes, stream, properties: encodedProperties };
  return new Lane(row, clients, new Publisher(clients[0]!, publication), consumers);
}

interface Route {
  readonly exchange: string;
  readonly routingKeys: readonly string[];
}

async function bindQueues(
  row: FlowShape,
  stream: number,
  queues: readonly string[],
  client: Client,
  run: Run,
): Promise<Route> {
  if (row.exchange === "default") return { exchange: "", routingKeys: [queues[0]!] };
  const exchange = await run.topology.exchange(client, `${row.id}.${stream}`, row.exchange);
  if (row.exchange === "fanout") {
    for (const queue of queues) {
      await client.call(queueBind(queue, exchange, ""), METHOD.queueBindOk);
    }
    return { exchange, routingKeys: ["orders.created"] };
  }
  return { exchange, routingKeys: await bindWildcards(row, exchange, queues, client) };
}

/**
 * Binds the row's number of patterns, half with `*` and half with `#`; returns one key for each.
 */
async function bindWildcards(
  row: FlowShape,
  exchange: string,
  queues: readonly string[],
  client: Client,
): Promise<string[]> {
  const routingKeys: string[] = [];
  for (let index = 0; index < row.wildcardBindings; index++) {
    const pattern = index % 2 === 0 ? `eu.*.shop-${index}.order` : `us.shop-${index}.#`;
    const key = index % 2 === 0 ? `eu.north.shop-${index}.order` : `us.shop-${index}.order.created`;
    const last = index === row.wildcardBindings - 1;
    const bind = queueBind(queues[index % queues.length]!, exchange, pattern, !last);
    if (last) await client.call(bind, METHOD.queueBindOk);
    else client.socket.write(bind);
    routingKeys.push(key);
  }
  return routingKeys;
}
