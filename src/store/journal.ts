/**
 * The journal: the segmented log of the messages that outlive the process, and their memory while it runs.
 *
 * Within a turn records are only appended, to the tail segment's buffer. At its end they are handed to the operating
 * system as one flush, which counts wholly or not at all (segment-format.ts). Who waits for safety is told by the sync
 * that covers the flush; while one sync runs, what comes collects and goes with the next. Files are removed from the head
 * only, because a record SETTLED speaks of messages before it, and only after a sync that covers what made them
 * superfluous. When little of the log is held, what is held in its head moves to the tail.
 */

import { LRUCache } from "lru-cache";
import { assert } from "../assert.ts";
import type { Turn, TurnTask } from "../turn.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { JournalSegment, messageStart, queuesOf, recordBytes } from "./journal-segment.ts";
import type { FlushListener, Holder, Place } from "./message-store.ts";
import { Moves } from "./moves.ts";
import {
  BLOCK_HEADER_BYTES,
  DELIVERED,
  DELIVERED_BYTES,
  MESSAGE,
  MESSAGE_HEADER_BYTES,
  ORDINALS_MAX,
  SETTLED,
  SETTLED_BYTES,
  sealBlock,
  segmentNumber,
} from "./segment-format.ts";
import { SettledRuns } from "./settled-runs.ts";

export interface JournalOptions {
  readonly disk: Disk;
  readonly turn: Turn;
  /** Bytes of a segment; a larger message has one of its own. */
  readonly segmentBytes: number;
  /** Bytes of sealed segments kept in memory. */
  readonly residentBytesMax: number;
  /** Whether safe means on the disk, or handed to the operating system. */
  readonly sync: "always" | "os";
  /** The disk did not take what was promised: the process must not go on as if it had. */
  readonly onSyncFailed: (error: Error) => void;
  /** Writing does not work, or works again (undefined). */
  readonly onWriteTrouble: (error: Error | undefined) => void;
}

/** The log may have as many bytes for one held byte, and these besides, before its head is cleared out. */
const LOG_BYTES_PER_HELD = 2;
const SPARE_SEGMENTS = 2;
/** How many messages have to go before it is worth a look whether the head should be cleared out. */
const RELEASED_BETWEEN_LOOKS = 256;

/** A range of a segment that the operating system has not been given yet. */
interface Write {
  readonly segment: JournalSegment;
  readonly start: number;
  readonly end: number;
}

export function segmentFileName(number: number): string {
  return `segment-${String(number).padStart(10, "0")}`;
}

export class Journal implements TurnTask {
  readonly #options: JournalOptions;
  /** From the head to the tail. */
  readonly #segments: JournalSegment[] = [];
  readonly #byNumber = new Map<number, JournalSegment>();
  readonly #moves = new Moves();
  readonly #resident: LRUCache<number, JournalSegment>;
  #tail: JournalSegment | undefined;
  #recent: JournalSegment | undefined;
  #nextNumber: number;
  #nextBlock: number;
  /** In the tail: where the block that is being filled begins; -1 when none is. */
  #blockStart = -1;
  readonly #settled = new SettledRuns();
  /** The highest position that each queue has delivered since the last flush. */
  readonly #delivered = new Map<number, number>();
  #scheduled = false;
  #writes: Write[] = [];
  #writeTrouble = false;
  #waiting: FlushListener[] = [];
  #syncing = false;
  readonly #unsynced = new Set<DiskFile>();
  /** Segments of which nothing is needed any more, once all that has been appended is safe. */
  #retired: JournalSegment[] = [];
  #place: { buffer: Buffer; view: DataView; offset: number } | undefined;
  #usedBytes = 0;
  /** Since somebody looked whether the head should be cleared out. */
  #releasedCount = 0;

