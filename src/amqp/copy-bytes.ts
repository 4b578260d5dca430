/**
 * Copying a few bytes. A call of `Buffer.copy` costs as much as some sixty bytes copied by a loop, and most of what a
 * message consists of is smaller.
 */

const LOOP_BYTES_MAX = 96;

/** Copies `source[start..end)` to `target` at `at`; there must be room. */
export function copyBytes(
  target: Buffer,
  at: number,
  source: Buffer,
  start: number,
  end: number,
): void {
  if (end - start > LOOP_BYTES_MAX) {
    source.copy(target, at, start, end);
    return;
  }
  for (let from = start, to = at; from < end; from++, to++) target[to] = source[from]!;
}
