/**
 * Reads a journal back after the process has ended, however it ended.
 *
 * Valid flushes are applied in order: what a queue took and has not settled is returned, in the order in which the queue
 * took it. An invalid end of the last segment is what a crash leaves: it is cut off and reported. Damage with valid blocks
 * behind it is not: the file is copied aside before anything else is done, both sides of the damage are used, and the
 * report says what is missing.
 */

import type { Disk } from "./disk.ts";
import { Journal, type JournalOptions, segmentFileName } from "./journal.ts";
import { JournalSegment, queuesOf, recordBytes } from "./journal-segment.ts";
import {
  BLOCK_HEADER_BYTES,
  type BlockHeader,
  DELIVERED,
  DELIVERED_BYTES,
  MESSAGE,
  ordinalOf,
  readBlock,
  SETTLED,
  SETTLED_BYTES,
  segmentNumber,
} from "./segment-format.ts";

/** Takes a message that a durable queue has to get back; `delivered` when it may have been delivered before. */
export type ReceiveMessage = (
  queueId: number,
  position: number,
  label: number,
  delivered: boolean,
) => void;

/** Bytes of a segment that could not be used. */
export interface Damage {
  readonly segment: string;
  readonly offset: number;
  readonly bytes: number;
  /** An unfinished end, as a crash leaves it, or damage to what was whole once. */
  readonly kind: "torn end" | "damaged";
}

export interface Recovery {
  readonly journal: Journal;
  /** Hands over every message, for each queue in the order in which it took them. */
  readonly forEachMessage: (receive: ReceiveMessage) => void;
  readonly damage: readonly Damage[];
}

const MAGIC = Buffer.from("LVRT");
const FIRST_RECORDS = 1024;
const FILE_NAME = /^segment-(\d{10})$/;

/** What the records of a segment say, in flat arrays by ordinal: its bytes are not kept. */
class Records {
  readonly segment: JournalSegment;
  #labels = new Float64Array(FIRST_RECORDS);
  /** The queue that took the message; 0 when several did. */
  #queues = new Uint32Array(FIRST_RECORDS);
  readonly #several = new Map<number, readonly number[]>();
  readonly #known = new Map<number, number>();

  constructor(segment: JournalSegment) {
    this.segment = segment;
  }

