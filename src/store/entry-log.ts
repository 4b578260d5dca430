/**
 * A small log of entries that must never be lost: what exists, rather than what passes through.
 *
 *     entry
 *     0   bytes of the text b         uint32
 *     4   CRC-32 of the text          uint32
 *     8   b bytes of JSON in UTF-8
 *
 * Integers are little-endian. An entry is valid if and only if it lies within the file and its CRC is right; what follows the
 * first invalid one is what a crash leaves of a write, and is cut off.
 *
 * Entries of one turn are written and synced together at its end, before any socket says that they hold. A log that has
 * grown far beyond what is needed is replaced by a snapshot: written under another name, synced, renamed.
 */

import { crc32 } from "node:zlib";
import type { Turn, TurnTask } from "../turn.ts";
import type { Disk, DiskFile } from "./disk.ts";

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

export class EntryLog<Entry extends object> implements TurnTask {
  readonly #disk: Disk;
  readonly #turn: Turn;
  readonly #name: string;
  /** All that is needed to say what exists now. */
  readonly #snapshot: () => readonly Entry[];
  #file: DiskFile;
  #bytes = 0;
  #entries = 0;
  #pending: Entry[] = [];
  #scheduled = false;
  /** Bytes behind the last valid entry that were cut off when the log was opened. */
  cutBytes = 0;

  constructor(disk: Disk, turn: Turn, name: string, snapshot: () => readonly Entry[]) {
    this.#disk = disk;
    this.#turn = turn;
    this.#name = name;
    this.#snapshot = snapshot;
    const isNew = !disk.list().includes(name);
    this.#file = disk.open(name);
    if (isNew) disk.syncFolder();
  }

  /** The entries that are there, in order, without changing the log. */
  peek(): Entry[] {
    return this.#parse().entries;
  }

  /** The entries that are there, in order; to be called once, before the first `append`. What is invalid is cut off. */
  read(): Entry[] {
    const { entries, bytes } = this.#parse();
    this.cutBytes = this.#file.size - bytes;
    if (this.cutBytes > 0) this.#file.truncate(bytes);
    // Whether the process before this one has synced them is not known, and what clients see should not go again.
    this.#file.syncNow();
    this.#bytes = bytes;
    this.#entries = entries.length;
    return entries;
  }

  #parse(): { entries: Entry[]; bytes: number } {
    const { size } = this.#file;
    const buffer = Buffer.allocUnsafe(size);
    this.#file.read(buffer, 0, size, 0);
    const entries: Entry[] = [];
    let at = 0;
    while (size - at >= HEADER_BYTES) {
      const end = at + HEADER_BYTES + buffer.readUInt32LE(at);
      if (end > size || end === at + HEADER_BYTES) break;
      const text = buffer.subarray(at + HEADER_BYTES, end);
      if (crc32(text) !== buffer.readUInt32LE(at + 4)) break;
      entries.push(JSON.parse(text.toString()) as Entry);
      at = end;
    }
    return { entries, bytes: at };
  }

  /** Adds an entry; it is on disk when the turn ends. */
  append(entry: Entry): void {
    this.#pending.push(entry);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#turn.flushStore(this);
  }

  endTurn(): void {
    this.#scheduled = false;
    this.flush();
  }

  flush(): void {
    const pending = this.#pending;
    if (pending.length === 0) return;
    const bytes = encode(pending);
    this.#file.write(bytes, 0, bytes.length, this.#bytes);
    this.#file.syncNow();
    this.#pending = [];
    this.#bytes += bytes.length;
    this.#entries += pending.length;
    this.#compact();
  }

  #compact(): void {
    if (this.#entries < SPARE_ENTRIES) return;
    const needed = this.#snapshot();
    if (this.#entries <= needed.length * ENTRIES_PER_NEEDED + SPARE_ENTRIES) return;
    const next = `${this.#name}.next`;
    const file = this.#disk.open(next);
    file.truncate(0);
    const bytes = encode(needed);
    file.write(bytes, 0, bytes.length, 0);
    file.syncNow();
    this.#disk.rename(next, this.#name);
    this.#disk.syncFolder();
    this.#file.close();
    this.#file = file;
    this.#bytes = bytes.length;
    this.#entries = needed.length;
  }

  close(): void {
    this.flush();
    this.#file.close();
  }
}
