/**
 * A queue: which messages wait, who gets the next one, and when one has waited too long or is one too many.
 *
 * It holds positions, never messages: their bytes are the store's. It does not know channels or sockets; whoever consumes
 * is a `Consumer`. Messages leave in order of priority and arrival; what comes back goes to its original place.
 */

import type { FieldTable } from "../amqp/field-table.ts";
import { StoredMessage } from "../amqp/stored-message.ts";
import type { Clock, Timer } from "../clock.ts";
import { isDiskError } from "../store/disk.ts";
import type { Holder, MessageStore } from "../store/message-store.ts";
import { type Consumer, Consumers } from "./consumers.ts";
import { QueueCounts } from "./counts.ts";
import { DelayedRetries } from "./delayed-retries.ts";
import { DeliveryCounts } from "./delivery-counts.ts";
import { QuorumReady } from "./quorum-ready.ts";
import { EXPIRES, PERSISTENT, REDELIVERED, Ready, type ReadyMessages } from "./ready.ts";
import type { QueueSettings } from "./settings.ts";
import { TimesToLive } from "./times-to-live.ts";
import { UniqueMessages } from "./unique-messages.ts";

/** Why a delivered message comes back: given back, refused with a second chance, or left behind by a client that is gone. */
export type Return = "returned" | "failed" | "lost";

export type DeadLetterReason = "rejected" | "expired" | "maxlen" | "delivery_limit";

/** Who has queues: declared here, implemented by the virtual host. */
export interface QueueOwner {
  /** Publishes a copy of the message to the queue's dead-letter exchange, and then releases the original for the queue. */
  deadLetter(queue: Queue, position: number, reason: DeadLetterReason): void;
  /** The queue has outlived its use: its last consumer has left, or nobody used it for `x-expires`. */
  queueUnused(queue: Queue): void;
  /** The first message cannot be read now: `dispatch` is to be called later. Throws an error that is not the disk's. */
  unreadable(queue: Queue, error: unknown): void;
}

export interface QueueSpec {
  readonly id: number;
  readonly name: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  /** The connection that declared it exclusive. */
  readonly exclusiveOwner: object | undefined;
  readonly arguments: FieldTable;
  readonly settings: QueueSettings;
}

export interface QueueContext {
  readonly store: MessageStore;
  readonly clock: Clock;
  readonly owner: QueueOwner;
}

/** One for all: whoever looks at a message is done with it before the next one is looked at. */
const message = new StoredMessage();

/** Expired messages dropped in one go; the rest follow in the next turn, so that nobody else waits long. */
const EXPIRED_AT_ONCE_MAX = 1000;

export class Queue implements Holder {
  readonly kind = "queue";
  readonly id: number;
  readonly name: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly exclusiveOwner: object | undefined;
  readonly arguments: FieldTable;
  readonly counts = new QueueCounts();
  /** What counts now: `apply` replaces them. */
  settings: QueueSettings;
  readonly #timesToLive: TimesToLive;
  readonly #store: MessageStore;
  readonly #clock: Clock;
  readonly #owner: QueueOwner;
  readonly #ready: ReadyMessages;
  /** Of a quorum queue. */
  readonly #deliveryCounts: DeliveryCounts | undefined;
  #delayedRetries: DelayedRetries | undefined;
  /** What a restart has found delivered more often than is allowed. */
  #spent: number[] = [];
  readonly #consumers: Consumers;
  /** Of a queue that lets no duplicates in. */
  readonly unique: UniqueMessages | undefined;

  /** Delivered and not settled. */
  unackedCount = 0;
  /** Dead letters that wait for a queue to take them: they count for what the queue may hold. */
  heldDeaths = 0;
  heldDeathBytes = 0;
  /** Messages that have come in, since the queue was declared. */
  enqueuedCount = 0;
  deleted = false;
  #dispatching = false;
  #expiryTimer: Timer | undefined;
  #expiryDueMs = Number.POSITIVE_INFINITY;
  #unusedTimer: Timer | undefined;
  #usedAtMs: number;

