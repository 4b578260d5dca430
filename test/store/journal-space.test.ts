/** The disk that a journal uses follows what is held, whatever stays and whatever passes through; and what it does in trouble. */
import { describe, expect, test } from "vitest";
import { Journal, type JournalOptions } from "../../src/store/journal.ts";
import { recoverJournal } from "../../src/store/journal-recovery.ts";
import { MemoryBudget } from "../../src/store/memory-budget.ts";
import type { Holder } from "../../src/store/message-store.ts";
import { Turn } from "../../src/turn.ts";
import { Random } from "../seeded.ts";
import { recoveredMessages, SALT } from "./journal-bytes.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

const SEGMENT_BYTES = 16_384;
/** Beyond twice what is held. */
const SPARE_BYTES = 5 * SEGMENT_BYTES;
/** With its header and its queue, and what the index has of it. */
const RECORD_BYTES = 28 + 18;

const [one, other] = [1, 2].map((id) => ({ id, persists: true })) as [Holder, Holder];

interface Held {
  readonly position: number;
  readonly bytes: number;
  readonly holder: Holder;
}

class Store {
  readonly disk: SimulatedDisk;
  readonly turn = new Turn(() => undefined);
  readonly troubles: (string | undefined)[] = [];
  readonly syncErrors: string[] = [];
  readonly options: JournalOptions;
  readonly journal: Journal;
  heldBytes = 0;

  constructor(memoryBytes = 1 << 20, disk = new SimulatedDisk(new Random(1))) {
    this.disk = disk;
    this.options = {
      disk,
      turn: this.turn,
      segmentBytes: SEGMENT_BYTES,
      budget: new MemoryBudget(memoryBytes),
      salt: () => SALT,
      onDamage: ({ segment }) => {
        throw new Error(`${segment.name} is damaged`);
      },
      sync: "always",
      onSyncFailed: (error) => void this.syncErrors.push(error.message),
      onWriteTrouble: (error) => void this.troubles.push(error?.message),
    };
    this.journal = new Journal(this.options);
  }

  append(bytes: number, holder: Holder, label = 0): Held {
    const position = this.journal.append(bytes, [holder], label);
    const { buffer, offset } = this.journal.locate(position);
    buffer.fill(bytes, offset, offset + bytes);
    this.heldBytes += bytes + RECORD_BYTES;
    return { position, bytes, holder };
  }

  release({ position, bytes, holder }: Held): void {
    this.journal.release(position, holder);
    this.heldBytes -= bytes + RECORD_BYTES;
  }

  check({ position, bytes }: Held): void {
    const { buffer, offset } = this.journal.locate(position);
    const expected = Buffer.alloc(bytes, bytes);
    expect(buffer.subarray(offset, offset + bytes).equals(expected)).toBe(true);
  }

  /** Ends the turn, and looks at what is used. */
  endTurn(): void {
    this.turn.run();
    this.disk.completeSyncs();
    expect(this.journal.usedBytes).toBeLessThanOrEqual(2 * this.heldBytes + SPARE_BYTES);
    expect(this.disk.usedBytes).toBe(this.journal.usedBytes);
  }

  told(): { isTold: boolean } {
    const listener = {
      isTold: false,
      onFlushed: (): void => {
        listener.isTold = true;
      },
    };
    this.journal.afterFlush(listener);
    return listener;
  }
}

