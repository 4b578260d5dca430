/**
 * A journal that was damaged while nobody looked: what is valid is loaded, what is not is reported, and nothing is made up.
 *
 * Every flush of the journals here was on the disk, so that damage before the last block is never what a crash leaves.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { Journal, type JournalOptions } from "../../src/store/journal.ts";
import { type Recovery, recoverJournal } from "../../src/store/journal-recovery.ts";
import type { DamagedRange } from "../../src/store/journal-segment.ts";
import { MemoryBudget } from "../../src/store/memory-budget.ts";
import type { Holder } from "../../src/store/message-store.ts";
import { contentEnd } from "../../src/store/room-ahead.ts";
import { BLOCK_HEADER_BYTES, sealBlock, segmentFileName } from "../../src/store/segment-format.ts";
import { Turn } from "../../src/turn.ts";
import { Random } from "../seeded.ts";
import {
  type Block,
  recoveredMessages,
  reseal,
  SALT,
  walkBlocks,
  walkRecords,
  withoutIndex,
} from "./journal-bytes.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

const queues: readonly Holder[] = [1, 2].map((id) => ({ id, persists: true }));
const FIRST = segmentFileName({ number: 1, salt: SALT });

function optionsFor(
  disk: SimulatedDisk,
  segmentBytes = 1 << 16,
): JournalOptions & { turn: Turn; reported: DamagedRange[] } {
  const reported: DamagedRange[] = [];
  return {
    reported,
    onDamage: (damage) => void reported.push(damage),
    salt: () => SALT,
    disk,
    turn: new Turn(() => undefined),
    segmentBytes,
    budget: new MemoryBudget(1 << 20),
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
function labelsOf(recovery: Pick<Recovery, "forEachRun">): [number[], number[]] {
  const labels: [number[], number[]] = [[], []];
  for (const { queueId, label } of recoveredMessages(recovery)) labels[queueId - 1]!.push(label);
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

/** A copy up to where the last record ends. */
function withoutRoom(bytes: Buffer): Buffer {
  return Buffer.from(bytes.subarray(0, walkBlocks(bytes).at(-1)!.end));
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
  return withoutRoom(disk.bytesOf(FIRST));
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

/** Everything up to `at` is there, and what follows, unless that is zeros, is reported as the end that a crash leaves. */
function expectTornAt(bytes: Buffer, at: number): void {
  const count = ends.filter((end) => end <= at).length;
  const end = count === 0 ? 0 : ends[count - 1]!;
  const recovered = recover(bytes);
  expect(labelsOf(recovered.recovery)).toEqual(labelsAfter(flushes.slice(0, count)));
  const tornBytes = contentEnd(bytes, end) - end;
  const torn = { segment: FIRST, offset: end, bytes: tornBytes, kind: "torn end" };
  expect(recovered.recovery.damage).toEqual(tornBytes === 0 ? [] : [torn]);
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

  test("when octets of a client in it look like a block", () => {
    const disk = new SimulatedDisk(new Random(1));
    const options = optionsFor(disk);
    const journal = new Journal(options);
    const header = { number: 3, continues: false, goesOn: false, ordinal: 2, synced: 2 };
    const forged = Buffer.alloc(60, 7);
    sealBlock(forged, 0, forged.length, { ...header, salt: 0 });
    append(journal, 1, Buffer.from("first"));
    endTurn(journal, disk, options.turn);
    append(journal, 2, Buffer.concat([Buffer.alloc(100, 1), forged]));
    endTurn(journal, disk, options.turn);
    const bytes = withoutRoom(disk.bytesOf(FIRST));
    const last = walkBlocks(bytes)[1]!;
    expect(bytes.indexOf(forged)).toBeGreaterThan(last.start);
    bytes[last.start + BLOCK_HEADER_BYTES + 30]! ^= 1;
    const { recovery } = recover(bytes);
    expect(labelsOf(recovery)).toEqual([[1], [1]]);
    expect(recovery.damage).toEqual([
      {
        segment: FIRST,
        offset: last.start,
        bytes: bytes.length - last.start,
        kind: "torn end",
      },
    ]);
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
        { segment: FIRST, offset: start, bytes: ends[lost]! - start, kind: "damaged", messages: 1 },
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
      {
        segment: FIRST,
        offset: ends[0]!,
        bytes: ends[3]! - ends[0]!,
        kind: "damaged",
        messages: 3,
      },
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
    reported: DamagedRange[];
  } {
    const disk = new SimulatedDisk(new Random(1));
    for (const [name, bytes] of changed) disk.put(name, bytes);
    const options = optionsFor(disk, 4096);
    return { recovery: recoverJournal(options), disk, reported: options.reported };
  }

  /** Without their indexes the segments have to be read block by block. */
  function recoverFromBlocks(changed: ReadonlyMap<string, Buffer>): ReturnType<typeof recoverFrom> {
    return recoverFrom(
      new Map([...changed].map(([name, bytes]) => [name, cutIndexOff(name, bytes)])),
    );
  }

  function cutIndexOff(name: string, bytes: Buffer): Buffer {
    const whole = files.get(name);
    const end = whole === undefined ? bytes.length : withoutIndex(whole).length;
    return Buffer.from(bytes.subarray(0, end));
  }

  /** A file with a changed byte in its second block, and the labels that were in there. */
  function flippedIn(name: string): { bytes: Buffer; block: Block; lost: number[] } {
    const bytes = Buffer.from(files.get(name)!);
    const block = walkBlocks(bytes)[1]!;
    const lost = walkRecords(bytes, block).map(({ at }) => bytes.readDoubleLE(at + 8));
    bytes[block.end - 1]! ^= 1;
    return { bytes, block, lost };
  }

  test("each has some of the messages", () => {
    expect(files.size).toBeGreaterThan(3);
    const all = [...inFile.values()].flat();
    expect(all).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
  });

  test("an older one that is damaged and has no index is kept aside and the others are loaded", () => {
    const names = [...files.keys()];
    for (const name of names.slice(0, -1)) {
      const { bytes, block, lost } = flippedIn(name);
      const { recovery, disk } = recoverFromBlocks(new Map([...files, [name, bytes]]));
      const expected = [...inFile.values()].flat().filter((label) => !lost.includes(label));
      expect(labelsOf(recovery)).toEqual([expected, expected]);
      const { start, end } = block;
      const isLast = end === withoutIndex(bytes).length;
      const damage = { segment: name, offset: start, bytes: end - start, kind: "damaged" };
      expect(recovery.damage).toEqual([isLast ? damage : { ...damage, messages: lost.length }]);
      expect(disk.bytesOf(`${name}.damaged`).equals(cutIndexOff(name, bytes))).toBe(true);
    }
  });

  test("an older one that is damaged and has an index is found when it is read, and what it held is lost", () => {
    const names = [...files.keys()];
    for (const name of names.slice(0, -1)) {
      const { bytes, block, lost } = flippedIn(name);
      const { recovery, disk, reported } = recoverFrom(new Map([...files, [name, bytes]]));
      const { journal } = recovery;
      expect(recovery.damage).toEqual([]);
      while (journal.verifyNext());
      expect(reported.map(({ segment, from, to }) => [segment.name, from, to])).toEqual([
        [name, block.start, block.end],
      ]);
      expect(disk.bytesOf(`${name}.damaged`).equals(bytes)).toBe(true);
      const broken = new Set<number>();
      for (const { position, label } of recoveredMessages(recovery)) {
        if (!journal.isWhole(position)) broken.add(label);
        else expect(journal.locate(position).buffer[journal.locate(position).offset]).toBe(label);
      }
      expect([...broken]).toEqual(lost);
    }
  });

  test("one that is damaged is told of also when the disk does not take a copy of it", () => {
    const name = [...files.keys()][1]!;
    const { bytes, lost } = flippedIn(name);
    for (const [operation, spareBytes] of [
      ["create", 1 << 20],
      ["sync", 1 << 20],
      [undefined, 100],
    ] as const) {
      const { recovery, disk, reported } = recoverFrom(new Map([...files, [name, bytes]]));
      const { journal } = recovery;
      disk.capacityBytes = disk.usedBytes + spareBytes;
      if (operation !== undefined) disk.failing.add(operation);
      while (journal.verifyNext());
      expect(reported.map(({ segment }) => [segment.name, segment.hasCopy])).toEqual([
        [name, false],
      ]);
      expect(reported[0]!.ordinals).toHaveLength(lost.length);
      // Half a copy would be taken for a whole one.
      expect(disk.list()).not.toContain(`${name}.damaged`);
    }
  });

  test("what is lost can be released, also when the rest of its segment has moved", () => {
    const name = [...files.keys()][0]!;
    const { bytes, lost } = flippedIn(name);
    const { recovery, disk } = recoverFrom(new Map([...files, [name, bytes]]));
    const { journal } = recovery;
    const positions = new Map<number, number>();
    for (const { position, label } of recoveredMessages(recovery)) positions.set(label, position);
    // Little is left, so that what is in the head moves.
    for (const [label, position] of positions) {
      if (label <= 5) continue;
      for (const queue of queues) journal.release(position, queue);
    }
    journal.flush();
    disk.completeSyncs();
    expect(disk.list()).not.toContain(name);
    for (const [label, position] of positions) {
      if (label > 5) continue;
      expect([label, journal.isWhole(position)]).toEqual([label, !lost.includes(label)]);
      for (const queue of queues) journal.release(position, queue);
    }
    expect(journal.heldBytes).toBe(0);
  });

  test("an index that is damaged is made again from the records, and nothing is lost", () => {
    const names = [...files.keys()];
    for (const name of names.slice(0, -1)) {
      const whole = files.get(name)!;
      const end = withoutIndex(whole).length;
      for (const at of [end, whole.length - 64, whole.length - 60, whole.length - 1]) {
        const bytes = Buffer.from(whole);
        bytes[at]! ^= 0x10;
        const { recovery, disk } = recoverFrom(new Map([...files, [name, bytes]]));
        const all = [...inFile.values()].flat();
        expect(labelsOf(recovery)).toEqual([all, all]);
        expect(recovery.damage).toEqual([]);
        expect(disk.bytesOf(name).equals(whole)).toBe(true);
      }
    }
  });

  test("an index says what the records say", () => {
    const random = new Random(5);
    const disk = new SimulatedDisk(random);
    const options = optionsFor(disk, 4096);
    const journal = new Journal(options);
    const held: [number, Holder][] = [];
    for (let label = 1; label <= 300; label++) {
      const holders = queues.filter(() => random.chance(70));
      if (holders.length === 0) continue;
      const position = append(journal, label, Buffer.alloc(random.between(1, 200), label), holders);
      for (const holder of holders) held.push([position, holder]);
      if (random.chance(40)) journal.noteDelivered(1, position);
      if (random.chance(50)) journal.release(...held.splice(random.below(held.length), 1)[0]!);
      if (random.chance(30)) endTurn(journal, disk, options.turn);
    }
    endTurn(journal, disk, options.turn);
    const bare = new SimulatedDisk(random);
    for (const name of disk.list()) bare.put(name, Buffer.from(withoutIndex(disk.bytesOf(name))));
    const found = [disk, bare].map((each) => {
      return recoveredMessages(recoverJournal(optionsFor(each, 4096)));
    });
    expect(found[0]).toEqual(found[1]);
    expect(found[0]!.length).toBeGreaterThan(100);
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
    for (const [index, missing] of names.entries()) {
      if (index === 0 || index === names.length - 1) continue;
      const { recovery } = recoverFrom(new Map([...files].filter(([name]) => name !== missing)));
      const expected = [...inFile].flatMap(([name, labels]) => (name === missing ? [] : labels));
      expect(labelsOf(recovery)).toEqual([expected, expected]);
      expect(recovery.damage.map(({ segment }) => segment)).toContain(`segment ${index + 1}`);
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
    const ends = Object.fromEntries(
      [...damaged].map(([name, bytes]) => [name, withoutIndex(bytes).length]),
    );
    damaged.get(FIRST)![second.end - 1]! ^= 1;
    for (const [name, bytes] of damaged)
      damaged.set(name, Buffer.from(bytes.subarray(0, ends[name])));
    expect(labelsOf(recoverFrom(damaged).recovery)).toEqual([[1], [4]]);
  });

  /** The files of a journal of one flush that goes over three segments, and of a later one in the last of them. */
  function filesOfLongFlush(): Map<string, Buffer> {
    const disk = new SimulatedDisk(new Random(1));
    const options = optionsFor(disk, 4096);
    const journal = new Journal(options);
    for (const label of [1, 2, 3]) append(journal, label, Buffer.alloc(3000, label));
    options.turn.run();
    append(journal, 4, Buffer.alloc(10, 4));
    journal.flush();
    const long = disk.list().map((name) => [name, withoutIndex(disk.bytesOf(name))] as const);
    expect(long.map(([, bytes]) => walkBlocks(bytes)[0]!.header)).toMatchObject([
      { continues: false, goesOn: true },
      { continues: true, goesOn: true },
      { continues: true, goesOn: false },
    ]);
    return new Map(long);
  }

  test("a flush that goes over three counts wholly or not at all when the disk has kept only its end", () => {
    const long = filesOfLongFlush();
    const names = [...long.keys()];
    for (const lost of [[0], [1], [0, 1]].map((each) => each.map((index) => names[index]!))) {
      const kept = new Map([...long].map(([name, bytes]) => [name, bytes]));
      for (const name of lost) kept.set(name, Buffer.alloc(0));
      const { recovery, disk } = recoverFrom(kept);
      expect(labelsOf(recovery)).toEqual([[], []]);
      expect(recovery.damage.map(({ kind }) => kind)).not.toContain("damaged");
      const options = optionsFor(disk, 4096);
      expect(labelsOf(recoverJournal(options))).toEqual([[], []]);
    }
  });

  test("a flush counts only with those before it, when the disk has kept none of these", () => {
    const [name, bytes] = [...filesOfLongFlush()].at(-1)!;
    const { start, end } = walkBlocks(bytes)[1]!;
    const alone = Buffer.from(bytes.subarray(start, end));
    const nothing = Buffer.alloc(0);
    const { recovery } = recoverFrom(
      new Map([
        [FIRST, nothing],
        [name, alone],
      ]),
    );
    expect(labelsOf(recovery)).toEqual([[], []]);
  });

  test("the oldest may be missing: they were no longer needed", () => {
    const { recovery } = recoverFrom(new Map([...files].slice(2)));
    const expected = [...inFile.values()].slice(2).flat();
    expect(labelsOf(recovery)).toEqual([expected, expected]);
    expect(recovery.damage).toEqual([]);
  });
});
