/** The flat table against a Map. */
import { expect, test } from "vitest";
import { NumberTable } from "../../src/store/number-table.ts";
import { CountedMemory } from "../counted-memory.ts";
import { Random } from "../seeded.ts";

const SEEDS = 12;
const STEPS = 3000;

function drawKey(random: Random): number {
  const kind = random.below(3);
  if (kind === 0) return random.below(50);
  // As positions are: consecutive ones in segments.
  if (kind === 1) return 2 ** 52 + random.below(5) * 2 ** 20 + random.below(100);
  return random.below(4) * 2 ** 32 + random.below(40);
}

test("a table has what a map has, whatever comes and goes", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = new Random(seed);
    const map = new Map<number, number>();
    const memory = new CountedMemory();
    const table = new NumberTable(memory);
    for (let step = 0; step < STEPS; step++) {
      const key = drawKey(random);
      // It fills, and runs empty again.
      if (random.chance(step % 1000 < 500 ? 70 : 25)) {
        map.set(key, step);
        table.set(key, step);
      } else {
        expect(table.delete(key), `seed ${seed}`).toBe(map.delete(key));
      }
      expect(table.size, `seed ${seed}`).toBe(map.size);
      expect(table.get(key), `seed ${seed}`).toBe(map.get(key));
    }
    const entries = new Map<number, number>();
    table.forEach((key, value) => void entries.set(key, value));
    const sorted = (some: Map<number, number>) => [...some].sort(([a], [b]) => a - b);
    expect(sorted(entries), `seed ${seed}`).toEqual(sorted(map));
    expect(new Set(table.keys()), `seed ${seed}`).toEqual(new Set(map.keys()));
    for (const key of [...map.keys()]) table.delete(key);
    expect([table.size, memory.bytes], `seed ${seed}`).toEqual([0, 0]);
  }
});

test("a large table stays within three times of what its entries take, and shrinks", () => {
  const memory = new CountedMemory();
  const table = new NumberTable(memory);
  for (let key = 0; key < 100_000; key++) table.set(2 ** 52 + key, key);
  expect(memory.bytes).toBeLessThanOrEqual(100_000 * 16 * 3);
  for (let key = 0; key < 99_000; key++) table.delete(2 ** 52 + key);
  expect(table.get(2 ** 52 + 99_500)).toBe(99_500);
  expect(memory.bytes).toBeLessThanOrEqual(1000 * 16 * 8);
});
