/**
 * The rows of the benchmark. One more row is one more entry in this table; one more kind of
 * row is a scenario and a line in scenarios.ts.
 */

import type { PropertyKind } from "./properties.ts";

interface RowBase {
  readonly id: string;
  /** What is measured, as the result table tells it. */
  readonly title: string;
  /** What is counted, in the plural. */
  readonly unit: string;
  /** Start the broker anew for every repetition: its memory is part of the result. */
  readonly freshBroker?: boolean;
  /** For rows that take long and vary little. */
  readonly repetitionsMax?: number;
}

/** Messages from publishers through queues to consumers; see lane.ts. */
export interface FlowShape extends RowBase {
  readonly bodyBytes: number;
  readonly properties: PropertyKind;
  readonly durable: boolean;
  /** 0: no-ack; 1: one by one; more: that many with `multiple`. */
  readonly ackEvery: number;
  /** 0 is without a limit. */
  readonly prefetch: number;
  /** Unconfirmed messages at most; 0 is without confirms. */
  readonly confirmWindow: number;
  readonly exchange: "default" | "direct" | "fanout" | "topic";
  /** Queues each message goes to, each consumed on a connection of its own. */
  readonly queues: number;
  /** Queues that messages go to in turn through the default exchange, all consumed on one connection. */
  readonly queuesInTurn: number;
  readonly consumersPerQueue: number;
  /** Keys that a direct exchange or patterns that a topic exchange is bound with; each is used in turn. */
  readonly bindings: number;
  /** Messages that wait in the queue all the time: the consumer holds back acknowledgements for that. */
  readonly backlog: number;
  /** Independent publishers, each with queues and consumers of its own. */
  readonly lanes: number;
}

export interface FlowRow extends FlowShape {
  readonly kind: "flow";
}

/** A fixed rate instead of as fast as possible: what counts is the latency. */
export interface SteadyRow extends FlowShape {
  readonly kind: "steady";
  readonly messagesPerSecond: number;
}

/** Fills a queue nobody consumes, then drains it. */
export interface FillRow extends RowBase {
  readonly kind: "fill";
  readonly messages: number;
  readonly bodyBytes: number;
  readonly confirmWindow: number;
  readonly properties: PropertyKind;
  readonly durable: boolean;
}

/** Request and reply with one outstanding. */
export interface RpcRow extends RowBase {
  readonly kind: "rpc";
  readonly bodyBytes: number;
}

/** basic.get and its acknowledgement, one after the other. */
export interface GetRow extends RowBase {
  readonly kind: "get";
  readonly messages: number;
  readonly bodyBytes: number;
}

/** Connect, open a channel, close both, again. */
export interface ChurnRow extends RowBase {
  readonly kind: "churn";
}

/** Connections that do nothing: what they cost in memory. */
export interface IdleRow extends RowBase {
  readonly kind: "idle";
  readonly connections: number;
}

/** Queues declared, bound and deleted. */
export interface DeclareRow extends RowBase {
  readonly kind: "declare";
  readonly queues: number;
}

/** Started again over a queue with messages, or over nothing. */
export interface RestartRow extends RowBase {
  readonly kind: "restart";
  readonly messages: number;
  readonly bodyBytes: number;
  readonly confirmWindow: number;
}

export type Row =
  | FlowRow
  | SteadyRow
  | FillRow
  | RpcRow
  | GetRow
  | ChurnRow
  | IdleRow
  | RestartRow
  | DeclareRow;

/** The plainest flow there is; rows say what they do differently. */
export const plain = {
  kind: "flow",
  unit: "messages",
  bodyBytes: 16,
  properties: "none",
  durable: false,
  ackEvery: 0,
  prefetch: 0,
  confirmWindow: 0,
  exchange: "default",
  queues: 1,
  queuesInTurn: 1,
  consumersPerQueue: 1,
  bindings: 0,
  backlog: 0,
  lanes: 1,
} as const;

/** Confirmed and acknowledged. */
export const confirmed = { ...plain, confirmWindow: 1000, ackEvery: 500, prefetch: 1000 } as const;
const topic = { ...plain, exchange: "topic" } as const;
const persistent = { ...confirmed, properties: "persistent", durable: true } as const;

/** A backlog on the disk. */
const backlog = {
  kind: "fill",
  unit: "messages filled",
  confirmWindow: 1000,
  properties: "persistent",
  durable: true,
  freshBroker: true,
  repetitionsMax: 1,
} as const;

