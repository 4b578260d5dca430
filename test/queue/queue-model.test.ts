/**
 * A queue against a model of it: a sorted list that is looked through after every step. Priorities, time to live,
 * limits, consumers with credit, basic.get, settling, requeueing, purging and the passing of time, in random order.
 */
import { expect } from "vitest";
import type { Queue } from "../../src/queue/queue.ts";
import { type Random, seeded } from "../seeded.ts";
import { Bench, type Delivery, type FakeConsumer } from "./fixtures.ts";

interface Message {
  body: string;
  level: number;
  arrival: number;
  dueMs: number;
}

interface Limits {
  lengthMax: number;
  priorityMax: number;
  ttlMs: number;
}

type Death = [body: string, reason: string, atMs: number];

class Model {
  nowMs = 0;
  ready: Message[] = [];
  unacked = new Map<string, Message>();
  readonly deaths: Death[] = [];
  readonly delivered: string[] = [];
  credit = 0;
  readonly #limits: Limits;
  #arrivals = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  publish(body: string, ttlMs: number, priority: number): void {
    const { lengthMax, priorityMax, ttlMs: queueTtlMs } = this.#limits;
    const ttl = ttlMs < 0 ? queueTtlMs : Math.min(ttlMs, queueTtlMs);
    const level = Math.min(priority, priorityMax);
    const message = { body, level, arrival: this.#arrivals++, dueMs: this.nowMs + ttl };
    if (this.ready.length === 0 && this.credit > 0) {
      this.#deliver(message);
      return;
    }
    this.#add(message);
    this.settleDown();
    while (this.ready.length > lengthMax) this.#die(this.ready.shift()!, "maxlen");
    this.settleDown();
  }

  #add(message: Message): void {
    this.ready.push(message);
    this.ready.sort((a, b) => b.level - a.level || a.arrival - b.arrival);
  }

  #deliver(message: Message): void {
    this.credit--;
    this.delivered.push(message.body);
    this.unacked.set(message.body, message);
  }

  #die(message: Message, reason: string): void {
    this.deaths.push([message.body, reason, this.nowMs]);
  }

  #dropExpired(): void {
    while (this.ready.length > 0 && this.ready[0]!.dueMs <= this.nowMs)
      this.#die(this.ready.shift()!, "expired");
  }

  /** What happens by itself. */
  settleDown(): void {
    this.#dropExpired();
    while (this.ready.length > 0 && this.credit > 0) {
      this.#deliver(this.ready.shift()!);
      this.#dropExpired();
    }
  }

  get(): string | undefined {
    this.#dropExpired();
    const message = this.ready.shift();
    if (message !== undefined) this.unacked.set(message.body, message);
    this.#dropExpired();
    return message?.body;
  }

  requeue(bodies: readonly string[]): void {
    for (const body of bodies) {
      this.#add(this.unacked.get(body)!);
      this.unacked.delete(body);
      while (this.ready.length > this.#limits.lengthMax) this.#die(this.ready.shift()!, "maxlen");
    }
    this.settleDown();
  }

  reject(body: string): void {
    this.#die(this.unacked.get(body)!, "rejected");
    this.unacked.delete(body);
  }

  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.ready.length > 0 && this.ready[0]!.dueMs <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.ready[0]!.dueMs);
      this.settleDown();
    }
    this.nowMs = endMs;
  }
}

class Run {
  readonly #bench = new Bench();
  readonly #queue: Queue;
  readonly #model: Model;
  readonly #consumer: FakeConsumer;
  readonly #unacked = new Map<string, Delivery>();
  readonly #random: Random;
  #published = 0;
  #seen = 0;

