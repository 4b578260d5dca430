/** A queue with everything below it real but for time and consumers, and a store that counts who holds what. */
import { type FieldTable, type FieldValue, longstr } from "../../src/amqp/field-table.ts";
import { messageBytes, StoredMessage, writeMessage } from "../../src/amqp/stored-message.ts";
import { VirtualClock } from "../../src/clock.ts";
import type { Consumer } from "../../src/queue/consumers.ts";
import { type DeadLetterReason, Queue, type QueueOwner } from "../../src/queue/queue.ts";
import { EXPIRES, entryBits, PERSISTENT, REDELIVERED } from "../../src/queue/ready.ts";
import { queueSettings } from "../../src/queue/settings.ts";
import { MemoryBudget } from "../../src/store/memory-budget.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import type { FlushListener, Holder, MessageStore, Place } from "../../src/store/message-store.ts";
import { Turn } from "../../src/turn.ts";
import { encodeModel, shortstr } from "../amqp/header-model.ts";
import { CountedMemory } from "../counted-memory.ts";

/** Counts holders itself, so that a message let go of twice, or never, is found out. */
class CountingStore implements MessageStore {
  readonly memory = new CountedMemory();
  readonly #store = new MemoryStore({
    turn: new Turn(() => undefined),
    budget: new MemoryBudget(Number.POSITIVE_INFINITY),
    disk: undefined,
    onWriteTrouble: () => undefined,
  });
  /** Messages that cannot be read any more. */
  readonly lost = new Set<number>();
  readonly #holders = new Map<number, number>();

  /** How many messages somebody holds. */
  get liveCount(): number {
    return this.#holders.size;
  }

  append(bytes: number, holders: readonly Holder[]): number {
    const position = this.#store.append(bytes, holders);
    if (this.#holders.has(position)) throw new Error(`position ${position} is still held`);
    this.#holders.set(position, holders.length);
    return position;
  }

  locate(position: number): Place {
    if (!this.#holders.has(position)) throw new Error(`position ${position} is held by nobody`);
    return this.#store.locate(position);
  }

  isWhole(position: number): boolean {
    return !this.lost.has(position);
  }

  release(position: number): void {
    const left = (this.#holders.get(position) ?? 0) - 1;
    if (left < 0) throw new Error(`position ${position} is released too often`);
    if (left === 0) this.#holders.delete(position);
    else this.#holders.set(position, left);
    this.#store.release(position);
  }

  delivered(): void {}

  forget(): void {}

  discard(): void {}

  close(): void {
    this.#store.close();
  }

  afterFlush(listener: FlushListener): void {
    this.#store.afterFlush(listener);
  }
}

export interface Delivery {
  body: string;
  redelivered: boolean;
  position: number;
  sequence: number;
  bits: number;
}

export interface Death {
  body: string;
  reason: DeadLetterReason;
  /** Since the bench was set up. */
  atMs: number;
}

export interface PublishOptions {
  priority?: number;
  ttlMs?: number;
}

export interface QueueOptions {
  autoDelete?: boolean;
  arguments?: Record<string, FieldValue | number | string | boolean>;
}

function fieldValue(value: FieldValue | number | string | boolean): FieldValue {
  if (typeof value === "number") return { type: "I", value };
  if (typeof value === "string") return longstr(value);
  return typeof value === "boolean" ? { type: "t", value } : value;
}

/** The owner of queues under test: notes what they ask of it. */
export class Bench implements QueueOwner {
  readonly clock = new VirtualClock();
  readonly store = new CountingStore();
  readonly deaths: Death[] = [];
  readonly unused: Queue[] = [];
  /** What becomes of a dead letter besides being noted. */
  onDeath: ((queue: Queue, body: string) => void) | undefined;
  readonly #startMs = this.clock.now();
  #nextId = 1;

  deadLetter(queue: Queue, position: number, reason: DeadLetterReason): void {
    const body = this.body(queue, position);
    this.deaths.push({ body, reason, atMs: this.nowMs });
    this.onDeath?.(queue, body);
    this.store.release(position);
  }

  queueUnused(queue: Queue): void {
    this.unused.push(queue);
  }

  /** What cannot be read is a mistake of the test's, unless it wants that. */
  onUnreadable = (error: unknown): void => {
    throw error;
  };

  unreadable(_queue: Queue, error: unknown): void {
    this.onUnreadable(error);
  }

  get nowMs(): number {
    return this.clock.now() - this.#startMs;
  }

  queue(options: QueueOptions = {}): Queue {
    const args: FieldTable = new Map(
      Object.entries(options.arguments ?? {}).map(([name, value]) => [name, fieldValue(value)]),
    );
    return new Queue(
      {
        ...{
          id: this.#nextId++,
          name: "q",
          durable: false,
          autoDelete: options.autoDelete ?? false,
        },
        ...{
          exclusiveOwner: undefined,
          arguments: args,
          settings: queueSettings(args, "queue 'q'"),
        },
      },
      { store: this.store, clock: this.clock, owner: this },
    );
  }

  /** As a virtual host does it; returns whether the queue took the message. */
  publish(queue: Queue, body: string, { priority = 0, ttlMs = -1 }: PublishOptions = {}): boolean {
    if (queue.refuses(body.length)) return false;
    const bodyBuffer = Buffer.from(body);
    const header = encodeModel({ bodyBytes: body.length, properties: new Map() });
    const routing = Buffer.concat([shortstr(""), shortstr(queue.name)]);
    const source = {
      ...{ routingBuffer: routing, routingStart: 0, routingEnd: routing.length },
      ...{ headerBuffer: header, headerStart: 0, headerEnd: header.length },
      ...{ bodyBuffer, bodyStart: 0, bodyEnd: bodyBuffer.length },
      contiguous: false,
    };
    const envelope = { ttlMs, hasDeaths: false, hiddenKeys: undefined };
    const position = this.store.append(messageBytes(source, envelope), [queue]);
    const segment = this.store.locate(position);
    writeMessage(segment, segment.offset, source, envelope, this.clock.now());
    const flags = PERSISTENT | (ttlMs < 0 ? 0 : EXPIRES);
    queue.enqueue(position, entryBits(bodyBuffer.length, flags), priority);
    return true;
  }

  body(queue: Queue, position: number): string {
    const message = new StoredMessage();
    queue.open(position, message);
    const { buffer, bodyStart, bodyBytes } = message;
    return buffer.toString("utf8", bodyStart, bodyStart + bodyBytes);
  }

  /** basic.get: what comes is unacked. */
  get(queue: Queue): Delivery | undefined {
    const taken = queue.take(new StoredMessage());
    return taken && this.delivery(queue, taken.position, taken.sequence, taken.bits);
  }

  delivery(queue: Queue, position: number, sequence: number, bits: number): Delivery {
    const redelivered = (bits & REDELIVERED) !== 0;
    return { body: this.body(queue, position), redelivered, position, sequence, bits };
  }

  /** Gets and settles all there is: the bodies in order. */
  drain(queue: Queue): string[] {
    const bodies: string[] = [];
    for (let next = this.get(queue); next !== undefined; next = this.get(queue)) {
      bodies.push(next.body);
      queue.settle(next.position);
    }
    return bodies;
  }

  consume(
    queue: Queue,
    options: { credit?: number; priority?: number; noAck?: boolean } = {},
  ): FakeConsumer {
    const consumer = new FakeConsumer(this, queue, options.credit, options.priority);
    consumer.noAck = options.noAck ?? false;
    queue.addConsumer(consumer);
    queue.consumerReady(consumer);
    return consumer;
  }
}

export class FakeConsumer implements Consumer {
  readonly priority: number;
  readonly exclusive = false;
  noAck = false;
  rotates = false;
  unackedCount = 0;
  credit: number;
  queueDeletions = 0;
  /** Messages that passed without being stored. */
  passed = 0;
  /** All that was ever delivered. */
  readonly deliveries: Delivery[] = [];
  readonly #bench: Bench;
  readonly #queue: Queue;

  constructor(bench: Bench, queue: Queue, credit = Number.POSITIVE_INFINITY, priority = 0) {
    this.#bench = bench;
    this.#queue = queue;
    this.credit = credit;
    this.priority = priority;
  }

  get bodies(): string[] {
    return this.deliveries.map(({ body }) => body);
  }

  hasCredit(): boolean {
    return this.credit > 0;
  }

  deliver(position: number, sequence: number, bits: number): void {
    this.credit--;
    this.deliveries.push(this.#bench.delivery(this.#queue, position, sequence, bits));
  }

  pass(): void {
    this.credit--;
    this.passed++;
  }

  queueDeleted(): void {
    this.queueDeletions++;
  }

  /** More credit, and the queue is told. */
  grant(credit: number): void {
    this.credit += credit;
    this.#queue.consumerReady(this);
  }
}
