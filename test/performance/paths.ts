/**
 * The ways of a message whose cost is guarded: each a publisher, its exchange and queues, and consumers that settle what
 * they get. All is encoded beforehand, so that what is counted is the broker's.
 */
import {
  basicAck,
  basicConsume,
  basicPublish,
  basicQos,
  CHANNEL,
  confirmSelect,
  contentHeader,
  exchangeDeclare,
  queueBind,
  queueDeclare,
} from "../../bench/methods.ts";
import { properties } from "../../bench/properties.ts";
import {
  FRAME_BODY,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  FRAME_OVERHEAD_BYTES,
  frame,
  shortString,
  table,
  u16,
} from "../../bench/wire.ts";
import type { CountedBroker, CountedStream } from "./counted-broker.ts";

/** What a socket is read into. */
const READ_BYTES = 1 << 18;
const PAYLOAD_BYTES_MAX = FRAME_BYTES_MAX - FRAME_OVERHEAD_BYTES;
/** Of a basic.ack frame: where its delivery tag is. */
const TAG_AT = FRAME_HEADER_BYTES + 4;
const ACK_BYTES = basicAck(1, false).length;

/** Headers, expiration and user-id, after their flags. */
const lookedAt = Buffer.concat([
  u16((1 << 13) | (1 << 8) | (1 << 4)),
  table({ "x-tenant": "hazel", "x-attempt": 3 }),
  shortString("60000"),
  shortString("guest"),
]);

interface PathShape {
  readonly persistent: boolean;
  /** Whether it has the properties that are looked at. */
  readonly hasProperties: boolean;
  readonly confirms: boolean;
  /** 0: no acknowledgements; 1: one by one; else all of a read with `multiple`. */
  readonly ackEvery: number;
  readonly exchange: "" | "fanout" | "topic";
  readonly queues: number;
  readonly bindings: number;
  readonly bodyBytes: number;
  /** What comes in one turn. */
  readonly messages: number;
}

const plain: PathShape = {
  persistent: false,
  hasProperties: false,
  confirms: false,
  ackEvery: 0,
  exchange: "",
  queues: 1,
  bindings: 1,
  bodyBytes: 16,
  messages: 500,
};

export const paths = {
  transient: plain,
  properties: { ...plain, hasProperties: true },
  persistent: { ...plain, persistent: true, confirms: true, ackEvery: plain.messages },
  "fan-out": { ...plain, exchange: "fanout", queues: 10 },
  topic: { ...plain, exchange: "topic", bindings: 1000 },
  acks: { ...plain, ackEvery: 1 },
  // Several fit into a read, and one of them ends in the next.
  large: { ...plain, bodyBytes: 100_000, messages: 5 },
  // Comes in several frames and reads.
  huge: { ...plain, bodyBytes: 1 << 20, messages: 1 },
} as const satisfies Record<string, PathShape>;

export type PathName = keyof typeof paths;

/** Acknowledgements of what one turn brings; the tags are set each time. */
function encodeAcks({ ackEvery, messages }: PathShape): Buffer {
  const count = ackEvery === 1 ? messages : 1;
  return Buffer.concat(new Array<Buffer>(count).fill(basicAck(1, ackEvery > 1)));
}

function bindingKeys({ exchange, bindings }: PathShape): readonly string[] {
  if (exchange !== "topic") return ["key"];
  return Array.from({ length: bindings }, (_, index) => `eu.shop-${index}.order`);
}

function bodyFrames(body: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let from = 0; from < body.length; from += PAYLOAD_BYTES_MAX)
    frames.push(frame(FRAME_BODY, CHANNEL, body.subarray(from, from + PAYLOAD_BYTES_MAX)));
  return frames;
}

export class Path {
  readonly #broker: CountedBroker;
  readonly #shape: PathShape;
  readonly #publisher: CountedStream;
  readonly #consumers: CountedStream[] = [];
  readonly #acks: Buffer;
  /** What comes in a turn each, used one after the other. */
  readonly #turns: readonly Buffer[];
  #nextTurn = 0;
  /** Messages published, and what each consumer has acknowledged up to. */
  #published = 0;

