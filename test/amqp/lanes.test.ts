/**
 * The hand-written lanes for publish, deliver, ack and nack against the generic codec: the same bytes, and the same
 * opinion of any input.
 */

import { describe, expect, test } from "vitest";
import { ByteWriter } from "../../src/amqp/byte-writer.ts";
import { Content } from "../../src/amqp/content.ts";
import { AmqpError } from "../../src/amqp/errors.ts";
import { decodeMethod, encodeMethod } from "../../src/amqp/method-codec.ts";
import type { MethodArguments, MethodName } from "../../src/amqp/methods.ts";
import { deliverTemplate, Output } from "../../src/amqp/output.ts";
import { type Random, seeded } from "../seeded.ts";
import { memories } from "./memories.ts";
import { randomArguments, randomText } from "./random-values.ts";
import { storedMessage } from "./stored.ts";
import { frame, wire } from "./wire.ts";

function encoded<Name extends MethodName>(name: Name, args: MethodArguments<Name>): Buffer {
  const writer = new ByteWriter(4096);
  encodeMethod(writer, name, args);
  return writer.bytes();
}

function said(output: Output): Buffer {
  return Buffer.concat(output.take().parts);
}

function randomTag(random: Random): number {
  return random.pick([
    1,
    255,
    256,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 32 + 5,
    Number.MAX_SAFE_INTEGER,
    random.next(),
    random.next() * 2 ** 21,
  ]);
}

describe("what the lane writes is what the codec writes:", () => {
  seeded("basic.deliver", 300, (random) => {
    const [consumerTag, exchange, routingKey] = [random, random, random].map(randomText);
    const channel = random.pick([1, 255, 256, 65_535]);
    const [deliveryTag, redelivered] = [randomTag(random), random.chance(50)];
    const output = new Output(131_072);
    const message = storedMessage({ exchange: exchange!, routingKey: routingKey! });
    output.deliver(deliverTemplate(channel, consumerTag!), deliveryTag, redelivered, message);
    const args = {
      ...{ consumerTag: consumerTag!, deliveryTag, redelivered },
      ...{ exchange: exchange!, routingKey: routingKey! },
    };
    const header = wire(0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    const expected = [frame(1, channel, encoded("basic.deliver", args)), frame(2, channel, header)];
    expect(said(output).toString("hex")).toBe(Buffer.concat(expected).toString("hex"));
  });

  seeded("basic.ack and basic.nack", 300, (random) => {
    const channel = random.pick([1, 255, 256, 65_535]);
    const [deliveryTag, multiple] = [randomTag(random), random.chance(50)];
    const output = new Output(131_072);
    output.ack(channel, deliveryTag, multiple);
    output.nack(channel, deliveryTag, multiple);
    const [ack, nack] = [
      encoded("basic.ack", { deliveryTag, multiple }),
      encoded("basic.nack", { deliveryTag, multiple, requeue: false }),
    ];
    const expected = Buffer.concat([frame(1, channel, ack), frame(1, channel, nack)]);
    expect(said(output).toString("hex")).toBe(expected.toString("hex"));
  });
});

/** A publish as the lane sees it, or undefined when it refuses. */
function byLane(bytes: Buffer): object | undefined {
  const content = new Content(100, memories);
  try {
    content.begin(bytes, 4, bytes.length - 4);
  } catch (error) {
    if (error instanceof AmqpError) return undefined;
    throw error;
  }
  const { routingBuffer, routingStart, routingEnd, mandatory, immediate } = content;
  return { routing: routingBuffer.toString("hex", routingStart, routingEnd), mandatory, immediate };
}

/** The same, by the generic codec. Whether a name is UTF-8 is asked later, of the names that are new. */
function byCodec(bytes: Buffer): object | undefined {
  try {
    const method = decodeMethod(bytes, 4, bytes.length - 4);
    if (method.name !== "basic.publish") throw new Error(`it is a ${method.name}`);
    const { exchange, routingKey, mandatory, immediate } = method.arguments;
    const names = [exchange, routingKey].map((name) => Buffer.from(name));
    const routing = Buffer.concat(names.flatMap((name) => [wire(name.length), name]));
    return { routing: routing.toString("hex"), mandatory, immediate };
  } catch (error) {
    if (error instanceof AmqpError) return undefined;
    throw error;
  }
}

/** Four bytes before and behind, which are not the publish's. */
function amid(bytes: Buffer): Buffer {
  return wire(1, 1, 1, 1, bytes, 1, 1, 1, 1);
}

describe("what the lane makes of a publish is what the codec makes of it:", () => {
  seeded("when it is well formed", 300, (random) => {
    const bytes = amid(encoded("basic.publish", randomArguments(random, "basic.publish")));
    const seen = byLane(bytes);
    expect(seen).toBeDefined();
    expect(seen).toEqual(byCodec(bytes));
  });

  seeded("when it ends anywhere", 50, (random) => {
    const bytes = encoded("basic.publish", randomArguments(random, "basic.publish"));
    for (let length = 4; length <= bytes.length; length++) {
      const cut = amid(bytes.subarray(0, length));
      expect([length, byLane(cut)]).toEqual([length, byCodec(cut)]);
    }
  });

  test("when bytes are left behind its flags", () => {
    for (const extra of [wire(0), wire(1, 2, 3)]) {
      const bytes = amid(wire(0, 60, 0, 40, 0, 0, 1, "x", 1, "k", 1, extra));
      expect(byCodec(bytes)).toBeUndefined();
      expect(byLane(bytes)).toBeUndefined();
    }
  });

  seeded("when its lengths are damaged", 500, (random) => {
    const names = Array.from({ length: 2 }, () => "k".repeat(random.below(6)));
    const bytes = encoded("basic.publish", {
      ...{ reserved1: 0, exchange: names[0]!, routingKey: names[1]! },
      ...{ mandatory: random.chance(50), immediate: random.chance(50) },
    });
    const lengthAt = random.chance(50) ? 6 : 7 + names[0]!.length;
    bytes[lengthAt] = random.chance(70) ? random.below(12) : random.next();
    expect(byLane(amid(bytes))).toEqual(byCodec(amid(bytes)));
  });
});

test("a publish that the lane refuses is refused in RabbitMQ's words", () => {
  const cut = amid(wire(0, 60, 0, 40, 0, 0, 1, "x", 1, "k"));
  expect(() => new Content(100, memories).begin(cut, 4, cut.length - 4)).toThrow(
    "cannot decode <<0,0,1,120,1,107>>",
  );
});
