/** The method table against the specification's ids, and each method's bytes against encodings made by hand. */
import { describe, expect, test } from "vitest";
import { ByteWriter } from "../../src/amqp/byte-writer.ts";
import { type FieldTable, longstr } from "../../src/amqp/field-table.ts";
import { decodeMethod, encodeMethod } from "../../src/amqp/method-codec.ts";
import {
  type MethodArguments,
  type MethodName,
  methodKey,
  methodName,
  methods,
} from "../../src/amqp/methods.ts";
import { table, wire } from "./wire.ts";

/** AMQP 0-9-1 and RabbitMQ's extensions to it: class ids, and the ids of their methods. */
const specification: Record<string, [classId: number, methodIds: Record<string, number>]> = {
  connection: [
    10,
    {
      start: 10,
      "start-ok": 11,
      secure: 20,
      "secure-ok": 21,
      tune: 30,
      "tune-ok": 31,
      open: 40,
      "open-ok": 41,
      close: 50,
      "close-ok": 51,
      blocked: 60,
      unblocked: 61,
      "update-secret": 70,
      "update-secret-ok": 71,
    },
  ],
  channel: [20, { open: 10, "open-ok": 11, flow: 20, "flow-ok": 21, close: 40, "close-ok": 41 }],
  access: [30, { request: 10, "request-ok": 11 }],
  exchange: [
    40,
    {
      declare: 10,
      "declare-ok": 11,
      delete: 20,
      "delete-ok": 21,
      bind: 30,
      "bind-ok": 31,
      unbind: 40,
      "unbind-ok": 51,
    },
  ],
  queue: [
    50,
    {
      declare: 10,
      "declare-ok": 11,
      bind: 20,
      "bind-ok": 21,
      purge: 30,
      "purge-ok": 31,
      delete: 40,
      "delete-ok": 41,
      unbind: 50,
      "unbind-ok": 51,
    },
  ],
  basic: [
    60,
    {
      qos: 10,
      "qos-ok": 11,
      consume: 20,
      "consume-ok": 21,
      cancel: 30,
      "cancel-ok": 31,
      publish: 40,
      return: 50,
      deliver: 60,
      get: 70,
      "get-ok": 71,
      "get-empty": 72,
      ack: 80,
      reject: 90,
      "recover-async": 100,
      recover: 110,
      "recover-ok": 111,
      nack: 120,
    },
  ],
  confirm: [85, { select: 10, "select-ok": 11 }],
  tx: [
    90,
    {
      select: 10,
      "select-ok": 11,
      commit: 20,
      "commit-ok": 21,
      rollback: 30,
      "rollback-ok": 31,
    },
  ],
};

const names = Object.keys(methods) as MethodName[];

describe("the method table", () => {
  test("has the specification's methods under the specification's ids, and no others", () => {
    const specified = Object.entries(specification).flatMap(([className, [classId, ids]]) =>
      Object.entries(ids).map(([method, id]) => [`${className}.${method}`, [classId, id]]),
    );
    const inTable = Object.entries(methods).map(([name, { id }]) => [name, id]);
    expect(Object.fromEntries(inTable)).toEqual(Object.fromEntries(specified));
    expect(names).toHaveLength(66);
  });

  test("gives every method an id of its own, by which it is found", () => {
    const ids: Record<string, readonly [number, number]> = Object.fromEntries(
      names.map((name) => [name, methods[name].id]),
    );
    expect(new Set(Object.values(ids).map((id) => methodKey(...id))).size).toBe(66);
    for (const [name, id] of Object.entries(ids)) expect(methodName(...id)).toBe(name);
  });

  test("finds nothing under ids that no method has", () => {
    expect(methodName(40, 41)).toBeUndefined();
    expect(methodName(60, 0)).toBeUndefined();
    expect(methodName(0, 0)).toBeUndefined();
    expect(methodName(0xffff, 0xffff)).toBeUndefined();
  });

  test("numbers exchange.unbind-ok 51 and gives queue.unbind no noWait, as RabbitMQ does", () => {
    expect(methods["exchange.unbind-ok"].id).toEqual([40, 51]);
    expect(Object.keys(methods["queue.unbind"].fields)).not.toContain("noWait");
    expect(Object.keys(methods["exchange.unbind"].fields)).toContain("noWait");
  });

  test("lets every answer come from the side that is asked", () => {
    for (const name of names) {
      const asked = methods[name.replace(/-ok$/, "") as MethodName]?.from;
      if (!name.endsWith("-ok") || asked === "both") continue;
      expect([name, methods[name].from]).toEqual([name, asked === "client" ? "server" : "client"]);
    }
  });
});

