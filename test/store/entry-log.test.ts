/** The log of what exists: nothing that was said to be there is lost, whatever a crash leaves of the last write. */
import { describe, expect, test } from "vitest";
import { EntryLog } from "../../src/store/entry-log.ts";
import { contentEnd } from "../../src/store/room-ahead.ts";
import { Turn } from "../../src/turn.ts";
import { Random, seeded } from "../seeded.ts";
import { answersTopologyBeforeSync } from "./broken-disk.ts";
import { Cut, type Sabotage, SimulatedDisk } from "./simulated-disk.ts";

type Entry = { op: "set"; key: string; value: number } | { op: "delete"; key: string };

const NAME = "topology";

/** What exists, by the entries. */
function apply(map: Map<string, number>, entry: Entry): void {
  if (entry.op === "set") map.set(entry.key, entry.value);
  else map.delete(entry.key);
}

function needed(map: ReadonlyMap<string, number>): Entry[] {
  return [...map].map(([key, value]) => ({ op: "set", key, value }));
}

class Opened {
  readonly map = new Map<string, number>();
  readonly turn = new Turn(() => undefined);
  readonly log: EntryLog<Entry>;
  readonly entries: readonly Entry[];

  constructor(disk: SimulatedDisk) {
    this.log = new EntryLog<Entry>(disk, this.turn, NAME, () => needed(this.map));
    this.entries = this.log.read();
    for (const entry of this.entries) apply(this.map, entry);
  }

  /** Throws, and nothing has changed, when the disk does not take it. */
  add(entry: Entry): void {
    this.log.append(entry);
    apply(this.map, entry);
  }

  /** Something that has happened, whether or not the disk takes it. */
  happen(entry: Entry): void {
    apply(this.map, entry);
    this.log.defer(entry);
  }
}

