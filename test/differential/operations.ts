/**
 * Operations of clients, at random from a small pool of names, so that they meet each other: what is declared again
 * otherwise, deleted under its consumers, bound twice, settled twice.
 *
 * An operation is plain data and says nothing of what will come of it, so that the same sequence can be played to any
 * broker, and shortened.
 */
import type { FieldTable, FieldValue } from "../../src/amqp/field-table.ts";
import type { Random } from "../seeded.ts";

export type ArgumentValue = string | number | boolean | readonly string[];
export type Arguments = Readonly<Record<string, ArgumentValue>>;

export interface Message {
  readonly exchange: string;
  readonly routingKey: string;
  readonly mandatory: boolean;
  readonly deliveryMode: number | undefined;
  readonly priority: number | undefined;
  readonly expiration: string | undefined;
  readonly headers: Arguments | undefined;
  readonly bodyBytes: number;
}

export type Operation = { readonly channel: number } & (
  | {
      readonly kind: "declare queue";
      readonly queue: string;
      readonly flags: readonly [
        passive: boolean,
        durable: boolean,
        exclusive: boolean,
        autoDelete: boolean,
      ];
      readonly arguments: Arguments;
    }
  | {
      readonly kind: "delete queue";
      readonly queue: string;
      readonly ifUnused: boolean;
      readonly ifEmpty: boolean;
    }
  | { readonly kind: "purge"; readonly queue: string }
  | {
      readonly kind: "declare exchange";
      readonly exchange: string;
      readonly type: string;
      readonly flags: readonly [
        passive: boolean,
        durable: boolean,
        autoDelete: boolean,
        internal: boolean,
      ];
      readonly arguments: Arguments;
    }
  | { readonly kind: "delete exchange"; readonly exchange: string; readonly ifUnused: boolean }
  | {
      readonly kind: "bind" | "unbind" | "bind exchange" | "unbind exchange";
      readonly destination: string;
      readonly source: string;
      readonly routingKey: string;
      readonly arguments: Arguments;
    }
  | { readonly kind: "publish"; readonly message: Message }
  | { readonly kind: "get"; readonly queue: string; readonly noAck: boolean }
  | {
      readonly kind: "consume";
      readonly queue: string;
      readonly consumerTag: string;
      readonly noAck: boolean;
      readonly exclusive: boolean;
      readonly arguments: Arguments;
    }
  | { readonly kind: "cancel"; readonly consumerTag: string }
  | {
      readonly kind: "ack" | "nack" | "reject";
      /** Which of the outstanding deliveries, modulo their number; one that there is not, when negative. */
      readonly index: number;
      readonly multiple: boolean;
      readonly requeue: boolean;
    }
  | { readonly kind: "recover"; readonly requeue: boolean }
  | { readonly kind: "qos"; readonly count: number; readonly global: boolean }
  | { readonly kind: "tx"; readonly what: "select" | "commit" | "rollback" }
  | { readonly kind: "close channel" }
  | { readonly kind: "reconnect" }
);

/** The last one is always a quorum queue. */
export const QUEUES = ["q1", "q2", "q3", "q4", "q5"];
export const QUORUM_QUEUE = "q5";
/** Messages go by a hash of what they say in the last one. */
export const EXCHANGES = ["e1", "e2", "e3", "e4"];
const HASH_EXCHANGE = "e4";
const DEFINED = ["", "amq.direct", "amq.fanout", "amq.topic", "amq.headers"];
const TYPES = ["direct", "fanout", "topic", "headers"];
const KEYS = ["", "a", "a.b", "a.b.c", "b", "#", "a.*", "*.b.#", ...QUEUES];
/** Mostly weights. */
const HASH_KEYS = ["1", "2", "10", "3", "0", "a", ""];
const TAGS = ["c1", "c2", "c3"];
/** Two that confirm, and one that may have transactions. */
export const CHANNELS = [1, 2, 3];
const TX_CHANNEL = 3;

const queueArguments: readonly (readonly [string, readonly ArgumentValue[]])[] = [
  ["x-max-length", [0, 1, 3, -1, "3"]],
  ["x-max-length-bytes", [0, 40, 100, -5]],
  ["x-overflow", ["drop-head", "reject-publish", "reject-publish-dlx", "drop-tail"]],
  ["x-message-ttl", [0, 3_600_000, -1, "1"]],
  ["x-expires", [3_600_000, 0]],
  ["x-dead-letter-exchange", ["", "e1", "e2", "amq.fanout", "missing"]],
  ["x-dead-letter-routing-key", ["q1", "q3", "a.b"]],
  ["x-max-priority", [3, 10, 0, 300, -1]],
  ["x-single-active-consumer", [true, false]],
  ["x-queue-mode", ["lazy", "default", "eager"]],
  ["x-unknown", [1]],
];

