/** What is remembered of routes, against a map that remembers all of them: it may know less, and never anything else. */
import { expect, test } from "vitest";
import { roomOf } from "../../src/amqp/room.ts";
import {
  KNOWN_BYTES_MAX,
  KNOWN_ENTRIES_MAX,
  KnownRoutings,
} from "../../src/broker/known-routings.ts";
import type { Receiver } from "../../src/broker/shelves.ts";
import type { Exchange } from "../../src/exchange/exchange.ts";
import { seeded } from "../seeded.ts";

const exchange = {} as Exchange;

function queuesOf(name: string): readonly Receiver[] {
  return [{ name } as Receiver];
}

function keep(known: KnownRoutings, key: string, generation: number): readonly Receiver[] {
  const bytes = Buffer.from(key);
  const queues = queuesOf(key);
  known.keep(roomOf(bytes), bytes.length, generation, { exchange, routingKey: key }, queues);
  return queues;
}

/** Finds it in the middle of other bytes, as it stands in a chunk. */
function find(known: KnownRoutings, key: string, generation: number) {
  const bytes = Buffer.from(`before${key}behind`);
  return known.find(roomOf(bytes), 6, bytes.length - 6, generation);
}

seeded("what is found is what was kept last, in this generation", 20, (random) => {
  const known = new KnownRoutings();
  const model = new Map<string, readonly Receiver[]>();
  const keys = random.pick([3, 200, 5000]);
  let generation = 0;
  for (let step = 0; step < 5000; step++) {
    const key = `key-${random.below(keys)}${"x".repeat(random.below(3))}`;
    if (random.below(2000) === 0) {
      generation++;
      model.clear();
    }
    const found = find(known, key, generation);
    if (found === undefined) {
      model.set(key, keep(known, key, generation));
      continue;
    }
    expect([found.routingKey, found.queues]).toEqual([key, model.get(key)]);
    expect(found.exchange).toBe(exchange);
  }
});

/** How many of so many keys are found the last time, when they are used in turn. */
function foundInTurn(keys: number): number {
  const known = new KnownRoutings();
  let found = 0;
  for (let turn = 0; turn < 4; turn++) {
    found = 0;
    for (let index = 0; index < keys; index++) {
      const key = `orders.eu.shop-${index}.created`;
      if (find(known, key, 1) === undefined) keep(known, key, 1);
      else found++;
    }
  }
  return found;
}

test("of keys that fit nearly all are found, and of too many as many as there is room for", () => {
  for (const keys of [2, 10, 100, 1000, 10_000])
    expect(foundInTurn(keys)).toBeGreaterThanOrEqual(0.85 * keys);
  expect(foundInTurn(4 * KNOWN_ENTRIES_MAX)).toBeGreaterThan(KNOWN_ENTRIES_MAX / 3);
});

test("what is longer than an entry is not remembered", () => {
  const known = new KnownRoutings();
  for (const [length, isKept] of [
    [KNOWN_BYTES_MAX, true],
    [KNOWN_BYTES_MAX + 1, false],
    [510, false],
  ] as const) {
    const key = "k".repeat(length);
    keep(known, key, 1);
    expect(find(known, key, 1) !== undefined).toBe(isKept);
  }
});
