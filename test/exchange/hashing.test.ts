/**
 * Exchanges that hash or draw: Erlang's hash and RabbitMQ's buckets by values that Erlang itself has computed, the ring
 * against one that keeps every bucket, and how evenly messages are spread.
 */
import { describe, expect, test, vi } from "vitest";
import { type FieldValue, longstr } from "../../src/amqp/field-table.ts";
import {
  hashLongstr,
  hashText,
  hashTexts,
  UNDEFINED_HASH,
} from "../../src/exchange/erlang-hash.ts";
import type { Destination, Exchange } from "../../src/exchange/exchange.ts";
import { jumpHash } from "../../src/exchange/jump-hash.ts";
import { type Random, seeded } from "../seeded.ts";
import { exchange, exchangeWith, fields, noArguments, queue, typeNamed } from "./fixtures.ts";

describe("Erlang's hash", () => {
  test.each([
    ["", 13_708_901],
    ["a", 112_802_447],
    ["abc", 98_228_475],
    ["hello world!", 25_699_699],
    ["hello world!x", 126_902_301],
  ])("of the binary %j is what phash2 says", (text, expected) => {
    expect(hashText(text)).toBe(expected);
  });

  test.each([
    [[""], 38_220_213],
    [["a"], 53_691_870],
    [["hello world!x"], 40_617_084],
    [["a", "z"], 108_694_456],
    [["hello world!x", "z"], 127_234_861],
  ])("of the list %j is what phash2 says", (texts, expected) => {
    expect(hashTexts(texts)).toBe(expected);
  });

  test("of a header's text is that of the tuple that RabbitMQ keeps it in", () => {
    expect(hashLongstr(Buffer.from("a"))).toBe(65_711_459);
    expect(hashLongstr(Buffer.alloc(0))).toBe(116_351_706);
  });
});

describe("the jump hash", () => {
  test.each([
    [0, [0, 0, 0, 4, 47, 807, 892_565, 3_143_911_474]],
    [12_345, [0, 0, 0, 0, 61, 485, 718_588, 376_402_883_983]],
    [112_802_447, [0, 1, 1, 6, 47, 47, 322_185, 1_050_493_375_996]],
  ])("gives key %d the buckets that RabbitMQ gives it", (key, expected) => {
    const counts = [1, 2, 3, 10, 100, 1000, 1_000_000, 2 ** 40];
    expect(counts.map((count) => jumpHash(key, count))).toEqual(expected);
  });

  seeded("moves a key to the new bucket or nowhere when there is one more", 20, (random) => {
    for (let count = 0; count < 200; count++) {
      const key = random.below(2 ** 27);
      const now = random.between(1, 50);
      const before = jumpHash(key, now);
      const after = jumpHash(key, now + 1);
      if (after !== before) expect(after).toBe(now);
    }
  });
});

interface Keyed {
  readonly destination: Destination;
  readonly weight: string;
}

/** The ring with a place for every bucket. */
function naiveBuckets(bindings: readonly Keyed[]): Destination[] {
  const seen = new Set<Destination>();
  return bindings.flatMap(({ destination, weight }) => {
    if (seen.has(destination)) return [];
    seen.add(destination);
    return Array.from({ length: Number(weight) }, () => destination);
  });
}

function routed(of: Exchange, routingKey: string, header?: FieldValue): string | undefined {
  const message = {
    routingKey,
    decodeHeaders: () => (header === undefined ? noArguments : fields({ h: header })),
    decodeProperty: (name: string) => `${name} of ${routingKey}`,
    remember: () => undefined,
  };
  const found = of.matcher.match(routingKey, message);
  expect(found.length).toBeLessThanOrEqual(1);
  return found[0]?.name;
}

function randomChange(random: Random, of: Exchange, bindings: Keyed[], queues: Destination[]) {
  if (bindings.length > 0 && random.chance(40)) {
    const [gone] = bindings.splice(random.below(bindings.length), 1);
    of.unbind(gone!.destination, gone!.weight, noArguments);
  } else {
    const binding = { destination: random.pick(queues), weight: String(random.between(1, 9)) };
    if (of.bind(binding.destination, binding.weight, noArguments)) bindings.push(binding);
  }
}

