/** The heap of returned messages against a list that is sorted. */
import { expect, test } from "vitest";
import { Returned } from "../../src/queue/returned.ts";
import { CountedMemory } from "../counted-memory.ts";
import { seeded } from "../seeded.ts";

type Entry = [sequence: number, position: number, bits: number];

function first(returned: Returned): Entry {
  return [returned.sequence, returned.position, returned.bits];
}

seeded("what came back leaves in order of its sequence, whenever it came", 30, (random) => {
  const returned = new Returned(new CountedMemory());
  const model: Entry[] = [];
  const known = new Set<number>();
  for (let step = 0; step < 400; step++) {
    if (random.chance(model.length > 40 ? 20 : 55)) {
      const sequence = random.below(100_000);
      if (known.has(sequence)) continue;
      known.add(sequence);
      const entry: Entry = [sequence, random.next() * 2 ** 20, random.next()];
      returned.add(...entry);
      model.push(entry);
      model.sort(([a], [b]) => a - b);
    } else if (model.length > 0) {
      returned.shift();
      model.shift();
    }
    expect(returned.length).toBe(model.length);
    if (model.length > 0) expect(first(returned)).toEqual(model[0]);
  }
});

test.each<[string, (index: number) => number]>([
  ["in order", (index) => index],
  ["in reverse", (index) => 9999 - index],
  ["back and forth", (index) => (index * 7919) % 10_000],
])("ten thousand messages come back %s", (_, order) => {
  const memory = new CountedMemory();
  const returned = new Returned(memory);
  for (let index = 0; index < 10_000; index++) returned.add(order(index), order(index) * 3, 1);
  expect(memory.bytes).toBeGreaterThan(10_000 * 20 - 200);
  for (let sequence = 0; sequence < 10_000; sequence++) {
    if (returned.sequence !== sequence || returned.position !== sequence * 3)
      expect(first(returned)).toEqual([sequence, sequence * 3, 1]);
    returned.shift();
  }
  expect([returned.length, memory.bytes]).toEqual([0, 0]);
  returned.add(5, 6, 7);
  expect(first(returned)).toEqual([5, 6, 7]);
});
