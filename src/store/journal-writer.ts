/**
 * How a journal's bytes get to the disk: what is written at the end of a turn, what a sync covers, and who is told.
 *
 * One sync runs at a time. What is handed to the operating system meanwhile goes with the next, and so does whoever waits
 * for it: many publishers share one sync. Files of which nothing is needed any more are removed only after a sync that
 * covers what made them superfluous; when the disk is full, and that cannot be written, as soon as nothing depends on it.
 */

import type { Disk } from "./disk.ts";
import type { JournalSegment } from "./journal-segment.ts";
import type { FlushListener } from "./message-store.ts";

export interface WriterOptions {
  readonly disk: Disk;
  /** Whether safe means on the disk, or handed to the operating system. */
  readonly sync: "always" | "os";
  /** The disk did not take what was promised: the process must not go on as if it had. */
  readonly onSyncFailed: (error: Error) => void;
  /** Writing does not work, or works again (undefined). */
  readonly onWriteTrouble: (error: Error | undefined) => void;
}

/** Bytes that the operating system has not been given yet. */
interface Write {
  readonly segment: JournalSegment;
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  /** Where they go in the file. */
  readonly offset: number;
  readonly endsFile: boolean;
  readonly block: number;
}

/** What a sync covers. */
interface Sync {
  readonly segments: readonly JournalSegment[];
  readonly block: number;
  readonly waiting: readonly FlushListener[];
  readonly retired: readonly JournalSegment[];
}

const nothing: Sync = { segments: [], block: 0, waiting: [], retired: [] };

export class JournalWriter {
  readonly #options: WriterOptions;
  readonly #onSynced: () => void;
  readonly #writes: Write[] = [];
  /** Whether the disk did not take what it was given the last time. */
  hasTrouble = false;
  /** Whether a file could not be removed: that others can be written does not end that trouble. */
  #cannotRemove = false;
  /** Those who wait for what this turn has appended, and those for what has been handed to the system. */
  #waiting: FlushListener[] = [];
  #written: FlushListener[] = [];
  /**
   * Numbers of the last block that was handed to the system, and of the last that is known to be on the disk: always the end of
   * a flush. Recovery takes what a block says of these for a whole number of flushes.
   */
  #writtenBlock: number;
  #syncedBlock: number;
  /** What the sync that is running covers; undefined when none runs. */
  #sync: Sync | undefined;
  readonly #unsynced = new Set<JournalSegment>();
  /** Segments of which nothing is needed any more once all is safe that this turn appends, or that has been written. */
  #retiring: JournalSegment[] = [];
  #retired: JournalSegment[] = [];
  #closed = false;

  /** Blocks up to `lastBlock` were there before. `onSynced` is called when a sync has ended and no other one begins. */
  constructor(options: WriterOptions, lastBlock: number, onSynced: () => void) {
    this.#options = options;
    this.#writtenBlock = lastBlock;
    this.#syncedBlock = lastBlock;
    this.#onSynced = onSynced;
  }

  /** Blocks up to this one are safe, as the setting has it. */
  get safeBlock(): number {
    return this.#options.sync === "always" ? this.#syncedBlock : this.#writtenBlock;
  }

  get isSyncing(): boolean {
    return this.#sync !== undefined;
  }

  /** Whether there is something that the operating system has not been given. */
  get isBehind(): boolean {
    return this.#writes.length > 0;
  }

  /** What that is, in bytes. */
  get unwrittenBytes(): number {
    return this.#writes.reduce((bytes, { start, end }) => bytes + end - start, 0);
  }

  /** The block from `start` to `end` of a segment is to be written. */
  writeBlock(segment: JournalSegment, start: number, end: number, block: number): void {
    const { buffer } = segment;
    segment.pins++;
    this.#writes.push({ segment, buffer, start, end, offset: start, endsFile: false, block });
  }

