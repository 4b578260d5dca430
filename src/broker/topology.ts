/**
 * What outlives the process besides messages: durable exchanges and queues and the bindings between them.
 *
 * Every change is an entry of a log; reading the entries in order makes what exists. Field tables are kept as the bytes of
 * the wire, so that types survive.
 */

import { ByteReader } from "../amqp/byte-reader.ts";
import { ByteWriter } from "../amqp/byte-writer.ts";
import { type FieldTable, readTable, writeTable } from "../amqp/field-table.ts";
import type { Destination, Exchange } from "../exchange/exchange.ts";
import { DelayedMessages } from "../queue/delayed-messages.ts";
import type { Queue } from "../queue/queue.ts";

/** A table as base64. */
type EncodedTable = string;

export type TopologyEntry =
  | {
      op: "queue";
      vhost: string;
      id: number;
      name: string;
      autoDelete: boolean;
      arguments: EncodedTable;
    }
  | { op: "delete-queue"; vhost: string; name: string }
  | {
      op: "exchange";
      vhost: string;
      name: string;
      type: string;
      autoDelete: boolean;
      internal: boolean;
      arguments: EncodedTable;
      /** The id under which the journal knows the messages that wait in it. */
      shelfId?: number;
    }
  | { op: "delete-exchange"; vhost: string; name: string }
  | {
      op: "bind" | "unbind";
      vhost: string;
      source: string;
      kind: "queue" | "exchange";
      destination: string;
      routingKey: string;
      arguments: EncodedTable;
    }
  /** Ids below it have been given out in this virtual host. */
  | { op: "ids"; vhost: string; next: number };

export function encodeTable(table: FieldTable): EncodedTable {
  const writer = new ByteWriter();
  writeTable(writer, table);
  return writer.bytes().toString("base64");
}

export function decodeTable(encoded: EncodedTable): FieldTable {
  return readTable(new ByteReader(Buffer.from(encoded, "base64")));
}

/** Told of every change to what is durable: declared here, implemented by the broker's log of them. */
export interface TopologyRecorder {
  /** To be called before the change is made. Throws when the change cannot be kept: then it must not be made. */
  record(entry: TopologyEntry): void;
  /** A change that nobody has asked for, so that nobody can be refused. Never throws. */
  note(entry: TopologyEntry): void;
}

/** Keeps nothing: a broker in memory, or one that is just reading its log. */
export const forgetful: TopologyRecorder = { record: () => undefined, note: () => undefined };

export function queueEntry(
  vhost: string,
  queue: Pick<Queue, "id" | "name" | "autoDelete" | "arguments">,
): TopologyEntry {
  const { id, name, autoDelete, arguments: args } = queue;
  return { op: "queue", vhost, id, name, autoDelete, arguments: encodeTable(args) };
}

export function exchangeEntry(vhost: string, exchange: Exchange): TopologyEntry {
  const { name, autoDelete, internal, arguments: args, shelf } = exchange;
  return {
    op: "exchange",
    vhost,
    name,
    type: exchange.type.name,
    autoDelete,
    internal,
    arguments: encodeTable(args),
    ...(shelf instanceof DelayedMessages && { shelfId: shelf.id }),
  };
}

/** The two ends and what connects them, as a binding or a request for one has it. */
export interface BindingEnds {
  readonly source: string;
  readonly destination: Destination;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

export function bindingEntry(
  op: "bind" | "unbind",
  vhost: string,
  ends: BindingEnds,
): TopologyEntry {
  const { source, destination, routingKey, arguments: args } = ends;
  return {
    op,
    vhost,
    source,
    kind: destination.kind === "queue" ? "queue" : "exchange",
    destination: destination.name,
    routingKey,
    arguments: encodeTable(args),
  };
}
