/** A bounded collection of durations, and their percentiles. */

import type { AlsoFigure } from "./figures.ts";

const SAMPLES_MAX = 2 ** 22;

export class Latencies {
  #samples = new Float64Array(4096);
  #count = 0;

  /** Beyond four million samples, more are ignored: percentiles are settled long before. */
  record(milliseconds: number): void {
    if (this.#count === SAMPLES_MAX) return;
    if (this.#count === this.#samples.length) {
      const larger = new Float64Array(this.#samples.length * 2);
      larger.set(this.#samples);
      this.#samples = larger;
    }
    this.#samples[this.#count++] = milliseconds;
  }

  figures(): AlsoFigure[] {
    const sorted = this.#samples.subarray(0, this.#count).sort();
    const percentile = (p: number): number => sorted[Math.floor((sorted.length - 1) * p)] ?? NaN;
    return [
      { name: "p50", value: percentile(0.5), unit: "ms" },
      { name: "p99", value: percentile(0.99), unit: "ms" },
    ];
  }
}
