/**
 * Publishes the dead letters of a virtual host's queues, and lets go of the originals.
 *
 * One dead letter may push the next one out of a full queue: they are published one after the other, each before its queue
 * lets go of it, and never one within another. A queue whose dead letters may not be lost holds those that no queue takes
 * until one does [RabbitMQ: at-least-once dead lettering].
 */

import { AssertionError } from "../assert.ts";
import type { Clock, Timer } from "../clock.ts";
import type { Exchange } from "../exchange/exchange.ts";
import { routeKeys } from "../exchange/route.ts";
import type { Log } from "../log.ts";
import type { DeadLetterReason, Queue } from "../queue/queue.ts";
import { losesNoDeadLetters } from "../queue/settings.ts";
import type { MessageStore } from "../store/message-store.ts";
import type { Turn, TurnTask } from "../turn.ts";
import { makeDeadLetter } from "./dead-letter.ts";
import { Publication } from "./publication.ts";
import type { ReadRetries } from "./read-retries.ts";
import type { Receiver } from "./shelves.ts";

/** What is around them in their virtual host. */
export interface DeadLetterContext {
  readonly vhost: string;
  readonly store: MessageStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly turn: Turn;
  readonly retries: ReadRetries;
  readonly findExchange: (name: string) => Exchange | undefined;
  /** Stores a message and hands it to those who take it; false when a queue refused it because it is full. */
  readonly enqueue: (publication: Publication, receivers: readonly Receiver[]) => boolean;
}

/** A message that a queue has dropped and that still has to be published elsewhere. */
interface Death {
  readonly queue: Queue;
  readonly position: number;
  readonly reason: DeadLetterReason;
}

interface HeldDeath extends Death {
  readonly bodyBytes: number;
}

/** Dead letters published in one turn: a million may be refused at once, and a circle of full queues goes on for ever. */
const DEATHS_AT_ONCE_MAX = 1000;
/** How often dead letters are tried again that may not be lost, and how many of each queue at once. */
const RETRY_MS = 1000;
const RETRIED_AT_ONCE_MAX = 32;

/** Whether somebody gets a message of that size, and nobody refuses it. */
function isTaken(bodyBytes: number, receivers: readonly Receiver[]): boolean {
  const refused = receivers.some((to) => to.kind === "queue" && to.refuses(bodyBytes));
  return receivers.length > 0 && !refused;
}

export class DeadLetters implements TurnTask {
  readonly #context: DeadLetterContext;
  readonly #publication = new Publication();
  readonly #pending: Death[] = [];
  /** Those that nobody took, of queues that may not lose them. */
  readonly #held = new Map<Queue, HeldDeath[]>();
  #publishing = false;
  #stopped = false;
  /** How many more may be published in this turn. */
  #leftInTurn = DEATHS_AT_ONCE_MAX;
  #retryTimer: Timer | undefined;
  readonly #reportedCycles = new WeakSet<Queue>();
  readonly #reportedHeld = new WeakSet<Queue>();

  constructor(context: DeadLetterContext) {
    this.#context = context;
  }

  /** Publishes a copy of the message of `queue`, which has dropped it, and releases the original for the queue. */
  publish(queue: Queue, position: number, reason: DeadLetterReason): void {
    const death = { queue, position, reason };
    if (!this.#publishing && this.#pending.length === 0 && this.#leftInTurn > 0) {
      this.#publishing = true;
      this.#tryPublish(death);
      this.#publishing = false;
      this.#publishPending();
      return;
    }
    this.#pending.push(death);
  }