/** Those which RabbitMQ 3.10 and 4.2 take for the same. */
const quorumArguments: typeof queueArguments = [
  ["x-max-length", [3, 5, -1, "3"]],
  ["x-dead-letter-exchange", ["", "e1", "e2", "missing"]],
  ["x-dead-letter-routing-key", ["q1", "q3", "a.b"]],
  ["x-delivery-limit", [2, 5, -5, "1"]],
  ["x-max-priority", [3]],
  ["x-unknown", [1]],
];

const exchangeArguments: readonly Arguments[] = [
  {},
  {},
  {},
  { "alternate-exchange": "e1" },
  { "alternate-exchange": "e3" },
  { "alternate-exchange": "amq.fanout" },
  { "alternate-exchange": "none" },
  { "alternate-exchange": 1 },
];

const hashArguments: readonly Arguments[] = [
  {},
  {},
  { "hash-header": "h" },
  { "hash-property": "message_id" },
  { "hash-property": "message_id", "hash-header": "h" },
  { "hash-property": "priority" },
];

const headerArguments: readonly Arguments[] = [
  {},
  { "x-match": "all", h: 1 },
  { "x-match": "any", h: 1, g: "x" },
  { "x-match": "all-with-x", "x-h": 1 },
  { "x-match": "any-with-x", "x-h": 1, h: 2 },
  { "x-match": "most" },
  { h: 1 },
  { "x-match": 1, h: 1 },
  { "x-match": "all" },
  { "x-match": "any" },
  { "x-match": "any", h: "1", g: true },
  { "x-match": "all", h: 2, g: "x", "x-h": 7 },
  { h: ["a", "b"] },
];

const messageHeaders: readonly (Arguments | undefined)[] = [
  undefined,
  undefined,
  { h: 1 },
  { h: 2, g: "x" },
  { "x-h": 1, h: 1 },
  { CC: ["q1", "a.b"], h: 1 },
  { BCC: ["q2", "q2"], CC: ["q3"] },
  { CC: "q1" },
  { h: "1", g: true },
  { h: ["a", "b"] },
  { CC: ["q5", "q1"], BCC: ["q1", "q5"] },
];

function someArguments(random: Random, queue: string): Arguments {
  const isQuorum = queue === QUORUM_QUEUE;
  // Without a limit, which is the default of 3.10, what is given back goes to the end.
  const chosen: Record<string, ArgumentValue> = isQuorum
    ? { "x-queue-type": "quorum", "x-delivery-limit": 5 }
    : {};
  while (random.chance(45)) {
    const [name, values] = random.pick(isQuorum ? quorumArguments : queueArguments);
    // The first ones are valid: mostly those.
    chosen[name] = random.chance(85) ? random.pick(values.slice(0, 2)) : random.pick(values);
  }
  return chosen;
}

function message(random: Random): Message {
  const toQueue = random.chance(50);
  return {
    exchange: toQueue
      ? ""
      : random.pick([...EXCHANGES, ...DEFINED, ...(random.chance(5) ? ["none"] : [])]),
    routingKey: toQueue ? random.pick(QUEUES) : random.pick(KEYS),
    mandatory: random.chance(25),
    deliveryMode: random.pick([undefined, 1, 2, 2]),
    // From 5 on quorum queues let it go first, since 4.0.
    priority: random.chance(30) ? random.below(5) : undefined,
    expiration: random.chance(8) ? random.pick(["0", "3600000", "x", "-1"]) : undefined,
    headers: random.pick(messageHeaders),
    // Of the last size it takes three frames.
    bodyBytes: random.chance(4) ? 300_000 : random.pick([0, 5, 30, 30]),
  };
}

type Make = (random: Random, channel: number) => Operation;

