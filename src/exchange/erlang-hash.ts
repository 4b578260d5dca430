/**
 * Erlang's portable hash `phash2` of the few shapes of terms that RabbitMQ's hashing exchanges make of a message, so that
 * a key leads here to the binding that it leads to there.
 *
 * It is Bob Jenkins' hash of 1996 with constants of Erlang's own, cut to 27 bits at the end. Nothing is allocated: a hash
 * under way is a plain 32-bit integer, and bytes are read where they are.
 */

const GOLDEN_RATIO = 0x9e3779b9 | 0;

/** The constant of each kind of term is a multiple of the golden ratio. */
const NIL = Math.imul(GOLDEN_RATIO, 2);
const ATOM = Math.imul(GOLDEN_RATIO, 3);
const TUPLE = Math.imul(GOLDEN_RATIO, 9);
const BINARY = Math.imul(GOLDEN_RATIO, 13);
const NIL_VALUE = 2;

const RESULT_BITS = 0x7ff_ffff;

/** The hash of the atom `undefined`: what stands for a header or property that a message does not have. */
export const UNDEFINED_HASH = 45_914_356;

/** An atom hashes as its name, as below; the one that field tables need is known. */
const LONGSTR_ATOM = 56_945_346;

let a = 0;
let b = 0;
let c = 0;

function mix(): void {
  a = (a - b - c) ^ (c >>> 13);
  b = (b - c - a) ^ (a << 8);
  c = (c - a - b) ^ (b >>> 13);
  a = (a - b - c) ^ (c >>> 12);
  b = (b - c - a) ^ (a << 16);
  c = (c - a - b) ^ (b >>> 5);
  a = (a - b - c) ^ (c >>> 3);
  b = (b - c - a) ^ (a << 10);
  c = (c - a - b) ^ (b >>> 15);
}

function mixIn(hash: number, value: number, kind: number): number {
  a = (kind + value) | 0;
  b = kind;
  c = hash;
  mix();
  return c;
}

function addBinary(hash: number, bytes: Buffer, start: number, end: number): number {
  const initial = (BINARY + hash) | 0;
  if (start === end) return initial;
  a = GOLDEN_RATIO;
  b = GOLDEN_RATIO;
  c = initial;
  let at = start;
  for (; end - at >= 12; at += 12) {
    a = (a + bytes.readInt32LE(at)) | 0;
    b = (b + bytes.readInt32LE(at + 4)) | 0;
    c = (c + bytes.readInt32LE(at + 8)) | 0;
    mix();
  }
  c = (c + end - start) | 0;
  for (let left = 0; at < end; left++, at++) {
    const byte = bytes[at]!;
    if (left < 4) a = (a + (byte << (8 * left))) | 0;
    else if (left < 8) b = (b + (byte << (8 * (left - 4)))) | 0;
    // The lowest byte of the third word is the length.
    else c = (c + (byte << (8 * (left - 7)))) | 0;
  }
  mix();
  return c;
}

/** The hash of a binary, `<<"...">>`: 27 bits. */
export function hashBinary(bytes: Buffer, start: number, end: number): number {
  return addBinary(0, bytes, start, end) & RESULT_BITS;
}

/** The hash of a header's value as field tables keep a text, `{longstr, <<"...">>}`. */
export function hashLongstr(bytes: Buffer): number {
  const tuple = mixIn(0, 2, TUPLE);
  return addBinary(mixIn(tuple, LONGSTR_ATOM, ATOM), bytes, 0, bytes.length) & RESULT_BITS;
}

const scratch = Buffer.alloc(1024);

/** The hash of a short text's bytes as a binary. */
export function hashText(text: string): number {
  return hashBinary(scratch, 0, scratch.write(text));
}

/** The hash of a list of binaries, which is what the routing keys of a message are; there is at least one. */
export function hashTexts(texts: readonly string[]): number {
  let hash = 0;
  for (const text of texts) hash = addBinary(hash, scratch, 0, scratch.write(text));
  return mixIn(hash, NIL_VALUE, NIL) & RESULT_BITS;
}
