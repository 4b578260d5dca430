/** The queues and exchanges that are always there in a simulation, and where messages go in them. */
import { longstr } from "../../src/amqp/field-table.ts";
import type { SimulatedClient } from "./simulated-client.ts";

/** Where a message may be sent, and where that leads. */
export interface Route {
  readonly exchange: string;
  readonly key: string;
  readonly queues: readonly string[];
  /** How long it waits on its way. */
  readonly delayMs?: number;
}

const EVENTS = "events";
const FAN = "fan";
export const CHANGING = "changing";
const LATER = "later";
export const laterQueues = ["later1", "later2"];
/** After that what was sent through LATER has arrived. */
export const DELAY_MS = 200;
/** Holds the messages that show that what was said before them has been heard. */
export const MARKS = "marks";
/** Not durable. */
export const LOST = "lost";

export const routes: readonly Route[] = [
  { exchange: "", key: "direct1", queues: ["direct1"] },
  { exchange: "", key: "direct2", queues: ["direct2"] },
  { exchange: EVENTS, key: "event.x", queues: ["topic1", "topic2"] },
  { exchange: EVENTS, key: "event.x.y", queues: ["topic1"] },
  { exchange: FAN, key: "", queues: ["fan1", "fan2", "fan3"] },
  { exchange: "", key: "rejecting", queues: ["rejecting"] },
  { exchange: "", key: "limited", queues: ["limited"] },
  { exchange: "", key: "expiring", queues: ["expiring"] },
  { exchange: "", key: "txinput", queues: ["txinput"] },
  { exchange: LATER, key: "later1", queues: ["later1"], delayMs: DELAY_MS },
  { exchange: LATER, key: "later2", queues: ["later2"], delayMs: DELAY_MS },
];

/** Queues whose messages move on by themselves, and where to. */
export const movesOn: ReadonlyMap<string, string> = new Map([
  ["limited", "overflown"],
  ["expiring", "expired"],
]);

function deadLetters(target: string): [string, ReturnType<typeof longstr>][] {
  return [
    ["x-dead-letter-exchange", longstr("")],
    ["x-dead-letter-routing-key", longstr(target)],
  ];
}

function integer(value: number): { type: "I"; value: number } {
  return { type: "I", value };
}

/** The queues that are always there, with their arguments. */
export const fixedQueues = new Map([
  ...["direct1", "direct2", "topic1", "topic2", "fan1", "fan2", "fan3", "txinput", "tx1", "tx2"]
    .concat("dead", "overflown", "expired", laterQueues)
    .map((name) => [name, new Map()] as const),
  ["rejecting", new Map(deadLetters("dead"))],
  ["limited", new Map([...deadLetters("overflown"), ["x-max-length", integer(6)]])],
  ["expiring", new Map([...deadLetters("expired"), ["x-message-ttl", integer(900)]])],
  [MARKS, new Map([["x-max-length", integer(3)]])],
]);

/** Declares what is always there; `done` is called when all has been answered. */
export function declareFixed(client: SimulatedClient, done: () => void): void {
  const durable = true;
  for (const [queue, args] of fixedQueues)
    client.ask("queue.declare", { queue, durable, arguments: args });
  client.ask("queue.declare", { queue: LOST });
  for (const [exchange, type] of [
    [EVENTS, "topic"],
    [FAN, "fanout"],
    [CHANGING, "direct"],
  ] as const)
    client.ask("exchange.declare", { exchange, type, durable });
  client.ask("exchange.declare", {
    ...{ exchange: LATER, type: "x-delayed-message", durable },
    arguments: new Map([["x-delayed-type", longstr("direct")]]),
  });
  for (const queue of laterQueues)
    client.ask("queue.bind", { queue, exchange: LATER, routingKey: queue });
  client.ask("queue.bind", { queue: "topic1", exchange: EVENTS, routingKey: "event.#" });
  client.ask("queue.bind", { queue: "topic2", exchange: EVENTS, routingKey: "*.*" });
  client.ask("queue.bind", { queue: "fan1", exchange: FAN });
  client.ask("queue.bind", { queue: "fan2", exchange: FAN });
  client.ask("queue.bind", { queue: "fan3", exchange: FAN }, done);
}
