/** The generic codec: every method there and back, bits, and input that ends too early or too late. */
import { describe, expect, test } from "vitest";
import { ByteWriter } from "../../src/amqp/byte-writer.ts";
import { AmqpError } from "../../src/amqp/errors.ts";
import { decodeMethod, encodeMethod } from "../../src/amqp/method-codec.ts";
import { type MethodName, methods } from "../../src/amqp/methods.ts";
import { Random, seeded } from "../seeded.ts";
import { randomArguments } from "./random-values.ts";
import { table, wire } from "./wire.ts";

const names = Object.keys(methods) as MethodName[];

function encode(name: MethodName, args: object): Buffer {
  const writer = new ByteWriter(1);
  encodeMethod(writer, name, args as never);
  return writer.bytes();
}

/** The error for `bytes`, which are followed by `filler` in the buffer. */
function refusal(bytes: Buffer, filler: number): AmqpError {
  const buffer = Buffer.concat([Buffer.alloc(9, filler), bytes, Buffer.alloc(300, filler)]);
  try {
    decodeMethod(buffer, 9, 9 + bytes.length);
  } catch (error) {
    if (error instanceof AmqpError) return error;
    throw error;
  }
  throw new Error("it was decoded");
}

seeded("any arguments of any method come back from their bytes", 25, (random) => {
  for (const name of names) {
    const args = randomArguments(random, name);
    const bytes = encode(name, args);
    const before = random.bytes(random.below(20));
    const buffer = Buffer.concat([before, bytes, random.bytes(20)]);
    const decoded = decodeMethod(buffer, before.length, before.length + bytes.length);
    // What was decoded may not change with a chunk that is used again.
    buffer.fill(0xaa);
    expect(decoded).toEqual({ name, arguments: args });
    expect(encode(name, decoded.arguments)).toEqual(bytes);
  }
});

describe("consecutive bits share an octet, the first lowest:", () => {
  const withBits = names.filter((name) => Object.values(methods[name].fields).includes("bit"));

  test.each(withBits)("%s", (name) => {
    const fields = Object.entries(methods[name].fields);
    const none = randomArguments(new Random(1), name) as Record<string, unknown>;
    const bits = fields.filter(([, type]) => type === "bit").map(([field]) => field);
    for (const bit of bits) none[bit] = false;
    const without = encode(name, none);
    for (const [index, bit] of bits.entries()) {
      const bytes = encode(name, { ...none, [bit]: true });
      const changed = [...bytes.keys()].filter((at) => bytes[at] !== without[at]);
      expect(bytes.length).toBe(without.length);
      expect(changed.map((at) => bytes[at]! - without[at]!)).toEqual([1 << index]);
    }
  });
});

test("bits that no field has are not looked at", () => {
  const bytes = wire(0, 20, 0, 20, 0b1111_1110);
  expect(decodeMethod(bytes, 0, bytes.length)).toEqual({
    name: "channel.flow",
    arguments: { active: false },
  });
});

describe("a method that is cut short", () => {
  seeded("is refused wherever it ends, whatever stands behind it", 4, (random) => {
    for (const name of names) {
      const bytes = encode(name, randomArguments(random, name));
      for (let length = 4; length < bytes.length; length++) {
        const cut = bytes.subarray(0, length);
        const [zeros, ones] = [refusal(cut, 0), refusal(cut, 0xff)];
        expect(ones.replyText).toBe(zeros.replyText);
        expect(zeros.replyCode).toBe(501);
      }
    }
  });

  test("is shown as RabbitMQ shows it, without its ids", () => {
    expect(refusal(wire(0, 50, 0, 10, 0, 0, 1, "x"), 0).replyText).toBe(
      "FRAME_ERROR - cannot decode <<0,0,1,120>>",
    );
    expect(refusal(wire(0, 60, 0, 40, 97, 98), 0).replyText).toBe(
      'FRAME_ERROR - cannot decode <<"ab">>',
    );
  });
});

test("a method with bytes behind its arguments is refused, however few", () => {
  const random = new Random(1);
  for (const name of names) {
    const bytes = Buffer.concat([encode(name, randomArguments(random, name)), Buffer.of(0)]);
    expect(refusal(bytes, 0).replyText).toMatch(/^FRAME_ERROR - cannot decode <</);
  }
});

test("a table that says it is longer than the method is refused", () => {
  const declare = wire(0, 50, 0, 10, 0, 0, 1, "x", 0, 0, 0, 0, 9, 1, "k", "t", 1);
  expect(refusal(declare, 0x01).replyText).toMatch(/^FRAME_ERROR - cannot decode <</);
  const inTable = wire(0, 50, 0, 10, 0, 0, 1, "x", 0, table(1, "k", "S", 0, 0, 0, 1));
  expect(refusal(inTable, 0x01).replyText).toMatch(/^FRAME_ERROR - cannot decode <</);
});

test("a method that does not exist is unimplemented", () => {
  for (const [classId, methodId] of [
    [40, 41],
    [60, 0],
    [99, 10],
    [0, 0],
  ] as const) {
    const error = refusal(wire(0, classId, 0, methodId, 1, 2, 3), 0);
    expect(error.replyText).toBe("COMMAND_INVALID - unimplemented method");
    expect(error.replyCode).toBe(503);
  }
});

test("a name that is no UTF-8 is refused, because two such names could become one", () => {
  for (const bad of [
    [0xff],
    [0xc3],
    [0xc0, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0x61, 0x80],
  ]) {
    const get = wire(0, 60, 0, 70, 0, 0, bad.length, ...bad, 0);
    expect(refusal(get, 0).replyText).toBe("FRAME_ERROR - Malformed UTF-8 in shortstr");
  }
});

seeded("damaged methods are decoded or refused, and never break anything", 300, (random) => {
  const name = random.chance(30) ? "queue.declare" : random.pick(names);
  const damaged = encode(name, randomArguments(random, name));
  for (let changes = random.between(1, 4); changes > 0; changes--)
    damaged[random.below(damaged.length)] = random.next();
  const results = [0, 0xff].map((filler) => {
    const buffer = Buffer.concat([damaged, Buffer.alloc(100, filler)]);
    try {
      return JSON.stringify(decodeMethod(buffer, 0, damaged.length), (_, value) =>
        typeof value === "bigint" ? String(value) : value,
      );
    } catch (error) {
      if (!(error instanceof AmqpError)) throw error;
      return error.replyText;
    }
  });
  expect(results[0]).toBe(results[1]);
});
