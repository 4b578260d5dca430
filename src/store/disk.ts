/**
 * The port to the disk: everything the store does to files goes through it.
 *
 * `FileDisk` is the real one. Tests bring one that lives in memory and loses what was not synced, tears writes and runs full:
 * so the port has few operations, and each can fail by throwing the system's error. Names are relative to the folder.
 */

import {
  closeSync,
  constants,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

export interface DiskFile {
  readonly size: number;
  /** Hands bytes to the operating system, all of them; they outlive the process, and a loss of power once synced. */
  write(buffer: Buffer, start: number, end: number, offset: number): void;
  /** Reads up to `end - start` bytes; returns how many there were. */
  read(buffer: Buffer, start: number, end: number, offset: number): number;
  /** Calls back, maybe at once, when all that was written before is on the disk, or with the error: then nobody knows what is. */
  sync(callback: (error: Error | null) => void): void;
  syncNow(): void;
  truncate(size: number): void;
  close(): void;
}

export interface Disk {
  /** The files there are, in order of their names. */
  list(): string[];
  /** Opens a file, and makes it when there is none. */
  open(name: string): DiskFile;
  rename(from: string, to: string): void;
  remove(name: string): void;
  /** Makes new, renamed and removed names durable. */
  syncFolder(): void;
  /** What is left on the disk, in bytes. */
  freeBytes(): number;
  /** A folder in this one; made when there is none. */
  subfolder(name: string): Disk;
  /** Removes a folder in this one with the files in it, durably; it need not be there. */
  removeSubfolder(name: string): void;
}

/** Whether an error is the system's, and may be gone the next time: a file that cannot be opened or read now. */
export function isDiskError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).code === "string";
}

/** A sync of more is left to the thread pool. */
const WAITED_FOR_BYTES_MAX = 4096;
/** And one that can be expected to take longer. */
const WAITED_FOR_MS_MAX = 0.5;

/**
 * Whether to wait for a sync rather than to leave it to a thread of the pool. Waiting takes a third less time, what is spared
 * being to wake the thread and then the event loop; but nobody is served meanwhile. So it is worth it only on a fast disk,
 * and when the event loop has had nothing to do at times since the last sync.
 */
class Waiting {
  /** How long the last sync took. */
  lastMs = Number.POSITIVE_INFINITY;
  #idleMs = 0;

  isWorthIt(): boolean {
    const { idle } = performance.eventLoopUtilization();
    const wasIdle = idle > this.#idleMs;
    this.#idleMs = idle;
    return wasIdle && this.lastMs <= WAITED_FOR_MS_MAX;
  }
}

/** There is one event loop. */
const waiting = new Waiting();

/** Read and write, made when missing, never cut. */
const openFlags = constants.O_RDWR | constants.O_CREAT;

class RealFile implements DiskFile {
  readonly #descriptor: number;
  /** Since the last sync. */
  #writtenBytes = 0;

  constructor(path: string) {
    this.#descriptor = openSync(path, openFlags, 0o600);
  }

  get size(): number {
    return fstatSync(this.#descriptor).size;
  }

  write(buffer: Buffer, start: number, end: number, offset: number): void {
    for (let from = start; from < end; ) {
      from += writeSync(this.#descriptor, buffer, from, end - from, offset + from - start);
    }
    this.#writtenBytes += end - start;
  }

  read(buffer: Buffer, start: number, end: number, offset: number): number {
    let to = start;
    while (to < end) {
      const bytes = readSync(this.#descriptor, buffer, to, end - to, offset + to - start);
      if (bytes === 0) break;
      to += bytes;
    }
    return to - start;
  }

  sync(callback: (error: Error | null) => void): void {
    const isLittle = this.#writtenBytes <= WAITED_FOR_BYTES_MAX;
    this.#writtenBytes = 0;
    const beganAtMs = performance.now();
    const done = (error: Error | null): void => {
      waiting.lastMs = performance.now() - beganAtMs;
      callback(error);
    };
    if (isLittle && waiting.isWorthIt()) done(this.#syncError());
    else fdatasync(this.#descriptor, done);
  }

  #syncError(): Error | null {
    try {
      this.syncNow();
      return null;
    } catch (error) {
      return error as Error;
    }
  }

  syncNow(): void {
    fdatasyncSync(this.#descriptor);
  }

  truncate(size: number): void {
    ftruncateSync(this.#descriptor, size);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** A folder of the file system; made when there is none. */
export class FileDisk implements Disk {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  list(): string[] {
    return readdirSync(this.folder).sort();
  }

  open(name: string): DiskFile {
    return new RealFile(join(this.folder, name));
  }

  rename(from: string, to: string): void {
    renameSync(join(this.folder, from), join(this.folder, to));
  }

  remove(name: string): void {
    unlinkSync(join(this.folder, name));
  }

  syncFolder(): void {
    const descriptor = openSync(this.folder, "r");
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }

  subfolder(name: string): FileDisk {
    const isNew = !this.list().includes(name);
    const folder = new FileDisk(join(this.folder, name));
    if (isNew) this.syncFolder();
    return folder;
  }

  removeSubfolder(name: string): void {
    rmSync(join(this.folder, name), { recursive: true, force: true });
    this.syncFolder();
  }

  freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }
}
