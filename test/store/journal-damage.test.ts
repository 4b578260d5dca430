/**
 * A journal that was damaged while nobody looked: what is valid is loaded, what is not is reported, and nothing is made up.
 *
 * Every flush of the journals here was on the disk, so that damage before the last block is never what a crash leaves.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { Journal, type JournalOptions, segmentFileName } from "../../src/store/journal.ts";
import { type Recovery, recoverJournal } from "../../src/store/journal-recovery.ts";
import type { Holder } from "../../src/store/message-store.ts";
import { Turn } from "../../src/turn.ts";
import { Random } from "../seeded.ts";
import { reseal, walkBlocks, walkRecords } from "./journal-bytes.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

const queues: readonly Holder[] = [1, 2].map((id) => ({ id, persists: true }));
const FIRST = segmentFileName(1);

function optionsFor(disk: SimulatedDisk, segmentBytes = 1 << 16): JournalOptions & { turn: Turn } {
  return {
    disk,
    turn: new Turn(() => undefined),
    segmentBytes,
    residentBytesMax: 1 << 20,
    sync: "always",
    onSyncFailed: (error) => {
      throw error;
    },
    onWriteTrouble: (error) => {
      if (error !== undefined) throw error;
    },
  };
}

function append(journal: Journal, label: number, bytes: Buffer, holders = queues): number {
  const position = journal.append(bytes.length, holders, label);
  const { buffer, offset } = journal.locate(position);
  bytes.copy(buffer, offset);
  return position;
}

/** Ends the turn, and waits until it is on the disk. */
function endTurn(journal: Journal, disk: SimulatedDisk, turn: Turn): void {
  let isSafe = false;
  journal.afterFlush({
    onFlushed: () => {
      isSafe = true;
    },
  });
  turn.run();
  disk.completeSyncs();
  expect(isSafe).toBe(true);
}

/** By queue the labels of what has come back. */
function labelsOf({ forEachMessage }: Pick<Recovery, "forEachMessage">): [number[], number[]] {
  const labels: [number[], number[]] = [[], []];
  forEachMessage((queueId, _position, label) => void labels[queueId - 1]!.push(label));
  return labels;
}

/** What one flush does, in labels: the message appended, and what the first queue is done with. */
interface Flush {
  readonly appended: number;
  readonly settled: number[];
}

const flushes: readonly Flush[] = [
  { appended: 1, settled: [] },
  { appended: 2, settled: [] },
  { appended: 3, settled: [1] },
  { appended: 4, settled: [] },
  { appended: 5, settled: [4] },
  { appended: 6, settled: [2, 3] },
];

/** The labels in both queues when these flushes count. */
function labelsAfter(counting: readonly Flush[]): [number[], number[]] {
  const appended = counting.map((flush) => flush.appended);
  const settled = counting.flatMap((flush) => flush.settled);
  return [appended.filter((label) => !settled.includes(label)), appended];
}

/** One segment with a block for each flush. */
function smallJournal(): Buffer {
  const disk = new SimulatedDisk(new Random(1));
  const options = optionsFor(disk);
  const journal = new Journal(options);
  const positions = new Map<number, number>();
  for (const { appended, settled } of flushes) {
    positions.set(appended, append(journal, appended, Buffer.alloc(5, appended)));
    for (const label of settled) journal.release(positions.get(label)!, queues[0]!);
    endTurn(journal, disk, options.turn);
  }
  return Buffer.from(disk.bytesOf(FIRST));
}

const whole = smallJournal();
const ends = walkBlocks(whole).map(({ end }) => end);

function recover(bytes: Buffer): { recovery: Recovery; disk: SimulatedDisk; turn: Turn } {
  const disk = new SimulatedDisk(new Random(1));
  disk.put(FIRST, bytes);
  const options = optionsFor(disk);
  return { recovery: recoverJournal(options), disk, turn: options.turn };
}

/** What is written after recovery comes back with the rest after the next one. */
function expectGoesOn({ recovery, disk, turn }: ReturnType<typeof recover>): void {
  const [one, other] = labelsOf(recovery);
  append(recovery.journal, 99, Buffer.from("later"));
  endTurn(recovery.journal, disk, turn);
  const again = recoverJournal(optionsFor(disk.crash("power")));
  expect(labelsOf(again)).toEqual([
    [...one, 99],
    [...other, 99],
  ]);
}

