/**
 * What queues have settled since the last flush, as runs of consecutive positions: queues are mostly worked off in order, so
 * that a thousand settled messages are one run of twenty bytes.
 */

const FIRST_RUNS = 16;

export class SettledRuns {
  #queues = new Uint32Array(FIRST_RUNS);
  #firsts = new Float64Array(FIRST_RUNS);
  #counts = new Uint32Array(FIRST_RUNS);
  length = 0;

  add(queueId: number, position: number): void {
    const last = this.length - 1;
    if (
      last >= 0 &&
      this.#queues[last] === queueId &&
      this.#firsts[last]! + this.#counts[last]! === position
    ) {
      this.#counts[last]!++;
      return;
    }
    if (this.length === this.#queues.length) this.#grow();
    this.#queues[this.length] = queueId;
    this.#firsts[this.length] = position;
    this.#counts[this.length] = 1;
    this.length++;
  }

  #grow(): void {
    const queues = new Uint32Array(this.length * 2);
    queues.set(this.#queues);
    this.#queues = queues;
    const firsts = new Float64Array(this.length * 2);
    firsts.set(this.#firsts);
    this.#firsts = firsts;
    const counts = new Uint32Array(this.length * 2);
    counts.set(this.#counts);
    this.#counts = counts;
  }

  queue(run: number): number {
    return this.#queues[run]!;
  }

  first(run: number): number {
    return this.#firsts[run]!;
  }

  count(run: number): number {
    return this.#counts[run]!;
  }

  clear(): void {
    this.length = 0;
  }
}
