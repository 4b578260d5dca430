/**
 * What a channel has delivered and its client has not settled yet, by delivery tag.
 *
 * Flat arrays in order of tags. Tags are given out one by one, so an entry is where its tag says until settled entries
 * have been squeezed out; then it is found by halving. Adding and settling cost the same however many are outstanding.
 */

import type { Clock } from "../clock.ts";
import type { Queue } from "../queue/queue.ts";

/** Where a delivery came from and who is told when it is settled. */
export interface DeliverySource {
  readonly queue: Queue;
  /** One of its deliveries has been settled or requeued: it counts one less. */
  settled(): void;
  /** It may have credit again. */
  wake(): void;
}

/** What has been delivered under a tag, with what is needed to settle it or to give it back. */
export interface Delivery {
  readonly tag: number;
  readonly position: number;
  readonly sequence: number;
  readonly bits: number;
  readonly source: DeliverySource;
  /** Since 1970. */
  readonly deliveredAtMs: number;
}

/** Is told when many entries take more memory, in bytes; fewer, when negative. */
export interface Memory {
  take(bytes: number): void;
}

const FIRST_ENTRIES = 16;
/** Many channels never have anything to settle. */
const NO_NUMBERS = new Float64Array(0);
const NO_BITS = new Uint32Array(0);
const BYTES_PER_ENTRY = 44;
/** What a channel may keep without being counted; more is for a consumer that holds a backlog. */
const KEPT_ENTRIES_MAX = 4096;

function countedBytes(entries: number): number {
  return entries > KEPT_ENTRIES_MAX ? entries * BYTES_PER_ENTRY : 0;
}

/** In the place of a position: the entry is settled. */
const SETTLED = -1;

export class Unacked {
  readonly #memory: Memory;
  #tags = NO_NUMBERS;
  #positions = NO_NUMBERS;
  #sequences = NO_NUMBERS;
  #bits = NO_BITS;
  #deliveredAtMs = NO_NUMBERS;
  #sources: (DeliverySource | undefined)[] = [];
  /** Entries from `#head` up to `#end` may be outstanding. */
  #head = 0;
  #end = 0;
  /** How many are outstanding. */
  count = 0;
  readonly #clock: Clock;

  constructor(clock: Clock, memory: Memory) {
    this.#clock = clock;
    this.#memory = memory;
  }

