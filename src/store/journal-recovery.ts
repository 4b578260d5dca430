/**
 * Brings a journal back after the process has ended, however it ended.
 *
 * Segments whose index may be used are not read; of the others, as of the last one, the blocks are (block-reader.ts). Then
 * all is applied in order: what a queue took and has not settled is handed over, in the order in which the queue took it.
 * The time this takes grows with the number of messages and not with their bytes.
 */

import { assert } from "../assert.ts";
import { BlockReader, type Damage } from "./block-reader.ts";
import type { Disk } from "./disk.ts";
import { Journal, type JournalOptions } from "./journal.ts";
import { JournalSegment, type SegmentHome, segmentHome } from "./journal-segment.ts";
import { MemoryBudget } from "./memory-budget.ts";
import { Moves } from "./moves.ts";
import { Redeliveries } from "./redeliveries.ts";
import { MANY_HOLDERS, type MessageTable } from "./segment.ts";
import { ordinalOf, parseSegmentName, segmentNumber } from "./segment-format.ts";
import {
  decodeIndex,
  FOOTER_BYTES,
  indexBytes,
  labelOf,
  onlyQueueOf,
  type SegmentIndex,
} from "./segment-index.ts";

/** Messages at consecutive positions that a durable queue has to get back. */
export interface RecoveredRun {
  readonly queueId: number;
  /** Of the first. */
  readonly position: number;
  readonly count: number;
  readonly label: number;
  /** How often each has been delivered; 1 can be 0, since only a mark says so. */
  readonly deliveries: number;
}

export type ReceiveRun = (run: RecoveredRun) => void;

/** Told now and then how many of the segments have been read. */
export type ReportProgress = (segments: number, of: number) => void;

export interface Recovery {
  readonly journal: Journal;
  /** Hands over every message, for each queue in the order in which it took them. */
  readonly forEachRun: (receive: ReceiveRun) => void;
  readonly damage: readonly Damage[];
}

/** What a journal holds, and what is wrong with it. */
export interface JournalReport {
  readonly segments: number;
  /** Of the files. */
  readonly bytes: number;
  /** Messages by the id of the queue. */
  readonly messages: ReadonlyMap<number, number>;
  readonly damage: readonly Damage[];
}

/** A segment and what its records say. */
interface Recovered {
  readonly segment: JournalSegment;
  readonly index: SegmentIndex;
}

/** Reads the index of a segment; undefined when there is none that is valid. */
function readIndex(segment: JournalSegment): SegmentIndex | undefined {
  const { file, salt } = segment;
  const { size } = file;
  const footer = Buffer.alloc(FOOTER_BYTES);
  if (size < FOOTER_BYTES) return undefined;
  file.read(footer, 0, FOOTER_BYTES, size - FOOTER_BYTES);
  const bytes = indexBytes(footer, size);
  if (bytes === 0) return undefined;
  const buffer = Buffer.allocUnsafeSlow(bytes);
  file.read(buffer, 0, bytes, size - bytes);
  const index = decodeIndex(buffer, salt);
  if (index === undefined) return undefined;
  segment.usedBytes = size - bytes;
  segment.indexBytes = bytes;
  return index;
}

/** How many hold each message, as far as its record says. */
function tableOf({ count, offsets, sizes, several, queues }: SegmentIndex): MessageTable {
  const holders = new Uint16Array(count);
  const many = new Map<number, number>();
  if (queues.length === 1) holders.fill(queues[0]! > 0 ? 1 : 0);
  else
    for (let ordinal = 0; ordinal < count; ordinal++)
      holders[ordinal] = queues[ordinal]! > 0 ? 1 : 0;
  several.forEach((ordinal, length) => {
    if (length < MANY_HOLDERS) holders[ordinal] = length;
    else many.set(ordinal, length);
  });
  return { count, offsets, sizes, holders, many };
}

