/**
 * What waits for a disk that cannot be read now: queues whose first message it does not give, and dead letters that cannot be
 * copied. Nothing of it is lost: once a second all is tried again.
 */

import type { Clock, Timer } from "../clock.ts";
import type { Log } from "../log.ts";
import type { Queue } from "../queue/queue.ts";
import { isDiskError } from "../store/disk.ts";

const RETRY_MS = 1000;

export class ReadRetries {
  readonly #clock: Clock;
  readonly #log: Log;
  /** What is to be done besides dispatching. */
  readonly #waiting = new Map<Queue, (() => void)[]>();
  /** Queues of which the log says that they wait. */
  #reported = new Set<Queue>();
  #timer: Timer | undefined;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** The queue is dispatched later, and `act` is done before. Throws an error that is not the disk's. */
  later(queue: Queue, error: unknown, act?: () => void): void {
    if (!isDiskError(error)) throw error;
    let acts = this.#waiting.get(queue);
    if (acts === undefined) {
      acts = [];
      this.#waiting.set(queue, acts);
      this.#report(queue, error);
    }
    if (act !== undefined) acts.push(act);
    this.#timer ??= this.#clock.setTimer(RETRY_MS, () => this.#retry());
  }

  /** Once, until the queue has not had to wait. */
  #report(queue: Queue, error: Error): void {
    if (this.#reported.has(queue)) return;
    this.#reported.add(queue);
    this.#log.warn(
      { queue: queue.name, error: error.message },
      "messages of a queue cannot be read now: it is tried again every second",
    );
  }

  /** Whether something is to be done for the queue besides dispatching: what comes after it waits, too. */
  hasWork(queue: Queue): boolean {
    return (this.#waiting.get(queue)?.length ?? 0) > 0;
  }

  /** Something to be done after what waits already. */
  addWork(queue: Queue, act: () => void): void {
    this.#waiting.get(queue)!.push(act);
  }

  #retry(): void {
    this.#timer = undefined;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const [queue, acts] of waiting) {
      for (const act of acts) act();
      if (!queue.deleted) queue.dispatch();
    }
    this.#reported = new Set(this.#waiting.keys());
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
