/** Makes what the log of the topology says, entry by entry. */

import type { Destination } from "../exchange/exchange.ts";
import type { Queue } from "../queue/queue.ts";
import type { Exchanges } from "./exchanges.ts";
import type { Queues } from "./queues.ts";
import { decodeTable, type TopologyEntry } from "./topology.ts";

type BindingEntry = Extract<TopologyEntry, { op: "bind" | "unbind" }>;

/** What an entry refers to may have gone already, as an auto-delete exchange with its last binding: then nothing is done. */
export function restoreEntry(
  exchanges: Exchanges,
  queues: Queues,
  entry: TopologyEntry,
  removeQueue: (queue: Queue) => void,
): void {
  switch (entry.op) {
    case "ids":
      queues.reserveIds(entry.next);
      break;
    case "queue":
      queues.restore(entry.id, entry.name, entry.autoDelete, decodeTable(entry.arguments));
      exchanges.generation++;
      break;
    case "delete-queue": {
      const queue = queues.find(entry.name);
      if (queue !== undefined) removeQueue(queue);
      break;
    }
    case "exchange":
      exchanges.declare({ ...entry, durable: true, arguments: decodeTable(entry.arguments) });
      break;
    case "delete-exchange":
      exchanges.delete(entry.name, false);
      break;
    default:
      restoreBinding(exchanges, queues, entry);
  }
}

function restoreBinding(exchanges: Exchanges, queues: Queues, entry: BindingEntry): void {
  const destination: Destination | undefined =
    entry.kind === "queue" ? queues.find(entry.destination) : exchanges.find(entry.destination);
  if (destination === undefined || exchanges.find(entry.source) === undefined) return;
  const args = decodeTable(entry.arguments);
  if (entry.op === "bind") exchanges.bind(entry.source, destination, entry.routingKey, args);
  else exchanges.unbind(entry.source, destination, entry.routingKey, args);
}