class Reader {
  readonly #all: readonly JournalSegment[];
  readonly #syncs: boolean;
  readonly #blocks: BlockReader;
  readonly #recovered: Recovered[] = [];
  readonly #byNumber = new Map<number, Recovered>();
  readonly moves: Moves;
  /** By which positions the messages are known that have moved and are held, in order. */
  #moved: Float64Array = new Float64Array(0);
  readonly deliveredUpTo = new Map<number, number>();
  readonly redeliveries: Redeliveries;

  /** `mends`: whether what a crash has left is made good; `syncs`: whether what is read is made safe. */
  constructor(home: SegmentHome, { mends, syncs }: { mends: boolean; syncs: boolean }) {
    this.#syncs = syncs;
    this.moves = new Moves(home.budget);
    this.redeliveries = new Redeliveries(home.budget);
    this.#all = home.disk
      .list()
      .map(parseSegmentName)
      .filter((name) => name !== undefined)
      .map((name) => new JournalSegment(name, home));
    this.#blocks = new BlockReader(home.disk, this.#all, mends);
  }

  /** Those that count, the oldest first. */
  get segments(): readonly JournalSegment[] {
    return this.#recovered.map(({ segment }) => segment);
  }

  /** The highest number of a segment so far. */
  get lastNumber(): number {
    return this.#all.at(-1)?.number ?? 0;
  }

  get damage(): readonly Damage[] {
    return this.#blocks.damage;
  }

  get lastBlock(): number {
    return this.#blocks.lastBlock;
  }

  /** Reads what has to be read; indexes are used where they may be if `usesIndexes`. */
  readAll(usesIndexes: boolean, report: ReportProgress = () => undefined): void {
    const indexes = new Map<JournalSegment, SegmentIndex>();
    const blocks = this.#blocks;
    for (const segment of this.#all) {
      const index = readIndex(segment);
      if (index === undefined) blocks.noteSynced(segment);
      // What a valid index says of blocks before it holds, whether or not its own blocks came to the disk.
      else blocks.synced = Math.max(blocks.synced, index.blocks.synced);
      if (usesIndexes && index !== undefined) indexes.set(segment, index);
      segment.closeFile();
    }
    for (const [done, segment] of this.#all.entries()) {
      const index = indexes.get(segment);
      if (index !== undefined && index.blocks.last <= blocks.synced) blocks.skip(segment, index);
      else this.#readBlocks(segment);
      report(done + 1, this.#all.length);
    }
    for (const { segment, index } of blocks.finish()) this.#apply(segment, index);
    this.#forgetSettled();
  }

  #readBlocks(segment: JournalSegment): void {
    this.#blocks.read(segment);
    // Whether the process before this one has synced it is not known, and what is shown to consumers should not go again.
    if (this.#syncs) segment.file.syncNow();
    segment.closeFile();
  }

  #apply(segment: JournalSegment, index: SegmentIndex): void {
    segment.adoptTable(tableOf(index));
    const recovered = { segment, index };
    this.#byNumber.set(segment.number, recovered);
    const { moved, settled, delivered } = index;
    for (let at = 0; at < moved.known.length; at++) {
      const position = moved.known[at]!;
      // It is no longer where it was.
      const before = this.moves.current(position);
      this.#byNumber.get(segmentNumber(before))?.segment.discard(ordinalOf(before));
      this.moves.move(position, segment.start + moved.ordinals[at]!);
    }
    this.#recovered.push(recovered);
    for (const [at, queueId] of settled.queues.entries())
      this.#settled(queueId, settled.firsts[at]!, settled.counts[at]!);
    for (const [at, queueId] of delivered.queues.entries()) {
      const position = delivered.positions[at]!;
      const deliveries = delivered.deliveries[at]!;
      if (deliveries > 0) this.redeliveries.adopt(queueId, position, deliveries);
      else if (position > (this.deliveredUpTo.get(queueId) ?? 0))
        this.deliveredUpTo.set(queueId, position);
    }
  }