describe("the disk that is used stays below twice what is held and a few segments", () => {
  /** What passes through is settled a little later; what stays is there from the beginning, and in between. */
  function passThrough(passingBytes: number, stayingBytes: number, turns: number): void {
    const store = new Store();
    const staying: Held[] = [];
    const passing: Held[] = [];
    for (let turn = 0; turn < turns; turn++) {
      if (turn % 40 === 0) staying.push(store.append(stayingBytes, one));
      passing.push(store.append(passingBytes, other));
      if (passing.length > 10) store.release(passing.shift()!);
      store.endTurn();
    }
    for (const held of [...staying, ...passing]) store.check(held);
  }

  test("when many messages pass few that stay", () => passThrough(500, 500, 5000));

  test("when large messages pass small ones that stay", () => passThrough(6000, 10, 1000));

  test("when small messages pass large ones that stay", () => passThrough(20, 6000, 5000));

  test("when every message has a segment of its own", () => passThrough(20_000, 10, 500));

  test("when a message is delivered and requeued for ever", () => {
    const store = new Store();
    const held = [store.append(100, one), store.append(100, one)];
    for (let turn = 0; turn < 20_000; turn++) {
      const deliveries = turn % 2 === 0 ? 1 : 1 + turn;
      store.journal.noteDelivered(one.id, held[turn % 2]!.position, deliveries);
      store.endTurn();
    }
    for (const message of held) store.check(message);
  });

  test("and how often messages were delivered is kept while they move again and again", () => {
    const store = new Store();
    const staying = [5, 2, 1, 0].map((deliveries) => {
      const held = store.append(100, one);
      for (let time = 1; time <= deliveries; time++)
        store.journal.noteDelivered(one.id, held.position, time);
      return held;
    });
    const passing: Held[] = [];
    for (let turn = 0; turn < 2000; turn++) {
      passing.push(store.append(500, other));
      if (passing.length > 10) store.release(passing.shift()!);
      store.endTurn();
    }
    store.release(staying[1]!);
    store.endTurn();
    const turn = new Turn(() => undefined);
    const options = { ...store.options, disk: store.disk.crash("kill"), turn };
    const recovery = recoverJournal(options);
    const back = recoveredMessages(recovery).filter(({ queueId }) => queueId === one.id);
    expect(back.map(({ position, deliveries }) => [position, deliveries])).toEqual([
      [staying[0]!.position, 5],
      [staying[2]!.position, 1],
      [staying[3]!.position, 0],
    ]);
  });

  test("when a backlog is purged, or worked off from its end", () => {
    for (const order of ["first", "last"]) {
      const store = new Store(SEGMENT_BYTES);
      const held: Held[] = [];
      for (let message = 0; message < 2000; message++) held.push(store.append(200, one));
      store.endTurn();
      for (let count = 0; held.length > 0; count++) {
        store.release(order === "first" ? held.shift()! : held.pop()!);
        if (count % 10 === 0) store.endTurn();
      }
      store.endTurn();
    }
  });
});

describe("with little memory a backlog is read back a segment at a time, not a message,", () => {
  class CountingDisk extends SimulatedDisk {
    reads = 0;

    override mayRead(): void {
      this.reads++;
      super.mayRead();
    }
  }

  test.each([
    ["small", 200],
    ["large", 5000],
  ])("of %s messages, while others pass", (_, bytes) => {
    const disk = new CountingDisk(new Random(1));
    const store = new Store(3 * SEGMENT_BYTES, disk);
    const held: Held[] = [];
    const count = Math.floor((40 * SEGMENT_BYTES) / bytes);
    for (let message = 0; message < count; message++) {
      held.push(store.append(bytes, one));
      if (message % 7 === 0) store.endTurn();
    }
    expect(disk.reads).toBe(0);
    const segments = disk.list().length;
    for (const message of held) {
      const passing = store.append(bytes >> 3, other);
      store.check(message);
      store.release(message);
      store.release(passing);
      store.endTurn();
    }
    expect(disk.reads).toBeGreaterThan(segments / 2);
    // Some come back once more, when the head of the log is cleared out.
    expect(disk.reads).toBeLessThanOrEqual(2 * segments);
  });
});

