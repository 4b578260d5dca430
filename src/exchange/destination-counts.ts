/**
 * A set of destinations that several bindings may each have put in: a destination stays until the last of them is gone.
 *
 * What routing needs is the plain array `all`, so that is what it keeps; bindings change rarely, messages are many.
 */

import type { Destination } from "./exchange.ts";

const NONE: readonly Destination[] = [];

export class DestinationCounts {
  /** Made when it is asked for, so that many changes in a row cost no more than themselves. */
  #all: readonly Destination[] | undefined = NONE;
  readonly #counts = new Map<Destination, number>();

  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }

  /** Each destination once, in the order of their first binding. Replaced, never changed, by `add` and `remove`. */
  get all(): readonly Destination[] {
    this.#all ??= [...this.#counts.keys()];
    return this.#all;
  }

  add(destination: Destination): void {
    const count = this.#counts.get(destination) ?? 0;
    this.#counts.set(destination, count + 1);
    if (count === 0) this.#all = undefined;
  }

  remove(destination: Destination): void {
    const count = this.#counts.get(destination) ?? 0;
    if (count > 1) this.#counts.set(destination, count - 1);
    else if (this.#counts.delete(destination)) this.#all = undefined;
  }
}
