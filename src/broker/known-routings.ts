/**
 * Where messages of one user went: exchange and queues by the very bytes in which a publish names exchange and routing key.
 *
 * For publishers that change their keys: what is found here need not be decoded, looked up or asked for permission. All of
 * it is forgotten when the generation of the topology changes. It knows no channels, and it is bounded: a table of sets of
 * four that grows while it is used. When it is crowded a new routing takes the place of an old one now and then only: then
 * those that have a place are found all the same, and the others cost little.
 */

import { copyBytes, hasBytes, type Room, roomOf } from "../amqp/room.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { Receiver } from "./shelves.ts";

/** Longer ones are not remembered: exchange and routing key, each with its length in front. */
export const KNOWN_BYTES_MAX = 96;
const ENTRIES_FIRST = 64;
export const KNOWN_ENTRIES_MAX = 16_384;
const GROWTH = 4;
/** Entries of a set: where a hash can be. */
const SET_ENTRIES = 4;
/** A table of full size is crowded when so much of it is filled; then one routing in so many gets in. */
const CROWDED = 0.75;
const ADMITTED_ONE_IN = 64;

/** What has been routed. */
interface Routed {
  readonly exchange: Exchange;
  readonly routingKey: string;
}

/** Valid until the next call of `keep`, which may use it for another one. */
export class KnownRouting implements Routed {
  length: number;
  exchange: Exchange;
  routingKey: string;
  /** Not to be changed. */
  queues: readonly Receiver[];

  constructor(length: number, { exchange, routingKey }: Routed, queues: readonly Receiver[]) {
    this.length = length;
    this.exchange = exchange;
    this.routingKey = routingKey;
    this.queues = queues;
  }
}

/** FNV-1a with its high bits mixed in, as the low ones choose the set; never 0. */
function hash(buffer: Buffer, start: number, end: number): number {
  let value = 0x811c9dc5;
  for (let at = start; at < end; at++) value = Math.imul(value ^ buffer[at]!, 0x01000193);
  return ((value ^ (value >>> 15)) | 1) >>> 0;
}

export class KnownRoutings {
  #generation = -1;
  /** The hash of each entry, 0 where there is none: what is not known is told apart without looking further. */
  #hashes = new Uint32Array(0);
  #entries: (KnownRouting | undefined)[] = [];
  /** `KNOWN_BYTES_MAX` for each entry. */
  #bytes = roomOf(Buffer.alloc(0));
  #filled = 0;
  /** Routings that have found no room. */
  #crowded = 0;

  /** What the bytes from `start` to `end` (borrowed) are known to mean in this generation. */
  find(source: Room, start: number, end: number, generation: number): KnownRouting | undefined {
    if (this.#generation !== generation || end - start > KNOWN_BYTES_MAX) return undefined;
    const value = hash(source.buffer, start, end);
    const first = this.#firstOf(value);
    for (let at = first; at < first + SET_ENTRIES; at++) {
      if (this.#hashes[at] === value && this.#holds(at, source, start, end))
        return this.#entries[at];
    }
    return undefined;
  }

  /** Where the set begins that a hash leads to. */
  #firstOf(value: number): number {
    return value & (this.#hashes.length - SET_ENTRIES);
  }

  #holds(entry: number, source: Room, start: number, end: number): boolean {
    if (this.#entries[entry]!.length !== end - start) return false;
    return hasBytes(this.#bytes, entry * KNOWN_BYTES_MAX, source, start, end);
  }

  /** Remembers where what the first `length` bytes of `bytes` (borrowed) name has gone; not when that is known. */
  keep(
    bytes: Room,
    length: number,
    generation: number,
    routed: Routed,
    queues: readonly Receiver[],
  ): void {
    if (length > KNOWN_BYTES_MAX) return;
    if (this.#generation !== generation) this.#begin(ENTRIES_FIRST);
    this.#generation = generation;
    if (this.#isCrowded && this.#crowded++ % ADMITTED_ONE_IN !== 0) return;
    const value = hash(bytes.buffer, 0, length);
    let at = this.#placeFor(value);
    if (this.#hashes[at] !== 0 && this.#mayGrow) {
      this.#begin(this.#hashes.length * GROWTH);
      at = this.#firstOf(value);
    }
    this.#hashes[at] = value;
    this.#put(at, length, routed, queues);
    copyBytes(this.#bytes, at * KNOWN_BYTES_MAX, bytes, 0, length);
  }

  get #mayGrow(): boolean {
    const { length } = this.#hashes;
    return length < KNOWN_ENTRIES_MAX && this.#filled * 2 >= length;
  }

  get #isCrowded(): boolean {
    return this.#filled > KNOWN_ENTRIES_MAX * CROWDED;
  }

  /** In the set of a hash: a free place, or one to take from somebody else. */
  #placeFor(value: number): number {
    const first = this.#firstOf(value);
    for (let at = first; at < first + SET_ENTRIES; at++) if (this.#hashes[at] === 0) return at;
    return first + (value >>> 30);
  }

  #put(at: number, length: number, routed: Routed, queues: readonly Receiver[]): void {
    const entry = this.#entries[at];
    if (entry === undefined) {
      this.#filled++;
      this.#entries[at] = new KnownRouting(length, routed, queues);
      return;
    }
    entry.length = length;
    entry.exchange = routed.exchange;
    entry.routingKey = routed.routingKey;
    entry.queues = queues;
  }

  /** Forgets all; they come again by themselves. */
  #begin(entries: number): void {
    this.#filled = 0;
    if (this.#hashes.length === entries) {
      this.#hashes.fill(0);
      this.#entries.fill(undefined);
      return;
    }
    this.#hashes = new Uint32Array(entries);
    this.#entries = new Array<KnownRouting | undefined>(entries).fill(undefined);
    this.#bytes = roomOf(Buffer.allocUnsafeSlow(entries * KNOWN_BYTES_MAX));
  }
}
