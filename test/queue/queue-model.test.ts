/**
 * A queue against a model of it: a sorted list that is looked through after every step. Priorities, time to live,
 * limits, consumers with credit, basic.get, settling, requeueing, purging and the passing of time, in random order.
 */
import { expect } from "vitest";
import type { Queue, Return } from "../../src/queue/queue.ts";
import { type Random, seeded } from "../seeded.ts";
import { Bench, type Delivery, type FakeConsumer } from "./fixtures.ts";

interface Message {
  body: string;
  level: number;
  arrival: number;
  dueMs: number;
  /** How often it has come back, and its place among all that ever have: of a quorum queue. */
  count: number;
  returned: number;
}

interface Limits {
  quorum: boolean;
  lengthMax: number;
  priorityMax: number;
  ttlMs: number;
  deliveryLimit: number;
  /** What waits when it has come back: nothing, or what came back so. */
  retry: "disabled" | "all" | "failed" | "returned";
  retryMinMs: number;
  retryMaxMs: number;
}

type Death = [body: string, reason: string, atMs: number];

class Model {
  nowMs = 0;
  ready: Message[] = [];
  unacked = new Map<string, Message>();
  /** What has come back and waits, by when it is due. */
  delayed: { message: Message; dueMs: number; published: number }[] = [];
  readonly deaths: Death[] = [];
  readonly delivered: string[] = [];
  credit = 0;
  readonly #limits: Limits;
  #arrivals = 0;
  #returns = 1;
  /** How many have left that had not come back. */
  #turn = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  publish(body: string, ttlMs: number, priority: number): void {
    const { quorum, priorityMax, ttlMs: queueTtlMs } = this.#limits;
    const ttl = ttlMs < 0 ? queueTtlMs : Math.min(ttlMs, queueTtlMs);
    const level = Math.min(quorum ? Math.floor(priority / 5) : priority, priorityMax);
    const [arrival, dueMs] = [this.#arrivals++, this.nowMs + ttl];
    const message = { body, level, arrival, dueMs, count: 0, returned: 0 };
    if (this.ready.length === 0 && this.credit > 0) {
      this.#turn++;
      this.#deliver(message);
      return;
    }
    this.ready.push(message);
    this.#dropExcess();
    this.settleDown();
  }

  #dropExcess(): void {
    while (this.ready.length > this.#limits.lengthMax) this.#die(this.#shift()!, "maxlen");
  }

  first(): Message | undefined {
    const { ready } = this;
    if (!this.#limits.quorum)
      return ready.toSorted((a, b) => b.level - a.level || a.arrival - b.arrival)[0];
    const inOrder = ready.toSorted((a, b) => a.arrival - b.arrival);
    const returned = ready.filter((message) => message.returned > 0);
    if (returned.length > 0) return returned.toSorted((a, b) => a.returned - b.returned)[0];
    const high = inOrder.find(({ level }) => level === 1);
    // In every third turn the oldest goes, whatever its priority.
    return this.#turn % 3 === 2 ? inOrder[0] : (high ?? inOrder[0]);
  }

  #shift(): Message | undefined {
    const message = this.first();
    if (message === undefined) return undefined;
    this.ready.splice(this.ready.indexOf(message), 1);
    if (message.returned === 0) this.#turn++;
    return message;
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
    while (this.ready.length > 0 && this.first()!.dueMs <= this.nowMs)
      this.#die(this.#shift()!, "expired");
  }

  /** What happens by itself. */
  settleDown(): void {
    this.#dropExpired();
    while (this.ready.length > 0 && this.credit > 0) {
      this.#deliver(this.#shift()!);
      this.#dropExpired();
    }
  }

  get(): string | undefined {
    this.#dropExpired();
    const message = this.#shift();
    if (message !== undefined) this.unacked.set(message.body, message);
    this.#dropExpired();
    return message?.body;
  }

  requeue(bodies: readonly string[], why: Return): void {
    for (const body of bodies) {
      this.#comeBack(this.unacked.get(body)!, why);
      this.unacked.delete(body);
      this.#dropExcess();
    }
    this.settleDown();
  }

