/**
 * A disk that counts what it is asked to do, and keeps nothing but the sizes of its files.
 *
 * Syncs end when `completeSyncs` says so. Nothing can be read back: what is measured on it settles all that it publishes.
 */
import type { Disk, DiskFile } from "../../src/store/disk.ts";

export interface DiskCounts {
  diskWrites: number;
  diskBytes: number;
  diskSyncs: number;
}

export class CountingDisk implements Disk {
  readonly #counts: DiskCounts;
  readonly #sizes = new Map<string, number>();
  readonly #folders = new Map<string, CountingDisk>();
  #syncs: ((error: Error | null) => void)[] = [];

  constructor(counts: DiskCounts) {
    this.#counts = counts;
  }

  /** Ends all syncs that are under way; whether there were any. */
  completeSyncs(): boolean {
    const syncs = this.#syncs;
    this.#syncs = [];
    for (const done of syncs) done(null);
    let completed = syncs.length > 0;
    for (const folder of this.#folders.values()) if (folder.completeSyncs()) completed = true;
    return completed;
  }

  list(): string[] {
    return [...this.#sizes.keys()].sort();
  }

  open(name: string): DiskFile {
    const sizes = this.#sizes;
    const counts = this.#counts;
    const syncs = (callback: (error: Error | null) => void): void => {
      this.#syncs.push(callback);
    };
    if (!sizes.has(name)) sizes.set(name, 0);
    return {
      get size() {
        return sizes.get(name)!;
      },
      write(_buffer, start, end, offset) {
        counts.diskWrites++;
        counts.diskBytes += end - start;
        sizes.set(name, Math.max(sizes.get(name)!, offset + end - start));
      },
      read() {
        if (sizes.get(name) === 0) return 0;
        throw new Error(`nothing can be read back from ${name}`);
      },
      sync(callback) {
        counts.diskSyncs++;
        syncs(callback);
      },
      syncNow() {
        counts.diskSyncs++;
      },
      truncate(size) {
        sizes.set(name, size);
      },
      close() {},
    };
  }

  rename(from: string, to: string): void {
    this.#sizes.set(to, this.#sizes.get(from)!);
    this.#sizes.delete(from);
  }

  remove(name: string): void {
    this.#sizes.delete(name);
  }

  syncFolder(): void {
    this.#counts.diskSyncs++;
  }

  freeBytes(): number {
    return 2 ** 40;
  }

  subfolder(name: string): CountingDisk {
    const folder = this.#folders.get(name) ?? new CountingDisk(this.#counts);
    this.#folders.set(name, folder);
    return folder;
  }

  removeSubfolder(name: string): void {
    this.#folders.delete(name);
  }
}
