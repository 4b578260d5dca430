/** The fifo against an array. */
import { describe, expect, test } from "vitest";
import { Fifo } from "../../src/queue/fifo.ts";
import { CountedMemory } from "../counted-memory.ts";
import { type Random, seeded } from "../seeded.ts";

type Entry = [position: number, bits: number];

function first(fifo: Fifo): Entry {
  return [fifo.position, fifo.bits];
}

function push(fifo: Fifo, model: Entry[], random: Random): void {
  const entry: Entry = [random.next() * 2 ** 21, random.next()];
  fifo.push(...entry);
  model.push(entry);
}

function shift(fifo: Fifo, model: Entry[]): void {
  const expected = model.shift()!;
  if (fifo.position !== expected[0] || fifo.bits !== expected[1])
    expect(first(fifo)).toEqual(expected);
  fifo.shift();
}

describe("a fifo", () => {
  seeded("gives back what was put in, in that order, as it fills and empties", 40, (random) => {
    const memory = new CountedMemory();
    const fifo = new Fifo(memory);
    const model: Entry[] = [];
    for (let phase = 0; phase < 8; phase++) {
      const percent = random.pick([0, 30, 50, 70, 100]);
      for (let step = random.below(1500); step > 0; step--) {
        if (random.chance(percent)) push(fifo, model, random);
        else if (model.length > 0) shift(fifo, model);
        if (fifo.length !== model.length) expect(fifo.length).toBe(model.length);
      }
    }
    while (model.length > 0) shift(fifo, model);
    expect([fifo.length, memory.bytes]).toEqual([0, 0]);
  });

  test("keeps every position a double can hold and all 32 bits", () => {
    const fifo = new Fifo(new CountedMemory());
    fifo.push(Number.MAX_SAFE_INTEGER, 0xffff_ffff);
    fifo.push(0, 0);
    expect(first(fifo)).toEqual([Number.MAX_SAFE_INTEGER, 0xffff_ffff]);
    fifo.shift();
    expect(first(fifo)).toEqual([0, 0]);
  });

  test("carries a backlog of a hundred thousand, again and again, and counts it as memory", () => {
    const memory = new CountedMemory();
    const fifo = new Fifo(memory);
    for (let round = 0; round < 3; round++) {
      for (let entry = 0; entry < 100_000; entry++) fifo.push(entry, round);
      expect(memory.bytes / (100_000 * 12)).toBeCloseTo(1, 1);
      for (let entry = 0; entry < 100_000; entry++) {
        if (fifo.position !== entry || fifo.bits !== round)
          expect(first(fifo)).toEqual([entry, round]);
        fifo.shift();
      }
      expect([fifo.length, memory.bytes]).toEqual([0, 0]);
    }
  });

  test("asserts that there is something to take", () => {
    const fifo = new Fifo(new CountedMemory());
    expect(() => fifo.shift()).toThrow("nothing to take from an empty queue");
    fifo.push(1, 1);
    fifo.shift();
    expect(() => fifo.shift()).toThrow("nothing to take from an empty queue");
  });
});