  /** Adds a delivery; its tag is higher than all before. */
  add(tag: number, source: DeliverySource, position: number, sequence: number, bits: number): void {
    if (this.#end === this.#tags.length) this.#makeRoom();
    const index = this.#end++;
    this.#tags[index] = tag;
    this.#positions[index] = position;
    this.#sequences[index] = sequence;
    this.#bits[index] = bits;
    this.#deliveredAtMs[index] = this.#clock.now();
    this.#sources[index] = source;
    this.count++;
  }

  /** How long the oldest delivery may stay unsettled, if it has done so for longer; `timeoutMs` counts unless its queue says otherwise. */
  overdue(timeoutMs: number): number | undefined {
    if (this.count === 0) return undefined;
    const { consumerTimeoutMs } = this.#sources[this.#head]!.queue.settings;
    const allowedMs = consumerTimeoutMs ?? timeoutMs;
    const waitedMs = this.#clock.now() - this.#deliveredAtMs[this.#head]!;
    return waitedMs > allowedMs ? allowedMs : undefined;
  }

  /** Where the outstanding delivery with this tag is, or -1. */
  find(tag: number): number {
    const index = this.#indexOf(tag);
    return index >= 0 && this.#positions[index] !== SETTLED ? index : -1;
  }

  #indexOf(tag: number): number {
    let low = this.#head;
    let high = this.#end - 1;
    if (low > high) return -1;
    // Without gaps the first guess is right.
    let guess = low + (tag - this.#tags[low]!);
    while (low <= high) {
      if (!(guess >= low && guess <= high)) guess = (low + high) >> 1;
      const found = this.#tags[guess]!;
      if (found === tag) return guess;
      if (found < tag) low = guess + 1;
      else high = guess - 1;
      guess = (low + high) >> 1;
    }
    return -1;
  }

  /** The outstanding delivery at `index`, which is no longer outstanding. */
  take(index: number): Delivery {
    const taken = {
      tag: this.#tags[index]!,
      position: this.#positions[index]!,
      sequence: this.#sequences[index]!,
      bits: this.#bits[index]!,
      source: this.#sources[index]!,
      deliveredAtMs: this.#deliveredAtMs[index]!,
    };
    this.#remove(index);
    return taken;
  }

  /** Acknowledges the outstanding delivery at `index`, and returns where it came from; nobody is woken. */
  ack(index: number): DeliverySource {
    const source = this.#sources[index]!;
    source.queue.acknowledge(this.#positions[index]!);
    source.settled();
    this.#remove(index);
    return source;
  }

  /** Acknowledges all outstanding deliveries up to the one at `index`, and returns how many; nobody is woken. */
  ackUpTo(index: number): number {
    const before = this.count;
    for (let at = this.#head; at <= index && this.count > 0; at++) {
      if (this.#positions[at] !== SETTLED) this.ack(at);
    }
    return before - this.count;
  }

  /** All outstanding deliveries up to the one at `index`, in order, which are no longer outstanding. */
  takeUpTo(index: number): Delivery[] {
    const taken: Delivery[] = [];
    for (let at = this.#head; at <= index && this.count > 0; at++) {
      if (this.#positions[at] !== SETTLED) taken.push(this.take(at));
    }
    return taken;
  }

  /** Where the last delivery is, outstanding or not: for all of them. */
  get last(): number {
    return this.#end - 1;
  }

  /** Looks at all outstanding deliveries, in order. */
  forEach(look: (queue: Queue, bits: number) => void): void {
    for (let at = this.#head; at < this.#end; at++) {
      const source = this.#sources[at];
      if (source !== undefined) look(source.queue, this.#bits[at]!);
    }
  }

  /** All outstanding deliveries, in order. */
  takeAll(): Delivery[] {
    return this.takeUpTo(this.#end - 1);
  }

  /** Puts deliveries back that were taken and have not been settled after all. */
  restore(deliveries: readonly Delivery[]): void {
    const all = [...this.takeAll(), ...deliveries].sort((a, b) => a.tag - b.tag);
    for (const { tag, source, position, sequence, bits, deliveredAtMs } of all) {
      this.add(tag, source, position, sequence, bits);
      this.#deliveredAtMs[this.#end - 1] = deliveredAtMs;
    }
  }

  #remove(index: number): void {
    this.#positions[index] = SETTLED;
    this.#sources[index] = undefined;
    this.count--;
    if (index === this.#head) {
      while (this.#head < this.#end && this.#positions[this.#head] === SETTLED) this.#head++;
    }
    if (this.count === 0) {
      this.#head = 0;
      this.#end = 0;
      if (this.#tags.length > KEPT_ENTRIES_MAX) this.#squeeze(FIRST_ENTRIES);
    }
  }

  /** Squeezes out what is settled, and grows when that does not make half of the room free. */
  #makeRoom(): void {
    const { length } = this.#tags;
    this.#squeeze(Math.max(FIRST_ENTRIES, this.count * 2 > length ? length * 2 : length));
  }

  /** Squeezes out what is settled, into room for so many entries. */
  #squeeze(room: number): void {
    const { length } = this.#tags;
    const isNew = room !== length;
    this.#memory.take(countedBytes(room) - countedBytes(length));
    const tags = isNew ? new Float64Array(room) : this.#tags;
    const positions = isNew ? new Float64Array(room) : this.#positions;
    const sequences = isNew ? new Float64Array(room) : this.#sequences;
    const bits = isNew ? new Uint32Array(room) : this.#bits;
    const deliveredAtMs = isNew ? new Float64Array(room) : this.#deliveredAtMs;
    let to = 0;
    for (let from = this.#head; from < this.#end; from++) {
      if (this.#positions[from] === SETTLED) continue;
      tags[to] = this.#tags[from]!;
      positions[to] = this.#positions[from]!;
      sequences[to] = this.#sequences[from]!;
      bits[to] = this.#bits[from]!;
      deliveredAtMs[to] = this.#deliveredAtMs[from]!;
      this.#sources[to] = this.#sources[from];
      to++;
    }
    this.#sources.length = to;
    this.#tags = tags;
    this.#positions = positions;
    this.#sequences = sequences;
    this.#bits = bits;
    this.#deliveredAtMs = deliveredAtMs;
    this.#head = 0;
    this.#end = to;
  }
}
