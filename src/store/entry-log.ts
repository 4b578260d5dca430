/**
 * A small log of entries that must never be lost: what exists, rather than what passes through.
 *
 *     entry
 *     0   bytes of the text b         uint32
 *     4   CRC-32 of the text          uint32
 *     8   b bytes of JSON in UTF-8
 *
 * Integers are little-endian. An entry is valid if and only if it lies within the file, its CRC is right, and
 *   - it follows a valid one, or begins the file,
 *   - or it, or a valid one behind it, has the field `afterSync`, which says that all before it was on the disk when it was
 *     written. Then what is missing is damage: a copy of the file is kept aside, and what is whole counts.
 * Zeros at the end are room for what comes. What else follows the last valid one is what a crash leaves of a write, and is cut off.
 *
 * An entry is handed to the operating system before what it says is done, so that a disk that takes nothing refuses the
 * change and nothing else; it is synced at the end of the turn, before any socket says that it holds. What happens whether
 * or not it can be written waits until it can be. A log that has grown far beyond what is needed is replaced by a snapshot:
 * written under another name, synced, renamed.
 */

import { crc32 } from "node:zlib";
import type { Turn, TurnTask } from "../turn.ts";
import { copyName, keepCopy } from "./damaged-copy.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { contentEnd, makeRoomAhead } from "./room-ahead.ts";

const HEADER_BYTES = 8;
/** Entries that a log may have for each that is needed, and these besides. */
const ENTRIES_PER_NEEDED = 4;
const SPARE_ENTRIES = 1000;

function encode(entries: readonly object[]): Buffer {
  return Buffer.concat(
    entries.map((entry) => {
      const text = Buffer.from(JSON.stringify(entry));
      const bytes = Buffer.allocUnsafe(HEADER_BYTES + text.length);
      bytes.writeUInt32LE(text.length, 0);
      bytes.writeUInt32LE(crc32(text), 4);
      text.copy(bytes, HEADER_BYTES);
      return bytes;
    }),
  );
}

/** After an error that says more than another one would. */
function tryToCut(file: DiskFile, bytes: number): void {
  try {
    if (file.size > bytes) file.truncate(bytes);
  } catch {
    // Nothing depends on it.
  }
}

/** As a log has it. */
type Written<Entry> = Entry & { readonly afterSync?: true };

interface Found<Entry> {
  readonly entry: Written<Entry>;
  readonly start: number;
  readonly end: number;
}

/** What is in a log. */
export interface LogContent<Entry> {
  readonly entries: readonly Entry[];
  /** Up to the end of the last entry. */
  readonly bytes: number;
  /** Of them, those in no entry, which were on the disk once. */
  readonly damagedBytes: number;
  /** Behind the last entry. */
  readonly tornBytes: number;
}

const OPENING_BRACE = 0x7b;

/** The entry that begins there, if it is whole. */
function entryAt<Entry>(buffer: Buffer, start: number): Found<Entry> | undefined {
  const from = start + HEADER_BYTES;
  if (from >= buffer.length || buffer[from] !== OPENING_BRACE) return undefined;
  const end = from + buffer.readUInt32LE(start);
  if (end > buffer.length || end === from) return undefined;
  const text = buffer.subarray(from, end);
  if (crc32(text) !== buffer.readUInt32LE(start + 4)) return undefined;
  return { entry: JSON.parse(text.toString()) as Written<Entry>, start, end };
}

function contentOf<Entry>(file: Buffer): LogContent<Entry> {
  // Text does not end in zeros.
  const buffer = file.subarray(0, contentEnd(file));
  const found: Found<Entry>[] = [];
  for (let at = 0; at < buffer.length; ) {
    const next = entryAt<Entry>(buffer, at);
    if (next !== undefined) found.push(next);
    at = next?.end ?? at + 1;
  }
  const synced = found.findLastIndex(({ entry }) => entry.afterSync === true);
  const entries: Entry[] = [];
  let bytes = 0;
  let damagedBytes = 0;
  for (const [index, { entry, start, end }] of found.entries()) {
    if (start > bytes && index > synced) break;
    damagedBytes += start - bytes;
    bytes = end;
    const { afterSync, ...plain } = entry;
    entries.push(plain as Entry);
  }
  return { entries, bytes, damagedBytes, tornBytes: buffer.length - bytes };
}

export class EntryLog<Entry extends object> implements TurnTask {
  readonly #disk: Disk;
  readonly #turn: Turn;
  readonly #name: string;
  /** All that is needed to say what exists now. */
  readonly #snapshot: () => readonly Entry[];
  #file: DiskFile;
  #bytes = 0;
  /** Of the file, with the room ahead. */
  #fileBytes = 0;
  #entries = 0;
  /** What has happened and could not be handed over yet. */
  #deferred: Entry[] = [];
  /** Whether a sync is due at the end of the turn. */
  #unsynced = false;
  #failure: Error | undefined;
  /** How many entries there must be before it is tried again to replace the log. */
  #compactAt = SPARE_ENTRIES;
  /** Bytes behind the last valid entry that were cut off when the log was opened, and those that were damaged. */
  cutBytes = 0;
  damagedBytes = 0;

  constructor(disk: Disk, turn: Turn, name: string, snapshot: () => readonly Entry[]) {
    this.#disk = disk;
    this.#turn = turn;
    this.#name = name;
    this.#snapshot = snapshot;
    this.#file = disk.open(name);
    // Also when it is there already: the process that made it may have ended before its name was safe.
    disk.syncFolder();
  }