describe("X20 a consistent-hash exchange", () => {
  seeded("gives each key to the destination whose bucket the jump hash finds", 50, (random) => {
    const of = exchange("x-consistent-hash");
    const queues = Array.from({ length: 5 }, (_, index) => queue(`q${index}`));
    const bindings: Keyed[] = [];
    for (let change = 0; change < 40; change++) {
      randomChange(random, of, bindings, queues);
      const buckets = naiveBuckets(bindings);
      for (let tried = 0; tried < 5; tried++) {
        const key = String(random.below(1000));
        const bucket = buckets.length === 0 ? 0 : jumpHash(hashText(key), buckets.length);
        expect([key, routed(of, key)]).toEqual([key, buckets[bucket]?.name]);
      }
    }
  });

  test("spreads keys by weight", () => {
    const of = exchange("x-consistent-hash");
    const weights = { light: 1, middle: 2, heavy: 5 };
    for (const [name, weight] of Object.entries(weights))
      of.bind(queue(name), String(weight), noArguments);
    const counts: Record<string, number> = { light: 0, middle: 0, heavy: 0 };
    const keys = 16_000;
    for (let key = 0; key < keys; key++) counts[routed(of, `key-${key}`)!]!++;
    for (const [name, weight] of Object.entries(weights)) {
      const expected = (keys * weight) / 8;
      // Five standard deviations of what chance would do; the keys are always the same.
      expect(Math.abs(counts[name]! - expected)).toBeLessThan(5 * Math.sqrt(expected));
    }
  });

  test("moves only what a new binding takes, and gives it back when that goes", () => {
    const of = exchange("x-consistent-hash");
    for (const name of ["a", "b", "c"]) of.bind(queue(name), "10", noArguments);
    const keys = Array.from({ length: 2000 }, (_, index) => `key-${index}`);
    const before = keys.map((key) => routed(of, key));
    const late = queue("late");
    of.bind(late, "10", noArguments);
    const during = keys.map((key) => routed(of, key));
    const moved = during.filter((name, index) => name !== before[index]);
    expect(new Set(moved)).toEqual(new Set(["late"]));
    expect(moved.length).toBeGreaterThan(400);
    expect(moved.length).toBeLessThan(600);
    of.unbind(late, "10", noArguments);
    expect(keys.map((key) => routed(of, key))).toEqual(before);
  });

  test("keeps no bucket in memory, so that any weight will do", () => {
    const of = exchange("x-consistent-hash");
    of.bind(queue("a"), "2147483647", noArguments);
    of.bind(queue("b"), "2147483647", noArguments);
    const names = new Set(Array.from({ length: 50 }, (_, index) => routed(of, `${index}`)));
    expect(names).toEqual(new Set(["a", "b"]));
  });

  test("hashes a header or a property in place of the key, and what is missing as one", () => {
    const byHeader = exchangeWith("x-consistent-hash", fields({ "hash-header": longstr("h") }));
    const byProperty = exchangeWith(
      "x-consistent-hash",
      fields({ "hash-property": longstr("message_id") }),
    );
    for (let index = 0; index < 8; index++) {
      byHeader.bind(queue(`q${index}`), "1", noArguments);
      byProperty.bind(queue(`q${index}`), "1", noArguments);
    }
    expect(routed(byHeader, "x", longstr("a"))).toBe(`q${jumpHash(65_711_459, 8)}`);
    expect(routed(byHeader, "x")).toBe(`q${jumpHash(UNDEFINED_HASH, 8)}`);
    const one: FieldValue = { type: "I", value: 1 };
    expect(routed(byHeader, "x", one)).toBe(routed(byHeader, "y", { ...one }));
    expect(routed(byProperty, "x")).toBe(`q${jumpHash(hashText("message_id of x"), 8)}`);
  });

  test.each([
    ["", "The binding key must be an integer: <<>>"],
    ["ten", 'The binding key must be an integer: <<"ten">>'],
    ["1.5", 'The binding key must be an integer: <<"1.5">>'],
    ["0", "The binding key must be greater than 0"],
    ["-3", "The binding key must be greater than 0"],
    ["2147483648", "The binding key must not be greater than 2147483647"],
    ["9".repeat(255), "The binding key must not be greater than 2147483647"],
  ])("refuses the weight %j", (key, text) => {
    const { validateBinding } = typeNamed("x-consistent-hash");
    expect(() => validateBinding?.(key, noArguments, queue("q"), noArguments)).toThrow(text);
  });
});

describe("X21 a modulus-hash exchange", () => {
  test("counts bindings by key and name, in whatever order they were made", () => {
    const of = exchange("x-modulus-hash");
    for (const [name, key] of [
      ["c", "1"],
      ["b", "2"],
      ["a", "2"],
      ["d", "0"],
    ] as const)
      of.bind(queue(name), key, noArguments);
    const order = ["d", "c", "a", "b"];
    for (const key of ["", "a", "hello world!x"])
      expect(routed(of, key)).toBe(order[hashTexts([key]) % 4]);
  });
});

describe("X22 a random exchange", () => {
  test("takes each binding with the same chance, and a destination as often as it is bound", () => {
    const of = exchange("x-random");
    const twice = queue("twice");
    of.bind(queue("once"), "", noArguments);
    of.bind(twice, "a", noArguments);
    of.bind(twice, "b", noArguments);
    const chance = vi.spyOn(Math, "random");
    const drawn = [0, 0.33, 0.34, 0.66, 0.67, 0.999].map((value) => {
      chance.mockReturnValueOnce(value);
      return routed(of, "whatever");
    });
    chance.mockRestore();
    expect(drawn).toEqual(["once", "once", "twice", "twice", "twice", "twice"]);
    of.unbindDestination(twice);
    expect(routed(of, "whatever")).toBe("once");
  });

  test("routes nowhere without bindings", () => {
    expect(routed(exchange("x-random"), "key")).toBeUndefined();
  });
});

describe("a local random exchange", () => {
  const { validateBinding } = typeNamed("x-local-random");

  test.each<[string, Destination, string]>([
    ["key", queue("q"), "Non empty binding 'key' key not permitted"],
    ["", { kind: "exchange", name: "x", persists: false }, "Destination not found"],
    [
      "",
      { ...queue("q"), queueType: "quorum" },
      "Queue type rabbit_quorum_queue not valid for this exchange type",
    ],
  ])("refuses the key %j to %j", (key, destination, text) => {
    expect(() => validateBinding?.(key, noArguments, destination, noArguments)).toThrow(text);
  });

  test("takes classic queues with an empty key", () => {
    const classic = { ...queue("q"), queueType: "classic" };
    expect(() => validateBinding?.("", noArguments, classic, noArguments)).not.toThrow();
  });
});
