/**
 * Reads the blocks of segments whose index cannot be used, and tells an end that a crash has left from damage.
 *
 * Valid flushes count. An invalid end of what was written last is what a crash leaves: it is cut off and reported. Damage to
 * what was on the disk once is not: the file is copied aside before anything else is done, both sides of the damage are
 * used, and the report says what is missing.
 */

import type { Disk } from "./disk.ts";
import type { JournalSegment } from "./journal-segment.ts";
import { contentEnd } from "./room-ahead.ts";
import { type BlockHeader, nextBlock, readBlock } from "./segment-format.ts";
import { encodeIndex, IndexBuilder, type SegmentIndex } from "./segment-index.ts";

/** Bytes of a segment that could not be used. */
export interface Damage {
  readonly segment: string;
  readonly offset: number;
  readonly bytes: number;
  /** An unfinished end, as a crash leaves it, or damage to what was whole once. */
  readonly kind: "torn end" | "damaged";
  /** Messages that were in it, where that is known; of some of them the queues may have been done. */
  messages?: number;
  /** False when the disk did not take a copy of the damaged segment. */
  readonly hasCopy?: boolean;
}

/** A valid block of a flush that is not complete yet. */
interface PendingBlock {
  readonly read: ReadSegment;
  readonly header: BlockHeader;
  /** Where the block begins in the file. */
  readonly start: number;
  bytes: Buffer;
}

/** The bytes of a segment, and the blocks in them that are known to be valid, by where they begin. */
interface ReadBlocks {
  readonly segment: JournalSegment;
  readonly bytes: Buffer;
  readonly valid: Map<number, BlockHeader>;
}

interface ReadSegment {
  readonly segment: JournalSegment;
  readonly builder: IndexBuilder;
}

export interface FoundSegment {
  readonly segment: JournalSegment;
  readonly index: SegmentIndex;
}

export class BlockReader {
  readonly #disk: Disk;
  /** All there are, the oldest first. */
  readonly #segments: readonly JournalSegment[];
  /** Whether an unfinished end is cut off and a damaged segment copied aside, or only reported. */
  readonly #mends: boolean;
  readonly #found: (ReadSegment | FoundSegment)[] = [];
  #pending: PendingBlock[] = [];
  /** Whether the last block belongs to a flush that goes on, of which all before has been applied. */
  #appliedGoesOn = false;
  #isCut = false;
  /** One segment after the other is read into it. */
  #scratch = Buffer.alloc(0);
  /** What is in it: mostly the last segment, which is looked at twice. */
  #read: ReadBlocks | undefined;
  readonly damage: Damage[] = [];
  /** The number of the last block that counts. */
  lastBlock = 0;
  /** Blocks up to this one were on the disk once, as far as is known. */
  synced = 0;

  constructor(disk: Disk, segments: readonly JournalSegment[], mends: boolean) {
    this.#disk = disk;
    this.#segments = segments;
    this.#mends = mends;
  }

  /** Notes up to which block all were on the disk, as the valid blocks say that a segment begins with. */
  noteSynced(segment: JournalSegment): void {
    const { bytes: buffer, valid } = this.#blocksOf(segment);
    for (let at = 0; at < buffer.length; ) {
      const block = readBlock(buffer, at, buffer.length, segment.salt);
      if (block === undefined) return;
      this.synced = Math.max(this.synced, block.synced);
      valid.set(at, block);
      at += block.bytes;
    }
  }

