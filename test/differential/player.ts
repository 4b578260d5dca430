/**
 * Plays a sequence of operations to a broker and writes down what could be seen after each.
 *
 * There is no event to wait for when nothing is to come, so after each operation it waits until every channel has
 * answered and nothing has come for a while. That makes a difference that is only one of speed possible, though rare: whoever
 * compares plays again, more slowly, before believing in one.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { MethodName } from "../../src/amqp/methods.ts";
import {
  type Arguments,
  CHANNELS,
  EXCHANGES,
  type Message,
  type Operation,
  QUEUES,
  QUORUM_QUEUE,
  table,
} from "./operations.ts";
import { Peer, type Properties } from "./peer.ts";

/** What was seen after each operation, and last what is left in the queues. */
export type Transcript = readonly (readonly string[])[];

const CONFIRM_DEADLINE_MS = 5000;
const LEFT_MAX = 200;
/** In RabbitMQ's quorum queues whoever holds a message counts as a consumer, also after basic.get and basic.cancel. */
const QUORUM_CONSUMERS = new RegExp(
  `(declare-ok {"queue":"${QUORUM_QUEUE}".*),"consumerCount":\\d+`,
);

export interface PlayOptions {
  readonly url: string;
  /** Before each name: runs must not meet. It is the same for all brokers, and is taken out of what was seen. */
  readonly prefix: string;
  /** How long nothing must have come before the next operation. */
  readonly quietMs: number;
}

export async function play(
  operations: readonly Operation[],
  options: PlayOptions,
): Promise<Transcript> {
  const player = new Player(options);
  try {
    await player.start();
    const transcript: string[][] = [];
    for (const [index, operation] of operations.entries()) {
      await player.step(operation, `m${index}`);
      transcript.push(player.take());
    }
    await player.finish();
    transcript.push(player.take());
    return transcript;
  } finally {
    await player.end();
  }
}

class Player {
  readonly #peer: Peer;
  readonly #options: PlayOptions;
  readonly #pool = new Set([...QUEUES, ...EXCHANGES]);

  constructor(options: PlayOptions) {
    this.#options = options;
    this.#peer = new Peer(options.url);
  }

  async start(): Promise<void> {
    await this.#peer.connect();
    await this.#clear();
    this.#peer.take();
  }

  take(): string[] {
    const { prefix, url } = this.#options;
    const vhost = decodeURIComponent(new URL(url).pathname.slice(1)) || "/";
    return this.#peer
      .take()
      .map((line) => line.replaceAll(prefix, "").replaceAll(`vhost '${vhost}'`, "vhost '/'"))
      .map((line) => line.replace(QUORUM_CONSUMERS, "$1"));
  }

  async step(operation: Operation, body: string): Promise<void> {
    const peer = this.#peer;
    if (!peer.isConnected) await peer.connect();
    await this.#open(operation.channel);
    await this.#perform(operation, body);
    await this.#untilQuiet();
  }

  /** What is left in the queues; then everything goes. */
  async finish(): Promise<void> {
    await this.#close();
    await this.#peer.connect();
    for (const queue of QUEUES) await this.#drain(this.#name(queue));
  }

  /** Nothing stays behind. */
  async end(): Promise<void> {
    await this.#clear();
    this.#peer.destroy();
  }

