/** Memory of messages that others refer to, too: it is not written over before all are done with it, and used again then. */
import { describe, expect, test } from "vitest";
import type { BufferPool } from "../../src/store/buffer-pool.ts";
import { MemoryBudget } from "../../src/store/memory-budget.ts";
import type { StandingAt } from "../../src/store/message-store.ts";
import { Random } from "../seeded.ts";
import {
  append,
  expectIntact,
  MIB,
  newStore,
  octets,
  one,
  TABLES,
  TestStore,
} from "./memory-fixtures.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

const LIMIT = 4 * MIB;

describe("memory", () => {
  /** A message that is released after `borrow`, and a look at what stands in its place afterwards. */
  function released(store: TestStore, bytes: number, borrow: boolean): () => Buffer {
    const position = append(store, bytes, 1);
    const { buffer, offset, keeper } = store.locate(position);
    if (borrow) keeper.borrow();
    store.release(position);
    return () => buffer.subarray(offset, offset + bytes);
  }

  /** A flow of messages that takes many segments. */
  function flow(store: TestStore): void {
    for (let message = 0; message < 9000; message++) {
      store.release(append(store, 1000, message));
      if (message % 100 === 0) store.endTurn();
    }
  }

  test("that a socket borrows is not written over, in its segment or in another one", () => {
    for (const bytes of [5000, MIB]) {
      const store = newStore();
      const borrowed = released(store, bytes, true);
      const other = append(store, 10, 2);
      flow(store);
      expect(borrowed().equals(octets(bytes, 1))).toBe(true);
      expectIntact(store, other, 10, 2);
      expect(store.allocatedBytes).toBeLessThanOrEqual(4 * MIB);
    }
  });

  test("is written over when nobody borrows it", () => {
    const store = newStore();
    const free = released(store, 5000, false);
    flow(store);
    expect(free().equals(octets(5000, 1))).toBe(false);
  });

  /** Memory in which a message of `bytes` bytes stands at 100, as its publisher has taken it. */
  function standing(pool: BufferPool, bytes: number, seed: number): StandingAt {
    const memory = pool.take(bytes + 100);
    octets(bytes, seed).copy(memory.buffer, 100);
    return { memory, offset: 100 };
  }

  test("that is large stays where it stands, and goes with its last owner", () => {
    const budget = new MemoryBudget(Number.POSITIVE_INFINITY);
    const [store, pool] = [new TestStore(undefined, budget), budget.pool(MIB)];
    const at = standing(pool, MIB, 1);
    const first = store.append(MIB, one, false, 0, at);
    expect(store.locate(first).buffer).toBe(at.memory.buffer);
    // For whoever else wants it there is a copy.
    const second = store.append(MIB, one, false, 0, at);
    octets(MIB, 2).copy(store.locate(second).buffer, store.locate(second).offset);
    store.release(first);
    store.endTurn();
    expect(standing(pool, MIB, 3).memory).not.toBe(at.memory);
    at.memory.drop();
    store.endTurn();
    expect(standing(pool, MIB, 4).memory).toBe(at.memory);
    expectIntact(store, second, MIB, 2);
  });

  test("that is small is copied from where it stands", () => {
    const budget = new MemoryBudget(Number.POSITIVE_INFINITY);
    const [store, pool] = [new TestStore(undefined, budget), budget.pool(MIB)];
    const at = standing(pool, 1000, 1);
    expect(store.locate(store.append(1000, one, false, 0, at)).buffer).not.toBe(at.memory.buffer);
    at.memory.drop();
    // Nobody has looked at it: it can be had at once.
    expect(standing(pool, 1000, 2).memory).toBe(at.memory);
  });

  test("can be used again as soon as it is given back", () => {
    const store = newStore();
    const position = append(store, MIB, 1);
    const { buffer, keeper } = store.locate(position);
    keeper.borrow();
    keeper.borrow();
    store.release(position);
    store.endTurn();
    keeper.giveBack();
    expect(store.locate(append(store, MIB, 2)).buffer).not.toBe(buffer);
    keeper.giveBack();
    // Others may look at it in this turn.
    expect(store.locate(append(store, MIB, 3)).buffer).not.toBe(buffer);
    store.endTurn();
    expect(store.locate(append(store, MIB, 4)).buffer).toBe(buffer);
  });

  test("that stays where it stood goes to the disk and comes back as any other", () => {
    const budget = new MemoryBudget(LIMIT);
    const disk = new SimulatedDisk(new Random(1));
    const store = new TestStore(undefined, budget, disk);
    const pool = budget.pool(MIB);
    const positions: number[] = [];
    for (let message = 0; message < 20; message++) {
      const memory = pool.take(MIB / 2);
      octets(400_000, message).copy(memory.buffer, 300);
      positions.push(store.append(400_000, one, false, 0, { memory, offset: 300 }));
      memory.drop();
      store.endTurn();
    }
    expect(store.allocatedBytes).toBeLessThanOrEqual(LIMIT + TABLES);
    for (const [seed, position] of positions.entries())
      expectIntact(store, position, 400_000, seed);
    for (const position of positions) store.release(position);
    expect(disk.list()).toEqual([]);
  });

  test("that waits to be used again is bounded in bytes, whatever the size of its buffers", () => {
    for (const bytes of [64 << 10, MIB, 4 * MIB]) {
      const budget = new MemoryBudget(Number.POSITIVE_INFINITY);
      const pool = budget.pool(MIB);
      const taken = Array.from({ length: 40 * (MIB / bytes) + 40 }, () => pool.take(bytes));
      for (const buffer of taken) buffer.free();
      pool.endTurn();
      expect(budget.keptBytes).toBe(Math.min(16 * MIB, taken.length * bytes));
      expect(budget.usedBytes).toBe(budget.keptBytes);
    }
  });
});
