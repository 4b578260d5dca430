/** Messages by the time at which they are due, against a list that is sorted. */
import { describe, expect, test } from "vitest";
import { DueHeap } from "../../src/queue/due-heap.ts";
import { CountedMemory } from "../counted-memory.ts";
import { seeded } from "../seeded.ts";

describe("the heap of what is due", () => {
  seeded(
    "gives the earliest first, and of those due together what was stored first",
    100,
    (random) => {
      const heap = new DueHeap(new CountedMemory());
      const model: [dueMs: number, position: number][] = [];
      for (let step = 0, position = 0; step < 300; step++) {
        if (model.length > 0 && random.chance(45)) {
          model.sort(([dueA, a], [dueB, b]) => dueA - dueB || a - b);
          expect([heap.dueMs, heap.position]).toEqual(model.shift());
          heap.shift();
        } else {
          // Few times, so that many fall together.
          const dueMs = 1_700_000_000_000 + random.below(20);
          position += random.between(1, 2 ** 20);
          model.push([dueMs, position]);
          heap.add(dueMs, position);
        }
        expect(heap.length).toBe(model.length);
      }
    },
  );

  test("X26 holds a million messages in 16 bytes each, and gives the memory back", () => {
    const before = process.memoryUsage().arrayBuffers;
    const memory = new CountedMemory();
    const heap = new DueHeap(memory);
    for (let index = 0; index < 1_000_000; index++)
      heap.add(1_700_000_000_000 + ((index * 7919) % 1_000_003), index);
    // The arrays double, so there may be twice what is in use, and the halves before them.
    const bytes = process.memoryUsage().arrayBuffers - before;
    expect(bytes).toBeLessThan(64 * 2 ** 20);
    expect(memory.bytes).toBeGreaterThan(1_000_000 * 16 - 200);
    let last = 0;
    for (; heap.length > 0; heap.shift()) {
      if (heap.dueMs < last) throw new Error(`${heap.dueMs} comes after ${last}`);
      last = heap.dueMs;
    }
    expect(last).toBe(1_700_000_000_000 + 1_000_002);
  });
});
