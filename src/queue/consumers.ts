/**
 * The consumers of a queue: whose turn it is.
 *
 * Among consumers with credit the highest priority goes first, and within one priority they take turns. A consumer found
 * without credit leaves the rotation until it says that it has credit again, so that a hundred idle consumers cost a
 * message nothing. With a single active consumer all but one wait, in the order in which they came; of a quorum queue it is
 * one of the highest priority, and one that comes later takes over when the active one has settled what it has.
 */

import type { StoredMessage } from "../amqp/stored-message.ts";

/** Who takes messages from a queue: declared here, implemented by the server's side. */
export interface Consumer {
  readonly priority: number;
  readonly exclusive: boolean;
  /** Whether it settles what it takes at once. */
  readonly noAck: boolean;
  /** Kept by `Consumers`: whether it is in the rotation. False at first. */
  rotates: boolean;
  /** What it was delivered and has not settled. */
  readonly unackedCount: number;
  /** Whether it can take a message now. A consumer that said no calls `Queue.consumerReady` when that changes. */
  hasCredit(): boolean;
  /**
   * Takes the message and either settles it or keeps it unacked; `sequence` and `bits` are for settling or requeueing. Throws the
   * disk's error when it cannot be read; then it has not been taken.
   */
  deliver(position: number, sequence: number, bits: number): void;
  /** Takes a message that nobody holds: it is settled with that. Borrowed. */
  pass(message: StoredMessage): void;
  /** The queue is gone: the consumer ends, and its client is told. */
  queueDeleted(): void;
}

/** Consumers of one priority. */
interface Group {
  readonly priority: number;
  /** Those in the rotation. */
  active: Consumer[];
  /** Whose turn it is. */
  next: number;
}

export class Consumers {
  /** All of them, in the order in which they came. */
  readonly #all: Consumer[] = [];
  /** By priority, the highest first. */
  readonly #groups: Group[] = [];
  readonly #singleActive: boolean;
  readonly #byPriority: boolean;
  /** How many of them have to settle what they take. */
  #settling = 0;
  /** The single active consumer; if one waits to take over from it, it gets nothing more. */
  #active: Consumer | undefined;

  /** `byPriority`: whether the priority says which consumer is the single active one. */
  constructor(singleActive: boolean, byPriority: boolean) {
    this.#singleActive = singleActive;
    this.#byPriority = byPriority;
  }

  get count(): number {
    return this.#all.length;
  }

  /** Whether whoever takes a message settles it at once. */
  get noAck(): boolean {
    return this.#settling === 0;
  }

  /** Whether none has credit, as far as is known: `next` would find nobody. */
  get atRest(): boolean {
    for (const group of this.#groups) if (group.active.length > 0) return false;
    return true;
  }

  get all(): readonly Consumer[] {
    return this.#all;
  }

  /** Whether it is given messages: with a single active consumer the others are not. */
  isActive(consumer: Consumer): boolean {
    return !this.#singleActive || this.#active === consumer;
  }

  /** Whether a consumer has the queue for itself. */
  get exclusive(): boolean {
    return this.#all.some((consumer) => consumer.exclusive);
  }

  add(consumer: Consumer): void {
    this.#all.push(consumer);
    if (!consumer.noAck) this.#settling++;
    this.activate(consumer);
  }

  /** Puts a consumer into the rotation unless it is there; one that waits to become the active one stays out. */
  activate(consumer: Consumer): void {
    if (this.#singleActive) this.#chooseActive();
    else this.#rotate(consumer);
  }

  #rotate(consumer: Consumer): void {
    if (consumer.rotates) return;
    consumer.rotates = true;
    this.#group(consumer.priority).active.push(consumer);
  }

  #stopRotating(consumer: Consumer): void {
    const group = this.#group(consumer.priority);
    const turn = group.active.indexOf(consumer);
    if (turn >= 0) takeOut(group, turn);
  }

  #chooseActive(): void {
    const active = this.#active;
    const first = this.#byPriority || active === undefined ? this.#firstInLine() : active;
    if (active !== undefined && active !== first) {
      this.#stopRotating(active);
      if (active.unackedCount > 0) return;
    }
    this.#active = first;
    if (first !== undefined) this.#rotate(first);
  }

  #firstInLine(): Consumer | undefined {
    let first = this.#all[0];
    if (this.#byPriority && first !== undefined) {
      for (const consumer of this.#all) if (consumer.priority > first.priority) first = consumer;
    }
    // Of equals the active one goes on.
    return first?.priority === this.#active?.priority ? this.#active : first;
  }

  remove(consumer: Consumer): void {
    const index = this.#all.indexOf(consumer);
    if (index < 0) return;
    this.#all.splice(index, 1);
    if (!consumer.noAck) this.#settling--;
    this.#stopRotating(consumer);
    if (!this.#all.some(({ priority }) => priority === consumer.priority)) {
      this.#groups.splice(this.#groups.indexOf(this.#group(consumer.priority)), 1);
    }
    if (this.#active === consumer) this.#active = undefined;
    if (this.#singleActive) this.#chooseActive();
  }

  #group(priority: number): Group {
    let index = 0;
    while (index < this.#groups.length && this.#groups[index]!.priority > priority) index++;
    const found = this.#groups[index];
    if (found?.priority === priority) return found;
    const group: Group = { priority, active: [], next: 0 };
    this.#groups.splice(index, 0, group);
    return group;
  }

  /** The consumer that takes the next message, and the turn passes on; undefined when none has credit. */
  next(): Consumer | undefined {
    for (const group of this.#groups) {
      while (group.active.length > 0) {
        const consumer = group.active[group.next]!;
        if (consumer.hasCredit()) {
          group.next = group.next + 1 < group.active.length ? group.next + 1 : 0;
          return consumer;
        }
        takeOut(group, group.next);
      }
    }
    return undefined;
  }
}

function takeOut(group: Group, index: number): void {
  group.active[index]!.rotates = false;
  if (index === group.active.length - 1) group.active.pop();
  else group.active.splice(index, 1);
  if (index < group.next) group.next--;
  if (group.next >= group.active.length) group.next = 0;
}