  constructor(random: Random) {
    this.#random = random;
    const lengthMax = random.pick([Number.POSITIVE_INFINITY, 0, 1, 3, 8]);
    const ttlMs = random.pick([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0, 20, 60]);
    const priorityMax = random.pick([0, 0, 3]);
    this.#model = new Model({ lengthMax, ttlMs, priorityMax });
    this.#queue = this.#bench.queue({
      arguments: {
        "x-dead-letter-exchange": "dlx",
        "x-max-priority": priorityMax,
        ...(lengthMax === Number.POSITIVE_INFINITY ? {} : { "x-max-length": lengthMax }),
        ...(ttlMs === Number.POSITIVE_INFINITY ? {} : { "x-message-ttl": ttlMs }),
      },
    });
    this.#consumer = this.#bench.consume(this.#queue, { credit: 0 });
  }

  readonly #actions: (() => void)[] = [
    () => this.#publish(),
    () => this.#publish(),
    () => this.#publish(),
    () => this.#grant(),
    () => this.#get(),
    () => this.#settle(),
    () => this.#requeue(),
    () => this.#reject(),
    () => this.#advance(),
    () => this.#advance(),
    () => this.#purge(),
  ];

  step(): void {
    // Purging would leave little to see if it were as likely as the rest.
    const purges = this.#random.chance(10) ? 1 : 0;
    this.#actions[this.#random.below(this.#actions.length - 1 + purges)]!();
    // A head that was overdue when it became the head goes with the next timer.
    this.#bench.clock.advance(0);
    for (const delivery of this.#consumer.deliveries.slice(this.#seen))
      this.#unacked.set(delivery.body, delivery);
    this.#seen = this.#consumer.deliveries.length;
    this.#check();
  }

  #publish(): void {
    const random = this.#random;
    const body = `m${this.#published++}`;
    const ttlMs = random.chance(50) ? -1 : random.below(50);
    const priority = random.below(5);
    this.#bench.publish(this.#queue, body, { ttlMs, priority });
    this.#model.publish(body, ttlMs, priority);
  }

  #grant(): void {
    const credit = this.#random.below(4);
    this.#model.credit += credit;
    this.#model.settleDown();
    if (credit > 0) this.#consumer.grant(credit);
  }

  #get(): void {
    const got = this.#bench.get(this.#queue);
    expect(got?.body).toBe(this.#model.get());
    if (got !== undefined) this.#unacked.set(got.body, got);
  }

  #takeUnacked(): Delivery | undefined {
    if (this.#unacked.size === 0) return undefined;
    const delivery = this.#random.pick([...this.#unacked.values()]);
    this.#unacked.delete(delivery.body);
    return delivery;
  }

  #settle(): void {
    const delivery = this.#takeUnacked();
    if (delivery === undefined) return;
    this.#queue.settle(delivery.position);
    this.#model.unacked.delete(delivery.body);
  }

  #requeue(): void {
    const returning: Delivery[] = [];
    for (let count = this.#random.between(1, 4); count > 0; count--) {
      const delivery = this.#takeUnacked();
      if (delivery !== undefined) returning.push(delivery);
    }
    for (const { position, sequence, bits } of returning)
      this.#queue.requeue(position, sequence, bits);
    this.#queue.dispatch();
    this.#model.requeue(returning.map(({ body }) => body));
  }

  #reject(): void {
    const delivery = this.#takeUnacked();
    if (delivery === undefined) return;
    this.#queue.reject(delivery.position);
    this.#model.reject(delivery.body);
  }

  #advance(): void {
    const ms = this.#random.below(30);
    this.#bench.clock.advance(ms);
    this.#model.advance(ms);
  }

  #purge(): void {
    expect(this.#queue.purge()).toBe(this.#model.ready.length);
    this.#model.ready = [];
  }

  #check(): void {
    const [bench, queue, model] = [this.#bench, this.#queue, this.#model];
    expect({
      ready: queue.readyCount,
      readyBytes: queue.readyBytes,
      unacked: queue.unackedCount,
      live: bench.store.liveCount,
      delivered: this.#consumer.bodies.slice(-5),
      deaths: bench.deaths.slice(-5).map(({ body, reason, atMs }) => [body, reason, atMs]),
      deathCount: bench.deaths.length,
    }).toEqual({
      ready: model.ready.length,
      readyBytes: model.ready.reduce((sum, { body }) => sum + body.length, 0),
      unacked: model.unacked.size,
      live: model.ready.length + model.unacked.size,
      delivered: model.delivered.slice(-5),
      deaths: model.deaths.slice(-5),
      deathCount: model.deaths.length,
    });
  }
}

seeded("a queue does what the model of it does", 100, (random) => {
  const run = new Run(random);
  for (let step = 0; step < 150; step++) run.step();
});
