/**
 * The journal: the segmented log of the messages that outlive the process, and their memory while it runs.
 *
 * Within a turn records are only appended, to the tail segment's buffer. At its end they are handed to the operating
 * system as one flush, which counts wholly or not at all (segment-format.ts); while a sync runs they wait for the next
 * one's end instead, unless somebody could see the difference after the process is killed. Files are removed from the head
 * only, because a record SETTLED speaks of messages before it. When little of the log is held, what is held in its head
 * moves to the tail.
 */

import type { Turn, TurnTask } from "../turn.ts";
import {
  type DamagedRange,
  JournalSegment,
  type SegmentHome,
  segmentHome,
} from "./journal-segment.ts";
import { JournalSegments } from "./journal-segments.ts";
import { JournalWriter, type WriterOptions } from "./journal-writer.ts";
import type { MemoryBudget } from "./memory-budget.ts";
import type { FlushListener, Holder, Place } from "./message-store.ts";
import { Moves } from "./moves.ts";
import { Redeliveries } from "./redeliveries.ts";
import {
  BLOCK_HEADER_BYTES,
  blockHeader,
  DELIVERED,
  DELIVERED_BYTES,
  DELIVERIES_MAX,
  knownPosition,
  MESSAGE,
  MESSAGE_HEADER_BYTES,
  messageStart,
  ORDINALS_MAX,
  queuesOf,
  recordBytes,
  SETTLED,
  SETTLED_BYTES,
  sealBlock,
  segmentStart,
} from "./segment-format.ts";
import { encodeIndex, IndexBuilder } from "./segment-index.ts";
import { SettledRuns } from "./settled-runs.ts";

export interface JournalOptions extends WriterOptions {
  readonly turn: Turn;
  /** Bytes of a segment; a larger message has one of its own. */
  readonly segmentBytes: number;
  /** The memory that messages may take. */
  readonly budget: MemoryBudget;
  /** A 32-bit number that nobody can guess, for each segment. */
  readonly salt: () => number;
  /** Bytes that were safe have changed: once for each damaged range. */
  readonly onDamage: (damage: DamagedRange) => void;
}

/** Where a journal begins: behind these numbers. */
export interface Beginning {
  readonly home: SegmentHome;
  readonly lastNumber: number;
  readonly lastBlock: number;
  /** Of what it takes over. */
  readonly moves: Moves;
  readonly redeliveries: Redeliveries;
}

function beginning(options: JournalOptions): Beginning {
  const moves = new Moves(options.budget);
  const redeliveries = new Redeliveries(options.budget);
  return { home: segmentHome(options), lastNumber: 0, lastBlock: 0, moves, redeliveries };
}

/** The log may have as many bytes for one held byte, and these besides, before its head is cleared out. */
const LOG_BYTES_PER_HELD = 2;
const SPARE_SEGMENTS = 2;
/** How often, by what comes and goes, it is looked whether the head should be cleared out. */
const LOOKS_PER_SEGMENT = 4;
/** A flush of so many bytes does not wait for a sync that runs. */
const DEFERRED_BYTES_MAX = 4 * 1024 * 1024;

export class Journal implements TurnTask {
  readonly #options: JournalOptions;
  readonly #writer: JournalWriter;
  readonly #home: SegmentHome;
  readonly #segments: JournalSegments;
  #tail: JournalSegment | undefined;
  #nextNumber: number;
  #nextBlock: number;
  /** In the tail: where the block that is being filled begins; -1 when none is. */
  #blockStart = -1;
  #blockOrdinal = 0;
  /** Whether the block before belongs to the flush that is being filled. */
  #flushGoesOn = false;
  readonly #settled = new SettledRuns();
  /** Segments of which something was settled, or has moved, in this flush that counts only with the rest of it. */
  readonly #tied = new Set<JournalSegment>();
  /** The highest position that each queue has delivered since the last flush. */
  readonly #delivered = new Map<number, number>();
  /** The highest position that each queue has ever delivered. */
  readonly #deliveredUpTo = new Map<number, number>();
  readonly #redeliveries: Redeliveries;
  /** Messages from this position on have not been handed to the operating system. */
  #firstUnwritten: number;
  /** Whether one of those that have been was delivered since the last flush, and that has not been noted before. */
  #deliversWritten = false;
  #scheduled = false;
  #closed = false;
  /** Whether there is something to flush when the sync that runs has ended. */
  #deferred = false;
  /** Since somebody looked whether the head should be cleared out: bytes let go of, and bytes appended. */
  #releasedBytes = 0;
  #grownBytes = 0;

