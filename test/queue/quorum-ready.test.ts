/** The ready messages of a quorum queue, against a list that is looked through. */
import { expect, test } from "vitest";
import { QuorumReady } from "../../src/queue/quorum-ready.ts";
import { entryBits, entryBodyBytes, REDELIVERED } from "../../src/queue/ready.ts";
import { CountedMemory } from "../counted-memory.ts";
import { type Random, seeded } from "../seeded.ts";

interface Message {
  position: number;
  bits: number;
  high: boolean;
  arrival: number;
}

class Model {
  readonly ready = new QuorumReady(new CountedMemory());
  returned: Message[] = [];
  waiting: Message[] = [];
  readonly taken: Message[] = [];
  #arrivals = 0;
  #turn = 0;

  get #all(): Message[] {
    return [...this.returned, ...this.waiting];
  }

  #message(random: Random): { message: Message; priority: number } {
    const priority = random.pick([0, 4, 5, 9, 255]);
    const position = random.next() * 2 ** 20;
    const bits = entryBits(random.below(5000), random.below(8));
    return {
      message: { position, bits, high: priority >= 5, arrival: this.#arrivals++ },
      priority,
    };
  }

  push(random: Random): void {
    const { message, priority } = this.#message(random);
    this.ready.push(message.position, message.bits, priority);
    this.waiting.push(message);
  }

  pass(random: Random): void {
    const { message, priority } = this.#message(random);
    this.ready.pass(priority);
    this.#turn++;
    this.taken.push(message);
  }

  #first(): Message | undefined {
    if (this.returned.length > 0) return this.returned[0];
    const high = this.waiting.find((message) => message.high);
    const normal = this.waiting.find((message) => !message.high);
    if (high === undefined || normal === undefined) return high ?? normal;
    return this.#turn % 3 === 2 && normal.arrival < high.arrival ? normal : high;
  }

  take(): void {
    expect(this.ready.first()).toBe(true);
    const message = this.#first()!;
    this.ready.shift();
    if (!this.returned.includes(message)) this.#turn++;
    this.returned = this.returned.filter((one) => one !== message);
    this.waiting = this.waiting.filter((one) => one !== message);
    this.taken.push(message);
  }

  requeue(random: Random): void {
    const [message] = this.taken.splice(random.below(this.taken.length), 1);
    message!.bits = (message!.bits | REDELIVERED) >>> 0;
    this.ready.restore(message!.position, 0, message!.bits);
    this.returned.push(message!);
  }

  check(): void {
    const { ready } = this;
    const bodyBytes = this.#all.reduce((sum, { bits }) => sum + entryBodyBytes(bits), 0);
    expect([ready.length, ready.bodyBytes]).toEqual([this.#all.length, bodyBytes]);
    const first = this.#first();
    expect(ready.first()).toBe(first !== undefined);
    if (first !== undefined)
      expect([ready.position, ready.bits]).toEqual([first.position, first.bits]);
  }
}

seeded(
  "Q24 QQ6 what came back goes first, then two high ones for each normal one",
  40,
  (random) => {
    const model = new Model();
    for (let step = 0; step < 250; step++) {
      const action = random.below(9);
      if (action < 4) model.push(random);
      else if (action < 7 && model.ready.length > 0) model.take();
      else if (action === 7 && model.ready.length === 0) model.pass(random);
      else if (action === 8 && model.taken.length > 0) model.requeue(random);
      model.check();
    }
  },
);

test("Q24 what comes before or after others of its priority makes no difference to the two for one", () => {
  const ready = new QuorumReady(new CountedMemory());
  for (let position = 0; position < 4; position++) ready.push(position, 0, 0);
  for (let position = 10; position < 15; position++) ready.push(position, 0, 5);
  const order: number[] = [];
  while (ready.first()) {
    order.push(ready.position);
    ready.shift();
  }
  expect(order).toEqual([10, 11, 0, 12, 13, 1, 14, 2, 3]);
});