  /** Dead letters wait until `resume`; false when they wait already. */
  pause(): boolean {
    if (this.#publishing) return false;
    this.#publishing = true;
    return true;
  }

  resume(): void {
    this.#publishing = false;
    this.#publishPending();
  }

  /** What is beyond the limit follows in the next turn. */
  #publishPending(): void {
    const pending = this.#pending;
    if (pending.length === 0 || this.#stopped) return;
    this.#publishing = true;
    let published = 0;
    // The list grows while it is worked through.
    while (published < pending.length && this.#leftInTurn > 0) {
      this.#tryPublish(pending[published++]!);
    }
    pending.splice(0, published);
    this.#publishing = false;
  }

  /** After the sockets' flush, so that others have been served before it goes on. */
  endTurn(): void {
    this.#leftInTurn = DEATHS_AT_ONCE_MAX;
    this.#publishPending();
  }

  /**
   * The copy and the end of the original go into one flush. A dead letter that cannot be made is lost, and said so:
   * nothing else may suffer from it.
   */
  #tryPublish(death: Death): void {
    if (this.#leftInTurn-- === DEATHS_AT_ONCE_MAX) this.#context.turn.flushSocket(this);
    if (!this.#isReadable(death)) return;
    const { queue, position } = death;
    const { turn, store, log, vhost } = this.#context;
    turn.undivided(() => {
      try {
        const isTaken = this.#publish(death);
        if (losesNoDeadLetters(queue.settings)) {
          if (isTaken) queue.counts.deathsConfirmed++;
          else if (!queue.deleted) {
            this.#hold(death);
            return;
          }
        }
      } catch (error) {
        if (error instanceof AssertionError) throw error;
        log.error({ vhost, queue: queue.name, error }, "a dead letter could not be published");
      }
      store.release(position, queue);
    });
  }

  /** What cannot be read now is published when it can be, and what its queue drops after it not before that. */
  #isReadable({ queue, position, reason }: Death): boolean {
    const { store, retries } = this.#context;
    if (retries.hasWork(queue)) {
      retries.addWork(queue, () => this.publish(queue, position, reason));
      return false;
    }
    try {
      store.isWhole(position);
      return true;
    } catch (error) {
      retries.later(queue, error, () => this.publish(queue, position, reason));
      return false;
    }
  }

  /** Whether every queue that it is for has taken it, and there is one. */
  #publish({ queue, position, reason }: Death): boolean {
    const { findExchange, clock, enqueue } = this.#context;
    const { deadLetterExchange } = queue.settings;
    // A policy may have taken it away since the message was dropped.
    if (deadLetterExchange === undefined) return false;
    const exchange = findExchange(deadLetterExchange);
    if (exchange === undefined) return false;
    const death = makeDeadLetter(queue, position, reason, clock.now());
    const publication = this.#publication;
    publication.load(death.source);
    publication.hasDeaths = true;
    publication.hiddenKeys = death.hiddenKeys;
    publication.exchange = exchange;
    publication.routingKey = death.routingKeys[0]!;
    const targets = routeKeys(
      exchange,
      death.routingKeys,
      publication,
      findExchange,
    ) as readonly Receiver[];
    const cycling = targets.filter(
      (target) => target.kind === "queue" && death.cycles(target.name),
    );
    if (cycling.length > 0) this.#reportCycle(queue, cycling);
    const open =
      cycling.length === 0 ? targets : targets.filter((target) => !cycling.includes(target));
    // All or none: who has it already is not to get it again.
    if (losesNoDeadLetters(queue.settings) && !isTaken(publication.bodyBytes, open)) return false;
    return enqueue(publication, open);
  }

  #hold(death: Death): void {
    const { queue } = death;
    const bodyBytes = queue.bodyBytesAt(death.position);
    const held = this.#held.get(queue);
    if (held === undefined) this.#held.set(queue, [{ ...death, bodyBytes }]);
    else held.push({ ...death, bodyBytes });
    queue.heldDeaths++;
    queue.heldDeathBytes += bodyBytes;
    this.#reportHeld(queue);
    this.#retryTimer ??= this.#context.clock.setTimer(RETRY_MS, () => this.#retry());
  }

  /** What is still not taken goes behind the others of its queue, so that all have their turn. */
  #retry(): void {
    this.#retryTimer = undefined;
    for (const [queue, held] of [...this.#held]) {
      const deaths = held.splice(0, RETRIED_AT_ONCE_MAX);
      if (held.length === 0) this.#held.delete(queue);
      this.#noLongerHeld(queue, deaths);
      this.#pending.push(...deaths);
    }
    if (!this.#publishing) this.#publishPending();
    if (this.#held.size > 0 && !this.#stopped)
      this.#retryTimer ??= this.#context.clock.setTimer(RETRY_MS, () => this.#retry());
  }

  #noLongerHeld(queue: Queue, deaths: readonly HeldDeath[]): void {
    queue.heldDeaths -= deaths.length;
    for (const { bodyBytes } of deaths) queue.heldDeathBytes -= bodyBytes;
  }

  /** The queue is gone, and what is held of it. */
  forget(queue: Queue): void {
    const held = this.#held.get(queue) ?? [];
    this.#held.delete(queue);
    this.#noLongerHeld(queue, held);
    for (const { position } of held) this.#context.store.release(position, queue);
  }

  /** Nothing happens here by itself any more. */
  stop(): void {
    this.#stopped = true;
    this.#retryTimer?.cancel();
  }

  /** Once for each queue: a cycle drops every message that it is fed. */
  #reportCycle(queue: Queue, cycling: readonly Receiver[]): void {
    if (this.#reportedCycles.has(queue)) return;
    this.#reportedCycles.add(queue);
    const { log, vhost } = this.#context;
    log.warn(
      { vhost, queue: queue.name, queues: cycling.map((target) => target.name) },
      "Message dropped: it would go round in a dead-letter cycle in which nobody rejected it. Said once for this queue",
    );
  }

  #reportHeld(queue: Queue): void {
    if (this.#reportedHeld.has(queue)) return;
    this.#reportedHeld.add(queue);
    const { log, vhost } = this.#context;
    log.warn(
      { vhost, queue: queue.name, exchange: queue.settings.deadLetterExchange },
      "a dead letter is taken by no queue, or by a full one: it is kept and tried again. Said once for this queue",
    );
  }
}