  /** The bytes of a segment's blocks, and what follows them if that is no index; good until the next segment's are read. */
  #blocksOf(segment: JournalSegment): ReadBlocks {
    if (this.#read?.segment === segment) return this.#read;
    const size = segment.indexBytes > 0 ? segment.usedBytes : segment.file.size;
    if (this.#scratch.length < size) this.#scratch = Buffer.allocUnsafeSlow(size);
    const bytes = this.#scratch.subarray(0, segment.file.read(this.#scratch, 0, size, 0));
    this.#read = { segment, bytes, valid: new Map() };
    return this.#read;
  }

  /** Passes over a segment that was on the disk with all of its last flush, and whose index says what is in it. */
  skip(segment: JournalSegment, index: SegmentIndex): void {
    const { first, last, goesOn } = index.blocks;
    this.#found.push({ segment, index });
    // One without blocks has been cut to nothing.
    if (last === 0) return;
    if (first !== this.lastBlock + 1) this.#noteGapBefore(segment);
    this.#applyPending();
    this.lastBlock = last;
    this.#appliedGoesOn = goesOn;
  }

  /** Reads a segment's blocks and applies its flushes; removes it when it is behind a cut. */
  read(segment: JournalSegment): void {
    if (this.#isCut) {
      this.#removeAfterCut(segment);
      return;
    }
    const { bytes: buffer } = this.#blocksOf(segment);
    segment.usedBytes = buffer.length;
    segment.isVerified = true;
    const read = { segment, builder: new IndexBuilder(segment.name) };
    this.#found.push(read);
    this.#readBlocks(read, buffer);
    // The scratch buffer is for the next segment; what belongs to a flush that goes on there is kept.
    for (const block of this.#pending) block.bytes = Buffer.from(block.bytes);
  }

  /** Nothing follows. Returns what the segments say, the oldest first. */
  finish(): FoundSegment[] {
    this.#cutPending();
    this.#scratch = Buffer.alloc(0);
    this.#read = undefined;
    const last = this.#found.at(-1)?.segment;
    return this.#found.map((found) => {
      if ("index" in found) return found;
      const { segment, builder } = found;
      const index = builder.build();
      const isSealed = segment !== last && index.blocks.last > 0;
      if (this.#mends && isSealed && segment.indexBytes === 0) writeIndex(segment, index);
      return { segment, index };
    });
  }

  #readBlocks(read: ReadSegment, buffer: Buffer): void {
    const { segment } = read;
    for (let offset = 0; offset < buffer.length; ) {
      const header = this.#blockAt(segment, buffer, offset);
      if (header !== undefined && this.#follows(header, buffer, offset, segment)) {
        const bytes = buffer.subarray(offset, offset + header.bytes);
        this.#pend({ read, header, start: offset, bytes });
        offset += header.bytes;
        continue;
      }
      // Room is made only where no index is yet.
      const end = segment.indexBytes > 0 ? buffer.length : contentEnd(buffer, offset);
      const next = Math.min(end, this.#nextBlock(segment, buffer, offset + 1));
      if (next === end && (end === offset || this.#nothingMissingAfter(segment))) {
        // What follows is room for what should come, or an index that was not written to its end.
        segment.usedBytes = offset;
        return;
      }
      if (!this.#wasSynced(buffer, next, segment)) {
        this.#cutFrom(segment, offset, end);
        return;
      }
      this.#report(segment, offset, next - offset, "damaged");
      this.#dropPending();
      offset = next;
    }
  }

  /** Whether nothing is missing before a block, or nothing that a crash could have kept from the disk. */
  #follows(
    { number }: BlockHeader,
    buffer: Buffer,
    offset: number,
    segment: JournalSegment,
  ): boolean {
    return (
      number === this.lastBlock + 1 ||
      (this.lastBlock === 0 && this.#isOldest(segment)) ||
      this.#wasSynced(buffer, offset, segment)
    );
  }

  /**
   * Whether nothing can be missing before a segment but what went with the head. Files go in order: where an older one is
   * left, whatever is missing of it is missing here.
   */
  #isOldest(segment: JournalSegment): boolean {
    return segment === this.#segments[0];
  }

  /**
   * Whether the block that is missing now was on the disk once: then some block written later says so. It may be in any
   * segment from this one on, so this is costly, and is asked only where something is missing.
   */
  #wasSynced(buffer: Buffer, from: number, segment: JournalSegment): boolean {
    // Where nothing has been read yet, it is the one before the first that there is.
    let missing = this.lastBlock > 0 ? this.lastBlock + 1 : undefined;
    if (missing !== undefined && this.synced >= missing) return true;
    const saysSo = ({ number, synced }: BlockHeader): boolean => {
      this.synced = Math.max(this.synced, synced);
      missing ??= number - 1;
      return this.synced >= missing;
    };
    if (someBlock(buffer, from, segment.salt, saysSo)) return true;
    return this.#segments.some((later) => {
      if (later.number <= segment.number) return false;
      const bytes = later.wholeFile();
      return someBlock(bytes, 0, later.salt, saysSo);
    });
  }

  /** Whether the blocks after this segment begin with the one that is to come next. */
  #nothingMissingAfter({ number }: JournalSegment): boolean {
    for (const later of this.#segments) {
      if (later.number <= number) continue;
      const bytes = later.wholeFile();
      const first = readBlock(bytes, 0, bytes.length, later.salt);
      if (first !== undefined) return first.number === this.lastBlock + 1;
    }
    return false;
  }

  /** From here on nothing was promised to anybody: it is what a crash leaves. */
  #cutFrom(segment: JournalSegment, offset: number, end: number): void {
    this.#report(segment, offset, end - offset, "torn end");
    if (this.#mends) {
      segment.file.truncate(offset);
      // What was cut off must not come back behind what is written in its place.
      segment.file.syncNow();
    }
    segment.usedBytes = offset;
    segment.indexBytes = 0;
    this.#isCut = true;
  }

  /** Nothing counts of a flush whose end never came, and what is written next must not become its end. */
  #cutPending(): void {
    const [first] = this.#pending;
    if (first === undefined) return;
    this.lastBlock = first.header.number - 1;
    for (const { read, start, bytes } of this.#pending.reverse()) {
      this.#cutFrom(read.segment, start, start + bytes.length);
    }
    this.#pending = [];
  }

  #removeAfterCut(segment: JournalSegment): void {
    const { name } = segment;
    // Now it is open: to open it when its name is gone would make it again.
    const bytes = contentEnd(this.#blocksOf(segment).bytes);
    this.damage.push({ segment: name, offset: 0, bytes, kind: "torn end" });
    if (!this.#mends) return;
    this.#disk.remove(name);
    this.#disk.syncFolder();
  }

  /** A valid block that belongs after those read so far. */
  #blockAt(segment: JournalSegment, buffer: Buffer, offset: number): BlockHeader | undefined {
    const block =
      this.#blocksOf(segment).valid.get(offset) ??
      readBlock(buffer, offset, buffer.length, segment.salt);
    return block !== undefined && block.number > this.lastBlock ? block : undefined;
  }

  /** Where the next valid block begins that belongs after those read so far, or the end. */
  #nextBlock(segment: JournalSegment, buffer: Buffer, from: number): number {
    const { salt } = segment;
    let at = nextBlock(buffer, from, buffer.length, salt);
    while (at < buffer.length && this.#blockAt(segment, buffer, at) === undefined)
      at = nextBlock(buffer, at + 1, buffer.length, salt);
    return at;
  }

  #report(segment: JournalSegment, offset: number, bytes: number, kind: Damage["kind"]): void {
    if (kind === "damaged" && this.#mends) segment.keepAside();
    const { name, hasCopy } = segment;
    this.damage.push({ segment: name, offset, bytes, kind, ...(!hasCopy && { hasCopy }) });
  }

  #pend(block: PendingBlock): void {
    const { number, continues, goesOn } = block.header;
    const isFirst = this.lastBlock === 0 && this.#isOldest(block.read.segment);
    // A gap in the numbers is a lost block: what of its flush stands on either side does not count.
    if (number !== this.lastBlock + 1) this.#noteGap(block);
    this.lastBlock = number;
    const continuesApplied = this.#appliedGoesOn;
    this.#appliedGoesOn = continuesApplied && goesOn;
    // What the first block of all continues went with the head, when nobody needed it any more.
    if (continues && this.#pending.length === 0 && !isFirst && !continuesApplied) {
      this.#report(block.read.segment, block.start, block.bytes.length, "damaged");
      return;
    }
    this.#pending.push(block);
    if (!goesOn) this.#applyPending();
  }

  #noteGap({ read, start }: PendingBlock): void {
    this.#appliedGoesOn = false;
    if (start === 0) {
      this.#noteGapBefore(read.segment);
      return;
    }
    this.#dropPending();
    if (this.lastBlock === 0) return;
    const { name } = read.segment;
    const last = this.damage.at(-1);
    // Unless it has been reported with the bytes in which it was.
    if (last?.segment === name && last.offset + last.bytes === start) return;
    this.#report(read.segment, start, 0, "damaged");
  }

  /** What is missing before a segment is the end of the one before it, or whole segments. */
  #noteGapBefore({ number: found }: JournalSegment): void {
    const [unfinished] = this.#pending;
    this.#pending = [];
    const before = this.#found.findLast(({ segment }) => segment.number < found)?.segment;
    if (this.lastBlock === 0 || before === undefined) return;
    for (let number = before.number + 1; number < found; number++) {
      this.damage.push({ segment: `segment ${number}`, offset: 0, bytes: 0, kind: "damaged" });
    }
    if (before.number + 1 < found) return;
    if (this.damage.at(-1)?.segment === before.name) return;
    const offset = unfinished?.start ?? before.usedBytes;
    this.#report(before, offset, before.usedBytes - offset, "damaged");
  }

  #dropPending(): void {
    for (const { read, start, bytes } of this.#pending) {
      this.#report(read.segment, start, bytes.length, "torn end");
    }
    this.#pending = [];
  }

  #applyPending(): void {
    for (const { read, header, start, bytes } of this.#pending) {
      const { segment, builder } = read;
      const lost = header.ordinal - builder.count;
      const last = this.damage.at(-1);
      if (lost > 0 && last?.segment === segment.name) last.messages = (last.messages ?? 0) + lost;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      builder.addBlock(header, view, 0, start);
    }
    this.#pending = [];
  }
}

/** Whether one of the valid blocks from `from` on is as asked. */
function someBlock(
  buffer: Buffer,
  from: number,
  salt: number,
  test: (block: BlockHeader) => boolean,
): boolean {
  let at = nextBlock(buffer, from, buffer.length, salt);
  while (at < buffer.length) {
    if (test(readBlock(buffer, at, buffer.length, salt)!)) return true;
    at = nextBlock(buffer, at + 1, buffer.length, salt);
  }
  return false;
}

/** Spares the next restart the reading; without space it has to do it again. */
function writeIndex(segment: JournalSegment, index: SegmentIndex): void {
  const bytes = encodeIndex(index, segment.salt);
  const { file, usedBytes } = segment;
  try {
    file.truncate(usedBytes);
    file.write(bytes, 0, bytes.length, usedBytes);
    segment.indexBytes = bytes.length;
  } catch {
    file.truncate(usedBytes);
  }
  segment.closeFile();
}