const lengthLimit: FieldTable = new Map([["x-max-length", { type: "I", value: 10 }]]);
const lengthLimitBytes = table(12, "x-max-length", "I", 0, 0, 0, 10);
const noArguments: FieldTable = new Map();

interface Example<Name extends MethodName> {
  name: Name;
  arguments: MethodArguments<Name>;
  bytes: Buffer;
}

function example<Name extends MethodName>(
  name: Name,
  args: MethodArguments<Name>,
  bytes: Buffer,
): Example<MethodName> {
  return { name, arguments: args, bytes } as unknown as Example<MethodName>;
}

const connectionExamples = [
  example(
    "connection.start",
    {
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: new Map([["product", longstr("P")]]),
      mechanisms: Buffer.from("PLAIN AMQPLAIN"),
      locales: Buffer.from("en_US"),
    },
    wire(
      ...[0, 10, 0, 10, 0, 9, table(7, "product", "S", 0, 0, 0, 1, "P")],
      ...[0, 0, 0, 14, "PLAIN AMQPLAIN", 0, 0, 0, 5, "en_US"],
    ),
  ),
  example(
    "connection.start-ok",
    {
      clientProperties: noArguments,
      mechanism: "PLAIN",
      response: Buffer.from("\0me\0secret"),
      locale: "en_US",
    },
    wire(0, 10, 0, 11, table(), 5, "PLAIN", 0, 0, 0, 10, 0, "me", 0, "secret", 5, "en_US"),
  ),
  example(
    "connection.tune",
    { channelMax: 2047, frameMax: 131_072, heartbeat: 60 },
    wire(0, 10, 0, 30, 0x07, 0xff, 0x00, 0x02, 0x00, 0x00, 0, 60),
  ),
  example(
    "connection.open",
    { virtualHost: "/", reserved1: "", reserved2: false },
    wire(0, 10, 0, 40, 1, "/", 0, 0),
  ),
  example(
    "connection.close",
    { replyCode: 320, replyText: "CONNECTION_FORCED - ü", classId: 60, methodId: 40 },
    wire(0, 10, 0, 50, 0x01, 0x40, 22, "CONNECTION_FORCED - ü", 0, 60, 0, 40),
  ),
  example("connection.close-ok", {}, wire(0, 10, 0, 51)),
  example("connection.blocked", { reason: "low on disk" }, wire(0, 10, 0, 60, 11, "low on disk")),
  example(
    "connection.update-secret",
    { newSecret: Buffer.from("new"), reason: "" },
    wire(0, 10, 0, 70, 0, 0, 0, 3, "new", 0),
  ),
  example("channel.open", { reserved1: "" }, wire(0, 20, 0, 10, 0)),
  example("channel.open-ok", { channelId: Buffer.alloc(0) }, wire(0, 20, 0, 11, 0, 0, 0, 0)),
  example("channel.flow", { active: true }, wire(0, 20, 0, 20, 1)),
  example("confirm.select", { noWait: true }, wire(0, 85, 0, 10, 1)),
  example("tx.rollback", {}, wire(0, 90, 0, 30)),
];