  #comeBack(message: Message, why: Return): void {
    const { quorum, deliveryLimit, retry, retryMinMs, retryMaxMs } = this.#limits;
    message.count++;
    message.returned = 0;
    if (quorum && message.count > deliveryLimit) {
      this.#die(message, "delivery_limit");
      return;
    }
    const waits = retry === "all" || retry === (why === "returned" ? "returned" : "failed");
    const delayMs = waits ? Math.min(retryMinMs * message.count, retryMaxMs) : 0;
    if (quorum && delayMs > 0) {
      const published = Number(message.body.slice(1));
      this.delayed.push({ message, dueMs: this.nowMs + delayMs, published });
      this.delayed.sort((a, b) => a.dueMs - b.dueMs || a.published - b.published);
      return;
    }
    this.ready.push(message);
    if (!quorum) return;
    if (deliveryLimit < Number.POSITIVE_INFINITY || why === "lost")
      message.returned = this.#returns++;
    else [message.arrival, message.level] = [this.#arrivals++, 0];
  }

  reject(body: string): void {
    this.#die(this.unacked.get(body)!, "rejected");
    this.unacked.delete(body);
  }

  purge(): number {
    const count = this.ready.length;
    while (this.#shift() !== undefined);
    return count;
  }

  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.delayed.length > 0 && this.delayed[0]!.dueMs <= endMs) {
      this.nowMs = this.delayed[0]!.dueMs;
      while (this.delayed[0]?.dueMs === this.nowMs) {
        const { message } = this.delayed.shift()!;
        message.returned = this.#returns++;
        this.ready.push(message);
      }
      this.#dropExcess();
      this.settleDown();
    }
    while (this.ready.length > 0 && this.first()!.dueMs <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.first()!.dueMs);
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
  readonly #expires: boolean;
  #published = 0;
  #seen = 0;

  constructor(random: Random, quorum: boolean) {
    this.#random = random;
    const lengthMax = random.pick([Number.POSITIVE_INFINITY, 0, 1, 3, 8]);
    // Whether what expires or what is due comes first in a millisecond is nobody's business.
    const retry = random.pick(["disabled", "all", "failed", "returned"] as const);
    this.#expires = !quorum || retry === "disabled";
    const ttlMs = this.#expires
      ? random.pick([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0, 20, 60])
      : Number.POSITIVE_INFINITY;
    const priorityMax = quorum ? 1 : random.pick([0, 0, 3]);
    const deliveryLimit = random.pick([Number.POSITIVE_INFINITY, 0, 1, 3]);
    const [retryMinMs, retryMaxMs] = [random.below(20), random.between(5, 40)];
    this.#model = new Model({
      ...{ quorum, lengthMax, ttlMs, priorityMax, deliveryLimit },
      ...{ retry, retryMinMs, retryMaxMs },
    });
    const typed: Record<string, string | number> = quorum
      ? {
          "x-queue-type": "quorum",
          "x-delivery-limit": Number.isFinite(deliveryLimit) ? deliveryLimit : -1,
          "x-delayed-retry-type": retry,
          "x-delayed-retry-min": retryMinMs,
          "x-delayed-retry-max": retryMaxMs,
        }
      : { "x-max-priority": priorityMax };
    this.#queue = this.#bench.queue({
      arguments: {
        "x-dead-letter-exchange": "dlx",
        ...typed,
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
    const ttlMs = !this.#expires || random.chance(50) ? -1 : random.below(50);
    const priority = random.below(8);
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
    const { count } = this.#model.unacked.get(delivery.body)!;
    expect(this.#queue.deliveryCount(delivery.position)).toBe(this.#queue.isQuorum ? count : 0);
    this.#queue.settle(delivery.position);
    this.#model.unacked.delete(delivery.body);
  }

  #requeue(): void {
    const returning: Delivery[] = [];
    for (let count = this.#random.between(1, 4); count > 0; count--) {
      const delivery = this.#takeUnacked();
      if (delivery !== undefined) returning.push(delivery);
    }
    const why = this.#random.pick(["returned", "failed", "lost"] as const);
    for (const { position, sequence, bits } of returning)
      this.#queue.requeue(position, sequence, bits, why);
    this.#queue.dispatch();
    this.#model.requeue(
      returning.map(({ body }) => body),
      why,
    );
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
    expect(this.#queue.purge()).toBe(this.#model.purge());
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
      live: model.ready.length + model.unacked.size + model.delayed.length,
      delivered: model.delivered.slice(-5),
      deaths: model.deaths.slice(-5),
      deathCount: model.deaths.length,
    });
  }
}

seeded("a classic queue does what the model of it does", 100, (random) => {
  const run = new Run(random, false);
  for (let step = 0; step < 150; step++) run.step();
});

seeded("QQ2 QQ6 QQ8 a quorum queue does what the model of it does", 100, (random) => {
  const run = new Run(random, true);
  for (let step = 0; step < 150; step++) run.step();
});