  constructor(spec: QueueSpec, context: QueueContext) {
    this.id = spec.id;
    this.name = spec.name;
    this.durable = spec.durable;
    this.autoDelete = spec.autoDelete;
    this.exclusiveOwner = spec.exclusiveOwner;
    this.arguments = spec.arguments;
    this.settings = spec.settings;
    this.#timesToLive = new TimesToLive(spec.settings.messageTtlMs);
    this.#store = context.store;
    this.#clock = context.clock;
    this.#owner = context.owner;
    const { memory } = context.store;
    this.#ready = this.isQuorum
      ? new QuorumReady(memory)
      : new Ready(spec.settings.priorityMax, memory);
    this.unique = spec.settings.deduplicates ? new UniqueMessages() : undefined;
    this.#deliveryCounts = this.isQuorum ? new DeliveryCounts(memory) : undefined;
    this.#consumers = new Consumers(spec.settings.singleActiveConsumer, this.isQuorum);
    this.#usedAtMs = context.clock.now();
    this.#watchUse();
  }

  get isQuorum(): boolean {
    return this.settings.type === "quorum";
  }

  /** An exclusive queue goes with its connection, durable or not. */
  get persists(): boolean {
    return this.durable && this.exclusiveOwner === undefined;
  }

  get queueType(): string {
    return this.settings.type;
  }

  /** Messages that wait for a consumer; what is delivered and not settled does not count. */
  get readyCount(): number {
    return this.#ready.length;
  }

  /** Bytes of the bodies of ready messages. */
  get readyBytes(): number {
    return this.#ready.bodyBytes;
  }

  /** Persistent ones among the ready messages, and the bytes of their bodies. */
  get readyPersistent(): { readonly count: number; readonly bodyBytes: number } {
    return { count: this.#ready.persistentCount, bodyBytes: this.#ready.persistentBytes };
  }

  get consumerCount(): number {
    return this.#consumers.count;
  }

  /** With a single active consumer all but one wait for their turn. */
  isActive(consumer: Consumer): boolean {
    return this.#consumers.isActive(consumer);
  }

  get exclusivelyConsumed(): boolean {
    return this.#consumers.exclusive;
  }

  /** Points `message` at a message of this queue: for the turn. */
  open(position: number, message: StoredMessage): void {
    const place = this.#store.locate(position);
    message.open(place, place.offset);
  }

  /** The size of the body of a message of this queue. */
  bodyBytesAt(position: number): number {
    this.open(position, message);
    return message.bodyBytes;
  }

  /** Whether one more message would be too many for a queue that refuses what is too many. */
  refuses(bodyBytes: number): boolean {
    const { overflow, lengthMax, bodyBytesMax } = this.settings;
    if (overflow === "drop-head") return false;
    const length = this.#ready.length + this.heldDeaths;
    const bytes = this.#ready.bodyBytes + this.heldDeathBytes;
    return length + 1 > lengthMax || bytes + bodyBytes > bodyBytesMax;
  }

  /**
   * From now on these settings count, of the same type, priorities and single active consumer: excess goes at once, and the
   * wait for `expires` begins anew. Messages keep the time to live that was theirs before `sinceMs`.
   */
  apply(settings: QueueSettings, sinceMs = this.#clock.now()): void {
    const before = this.settings;
    this.settings = settings;
    if (settings.messageTtlMs !== before.messageTtlMs)
      this.#timesToLive.change(settings.messageTtlMs, sinceMs);
    if (settings.expiresMs !== before.expiresMs) {
      this.#unusedTimer?.cancel();
      this.#usedAtMs = this.#clock.now();
      this.#watchUse();
    }
    this.#dropExcess();
  }

  /** Whether whoever takes the next message that comes settles it at once. */
  get passes(): boolean {
    return this.#ready.length === 0 && this.#consumers.noAck;
  }

  /** Hands a message that nobody holds (borrowed) to a consumer, if `passes`; false when none has credit. */
  pass(passing: StoredMessage): boolean {
    const consumer = this.#consumers.next();
    if (consumer === undefined) return false;
    this.enqueuedCount++;
    consumer.pass(passing);
    return true;
  }

  /** Takes a message of which the queue is a holder. `bits` are `entryBits`. */
  enqueue(position: number, bits: number, priority: number): void {
    this.enqueuedCount++;
    const entry = this.settings.messageTtlMs === undefined ? bits : bits | EXPIRES;
    if (this.#ready.length === 0) {
      const consumer = this.#consumers.next();
      if (consumer !== undefined) {
        // It does not wait, so it cannot expire, not even with a time to live of 0.
        try {
          this.#deliver(consumer, position, this.#ready.pass(priority), entry);
        } catch (error) {
          // A large message may have left the memory since it came: that is nothing to whoever publishes.
          this.#owner.unreadable(this, error);
        }
        return;
      }
    }
    const waits = this.#ready.length > 0 && this.#consumers.atRest;
    this.#ready.push(position, entry, priority);
    // Before it is looked who has expired: what is too much died of that [RabbitMQ].
    this.#dropExcess();
    // Behind those whom nobody takes there is nothing to do: for the first of them a timer is set.
    if (waits && this.#ready.first() && this.#ready.position !== position) return;
    this.dispatch();
  }

  /** Throws the disk's error when the message cannot be read now; then it is where it was. */
  #deliver(consumer: Consumer, position: number, sequence: number, bits: number): void {
    this.#noteDelivery(position, bits);
    try {
      consumer.deliver(position, sequence, bits);
    } catch (error) {
      if (isDiskError(error)) this.#notDelivered(position, sequence, bits);
      throw error;
    }
  }

  #notDelivered(position: number, sequence: number, bits: number): void {
    this.unackedCount--;
    this.#ready.restore(position, sequence, bits);
  }