/** Everything up to `at` is there, and what follows is reported as the end that a crash leaves. */
function expectTornAt(bytes: Buffer, at: number): void {
  const count = ends.filter((end) => end <= at).length;
  const end = count === 0 ? 0 : ends[count - 1]!;
  const recovered = recover(bytes);
  expect(labelsOf(recovered.recovery)).toEqual(labelsAfter(flushes.slice(0, count)));
  const torn = { segment: FIRST, offset: end, bytes: bytes.length - end, kind: "torn end" };
  expect(recovered.recovery.damage).toEqual(bytes.length === end ? [] : [torn]);
  expect(recovered.disk.bytesOf(FIRST)).toHaveLength(end);
  expectGoesOn(recovered);
}

test("the journal that is damaged here has a block for each flush", () => {
  expect(ends).toHaveLength(flushes.length);
  expect(ends.at(-1)).toBe(whole.length);
  expectTornAt(whole, whole.length);
});

describe("of an end that is damaged everything before it is there", () => {
  test("when it is cut off, wherever", () => {
    for (let at = 0; at < whole.length; at++) expectTornAt(whole.subarray(0, at), at);
  });

  test("when it is zeros, wherever they begin", () => {
    for (let at = 0; at < whole.length; at++) {
      const bytes = Buffer.from(whole);
      bytes.fill(0, at);
      // Bytes that were zero before are not damaged.
      let same = at;
      while (same < whole.length && whole[same] === 0) same++;
      expectTornAt(bytes, same);
    }
  });

  test("when garbage follows, or stands in its place", () => {
    const random = new Random(3);
    for (let at = 0; at <= whole.length; at += 3) {
      const bytes = Buffer.concat([whole.subarray(0, at), random.bytes(random.between(1, 200))]);
      if (bytes[at] !== whole[at]) expectTornAt(bytes, at);
    }
    expectTornAt(Buffer.concat([whole, Buffer.alloc(4096)]), whole.length);
    // As a beginning of a block, and as old blocks that a file system gave back.
    expectTornAt(Buffer.concat([whole, Buffer.from("LVRT")]), whole.length);
    expectTornAt(Buffer.concat([whole, whole]), whole.length);
  });

  test("when any byte of the last block is flipped", () => {
    for (let at = ends.at(-2)!; at < whole.length; at++) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0x40;
      expectTornAt(bytes, at);
    }
  });
});

describe("damage with valid blocks behind it", () => {
  test("loses the flush it is in and no other, wherever it is", () => {
    for (let at = 0; at < ends.at(-2)!; at++) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0x01;
      const lost = ends.findIndex((end) => at < end);
      const recovered = recover(bytes);
      const { recovery, disk } = recovered;
      expect(labelsOf(recovery)).toEqual(labelsAfter(flushes.filter((_, index) => index !== lost)));
      const start = lost === 0 ? 0 : ends[lost - 1]!;
      expect(recovery.damage).toEqual([
        { segment: FIRST, offset: start, bytes: ends[lost]! - start, kind: "damaged" },
      ]);
      expect(disk.bytesOf(`${FIRST}.damaged`).equals(bytes)).toBe(true);
      if (at % 7 === 0) expectGoesOn(recovered);
    }
  });

  test("that nothing valid can be told from is one report", () => {
    const bytes = Buffer.from(whole);
    bytes.fill(0xee, ends[0]!, ends[3]!);
    const { recovery } = recover(bytes);
    expect(labelsOf(recovery)).toEqual(labelsAfter([flushes[0]!, ...flushes.slice(4)]));
    expect(recovery.damage).toEqual([
      { segment: FIRST, offset: ends[0]!, bytes: ends[3]! - ends[0]!, kind: "damaged" },
    ]);
  });

  test("a record of a kind that nobody knows is not passed over", () => {
    const bytes = Buffer.from(whole);
    const block = walkBlocks(bytes)[1]!;
    bytes[walkRecords(bytes, block)[0]!.at] = 77;
    reseal(bytes, block);
    expect(() => recover(bytes)).toThrow(
      `record of unknown type 77 at ${walkRecords(whole, block)[0]!.at} of ${FIRST}`,
    );
  });
});