const topologyExamples = [
  example(
    "access.request",
    { realm: "/data", exclusive: false, passive: true, active: true, write: false, read: true },
    wire(0, 30, 0, 10, 5, "/data", 0b10110),
  ),
  example(
    "exchange.declare",
    {
      reserved1: 0,
      exchange: "x",
      type: "topic",
      passive: false,
      durable: true,
      autoDelete: false,
      internal: true,
      noWait: false,
      arguments: noArguments,
    },
    wire(0, 40, 0, 10, 0, 0, 1, "x", 5, "topic", 0b01010, 0, 0, 0, 0),
  ),
  example(
    "exchange.bind",
    {
      reserved1: 0,
      destination: "to",
      source: "from",
      routingKey: "key",
      noWait: true,
      arguments: noArguments,
    },
    wire(0, 40, 0, 30, 0, 0, 2, "to", 4, "from", 3, "key", 1, 0, 0, 0, 0),
  ),
  example("exchange.unbind-ok", {}, wire(0, 40, 0, 51)),
  example(
    "queue.declare",
    {
      reserved1: 0,
      queue: "q",
      passive: false,
      durable: true,
      exclusive: false,
      autoDelete: false,
      noWait: true,
      arguments: lengthLimit,
    },
    wire(0, 50, 0, 10, 0, 0, 1, "q", 0b10010, lengthLimitBytes),
  ),
  example(
    "queue.declare-ok",
    { queue: "q", messageCount: 4_294_967_295, consumerCount: 258 },
    wire(0, 50, 0, 11, 1, "q", 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 2),
  ),
  example(
    "queue.unbind",
    { reserved1: 0, queue: "q", exchange: "x", routingKey: "k", arguments: noArguments },
    wire(0, 50, 0, 50, 0, 0, 1, "q", 1, "x", 1, "k", 0, 0, 0, 0),
  ),
  example(
    "queue.delete",
    { reserved1: 0, queue: "q", ifUnused: false, ifEmpty: true, noWait: false },
    wire(0, 50, 0, 40, 0, 0, 1, "q", 0b010),
  ),
];

const basicExamples = [
  example(
    "basic.qos",
    { prefetchSize: 0, prefetchCount: 300, global: true },
    wire(0, 60, 0, 10, 0, 0, 0, 0, 0x01, 0x2c, 1),
  ),
  example(
    "basic.consume",
    {
      reserved1: 0,
      queue: "q",
      consumerTag: "tag",
      noLocal: false,
      noAck: true,
      exclusive: false,
      noWait: true,
      arguments: noArguments,
    },
    wire(0, 60, 0, 20, 0, 0, 1, "q", 3, "tag", 0b1010, 0, 0, 0, 0),
  ),
  example(
    "basic.publish",
    { reserved1: 0, exchange: "", routingKey: "q", mandatory: true, immediate: false },
    wire(0, 60, 0, 40, 0, 0, 0, 1, "q", 1),
  ),
  example(
    "basic.return",
    { replyCode: 312, replyText: "NO_ROUTE", exchange: "x", routingKey: "k" },
    wire(0, 60, 0, 50, 0x01, 0x38, 8, "NO_ROUTE", 1, "x", 1, "k"),
  ),
  example(
    "basic.deliver",
    {
      consumerTag: "ctag",
      deliveryTag: 0x01_0000_0002,
      redelivered: true,
      exchange: "x",
      routingKey: "a.b",
    },
    wire(0, 60, 0, 60, 4, "ctag", 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, "x", 3, "a.b"),
  ),
  example(
    "basic.get-ok",
    { deliveryTag: 7, redelivered: false, exchange: "", routingKey: "q", messageCount: 9 },
    wire(0, 60, 0, 71, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 1, "q", 0, 0, 0, 9),
  ),
  example("basic.get-empty", { clusterId: "" }, wire(0, 60, 0, 72, 0)),
  example(
    "basic.nack",
    { deliveryTag: 255, multiple: false, requeue: true },
    wire(0, 60, 0, 120, 0, 0, 0, 0, 0, 0, 0, 255, 0b10),
  ),
  example("basic.recover", { requeue: true }, wire(0, 60, 0, 110, 1)),
];

const examples = [...connectionExamples, ...topologyExamples, ...basicExamples];

describe("the bytes of", () => {
  test.each(examples)("$name are those of the specification", (given) => {
    const writer = new ByteWriter();
    encodeMethod(writer, given.name, given.arguments);
    expect(writer.bytes()).toEqual(given.bytes);
    const decoded = decodeMethod(given.bytes, 0, given.bytes.length);
    expect(decoded).toEqual({ name: given.name, arguments: given.arguments });
  });
});
