/**
 * How long the messages of a queue may wait, which a policy can change while they do: each keeps the time to live that
 * the queue gave when it came [RabbitMQ: ttl].
 */

interface Period {
  readonly sinceMs: number;
  /** Infinity: without end. */
  readonly ttlMs: number;
}

/** Changes that are remembered. Whoever changes more often lets older messages live as long as any of the oldest two. */
const PERIODS_MAX = 100;

export class TimesToLive {
  /** The newest last. */
  readonly #periods: Period[];

  constructor(ttlMs: number | undefined) {
    this.#periods = [{ sinceMs: 0, ttlMs: ttlMs ?? Number.POSITIVE_INFINITY }];
  }

  /** From `sinceMs` on, which is not before the last change, messages get `ttlMs`. */
  change(ttlMs: number | undefined, sinceMs: number): void {
    this.#periods.push({ sinceMs, ttlMs: ttlMs ?? Number.POSITIVE_INFINITY });
    if (this.#periods.length <= PERIODS_MAX) return;
    const [first, second] = this.#periods.splice(0, 2);
    const oldest = { sinceMs: 0, ttlMs: Math.max(first!.ttlMs, second!.ttlMs) };
    this.#periods.unshift(oldest);
  }

  /**
   * The time to live of a message that came at `arrivalMs`; Infinity when it has none. What came in the millisecond of a
   * change gets the lower of the two: only who was given one at all is asked about.
   */
  at(arrivalMs: number): number {
    const periods = this.#periods;
    let index = periods.length - 1;
    while (index > 0 && periods[index]!.sinceMs > arrivalMs) index--;
    let { ttlMs } = periods[index]!;
    while (index > 0 && periods[index]!.sinceMs === arrivalMs)
      ttlMs = Math.min(ttlMs, periods[--index]!.ttlMs);
    return ttlMs;
  }
}
