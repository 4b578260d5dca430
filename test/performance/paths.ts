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
import { FRAME_BODY, FRAME_HEADER_BYTES, frame } from "../../bench/wire.ts";
import type { CountedBroker, CountedStream } from "./counted-broker.ts";

/** What comes in one read of a socket: 16-byte messages fill 64 KiB with a few hundred. */
export const MESSAGES_A_READ = 500;
const BODY = Buffer.alloc(16, 7);
/** Of a basic.ack frame: where its delivery tag is. */
const TAG_AT = FRAME_HEADER_BYTES + 4;
const ACK_BYTES = basicAck(1, false).length;

interface PathShape {
  readonly persistent: boolean;
  readonly confirms: boolean;
  /** 0: no acknowledgements; 1: one by one; else all of a read with `multiple`. */
  readonly ackEvery: number;
  readonly exchange: "" | "fanout" | "topic";
  readonly queues: number;
  readonly bindings: number;
}

const plain: PathShape = {
  persistent: false,
  confirms: false,
  ackEvery: 0,
  exchange: "",
  queues: 1,
  bindings: 1,
};

export const paths = {
  transient: plain,
  persistent: { ...plain, persistent: true, confirms: true, ackEvery: MESSAGES_A_READ },
  "fan-out": { ...plain, exchange: "fanout", queues: 10 },
  topic: { ...plain, exchange: "topic", bindings: 1000 },
  acks: { ...plain, ackEvery: 1 },
} as const satisfies Record<string, PathShape>;

export type PathName = keyof typeof paths;

/** Acknowledgements of what one read brings; the tags are set each time. */
function encodeAcks({ ackEvery }: PathShape): Buffer {
  const count = ackEvery === 1 ? MESSAGES_A_READ : 1;
  return Buffer.concat(new Array<Buffer>(count).fill(basicAck(1, ackEvery > 1)));
}

function bindingKeys({ exchange, bindings }: PathShape): readonly string[] {
  if (exchange !== "topic") return ["key"];
  return Array.from({ length: bindings }, (_, index) => `eu.shop-${index}.order`);
}

export class Path {
  readonly #broker: CountedBroker;
  readonly #shape: PathShape;
  readonly #publisher: CountedStream;
  readonly #consumers: CountedStream[] = [];
  readonly #acks: Buffer;
  /** Reads full of messages, used in turn. */
  readonly #reads: readonly Buffer[];
  #nextRead = 0;
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
    this.#reads = this.#encodeReads();
  }

  #addQueue(queue: string): void {
    const { persistent: durable, exchange, ackEvery } = this.#shape;
    const consumer = this.#broker.connect();
    this.#consumers.push(consumer);
    this.#broker.arrive(consumer, queueDeclare(queue, { durable }));
    if (exchange === "fanout") this.#broker.arrive(consumer, queueBind(queue, "exchange", ""));
    if (exchange === "topic") {
      for (const key of bindingKeys(this.#shape))
        this.#broker.arrive(consumer, queueBind(queue, "exchange", key.replace("eu", "*")));
    }
    this.#broker.arrive(consumer, basicQos(ackEvery === 0 ? 0 : 2 * MESSAGES_A_READ));
    this.#broker.arrive(consumer, basicConsume(queue, ackEvery === 0));
  }

  #encodeReads(): Buffer[] {
    const { exchange, persistent } = this.#shape;
    const keys = exchange === "" ? ["queue-0"] : bindingKeys(this.#shape);
    const name = exchange === "" ? "" : "exchange";
    const header = contentHeader(
      BODY.length,
      properties(persistent ? "persistent" : "none", "guest"),
    );
    const messages = keys.map((key) =>
      Buffer.concat([basicPublish(name, key), header, frame(FRAME_BODY, CHANNEL, BODY)]),
    );
    const reads = Math.ceil(keys.length / MESSAGES_A_READ);
    return Array.from({ length: reads }, (_, read) => {
      const from = read * MESSAGES_A_READ;
      const of = (index: number): Buffer => messages[(from + index) % messages.length]!;
      return Buffer.concat(Array.from({ length: MESSAGES_A_READ }, (_, index) => of(index)));
    });
  }

  /** One read of messages, on their whole way; throws when they have not gone it. */
  round(): void {
    this.#broker.arrive(this.#publisher, this.#reads[this.#nextRead]!);
    this.#nextRead = (this.#nextRead + 1) % this.#reads.length;
    const first = this.#published + 1;
    this.#published += MESSAGES_A_READ;
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
