/**
 * A disk in memory that does what disks do at the worst moment.
 *
 * Of each file it keeps what is certainly on the disk and, in order, what has been written since: after a loss of power
 * each of these writes is there, not there, or there in part, in sectors of 512 bytes, whatever became of those before it.
 * Of names it keeps the same: until the folder is synced, a new file may be gone and a removed one back. All that happens
 * follows from the generator it is given. It can also run full, fail, and stop dead at any operation.
 *
 * A disk is a folder; folders in it share its space, its faults and its end.
 */

import type { Disk, DiskFile } from "../../src/store/disk.ts";
import type { Random } from "../seeded.ts";

const SECTOR_BYTES = 512;

/** The process has ended: no operation after it does anything. */
export class Cut extends Error {
  override readonly name = "Cut";
}

export function diskError(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code });
}

/** Bytes that can grow. */
class Content {
  #buffer: Buffer;
  size: number;
  /** Up to where bytes have been written: the rest is a hole, which takes no space. */
  writtenBytes: number;

  constructor(from: Buffer = Buffer.alloc(0)) {
    this.#buffer = Buffer.from(from);
    this.size = from.length;
    this.writtenBytes = from.length;
  }

  write(bytes: Buffer, offset: number): void {
    const end = offset + bytes.length;
    this.resize(Math.max(this.size, end));
    bytes.copy(this.#buffer, offset);
    this.writtenBytes = Math.max(this.writtenBytes, end);
  }

  resize(size: number): void {
    if (size > this.#buffer.length) {
      const grown = Buffer.alloc(size * 2);
      this.#buffer.copy(grown, 0, 0, this.size);
      this.#buffer = grown;
    } else if (size < this.size) {
      this.#buffer.fill(0, size, this.size);
    }
    this.size = size;
    this.writtenBytes = Math.min(this.writtenBytes, size);
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.size);
  }
}

/** A write, or a new size when there are no bytes. */
interface Change {
  readonly offset: number;
  readonly bytes: Buffer | undefined;
}

function apply(content: Content, { offset, bytes }: Change): void {
  if (bytes === undefined) content.resize(offset);
  else content.write(bytes, offset);
}

class Inode {
  /** What a loss of power leaves at least. */
  readonly durable: Content;
  /** What a reader sees. */
  readonly live: Content;
  unsynced: Change[] = [];

  constructor(durable: Buffer = Buffer.alloc(0)) {
    this.durable = new Content(durable);
    this.live = new Content(durable);
  }

  change(change: Change): void {
    apply(this.live, change);
    this.unsynced.push(change);
  }

  /** The first `count` changes are on the disk. */
  settle(count: number): void {
    for (const change of this.unsynced.splice(0, count)) apply(this.durable, change);
  }

  clone(): Inode {
    const copy = new Inode(this.durable.bytes);
    for (const change of this.unsynced) copy.change(change);
    return copy;
  }
}

type NameChange =
  | { readonly kind: "create"; readonly name: string; readonly inode: Inode }
  | { readonly kind: "remove"; readonly name: string }
  | {
      readonly kind: "rename";
      readonly name: string;
      readonly to: string;
      readonly inode: Inode;
    };

function applyName(names: Map<string, Inode>, change: NameChange): void {
  if (change.kind === "create") names.set(change.name, change.inode);
  else names.delete(change.name);
  if (change.kind === "rename") names.set(change.to, change.inode);
}

interface PendingSync {
  readonly inode: Inode;
  readonly count: number;
  readonly callback: (error: Error | null) => void;
}

/** What a disk does that no disk should do: for tests of the tests. */
export interface Sabotage {
  /** Files of which nothing is on the disk when they have been synced. */
  readonly syncsNothing?: (name: string) => boolean;
  /** `sync` calls back before what it is about is on the disk: mostly that is there when one of the next has ended. */
  readonly answersEarly?: boolean;
  /** `syncFolder` returns, and no name is on the disk. */
  readonly syncsNoNames?: boolean;
  /** What is written instead of the bytes given; nothing when undefined. */
  readonly onWrite?: (bytes: Buffer, name: string) => Buffer | undefined;
}

/** What can fail with EIO. */
export type DiskOperation = "open" | "create" | "read" | "write" | "sync" | "syncFolder" | "remove";

/** `power`: what was not synced may be lost. `kill`: only the process ends. */
export type CrashKind = "power" | "kill";