const kinds: readonly (readonly [weight: number, make: Make])[] = [
  [
    12,
    (random, channel) => {
      const queue = random.pick(QUEUES);
      return {
        ...{ kind: "declare queue", channel, queue },
        flags: [random.chance(10), random.chance(75), random.chance(8), random.chance(10)],
        arguments: someArguments(random, queue),
      };
    },
  ],
  [
    3,
    (random, channel) => ({
      ...{ kind: "delete queue", channel, queue: random.pick(QUEUES) },
      ifUnused: random.chance(25),
      ifEmpty: random.chance(25),
    }),
  ],
  [2, (random, channel) => ({ kind: "purge", channel, queue: random.pick(QUEUES) })],
  [
    6,
    (random, channel) => {
      const exchange = random.pick([...EXCHANGES, ...EXCHANGES, ...DEFINED]);
      return {
        ...{ kind: "declare exchange", channel, exchange, type: exchangeType(random, exchange) },
        flags: [random.chance(15), random.chance(70), random.chance(10), random.chance(8)],
        arguments: random.pick(exchange === HASH_EXCHANGE ? hashArguments : exchangeArguments),
      };
    },
  ],
  [
    2,
    (random, channel) => ({
      ...{ kind: "delete exchange", channel, ifUnused: random.chance(30) },
      exchange: random.pick([...EXCHANGES, ...EXCHANGES, ...DEFINED]),
    }),
  ],
  [8, (random, channel) => binding(random, channel, "bind", QUEUES)],
  [3, (random, channel) => binding(random, channel, "unbind", QUEUES)],
  [3, (random, channel) => binding(random, channel, "bind exchange", EXCHANGES)],
  [1, (random, channel) => binding(random, channel, "unbind exchange", EXCHANGES)],
  [26, (random, channel) => ({ kind: "publish", channel, message: message(random) })],
  [
    6,
    (random, channel) => ({
      kind: "get",
      channel,
      queue: random.pick(QUEUES),
      noAck: random.chance(30),
    }),
  ],
  [
    8,
    (random, channel) => ({
      ...{ kind: "consume", channel, queue: random.pick(QUEUES), consumerTag: random.pick(TAGS) },
      noAck: random.chance(25),
      exclusive: random.chance(8),
      arguments: random.chance(15) ? { "x-priority": random.pick([1, 5, -3]) } : {},
    }),
  ],
  [4, (random, channel) => ({ kind: "cancel", channel, consumerTag: random.pick(TAGS) })],
  [9, (random, channel) => settlement(random, channel, "ack")],
  [6, (random, channel) => settlement(random, channel, "nack")],
  [4, (random, channel) => settlement(random, channel, "reject")],
  [1, (random, channel) => ({ kind: "recover", channel, requeue: random.chance(95) })],
  [
    4,
    (random, channel) => ({
      ...{ kind: "qos", channel, count: random.pick([0, 1, 2, 5]) },
      global: random.chance(25),
    }),
  ],
  [
    4,
    (random) => ({
      kind: "tx",
      channel: TX_CHANNEL,
      what: random.pick(["select", "commit", "commit", "rollback"]),
    }),
  ],
  [2, (_, channel) => ({ kind: "close channel", channel })],
  [1, () => ({ kind: "reconnect", channel: 1 })],
];

function binding(
  random: Random,
  channel: number,
  kind: "bind" | "unbind" | "bind exchange" | "unbind exchange",
  destinations: readonly string[],
): Operation {
  const source = random.pick([...EXCHANGES, ...EXCHANGES, ...DEFINED]);
  return {
    ...{ kind, channel, destination: random.pick(destinations), source },
    routingKey: random.pick(source === HASH_EXCHANGE ? HASH_KEYS : KEYS),
    arguments: random.chance(30) ? random.pick(headerArguments) : {},
  };
}

function settlement(random: Random, channel: number, kind: "ack" | "nack" | "reject"): Operation {
  const index = random.chance(3) ? -1 : random.below(8);
  return { kind, channel, index, multiple: random.chance(25), requeue: random.chance(60) };
}

function exchangeType(random: Random, exchange: string): string {
  if (exchange === HASH_EXCHANGE) return "x-consistent-hash";
  return random.pick(TYPES);
}

/** A sequence of operations; it begins with some queues, so that the rest has something to work on. */
export function sequence(random: Random, length: number): Operation[] {
  const total = kinds.reduce((sum, [weight]) => sum + weight, 0);
  const operations: Operation[] = ["q1", "q2", QUORUM_QUEUE].map((queue) => ({
    ...{ kind: "declare queue", channel: 1, queue },
    flags: [false, true, false, false],
    arguments: queue === QUORUM_QUEUE || random.chance(50) ? someArguments(random, queue) : {},
  }));
  for (const exchange of ["e1", "e2", HASH_EXCHANGE]) {
    const args = random.chance(20) ? { "alternate-exchange": "amq.fanout" } : {};
    const type = exchangeType(random, exchange);
    operations.push({
      ...{ kind: "declare exchange", channel: 1, exchange, type },
      ...{ flags: [false, true, false, false], arguments: args },
    });
  }
  while (operations.length < length) {
    let choice = random.below(total);
    const [, make] = kinds.find(([weight]) => {
      choice -= weight;
      return choice < 0;
    })!;
    operations.push(make(random, random.pick(CHANNELS)));
  }
  return operations;
}

/** Arguments on the wire: integers as 32 bits. */
export function table(values: Arguments): FieldTable {
  return new Map(Object.entries(values).map(([key, value]) => [key, fieldValue(value)]));
}

function fieldValue(value: ArgumentValue): FieldValue {
  if (typeof value === "number") return { type: "I", value };
  if (typeof value === "boolean") return { type: "t", value };
  if (typeof value === "string") return { type: "S", value: Buffer.from(value) };
  return { type: "A", value: value.map(fieldValue) };
}
