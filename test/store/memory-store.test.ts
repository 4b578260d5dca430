/** The store in memory: what is held keeps its bytes, what is not gives its memory back. */
import { describe, expect, test } from "vitest";
import { MemoryBudget } from "../../src/store/memory-budget.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { Turn } from "../../src/turn.ts";
import { Random, seeded } from "../seeded.ts";
import {
  append,
  expectIntact,
  holders,
  MIB,
  newStore,
  octets,
  TABLES,
  TestStore,
} from "./memory-fixtures.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

interface Message {
  position: number;
  bytes: number;
  seed: number;
  holders: number;
}

function randomBytes(random: Random): number {
  const kind = random.below(100);
  if (kind < 60) return random.between(1, 200);
  if (kind < 90) return random.between(200, 5000);
  if (kind < 98) return random.between(5000, 300_000);
  return random.between(300_000, 3 * MIB);
}

class Run {
  readonly #store: TestStore;
  readonly #random: Random;
  readonly #messages: Message[] = [];
  #seed = 0;

  constructor(random: Random, store = newStore()) {
    this.#random = random;
    this.#store = store;
  }

  append(): void {
    const [bytes, seed] = [randomBytes(this.#random), this.#seed++];
    const by = holders.slice(0, this.#random.between(1, 3));
    const position = append(this.#store, bytes, seed, by);
    const clash = this.#messages.some((message) => message.position === position);
    expect([position, clash]).toEqual([position, false]);
    this.#messages.push({ position, bytes, seed, holders: by.length });
  }

  release(): void {
    if (this.#messages.length === 0) return;
    // Old ones are settled first, mostly.
    const index = this.#random.chance(80) ? 0 : this.#random.below(this.#messages.length);
    const message = this.#messages[index]!;
    expectIntact(this.#store, message.position, message.bytes, message.seed);
    this.#store.release(message.position);
    message.holders--;
    if (message.holders === 0) this.#messages.splice(index, 1);
  }

  get waiting(): number {
    return this.#messages.length;
  }

  check(): void {
    for (const { position, bytes, seed } of this.#messages)
      expectIntact(this.#store, position, bytes, seed);
  }

  /** Every message in a segment of its own, at worst, and the tail. */
  checkMemory(): void {
    const most = this.#messages.reduce(
      (sum, { bytes }) => sum + Math.max(MIB, bytes) + TABLES,
      MIB + TABLES,
    );
    expect(this.#store.allocatedBytes).toBeLessThanOrEqual(most);
  }
}

seeded("whatever is held keeps its bytes, and what nobody holds keeps no memory", 25, (random) => {
  const run = new Run(random);
  for (let step = 0; step < 400; step++) {
    const releases = random.chance(50) ? 40 : 60;
    if (random.chance(releases)) run.release();
    else run.append();
    if (step % 50 === 0) run.check();
  }
  run.check();
  run.checkMemory();
  while (run.waiting > 0) run.release();
  run.checkMemory();
});

/** Messages of a few KiB flow through; one in twenty stays for long. */
class LongStays {
  readonly store = newStore();
  readonly #random: Random;
  readonly #passing: Message[] = [];
  readonly #staying: Message[] = [];
  #seed = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  step(): void {
    const random = this.#random;
    const [bytes, seed] = [random.between(10, 20_000), this.#seed++];
    const message = { position: append(this.store, bytes, seed, holders), bytes, seed, holders: 3 };
    (random.chance(5) ? this.#staying : this.#passing).push(message);
    if (this.#passing.length > 50) this.#letGoOf(this.#passing);
    if (this.#staying.length > 100 && random.chance(10)) this.#letGoOf(this.#staying);
    if (this.#staying.length > 0 && random.chance(10)) this.#look(random.pick(this.#staying));
  }

  #letGoOf(from: Message[]): void {
    const [message] = from.splice(this.#random.below(from.length), 1);
    expectIntact(this.store, message!.position, message!.bytes, message!.seed);
    for (const _ of holders) this.store.release(message!.position);
  }

  #look({ position, bytes, seed }: Message): void {
    expectIntact(this.store, position, bytes, seed);
  }

  check(): void {
    const held = [...this.#passing, ...this.#staying];
    for (const { position, bytes, seed } of held) expectIntact(this.store, position, bytes, seed);
    const heldBytes = held.reduce((sum, { bytes }) => sum + bytes, 0);
    // The youngest segments, and beyond them no more than four times what is held.
    expect(this.store.allocatedBytes).toBeLessThanOrEqual(11 * MIB + 4 * heldBytes);
  }

  end(): void {
    for (const from of [this.#passing, this.#staying]) while (from.length > 0) this.#letGoOf(from);
    expect(this.store.allocatedBytes).toBeLessThanOrEqual(MIB + TABLES);
  }
}

seeded(
  "what stays for long keeps its bytes wherever they are moved, and pins no memory",
  6,
  (random) => {
    const run = new LongStays(random);
    for (let step = 0; step < 4000; step++) {
      run.step();
      if (step % 500 === 499) run.check();
    }
    run.end();
  },
);

describe("memory", () => {
  test("of a flow whose messages are settled at once stays one segment", () => {
    const store = newStore();
    for (let message = 0; message < 30_000; message++) store.release(append(store, 100, message));
    expect(store.allocatedBytes).toBeLessThanOrEqual(MIB + TABLES);
  });

  test("of a flow with some messages under way stays a few segments", () => {
    const store = newStore();
    const underWay: number[] = [];
    let peakBytes = 0;
    for (let message = 0; message < 30_000; message++) {
      underWay.push(append(store, 100, message));
      if (underWay.length > 500) store.release(underWay.shift()!);
      peakBytes = Math.max(peakBytes, store.allocatedBytes);
    }
    expect(peakBytes).toBeLessThanOrEqual(2 * MIB + TABLES);
  });

  test("of a backlog is given back as it is worked off", () => {
    const store = newStore();
    const positions: number[] = [];
    for (let message = 0; message < 20_000; message++) positions.push(append(store, 1000, message));
    const atPeak = store.allocatedBytes;
    expect(atPeak).toBeGreaterThanOrEqual(20 * 1000 * 1000);
    expect(atPeak).toBeLessThanOrEqual(21 * MIB + TABLES);
    for (const position of positions.slice(0, 15_000)) store.release(position);
    expect(store.allocatedBytes).toBeLessThanOrEqual(7 * MIB + TABLES);
    for (const position of positions.slice(15_000).reverse()) store.release(position);
    expect(store.allocatedBytes).toBeLessThanOrEqual(MIB + TABLES);
  });

  test("of a large message is its own, and goes with it", () => {
    const store = newStore();
    for (const bytes of [MIB / 4, MIB, 5 * MIB + 1]) {
      const small = append(store, 10, 1);
      const large = append(store, bytes, 2);
      const after = append(store, 10, 3);
      expectIntact(store, large, bytes, 2);
      expect(store.allocatedBytes).toBeLessThanOrEqual(MIB + bytes + TABLES);
      store.release(large);
      expect(store.allocatedBytes).toBeLessThanOrEqual(MIB + TABLES);
      expectIntact(store, small, 10, 1);
      expectIntact(store, after, 10, 3);
      store.release(small);
      store.release(after);
    }
  });
});

describe("a few messages that stay while all around them go", () => {
  test("keep neither their segments nor anything but their bytes, and keep those", () => {
    const store = newStore();
    const kept: number[] = [];
    const gone: number[] = [];
    for (let message = 0; message < 100_000; message++) {
      const position = append(store, 200, message, holders);
      if (message % 1000 === 0) kept.push(position);
      else gone.push(position);
      if (gone.length < 5000) continue;
      for (const old of gone.splice(0)) for (const _ of holders) store.release(old);
    }
    expect(store.allocatedBytes).toBeLessThanOrEqual(11 * MIB);
    for (const [index, position] of kept.entries()) {
      expectIntact(store, position, 200, index * 1000);
      store.release(position);
      store.release(position);
      expectIntact(store, position, 200, index * 1000);
      store.release(position);
    }
    for (const old of gone) for (const _ of holders) store.release(old);
    expect(store.allocatedBytes).toBeLessThanOrEqual(MIB + TABLES);
  });
});

describe("a message", () => {
  test("of several holders stays until the last has let go, in whatever order", () => {
    const store = newStore();
    const position = append(store, 2 * MIB, 9, holders);
    for (let released = 1; released < holders.length; released++) {
      store.release(position);
      expectIntact(store, position, 2 * MIB, 9);
    }
    store.release(position);
    expect(store.allocatedBytes).toBeLessThanOrEqual(MIB + TABLES);
    expect(() => store.locate(position)).toThrow("is in no segment");
  });

  test("released more often than it is held is a bug that is noticed", () => {
    const store = newStore();
    const kept = append(store, 100, 1);
    const position = append(store, 100, 2);
    store.release(position);
    expect(() => store.release(position)).toThrow("released more often");
    expectIntact(store, kept, 100, 1);
    const large = append(store, 2 * MIB, 3);
    store.release(large);
    expect(() => store.release(large)).toThrow("is in no segment");
  });

  test("at any size fills a segment to its last byte and no further", () => {
    for (const bytes of [12, 59, 60, 1020, 4092, MIB / 4 - 4, MIB / 8 - 5]) {
      const store = newStore();
      const positions: number[] = [];
      while (store.allocatedBytes <= 2 * MIB)
        positions.push(append(store, bytes, positions.length));
      for (const [seed, position] of positions.entries())
        expectIntact(store, position, bytes, seed);
      expect(new Set(positions).size).toBe(positions.length);
    }
  });
});

describe("whoever waits for the flush", () => {
  test("is told once, at the end of the turn and never within the call", () => {
    const ends: (() => void)[] = [];
    const store = new TestStore(new Turn((run) => void ends.push(run)));
    const told: string[] = [];
    store.afterFlush({ onFlushed: () => void told.push("a") });
    store.afterFlush({
      onFlushed: () => {
        told.push("b");
        store.afterFlush({ onFlushed: () => void told.push("c") });
      },
    });
    expect(told).toEqual([]);
    for (const end of ends.splice(0)) end();
    expect(told).toEqual(["a", "b", "c"]);
    for (const end of ends.splice(0)) end();
    expect(told).toEqual(["a", "b", "c"]);
  });
});

describe("when messages may take no more memory", () => {
  const LIMIT = 3 * MIB;

  function newSpilling(disk = new SimulatedDisk(new Random(1))): {
    store: TestStore;
    disk: SimulatedDisk;
  } {
    const store = new TestStore(new Turn(() => undefined), new MemoryBudget(LIMIT), disk);
    return { store, disk };
  }

  test("they go to the disk, come back whole, and leave nothing there", () => {
    const { store, disk } = newSpilling();
    const positions: number[] = [];
    for (let message = 0; message < 20_000; message++) positions.push(append(store, 1000, message));
    expect(store.allocatedBytes).toBeLessThanOrEqual(LIMIT + TABLES);
    expect(disk.usedBytes).toBeGreaterThan(15 * MIB);
    for (const [seed, position] of positions.entries()) {
      if (seed % 7 > 0) continue;
      expectIntact(store, position, 1000, seed);
      expect(store.allocatedBytes).toBeLessThanOrEqual(LIMIT + TABLES);
    }
    for (const position of positions) store.release(position);
    expect(disk.list()).toEqual([]);
    expect(store.allocatedBytes).toBeLessThanOrEqual(MIB + TABLES);
  });

  test("buffers that wait to be used again are part of what they may take", () => {
    const budget = new MemoryBudget(LIMIT);
    const disk = new SimulatedDisk(new Random(1));
    const store = new TestStore(new Turn(() => undefined), budget, disk);
    for (let message = 0; message < 20_000; message++) {
      append(store, 1000, message);
      if (message % 50 < 49) continue;
      store.endTurn();
      // Fresh memory has been taken only up to the limit: from there on it is the same buffers again.
      expect(budget.usedBytes).toBeLessThanOrEqual(LIMIT + TABLES);
    }
    expect(budget.keptBytes).toBe(MIB);
  });

  test("the bytes that somebody looks at stay as they are for the turn", () => {
    const { store } = newSpilling();
    const first = append(store, 1000, 1);
    const { buffer, offset } = store.locate(first);
    for (let message = 0; message < 20_000; message++) append(store, 1000, message);
    expect(buffer.subarray(offset, offset + 1000).equals(octets(1000, 1))).toBe(true);
  });

  seeded("whatever is held keeps its bytes all the same", 15, (random) => {
    const { store } = newSpilling();
    const run = new Run(random, store);
    for (let step = 0; step < 600; step++) {
      if (random.chance(45)) run.release();
      else run.append();
      if (random.chance(5)) store.endTurn();
      if (step % 100 === 0) run.check();
    }
    run.check();
    while (run.waiting > 0) run.release();
    expect(store.allocatedBytes).toBeLessThanOrEqual(MIB + TABLES);
  });

  test("and the disk is full, they stay in memory until there is space again", () => {
    const disk = new SimulatedDisk(new Random(1));
    const troubles: (string | undefined)[] = [];
    const budget = new MemoryBudget(LIMIT);
    const onWriteTrouble = (error: Error | undefined) => void troubles.push(error?.message);
    const turn = new Turn(() => undefined);
    const store = new MemoryStore({ turn, budget, disk, onWriteTrouble });
    disk.capacityBytes = 0;
    const positions: number[] = [];
    for (let message = 0; message < 5000; message++) positions.push(append(store, 1000, message));
    expect(new Set(troubles)).toEqual(new Set(["ENOSPC: simulated"]));
    expect(budget.usedBytes).toBeGreaterThan(4 * MIB);
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    budget.makeRoom(0);
    expect(troubles.at(-1)).toBeUndefined();
    expect(budget.usedBytes - budget.keptBytes).toBeLessThanOrEqual(LIMIT + TABLES);
    for (const [seed, position] of positions.entries()) expectIntact(store, position, 1000, seed);
  });

  test("what the process before has left on the disk goes", () => {
    const { store, disk } = newSpilling();
    for (let message = 0; message < 5000; message++) append(store, 1000, message);
    expect(disk.list()).not.toEqual([]);
    newSpilling(disk);
    expect(disk.list()).toEqual([]);
  });
});

describe("a disk that fails", () => {
  /** A store with room for a few segments, of which most are on the disk. */
  function spilled(): { store: MemoryStore; disk: SimulatedDisk; positions: number[] } {
    const disk = new SimulatedDisk(new Random(1));
    const turn = new Turn(() => undefined);
    const budget = new MemoryBudget(4 * MIB);
    const store = new MemoryStore({ turn, budget, disk, onWriteTrouble: () => undefined });
    const positions: number[] = [];
    for (let index = 0; index < 1600; index++) {
      positions.push(append(store, 10_000, index));
      if (index % 20 === 0) turn.run();
    }
    expect(disk.list().length).toBeGreaterThan(5);
    return { store, disk, positions };
  }

  test("is no matter for who lets go of messages, and those that stay can be read afterwards", () => {
    for (const operation of ["read", "open", "remove"] as const) {
      const { store, disk, positions } = spilled();
      disk.failing.add(operation);
      for (const [index, position] of positions.entries())
        if (index % 50 !== 0) store.release(position);
      disk.failing.clear();
      for (let index = 0; index < positions.length; index += 50) {
        const { buffer, offset } = store.locate(positions[index]!);
        expect(buffer.subarray(offset, offset + 10_000).equals(octets(10_000, index))).toBe(true);
      }
    }
  });

  test("says so before a message is taken for read", () => {
    const { store, disk, positions } = spilled();
    disk.failing.add("read");
    expect(() => store.isWhole(positions[0]!)).toThrow("EIO");
    disk.failing.clear();
    expect(store.isWhole(positions[0]!)).toBe(true);
  });

  test("and is full keeps nothing of a segment that it did not take", () => {
    const disk = new SimulatedDisk(new Random(1));
    disk.capacityBytes = MIB / 2;
    const turn = new Turn(() => undefined);
    const budget = new MemoryBudget(2 * MIB);
    const troubles: unknown[] = [];
    const onWriteTrouble = (error: Error | undefined): void => void troubles.push(error);
    const store = new MemoryStore({ turn, budget, disk, onWriteTrouble });
    for (let index = 0; index < 500; index++) append(store, 10_000, index);
    expect(troubles.length).toBeGreaterThan(0);
    expect(disk.list()).toEqual([]);
  });
});
