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
import { prefill } from "./prefill.ts";
import { properties } from "./properties.ts";
import { Publisher } from "./publisher.ts";
import type { FlowShape } from "./rows.ts";
import { openClients, type Run } from "./run.ts";

/** In flight at most: enough to keep any broker busy, too little to make it page or block. */
const AHEAD_MESSAGES_MAX = 8000;
/** Over all lanes. */
const AHEAD_MESSAGES_SUM_MAX = 400_000;
const AHEAD_BYTES_MAX = 16 * 1024 * 1024;
const AHEAD_MESSAGES_MIN = 16;

export class Lane {
  readonly publisher: Publisher;
  readonly consumers: readonly Consumer[];
  readonly #clients: readonly Client[];
  readonly #confirms: ConfirmWindow | undefined;
  readonly #window: number;
  readonly #backlog: number;
  readonly #aheadMessages: number;
  /** Published at a time: a quarter of the tightest bound, so that writes and replies overlap. */
  readonly #stride: number;
  #publishing = false;
  #stopped = false;

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
    const messagesMax = Math.min(AHEAD_MESSAGES_MAX, AHEAD_MESSAGES_SUM_MAX / row.lanes);
    const ahead = Math.min(messagesMax, Math.max(AHEAD_MESSAGES_MIN, bodiesAhead));
    this.#backlog = row.backlog;
    this.#aheadMessages = row.backlog + ahead;
    const bound = Math.min(ahead, this.#window || ahead);
    this.#stride = Math.max(1, Math.min(publisher.batchMessages, bound >> 2));
    if (this.#window > 0) {
      this.#confirms = new ConfirmWindow(this.#window);
      clients[0]!.confirms = this.#confirms;
      clients[0]!.onChunkEnd = () => this.#pump();
    }
    publisher.onIdle = () => this.#pump();
    consumers.forEach((consumer, index) => {
      clients[index + 1]!.onChunkEnd = () => {
        this.#acknowledge(consumer);
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
    this.#stopped = true;
    for (const consumer of this.consumers) consumer.acknowledge();
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
      if (this.#backlog > 0) for (const consumer of this.consumers) this.#acknowledge(consumer);
    }
  }

  /** Unless the backlog would become smaller: then the publisher has to go on first. */
  #acknowledge(consumer: Consumer): void {
    const waiting = this.publisher.published - consumer.received;
    if (this.#stopped || waiting >= this.#backlog) consumer.acknowledge();
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

/** Declares, binds, fills and subscribes what the row asks for; only a backlog is published yet. */
export async function openLane(row: FlowShape, stream: number, run: Run): Promise<Lane> {
  const clients = await openClients(1 + row.queues, run);
  const [publishing, ...consuming] = clients as [Client, ...Client[]];
  const { bodyBytes, ackEvery, queuesInTurn } = row;
  const encodedProperties = properties(row.properties, run.address.user);
  const message = { bodyBytes, stream, properties: encodedProperties };

  const queues: string[][] = [];
  for (const [index, client] of consuming.entries()) {
    queues.push(await declareQueues(row, `${row.id}.${stream}.${index}`, client, run));
  }
  const route = await bindQueues(row, stream, queues.flat(), publishing, run);
  const publisher = new Publisher(publishing, { ...route, ...message });
  if (row.backlog > 0) await prefill(row.backlog, publishing, queues[0]![0]!, publisher, run);
  if (row.confirmWindow > 0) await publishing.call(confirmSelect(), METHOD.confirmSelectOk);

  const consumers: Consumer[] = [];
  for (const client of consuming)
    consumers.push(new Consumer(client, { ...message, ackEvery, queuesInTurn }));
  const lane = new Lane(row, clients, publisher, consumers);
  for (const [index, client] of consuming.entries()) await consume(row, client, queues[index]!);
  return lane;
}

async function declareQueues(
  { queuesInTurn, durable }: FlowShape,
  stem: string,
  client: Client,
  run: Run,
): Promise<string[]> {
  const queues: string[] = [];
  for (let index = 0; index < queuesInTurn; index++) {
    queues.push(await run.topology.queue(client, `${stem}.${index}`, { durable }));
  }
  return queues;
}

async function consume(row: FlowShape, client: Client, queues: readonly string[]): Promise<void> {
  const { prefetch, ackEvery, consumersPerQueue } = row;
  if (prefetch > 0) await client.call(basicQos(prefetch), METHOD.basicQosOk);
  for (const queue of queues) {
    for (let index = 0; index < consumersPerQueue; index++) {
      await client.call(basicConsume(queue, ackEvery === 0), METHOD.basicConsumeOk);
    }
  }
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
  if (row.exchange === "default") return { exchange: "", routingKeys: queues };
  const exchange = await run.topology.exchange(client, `${row.id}.${stream}`, row.exchange);
  if (row.exchange === "fanout") {
    for (const queue of queues) {
      await client.call(queueBind(queue, exchange, ""), METHOD.queueBindOk);
    }
    return { exchange, routingKeys: ["orders.created"] };
  }
  return { exchange, routingKeys: await bindKeys(row, exchange, queues, client) };
}

/**
 * Binds the row's number of keys or patterns, of these half with `*` and half with `#`; returns one key for each.
 */
async function bindKeys(
  { bindings, exchange: type }: FlowShape,
  exchange: string,
  queues: readonly string[],
  client: Client,
): Promise<string[]> {
  const routingKeys: string[] = [];
  for (let index = 0; index < bindings; index++) {
    const pattern = index % 2 === 0 ? `eu.*.shop-${index}.order` : `us.shop-${index}.#`;
    const key = index % 2 === 0 ? `eu.north.shop-${index}.order` : `us.shop-${index}.order.created`;
    const last = index === bindings - 1;
    const bound = type === "topic" ? pattern : key;
    const bind = queueBind(queues[index % queues.length]!, exchange, bound, !last);
    if (last) await client.call(bind, METHOD.queueBindOk);
    else client.socket.write(bind);
    routingKeys.push(key);
  }
  return routingKeys;
}
