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
/** How often, by what comes and goes, it is looked whether the head should be cleared out. */
const LOOKS_PER_SEGMENT = 4;

/** A range of a segment that the operating system has not been given yet. */
interface Write {
  readonly segment: JournalSegment;
  readonly start: number;
  readonly end: number;
  readonly block: number;
}

/** What a sync covers. */
interface Sync {
  readonly files: readonly DiskFile[];
  readonly block: number;
  readonly waiting: readonly FlushListener[];
  readonly retired: readonly JournalSegment[];
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
  #oversized: JournalSegment | undefined;
  #nextNumber: number;
  #nextBlock: number;
  /** In the tail: where the block that is being filled begins; -1 when none is. */
  #blockStart = -1;
  #blockOrdinal = 0;
  /** Whether the block before belongs to the flush that is being filled. */
  #flushGoesOn = false;
  readonly #settled = new SettledRuns();
  /** The highest position that each queue has delivered since the last flush. */
  readonly #delivered = new Map<number, number>();
  /** The highest position that each queue has ever delivered. */
  readonly #deliveredUpTo = new Map<number, number>();
  #scheduled = false;
  #writes: Write[] = [];
  #writeTrouble = false;
  /** Those who wait for what this turn has appended, and those for what has been handed to the system. */
  #waiting: FlushListener[] = [];
  #written: FlushListener[] = [];
  /** Numbers of the last block that was handed to the system, and of the last that is known to be on the disk. */
  #writtenBlock: number;
  #syncedBlock: number;
  /** What the sync that is running covers; undefined when none runs. */
  #sync: Sync | undefined;
  #closed = false;
  readonly #unsynced = new Set<DiskFile>();
  /** Segments of which nothing is needed any more, once all that has been appended is safe. */
  #retired: JournalSegment[] = [];
  #place: { buffer: Buffer; view: DataView; offset: number } | undefined;
  #usedBytes = 0;
  /** Since somebody looked whether the head should be cleared out: bytes let go of, and bytes appended. */
  #releasedBytes = 0;
  #grownBytes = 0;

  constructor(options: JournalOptions, nextNumber = 1, nextBlock = 1) {
    this.#options = options;
    this.#nextNumber = nextNumber;
    this.#nextBlock = nextBlock;
    this.#writtenBlock = nextBlock - 1;
    this.#syncedBlock = nextBlock - 1;
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
    return tail.start + tail.add(start, end - start, holders);
  }

  /** The tail, with room for `bytes` bytes of `messages` messages in a block. */
  #room(bytes: number, messages: number): JournalSegment {
    this.schedule();
    const tail = this.#tail;
    if (tail !== undefined) {
      const needed = bytes + (this.#blockStart < 0 ? BLOCK_HEADER_BYTES : 0);
      const fits =
        tail.usedBytes + needed <= tail.buffer.length && tail.count + messages < ORDINALS_MAX;
      if (fits) {
        if (this.#blockStart < 0) this.#openBlock(tail);
        return tail;
      }
    }
    // First what can fail: a flush must not be left open towards a segment that is not there.
    const next = this.#newSegment(bytes + BLOCK_HEADER_BYTES);
    if (tail !== undefined) this.#seal(tail);
    this.#segments.push(next);
    this.#byNumber.set(next.number, next);
    this.#tail = next;
    this.#openBlock(next);
    return next;
  }

  #openBlock(tail: JournalSegment): void {
    this.#blockStart = tail.usedBytes;
    this.#blockOrdinal = tail.count;
    tail.usedBytes += BLOCK_HEADER_BYTES;
    this.#usedBytes += BLOCK_HEADER_BYTES;
  }

