/**
 * Jump consistent hash: gives each key one of N buckets, evenly, and with one bucket more moves only the keys that the
 * new one gets [Lamping and Veach, 2014].
 *
 * The jumps are drawn from a generator that the key seeds: xorshift1024*, filled from xorshift64*, as RabbitMQ takes it
 * from Erlang, so that a key gets the same bucket here. 64-bit integers are two halves each, for this is done per message.
 */

const WORDS = 16;
const high = new Int32Array(WORDS);
const low = new Int32Array(WORDS);

/** The product of the last `multiply`, modulo 2^64. */
let productHigh = 0;
let productLow = 0;

function multiply(aHigh: number, aLow: number, bHigh: number, bLow: number): void {
  const a0 = aLow & 0xffff;
  const a1 = aLow >>> 16;
  const b0 = bLow & 0xffff;
  const b1 = bLow >>> 16;
  const lowest = a0 * b0;
  const middle = a1 * b0 + (lowest >>> 16);
  const carry = a0 * b1 + (middle % 0x1_0000);
  productLow = Math.imul(aLow, bLow);
  productHigh =
    (a1 * b1 +
      Math.floor(middle / 0x1_0000) +
      Math.floor(carry / 0x1_0000) +
      Math.imul(aHigh, bLow) +
      Math.imul(aLow, bHigh)) |
    0;
}

const SEED_BITS = 0x1f_ffff;

function seedPart(key: number, prime: number): number {
  return (((key & SEED_BITS) + 1) * prime) % (SEED_BITS + 1);
}

/** Fills the generator's words, the last one first. */
function seed(key: number): void {
  const first = seedPart(key, 2_097_131);
  const second = seedPart(key, 2_097_133);
  const third = seedPart(key, 2_097_143);
  let stateHigh = (first << 11) | (second >>> 10);
  let stateLow = (second << 22) | (third << 1) | 1;
  for (let word = WORDS - 1; word >= 0; word--) {
    stateLow ^= (stateLow >>> 12) | (stateHigh << 20);
    stateHigh ^= stateHigh >>> 12;
    stateHigh ^= (stateHigh << 25) | (stateLow >>> 7);
    stateLow ^= stateLow << 25;
    stateLow ^= (stateLow >>> 27) | (stateHigh << 5);
    stateHigh ^= stateHigh >>> 27;
    multiply(stateHigh, stateLow, 0x2545f491, 0x4f6cdd1d);
    high[word] = productHigh;
    low[word] = productLow;
  }
}

/** The next number from 0 up to 1; `step` counts from 0. */
function draw(step: number): number {
  const from = step % WORDS;
  const to = (step + 1) % WORDS;
  let aHigh = high[from]!;
  let aLow = low[from]!;
  let bHigh = high[to]!;
  let bLow = low[to]!;
  bHigh ^= (bHigh << 31) | (bLow >>> 1);
  bLow ^= bLow << 31;
  bLow ^= (bLow >>> 11) | (bHigh << 21);
  bHigh ^= bHigh >>> 11;
  aLow ^= (aLow >>> 30) | (aHigh << 2);
  aHigh ^= aHigh >>> 30;
  bHigh ^= aHigh;
  bLow ^= aLow;
  high[to] = bHigh;
  low[to] = bLow;
  multiply(bHigh, bLow, 0x106689d4, 0x5497fdb5);
  return ((productHigh >>> 0) * 2 ** 32 + (productLow >>> 0)) / 2 ** 64;
}

/** The bucket, from 0 to `buckets` - 1, of a key of 27 bits. */
export function jumpHash(key: number, buckets: number): number {
  if (buckets === 1) return 0;
  seed(key);
  let bucket = 0;
  for (let step = 0, next = 0; next < buckets; step++) {
    bucket = next;
    next = Math.trunc((bucket + 1) / draw(step));
  }
  return bucket;
}
