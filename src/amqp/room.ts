/**
 * Bytes with a view over them, through which few of them are copied and compared, four at a time.
 *
 * Most of what a message consists of is short: a call of `Buffer.copy` costs as much as some two hundred bytes that are moved
 * like this.
 */

/** Where bytes are: `view` is over the same ones as `buffer`. */
export interface Room {
  readonly buffer: Buffer;
  readonly view: DataView;
}

/** Beyond that many `Buffer.copy` is faster, on Node.js 24 already from here on. */
const LOOP_BYTES_MAX = 128;
/** No buffer beyond that many is kept for the next message. */
const KEPT_BYTES_MAX = 1 << 20;
/** What is moved at a time. */
const WORD_BYTES = 4;

export function roomOf(buffer: Buffer): Room {
  return { buffer, view: new DataView(buffer.buffer, buffer.byteOffset, buffer.length) };
}

let recent = roomOf(Buffer.alloc(0));

/** The room of a buffer, which mostly is the one of the last time: messages come in chunks. The last one is kept unless it is large. */
export function roomAround(buffer: Buffer): Room {
  if (recent.buffer === buffer) return recent;
  const room = roomOf(buffer);
  if (buffer.length <= KEPT_BYTES_MAX) recent = room;
  return room;
}

/** Copies `source[start..end)` to `target` at `at`; there must be room. */
export function copyBytes(
  target: Room,
  at: number,
  source: Room,
  start: number,
  end: number,
): void {
  if (end - start > LOOP_BYTES_MAX) {
    source.buffer.copy(target.buffer, at, start, end);
    return;
  }
  const to = target.view;
  const from = source.view;
  const words = end - WORD_BYTES;
  const shift = at - start;
  let next = start;
  for (; next <= words; next += WORD_BYTES)
    to.setInt32(next + shift, from.getInt32(next, true), true);
  // The last word overlaps the one before.
  if (next < end && words >= start) to.setInt32(words + shift, from.getInt32(words, true), true);
  else for (; next < end; next++) to.setUint8(next + shift, from.getUint8(next));
}

/** Whether `source[start..end)` stands in `target` at `at`. */
export function hasBytes(
  target: Room,
  at: number,
  source: Room,
  start: number,
  end: number,
): boolean {
  const to = target.view;
  const from = source.view;
  const shift = at - start;
  let next = start;
  for (; next <= end - WORD_BYTES; next += WORD_BYTES)
    if (to.getInt32(next + shift, true) !== from.getInt32(next, true)) return false;
  for (; next < end; next++) if (to.getUint8(next + shift) !== from.getUint8(next)) return false;
  return true;
}