  constructor(broker: CountedBroker, shape: PathShape) {
    this.#broker = broker;
    this.#shape = shape;
    this.#publisher = broker.connect();
    const { exchange, confirms } = shape;
    if (exchange !== "") broker.arrive(this.#publisher, exchangeDeclare("exchange", exchange));
    for (let index = 0; index < shape.queues; index++) this.#addQueue(`queue-${index}`);
    if (confirms) broker.arrive(this.#publisher, confirmSelect());
    this.#acks = encodeAcks(shape);
    this.#turns = this.#encodeTurns();
  }

  #addQueue(queue: string): void {
    const { persistent: durable, exchange, ackEvery, messages } = this.#shape;
    const consumer = this.#broker.connect();
    this.#consumers.push(consumer);
    this.#broker.arrive(consumer, queueDeclare(queue, { durable }));
    if (exchange === "fanout") this.#broker.arrive(consumer, queueBind(queue, "exchange", ""));
    if (exchange === "topic") {
      for (const key of bindingKeys(this.#shape))
        this.#broker.arrive(consumer, queueBind(queue, "exchange", key.replace("eu", "*")));
    }
    this.#broker.arrive(consumer, basicQos(ackEvery === 0 ? 0 : 2 * messages));
    this.#broker.arrive(consumer, basicConsume(queue, ackEvery === 0));
  }

  #encodeTurns(): Buffer[] {
    const { exchange, bodyBytes, messages: count } = this.#shape;
    const body = Buffer.alloc(bodyBytes, 7);
    const keys = exchange === "" ? ["queue-0"] : bindingKeys(this.#shape);
    const name = exchange === "" ? "" : "exchange";
    const header = contentHeader(bodyBytes, this.#properties());
    const messages = keys.map((key) =>
      Buffer.concat([basicPublish(name, key), header, ...bodyFrames(body)]),
    );
    const turns = Math.ceil(keys.length / count);
    return Array.from({ length: turns }, (_, turn) => {
      const from = turn * count;
      const of = (index: number): Buffer => messages[(from + index) % messages.length]!;
      return Buffer.concat(Array.from({ length: count }, (_, index) => of(index)));
    });
  }

  #properties(): Buffer {
    const { persistent, hasProperties } = this.#shape;
    return hasProperties ? lookedAt : properties(persistent ? "persistent" : "none", "guest");
  }

  /** A turn's messages, on their whole way. */
  round(): void {
    this.#broker.arrive(this.#publisher, this.#turns[this.#nextTurn]!, READ_BYTES);
    this.#nextTurn = (this.#nextTurn + 1) % this.#turns.length;
    const first = this.#published + 1;
    this.#published += this.#shape.messages;
    if (this.#shape.ackEvery === 0) return;
    this.#setTags(first);
    for (const consumer of this.#consumers) this.#broker.arrive(consumer, this.#acks);
  }

  #setTags(first: number): void {
    const acks = this.#acks;
    let tag = this.#shape.ackEvery === 1 ? first : this.#published;
    for (let at = TAG_AT; at < acks.length; at += ACK_BYTES) acks.writeUInt32BE(tag++, at + 4);
  }

  /** Throws unless everything published has been delivered, settled and confirmed. */
  checkDone(): void {
    const { queues, confirms, ackEvery } = this.#shape;
    const expected = this.#published * queues;
    const vhost = this.#broker.host.virtualHosts.get("/");
    let delivered = 0;
    let settled = 0;
    for (const queue of vhost.queues.all()) {
      const { counts, readyCount, unackedCount } = queue;
      delivered += counts.deliver + counts.deliverNoAck;
      settled += ackEvery === 0 ? counts.deliverNoAck : counts.ack;
      if (readyCount + unackedCount > 0) throw new Error(`${queue.name} is not empty`);
    }
    if (delivered !== expected || settled !== expected)
      throw new Error(`${delivered} delivered and ${settled} settled of ${expected}`);
    const confirmed = this.#confirmed();
    if (confirms && confirmed !== this.#published)
      throw new Error(`${confirmed} of ${this.#published} confirmed`);
  }

  #confirmed(): number {
    let confirmed = 0;
    for (const connection of this.#broker.host.connections.all())
      for (const { counts } of connection.channels()) confirmed += counts.confirm;
    return confirmed;
  }
}