const restart = {
  kind: "restart",
  unit: "starts",
  bodyBytes: 100,
  confirmWindow: 1000,
  freshBroker: true,
} as const;

export const rows: readonly Row[] = [
  { ...plain, id: "A", title: "transient, auto-ack, 16 B" },
  { ...plain, id: "B", title: "transient, auto-ack, 1 KiB", bodyBytes: 1024 },
  { ...plain, id: "C", title: "transient, auto-ack, 64 KiB", bodyBytes: 64 * 1024 },
  { ...plain, id: "D", title: "transient, auto-ack, 1 MiB", bodyBytes: 1024 * 1024 },
  { ...plain, id: "E", title: "16 B with all 14 properties and 5 headers", properties: "all" },
  { ...plain, id: "F", title: "manual ack one by one, prefetch 200", ackEvery: 1, prefetch: 200 },
  { ...confirmed, id: "G", title: "transient, confirms (window 1000), ack every 500" },
  { ...persistent, id: "H", title: "persistent, confirms (window 1000), ack every 500, 16 B" },
  { ...persistent, id: "I", title: "the same with 1 KiB", bodyBytes: 1024 },
  {
    ...persistent,
    id: "J",
    title: "the same with 64 KiB, window 100",
    bodyBytes: 64 * 1024,
    confirmWindow: 100,
    ackEvery: 50,
    prefetch: 100,
  },
  {
    ...persistent,
    id: "K",
    title: "persistent, one confirm at a time, 16 B",
    confirmWindow: 1,
    ackEvery: 1,
  },
  { ...plain, id: "L", title: "4 producers, 4 queues, 4 consumers", lanes: 4 },
  {
    ...plain,
    id: "M",
    title: "fan-out to 10 queues",
    unit: "deliveries",
    exchange: "fanout",
    queues: 10,
  },
  {
    ...topic,
    id: "N1",
    title: "topic exchange with 100 wildcard bindings",
    bindings: 100,
  },
  { ...topic, id: "N", title: "with 1,000 wildcard bindings", bindings: 1000 },
  { ...topic, id: "N2", title: "with 10,000 wildcard bindings", bindings: 10_000 },
  {
    kind: "fill",
    id: "O",
    title: "fill a queue with 1 million transient messages of 16 B, then drain it",
    unit: "messages filled",
    messages: 1_000_000,
    bodyBytes: 16,
    confirmWindow: 1000,
    properties: "none",
    durable: false,
    freshBroker: true,
    repetitionsMax: 1,
  },
  {
    ...backlog,
    id: "O2",
    title: "fill a durable queue with 1 million persistent messages of 100 B, then drain it",
    messages: 1_000_000,
    bodyBytes: 100,
  },
  {
    ...backlog,
    id: "O3",
    title: "fill a durable queue with 500,000 persistent messages of 1 KiB, then drain it",
    messages: 500_000,
    bodyBytes: 1024,
  },
  {
    ...backlog,
    id: "O4",
    title: "fill a durable queue with 10,000 persistent messages of 64 KiB, then drain it",
    messages: 10_000,
    bodyBytes: 64 * 1024,
    confirmWindow: 100,
  },
  {
    kind: "rpc",
    id: "P",
    title: "request and reply, one outstanding",
    unit: "round trips",
    bodyBytes: 16,
  },
  {
    kind: "get",
    id: "P2",
    title: "basic.get and ack, one at a time",
    unit: "gets",
    messages: 100_000,
    bodyBytes: 16,
  },
  {
    ...plain,
    kind: "steady",
    id: "Q",
    title: "a steady 5,000 messages a second",
    messagesPerSecond: 5000,
  },
  { kind: "churn", id: "R", title: "connect, open a channel, close", unit: "connections" },
  {
    kind: "idle",
    id: "S",
    title: "1,000 idle connections with a channel",
    unit: "connections opened",
    connections: 1000,
    freshBroker: true,
  },
  { ...restart, id: "T", title: "start to serving, with nothing kept", messages: 0 },
  {
    ...restart,
    id: "U",
    title: "start to serving, with 1 million persistent messages of 100 B",
    messages: 1_000_000,
    repetitionsMax: 1,
  },
  {
    kind: "declare",
    id: "V",
    title: "declare, bind and delete 500 queues",
    unit: "queues declared",
    queues: 500,
  },
];