  /** Whether somebody holds the message that is known by a position; or that queue, when one is named. */
  #isHeld(known: number, queueId?: number): boolean {
    const now = this.moves.current(known);
    const segment = this.#byNumber.get(segmentNumber(now))?.segment;
    const ordinal = ordinalOf(now);
    if (segment === undefined || ordinal >= segment.count) return false;
    if (queueId !== undefined && segment.isDoneWith(ordinal, queueId)) return false;
    return segment.holders(ordinal) > 0;
  }

  /** What nobody holds need not be known any more. */
  #forgetSettled(): void {
    const moved = this.#allMoved();
    let count = 0;
    for (const known of moved) {
      if (this.#isHeld(known)) moved[count++] = known;
      else this.moves.forget(known);
    }
    this.#moved = inOrder(moved.subarray(0, count));
    this.redeliveries.keepHeld((queueId, position) => this.#isHeld(position, queueId));
  }

  #settled(queueId: number, first: number, count: number): void {
    const segment = this.#byNumber.get(segmentNumber(first))?.segment;
    if (segment === undefined) return;
    const ordinal = ordinalOf(first);
    const end = Math.min(segment.count, ordinal + count);
    for (let at = ordinal; at < end; at++) {
      if (segment.holders(at) > 0 && !segment.isDoneWith(at, queueId)) segment.letGo(at, queueId);
    }
  }

  /** Hands over what is left, for each queue in the order in which the queue took it: that of the positions it is known by. */
  forEachRun(receive: ReceiveRun): void {
    const moved = this.#moved;
    let next = 0;
    const handMovedBefore = (position: number): void => {
      while (next < moved.length && moved[next]! < position)
        next = this.#handMoved(moved, next, receive);
    };
    for (const recovered of this.#recovered)
      this.#forEachRunOf(recovered, receive, handMovedBefore);
    handMovedBefore(Number.POSITIVE_INFINITY);
  }

  /** By which positions messages are known that have moved, as they lie in the log: that is nearly their order. */
  #allMoved(): Float64Array {
    const all = new Float64Array(this.moves.size);
    let count = 0;
    for (const { segment, index } of this.#recovered) {
      const { known, ordinals } = index.moved;
      for (let at = 0; at < known.length; at++)
        if (this.moves.current(known[at]!) === segment.start + ordinals[at]!)
          all[count++] = known[at]!;
    }
    assert(count === all.length, `${all.length} messages have moved, and ${count} are there`);
    return all;
  }

  /** Hands over a message that has moved, and those that stood behind it and still do; returns what comes next. */
  #handMoved(moved: Float64Array, at: number, receive: ReceiveRun): number {
    const position = moved[at]!;
    const { index, segment } = this.#byNumber.get(segmentNumber(this.moves.current(position)))!;
    const first = this.moves.current(position) - segment.start;
    let end = at + 1;
    while (
      moved[end] === position + end - at &&
      this.moves.current(moved[end]!) === segment.start + first + end - at &&
      isAlike(index, first + end - at - 1)
    )
      end++;
    this.#handFrom({ segment, index }, first, { position, count: end - at }, receive);
    return end;
  }

  #forEachRunOf(
    recovered: Recovered,
    receive: ReceiveRun,
    handMovedBefore: (position: number) => void,
  ): void {
    const { segment, index } = recovered;
    const { ordinals: moved } = index.moved;
    let nextMoved = 0;
    for (let ordinal = 0; ordinal < segment.count; ) {
      const first = ordinal++;
      // It has its turn by another position.
      if (first === moved[nextMoved]) nextMoved++;
      else if (segment.holders(first) > 0) {
        const end = moved[nextMoved] ?? segment.count;
        while (ordinal < end && segment.holders(ordinal) > 0 && isAlike(index, ordinal - 1))
          ordinal++;
        const position = segment.start + first;
        handMovedBefore(position);
        this.#handFrom(recovered, first, { position, count: ordinal - first }, receive);
      }
    }
  }

  /** Hands over messages that are alike, from the ordinal `first` on. */
  #handFrom(
    { segment, index }: Recovered,
    first: number,
    run: { readonly position: number; readonly count: number },
    receive: ReceiveRun,
  ): void {
    const label = labelOf(index, first);
    const only = onlyQueueOf(index, first);
    if (only > 0) {
      this.#hand({ queueId: only, ...run, label }, receive);
      return;
    }
    for (const queueId of index.several.of(first)) {
      let from = 0;
      for (let at = 0; at < run.count; at++) {
        if (!segment.isDoneWith(first + at, queueId)) continue;
        const position = run.position + from;
        if (from < at) this.#hand({ queueId, position, count: at - from, label }, receive);
        from = at + 1;
      }
      const position = run.position + from;
      if (from < run.count)
        this.#hand({ queueId, position, count: run.count - from, label }, receive);
    }
  }

  /** Divides a run by how often messages have been delivered. */
  #hand(run: Omit<RecoveredRun, "deliveries">, receive: ReceiveRun): void {
    const { queueId, position } = run;
    const end = position + run.count;
    const upTo = this.deliveredUpTo.get(queueId) ?? 0;
    const delivered = Math.min(end, Math.max(position, upTo + 1));
    const redelivered = this.redeliveries.ofQueue(queueId);
    let from = position;
    if (redelivered !== undefined) {
      for (let at = position; at < end; at++) {
        const deliveries = redelivered.get(at);
        if (deliveries === undefined) continue;
        handPart(run, from, Math.min(at, delivered), 1, receive);
        handPart(run, Math.max(from, delivered), at, 0, receive);
        handPart(run, at, at + 1, deliveries, receive);
        from = at + 1;
      }
    }
    handPart(run, from, delivered, 1, receive);
    handPart(run, Math.max(from, delivered), end, 0, receive);
  }
}