  add(ordinal: number, label: number, queues: readonly number[], known: number): void {
    if (ordinal >= this.#labels.length) this.#grow(ordinal + 1);
    this.#labels[ordinal] = label;
    this.#queues[ordinal] = queues.length === 1 ? queues[0]! : 0;
    if (queues.length !== 1) this.#several.set(ordinal, queues);
    if (known > 0) this.#known.set(ordinal, known);
  }

  #grow(least: number): void {
    const length = Math.max(least, this.#labels.length * 2);
    const labels = new Float64Array(length);
    labels.set(this.#labels);
    this.#labels = labels;
    const queues = new Uint32Array(length);
    queues.set(this.#queues);
    this.#queues = queues;
  }

  /** The queues that took a message, again: one of them without an array. */
  forEachQueue(ordinal: number, visit: (queueId: number) => void): void {
    const only = this.#queues[ordinal]!;
    if (only > 0) {
      visit(only);
      return;
    }
    for (const queueId of this.#several.get(ordinal) ?? []) {
      if (!this.segment.isDoneWith(ordinal, queueId)) visit(queueId);
    }
  }

  label(ordinal: number): number {
    return this.#labels[ordinal]!;
  }

  /** The position by which its holders know a message. */
  known(ordinal: number): number {
    return this.#known.get(ordinal) ?? this.segment.start + ordinal;
  }
}

/** Whether one of the valid blocks from `from` on is as asked. */
function someBlock(buffer: Buffer, from: number, test: (block: BlockHeader) => boolean): boolean {
  for (let at = buffer.indexOf(MAGIC, from); at >= 0; at = buffer.indexOf(MAGIC, at + 1)) {
    const block = readBlock(buffer, at, buffer.length);
    if (block !== undefined && test(block)) return true;
  }
  return false;
}

/** A valid block of a flush that is not complete yet. */
interface PendingBlock {
  readonly records: Records;
  /** Where the block begins in the file. */
  readonly start: number;
  readonly number: number;
  readonly ordinal: number;
  bytes: Buffer;
}

class Reader {
  readonly #disk: Disk;
  /** Whether an unfinished end is cut off and a damaged segment copied aside, or only reported. */
  readonly #mends: boolean;
  readonly #records: Records[] = [];
  readonly #byNumber = new Map<number, JournalSegment>();
  /** Of messages that have moved: where they are, by the position that they are known by. */
  readonly #movedTo = new Map<number, number>();
  readonly deliveredUpTo = new Map<number, number>();
  #pending: PendingBlock[] = [];
  /** One segment after the other is read into it. */
  #scratch = Buffer.alloc(0);
  readonly damage: Damage[] = [];
  /** Of the segments, the oldest first. */
  readonly numbers: readonly number[];
  lastBlock = 0;

  constructor(disk: Disk, mends: boolean) {
    this.#disk = disk;
    this.#mends = mends;
    this.numbers = disk
      .list()
      .map((name) => FILE_NAME.exec(name))
      .filter((match) => match !== null)
      .map((match) => Number(match[1]));
  }

  get segments(): readonly JournalSegment[] {
    return this.#records.map(({ segment }) => segment);
  }

  /** Where messages that have moved are, and by which position they are known. */
  get moves(): Iterable<[known: number, now: number]> {
    return this.#movedTo;
  }

  /** Reads all segments there are. */
  readAll(): void {
    for (const number of this.numbers) {
      if (this.#isCut) this.#removeAfterCut(number);
      else this.#read(number);
    }
    this.#cutPending();
    this.#scratch = Buffer.alloc(0);
  }

  /** Reads a segment and applies its flushes. */
  #read(number: number): void {
    const file = this.#disk.open(segmentFileName(number));
    const { size } = file;
    if (this.#scratch.length < size) this.#scratch = Buffer.allocUnsafeSlow(size);
    const buffer = this.#scratch.subarray(0, file.read(this.#scratch, 0, size, 0));
    const segment = new JournalSegment(number, file);
    segment.usedBytes = buffer.length;
    const records = new Records(segment);
    this.#records.push(records);
    this.#byNumber.set(number, segment);
    this.#readBlocks(records, buffer);
    // The scratch buffer is for the next segment; what belongs to a flush that goes on there is kept.
    for (const block of this.#pending) block.bytes = Buffer.from(block.bytes);
  }

  #readBlocks(records: Records, buffer: Buffer): void {
    const { segment } = records;
    for (let offset = 0; offset < buffer.length; ) {
      const block = this.#blockAt(buffer, offset);
      if (block !== undefined && this.#follows(block, buffer, offset, segment.number)) {
        const bytes = buffer.subarray(offset, offset + block.bytes);
        this.#pend({ ...block, records, start: offset, bytes }, block);
        offset += block.bytes;
        continue;
      }
      const next = this.#nextBlock(buffer, offset + 1);
      if (!this.#wasSynced(buffer, next, segment.number)) {
        this.#cutFrom(segment, offset, buffer.length);
        return;
      }
      this.#report(segment, offset, next - offset, "damaged");
      this.#dropPending();
      offset = next;
    }
  }

  /** Whether nothing is missing before a block, or nothing that a crash could have kept from the disk. */
  #follows(block: BlockHeader, buffer: Buffer, offset: number, number: number): boolean {
    return (
      block.number === this.lastBlock + 1 ||
      this.lastBlock === 0 ||
      this.#wasSynced(buffer, offset, number)
    );
  }

  /**
   * Whether the block that is missing now was on the disk once: then some block written later says so. It may be in any
   * segment from this one on, so this is costly, and is asked only where something is missing.
   */
  #wasSynced(buffer: Buffer, from: number, number: number): boolean {
    const missing = this.lastBlock + 1;
    if (someBlock(buffer, from, ({ synced }) => synced >= missing)) return true;
    for (const later of this.numbers) {
      if (later <= number) continue;
      const file = this.#disk.open(segmentFileName(later));
      const bytes = Buffer.allocUnsafe(file.size);
      file.read(bytes, 0, bytes.length, 0);
      file.close();
      if (someBlock(bytes, 0, ({ synced }) => synced >= missing)) return true;
    }
    return false;
  }

  #isCut = false;

  /** From here on nothing was promised to anybody: it is what a crash leaves. */
  #cutFrom(segment: JournalSegment, offset: number, end: number): void {
    this.#report(segment, offset, end - offset, "torn end");
    if (this.#mends) {
      segment.file.truncate(offset);
      // What was cut off must not come back behind what is written in its place.
      segment.file.syncNow();
    }
    segment.usedBytes = offset;
    this.#isCut = true;
  }

  /** Nothing counts of a flush whose end never came, and what is written next must not become its end. */
  #cutPending(): void {
    const [first] = this.#pending;
    if (first === undefined) return;
    this.lastBlock = first.number - 1;
    for (const { records, start, bytes } of this.#pending.reverse()) {
      this.#cutFrom(records.segment, start, start + bytes.length);
    }
    this.#pending = [];
  }