export class SimulatedDisk implements Disk {
  readonly #random: Random;
  readonly #sabotage: Sabotage;
  /** The disk whose folder this is; itself when it is none. Counts, limits and faults are the root's. */
  readonly #root: SimulatedDisk;
  readonly #folders = new Map<string, SimulatedDisk>();
  readonly #live = new Map<string, Inode>();
  readonly #durable = new Map<string, Inode>();
  #names: NameChange[] = [];
  #syncs: PendingSync[] = [];
  /** Operations that change something, so far. */
  operations = 0;
  /** The operation that does not happen, nor any after it. */
  cutAt = Number.POSITIVE_INFINITY;
  dead = false;
  /** How many bytes all files may have. */
  capacityBytes = Number.POSITIVE_INFINITY;
  /** Operations that fail with EIO. */
  readonly failing = new Set<DiskOperation>();
  /** How many operations have failed for want of space, or with EIO; and how many of them would have read, or synced. */
  faults = 0;
  readFaults = 0;
  syncFaults = 0;
  /** Whether names are changed on the disk in the order in which they were changed. */
  namesInOrder = false;
  /** Whether some syncs have ended when `sync` returns. */
  waitsForSyncs = false;

  constructor(random: Random, sabotage: Sabotage = {}, root?: SimulatedDisk) {
    this.#random = random;
    this.#sabotage = sabotage;
    this.#root = root ?? this;
  }

  // -- names

  list(): string[] {
    return [...this.#live.keys(), ...this.#folders.keys()].sort();
  }

  open(name: string): DiskFile {
    this.#mayFail("open");
    let inode = this.#live.get(name);
    if (inode === undefined) {
      this.#mayFail("create");
      this.#step();
      inode = new Inode();
      this.#changeName({ kind: "create", name, inode });
    }
    return new SimulatedFile(this, inode, name);
  }

  rename(from: string, to: string): void {
    this.#step();
    this.#changeName({ kind: "rename", name: from, to, inode: this.#inode(from) });
  }

  remove(name: string): void {
    this.#mayFail("remove");
    this.#step();
    this.#inode(name);
    this.#changeName({ kind: "remove", name });
  }

  #inode(name: string): Inode {
    const inode = this.#live.get(name);
    if (inode === undefined) throw diskError("ENOENT");
    return inode;
  }

  #changeName(change: NameChange): void {
    applyName(this.#live, change);
    this.#names.push(change);
  }

