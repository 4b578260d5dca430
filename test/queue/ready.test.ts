/** The ready messages of a queue against a list that is searched: priority, then arrival, wherever a message was meanwhile. */
import { describe, expect, test } from "vitest";
import {
  ENTRY_BODY_BYTES_MAX,
  EXPIRES,
  entryBits,
  entryBodyBytes,
  PERSISTENT,
  REDELIVERED,
  Ready,
} from "../../src/queue/ready.ts";
import { CountedMemory } from "../counted-memory.ts";
import { type Random, seeded } from "../seeded.ts";

interface Message {
  position: number;
  bits: number;
  level: number;
  /** Its place among all that ever came. */
  arrival: number;
  /** What `Ready` gave with it. */
  sequence: number;
}

/** In the order in which they leave. */
function before(a: Message, b: Message): number {
  return b.level - a.level || a.arrival - b.arrival;
}

class Model {
  readonly ready: Ready;
  readonly #levels: number;
  waiting: Message[] = [];
  readonly taken: Message[] = [];
  #arrivals = 0;

  constructor(priorityMax: number) {
    this.ready = new Ready(priorityMax, new CountedMemory());
    this.#levels = priorityMax;
  }

  #message(random: Random): { message: Message; priority: number } {
    const priority = random.below(this.#levels + 3);
    const message = {
      position: random.next() * 2 ** 20,
      bits: entryBits(random.below(5000), random.below(8)),
      level: Math.min(priority, this.#levels),
      arrival: this.#arrivals++,
      sequence: -1,
    };
    return { message, priority };
  }

  push(random: Random): void {
    const { message, priority } = this.#message(random);
    this.ready.push(message.position, message.bits, priority);
    this.waiting.push(message);
    this.waiting.sort(before);
  }

  /** A message that is delivered without waiting. */
  pass(random: Random): void {
    const { message, priority } = this.#message(random);
    message.sequence = this.ready.pass(priority);
    this.taken.push(message);
  }

  take(): void {
    expect(this.ready.first()).toBe(true);
    const message = this.waiting.shift()!;
    message.sequence = this.ready.sequence;
    this.ready.shift();
    this.taken.push(message);
  }

  requeue(random: Random): void {
    const [message] = this.taken.splice(random.below(this.taken.length), 1);
    const { position, sequence, bits } = message!;
    this.ready.restore(position, sequence, bits | REDELIVERED);
    message!.bits = (bits | REDELIVERED) >>> 0;
    this.waiting.push(message!);
    this.waiting.sort(before);
  }

  check(): void {
    const { ready, waiting } = this;
    const bodyBytes = waiting.reduce((sum, { bits }) => sum + entryBodyBytes(bits), 0);
    expect([ready.length, ready.bodyBytes]).toEqual([waiting.length, bodyBytes]);
    expect(ready.first()).toBe(waiting.length > 0);
    if (waiting.length === 0) return;
    const { position, bits } = waiting[0]!;
    expect([ready.position, ready.bits]).toEqual([position, bits]);
  }
}

function randomAction(model: Model, random: Random): void {
  const { waiting, taken } = model;
  const action = random.below(10);
  if (action < 4) model.push(random);
  else if (action < 7 && waiting.length > 0) model.take();
  else if (action < 8 && waiting.length === 0) model.pass(random);
  else if (taken.length > 0 && action < 9) model.requeue(random);
  // Most of what was taken is settled and never comes back.
  else if (taken.length > 0) taken.splice(random.below(taken.length), 1);
}

describe.each([0, 1, 10, 255])("with priorities up to %i", (priorityMax) => {
  seeded(
    "the highest and oldest message is first, and what is requeued stands where it stood",
    12,
    (random) => {
      const model = new Model(priorityMax);
      for (let step = 0; step < 200; step++) {
        randomAction(model, random);
        model.check();
      }
      while (model.taken.length > 0) model.requeue(random);
      while (model.waiting.length > 0) {
        model.check();
        model.take();
      }
      model.check();
    },
  );
});

test("a lost consumer's thousand messages stand before what never left, in their order", () => {
  const ready = new Ready(0, new CountedMemory());
  for (let message = 0; message < 1500; message++) ready.push(message, 0, 0);
  const taken: [number, number][] = [];
  for (let message = 0; message < 1000; message++) {
    ready.first();
    taken.push([ready.position, ready.sequence]);
    ready.shift();
  }
  for (const [position, sequence] of taken.reverse())
    ready.restore(position, sequence, REDELIVERED);
  for (let message = 0; message < 1500; message++) {
    ready.first();
    const redelivered = message < 1000 ? REDELIVERED : 0;
    expect([ready.position, ready.bits]).toEqual([message, redelivered]);
    ready.shift();
  }
});

test("no message passes others that wait", () => {
  const ready = new Ready(5, new CountedMemory());
  ready.push(1, 0, 0);
  expect(() => ready.pass(5)).toThrow("may not overtake");
});

test("an entry's bits hold the size of the body and the flags side by side", () => {
  for (const bodyBytes of [0, 1, 16_777_216, ENTRY_BODY_BYTES_MAX]) {
    for (let flags = 0; flags < 8; flags++) {
      const bits = entryBits(bodyBytes, flags);
      expect([bits >= 0, entryBodyBytes(bits), bits & 7]).toEqual([true, bodyBytes, flags]);
    }
  }
  expect(REDELIVERED | PERSISTENT | EXPIRES).toBe(7);
});