  /** An empty journal, or one that goes on behind what recovery has found. */
  constructor(
    options: JournalOptions,
    { home, lastNumber, lastBlock, moves, redeliveries }: Beginning = beginning(options),
  ) {
    this.#options = options;
    this.#home = home;
    this.#segments = new JournalSegments(options.onDamage, moves);
    this.#redeliveries = redeliveries;
    this.#nextNumber = lastNumber + 1;
    this.#nextBlock = lastBlock + 1;
    this.#firstUnwritten = segmentStart(lastNumber + 1);
    this.#writer = new JournalWriter(options, lastBlock, () => {
      if (this.#deferred || this.#writer.isBehind) this.schedule();
    });
  }

  /** Bytes of all segment files. */
  get usedBytes(): number {
    return this.#segments.fileBytes;
  }

  /** What of them somebody holds, about. */
  get heldBytes(): number {
    return this.#segments.heldBytes;
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
    view.setUint32(at, MESSAGE | (queues << 8), true);
    view.setUint32(at + 4, bytes, true);
    view.setFloat64(at + 8, label, true);
    view.setFloat64(at + 16, known, true);
  }

  /** The record goes to `end`. Returns the position of its message. */
  #endRecord(tail: JournalSegment, end: number, holders: number): number {
    const start = tail.usedBytes;
    tail.usedBytes = end;
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
    if (tail !== undefined) this.#seal(tail);
    const next = this.#newSegment(bytes + BLOCK_HEADER_BYTES);
    this.#segments.add(next);
    this.#tail = next;
    this.#openBlock(next);
    return next;
  }

  #openBlock(tail: JournalSegment): void {
    this.#blockStart = tail.usedBytes;
    this.#blockOrdinal = tail.count;
    tail.usedBytes += BLOCK_HEADER_BYTES;
  }

  /** Its file is made when it is written to: until then nothing can fail, and whoever appends need not know of disks. */
  #newSegment(bytesMin: number): JournalSegment {
    const { segmentBytes, salt } = this.#options;
    const bytes = Math.max(segmentBytes, bytesMin);
    const name = { number: this.#nextNumber++, salt: salt() };
    const segment = new JournalSegment(name, this.#home, true);
    segment.isTail = true;
    // What this process writes is not read back: what of it the disk has not been given would be lost for that.
    segment.isVerified = true;
    segment.takeBuffer(bytes);
    return segment;
  }

  /** The tail is full. Its open block belongs to a flush that goes on in the next segment. */
  #seal(tail: JournalSegment): void {
    this.#closeBlock(tail, true);
    tail.seal();
    tail.isTail = false;
    this.#writeIndex(tail);
    this.#grownBytes += tail.fileBytes;
    tail.touch();
  }

  #writeIndex(segment: JournalSegment): void {
    if (segment.usedBytes === 0) return;
    const { buffer, view, usedBytes, salt } = segment;
    const builder = new IndexBuilder(segment.name);
    for (let at = 0; at < usedBytes; ) {
      const block = blockHeader(buffer, at);
      builder.addBlock(block, view, at, at);
      at += block.bytes;
    }
    const index = encodeIndex(builder.build(), salt);
    segment.indexBytes = index.length;
    this.#writer.writeIndex(segment, index, this.#nextBlock - 1);
  }

  #closeBlock(tail: JournalSegment, goesOn: boolean): void {
    if (this.#blockStart < 0) return;
    const start = this.#blockStart;
    const number = this.#nextBlock++;
    const { safeBlock } = this.#writer;
    sealBlock(tail.buffer, start, tail.usedBytes, {
      number,
      continues: this.#flushGoesOn,
      goesOn,
      ordinal: this.#blockOrdinal,
      synced: safeBlock,
      salt: tail.salt,
    });
    this.#writer.writeBlock(tail, start, tail.usedBytes, number);
    this.#blockStart = -1;
    this.#flushGoesOn = goesOn;
  }

  // -- holders

  /** As `MessageStore.locate`. */
  locate(position: number): Place {
    return this.#segments.locate(position);
  }

  /** As `MessageStore.isWhole`. */
  isWhole(position: number): boolean {
    return this.#segments.isWhole(position);
  }

  /** As `JournalSegments.verifyNext`. */
  verifyNext(): boolean {
    return this.#segments.verifyNext();
  }

  /** As `MessageStore.release`; what a durable queue settles is remembered in the log. */
  release(position: number, holder: Holder): void {
    if (this.#closed) return;
    if (this.#segments.isGone(position)) return;
    const queueId = holder.persists ? holder.id : 0;
    const segment = this.#segments.find(position);
    const { ordinal } = this.#segments;
    this.schedule();
    if (holder.persists) {
      this.#settled.add(holder.id, segment.start + ordinal);
      this.#redeliveries.forget(holder.id, position);
    }
    if (this.#options.turn.isUndivided) this.#tied.add(segment);
    if (!segment.letGo(ordinal, queueId)) return;
    this.#releasedBytes += segment.messageBytes(ordinal);
    this.#segments.moves.forget(position);
  }

  /** As `MessageStore.delivered`. All that the queue holds up to `position` comes back marked as delivered. */
  noteDelivered(queueId: number, position: number, deliveries = 1): void {
    if (deliveries > 1) {
      this.#redeliveries.note(queueId, position, Math.min(deliveries, DELIVERIES_MAX));
      this.schedule();
    } else if (position > (this.#deliveredUpTo.get(queueId) ?? 0)) {
      this.#deliveredUpTo.set(queueId, position);
      this.#delivered.set(queueId, position);
      this.schedule();
    } else if (!this.#delivered.has(queueId)) {
      return;
    }
    if (position < this.#firstUnwritten) this.#deliversWritten = true;
  }

  /** As `MessageStore.forget`. */
  forget(queueId: number): void {
    this.#deliveredUpTo.delete(queueId);
    this.#delivered.delete(queueId);
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
    this.#writer.wait(listener);
    this.schedule();
  }

  endTurn(): void {
    this.#scheduled = false;
    // The numbers of its files may be those of others by now.
    if (this.#closed) return;
    this.#deferred = this.#mayWait();
    if (!this.#deferred) this.flush();
    this.#home.pool.endTurn();
  }

  /**
   * What is written while a sync runs holds that up, and gets to the disk no sooner. It is missing after the process is
   * killed, but nothing of it has been promised yet: only a delivery of what was written before would be forgotten.
   */
  #mayWait(): boolean {
    if (!this.#writer.isSyncing || this.#writer.isBehind || this.#deliversWritten) return false;
    const tail = this.#tail;
    if (tail === undefined || this.#blockStart < 0) return true;
    return tail.usedBytes - this.#blockStart < DEFERRED_BYTES_MAX;
  }

  /** Whether something that was appended has not been handed to the operating system. */
  get isBehind(): boolean {
    return this.#deferred || this.#writer.isBehind;
  }

  /** Hands everything to the operating system, and sees to it that it gets to the disk when somebody waits for that. */
  flush(): void {
    // What is appended here need not be flushed again.
    this.#scheduled = true;
    this.#appendSettled();
    this.#clearHead();
    this.#appendDelivered();
    if (this.#tail !== undefined) this.#closeBlock(this.#tail, false);
    this.#scheduled = false;
    for (const segment of this.#tied) segment.goesAfter = this.#nextBlock - 1;
    this.#tied.clear();
    this.#writer.drain();
    while (this.#writer.isBehind && this.#writer.makeRoom()) this.#writer.drain();
    if (this.#writer.isBehind || this.#tail === undefined) return;
    this.#deliversWritten = false;
    this.#firstUnwritten = this.#tail.start + this.#tail.count;
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
    }
    runs.clear();
  }

  #appendDelivered(): void {
    for (const [queueId, position] of this.#delivered) this.#deliveredRecord(queueId, position, 0);
    this.#delivered.clear();
    this.#redeliveries.takeUnwritten((queueId, position, deliveries) =>
      this.#deliveredRecord(queueId, position, deliveries),
    );
  }

  #deliveredRecord(queueId: number, position: number, deliveries: number): void {
    const tail = this.#room(DELIVERED_BYTES, 0);
    const { view, usedBytes: at } = tail;
    view.setUint32(at, DELIVERED | (deliveries << 8), true);
    view.setUint32(at + 4, queueId, true);
    view.setFloat64(at + 8, position, true);
    tail.usedBytes = at + DELIVERED_BYTES;
  }

  // -- reclaiming

  /** Retires what nobody holds at the head; when little of the log is held, makes it so by moving what is. */
  #clearHead(): void {
    const { segmentBytes } = this.#options;
    for (;;) {
      const { head } = this.#segments;
      if (head === undefined || head === this.#tail) return;
      if (head.heldCount > 0) {
        if (this.#releasedBytes + this.#grownBytes < segmentBytes / LOOKS_PER_SEGMENT) return;
        const allowed = this.heldBytes * LOG_BYTES_PER_HELD + SPARE_SEGMENTS * segmentBytes;
        if (this.usedBytes <= allowed) {
          this.#releasedBytes = 0;
          this.#grownBytes = 0;
          return;
        }
        if (!this.#mayMove(head)) return;
        this.#relocate(head);
      }
      this.#segments.removeHead();
      this.#writer.retire(head);
    }
  }

  /**
   * Whether what is held in the head can be read and may be copied: its file goes only when the copy is safe, and with it all
   * behind it. On a disk that is nearly full that has to fit into what is left, with the index of a tail that it fills.
   */
  #mayMove(head: JournalSegment): boolean {
    const { disk, segmentBytes } = this.#options;
    try {
      if (this.#writer.hasTrouble) return false;
      const needed = this.#unwrittenBytes + 2 * head.heldBytes + segmentBytes / 4;
      if (disk.freeBytes() <= needed) return false;
      this.#segments.use(head);
      return true;
    } catch {
      return false;
    }
  }

  /** What has been appended and not been handed to the operating system. */
  get #unwrittenBytes(): number {
    const open = this.#blockStart < 0 ? 0 : this.#tail!.usedBytes - this.#blockStart;
    return this.#writer.unwrittenBytes + open;
  }

  #relocate(head: JournalSegment): void {
    const segments = this.#segments;
    this.#tied.add(head);
    segments.use(head);
    // It must not be evicted for the sake of what it fills the tail with.
    head.pins++;
    for (let ordinal = 0; ordinal < head.count; ordinal++) {
      if (head.holders(ordinal) === 0) continue;
      // What is lost stays behind.
      if (!segments.isLost(head.start + ordinal)) this.#move(head, ordinal);
    }
    head.pins--;
  }

  #move(head: JournalSegment, ordinal: number): void {
    const recordAt = head.recordStart(ordinal);
    const { view } = head;
    const known = knownPosition(view, recordAt) || head.start + ordinal;
    const bytes = view.getUint32(recordAt + 4, true);
    const queues = queuesOf(view, recordAt).filter((id) => !head.isDoneWith(ordinal, id));
    for (const id of queues) this.#keepDelivered(id, known);
    const tail = this.#room(recordBytes(queues.length, bytes), 1);
    this.#header(tail, bytes, queues.length, view.getFloat64(recordAt + 8, true), known);
    let at = tail.usedBytes + MESSAGE_HEADER_BYTES;
    for (const id of queues) {
      tail.view.setUint32(at, id, true);
      at += 4;
    }
    const messageAt = messageStart(view, recordAt);
    head.buffer.copy(tail.buffer, at, messageAt, messageAt + bytes);
    this.#segments.moves.move(known, this.#endRecord(tail, at + bytes, head.holders(ordinal)));
  }

  /** What says that a message was delivered may go with the head: then it is said again. */
  #keepDelivered(queueId: number, known: number): void {
    const upTo = this.#deliveredUpTo.get(queueId) ?? 0;
    if (known <= upTo) this.#delivered.set(queueId, upTo);
    this.#redeliveries.repeat(queueId, known);
  }

  // -- beginning and end

  /** Up to where a queue delivered before. */
  adoptDelivered(queueId: number, position: number): void {
    this.#deliveredUpTo.set(queueId, position);
  }

  /** Takes over a segment that recovery has read, the older first; none is written to any more. */
  adopt(segment: JournalSegment): void {
    this.#segments.add(segment);
  }

  /** The last adopted segment is the tail again if there is room in it: many short lives make no more files than one. */
  reopenTail(): void {
    const { last } = this.#segments;
    const { segmentBytes } = this.#options;
    if (last === undefined || last.usedBytes * 2 > segmentBytes) return;
    // What goes into it takes the place of its index.
    last.file.truncate(last.usedBytes);
    last.indexBytes = 0;
    last.reopen(segmentBytes);
    this.#tail = last;
    this.#firstUnwritten = last.start + last.count;
  }

  /**
   * Clears out the head, flushes, syncs, removes what is superfluous, and closes the files; throws the system's error when
   * something could not be synced.
   */
  close(): void {
    this.#releasedBytes = this.#options.segmentBytes;
    try {
      this.flush();
      this.#writer.syncNow();
      this.#sayAllIsSafe();
      this.#endTail();
    } finally {
      this.#closed = true;
      this.#segments.close();
      this.#redeliveries.clear();
    }
  }

  /** What is in the last file ends it; room that cannot be cut off does no harm. */
  #endTail(): void {
    try {
      this.#tail?.endFile();
    } catch {}
  }

  /** Closes the files as they are. */
  discard(): void {
    this.#closed = true;
    this.#segments.close();
    this.#redeliveries.clear();
    this.#writer.discard();
  }

  /** A last block without records, which says of all before it that they are on the disk: a restart need not read them. */
  #sayAllIsSafe(): void {
    const tail = this.#tail;
    if (tail === undefined || this.#segments.length === 1 || this.#writer.isBehind) return;
    if (tail.usedBytes + BLOCK_HEADER_BYTES > tail.buffer.length) return;
    this.#openBlock(tail);
    this.#closeBlock(tail, false);
    this.#writer.drain();
    tail.file.syncNow();
  }
}
