/**
 * A set of destinations that several bindings may each have put in: a destination stays until the last of them is gone.
 *
 * What routing needs is the plain array `all`, so that is what it keeps; bindings change rarely, messages are many.
 */

import type { Destination } from "./exchange.ts";

export class DestinationCounts {
  #all: readonly Destination[] = [];
  readonly #counts = new Map<Destination, number>();

  /** Each destination once, in the order of their first binding. Replaced, never changed, by `add` and `remove`. */
  get all(): readonly Destination[] {
    return this.#all;
  }

  add(destination: Destination): void {
    const count = this.#counts.get(destination) ?? 0;
    this.#counts.set(destination, count + 1);
    if (count === 0) this.#all = [...this.#counts.keys()];
  }

  remove(destination: Destination): void {
    const count = this.#counts.get(destination) ?? 0;
    if (count > 1) {
      this.#counts.set(destination, count - 1);
    } else if (this.#counts.delete(destination)) {
      this.#all = [...this.#counts.keys()];
    }
  }
}