  /** Gives ready messages to consumers with credit until either runs out. */
  dispatch(): void {
    // A dead letter on its way out can come back to this queue: the loop that is running will see it.
    if (this.#dispatching) return;
    this.#dispatching = true;
    try {
      while (this.#dropExpired() && this.#dispatchOne());
    } catch (error) {
      this.#owner.unreadable(this, error);
      return;
    } finally {
      this.#dispatching = false;
    }
    this.#watchExpiry();
  }

  #dispatchOne(): boolean {
    const consumer = this.#consumers.next();
    if (consumer === undefined) return false;
    if (this.#dropLost()) return true;
    const ready = this.#ready;
    const { position, sequence, bits } = ready;
    ready.shift();
    this.#deliver(consumer, position, sequence, bits);
    return true;
  }

  /**
   * Takes the first message for basic.get, and opens it as `open` does: undefined when there is none. Like a delivery it is
   * unacked until it is settled or requeued. Throws the system's error when it cannot be read now; then it has not been taken.
   */
  take(taken: StoredMessage): { position: number; sequence: number; bits: number } | undefined {
    this.use();
    while (!this.#dropExpired() || this.#dropLost()) if (this.#ready.length === 0) return undefined;
    const { position, sequence, bits } = this.#ready;
    this.#ready.shift();
    this.#noteDelivery(position, bits);
    try {
      // It is said how many are left: what has expired behind it is not among them [RabbitMQ].
      this.#dropExpired();
    } catch (error) {
      this.#owner.unreadable(this, error);
    }
    this.#watchExpiry();
    // Only now: for what has expired its bytes may have left the memory.
    try {
      this.open(position, taken);
    } catch (error) {
      if (isDiskError(error)) this.#notDelivered(position, sequence, bits);
      throw error;
    }
    return { position, sequence, bits };
  }

  #noteDelivery(position: number, bits: number): void {
    this.unackedCount++;
    if ((bits & PERSISTENT) !== 0 || this.isQuorum)
      this.#store.delivered(position, this, 1 + this.deliveryCount(position));
  }

  /**
   * Takes a message back after a restart that it has delivered so often, behind those that it took back before. `recovered`
   * follows when all are back.
   */
  recover(position: number, bits: number, priority: number, deliveries: number): void {
    const { messageTtlMs } = this.settings;
    const marks = (deliveries > 0 ? REDELIVERED : 0) | (messageTtlMs === undefined ? 0 : EXPIRES);
    const entry = (bits | marks) >>> 0;
    if (this.#deliveryCounts !== undefined && deliveries > 0) {
      this.#deliveryCounts.set(position, deliveries);
      // Once may be never: only a mark says so.
      if (deliveries > Math.max(1, this.settings.deliveryLimit)) this.#spent.push(position);
      else this.#ready.restore(position, 0, entry);
    } else {
      this.#ready.push(position, entry, priority);
    }
  }

  /** What has come back once too often with the end of the broker goes, and the rest to whom it may. */
  recovered(): void {
    for (const position of this.#spent) this.#discard(position, "delivery_limit");
    this.#spent = [];
    this.dispatch();
  }

  /** How often a message has come back to a quorum queue; 0 in any other. */
  deliveryCount(position: number): number {
    return this.#deliveryCounts?.of(position) ?? 0;
  }

  /** A delivered message is done with. */
  settle(position: number): void {
    this.unackedCount--;
    this.#release(position);
  }

  #release(position: number): void {
    this.#forget(position);
    this.#store.release(position, this);
  }

  #forget(position: number): void {
    this.#deliveryCounts?.forget(position);
    this.unique?.forget(position);
  }

  /** A delivered message is acknowledged. */
  acknowledge(position: number): void {
    this.counts.ack++;
    this.settle(position);
  }

  /** A delivered message is refused for good. */
  reject(position: number): void {
    this.unackedCount--;
    this.#discard(position, "rejected");
  }

  /** A delivered message comes back to its place. `dispatch` is for the caller to call when all have come back. */
  requeue(position: number, sequence: number, bits: number, why: Return = "returned"): void {
    if (this.deleted) {
      this.settle(position);
      return;
    }
    this.unackedCount--;
    const entry = (bits | REDELIVERED) >>> 0;
    if (this.#deliveryCounts === undefined) this.#ready.restore(position, sequence, entry);
    else this.#comeBack(position, entry, why, this.#deliveryCounts);
    this.#dropExcess();
  }

  /** However a message comes back to a quorum queue, it counts [RabbitMQ 4.2: delivery-limit]. */
  #comeBack(position: number, bits: number, why: Return, counts: DeliveryCounts): void {
    const { deliveryLimit } = this.settings;
    const count = counts.increase(position);
    const delayMs = this.#retryDelayMs(why, count);
    if (count > deliveryLimit) this.#discard(position, "delivery_limit");
    else if (delayMs > 0) this.#retryLater(position, bits, delayMs);
    // Without a limit what one consumer gives back again and again must not keep others from all the rest.
    else if (deliveryLimit === Number.POSITIVE_INFINITY && why !== "lost")
      this.#ready.push(position, bits, 0);
    else this.#ready.restore(position, 0, bits);
  }

  #retryDelayMs(why: Return, count: number): number {
    const { delayedRetry, retryDelayMinMs, retryDelayMaxMs } = this.settings;
    const kind = why === "returned" ? "returned" : "failed";
    if (delayedRetry !== "all" && delayedRetry !== kind) return 0;
    return Math.min(retryDelayMinMs * count, retryDelayMaxMs);
  }

