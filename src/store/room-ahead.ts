/**
 * Room made ahead of what is appended to a file: zeros that nobody has written, and that take no space.
 *
 * A sync of bytes within the file's size is about these bytes. When they make the file larger, it is about its size, too, which
 * goes through the file system's own journal and takes as long again. So a file grows by steps, and ends in zeros: what
 * is read from it ends where they begin, and no record of ours is all zeros.
 */

import type { DiskFile } from "./disk.ts";

const STEP_BYTES = 1 << 16;
const zeros = Buffer.alloc(STEP_BYTES);

/** Makes a file of `size` bytes large enough for bytes up to `end`, and returns its size. */
export function makeRoomAhead(file: DiskFile, size: number, end: number): number {
  if (end <= size) return size;
  const larger = Math.ceil(end / STEP_BYTES) * STEP_BYTES;
  file.truncate(larger);
  return larger;
}

/** Where the zeros begin that follow all else in a file, not before `from`. */
export function contentEnd(bytes: Buffer, from = 0): number {
  let end = bytes.length;
  // As many at a time as there may be, and then one by one.
  for (;;) {
    const start = Math.max(from, end - STEP_BYTES);
    if (start === end || bytes.compare(zeros, 0, end - start, start, end) !== 0) break;
    end = start;
  }
  while (end > from && bytes[end - 1] === 0) end--;
  return end;
}