describe("of a journal of several segments", () => {
  const files = new Map<string, Buffer>();
  /** By file the labels of the messages in it. */
  const inFile = new Map<string, number[]>();

  beforeAll(() => {
    const disk = new SimulatedDisk(new Random(1));
    const options = optionsFor(disk, 4096);
    const journal = new Journal(options);
    for (let label = 1; label <= 40; label++) {
      append(journal, label, Buffer.alloc(400, label));
      endTurn(journal, disk, options.turn);
    }
    for (const name of disk.list()) {
      const bytes = Buffer.from(disk.bytesOf(name));
      files.set(name, bytes);
      const labels = walkBlocks(bytes).flatMap((block) =>
        walkRecords(bytes, block).map(({ at }) => bytes.readDoubleLE(at + 8)),
      );
      inFile.set(name, labels);
    }
  });

  function recoverFrom(changed: ReadonlyMap<string, Buffer>): {
    recovery: Recovery;
    disk: SimulatedDisk;
  } {
    const disk = new SimulatedDisk(new Random(1));
    for (const [name, bytes] of changed) disk.put(name, bytes);
    return { recovery: recoverJournal(optionsFor(disk, 4096)), disk };
  }

  test("each has some of the messages", () => {
    expect(files.size).toBeGreaterThan(3);
    const all = [...inFile.values()].flat();
    expect(all).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
  });

  test("an older one that is damaged is kept aside and the others are loaded", () => {
    const names = [...files.keys()];
    for (const name of names.slice(0, -1)) {
      const bytes = Buffer.from(files.get(name)!);
      const block = walkBlocks(bytes)[1]!;
      const lost = walkRecords(bytes, block).map(({ at }) => bytes.readDoubleLE(at + 8));
      bytes[block.end - 1]! ^= 1;
      const { recovery, disk } = recoverFrom(new Map([...files, [name, bytes]]));
      const expected = [...inFile.values()].flat().filter((label) => !lost.includes(label));
      expect(labelsOf(recovery)).toEqual([expected, expected]);
      expect(recovery.damage).toEqual([
        { segment: name, offset: block.start, bytes: block.end - block.start, kind: "damaged" },
      ]);
      expect(disk.bytesOf(`${name}.damaged`).equals(bytes)).toBe(true);
    }
  });

  test("an older one whose end is missing is damaged, not torn", () => {
    const name = [...files.keys()][1]!;
    const bytes = files.get(name)!;
    const last = walkBlocks(bytes).at(-1)!;
    const { recovery } = recoverFrom(
      new Map([...files, [name, Buffer.from(bytes.subarray(0, last.end - 3))]]),
    );
    expect(recovery.damage.map(({ segment, kind }) => [segment, kind])).toEqual([
      [name, "damaged"],
    ]);
  });

  test("one that is missing from the middle is reported, and the others are loaded", () => {
    const names = [...files.keys()];
    for (const missing of names.slice(1, -1)) {
      const { recovery } = recoverFrom(new Map([...files].filter(([name]) => name !== missing)));
      const expected = [...inFile].flatMap(([name, labels]) => (name === missing ? [] : labels));
      expect(labelsOf(recovery)).toEqual([expected, expected]);
      expect(recovery.damage.map(({ segment }) => segment)).toContain(missing);
    }
  });

  test("a flush that goes over two counts wholly or not at all", () => {
    const disk = new SimulatedDisk(new Random(1));
    const options = optionsFor(disk, 4096);
    const journal = new Journal(options);
    const old = append(journal, 1, Buffer.alloc(3000, 1), [queues[0]!]);
    endTurn(journal, disk, options.turn);
    // In one turn the second queue takes what the first is done with; the note of that is in the next segment.
    append(journal, 2, Buffer.alloc(900, 2), [queues[1]!]);
    append(journal, 3, Buffer.alloc(900, 3), [queues[1]!]);
    journal.release(old, queues[0]!);
    endTurn(journal, disk, options.turn);
    append(journal, 4, Buffer.alloc(10, 4), [queues[1]!]);
    endTurn(journal, disk, options.turn);
    const second = walkBlocks(disk.bytesOf(FIRST))[1]!;
    expect(second.header.goesOn).toBe(true);
    const damaged = new Map(disk.list().map((name) => [name, Buffer.from(disk.bytesOf(name))]));
    damaged.get(FIRST)![second.end - 1]! ^= 1;
    expect(labelsOf(recoverFrom(damaged).recovery)).toEqual([[1], [4]]);
  });

  test("the oldest may be missing: they were no longer needed", () => {
    const { recovery } = recoverFrom(new Map([...files].slice(2)));
    const expected = [...inFile.values()].slice(2).flat();
    expect(labelsOf(recovery)).toEqual([expected, expected]);
    expect(recovery.damage).toEqual([]);
  });
});