  async #drain(queue: string): Promise<void> {
    const peer = this.#peer;
    await this.#open(1);
    await this.#declareQueue(1, queue, [true, false, false, false], {});
    for (let message = 0; message < LEFT_MAX && peer.isOpen(1); message++) {
      const before = peer.outstanding(1).length;
      await peer.call(1, "basic.get", { reserved1: 0, queue, noAck: true }, "basic.get-ok");
      if (peer.outstanding(1).length === before) break;
      peer.forgetLast(1, before);
    }
  }

  async #clear(): Promise<void> {
    const peer = this.#peer;
    for (const name of QUEUES) {
      await this.#open(1);
      const args = {
        reserved1: 0,
        queue: this.#name(name),
        ifUnused: false,
        ifEmpty: false,
        noWait: false,
      };
      await peer.call(1, "queue.delete", args, "queue.delete-ok");
    }
    for (const name of EXCHANGES) {
      await this.#open(1);
      const args = { reserved1: 0, exchange: this.#name(name), ifUnused: false, noWait: false };
      await peer.call(1, "exchange.delete", args, "exchange.delete-ok");
    }
    await this.#close();
    await peer.connect();
  }

  async #close(): Promise<void> {
    const peer = this.#peer;
    if (!peer.isConnected) return;
    // One after the other: when all end at once, it is chance in RabbitMQ which of them still takes what another gives back.
    for (const channel of CHANNELS) {
      if (!peer.isOpen(channel)) continue;
      await this.#closeChannel(channel);
      await this.#untilQuiet();
    }
    const reason = { replyCode: 200, replyText: "", classId: 0, methodId: 0 };
    await peer.call(0, "connection.close", reason, "connection.close-ok");
    peer.destroy();
    // What was exclusive to the connection, and what it had unacked, comes free a little later.
    await sleep(2 * this.#options.quietMs);
  }

  async #open(channel: number): Promise<void> {
    const peer = this.#peer;
    if (!peer.isConnected) await peer.connect();
    if (peer.isOpen(channel)) return;
    await peer.call(channel, "channel.open", { reserved1: "" }, "channel.open-ok");
    if (channel !== CHANNELS.at(-1))
      await peer.call(channel, "confirm.select", { noWait: false }, "confirm.select-ok");
  }

  async #untilQuiet(): Promise<void> {
    const peer = this.#peer;
    const deadline = Date.now() + CONFIRM_DEADLINE_MS;
    for (let round = 0; round < 2; round++) {
      for (const channel of CHANNELS) {
        // One may be closed while another answers.
        if (!peer.isOpen(channel)) continue;
        await peer.call(channel, "channel.flow", { active: true }, "channel.flow-ok");
      }
    }
    while (peer.quietMs < this.#options.quietMs || peer.unconfirmedCount > 0) {
      if (Date.now() > deadline)
        throw new Error(`${peer.unconfirmedCount} messages are not confirmed`);
      await sleep(2);
    }
  }

  // -- names

  #name(name: string): string {
    return this.#pool.has(name) || name === "none" || name === "missing"
      ? this.#options.prefix + name
      : name;
  }

  #arguments(given: Arguments): ReturnType<typeof table> {
    const named = Object.entries(given).map(([key, value]) => [
      key,
      typeof value === "string"
        ? this.#name(value)
        : Array.isArray(value)
          ? value.map((name) => this.#name(name))
          : value,
    ]);
    return table(Object.fromEntries(named));
  }

  // -- operations

  async #declareQueue(
    channel: number,
    queue: string,
    [passive, durable, exclusive, autoDelete]: readonly [boolean, boolean, boolean, boolean],
    given: Arguments,
  ): Promise<void> {
    const args = {
      ...{ reserved1: 0, queue, passive, durable, exclusive, autoDelete, noWait: false },
      arguments: this.#arguments(given),
    };
    await this.#peer.call(channel, "queue.declare", args, "queue.declare-ok");
  }

  async #perform(operation: Operation, body: string): Promise<void> {
    const { channel } = operation;
    switch (operation.kind) {
      case "declare queue":
        return this.#declareQueue(
          channel,
          this.#name(operation.queue),
          operation.flags,
          operation.arguments,
        );
      case "publish":
        return this.#publish(channel, operation.message, body);
      case "get":
        return this.#get(channel, this.#name(operation.queue), operation.noAck);
      case "consume":
        return this.#consume(operation);
      case "ack":
      case "nack":
      case "reject":
        return this.#settle(operation);
      case "close channel":
        return this.#closeChannel(channel);
      case "reconnect":
        return this.#close();
      default:
        return this.#request(operation);
    }
  }

  /** What is one method and its reply. */
  async #request(operation: Operation): Promise<void> {
    const { channel } = operation;
    const peer = this.#peer;
    const common = { reserved1: 0, noWait: false };
    switch (operation.kind) {
      case "delete queue": {
        const { ifUnused, ifEmpty } = operation;
        const args = { ...common, queue: this.#name(operation.queue), ifUnused, ifEmpty };
        return peer.call(channel, "queue.delete", args, "queue.delete-ok");
      }
      case "purge": {
        const args = { ...common, queue: this.#name(operation.queue) };
        return peer.call(channel, "queue.purge", args, "queue.purge-ok");
      }
      case "declare exchange": {
        const [passive, durable, autoDelete, internal] = operation.flags;
        const args = {
          ...{ ...common, exchange: this.#name(operation.exchange), type: operation.type },
          ...{
            passive,
            durable,
            autoDelete,
            internal,
            arguments: this.#arguments(operation.arguments),
          },
        };
        return peer.call(channel, "exchange.declare", args, "exchange.declare-ok");
      }
      case "delete exchange": {
        const args = {
          ...common,
          exchange: this.#name(operation.exchange),
          ifUnused: operation.ifUnused,
        };
        return peer.call(channel, "exchange.delete", args, "exchange.delete-ok");
      }
      case "cancel": {
        const args = { consumerTag: operation.consumerTag, noWait: false };
        return peer.call(channel, "basic.cancel", args, "basic.cancel-ok");
      }
      case "recover": {
        const { requeue } = operation;
        return peer.call(channel, "basic.recover", { requeue }, "basic.recover-ok");
      }
      case "qos": {
        const args = { prefetchSize: 0, prefetchCount: operation.count, global: operation.global };
        return peer.call(channel, "basic.qos", args, "basic.qos-ok");
      }
      case "tx":
        return peer.call(channel, `tx.${operation.what}`, {}, `tx.${operation.what}-ok`);
      default:
        return this.#bind(operation);
    }
  }

  async #bind(operation: Operation): Promise<void> {
    const { channel } = operation;
    if (!("source" in operation)) return;
    const [destination, source] = [this.#name(operation.destination), this.#name(operation.source)];
    const routingKey = this.#name(operation.routingKey);
    const rest = { reserved1: 0, routingKey, arguments: this.#arguments(operation.arguments) };
    const peer = this.#peer;
    switch (operation.kind) {
      case "bind": {
        const args = { ...rest, queue: destination, exchange: source, noWait: false };
        return peer.call(channel, "queue.bind", args, "queue.bind-ok");
      }
      case "unbind":
        return peer.call(
          channel,
          "queue.unbind",
          { ...rest, queue: destination, exchange: source },
          "queue.unbind-ok",
        );
      default: {
        const name = operation.kind === "bind exchange" ? "bind" : "unbind";
        const method: MethodName = `exchange.${name}`;
        return peer.call(
          channel,
          method,
          { ...rest, destination, source, noWait: false },
          `exchange.${name}-ok`,
        );
      }
    }
  }

  async #publish(channel: number, message: Message, text: string): Promise<void> {
    const { exchange, routingKey, mandatory, bodyBytes, headers } = message;
    const to = { exchange: this.#name(exchange), routingKey: this.#name(routingKey), mandatory };
    const { deliveryMode, priority, expiration } = message;
    const properties: Properties = {
      messageId: text,
      ...(deliveryMode === undefined ? {} : { deliveryMode }),
      ...(priority === undefined ? {} : { priority }),
      ...(expiration === undefined ? {} : { expiration }),
      ...(headers === undefined ? {} : { headers: this.#arguments(headers) }),
    };
    this.#peer.publish(channel, to, properties, text.padEnd(bodyBytes, ".").slice(0, bodyBytes));
  }

  async #get(channel: number, queue: string, noAck: boolean): Promise<void> {
    const peer = this.#peer;
    const before = peer.outstanding(channel).length;
    await peer.call(channel, "basic.get", { reserved1: 0, queue, noAck }, "basic.get-ok");
    if (noAck) peer.forgetLast(channel, before);
  }

  async #consume(operation: Operation & { kind: "consume" }): Promise<void> {
    const { channel, consumerTag, noAck, exclusive } = operation;
    // A tag that is in use is refused, and whoever has it goes on: it must not be taken for the new one.
    this.#peer.consumes(channel, consumerTag, !noAck);
    const args = {
      ...{ reserved1: 0, queue: this.#name(operation.queue), consumerTag, noLocal: false, noAck },
      ...{ exclusive, noWait: false, arguments: this.#arguments(operation.arguments) },
    };
    await this.#peer.call(channel, "basic.consume", args, "basic.consume-ok");
  }

  async #settle(operation: Operation & { kind: "ack" | "nack" | "reject" }): Promise<void> {
    const { channel, kind, index, multiple, requeue } = operation;
    const peer = this.#peer;
    const tags = peer.outstanding(channel);
    if (tags.length === 0 && index >= 0) return;
    const deliveryTag = index < 0 ? 999_999 : tags[index % tags.length]!;
    if (kind === "reject") peer.send(channel, "basic.reject", { deliveryTag, requeue });
    else if (kind === "ack") peer.send(channel, "basic.ack", { deliveryTag, multiple });
    else peer.send(channel, "basic.nack", { deliveryTag, multiple, requeue });
    peer.settled(channel, deliveryTag, multiple && kind !== "reject");
  }

  async #closeChannel(channel: number): Promise<void> {
    const reason = { replyCode: 200, replyText: "", classId: 0, methodId: 0 };
    await this.#peer.call(channel, "channel.close", reason, "channel.close-ok");
  }
}