  #removeAfterCut(number: number): void {
    const name = segmentFileName(number);
    const file = this.#disk.open(name);
    this.damage.push({ segment: name, offset: 0, bytes: file.size, kind: "torn end" });
    file.close();
    if (!this.#mends) return;
    this.#disk.remove(name);
    this.#disk.syncFolder();
  }

  /** A valid block that belongs after those read so far. */
  #blockAt(buffer: Buffer, offset: number): BlockHeader | undefined {
    const block = readBlock(buffer, offset, buffer.length);
    return block !== undefined && block.number > this.lastBlock ? block : undefined;
  }

  /** Where the next valid block begins, or the end. */
  #nextBlock(buffer: Buffer, from: number): number {
    for (let at = buffer.indexOf(MAGIC, from); at >= 0; at = buffer.indexOf(MAGIC, at + 1)) {
      if (this.#blockAt(buffer, at) !== undefined) return at;
    }
    return buffer.length;
  }

  #report(segment: JournalSegment, offset: number, bytes: number, kind: Damage["kind"]): void {
    if (kind === "damaged" && this.#mends) this.#keepAside(segment);
    this.damage.push({ segment: segmentFileName(segment.number), offset, bytes, kind });
  }

  #keepAside(segment: JournalSegment): void {
    const name = `${segmentFileName(segment.number)}.damaged`;
    if (this.#disk.list().includes(name)) return;
    const bytes = Buffer.allocUnsafe(segment.file.size);
    segment.file.read(bytes, 0, bytes.length, 0);
    const copy = this.#disk.open(name);
    copy.write(bytes, 0, bytes.length, 0);
    copy.syncNow();
    copy.close();
    this.#disk.syncFolder();
  }

  #pend(block: PendingBlock, { number, continues, goesOn }: BlockHeader): void {
    const isFirst = this.lastBlock === 0;
    // A gap in the numbers is a lost block: what of its flush stands on either side does not count.
    if (number !== this.lastBlock + 1) this.#noteGap(block);
    this.lastBlock = number;
    // What the first block of all continues went with the head, when nobody needed it any more.
    if (continues && this.#pending.length === 0 && !isFirst) {
      this.#report(block.records.segment, block.start, block.bytes.length, "damaged");
      return;
    }
    this.#pending.push(block);
    if (goesOn) return;
    for (const pending of this.#pending) this.#apply(pending);
    this.#pending = [];
  }

  #noteGap({ records, start }: PendingBlock): void {
    if (start === 0) {
      this.#noteGapBefore(records);
      return;
    }
    this.#dropPending();
    if (this.lastBlock === 0) return;
    const name = segmentFileName(records.segment.number);
    const last = this.damage.at(-1);
    // Unless it has been reported with the bytes in which it was.
    if (last?.segment === name && last.offset + last.bytes === start) return;
    this.#report(records.segment, start, 0, "damaged");
  }

  /** What is missing before a segment is the end of the one before it, or whole segments. */
  #noteGapBefore({ segment }: Records): void {
    const [unfinished] = this.#pending;
    this.#pending = [];
    const before = this.#records.at(-2)?.segment;
    if (this.lastBlock === 0 || before === undefined) return;
    for (let number = before.number + 1; number < segment.number; number++) {
      this.damage.push({ segment: segmentFileName(number), offset: 0, bytes: 0, kind: "damaged" });
    }
    if (before.number + 1 < segment.number) return;
    const name = segmentFileName(before.number);
    if (this.damage.at(-1)?.segment === name) return;
    const offset = unfinished?.start ?? before.usedBytes;
    this.#report(before, offset, before.usedBytes - offset, "damaged");
  }

  #dropPending(): void {
    for (const { records, start, bytes } of this.#pending) {
      this.#report(records.segment, start, bytes.length, "torn end");
    }
    this.#pending = [];
  }

  #apply({ records, start, ordinal, bytes }: PendingBlock): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    records.segment.skipTo(ordinal);
    for (let at = BLOCK_HEADER_BYTES; at < bytes.length; ) {
      const type = view.getUint8(at);
      if (type === MESSAGE) {
        at = this.#message(records, view, at, start);
      } else if (type === SETTLED) {
        this.#settled(
          view.getUint32(at + 4, true),
          view.getFloat64(at + 8, true),
          view.getUint32(at + 16, true),
        );
        at += SETTLED_BYTES;
      } else if (type === DELIVERED) {
        this.#delivered(view.getUint32(at + 4, true), view.getFloat64(at + 8, true));
        at += DELIVERED_BYTES;
      } else {
        throw new Error(
          `record of unknown type ${type} at ${start + at} of ${segmentFileName(records.segment.number)}: written by a later version?`,
        );
      }
    }
  }

  #message(records: Records, view: DataView, at: number, blockStart: number): number {
    const { segment } = records;
    const queues = queuesOf({ view }, at);
    const count = queues.length;
    const bytes = recordBytes(count, view.getUint32(at + 4, true));
    const ordinal = segment.add(blockStart + at, bytes, count);
    const known = view.getFloat64(at + 16, true);
    records.add(ordinal, view.getFloat64(at + 8, true), queues, known);
    if (known > 0) {
      // What has moved is no longer where it was.
      const before = this.#movedTo.get(known) ?? known;
      this.#byNumber.get(segmentNumber(before))?.discard(ordinalOf(before));
      this.#movedTo.set(known, segment.start + ordinal);
    }
    return at + bytes;
  }

  #settled(queueId: number, first: number, count: number): void {
    const segment = this.#byNumber.get(segmentNumber(first));
    if (segment === undefined) return;
    const ordinal = ordinalOf(first);
    for (let at = ordinal; at < Math.min(segment.count, ordinal + count); at++) {
      if (segment.holders(at) > 0 && !segment.isDoneWith(at, queueId)) segment.letGo(at, queueId);
    }
  }

  #delivered(queueId: number, position: number): void {
    const before = this.deliveredUpTo.get(queueId) ?? 0;
    if (position > before) this.deliveredUpTo.set(queueId, position);
  }

  /** Hands over what is left, for each queue in the order in which the queue took it. */
  forEachMessage(receive: ReceiveMessage): void {
    if (this.#movedTo.size === 0) {
      this.#forEachRecord(receive);
      return;
    }
    // What has moved stands at the end of the log, but not of its queue.
    const messages: { queueId: number; position: number; label: number; delivered: boolean }[] = [];
    this.#forEachRecord((queueId, position, label, delivered) => {
      messages.push({ queueId, position, label, delivered });
    });
    messages.sort((a, b) => a.position - b.position);
    for (const { queueId, position, label, delivered } of messages) {
      receive(queueId, position, label, delivered);
    }
  }

  #forEachRecord(receive: ReceiveMessage): void {
    for (const records of this.#records) {
      const { segment } = records;
      for (let ordinal = 0; ordinal < segment.count; ordinal++) {
        if (segment.holders(ordinal) === 0) continue;
        const position = records.known(ordinal);
        records.forEachQueue(ordinal, (queueId) => {
          const delivered = position <= (this.deliveredUpTo.get(queueId) ?? 0);
          receive(queueId, position, records.label(ordinal), delivered);
        });
      }
    }
  }
}