/** Sorts the numbers, unless they are in order. */
function inOrder(numbers: Float64Array): Float64Array {
  for (let at = 1; at < numbers.length; at++)
    if (numbers[at - 1]! > numbers[at]!) return numbers.sort();
  return numbers;
}

/** Hands over what of a run is from one position up to another, if anything is. */
function handPart(
  { queueId, label }: Pick<RecoveredRun, "queueId" | "label">,
  position: number,
  end: number,
  deliveries: number,
  receive: ReceiveRun,
): void {
  if (position < end) receive({ queueId, position, count: end - position, label, deliveries });
}

/** Whether the same queues took a message and the one behind it, with the same label. */
function isAlike(index: SegmentIndex, ordinal: number): boolean {
  const next = ordinal + 1;
  const only = onlyQueueOf(index, ordinal);
  if (only !== onlyQueueOf(index, next) || labelOf(index, ordinal) !== labelOf(index, next))
    return false;
  return only > 0 || index.several.isSame(ordinal, next);
}

/** Reads what there is and returns a journal that goes on behind it. */
export function recoverJournal(options: JournalOptions, report?: ReportProgress): Recovery {
  // The names that are read now must not be gone after the next crash.
  options.disk.syncFolder();
  const home = segmentHome(options);
  const reader = new Reader(home, { mends: true, syncs: options.sync === "always" });
  reader.readAll(true, report);
  const { lastNumber, lastBlock, moves, redeliveries } = reader;
  const beginning = { home, lastNumber, lastBlock, moves, redeliveries };
  const journal = new Journal(options, beginning);
  for (const segment of reader.segments) journal.adopt(segment);
  journal.reopenTail();
  return {
    journal,
    forEachRun: (receive) =>
      reader.forEachRun((run) => {
        // Of queues that hold nothing, nothing of before counts.
        const upTo = reader.deliveredUpTo.get(run.queueId);
        if (upTo !== undefined) journal.adoptDelivered(run.queueId, upTo);
        receive(run);
      }),
    damage: reader.damage,
  };
}

/** Reads every byte of a journal and says what is there; changes nothing. */
export function inspectJournal(disk: Disk): JournalReport {
  const budget = new MemoryBudget(0);
  const reader = new Reader(segmentHome({ disk, budget, segmentBytes: 0 }), {
    mends: false,
    syncs: false,
  });
  reader.readAll(false);
  const messages = new Map<number, number>();
  reader.forEachRun(({ queueId, count }) => {
    messages.set(queueId, (messages.get(queueId) ?? 0) + count);
  });
  const bytes = reader.segments.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
  return { segments: reader.segments.length, bytes, messages, damage: reader.damage };
}
