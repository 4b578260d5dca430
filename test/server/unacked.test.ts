/** The unacked deliveries of a channel against a map that is searched. */
import { describe, expect, test } from "vitest";
import { VirtualClock } from "../../src/clock.ts";
import type { Queue } from "../../src/queue/queue.ts";
import type { DeliverySource } from "../../src/server/delivery-sources.ts";
import { type Delivery, Unacked } from "../../src/server/unacked.ts";
import { CountedMemory } from "../counted-memory.ts";
import { type Random, seeded } from "../seeded.ts";

/** A queue and its consumer in one: notes what is settled. */
class Source implements DeliverySource {
  readonly settledPositions: number[] = [];
  settledCount = 0;
  wakeCount = 0;
  readonly queue = {
    acknowledge: (position: number) => void this.settledPositions.push(position),
  } as unknown as Queue;

  settled(): void {
    this.settledCount++;
  }

  wake(): void {
    this.wakeCount++;
  }
}

type Row = Omit<Delivery, "source" | "deliveredAtSeconds">;

function row({ tag, position, sequence, bits }: Delivery): Row {
  return { tag, position, sequence, bits };
}

class Run {
  readonly #clock = new VirtualClock();
  readonly #unacked = new Unacked(this.#clock, new CountedMemory());
  readonly #source = new Source();
  readonly #random: Random;
  /** By tag, in order of tags. */
  #model: Row[] = [];
  /** Taken, to be put back some day. */
  #taken: Delivery[] = [];
  #lastTag = 0;
  #settled = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  readonly #actions: (() => void)[] = [
    () => this.#add(),
    () => this.#takeOne(),
    () => this.#takeUpTo(),
    () => this.#ackUpTo(),
    () => this.#takeAll(),
    () => this.#restore(),
    () => this.#ackOne(),
  ];

  step(weights: readonly number[]): void {
    let choice = this.#random.below(weights.reduce((sum, weight) => sum + weight, 0));
    const index = weights.findIndex((weight) => {
      choice -= weight;
      return choice < 0;
    });
    this.#actions[index]!();
    this.#check();
  }

  #add(): void {
    const random = this.#random;
    // Deliveries without ack leave gaps.
    this.#lastTag += random.chance(80) ? 1 : random.between(2, 50);
    const added: Row = {
      tag: this.#lastTag,
      position: random.next() * 2 ** 20,
      sequence: random.next() * 2 ** 20,
      bits: random.next(),
    };
    this.#unacked.add(added.tag, this.#source, added.position, added.sequence, added.bits);
    this.#model.push(added);
  }

  #anyTag(): number {
    const random = this.#random;
    if (this.#model.length === 0 || random.chance(20)) return random.below(this.#lastTag + 3);
    return random.pick(this.#model).tag;
  }

  /** Where the tag is, if it is outstanding. */
  #find(tag: number): number {
    const index = this.#unacked.find(tag);
    expect([tag, index >= 0]).toEqual([tag, this.#model.some((known) => known.tag === tag)]);
    return index;
  }

  #takeOne(): void {
    const tag = this.#anyTag();
    const index = this.#find(tag);
    if (index < 0) return;
    const taken = this.#unacked.take(index);
    expect(row(taken)).toEqual(this.#model.find((known) => known.tag === tag));
    expect(taken.source).toBe(this.#source);
    this.#model = this.#model.filter((known) => known.tag !== tag);
    this.#taken.push(taken);
  }

  #modelUpTo(tag: number): Row[] {
    const rows = this.#model.filter((known) => known.tag <= tag);
    this.#model = this.#model.filter((known) => known.tag > tag);
    return rows;
  }

  #takeUpTo(): void {
    const tag = this.#anyTag();
    const index = this.#find(tag);
    if (index < 0) return;
    const taken = this.#unacked.takeUpTo(index);
    expect(taken.map(row)).toEqual(this.#modelUpTo(tag));
    this.#taken.push(...taken);
  }

  #ackUpTo(): void {
    const all = this.#random.chance(20);
    const tag = all ? this.#lastTag : this.#anyTag();
    const index = all ? this.#unacked.last : this.#find(tag);
    if (index < 0) return;
    const expected = this.#modelUpTo(tag).map(({ position }) => position);
    this.#unacked.ackUpTo(index);
    this.#settled += expected.length;
    expect(this.#source.settledPositions.splice(0)).toEqual(expected);
    expect([this.#source.settledCount, this.#source.wakeCount]).toEqual([this.#settled, 0]);
  }

  #ackOne(): void {
    const tag = this.#anyTag();
    const index = this.#find(tag);
    if (index < 0) return;
    const acked = this.#model.find((known) => known.tag === tag)!;
    expect(this.#unacked.ack(index)).toBe(this.#source);
    this.#settled++;
    expect(this.#source.settledPositions.splice(0)).toEqual([acked.position]);
    expect([this.#source.settledCount, this.#source.wakeCount]).toEqual([this.#settled, 0]);
    this.#model = this.#model.filter((known) => known.tag !== tag);
  }

  #takeAll(): void {
    const taken = [...this.#unacked.takeAll()];
    expect(taken.map(row)).toEqual(this.#model);
    this.#model = [];
    this.#taken.push(...taken);
  }

  #restore(): void {
    const percent = this.#random.pick([50, 100]);
    const back = this.#taken.filter(() => this.#random.chance(percent));
    this.#taken = [];
    this.#unacked.restore(back);
    this.#model.push(...back.map(row));
    this.#model.sort((a, b) => a.tag - b.tag);
  }

  #check(): void {
    expect(this.#unacked.count).toBe(this.#model.length);
    for (let look = 0; look < 3; look++) this.#find(this.#anyTag());
  }
}

describe("what is outstanding is found and taken by its tag,", () => {
  seeded("when it is settled one by one", 15, (random) => {
    const run = new Run(random);
    for (let step = 0; step < 400; step++) run.step([10, 4, 0, 0, 0, 0, 4]);
  });

  seeded("when it is settled many at a time", 15, (random) => {
    const run = new Run(random);
    for (let step = 0; step < 400; step++) run.step([20, 1, 1, 1, 0, 0, 0]);
  });

  seeded("when it comes back", 20, (random) => {
    const run = new Run(random);
    for (let step = 0; step < 300; step++) run.step([20, 5, 2, 1, 1, 4, 2]);
  });

  seeded("when hardly anything is settled", 4, (random) => {
    const run = new Run(random);
    for (let step = 0; step < 800; step++) run.step([50, 1, 0, 0, 0, 0, 1]);
  });
});

test("one delivery that nobody settles does not make the rest slower to find, or lost", () => {
  const unacked = new Unacked(new VirtualClock(), new CountedMemory());
  const source = new Source();
  unacked.add(1, source, 0, 0, 0);
  for (let tag = 2; tag <= 20_000; tag++) {
    unacked.add(tag, source, tag, tag, 0);
    if (tag % 3 !== 0) expect(unacked.take(unacked.find(tag)).position).toBe(tag);
  }
  expect(unacked.count).toBe(1 + Math.floor(20_000 / 3));
  for (let tag = 3; tag <= 20_000; tag += 3) unacked.take(unacked.find(tag));
  expect([unacked.count, unacked.find(1) >= 0, unacked.find(2)]).toEqual([1, true, -1]);
});

test("with nothing outstanding nothing is found, and taking all is taking nothing", () => {
  const unacked = new Unacked(new VirtualClock(), new CountedMemory());
  for (const tag of [0, 1, -1, Number.NaN, Number.MAX_SAFE_INTEGER])
    expect(unacked.find(tag)).toBe(-1);
  expect([...unacked.takeAll()]).toEqual([]);
  unacked.ackUpTo(unacked.last);
  expect(unacked.count).toBe(0);
});

seeded(
  "tens of thousands from several sources are told apart, and none is counted in the end",
  4,
  (random) => {
    const memory = new CountedMemory();
    const unacked = new Unacked(new VirtualClock(), memory);
    const sources = Array.from({ length: 5 }, () => new Source());
    /** Which source each outstanding tag came from, in order of tags. */
    const model = new Map<number, Source>();
    let last = 0;
    const takeOf = (tag: number): void => {
      const { source, position } = unacked.take(unacked.find(tag));
      if (source !== model.get(tag) || position !== tag * 3)
        throw new Error(`${tag} is not what was added`);
      model.delete(tag);
    };
    for (let round = 0; round < 8; round++) {
      const among = random.between(1, sources.length);
      for (let count = random.below(9000); count > 0; count--) {
        last += random.chance(99) ? 1 : random.between(1, 5000);
        const source = sources[random.below(among)]!;
        unacked.add(last, source, last * 3, last, 0);
        model.set(last, source);
      }
      const percent = random.pick([0, 10, 90, 99]);
      for (const tag of [...model.keys()]) if (random.chance(percent)) takeOf(tag);
      const upTo = random.pick([...model.keys(), last]);
      if (random.chance(50) && model.has(upTo)) {
        const acked = [...model.keys()].filter((tag) => tag <= upTo);
        expect(unacked.ackUpTo(unacked.find(upTo))).toBe(acked.length);
        for (const tag of acked) model.delete(tag);
      }
      expect(unacked.count).toBe(model.size);
    }
    const taken = [...unacked.takeAll()];
    expect(taken.map(({ tag }) => tag)).toEqual([...model.keys()]);
    expect(taken.every(({ tag, source }) => source === model.get(tag))).toBe(true);
    expect([unacked.count, memory.bytes]).toEqual([0, 0]);
  },
);

test("what is taken as a whole makes room at once for what is delivered while it is settled", () => {
  const memory = new CountedMemory();
  const unacked = new Unacked(new VirtualClock(), memory);
  const source = new Source();
  for (let tag = 1; tag <= 10_000; tag++) unacked.add(tag, source, tag, tag, 0);
  let next = 10_000;
  for (const { tag } of unacked.takeAll()) {
    expect(tag).toBe(next - 9_999);
    next++;
    unacked.add(next, source, next, next, 0);
  }
  expect([unacked.count, unacked.ackUpTo(unacked.last)]).toEqual([10_000, 10_000]);
  expect(memory.bytes).toBe(0);
});

describe("a backlog that is held unacked counts as memory", () => {
  const MESSAGES = 100_000;
  const settleAll: [string, (unacked: Unacked) => void][] = [
    [
      "one by one",
      (unacked) => {
        for (let tag = 1; tag <= MESSAGES; tag++) unacked.ack(unacked.find(tag));
      },
    ],
    [
      "the last ones first",
      (unacked) => {
        for (let tag = MESSAGES; tag >= 1; tag--) unacked.take(unacked.find(tag));
      },
    ],
    ["all at once", (unacked) => unacked.ackUpTo(unacked.last)],
    [
      "all at once, behind some that are settled",
      (unacked) => {
        for (let tag = MESSAGES - 9; tag <= MESSAGES; tag++) unacked.ack(unacked.find(tag));
        unacked.ackUpTo(unacked.last);
      },
    ],
    ["when it is given back", (unacked) => void Array.from(unacked.takeAll())],
  ];

  test.each(settleAll)("until it is settled %s", (_, settle) => {
    const memory = new CountedMemory();
    const source = new Source();
    const unacked = new Unacked(new VirtualClock(), memory);
    for (let tag = 1; tag <= MESSAGES; tag++) unacked.add(tag, source, tag, tag, 0);
    expect(memory.bytes).toBeGreaterThanOrEqual(MESSAGES * 36 * 0.95);
    expect(memory.bytes).toBeLessThanOrEqual(MESSAGES * 36 * 1.05);
    settle(unacked);
    expect([unacked.count, memory.bytes]).toEqual([0, 0]);
    unacked.add(MESSAGES + 1, source, 7, 7, 0);
    expect(unacked.take(unacked.find(MESSAGES + 1)).position).toBe(7);
  });
});