function text(map: ReadonlyMap<string, number>): string {
  return JSON.stringify([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function draw(random: Random): Entry {
  const key = `${random.pick(["orders", "Grüße", "a".repeat(300)])}-${random.below(20)}`;
  return random.chance(70) ? { op: "set", key, value: random.below(1000) } : { op: "delete", key };
}

function addUnlessFull(opened: Opened, entry: Entry): void {
  const before = text(opened.map);
  try {
    opened.add(entry);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith("ENOSPC"))) throw error;
    expect(text(opened.map)).toBe(before);
  }
}

function fillOrFree(random: Random, disk: SimulatedDisk): void {
  if (random.chance(20)) disk.capacityBytes = disk.usedBytes + random.below(2000);
  if (random.chance(20)) disk.capacityBytes = Number.POSITIVE_INFINITY;
}

/**
 * Works until the process ends. Returns what may exist then: what did when the last turn ended with nothing waiting, and then
 * after each entry.
 */
function oneLife(random: Random, disk: SimulatedDisk, exists: string): string[] {
  let possible = [exists];
  try {
    const opened = new Opened(disk);
    expect(text(opened.map)).toBe(exists);
    for (;;) {
      fillOrFree(random, disk);
      for (let count = random.between(1, random.chance(10) ? 300 : 6); count > 0; count--) {
        if (random.chance(20)) opened.happen(draw(random));
        else addUnlessFull(opened, draw(random));
        possible.push(text(opened.map));
      }
      const nothingWaits = opened.log.retry();
      opened.turn.run();
      if (nothingWaits) possible = possible.slice(-1);
    }
  } catch (error) {
    if (!(error instanceof Cut)) throw error;
  }
  return possible;
}

function liveAndCrash(random: Random, sabotage: Sabotage = {}): void {
  let disk = new SimulatedDisk(random, sabotage);
  disk.namesInOrder = true;
  let exists = "[]";
  for (let life = 0; life < 4; life++) {
    disk.cutAt = disk.operations + random.between(1, 120);
    const possible = oneLife(random, disk, exists);
    disk = disk.crash(random.chance(50) ? "power" : "kill");
    disk.cutAt = Number.POSITIVE_INFINITY;
    exists = text(new Opened(disk).map);
    expect(possible).toContain(exists);
  }
}

seeded(
  "after a crash nothing is lost of a turn that has ended, and nothing has changed its order, on a disk that fills up",
  60,
  (random) => liveAndCrash(random),
);

test("it is noticed when something is answered before its sync", () => {
  let noticed = 0;
  for (let seed = 1; seed <= 20; seed++) {
    try {
      liveAndCrash(new Random(seed), answersTopologyBeforeSync);
    } catch {
      noticed++;
    }
  }
  expect(noticed).toBeGreaterThan(5);
});

describe("of a log that is damaged", () => {
  const disk = new SimulatedDisk(new Random(1));
  const written = new Opened(disk);
  const ends = [0];

  for (let value = 0; value < 5; value++) {
    written.add({ op: "set", key: `queue-${value}`, value });
    written.turn.run();
    ends.push(contentEnd(disk.bytesOf(NAME)));
  }

  const whole = Buffer.from(disk.bytesOf(NAME)).subarray(0, ends.at(-1));

  function readBack(bytes: Buffer) {
    const damaged = new SimulatedDisk(new Random(1));
    damaged.put(NAME, bytes);
    const opened = new Opened(damaged);
    const { cutBytes, damagedBytes, isIncomplete } = opened.log;
    expect(isIncomplete).toBe(damagedBytes > 0);
    if (damagedBytes > 0) expect(damaged.bytesOf(`${NAME}.damaged`)).toEqual(bytes);
    opened.add({ op: "set", key: "later", value: 99 });
    opened.turn.run();
    const again = new Opened(damaged.crash("power"));
    expect([again.log.cutBytes, again.log.damagedBytes]).toEqual([0, 0]);
    expect(again.log.isIncomplete).toBe(isIncomplete);
    return {
      values: opened.entries.map((entry) => (entry.op === "set" ? entry.value : -1)),
      cutBytes,
      damagedBytes,
      after: again.entries.length - opened.entries.length,
    };
  }

  /** Entries that lie before `at`. */
  function entriesBefore(at: number): number {
    return ends.filter((end) => end > 0 && end <= at).length;
  }

  function expectCut(bytes: Buffer, at: number): void {
    const count = entriesBefore(at);
    expect(readBack(bytes)).toEqual({
      values: [0, 1, 2, 3, 4].slice(0, count),
      cutBytes: contentEnd(bytes) - ends[count]!,
      damagedBytes: 0,
      after: 1,
    });
  }

  /** That an entry was on the disk can be known only from a later turn's. */
  function expectWithout(lost: number, bytes: Buffer): void {
    expect(readBack(bytes)).toEqual({
      values: [0, 1, 2, 3, 4].filter((value) => value !== lost),
      cutBytes: 0,
      damagedBytes: ends[lost + 1]! - ends[lost]!,
      after: 1,
    });
  }

  test("all before a cut is there, wherever it is", () => {
    for (let at = 0; at <= whole.length; at++) expectCut(Buffer.from(whole.subarray(0, at)), at);
  });

  test("all but the entry with a changed byte is there, wherever it is, and a copy is kept aside", () => {
    for (let at = 0; at < whole.length; at++) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0x10;
      const lost = entriesBefore(at);
      if (lost < 4) expectWithout(lost, bytes);
      else expectCut(bytes, at);
    }
  });

  test("what a loss of power kept of a turn behind what it did not is cut off", () => {
    const torn = new SimulatedDisk(new Random(1));
    const opened = new Opened(torn);
    opened.add({ op: "set", key: "a", value: 0 });
    opened.turn.run();
    const from = contentEnd(torn.bytesOf(NAME));
    opened.add({ op: "set", key: "b", value: 1 });
    const to = contentEnd(torn.bytesOf(NAME));
    opened.add({ op: "set", key: "c", value: 2 });
    const bytes = Buffer.from(torn.bytesOf(NAME)).fill(0, from, to);
    expect(readBack(bytes)).toMatchObject({ values: [0], damagedBytes: 0, after: 1 });
  });

  test("for whose copy there is no space all that is whole is there all the same, and found again", () => {
    const bytes = Buffer.from(whole);
    bytes[20]! ^= 1;
    const full = new SimulatedDisk(new Random(1));
    full.put(NAME, bytes);
    full.capacityBytes = full.usedBytes + 10;
    for (let start = 0; start < 2; start++) {
      const opened = new Opened(full);
      expect(opened.entries).toHaveLength(4);
      expect(opened.log.damagedBytes).toBe(ends[1]);
    }
  });

  test("all before zeros is there, wherever they begin", () => {
    for (let at = 0; at < whole.length; at++) {
      const bytes = Buffer.from(whole);
      bytes.fill(0, at);
      expectCut(bytes, at);
    }
    for (const zeros of [1, 7, 8, 9, 4096])
      expectCut(Buffer.concat([whole, Buffer.alloc(zeros)]), whole.length);
  });

  test("all before garbage is there", () => {
    const random = new Random(2);
    for (let count = 1; count < 100; count++)
      expectCut(Buffer.concat([whole, random.bytes(count)]), whole.length);
  });
});