  constructor(options: JournalOptions, nextNumber = 1, nextBlock = 1) {
    this.#options = options;
    this.#nextNumber = nextNumber;
    this.#nextBlock = nextBlock;
    this.#resident = new LRUCache({
      maxSize: Math.max(1, options.residentBytesMax),
      sizeCalculation: (segment) => Math.max(1, segment.usedBytes),
      dispose: (segment) => {
        if (segment !== this.#tail && !this.#isBeingWritten(segment)) segment.evict();
      },
    });
  }

  /** Bytes of all segment files. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** What of them somebody holds, about. */
  get heldBytes(): number {
    let bytes = 0;
    for (const segment of this.#segments) bytes += segment.heldBytes;
    return bytes;
  }

  // -- appending

  /** As `MessageStore.append`. `label` is given back on recovery. */
  append(bytes: number, holders: readonly Holder[], label: number): number {
    let durable = 0;
    for (const holder of holders) if (holder.persists) durable++;
    const tail = this.#room(recordBytes(durable, bytes), 1);
    const at = tail.usedBytes;
    this.#header(tail, bytes, durable, label, 0);
    let id = at + MESSAGE_HEADER_BYTES;
    for (const holder of holders) {
      if (!holder.persists) continue;
      tail.view.setUint32(id, holder.id, true);
      id += 4;
    }
    return this.#endRecord(tail, id + bytes, holders.length);
  }

  #header(tail: JournalSegment, bytes: number, queues: number, label: number, known: number): void {
    const { view, usedBytes: at } = tail;
    view.setUint16(at, MESSAGE, true);
    view.setUint16(at + 2, queues, true);
    view.setUint32(at + 4, bytes, true);
    view.setFloat64(at + 8, label, true);
    view.setFloat64(at + 16, known, true);
  }

  /** The record goes to `end`. Returns the position of its message. */
  #endRecord(tail: JournalSegment, end: number, holders: number): number {
    const start = tail.usedBytes;
    tail.usedBytes = end;
    this.#usedBytes += end - start;
    return tail.start + tail.add(start, holders);
  }

  /** The tail, with room for `bytes` bytes of `messages` messages in a block. */
  #room(bytes: number, messages: number): JournalSegment {
    this.schedule();
    const tail = this.#tail;
    if (tail !== undefined) {
      const needed = bytes + (this.#blockStart < 0 ? BLOCK_HEADER_BYTES : 0);
      const fits =
        tail.usedBytes + needed <= tail.buffer.length && tail.count + messages <= ORDINALS_MAX;
      if (fits) {
        if (this.#blockStart < 0) this.#openBlock(tail);
        return tail;
      }
      this.#seal(tail);
    }
    const next = this.#addTail(bytes + BLOCK_HEADER_BYTES);
    this.#openBlock(next);
    return next;
  }

  #openBlock(tail: JournalSegment): void {
    this.#blockStart = tail.usedBytes;
    tail.usedBytes += BLOCK_HEADER_BYTES;
    this.#usedBytes += BLOCK_HEADER_BYTES;
  }

  #addTail(bytesMin: number): JournalSegment {
    const { disk, segmentBytes } = this.#options;
    const number = this.#nextNumber++;
    const segment = new JournalSegment(number, disk.open(segmentFileName(number)));
    disk.syncFolder();
    segment.keep(Buffer.allocUnsafeSlow(Math.max(segmentBytes, bytesMin)));
    this.#segments.push(segment);
    this.#byNumber.set(number, segment);
    this.#tail = segment;
    return segment;
  }

  /** The tail is full. Its open block belongs to a flush that goes on in the next segment. */
  #seal(tail: JournalSegment): void {
    this.#closeBlock(tail, true);
    tail.seal();
    this.#tail = undefined;
    this.#resident.set(tail.number, tail);
  }

  #closeBlock(tail: JournalSegment, goesOn: boolean): void {
    if (this.#blockStart < 0) return;
    const start = this.#blockStart;
    sealBlock(tail.buffer, start, tail.usedBytes, this.#nextBlock++, goesOn);
    this.#writes.push({ segment: tail, start, end: tail.usedBytes });
    this.#blockStart = -1;
  }

  // -- looking up

  /** The segment of a position, where the record is now; `ordinal` is in `#ordinal`. */
  #ordinal = 0;
  #find(position: number): JournalSegment {
    const now = this.#byNumber.has(segmentNumber(position))
      ? position
      : this.#moves.current(position);
    let segment = this.#recent;
    const number = segmentNumber(now);
    if (segment?.number !== number) {
      segment = this.#byNumber.get(number);
      assert(segment !== undefined, `position ${position} is in no segment`);
      this.#recent = segment;
    }
    this.#ordinal = now - segment.start;
    return segment;
  }

  /** As `MessageStore.locate`. */
  locate(position: number): Place {
    const segment = this.#find(position);
    const ordinal = this.#ordinal;
    if (!segment.resident) {
      segment.load();
      this.#resident.set(segment.number, segment);
    } else if (segment !== this.#tail) {
      this.#resident.get(segment.number);
    }
    this.#place ??= { buffer: segment.buffer, view: segment.view, offset: 0 };
    this.#place.buffer = segment.buffer;
    this.#place.view = segment.view;
    this.#place.offset = messageStart(segment, segment.recordStart(ordinal));
    return this.#place;
  }

  hold(position: number): void {
    this.#find(position).hold(this.#ordinal);
  }

  letGo(position: number): void {
    this.#letGo(position, 0);
  }

  /** As `MessageStore.release`; what a durable queue settles is remembered in the log. */
  release(position: number, holder: Holder): void {
    if (holder.persists) {
      const segment = this.#find(position);
      this.#settled.add(holder.id, segment.start + this.#ordinal);
      this.schedule();
    }
    this.#letGo(position, holder.persists ? holder.id : 0);
  }

  #letGo(position: number, queueId: number): void {
    const segment = this.#find(position);
    const ordinal = this.#ordinal;
    if (!segment.letGo(ordinal, queueId)) return;
    this.#releasedCount++;
    this.#moves.forget(segment.start + ordinal);
    this.schedule();
  }

  /** What a durable queue holds up to `position` has been delivered: it comes back marked so. */
  noteDelivered(queueId: number, position: number): void {
    const before = this.#delivered.get(queueId) ?? 0;
    if (position <= before) return;
    this.#delivered.set(queueId, position);
    this.schedule();
  }

  // -- flushing

  /** There is something to flush at the end of this turn. */
  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#options.turn.flushStore(this);
  }

  /** Calls the listener when everything appended so far is safe. */
  afterFlush(listener: FlushListener): void {
    this.#waiting.push(listener);
    this.schedule();
  }

  endTurn(): void {
    this.#scheduled = false;
    this.flush();
  }

  /** Hands everything to the operating system, and sees to it that it gets to the disk when somebody waits for that. */
  flush(): void {
    this.#appendSettled();
    this.#appendDelivered();
    this.#clearHead();
    if (this.#tail !== undefined) this.#closeBlock(this.#tail, false);
    this.#drain();
  }

  #appendSettled(): void {
    const runs = this.#settled;
    for (let run = 0; run < runs.length; run++) {
      const tail = this.#room(SETTLED_BYTES, 0);
      const { view, usedBytes: at } = tail;
      view.setUint32(at, SETTLED, true);
      view.setUint32(at + 4, runs.queue(run), true);
      view.setFloat64(at + 8, runs.first(run), true);
      view.setUint32(at + 16, runs.count(run), true);
      tail.usedBytes = at + SETTLED_BYTES;
      this.#usedBytes += SETTLED_BYTES;
    }
    runs.clear();
  }

  #appendDelivered(): void {
    for (const [queueId, position] of this.#delivered) {
      const tail = this.#room(DELIVERED_BYTES, 0);
      const { view, usedBytes: at } = tail;
      view.setUint32(at, DELIVERED, true);
      view.setUint32(at + 4, queueId, true);
      view.setFloat64(at + 8, position, true);
      tail.usedBytes = at + DELIVERED_BYTES;
      this.#usedBytes += DELIVERED_BYTES;
    }
    this.#delivered.clear();
  }

  /** Gives the operating system what it has not been given; on trouble the rest waits for the next flush. */
  #drain(): void {
    let written = 0;
    try {
      for (const { segment, start, end } of this.#writes) {
        segment.file.write(segment.buffer, start, end, start);
        this.#unsynced.add(segment.file);
        written++;
      }
    } catch (error) {
      this.#writes.splice(0, written);
      this.#writeTrouble = true;
      this.#options.onWriteTrouble(error as Error);
      return;
    }
    this.#writes.length = 0;
    if (this.#writeTrouble) {
      this.#writeTrouble = false;
      this.#options.onWriteTrouble(undefined);
    }
    this.#syncIfWanted();
  }

  #isBeingWritten(segment: JournalSegment): boolean {
    return this.#writes.some((write) => write.segment === segment);
  }

  #syncIfWanted(): void {
    if (this.#syncing || this.#writes.length > 0) return;
    if (this.#waiting.length === 0 && this.#retired.length === 0) return;
    const waiting = this.#waiting;
    const retired = this.#retired;
    this.#waiting = [];
    this.#retired = [];
    const files = this.#options.sync === "always" ? [...this.#unsynced] : [];
    this.#unsynced.clear();
    this.#syncing = true;
    let left = files.length;
    const done = (error: Error | null): void => {
      if (error !== null) {
        this.#options.onSyncFailed(error);
        return;
      }
      left--;
      if (left <= 0) this.#synced(waiting, retired);
    };
    if (files.length === 0) done(null);
    for (const file of files) file.sync(done);
  }

  #synced(waiting: readonly FlushListener[], retired: readonly JournalSegment[]): void {
    this.#syncing = false;
    for (const segment of retired) this.#remove(segment);
    for (const listener of waiting) listener.onFlushed();
    this.#syncIfWanted();
  }

  // -- reclaiming

  /** Retires what nobody holds at the head; when little of the log is held, makes it so by moving what is. */
  #clearHead(): void {
    const { segmentBytes } = this.#options;
    for (;;) {
      const head = this.#segments[0];
      if (head === undefined || head === this.#tail) return;
      if (head.heldCount > 0) {
        if (this.#releasedCount < RELEASED_BETWEEN_LOOKS) return;
        const allowed = this.heldBytes * LOG_BYTES_PER_HELD + SPARE_SEGMENTS * segmentBytes;
        if (this.#usedBytes <= allowed) {
          this.#releasedCount = 0;
          return;
        }
        this.#relocate(head);
      }
      this.#segments.shift();
      this.#byNumber.delete(head.number);
      if (this.#recent === head) this.#recent = undefined;
      this.#usedBytes -= head.usedBytes;
      this.#retired.push(head);
    }
  }

  #relocate(head: JournalSegment): void {
    if (!head.resident) head.load();
    for (let ordinal = 0; ordinal < head.count; ordinal++) {
      if (head.holders(ordinal) > 0) this.#move(head, ordinal);
    }
  }

  #move(head: JournalSegment, ordinal: number): void {
    const from = head.start + ordinal;
    const recordAt = head.recordStart(ordinal);
    const { view } = head;
    const bytes = view.getUint32(recordAt + 4, true);
    const queues = queuesOf(head, recordAt).filter((id) => !head.isDoneWith(ordinal, id));
    const tail = this.#room(recordBytes(queues.length, bytes), 1);
    this.#header(
      tail,
      bytes,
      queues.length,
      view.getFloat64(recordAt + 8, true),
      this.#moves.known(from),
    );
    let at = tail.usedBytes + MESSAGE_HEADER_BYTES;
    for (const id of queues) {
      tail.view.setUint32(at, id, true);
      at += 4;
    }
    const messageAt = messageStart(head, recordAt);
    head.buffer.copy(tail.buffer, at, messageAt, messageAt + bytes);
    this.#moves.move(from, this.#endRecord(tail, at + bytes, head.holders(ordinal)));
  }

  #remove(segment: JournalSegment): void {
    this.#resident.delete(segment.number);
    segment.file.close();
    this.#options.disk.remove(segmentFileName(segment.number));
  }

  // -- beginning and end

  /** Takes over a segment that recovery has read, the older first; none is written to any more. */
  adopt(segment: JournalSegment): void {
    this.#segments.push(segment);
    this.#byNumber.set(segment.number, segment);
    this.#usedBytes += segment.usedBytes;
    if (segment.resident) this.#resident.set(segment.number, segment);
  }

  /** A recovered record that is known by another position than its own. */
  adoptMove(known: number, now: number): void {
    this.#moves.move(known, now);
  }

  /** Flushes, syncs and closes the files. */
  close(): void {
    this.flush();
    for (const file of this.#unsynced) file.syncNow();
    for (const { file } of [...this.#segments, ...this.#retired]) file.close();
  }
}
