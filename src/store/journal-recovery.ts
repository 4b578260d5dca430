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
import { JournalSegment, recordBytes } from "./journal-segment.ts";
import {
  BLOCK_HEADER_BYTES,
  DELIVERED,
  DELIVERED_BYTES,
  MESSAGE,
  MESSAGE_HEADER_BYTES,
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

const FILE_NAME = /^segment-(\d{10})$/;

class Reader {
  readonly #disk: Disk;
  readonly #segments: JournalSegment[] = [];
  readonly #byNumber = new Map<number, JournalSegment>();
  /** Of messages that have moved: where they are, by the position that they are known by. */
  readonly #movedTo = new Map<number, number>();
  readonly #deliveredUpTo = new Map<number, number>();
  readonly damage: Damage[] = [];
  /** Of the segments, the oldest first. */
  readonly numbers: readonly number[];
  lastBlock = 0;

  /** Whether an unfinished end is cut off and a damaged segment copied aside, or only reported. */
  readonly #mends: boolean;

  constructor(disk: Disk, mends: boolean) {
    this.#disk = disk;
    this.#mends = mends;
    this.numbers = disk
      .list()
      .map((name) => FILE_NAME.exec(name))
      .filter((match) => match !== null)
      .map((match) => Number(match[1]));
  }

  /** Reads all segments there are. */
  readAll(): void {
    for (const number of this.numbers) this.#read(number, number === this.numbers.at(-1));
    // Nothing counts of a flush whose end never came.
    this.#dropPending();
  }

  get segments(): readonly JournalSegment[] {
    return this.#segments;
  }

  /** Reads a segment and applies its flushes. `isLast`: an invalid end is what a crash leaves. */
  #read(number: number, isLast: boolean): void {
    const file = this.#disk.open(segmentFileName(number));
    const buffer = Buffer.allocUnsafeSlow(file.size);
    const bytes = file.read(buffer, 0, buffer.length, 0);
    const segment = new JournalSegment(number, file);
    segment.keep(buffer);
    segment.usedBytes = bytes;
    this.#segments.push(segment);
    this.#byNumber.set(number, segment);
    let offset = 0;
    while (offset < bytes) {
      const block = this.#blockAt(buffer, offset, bytes);
      if (block !== undefined) {
        this.#pend(segment, offset, offset + block.bytes, block.number, block.goesOn);
        offset += block.bytes;
        continue;
      }
      const next = this.#nextBlock(buffer, offset + 1, bytes);
      const damaged = next < bytes || !isLast;
      this.#report(segment, offset, next - offset, damaged ? "damaged" : "torn end");
      this.#dropPending();
      if (!damaged) {
        if (this.#mends) file.truncate(offset);
        segment.usedBytes = offset;
        return;
      }
      offset = next;
    }
  }

  /** A valid block that belongs after those read so far. */
  #blockAt(buffer: Buffer, offset: number, end: number): ReturnType<typeof readBlock> {
    const block = readBlock(buffer, offset, end);
    return block !== undefined && block.number > this.lastBlock ? block : undefined;
  }

  /** Where the next valid block begins, or the end. */
  #nextBlock(buffer: Buffer, from: number, end: number): number {
    const magic = Buffer.from("LVRT");
    for (
      let at = buffer.indexOf(magic, from);
      at >= 0 && at < end;
      at = buffer.indexOf(magic, at + 1)
    ) {
      if (this.#blockAt(buffer, at, end) !== undefined) return at;
    }
    return end;
  }

  #report(segment: JournalSegment, offset: number, bytes: number, kind: Damage["kind"]): void {
    if (kind === "damaged" && this.#mends) this.#keepAside(segment);
    this.damage.push({ segment: segmentFileName(segment.number), offset, bytes, kind });
  }

  #keepAside(segment: JournalSegment): void {
    const name = `${segmentFileName(segment.number)}.damaged`;
    if (this.#disk.list().includes(name)) return;
    const copy = this.#disk.open(name);
    copy.write(segment.buffer, 0, segment.usedBytes, 0);
    copy.syncNow();
    copy.close();
    this.#disk.syncFolder();
  }

  /** Blocks of a flush that is not complete yet. */
  #pending: { segment: JournalSegment; start: number; end: number }[] = [];

  #pend(
    segment: JournalSegment,
    start: number,
    end: number,
    number: number,
    goesOn: boolean,
  ): void {
    // A gap in the numbers is a lost block: what went before it in the same flush does not count.
    if (number !== this.lastBlock + 1) this.#dropPending();
    this.lastBlock = number;
    this.#pending.push({ segment, start, end });
    if (goesOn) return;
    for (const block of this.#pending) this.#apply(block.segment, block.start, block.end);
    this.#pending = [];
  }

  #dropPending(): void {
    for (const { segment, start, end } of this.#pending) {
      this.#report(segment, start, end - start, "torn end");
    }
    this.#pending = [];
  }

  #apply(segment: JournalSegment, start: number, end: number): void {
    const { view } = segment;
    for (let at = start + BLOCK_HEADER_BYTES; at < end; ) {
      const type = view.getUint8(at);
      if (type === MESSAGE) {
        at = this.#message(segment, at);
      } else if (type === SETTLED) {
        this.#settled(
          view.getUint32(at + 4, true),
          view.getFloat64(at + 8, true),
          view.getUint32(at + 16, true),
        );
        at += SETTLED_BYTES;
      } else if (type === DELIVERED) {
        this.#deliveredUpTo.set(view.getUint32(at + 4, true), view.getFloat64(at + 8, true));
        at += DELIVERED_BYTES;
      } else {
        throw new Error(
          `record of unknown type ${type} at ${at} of ${segmentFileName(segment.number)}: written by a later version?`,
        );
      }
    }
  }

  #message(segment: JournalSegment, at: number): number {
    const { view } = segment;
    const count = view.getUint16(at + 2, true);
    const ordinal = segment.add(at, count);
    const known = view.getFloat64(at + 16, true);
    if (known > 0) {
      // What has moved is no longer where it was.
      const before = this.#movedTo.get(known) ?? known;
      this.#byNumber.get(segmentNumber(before))?.discard(ordinalOf(before));
      this.#movedTo.set(known, segment.start + ordinal);
    }
    return at + recordBytes(count, view.getUint32(at + 4, true));
  }

  #settled(queueId: number, first: number, count: number): void {
    const segment = this.#byNumber.get(segmentNumber(first));
    if (segment === undefined) return;
    const ordinal = ordinalOf(first);
    for (let at = ordinal; at < ordinal + count; at++) {
      if (segment.holders(at) > 0 && !segment.isDoneWith(at, queueId)) segment.letGo(at, queueId);
    }
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
    for (const segment of this.#segments) {
      for (let ordinal = 0; ordinal < segment.count; ordinal++) {
        if (segment.holders(ordinal) > 0) this.#handOver(segment, ordinal, receive);
      }
    }
  }

  #handOver(segment: JournalSegment, ordinal: number, receive: ReceiveMessage): void {
    const { view } = segment;
    const at = segment.recordStart(ordinal);
    const label = view.getFloat64(at + 8, true);
    const position = view.getFloat64(at + 16, true) || segment.start + ordinal;
    const count = view.getUint16(at + 2, true);
    for (let index = 0; index < count; index++) {
      const queueId = view.getUint32(at + MESSAGE_HEADER_BYTES + 4 * index, true);
      if (count > 1 && segment.isDoneWith(ordinal, queueId)) continue;
      receive(queueId, position, label, position <= (this.#deliveredUpTo.get(queueId) ?? 0));
    }
  }

  /** Where messages that have moved are, and by which position they are known. */
  get moves(): Iterable<[known: number, now: number]> {
    return this.#movedTo;
  }
}

/** Reads what there is and returns a journal that goes on behind it. */
export function recoverJournal(options: JournalOptions): Recovery {
  const reader = new Reader(options.disk, true);
  reader.readAll();
  const journal = new Journal(options, (reader.numbers.at(-1) ?? 0) + 1, reader.lastBlock + 1);
  for (const segment of reader.segments) {
    segment.seal();
    journal.adopt(segment);
  }
  for (const [known, now] of reader.moves) journal.adoptMove(known, now);
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