  /** The index of a segment is to be written behind its blocks. */
  writeIndex(segment: JournalSegment, index: Buffer, lastBlock: number): void {
    segment.pins++;
    const { usedBytes: offset } = segment;
    this.#writes.push({
      segment,
      buffer: index,
      start: 0,
      end: index.length,
      offset,
      endsFile: true,
      block: lastBlock,
    });
  }

  /** Calls the listener when all that will have been written by the end of this turn is safe. */
  wait(listener: FlushListener): void {
    this.#waiting.push(listener);
  }

  /** Removes a segment when all that will have been written by the end of this turn is safe. */
  retire(segment: JournalSegment): void {
    this.#retiring.push(segment);
  }

  /**
   * The disk takes no more. Removes what is superfluous now, the oldest first, though what says so cannot be written: a message
   * that nobody holds need not come back, unless something else that cannot be written depends on it. Whether there is
   * more space.
   */
  makeRoom(): boolean {
    // They go first, when it has ended.
    if (this.#sync !== undefined) return false;
    const segments = [...this.#retired, ...this.#retiring];
    const blocked = segments.findIndex(
      ({ pins, goesAfter }) => pins > 0 || goesAfter > this.safeBlock,
    );
    const removable = blocked < 0 ? segments.length : blocked;
    const left = this.#removeAll(segments.slice(0, removable));
    this.#retired = [];
    this.#retiring = [...left, ...segments.slice(removable)];
    const next = segments[removable];
    if (next !== undefined && next.pins === 0 && next.goesAfter <= this.#writtenBlock)
      this.#startSync();
    return left.length < removable;
  }

  /** Removes files in their order, and returns those that could not be removed. */
  #removeAll(segments: readonly JournalSegment[]): JournalSegment[] {
    for (const [index, segment] of segments.entries()) {
      try {
        this.#remove(segment);
      } catch (error) {
        this.hasTrouble = true;
        this.#cannotRemove = true;
        this.#options.onWriteTrouble(error as Error);
        return segments.slice(index);
      }
    }
    if (segments.length > 0 && this.#cannotRemove) {
      this.#cannotRemove = false;
      if (!this.isBehind) this.#troubleIsOver();
    }
    return [];
  }

  #troubleIsOver(): void {
    if (!this.hasTrouble || this.#cannotRemove) return;
    this.hasTrouble = false;
    this.#options.onWriteTrouble(undefined);
  }

  /**
   * Gives the operating system what it has not been given, and sees to it that it gets to the disk when somebody waits for
   * that. On trouble the rest waits for the next time.
   */
  drain(): void {
    let written = 0;
    let lastBlock = this.#writtenBlock;
    try {
      for (const { segment, buffer, start, end, offset, endsFile, block } of this.#writes) {
        segment.write(buffer, start, end, offset, endsFile);
        this.#unsynced.add(segment);
        segment.pins--;
        lastBlock = block;
        written++;
      }
    } catch (error) {
      this.#writes.splice(0, written);
      this.hasTrouble = true;
      this.#options.onWriteTrouble(error as Error);
      return;
    }
    this.#writes.length = 0;
    this.#writtenBlock = lastBlock;
    this.#written.push(...this.#waiting);
    this.#waiting = [];
    this.#retired.push(...this.#retiring);
    this.#retiring = [];
    this.#troubleIsOver();
    this.#syncIfWanted();
  }

  #syncIfWanted(): void {
    if (this.#sync !== undefined) return;
    if (this.#written.length > 0 || this.#retired.length > 0) this.#startSync();
  }

  #startSync(): void {
    const segments = this.#options.sync === "always" ? [...this.#unsynced] : [];
    const sync: Sync = {
      segments,
      block: this.#writtenBlock,
      waiting: this.#written,
      retired: this.#retired,
    };
    this.#sync = sync;
    this.#written = [];
    this.#retired = [];
    this.#unsynced.clear();
    let left = segments.length;
    const done = (error: Error | null): void => {
      if (this.#closed) return;
      if (error !== null) {
        this.#options.onSyncFailed(error);
        return;
      }
      left--;
      if (left <= 0) this.#synced(sync);
    };
    if (left === 0) done(null);
    for (const segment of segments) segment.file.sync(done);
  }

  #synced({ block, waiting, retired, segments }: Sync): void {
    this.#sync = undefined;
    this.#syncedBlock = block;
    const left = this.#removeAll(retired);
    if (left.length > 0) {
      // They are tried again behind what is written next, and what is to go after them waits for them.
      this.#retiring = [...left, ...this.#retired, ...this.#retiring];
      this.#retired = [];
    }
    for (const segment of segments) this.#closeIfDone(segment);
    for (const listener of waiting) listener.onFlushed();
    this.#syncIfWanted();
    if (this.#sync === undefined) this.#onSynced();
  }

  /** Only what is written to, or not synced, needs an open file. */
  #closeIfDone(segment: JournalSegment): void {
    if (segment.isTail || segment.pins > 0 || this.#unsynced.has(segment)) return;
    segment.closeFile();
  }

  #remove(segment: JournalSegment): void {
    this.#unsynced.delete(segment);
    segment.remove();
    // One after the other: a head that came back after a crash without what followed it would look like damage.
    this.#options.disk.syncFolder();
  }

  /** Nothing is written or synced any more. Whoever waits is told: there is nothing left that could be lost. */
  discard(): void {
    this.#closed = true;
    const { waiting } = this.#sync ?? nothing;
    for (const listener of [...waiting, ...this.#written, ...this.#waiting]) listener.onFlushed();
  }

  /** Syncs what was written and tells whoever waits for it; what could not be written stays untold. */
  syncNow(): void {
    // The sync that runs may end at any time, or never: what it covers is synced here.
    const { segments, retired, waiting } = this.#sync ?? nothing;
    this.#closed = true;
    for (const { file } of new Set([...this.#unsynced, ...segments])) file.syncNow();
    this.#unsynced.clear();
    if (this.#writes.length > 0) return;
    this.#syncedBlock = this.#writtenBlock;
    this.#removeAll([...retired, ...this.#retired, ...this.#retiring]);
    for (const listener of [...waiting, ...this.#written]) listener.onFlushed();
  }
}