  syncFolder(): void {
    this.#mayFail("syncFolder");
    this.#step();
    if (this.#sabotage.syncsNoNames === true) return;
    for (const change of this.#names.splice(0)) applyName(this.#durable, change);
  }

  /** A new folder is on the disk when the call returns. */
  subfolder(name: string): SimulatedDisk {
    const known = this.#folders.get(name);
    if (known !== undefined) return known;
    this.#step();
    return this.#addFolder(name);
  }

  #addFolder(name: string): SimulatedDisk {
    const folder = new SimulatedDisk(this.#random, this.#sabotage, this.#root);
    this.#folders.set(name, folder);
    return folder;
  }

  /** Until the call returns the folder may be there, and after that it is not. */
  removeSubfolder(name: string): void {
    if (!this.#folders.has(name)) return;
    this.#mayFail("remove");
    this.#step();
    this.#folders.delete(name);
  }

  freeBytes(): number {
    return this.#root.capacityBytes - this.#root.usedBytes;
  }

  get usedBytes(): number {
    let bytes = 0;
    for (const inode of this.#live.values()) bytes += inode.live.writtenBytes;
    for (const folder of this.#folders.values()) bytes += folder.usedBytes;
    return bytes;
  }

  /** The bytes of a file as they are now: a test may change them. */
  bytesOf(name: string): Buffer {
    return this.#inode(name).live.bytes;
  }

  /** Makes a file that is safely on the disk. */
  put(name: string, bytes: Buffer): void {
    const inode = new Inode(bytes);
    this.#live.set(name, inode);
    this.#durable.set(name, inode);
  }

  // -- what its files call

  #step(): void {
    const root = this.#root;
    if (!root.dead && ++root.operations >= root.cutAt) root.dead = true;
    if (root.dead) throw new Cut("the process has ended");
  }

  #mayFail(operation: DiskOperation): void {
    const root = this.#root;
    if (root.dead) throw new Cut("the process has ended");
    if (!root.failing.has(operation)) return;
    if (operation === "open" || operation === "read") root.readFaults++;
    if (operation === "sync" || operation === "syncFolder") root.syncFaults++;
    throw this.#fault("EIO");
  }

  #fault(code: string): Error {
    this.#root.faults++;
    return diskError(code);
  }

  mayRead(): void {
    this.#mayFail("read");
  }

  write(inode: Inode, name: string, bytes: Buffer, offset: number): void {
    this.#mayFail("write");
    const { onWrite } = this.#sabotage;
    const written = onWrite === undefined ? bytes : onWrite(bytes, name);
    if (written === undefined) return;
    try {
      this.#step();
    } catch (error) {
      // It ends within the write.
      this.#writePart(inode, written, offset, this.#random.below(written.length));
      throw error;
    }
    const growth = Math.max(0, offset + written.length - inode.live.writtenBytes);
    const free = this.freeBytes();
    if (growth > free) {
      this.#writePart(inode, written, offset, written.length - growth + Math.max(0, free));
      throw this.#fault("ENOSPC");
    }
    inode.change({ offset, bytes: Buffer.from(written) });
  }

  #writePart(inode: Inode, bytes: Buffer, offset: number, count: number): void {
    if (count > 0) inode.change({ offset, bytes: Buffer.from(bytes.subarray(0, count)) });
  }

  truncate(inode: Inode, size: number): void {
    this.#step();
    inode.change({ offset: size, bytes: undefined });
  }

  sync(inode: Inode, name: string, callback: (error: Error | null) => void): void {
    if (this.#root.waitsForSyncs && this.#random.chance(50)) {
      callback(this.#syncError(inode, name));
      return;
    }
    this.#step();
    const isEarly = this.#sabotage.answersEarly === true && this.#random.chance(75);
    const count = isEarly || this.#loses(name) ? 0 : inode.unsynced.length;
    this.#root.#syncs.push({ inode, count, callback });
  }

  #syncError(inode: Inode, name: string): Error | null {
    try {
      this.syncNow(inode, name);
      return null;
    } catch (error) {
      if (error instanceof Cut) throw error;
      return error as Error;
    }
  }

  #loses(name: string): boolean {
    return this.#sabotage.syncsNothing?.(name) ?? false;
  }