describe("trouble", () => {
  test("of a disk that is full is told, and whoever waits is told only when there is space again", () => {
    const store = new Store();
    const { disk, journal, turn, troubles } = store;
    store.append(1000, one);
    disk.capacityBytes = 300;
    const listener = store.told();
    turn.run();
    disk.completeSyncs();
    expect([listener.isTold, troubles]).toEqual([false, ["ENOSPC: simulated"]]);
    disk.capacityBytes = 1 << 20;
    journal.flush();
    disk.completeSyncs();
    expect([listener.isTold, troubles]).toEqual([true, ["ENOSPC: simulated", undefined]]);
  });

  test("of a sync is told, and nobody who waited for it is told that anything is safe", () => {
    const store = new Store();
    store.append(100, one);
    const first = store.told();
    store.turn.run();
    store.disk.failing.add("sync");
    store.disk.completeSyncs();
    store.disk.failing.clear();
    const second = store.told();
    store.turn.run();
    store.disk.completeSyncs();
    expect(store.syncErrors).toEqual(["EIO: simulated"]);
    expect([first.isTold, second.isTold]).toEqual([false, false]);
  });

  test("of a disk that is full is no damage to what could not be written, whoever verifies meanwhile", () => {
    const store = new Store();
    store.disk.capacityBytes = 300;
    const held = Array.from({ length: 5 }, () => store.append(10_000, one));
    store.turn.run();
    while (store.journal.verifyNext());
    for (const message of held) store.check(message);
    expect(store.troubles).toEqual(["ENOSPC: simulated"]);
  });

  test("of a new segment's file is told, and everything is safe when it can be made", () => {
    for (const operation of ["open", "syncFolder"] as const) {
      const store = new Store();
      store.append(10_000, one, 1);
      const listener = store.told();
      store.disk.failing.add(operation);
      store.append(10_000, one, 2);
      store.turn.run();
      store.disk.completeSyncs();
      expect([listener.isTold, store.troubles]).toEqual([false, ["EIO: simulated"]]);
      store.disk.failing.clear();
      store.journal.flush();
      store.disk.completeSyncs();
      const labels: number[] = [];
      const recovery = recoverJournal(new Store(1 << 20, store.disk.crash("power")).options);
      for (const { label } of recoveredMessages(recovery)) labels.push(label);
      expect([listener.isTold, labels]).toEqual([true, [1, 2]]);
      expect(store.troubles).toEqual(["EIO: simulated", undefined]);
    }
  });

  test("of a file that cannot be read is told to whoever reads it, and not taken for its bytes", () => {
    const store = new Store(1);
    const held = Array.from({ length: 6 }, () => {
      const message = store.append(10_000, one);
      // Only what has been synced is closed.
      store.told();
      store.endTurn();
      return message;
    });
    for (const operation of ["open", "read"] as const) {
      store.disk.failing.add(operation);
      // Twice: the first failure must not leave anything behind.
      for (let time = 0; time < 2; time++)
        expect(() => store.journal.locate(held[0]!.position)).toThrow("EIO");
      store.disk.failing.clear();
      // The last one takes the first one's memory.
      for (const message of held) store.check(message);
    }
  });

  test("of a sync that is under way when the journal is closed is none", () => {
    const store = new Store();
    store.append(100, one);
    store.told();
    store.turn.run();
    store.append(100, one);
    store.told();
    store.journal.close();
    store.disk.completeSyncs();
    expect([store.syncErrors, store.troubles]).toEqual([[], []]);
  });
});

test("of a queue that is gone it is not known any more how far it has delivered", () => {
  const store = new Store();
  const kept = [store.append(100, one), store.append(100, other)];
  for (const { position, holder } of kept) store.journal.noteDelivered(holder.id, position);
  store.endTurn();
  store.journal.forget(other.id);
  // Both move, and what said that they were delivered goes.
  for (let turn = 0; turn < 200; turn++) {
    for (let count = 0; count < 50; count++) store.release(store.append(500, one));
    store.endTurn();
  }
  const { forEachRun } = recoverJournal({ ...store.options, disk: store.disk.crash("kill") });
  const deliveries = new Map<number, number>();
  forEachRun((run) => void deliveries.set(run.queueId, run.deliveries));
  expect([deliveries.get(one.id), deliveries.get(other.id)]).toEqual([1, 0]);
});