/** Reads what there is and returns a journal that goes on behind it. */
export function recoverJournal(options: JournalOptions): Recovery {
  // The names that are read now must not be gone after the next crash.
  options.disk.syncFolder();
  const reader = new Reader(options.disk, true);
  reader.readAll();
  const journal = new Journal(options, (reader.numbers.at(-1) ?? 0) + 1, reader.lastBlock + 1);
  for (const segment of reader.segments) {
    journal.adopt(segment);
  }
  journal.reopenTail();
  for (const [known, now] of reader.moves) journal.adoptMove(known, now);
  journal.adoptDelivered(reader.deliveredUpTo);
  return {
    journal,
    forEachMessage: (receive) => reader.forEachMessage(receive),
    damage: reader.damage,
  };
}

/** What a journal holds, and what is wrong with it; changes nothing. */
export interface JournalReport {
  readonly segments: number;
  readonly bytes: number;
  /** Messages by the id of the queue. */
  readonly messages: ReadonlyMap<number, number>;
  readonly damage: readonly Damage[];
}

export function inspectJournal(disk: Disk): JournalReport {
  const reader = new Reader(disk, false);
  reader.readAll();
  const messages = new Map<number, number>();
  reader.forEachMessage((id) => void messages.set(id, (messages.get(id) ?? 0) + 1));
  const bytes = reader.segments.reduce((sum, { file }) => sum + file.size, 0);
  for (const { file } of reader.segments) file.close();
  return { segments: reader.segments.length, bytes, messages, damage: reader.damage };
}
