/**
 * A segment of the journal while the broker runs: a file, and what of it is in memory.
 *
 * The file is open while it is written to and until it has been synced; later only for a read. It does not write: that is
 * the journal's.
 */

import { assert } from "../assert.ts";
import { keepCopy } from "./damaged-copy.ts";
import type { Disk, DiskFile } from "./disk.ts";
import type { MemoryBudget } from "./memory-budget.ts";
import { makeRoomAhead } from "./room-ahead.ts";
import { Segment, type SegmentMemory } from "./segment.ts";
import {
  nextBlock,
  readBlock,
  type SegmentName,
  segmentFileName,
  segmentStart,
} from "./segment-format.ts";

/** Where segments of a journal live. */
export interface SegmentHome extends SegmentMemory {
  readonly disk: Disk;
}

export function segmentHome({
  disk,
  budget,
  segmentBytes,
}: {
  disk: Disk;
  budget: MemoryBudget;
  segmentBytes: number;
}): SegmentHome {
  return { disk, budget, pool: budget.pool(segmentBytes) };
}

/** Bytes of a segment that are not what was written. */
export interface DamagedRange {
  readonly segment: JournalSegment;
  readonly from: number;
  readonly to: number;
  /** Messages in it that somebody holds: they are lost. */
  readonly ordinals: readonly number[];
}

export class JournalSegment extends Segment {
  readonly salt: number;
  readonly name: string;
  readonly #home: SegmentHome;
  #file: DiskFile | undefined;
  /** Bytes behind the blocks. */
  indexBytes = 0;
  /** Reasons for which its bytes must stay in memory, as ranges that the operating system has not been given yet. */
  pins = 0;
  /** Its file must not go before this block is safe: what makes it superfluous counts only with that. */
  goesAfter = 0;
  isTail = false;
  /** Up to where the file has room, as far as this process has made it. */
  #roomEnd = 0;
  /** Whether its file is there, with a name that a crash does not take away. */
  #isNamed: boolean;
  #isRemoved = false;
  /** Whether its blocks have been read since the process began, and have been found to be damaged. */
  isVerified = false;
  isDamaged = false;
  /** Of one that is damaged: whether there is a copy of it. */
  hasCopy = true;

  /** One that is new has no file yet. */
  constructor(name: SegmentName, home: SegmentHome, isNew = false) {
    super(name.number, segmentStart(name.number), home);
    this.#isNamed = !isNew;
    this.salt = name.salt;
    this.name = segmentFileName(name);
    this.#home = home;
  }

  /** Bytes of the file when all is written. */
  get fileBytes(): number {
    return this.usedBytes + this.indexBytes;
  }

  /** Opens it when it is not open. */
  get file(): DiskFile {
    this.#file ??= this.#home.disk.open(this.name);
    return this.#file;
  }

  /**
   * Hands bytes to the operating system; nothing follows those that end the file. The file has a name that is safe then.
   * Throws the system's error, also when the file cannot be made, and can be asked again.
   */
  write(buffer: Buffer, start: number, end: number, offset: number, endsFile: boolean): void {
    const { file } = this;
    if (!this.#isNamed) this.#home.disk.syncFolder();
    this.#isNamed = true;
    if (endsFile) this.#cutRoom(offset);
    else this.#roomEnd = makeRoomAhead(file, this.#roomEnd, offset + end - start);
    file.write(buffer, start, end, offset);
  }

  /** Cuts off what is behind the last record. */
  #cutRoom(end: number): void {
    if (this.#roomEnd > end) this.file.truncate(end);
    this.#roomEnd = end;
  }

  /** Nothing more is written for now. */
  endFile(): void {
    if (this.isTail) this.#cutRoom(this.usedBytes);
  }

  closeFile(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  /** Removes the file, or throws and can be asked again; nothing else is to be asked of the segment after that. */
  remove(): void {
    if (this.#isRemoved) return;
    this.closeFile();
    this.#home.disk.remove(this.name);
    this.#isRemoved = true;
    this.dispose();
  }

  /** Asks the file, and closes it again when it was not open. */
  #borrowFile<Result>(ask: (file: DiskFile) => Result): Result {
    const wasOpen = this.#file !== undefined;
    try {
      return ask(this.file);
    } finally {
      if (!wasOpen) this.closeFile();
    }
  }

  /** All that is in the file. */
  wholeFile(): Buffer {
    return this.#borrowFile((file) => {
      const bytes = Buffer.allocUnsafe(file.size);
      file.read(bytes, 0, bytes.length, 0);
      return bytes;
    });
  }

  /** Reads its bytes back from the file, and returns what of them is damaged. */
  load(): DamagedRange[] {
    const buffer = this.takeBuffer(this.usedBytes);
    const bytes = this.filled(() =>
      this.#borrowFile((file) => file.read(buffer, 0, this.usedBytes, 0)),
    );
    // What is missing is as damaged as what has changed.
    buffer.fill(0, bytes, this.usedBytes);
    this.touch();
    return this.#verify();
  }

  evict(): boolean {
    if (this.isTail || this.pins > 0) return false;
    this.dropBuffer();
    return true;
  }

  #verify(): DamagedRange[] {
    const { buffer, salt, usedBytes } = this;
    const damage: DamagedRange[] = [];
    for (let at = 0; at < usedBytes; ) {
      const block = readBlock(buffer, at, usedBytes, salt);
      if (block !== undefined) {
        at += block.bytes;
        continue;
      }
      const to = nextBlock(buffer, at + 1, usedBytes, salt);
      damage.push({ segment: this, from: at, to, ordinals: this.#heldBetween(at, to) });
      at = to;
    }
    this.isVerified = true;
    return damage;
  }

  /** Messages that somebody holds and whose records begin between `from` and `to`. */
  #heldBetween(from: number, to: number): number[] {
    const ordinals: number[] = [];
    for (let ordinal = 0; ordinal < this.count; ordinal++) {
      const at = this.recordStart(ordinal);
      if (at >= from && at < to && this.holders(ordinal) > 0) ordinals.push(ordinal);
    }
    return ordinals;
  }

  /**
   * Makes a copy of the file beside it, for whoever wants to see what can be saved; unless there is one. `hasCopy` says
   * whether the disk has taken it: that it does not is no reason to stop.
   */
  keepAside(): void {
    this.hasCopy = keepCopy(this.#home.disk, this.name, () => this.wholeFile());
  }

  /** Reads what was written into a buffer with room for more, so that it can go on growing. */
  reopen(room: number): void {
    const buffer = this.takeBuffer(room);
    const bytes = this.file.read(buffer, 0, this.usedBytes, 0);
    assert(bytes === this.usedBytes, `${this.name} has ${bytes} of ${this.usedBytes} bytes`);
    this.isTail = true;
  }
}
