/** A copy of a damaged file beside it, for whoever wants to see what can be saved. */

import type { Disk } from "./disk.ts";

/** What the copy of a file is called. */
export function copyName(name: string): string {
  return `${name}.damaged`;
}

/**
 * Makes a copy of a file unless there is one; false when the disk does not give the bytes or take them, which is no reason
 * to stop.
 */
export function keepCopy(disk: Disk, name: string, bytesOf: () => Buffer): boolean {
  const copy = copyName(name);
  let isBegun = false;
  try {
    if (disk.list().includes(copy)) return true;
    const bytes = bytesOf();
    isBegun = true;
    write(disk, copy, bytes);
    return true;
  } catch {
    // Half a copy takes space, and would be taken for a whole one.
    if (isBegun) removeIfThere(disk, copy);
    return false;
  }
}

function write(disk: Disk, name: string, bytes: Buffer): void {
  const file = disk.open(name);
  try {
    file.write(bytes, 0, bytes.length, 0);
    file.syncNow();
  } finally {
    file.close();
  }
  disk.syncFolder();
}

function removeIfThere(disk: Disk, name: string): void {
  try {
    if (disk.list().includes(name)) disk.remove(name);
  } catch {
    // The next one who tries finds it there.
  }
}