describe("a log", () => {
  test("that has grown far beyond what is needed is replaced by what is needed", () => {
    const disk = new SimulatedDisk(new Random(1));
    const opened = new Opened(disk);
    for (let value = 0; value < 20_000; value++) {
      opened.add({ op: "set", key: `key-${value % 3}`, value });
      if (value % 100 === 99) opened.turn.run();
    }
    expect(disk.bytesOf(NAME).length).toBeLessThan(1200 * 60);
    expect(disk.list()).toEqual([NAME]);
    const again = new Opened(disk.crash("power"));
    expect(text(again.map)).toBe(text(opened.map));
  });

  test("is on the disk with its name when its first turn has ended", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const disk = new SimulatedDisk(new Random(seed));
      const opened = new Opened(disk);
      opened.add({ op: "set", key: "a", value: 1 });
      opened.turn.run();
      expect(new Opened(disk.crash("power")).entries).toHaveLength(1);
    }
  });

  test("refuses what cannot be written, keeps what happened all the same, and goes on when there is space", () => {
    const disk = new SimulatedDisk(new Random(1));
    const opened = new Opened(disk);
    opened.add({ op: "set", key: "a", value: 1 });
    opened.turn.run();
    disk.capacityBytes = disk.usedBytes + 5;
    expect(() => opened.add({ op: "set", key: "refused", value: 2 })).toThrow("ENOSPC");
    opened.happen({ op: "delete", key: "a" });
    expect(opened.log.retry()).toBe(false);
    opened.turn.run();
    expect(readKeys(disk)).toEqual(["a"]);
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    opened.add({ op: "set", key: "b", value: 3 });
    opened.turn.run();
    expect(readKeys(disk)).toEqual(["b"]);
  });

  test("does not try a full disk again for each of many things that happen", () => {
    const disk = new SimulatedDisk(new Random(1));
    const opened = new Opened(disk);
    disk.capacityBytes = disk.usedBytes;
    for (let value = 0; value < 500; value++) opened.happen({ op: "set", key: `${value}`, value });
    expect(disk.faults).toBe(1);
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    expect(opened.log.retry()).toBe(true);
    opened.turn.run();
    expect(readKeys(disk)).toHaveLength(500);
  });

  test("writes what waits when it is tried again, and when it is closed", () => {
    for (const act of ["retry", "close"] as const) {
      const disk = new SimulatedDisk(new Random(1));
      const opened = new Opened(disk);
      opened.add({ op: "set", key: "a", value: 1 });
      disk.failing.add("write");
      opened.happen({ op: "delete", key: "a" });
      disk.failing.clear();
      opened.log[act]();
      opened.turn.run();
      expect(readKeys(disk)).toEqual([]);
    }
  });

  test("for whose replacement there is no space stays as it is, until there is", () => {
    const disk = new SimulatedDisk(new Random(1));
    const opened = new Opened(disk);
    const change = (value: number): void => {
      opened.add({ op: "set", key: "a".repeat(500 + (value % 2)), value });
      opened.turn.run();
    };
    for (let value = 0; value < 990; value++) change(value);
    disk.capacityBytes = disk.usedBytes + 20_000;
    for (let value = 990; value < 1020; value++) change(value);
    expect(disk.list()).toContain(NAME);
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    for (let value = 1020; value < 3000; value++) change(value);
    expect(disk.bytesOf(NAME).length).toBeLessThan(1200 * 600);
    expect(readKeys(disk)).toHaveLength(2);
  });

  test("whose process was killed before its name was safe is not gone with a loss of power in the next life", () => {
    for (let cutAt = 1; cutAt <= 3; cutAt++) {
      const disk = new SimulatedDisk(new Random(cutAt));
      disk.cutAt = cutAt;
      expect(() => new Opened(disk)).toThrow(Cut);
      const next = disk.crash("kill");
      const opened = new Opened(next);
      opened.add({ op: "set", key: "a", value: 1 });
      opened.turn.run();
      for (let loss = 0; loss < 10; loss++)
        expect([...new Opened(next.clone(new Random(loss)).crash("power")).map.keys()]).toEqual([
          "a",
        ]);
    }
  });

  test("that the disk cannot sync throws at the end of the turn", () => {
    const disk = new SimulatedDisk(new Random(1));
    const opened = new Opened(disk);
    opened.add({ op: "set", key: "a", value: 1 });
    disk.failing.add("sync");
    expect(() => opened.turn.run()).toThrow("EIO");
    disk.failing.clear();
    // Not even later is anybody to believe that it did.
    for (const act of ["flush", "close"] as const) expect(() => opened.log[act]()).toThrow("EIO");
  });
});

/** The keys that a loss of power would leave. */
function readKeys(disk: SimulatedDisk): string[] {
  return [...new Opened(disk.clone(new Random(1)).crash("power")).map.keys()];
}