  syncNow(inode: Inode, name: string): void {
    this.#mayFail("sync");
    this.#step();
    if (!this.#loses(name)) inode.settle(inode.unsynced.length);
  }

  /** Ends the syncs that are under way, as many as `count` of them; says how many there were. */
  completeSyncs(count = Number.POSITIVE_INFINITY): number {
    const syncs = this.#syncs.splice(0, Math.min(count, this.#syncs.length));
    for (const { inode, count: changes, callback } of syncs) {
      if (this.dead) return syncs.length;
      if (this.failing.has("sync")) {
        this.syncFaults++;
        callback(this.#fault("EIO"));
        continue;
      }
      inode.settle(changes);
      // Another sync of the file may be under way: what it is about has moved up.
      this.#syncs = this.#syncs.map((sync) =>
        sync.inode === inode ? { ...sync, count: Math.max(0, sync.count - changes) } : sync,
      );
      callback(null);
    }
    return syncs.length;
  }

  get pendingSyncs(): number {
    return this.#syncs.length;
  }

  // -- the end

  /** The disk as the next process finds it. This one is dead. */
  crash(kind: CrashKind): SimulatedDisk {
    this.dead = true;
    const after = new SimulatedDisk(this.#random, this.#sabotage);
    this.#crashInto(after, kind);
    return after;
  }

  #crashInto(after: SimulatedDisk, kind: CrashKind): void {
    after.namesInOrder = this.#root.namesInOrder;
    after.waitsForSyncs = this.#root.waitsForSyncs;
    if (kind === "kill") this.#survive(after);
    else this.#losePower(after);
    for (const [name, folder] of this.#folders) folder.#crashInto(after.#addFolder(name), kind);
  }

  /** Another disk with the same on it; it has no faults, and what happens on it follows from its own generator. */
  clone(random: Random): SimulatedDisk {
    const copy = new SimulatedDisk(random, this.#sabotage);
    this.#cloneInto(copy);
    return copy;
  }

  #cloneInto(copy: SimulatedDisk): void {
    copy.namesInOrder = this.#root.namesInOrder;
    copy.waitsForSyncs = this.#root.waitsForSyncs;
    const inodes = new Map<Inode, Inode>();
    const cloned = (inode: Inode): Inode => {
      const known = inodes.get(inode) ?? inode.clone();
      inodes.set(inode, known);
      return known;
    };
    for (const [name, inode] of this.#live) copy.#live.set(name, cloned(inode));
    for (const [name, inode] of this.#durable) copy.#durable.set(name, cloned(inode));
    copy.#names = this.#names.map((change) =>
      change.kind === "remove" ? change : { ...change, inode: cloned(change.inode) },
    );
    for (const [name, folder] of this.#folders) folder.#cloneInto(copy.#addFolder(name));
  }

  /** Nothing is lost, and nothing safer than before. */
  #survive(after: SimulatedDisk): void {
    for (const [name, inode] of this.#live) after.#live.set(name, inode);
    for (const [name, inode] of this.#durable) after.#durable.set(name, inode);
    after.#names = this.#names;
  }

  #losePower(after: SimulatedDisk): void {
    const names = new Map(this.#durable);
    const kept = this.#random.below(this.#names.length + 1);
    for (const [index, change] of this.#names.entries()) {
      if (this.#root.namesInOrder ? index < kept : this.#random.chance(50))
        applyName(names, change);
    }
    // One file under two names, when a file came back under its old one, is still one file.
    const mode = this.#random.below(5);
    const contents = new Map<Inode, Inode>();
    for (const [name, inode] of names) {
      const content = contents.get(inode) ?? new Inode(this.#remains(inode, mode));
      contents.set(inode, content);
      after.#live.set(name, content);
      after.#durable.set(name, content);
    }
  }

  #remains(inode: Inode, mode: number): Buffer {
    const content = new Content(inode.durable.bytes);
    const { unsynced } = inode;
    if (mode === 0) return content.bytes;
    // Everything up to a moment, the last write in part; or each write by itself.
    const upTo = mode === 1 ? this.#random.below(unsynced.length + 1) : unsynced.length;
    for (const [index, change] of unsynced.slice(0, upTo).entries()) {
      const fate = mode === 1 ? (index < upTo - 1 ? 0 : 2) : this.#random.below(4);
      if (fate === 0) apply(content, change);
      else if (fate === 2) this.#tear(content, change);
      else if (fate === 3 && change.bytes !== undefined) {
        // The file has grown, and nothing is in it.
        content.resize(Math.max(content.size, change.offset + change.bytes.length));
      }
    }
    return content.bytes;
  }

  /** Some of a write's sectors, or its beginning. */
  #tear(content: Content, { offset, bytes }: Change): void {
    if (bytes === undefined) return;
    if (this.#random.chance(40)) {
      content.write(bytes.subarray(0, this.#random.below(bytes.length + 1)), offset);
      return;
    }
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + SECTOR_BYTES - ((offset + at) % SECTOR_BYTES));
      if (this.#random.chance(60)) content.write(bytes.subarray(at, end), offset + at);
      at = end;
    }
  }
}

class SimulatedFile implements DiskFile {
  readonly #disk: SimulatedDisk;
  readonly #inode: Inode;
  readonly #name: string;
  #closed = false;

  constructor(disk: SimulatedDisk, inode: Inode, name: string) {
    this.#disk = disk;
    this.#inode = inode;
    this.#name = name;
  }

  get size(): number {
    return this.#open().live.size;
  }

  #open(): Inode {
    if (this.#closed) throw diskError("EBADF");
    return this.#inode;
  }

  write(buffer: Buffer, start: number, end: number, offset: number): void {
    this.#disk.write(this.#open(), this.#name, buffer.subarray(start, end), offset);
  }

  read(buffer: Buffer, start: number, end: number, offset: number): number {
    this.#disk.mayRead();
    const { bytes } = this.#open().live;
    return bytes.copy(buffer, start, offset, Math.min(bytes.length, offset + end - start));
  }

  /** A file that is closed before its sync has ended may have lost its descriptor to another. */
  sync(callback: (error: Error | null) => void): void {
    this.#disk.sync(this.#open(), this.#name, (error) =>
      callback(this.#closed ? diskError("EBADF") : error),
    );
  }

  syncNow(): void {
    this.#disk.syncNow(this.#open(), this.#name);
  }

  truncate(size: number): void {
    this.#disk.truncate(this.#open(), size);
  }

  close(): void {
    this.#open();
    this.#closed = true;
  }
}
