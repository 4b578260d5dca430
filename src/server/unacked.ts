/**
 * What a channel has delivered and its client has not settled yet, by delivery tag.
 *
 * Entries lie in order of tags. Tags are given out one by one, so an entry is where its tag says until settled entries
 * have been squeezed out; then it is found by halving. Adding and settling cost the same however many are outstanding.
 */

import type { Clock } from "../clock.ts";
import type { Queue } from "../queue/queue.ts";
import { type DeliverySource, DeliverySources } from "./delivery-sources.ts";
import { BLOCK_MASK, type Memory, SETTLED, UnackedBlocks } from "./unacked-blocks.ts";

/** What has been delivered under a tag, with what is needed to settle it or to give it back. */
export interface Delivery {
  readonly tag: number;
  readonly position: number;
  readonly sequence: number;
  readonly bits: number;
  readonly source: DeliverySource;
  /** In seconds since 1970, rounded up. */
  readonly deliveredAtSeconds: number;
}

export class Unacked {
  readonly #memory: Memory;
  readonly #clock: Clock;
  #blocks: UnackedBlocks;
  /** Many channels never have anything to settle. */
  #sources: DeliverySources | undefined;

  constructor(clock: Clock, memory: Memory) {
    this.#clock = clock;
    this.#memory = memory;
    this.#blocks = new UnackedBlocks(memory);
  }

  /** How many are outstanding. */
  get count(): number {
    return this.#blocks.count;
  }

  /** Adds a delivery; its tag is higher than all before. */
  add(tag: number, source: DeliverySource, position: number, sequence: number, bits: number): void {
    this.#sources ??= new DeliverySources();
    const block = this.#blocks.append();
    const at = (this.#blocks.end - 1) & BLOCK_MASK;
    block.tags[at] = tag;
    block.positions[at] = position;
    block.sequences[at] = sequence;
    block.bits[at] = bits;
    block.seconds[at] = Math.ceil(this.#clock.now() / 1000);
    block.sources[at] = this.#sources.add(source);
  }

  /** How long the oldest delivery may stay unsettled, if it has done so for longer; `timeoutMs` counts unless its queue says otherwise. */
  overdue(timeoutMs: number): number | undefined {
    const { count, head } = this.#blocks;
    if (count === 0) return undefined;
    const block = this.#blocks.blockOf(head);
    const at = head & BLOCK_MASK;
    const { consumerTimeoutMs } = this.#sources!.at(block.sources[at]!).queue.settings;
    const allowedMs = consumerTimeoutMs ?? timeoutMs;
    const waitedMs = this.#clock.now() - block.seconds[at]! * 1000;
    return waitedMs > allowedMs ? allowedMs : undefined;
  }

  /** Where the outstanding delivery with this tag is, or -1. */
  find(tag: number): number {
    const blocks = this.#blocks;
    const { head, end } = blocks;
    if (head === end) return -1;
    // Without gaps that is right.
    const guess = head + (tag - blocks.blockOf(head).tags[head & BLOCK_MASK]!);
    if (guess >= head && guess < end) {
      const block = blocks.blockOf(guess);
      const at = guess & BLOCK_MASK;
      if (block.tags[at] === tag) return block.positions[at] === SETTLED ? -1 : guess;
    }
    return this.#search(tag);
  }

  #search(tag: number): number {
    const blocks = this.#blocks;
    let low = blocks.head;
    let high = blocks.end - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = blocks.blockOf(middle).tags[middle & BLOCK_MASK]!;
      if (found === tag) return blocks.isOutstanding(middle) ? middle : -1;
      if (found < tag) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** The outstanding delivery at `index`, which is no longer outstanding. */
  take(index: number): Delivery {
    return this.#take(this.#blocks, index);
  }

  #take(blocks: UnackedBlocks, index: number): Delivery {
    const block = blocks.blockOf(index);
    const at = index & BLOCK_MASK;
    const sources = this.#sources!;
    const number = block.sources[at]!;
    const taken = {
      tag: block.tags[at]!,
      position: block.positions[at]!,
      sequence: block.sequences[at]!,
      bits: block.bits[at]!,
      source: sources.at(number),
      deliveredAtSeconds: block.seconds[at]!,
    };
    sources.remove(number);
    blocks.remove(block, index);
    return taken;
  }

  /** Acknowledges the outstanding delivery at `index`, and returns where it came from; nobody is woken. */
  ack(index: number): DeliverySource {
    const block = this.#blocks.blockOf(index);
    const at = index & BLOCK_MASK;
    const sources = this.#sources!;
    const number = block.sources[at]!;
    const source = sources.at(number);
    source.queue.acknowledge(block.positions[at]!);
    source.settled();
    sources.remove(number);
    this.#blocks.remove(block, index);
    return source;
  }

  /** Acknowledges all outstanding deliveries up to the one at `index`, and returns how many; nobody is woken. */
  ackUpTo(index: number): number {
    const blocks = this.#blocks;
    const before = blocks.count;
    while (blocks.count > 0 && blocks.head <= index) this.ack(blocks.head);
    return before - blocks.count;
  }

  /** All outstanding deliveries up to the one at `index`, in order, which are no longer outstanding. */
  takeUpTo(index: number): Delivery[] {
    const blocks = this.#blocks;
    const taken: Delivery[] = [];
    while (blocks.count > 0 && blocks.head <= index) taken.push(this.take(blocks.head));
    return taken;
  }

  /** Where the last delivery is, outstanding or not: for all of them. */
  get last(): number {
    return this.#blocks.end - 1;
  }

  /** Looks at all outstanding deliveries, in order. */
  forEach(look: (queue: Queue, bits: number) => void): void {
    const blocks = this.#blocks;
    for (let index = blocks.head; index < blocks.end; index++) {
      if (!blocks.isOutstanding(index)) continue;
      const block = blocks.blockOf(index);
      const at = index & BLOCK_MASK;
      look(this.#sources!.at(block.sources[at]!).queue, block.bits[at]!);
    }
  }

  /** All outstanding deliveries, in order, which are no longer outstanding: there may be a million, so each is made when it is asked for. */
  takeAll(): Iterable<Delivery> {
    const taken = this.#blocks;
    this.#blocks = new UnackedBlocks(this.#memory);
    return this.#each(taken);
  }

  *#each(taken: UnackedBlocks): Iterable<Delivery> {
    try {
      while (taken.count > 0) yield this.#take(taken, taken.head);
    } finally {
      taken.clear();
    }
  }

  /** Puts deliveries back that were taken and have not been settled after all. */
  restore(deliveries: readonly Delivery[]): void {
    const all = [...this.takeAll(), ...deliveries].sort((a, b) => a.tag - b.tag);
    for (const { tag, source, position, sequence, bits, deliveredAtSeconds } of all) {
      this.add(tag, source, position, sequence, bits);
      this.#blocks.blockOf(this.last).seconds[this.last & BLOCK_MASK] = deliveredAtSeconds;
    }
  }
}
