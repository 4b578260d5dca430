/**
 * Buffers in which bodies are put together that come in several chunks, and which are used again: fresh memory for each would
 * be most of what a large message costs, in collections of garbage.
 *
 * Who gives one back must be the last to refer to it.
 */

const LEAST_BYTES = 1 << 16;
const KEPT_BYTES_MAX = 1 << 20;
const KEPT_MAX = 4;

const kept: Buffer[] = [];

/** A buffer of at least so many bytes, with anything in it. */
export function takeBodyBuffer(bytes: number): Buffer {
  if (bytes > KEPT_BYTES_MAX) return Buffer.allocUnsafeSlow(bytes);
  for (let index = 0; index < kept.length; index++) {
    const buffer = kept[index]!;
    if (buffer.length < bytes) continue;
    const last = kept.pop()!;
    if (index < kept.length) kept[index] = last;
    return buffer;
  }
  return Buffer.allocUnsafeSlow(Math.max(LEAST_BYTES, 2 ** Math.ceil(Math.log2(bytes))));
}

/** One that was taken, and to which nobody refers any more. */
export function giveBodyBuffer(buffer: Buffer): void {
  if (buffer.length <= KEPT_BYTES_MAX && kept.length < KEPT_MAX) kept.push(buffer);
}
