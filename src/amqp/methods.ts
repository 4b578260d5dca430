/**
 * The methods of AMQP 0-9-1 with RabbitMQ's extensions: the one place where their ids and fields are written.
 *
 * Names are the specification's, fields stand in the order of the wire. Types of arguments, the union of all methods
 * and the generic codec (method-codec.ts) are derived from this table. Fields that the specification calls reserved
 * keep their place under `reserved1`, `reserved2`.
 */

import type { FieldTable } from "./field-table.ts";

/** A field's type on the wire, and below it the type in memory. */
export type FieldType =
  | "bit"
  | "octet"
  | "short"
  | "long"
  | "longlong"
  | "shortstr"
  | "longstr"
  | "table";

interface FieldValues {
  bit: boolean;
  octet: number;
  short: number;
  long: number;
  /** A number: exact up to 2^53, which no delivery tag reaches. */
  longlong: number;
  shortstr: string;
  longstr: Buffer;
  table: FieldTable;
}

interface MethodShape {
  readonly id: readonly [classId: number, methodId: number];
  /** Who may send it. */
  readonly from: "client" | "server" | "both";
  readonly fields: Readonly<Record<string, FieldType>>;
}

export const methods = {
  "connection.start": {
    id: [10, 10],
    from: "server",
    fields: {
      versionMajor: "octet",
      versionMinor: "octet",
      serverProperties: "table",
      mechanisms: "longstr",
      locales: "longstr",
    },
  },
  "connection.start-ok": {
    id: [10, 11],
    from: "client",
    fields: {
      clientProperties: "table",
      mechanism: "shortstr",
      response: "longstr",
      locale: "shortstr",
    },
  },
  "connection.secure": { id: [10, 20], from: "server", fields: { challenge: "longstr" } },
  "connection.secure-ok": { id: [10, 21], from: "client", fields: { response: "longstr" } },
  "connection.tune": {
    id: [10, 30],
    from: "server",
    fields: { channelMax: "short", frameMax: "long", heartbeat: "short" },
  },
  "connection.tune-ok": {
    id: [10, 31],
    from: "client",
    fields: { channelMax: "short", frameMax: "long", heartbeat: "short" },
  },
  "connection.open": {
    id: [10, 40],
    from: "client",
    fields: { virtualHost: "shortstr", reserved1: "shortstr", reserved2: "bit" },
  },
  "connection.open-ok": { id: [10, 41], from: "server", fields: { knownHosts: "shortstr" } },
  "connection.close": {
    id: [10, 50],
    from: "both",
    fields: { replyCode: "short", replyText: "shortstr", classId: "short", methodId: "short" },
  },
  "connection.close-ok": { id: [10, 51], from: "both", fields: {} },
  "connection.blocked": { id: [10, 60], from: "server", fields: { reason: "shortstr" } },
  "connection.unblocked": { id: [10, 61], from: "server", fields: {} },
  "connection.update-secret": {
    id: [10, 70],
    from: "client",
    fields: { newSecret: "longstr", reason: "shortstr" },
  },
  "connection.update-secret-ok": { id: [10, 71], from: "server", fields: {} },

  "channel.open": { id: [20, 10], from: "client", fields: { reserved1: "shortstr" } },
  "channel.open-ok": { id: [20, 11], from: "server", fields: { channelId: "longstr" } },
  "channel.flow": { id: [20, 20], from: "both", fields: { active: "bit" } },
  "channel.flow-ok": { id: [20, 21], from: "both", fields: { active: "bit" } },
  "channel.close": {
    id: [20, 40],
    from: "both",
    fields: { replyCode: "short", replyText: "shortstr", classId: "short", methodId: "short" },
  },
  "channel.close-ok": { id: [20, 41], from: "both", fields: {} },

  "access.request": {
    id: [30, 10],
    from: "client",
    fields: {
      realm: "shortstr",
      exclusive: "bit",
      passive: "bit",
      active: "bit",
      write: "bit",
      read: "bit",
    },
  },
  "access.request-ok": { id: [30, 11], from: "server", fields: { ticket: "short" } },

  "exchange.declare": {
    id: [40, 10],
    from: "client",
    fields: {
      reserved1: "short",
      exchange: "shortstr",
      type: "shortstr",
      passive: "bit",
      durable: "bit",
      autoDelete: "bit",
      internal: "bit",
      noWait: "bit",
      arguments: "table",
    },
  },
  "exchange.declare-ok": { id: [40, 11], from: "server", fields: {} },
  "exchange.delete": {
    id: [40, 20],
    from: "client",
    fields: { reserved1: "short", exchange: "shortstr", ifUnused: "bit", noWait: "bit" },
  },
  "exchange.delete-ok": { id: [40, 21], from: "server", fields: {} },
  "exchange.bind": {
    id: [40, 30],
    from: "client",
    fields: {
      reserved1: "short",
      destination: "shortstr",
      source: "shortstr",
      routingKey: "shortstr",
      noWait: "bit",
      arguments: "table",
    },
  },
  "exchange.bind-ok": { id: [40, 31], from: "server", fields: {} },
  "exchange.unbind": {
    id: [40, 40],
    from: "client",
    fields: {
      reserved1: "short",
      destination: "shortstr",
      source: "shortstr",
      routingKey: "shortstr",
      noWait: "bit",
      arguments: "table",
    },
  },
  // 51, not 41 [RabbitMQ].
  "exchange.unbind-ok": { id: [40, 51], from: "server", fields: {} },

  "queue.declare": {
    id: [50, 10],
    from: "client",
    fields: {
      reserved1: "short",
      queue: "shortstr",
      passive: "bit",
      durable: "bit",
      exclusive: "bit",
      autoDelete: "bit",
      noWait: "bit",
      arguments: "table",
    },
  },
  "queue.declare-ok": {
    id: [50, 11],
    from: "server",
    fields: { queue: "shortstr", messageCount: "long", consumerCount: "long" },
  },
  "queue.bind": {
    id: [50, 20],
    from: "client",
    fields: {
      reserved1: "short",
      queue: "shortstr",
      exchange: "shortstr",
      routingKey: "shortstr",
      noWait: "bit",
      arguments: "table",
    },
  },
  "queue.bind-ok": { id: [50, 21], from: "server", fields: {} },
  "queue.purge": {
    id: [50, 30],
    from: "client",
    fields: { reserved1: "short", queue: "shortstr", noWait: "bit" },
  },
  "queue.purge-ok": { id: [50, 31], from: "server", fields: { messageCount: "long" } },
  "queue.delete": {
    id: [50, 40],
    from: "client",
    fields: {
      reserved1: "short",
      queue: "shortstr",
      ifUnused: "bit",
      ifEmpty: "bit",
      noWait: "bit",
    },
  },
  "queue.delete-ok": { id: [50, 41], from: "server", fields: { messageCount: "long" } },
  // It has no noWait bit.
  "queue.unbind": {
    id: [50, 50],
    from: "client",
    fields: {
      reserved1: "short",
      queue: "shortstr",
      exchange: "shortstr",
      routingKey: "shortstr",
      arguments: "table",
    },
  },
  "queue.unbind-ok": { id: [50, 51], from: "server", fields: {} },

  "basic.qos": {
    id: [60, 10],
    from: "client",
    fields: { prefetchSize: "long", prefetchCount: "short", global: "bit" },
  },
  "basic.qos-ok": { id: [60, 11], from: "server", fields: {} },
  "basic.consume": {
    id: [60, 20],
    from: "client",
    fields: {
      reserved1: "short",
      queue: "shortstr",
      consumerTag: "shortstr",
      noLocal: "bit",
      noAck: "bit",
      exclusive: "bit",
      noWait: "bit",
      arguments: "table",
    },
  },
  "basic.consume-ok": { id: [60, 21], from: "server", fields: { consumerTag: "shortstr" } },
  "basic.cancel": {
    id: [60, 30],
    from: "both",
    fields: { consumerTag: "shortstr", noWait: "bit" },
  },
  "basic.cancel-ok": { id: [60, 31], from: "both", fields: { consumerTag: "shortstr" } },
  "basic.publish": {
    id: [60, 40],
    from: "client",
    fields: {
      reserved1: "short",
      exchange: "shortstr",
      routingKey: "shortstr",
      mandatory: "bit",
      immediate: "bit",
    },
  },
  "basic.return": {
    id: [60, 50],
    from: "server",
    fields: {
      replyCode: "short",
      replyText: "shortstr",
      exchange: "shortstr",
      routingKey: "shortstr",
    },
  },
  "basic.deliver": {
    id: [60, 60],
    from: "server",
    fields: {
      consumerTag: "shortstr",
      deliveryTag: "longlong",
      redelivered: "bit",
      exchange: "shortstr",
      routingKey: "shortstr",
    },
  },
  "basic.get": {
    id: [60, 70],
    from: "client",
    fields: { reserved1: "short", queue: "shortstr", noAck: "bit" },
  },
  "basic.get-ok": {
    id: [60, 71],
    from: "server",
    fields: {
      deliveryTag: "longlong",
      redelivered: "bit",
      exchange: "shortstr",
      routingKey: "shortstr",
      messageCount: "long",
    },
  },
  "basic.get-empty": { id: [60, 72], from: "server", fields: { clusterId: "shortstr" } },
  "basic.ack": { id: [60, 80], from: "both", fields: { deliveryTag: "longlong", multiple: "bit" } },
  "basic.reject": {
    id: [60, 90],
    from: "client",
    fields: { deliveryTag: "longlong", requeue: "bit" },
  },
  "basic.recover-async": { id: [60, 100], from: "client", fields: { requeue: "bit" } },
  "basic.recover": { id: [60, 110], from: "client", fields: { requeue: "bit" } },
  "basic.recover-ok": { id: [60, 111], from: "server", fields: {} },
  "basic.nack": {
    id: [60, 120],
    from: "both",
    fields: { deliveryTag: "longlong", multiple: "bit", requeue: "bit" },
  },

  "confirm.select": { id: [85, 10], from: "client", fields: { noWait: "bit" } },
  "confirm.select-ok": { id: [85, 11], from: "server", fields: {} },

  "tx.select": { id: [90, 10], from: "client", fields: {} },
  "tx.select-ok": { id: [90, 11], from: "server", fields: {} },
  "tx.commit": { id: [90, 20], from: "client", fields: {} },
  "tx.commit-ok": { id: [90, 21], from: "server", fields: {} },
  "tx.rollback": { id: [90, 30], from: "client", fields: {} },
  "tx.rollback-ok": { id: [90, 31], from: "server", fields: {} },
} as const satisfies Record<string, MethodShape>;

export type MethodName = keyof typeof methods;

/** The arguments of a method, by field name. */
export type MethodArguments<Name extends MethodName> = {
  -readonly [Field in keyof (typeof methods)[Name]["fields"]]: FieldValues[(typeof methods)[Name]["fields"][Field] &
    FieldType];
};

/** A decoded method: `{ name, arguments }`, discriminated by `name`. */
export type Method = {
  [Name in MethodName]: { readonly name: Name; readonly arguments: MethodArguments<Name> };
}[MethodName];

/** The methods that a client may send. */
export type ClientMethodName = {
  [Name in MethodName]: (typeof methods)[Name]["from"] extends "server" ? never : Name;
}[MethodName];

/** Class and method id in one number, as in the first four bytes of a method frame's payload. */
export function methodKey(classId: number, methodId: number): number {
  return (classId << 16) | methodId;
}

const namesByKey = new Map<number, MethodName>(
  Object.entries(methods).map(([name, { id }]) => [methodKey(id[0], id[1]), name as MethodName]),
);

/** The method's name, or undefined when there is no such method. */
export function methodName(classId: number, methodId: number): MethodName | undefined {
  return namesByKey.get(methodKey(classId, methodId));
}
