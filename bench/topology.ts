/**
 * The exchanges and queues of one measurement: declared under names nobody else uses, and deleted
 * afterwards whether it went well or not.
 */

import { Client } from "./client.ts";
import {
  exchangeDeclare,
  exchangeDelete,
  METHOD,
  type QueueOptions,
  queueDeclare,
  queueDelete,
} from "./methods.ts";
import type { BrokerAddress } from "./url.ts";

export class Topology {
  readonly #prefix = `bench.${process.pid}.`;
  /** With the number of messages that must be left in each at the end. */
  readonly #queues = new Map<string, number>();
  readonly #exchanges = new Set<string>();

  /** Declares a queue and returns its name: `stem` made unique. */
  async queue(client: Client, stem: string, options: QueueOptions = {}): Promise<string> {
    const queue = this.#prefix + stem;
    this.#queues.set(queue, 0);
    await client.call(queueDeclare(queue, options), METHOD.queueDeclareOk);
    return queue;
  }

  async exchange(client: Client, stem: string, type: string): Promise<string> {
    const exchange = this.#prefix + stem;
    this.#exchanges.add(exchange);
    await client.call(exchangeDeclare(exchange, type), METHOD.exchangeDeclareOk);
    return exchange;
  }

  /** Tells that the measurement leaves messages in a queue; without this, none may be left. */
  expectLeft(queue: string, messages: number): void {
    this.#queues.set(queue, messages);
  }

  /** Deletes a queue; throws when other than the expected number of messages were ready in it. */
  async deleteQueue(client: Client, queue: string): Promise<void> {
    const reply = await client.call(queueDelete(queue), METHOD.queueDeleteOk);
    const [left, expected] = [reply.readUInt32BE(4), this.#queues.get(queue) ?? 0];
    this.#queues.delete(queue);
    if (left !== expected) {
      throw new Error(`${left} messages instead of ${expected} were left in ${queue}`);
    }
  }

  /** Deletes everything that is still there. */
  async deleteAll(client: Client): Promise<void> {
    for (const queue of [...this.#queues.keys()]) await this.deleteQueue(client, queue);
    for (const exchange of this.#exchanges) {
      await client.call(exchangeDelete(exchange), METHOD.exchangeDeleteOk);
    }
    this.#exchanges.clear();
  }

  /** After a failure: deletes what there is, over a connection of its own, without a complaint. */
  async abandon(address: BrokerAddress): Promise<void> {
    const client = await Client.open(address);
    for (const queue of this.#queues.keys()) {
      await client.call(queueDelete(queue), METHOD.queueDeleteOk);
    }
    for (const exchange of this.#exchanges) {
      await client.call(exchangeDelete(exchange), METHOD.exchangeDeleteOk);
    }
    await client.close();
  }
}