  #newSegment(bytesMin: number): JournalSegment {
    const { disk, segmentBytes } = this.#options;
    const number = this.#nextNumber;
    const segment = new JournalSegment(number, disk.open(segmentFileName(number)));
    disk.syncFolder();
    this.#nextNumber++;
    segment.keep(Buffer.allocUnsafeSlow(Math.max(segmentBytes, bytesMin)));
    return segment;
  }

  /** The tail is full. Its open block belongs to a flush that goes on in the next segment. */
  #seal(tail: JournalSegment): void {
    this.#closeBlock(tail, true);
    tail.seal();
    this.#grownBytes += tail.usedBytes;
    this.#resident.set(tail.number, tail);
  }

  #closeBlock(tail: JournalSegment, goesOn: boolean): void {
    if (this.#blockStart < 0) return;
    const start = this.#blockStart;
    const number = this.#nextBlock++;
    sealBlock(tail.buffer, start, tail.usedBytes, {
      number,
      continues: this.#flushGoesOn,
      goesOn,
      ordinal: this.#blockOrdinal,
      synced: this.#options.sync === "always" ? this.#syncedBlock : number - 1,
    });
    this.#writes.push({ segment: tail, start, end: tail.usedBytes, block: number });
    this.#blockStart = -1;
    this.#flushGoesOn = goesOn;
  }

  // -- looking up

  /** The segment of a position, where the record is now; `ordinal` is in `#ordinal`. */
  #ordinal = 0;
  #find(position: number): JournalSegment {
    const now = this.#moves.current(position);
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
      this.#keepOversized(segment);
    } else if (segment !== this.#tail) {
      this.#resident.get(segment.number);
    }
    this.#place ??= { buffer: segment.buffer, view: segment.view, offset: 0 };
    this.#place.buffer = segment.buffer;
    this.#place.view = segment.view;
    this.#place.offset = messageStart(segment, segment.recordStart(ordinal));
    return this.#place;
  }

  /** What is larger than all that may be resident is not taken by the cache: one of these stays until the next. */
  #keepOversized(segment: JournalSegment): void {
    if (this.#resident.has(segment.number)) return;
    if (this.#oversized !== segment && this.#oversized !== this.#tail) this.#oversized?.evict();
    this.#oversized = segment;
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
    this.#releasedBytes += segment.messageBytes(ordinal);
    this.#moves.forget(segment.start + ordinal);
    this.schedule();
  }

  /** What a durable queue holds up to `position` has been delivered: it comes back marked so. */
  noteDelivered(queueId: number, position: number): void {
    if (position <= (this.#deliveredUpTo.get(queueId) ?? 0)) return;
    this.#deliveredUpTo.set(queueId, position);
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
    // The numbers of its files may be those of others by now.
    if (!this.#closed) this.flush();
  }

  /** Hands everything to the operating system, and sees to it that it gets to the disk when somebody waits for that. */
  flush(): void {
    this.#appendSettled();
    this.#clearHead();
    this.#appendDelivered();
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
      for (const { segment, start, end, block } of this.#writes) {
        this.#unsynced.add(segment.file);
        segment.file.write(segment.buffer, start, end, start);
        this.#writtenBlock = block;
        written++;
      }
    } catch (error) {
      this.#writes.splice(0, written);
      this.#writeTrouble = true;
      this.#options.onWriteTrouble(error as Error);
      return;
    }
    const segments = new Set(this.#writes.map(({ segment }) => segment));
    this.#writes.length = 0;
    // What could not be evicted while it was not written can be now.
    for (const segment of segments) {
      if (segment !== this.#tail && segment.resident) this.#resident.set(segment.number, segment);
    }
    this.#written.push(...this.#waiting);
    this.#waiting = [];
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
    if (this.#sync !== undefined || this.#writes.length > 0) return;
    if (this.#written.length === 0 && this.#retired.length === 0) return;
    const files = this.#options.sync === "always" ? [...this.#unsynced] : [];
    const sync = {
      files,
      block: this.#writtenBlock,
      waiting: this.#written,
      retired: this.#retired,
    };
    this.#sync = sync;
    this.#written = [];
    this.#retired = [];
    this.#unsynced.clear();
    let left = files.length;
    const done = (error: Error | null): void => {
      if (this.#closed) return;
      if (error !== null) {
        this.#options.onSyncFailed(error);
        return;
      }
      left--;
      if (left > 0) return;
      this.#synced(sync);
    };
    if (files.length === 0) done(null);
    for (const file of files) file.sync(done);
  }

  #synced({ block, waiting, retired }: Sync): void {
    this.#sync = undefined;
    this.#syncedBlock = block;
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
        if (this.#releasedBytes + this.#grownBytes < segmentBytes / LOOKS_PER_SEGMENT) return;
        const allowed = this.heldBytes * LOG_BYTES_PER_HELD + SPARE_SEGMENTS * segmentBytes;
        if (this.#usedBytes <= allowed) {
          this.#releasedBytes = 0;
          this.#grownBytes = 0;
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
    // It must not be evicted for the sake of what it fills the tail with.
    this.#resident.delete(head.number);
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
    const known = this.#moves.known(from);
    for (const id of queues) this.#keepDelivered(id, known);
    const tail = this.#room(recordBytes(queues.length, bytes), 1);
    this.#header(tail, bytes, queues.length, view.getFloat64(recordAt + 8, true), known);
    let at = tail.usedBytes + MESSAGE_HEADER_BYTES;
    for (const id of queues) {
      tail.view.setUint32(at, id, true);
      at += 4;
    }
    const messageAt = messageStart(head, recordAt);
    head.buffer.copy(tail.buffer, at, messageAt, messageAt + bytes);
    this.#moves.move(from, this.#endRecord(tail, at + bytes, head.holders(ordinal)));
  }

  /** What says that a message was delivered may go with the head: then it is said again. */
  #keepDelivered(queueId: number, known: number): void {
    const upTo = this.#deliveredUpTo.get(queueId) ?? 0;
    if (known <= upTo) this.#delivered.set(queueId, upTo);
  }

  #remove(segment: JournalSegment): void {
    this.#unsynced.delete(segment.file);
    this.#resident.delete(segment.number);
    segment.file.close();
    const { disk } = this.#options;
    disk.remove(segmentFileName(segment.number));
    // One after the other: a head that came back after a crash without what followed it would look like damage.
    disk.syncFolder();
  }

  // -- beginning and end

  /** What queues delivered before. */
  adoptDelivered(deliveredUpTo: ReadonlyMap<number, number>): void {
    for (const [queueId, position] of deliveredUpTo) this.#deliveredUpTo.set(queueId, position);
  }

  /** Takes over a segment that recovery has read, the older first; none is written to any more. */
  adopt(segment: JournalSegment): void {
    // Whether the process before this one has synced it is not known, and what is shown to consumers should not go again.
    if (this.#options.sync === "always") segment.file.syncNow();
    this.#segments.push(segment);
    this.#byNumber.set(segment.number, segment);
    this.#usedBytes += segment.usedBytes;
    if (segment.resident) this.#resident.set(segment.number, segment);
  }

  /** The last adopted segment is the tail again if there is room in it: many short lives make no more files than one. */
  reopenTail(): void {
    const last = this.#segments.at(-1);
    const { segmentBytes } = this.#options;
    if (last === undefined || last.usedBytes * 2 > segmentBytes) return;
    const buffer = Buffer.allocUnsafeSlow(segmentBytes);
    last.file.read(buffer, 0, last.usedBytes, 0);
    last.keep(buffer);
    this.#tail = last;
  }

  /** A recovered record that is known by another position than its own. */
  adoptMove(known: number, now: number): void {
    this.#moves.move(known, now);
  }

  /** Clears out the head, flushes, syncs, removes what is superfluous, and closes the files. */
  close(): void {
    this.#releasedBytes = this.#options.segmentBytes;
    this.flush();
    this.#closed = true;
    // The sync that runs may end at any time, or never: what it covers is synced here.
    const { files, retired, waiting } = this.#sync ?? { files: [], retired: [], waiting: [] };
    for (const file of new Set([...this.#unsynced, ...files])) file.syncNow();
    if (this.#writes.length === 0) {
      for (const segment of [...retired, ...this.#retired]) this.#remove(segment);
      for (const listener of [...waiting, ...this.#written]) listener.onFlushed();
    }
    for (const { file } of this.#segments) file.close();
  }
}
