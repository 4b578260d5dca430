/** What makes a duplicate, and what is remembered of those that came before, against a list that is searched. */
import { describe, expect, test } from "vitest";
import { type FieldTable, type FieldValue, longstr } from "../../src/amqp/field-table.ts";
import { VirtualClock } from "../../src/clock.ts";
import { deduplicationKey } from "../../src/exchange/deduplication-key.ts";
import { Exchange } from "../../src/exchange/exchange.ts";
import { SeenKeys } from "../../src/exchange/seen-keys.ts";
import { seeded } from "../seeded.ts";
import { fields, matched, noArguments, queue, typeNamed } from "./fixtures.ts";

const HEADER = "x-deduplication-header";

function keyOf(value: FieldValue): string | undefined {
  return deduplicationKey(fields({ [HEADER]: value }));
}

describe("P19 the key of a message", () => {
  test("is its header's value, whatever the width", () => {
    const bytes = Buffer.from("a");
    expect(keyOf({ type: "x", value: bytes })).toBe(keyOf(longstr("a")));
    expect(keyOf({ type: "b", value: 5 })).toBe(keyOf({ type: "l", value: 5n }));
    const different: FieldValue[] = [
      ...[longstr("a"), longstr("A"), longstr("5"), longstr("true"), longstr("")],
      ...([{ type: "I", value: 5 }] as const),
      ...([{ type: "d", value: 5 }] as const),
      ...([{ type: "t", value: true }] as const),
      ...([{ type: "t", value: false }] as const),
      ...([{ type: "V", value: undefined }] as const),
      ...[longstr("x".repeat(64)), longstr("x".repeat(65)), longstr("x".repeat(66))],
    ];
    expect(new Set(different.map(keyOf)).size).toBe(different.length);
  });

  test("has a size, however long the header is", () => {
    expect(keyOf(longstr("x".repeat(100_000)))!.length).toBeLessThan(80);
  });

  test("is none without the header, or with a table or an array in it", () => {
    expect(deduplicationKey(noArguments)).toBeUndefined();
    expect(keyOf({ type: "F", value: noArguments })).toBeUndefined();
    expect(keyOf({ type: "A", value: [longstr("a")] })).toBeUndefined();
  });
});

seeded("P19 keys are remembered for their time, and the oldest make room", 100, (random) => {
  const clock = new VirtualClock();
  const sizeMax = random.between(1, 6);
  const seen = new SeenKeys(sizeMax, clock);
  let model: { key: string; untilMs: number }[] = [];
  for (let step = 0; step < 200; step++) {
    if (random.chance(30)) clock.advance(random.below(50));
    const key = `k${random.below(8)}`;
    const ttlMs = random.pick([1, 20, 100, Number.POSITIVE_INFINITY]);
    const known = model.find((each) => each.key === key);
    const isNew = known === undefined || clock.now() >= known.untilMs;
    if (isNew) {
      model = model.filter((each) => each !== known);
      if (model.length === sizeMax) model.shift();
      model.push({ key, untilMs: clock.now() + ttlMs });
    }
    expect([key, seen.claim(key, ttlMs)]).toEqual([key, isNew]);
  }
});

function deduplicating(args: Record<string, FieldValue>) {
  const clock = new VirtualClock();
  const of = new Exchange({
    ...{ name: "x", type: typeNamed("x-message-deduplication"), alternateExchange: undefined },
    ...{ durable: false, autoDelete: false, internal: false, shelf: undefined, clock },
    arguments: fields(args),
  });
  return { of, clock };
}

function withKey(key: string, more: Record<string, FieldValue> = {}): FieldTable {
  return fields({ [HEADER]: longstr(key), ...more });
}

describe("P19 a deduplicating exchange", () => {
  const ten: FieldValue = { type: "I", value: 10 };

  test("gives each key once to every destination, and what has none always", () => {
    const { of } = deduplicating({ "x-cache-size": ten });
    for (const name of ["a", "b"]) of.bind(queue(name), name, noArguments);
    expect(matched(of, "any", withKey("1"))).toEqual(["a", "b"]);
    expect(matched(of, "other", withKey("1"))).toEqual([]);
    expect(matched(of, "any", withKey("2"))).toEqual(["a", "b"]);
    expect(matched(of, "any")).toEqual(["a", "b"]);
    expect(matched(of, "any")).toEqual(["a", "b"]);
  });

  test("forgets a key after the exchange's time, or the message's own", () => {
    const { of, clock } = deduplicating({ "x-cache-size": ten, "x-cache-ttl": longstr("1000") });
    of.bind(queue("a"), "", noArguments);
    const longer = withKey("2", { "x-cache-ttl": { type: "I", value: 2000 } });
    expect(matched(of, "", withKey("1"))).toEqual(["a"]);
    expect(matched(of, "", longer)).toEqual(["a"]);
    clock.advance(999);
    expect(matched(of, "", withKey("1"))).toEqual([]);
    clock.advance(1);
    expect(matched(of, "", withKey("1"))).toEqual(["a"]);
    expect(matched(of, "", longer)).toEqual([]);
    clock.advance(1000);
    expect(matched(of, "", longer)).toEqual(["a"]);
  });

  const size = "Missing or invalid argument, 'x-cache-size' must be an integer greater than 0";
  const ttl = "Invalid argument, 'x-cache-ttl' must be an integer greater than 0";
  const persistence = "Invalid argument, 'x-cache-persistence' must be either 'disk' or 'memory'";

  test.each<[Record<string, FieldValue>, string]>([
    [{}, size],
    [{ "x-cache-size": { type: "I", value: 0 } }, size],
    [{ "x-cache-size": longstr("many") }, size],
    [{ "x-cache-size": { type: "t", value: true } }, size],
    [
      { "x-cache-size": { type: "I", value: 10_000_001 } },
      "Invalid argument, 'x-cache-size' must not be greater than 10000000",
    ],
    [{ "x-cache-size": ten, "x-cache-ttl": { type: "I", value: -1 } }, ttl],
    [{ "x-cache-size": ten, "x-cache-ttl": longstr("soon") }, ttl],
    [{ "x-cache-size": ten, "x-cache-persistence": longstr("tape") }, persistence],
    [{ "x-cache-size": ten, "x-cache-persistence": ten }, persistence],
  ])("refuses the arguments %j", (args, text) => {
    const { validate } = typeNamed("x-message-deduplication");
    expect(() => validate?.(fields(args))).toThrow(text);
  });
});