test("what is held counts right beside messages of more than 4 MiB, also after a restart", () => {
  const MIB = 1 << 20;
  const store = new Store(64 * MIB);
  const options = { ...store.options, segmentBytes: 8 * MIB };
  let journal = new Journal(options);
  const append = (bytes: number): number => {
    const position = journal.append(bytes, [one], 7);
    const { buffer, offset } = journal.locate(position);
    buffer.fill(1, offset, offset + bytes);
    return position;
  };
  const small = (): void => {
    for (let count = 0; count < 1000; count++) append(1000);
  };
  const isAbout = (bytes: number): void => {
    expect(journal.heldBytes).toBeGreaterThanOrEqual(bytes);
    expect(journal.heldBytes).toBeLessThan(bytes * 1.1);
  };
  const large = [append(5 * MIB)];
  small();
  isAbout(5 * MIB + 1_000_000);
  journal.release(large[0]!, one);
  isAbout(1_000_000);
  large.push(append(6 * MIB));
  small();
  isAbout(6 * MIB + 2_000_000);
  store.turn.run();
  const after = { ...options, disk: store.disk.crash("kill"), budget: new MemoryBudget(64 * MIB) };
  journal = recoverJournal(after).journal;
  isAbout(6 * MIB + 2_000_000);
  small();
  journal.release(large[1]!, one);
  isAbout(3_000_000);
});

test.each(["remove", "syncFolder"] as const)(
  "a disk that fails to %s is in trouble until it does, and not well again with each write",
  (operation) => {
    const store = new Store();
    const turns = (count: number): void => {
      for (let turn = 0; turn < count; turn++) {
        for (let index = 0; index < 20; index++) store.release(store.append(500, one));
        store.turn.run();
        store.disk.completeSyncs();
      }
    };
    store.disk.failing.add(operation);
    turns(100);
    expect(new Set(store.troubles)).toEqual(new Set(["EIO: simulated"]));
    store.disk.failing.clear();
    turns(3);
    expect(store.troubles.filter((trouble) => trouble === undefined)).toHaveLength(1);
    expect(store.troubles.at(-1)).toBe(undefined);
    store.endTurn();
    // Nothing is given back twice.
    const { budget } = store.options;
    expect(budget.usedBytes - budget.keptBytes).toBeGreaterThan(0);
  },
);

describe("what is kept about messages", () => {
  const COUNT = 3000;

  test("that have moved counts as memory, goes with them, and comes back in long runs", () => {
    const store = new Store();
    const staying = Array.from({ length: COUNT }, () => store.append(20, one, 7));
    store.endTurn();
    const { options, journal } = store;
    const before = options.budget.usedBytes;
    for (let turn = 0; turn < 3 * COUNT; turn++) {
      store.release(store.append(20, other));
      if (turn % 50 === 0) store.endTurn();
    }
    store.endTurn();
    // More than for a segment that was in memory then and now is not.
    expect(options.budget.usedBytes - before + SEGMENT_BYTES).toBeGreaterThan(COUNT * 16);
    const disk = store.disk.clone(new Random(2));
    const runs: unknown[] = [];
    const after = { ...options, disk, budget: new MemoryBudget(1 << 20) };
    recoverJournal(after).forEachRun((run) => void runs.push(run));
    expect(runs.length).toBeLessThan(COUNT / 20);
    for (const held of staying) store.release(held);
    journal.close();
    expect(options.budget.usedBytes - options.budget.keptBytes).toBe(0);
  });

  test("that one of several queues is done with takes a bit each", () => {
    const store = new Store();
    const { options, journal } = store;
    const positions = Array.from({ length: COUNT }, () => journal.append(20, [one, other], 7));
    const before = options.budget.usedBytes;
    for (const position of positions) journal.release(position, other);
    expect(options.budget.usedBytes - before).toBeLessThan(COUNT);
    store.turn.run();
    const runs: object[] = [];
    const disk = store.disk.clone(new Random(2));
    const after = { ...options, disk, budget: new MemoryBudget(1 << 20) };
    recoverJournal(after).forEachRun((run) => void runs.push(run));
    expect(runs.length).toBeLessThan(COUNT / 20);
    for (const run of runs) expect(run).toMatchObject({ queueId: one.id });
  });
});