  /** What is there, without changing the log. */
  peek(): LogContent<Entry> {
    return contentOf(this.#wholeFile());
  }

  /** Whether the log has lost something, in this life or, as long as the copy is there, in an earlier one. */
  get isIncomplete(): boolean {
    return this.damagedBytes > 0 || this.#disk.list().includes(copyName(this.#name));
  }

  /**
   * The entries that are there, in order; to be called once, before the first `append`. What is invalid is cut off. Throws,
   * and has changed nothing, when there is none and there must be: `isNeeded` says what for.
   */
  read(isNeeded?: string): readonly Entry[] {
    const whole = this.#wholeFile();
    const { entries, bytes, damagedBytes, tornBytes } = contentOf<Entry>(whole);
    if (entries.length === 0 && isNeeded !== undefined)
      throw new Error(`the file ${this.#name} of the data folder is lost or damaged: ${isNeeded}`);
    this.cutBytes = tornBytes;
    this.damagedBytes = damagedBytes;
    if (damagedBytes > 0) keepCopy(this.#disk, this.#name, () => whole);
    this.#fileBytes = whole.length;
    if (tornBytes > 0) {
      this.#file.truncate(bytes);
      this.#fileBytes = bytes;
    }
    // Whether the process before this one has synced them is not known, and what clients see should not go again.
    this.#file.syncNow();
    this.#bytes = bytes;
    this.#entries = entries.length;
    // Should there be no space, the next start finds the same.
    if (damagedBytes > 0) this.#replace(entries);
    return entries;
  }

  #wholeFile(): Buffer {
    const { size } = this.#file;
    const buffer = Buffer.allocUnsafe(size);
    this.#file.read(buffer, 0, size, 0);
    return buffer;
  }

  /**
   * Adds an entry, behind those that wait; it is on disk when the turn ends. Throws the system's error when it cannot be
   * written, and then the entry is not added.
   */
  append(entry: Entry): void {
    this.#handOver([...this.#deferred, entry]);
    this.#deferred = [];
  }

  /**
   * Adds an entry of something that nobody can be refused: now or, when it cannot be written, as soon as it can be. While
   * something waits that is not tried for each entry: there may be thousands.
   */
  defer(entry: Entry): void {
    this.#deferred.push(entry);
    if (this.#deferred.length === 1) this.retry();
  }

  /** Tries to write what waits; whether nothing waits any more. */
  retry(): boolean {
    if (this.#deferred.length === 0) return true;
    try {
      this.#handOver(this.#deferred);
    } catch {
      return false;
    }
    this.#deferred = [];
    return true;
  }

  #handOver(entries: readonly Entry[]): void {
    const [first, ...others] = entries;
    const bytes = encode(this.#unsynced ? entries : [{ ...first, afterSync: true }, ...others]);
    try {
      const end = this.#bytes + bytes.length;
      this.#fileBytes = makeRoomAhead(this.#file, this.#fileBytes, end);
      this.#file.write(bytes, 0, bytes.length, this.#bytes);
    } catch (error) {
      // What it has left is not to be read; should it not go, the next entry is written over it.
      tryToCut(this.#file, this.#bytes);
      this.#fileBytes = this.#bytes;
      throw error;
    }
    this.#bytes += bytes.length;
    this.#entries += entries.length;
    if (this.#unsynced) return;
    this.#unsynced = true;
    this.#turn.flushStore(this);
  }

  /** Throws when the disk cannot sync: then nobody knows what it holds, and the process must not go on as if it did. */
  endTurn(): void {
    this.flush();
  }

  flush(): void {
    if (!this.#unsynced) return;
    // A sync that has failed once says nothing when it succeeds the next time.
    if (this.#failure !== undefined) throw this.#failure;
    try {
      this.#file.syncNow();
    } catch (error) {
      this.#failure = error as Error;
      this.#failure.message += `: what is in ${this.#name} on the disk is not known`;
      throw this.#failure;
    }
    this.#unsynced = false;
    if (this.#entries >= this.#compactAt) this.#compact();
  }

  #compact(): void {
    const needed = this.#snapshot();
    this.#compactAt = needed.length * ENTRIES_PER_NEEDED + SPARE_ENTRIES;
    if (this.#entries < this.#compactAt) return;
    // Without space the log does as it is, and there may be some when it has grown by as much again.
    if (!this.#replace(needed)) this.#compactAt = this.#entries + SPARE_ENTRIES;
  }

  /** Replaces the log by one with these entries; false when there is no space for it. */
  #replace(entries: readonly Entry[]): boolean {
    const bytes = encode(entries);
    const file = this.#writeNext(bytes);
    if (file === undefined) return false;
    file.syncNow();
    this.#disk.rename(this.#nextName, this.#name);
    this.#disk.syncFolder();
    this.#file.close();
    this.#file = file;
    this.#bytes = bytes.length;
    this.#fileBytes = bytes.length;
    this.#entries = entries.length;
    return true;
  }

  get #nextName(): string {
    return `${this.#name}.next`;
  }

  /** The file that is to replace the log; undefined when there is no space for it. */
  #writeNext(bytes: Buffer): DiskFile | undefined {
    let file: DiskFile | undefined;
    try {
      file = this.#disk.open(this.#nextName);
      file.truncate(0);
      file.write(bytes, 0, bytes.length, 0);
      return file;
    } catch {
      // What there is of it would take space that others need.
      if (file !== undefined) tryToCut(file, 0);
      file?.close();
      return undefined;
    }
  }

  /** Writes what waits, if it can be written, and closes the file, without room in it. */
  close(): void {
    this.retry();
    this.flush();
    tryToCut(this.#file, this.#bytes);
    this.#file.close();
  }
}