  #retryLater(position: number, bits: number, delayMs: number): void {
    this.#delayedRetries ??= new DelayedRetries(this.#clock, this.#store.memory, () => {
      this.#delayedRetries!.take((due, entry) => this.#ready.restore(due, 0, entry));
      this.#dropExcess();
      this.dispatch();
    });
    this.#delayedRetries.add(position, bits, delayMs);
  }

  addConsumer(consumer: Consumer): void {
    this.#consumers.add(consumer);
    this.use();
  }

  /** The last consumer of an auto-delete queue takes the queue with it. */
  removeConsumer(consumer: Consumer): void {
    this.#consumers.remove(consumer);
    this.use();
    if (this.deleted || this.#consumers.count > 0) {
      this.dispatch();
      return;
    }
    if (this.autoDelete) this.#owner.queueUnused(this);
    else this.#watchUse();
  }

  /** A consumer has credit, or has it again. */
  consumerReady(consumer: Consumer): void {
    this.#consumers.activate(consumer);
    if (this.#ready.length > 0) this.dispatch();
  }

  /** Removes every ready message and returns how many there were. */
  purge(): number {
    const count = this.#ready.length;
    while (this.#ready.first()) this.#releaseFirst();
    return count;
  }

  #releaseFirst(): void {
    const { position } = this.#ready;
    this.#ready.shift();
    this.#release(position);
  }

  /** The broker stops: no timer rings any more. */
  stop(): void {
    this.#expiryTimer?.cancel();
    this.#unusedTimer?.cancel();
    this.#delayedRetries?.stop();
  }

  /** Lets go of everything and ends the consumers. What is unacked stays with its channels until it is settled. */
  delete(): void {
    this.deleted = true;
    this.stop();
    for (const consumer of [...this.#consumers.all]) consumer.queueDeleted();
    this.purge();
    this.#store.forget(this);
    this.#delayedRetries?.take((position) => this.#release(position), true);
    this.#delayedRetries?.stop();
  }

  /** Notes that somebody used the queue, which puts off its expiry. */
  use(): void {
    if (this.settings.expiresMs !== undefined) this.#usedAtMs = this.#clock.now();
  }

  /** Drops the first message when the disk has lost it, which has been reported; whether it did. */
  #dropLost(): boolean {
    if (this.#store.isWhole(this.#ready.position)) return false;
    this.#releaseFirst();
    return true;
  }

  /** A message leaves for good: as a dead letter if the queue has an exchange for them. */
  #discard(position: number, reason: DeadLetterReason): void {
    if (this.settings.deadLetterExchange === undefined || this.deleted) {
      this.counts.died(reason, "disabled");
      this.#release(position);
      return;
    }
    this.#forget(position);
    this.#owner.deadLetter(this, position, reason);
  }

  /** The first ready message leaves as a dead letter. */
  #dropFirst(reason: DeadLetterReason): void {
    const { position } = this.#ready;
    this.#ready.shift();
    this.#discard(position, reason);
  }

  #dropExcess(): void {
    const ready = this.#ready;
    const { lengthMax, bodyBytesMax, overflow } = this.settings;
    if (overflow !== "drop-head") return;
    if (ready.length <= lengthMax && ready.bodyBytes <= bodyBytesMax) return;
    while ((ready.length > lengthMax || ready.bodyBytes > bodyBytesMax) && ready.first()) {
      this.#dropFirst("maxlen");
    }
    this.#watchExpiry();
  }

  /** Drops what has expired at the head, and only there [RabbitMQ: ttl]. Whether a living one is there; `first` shows it. */
  #dropExpired(): boolean {
    const ready = this.#ready;
    for (let dropped = 0; dropped < EXPIRED_AT_ONCE_MAX && ready.first(); dropped++) {
      if ((ready.bits & EXPIRES) === 0 || this.#dueMs(ready.position) > this.#clock.now())
        return true;
      this.#dropFirst("expired");
    }
    return false;
  }

  #dueMs(position: number): number {
    // What is lost need not wait.
    if (!this.#store.isWhole(position)) return 0;
    this.open(position, message);
    const { arrivalMs, ttlMs } = message;
    const queueTtlMs = this.#timesToLive.at(arrivalMs);
    return arrivalMs + (ttlMs < 0 ? queueTtlMs : Math.min(ttlMs, queueTtlMs));
  }

  /** One timer a queue, for its head. It may ring early, when that head has left meanwhile; never late. */
  #watchExpiry(): void {
    if (!this.#ready.first() || (this.#ready.bits & EXPIRES) === 0) return;
    let dueMs: number;
    try {
      dueMs = this.#dueMs(this.#ready.position);
    } catch (error) {
      this.#owner.unreadable(this, error);
      return;
    }
    if (dueMs >= this.#expiryDueMs) return;
    this.#expiryTimer?.cancel();
    this.#expiryDueMs = dueMs;
    this.#expiryTimer = this.#clock.setTimer(dueMs - this.#clock.now(), () => {
      this.#expiryDueMs = Number.POSITIVE_INFINITY;
      this.#expiryTimer = undefined;
      this.dispatch();
    });
  }

  /** While there are no consumers a timer waits for `x-expires` to pass without use. */
  #watchUse(): void {
    const { expiresMs } = this.settings;
    if (expiresMs === undefined || this.#consumers.count > 0) return;
    this.#unusedTimer?.cancel();
    this.#unusedTimer = this.#clock.setTimer(this.#usedAtMs + expiresMs - this.#clock.now(), () => {
      this.#unusedTimer = undefined;
      if (this.#consumers.count > 0 || this.deleted) return;
      if (this.#clock.now() - this.#usedAtMs >= expiresMs) this.#owner.queueUnused(this);
      else this.#watchUse();
    });
  }
}
