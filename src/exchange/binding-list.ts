/**
 * The bindings of an exchange as a list of answers, for the types that pick one of them: a destination that is bound twice
 * is there twice.
 */

import type { Binding, Destination } from "./exchange.ts";

/** A destination alone, as routing answers. */
export type Answer = readonly Destination[];

export class BindingList {
  readonly #bindings = new Set<Binding>();
  readonly #order: ((a: Binding, b: Binding) => number) | undefined;
  /** Made when it is asked for, so that many changes in a row cost no more than themselves. */
  #answers: readonly Answer[] | undefined;

  /** In the order of their making, or in a given one. */
  constructor(order?: (a: Binding, b: Binding) => number) {
    this.#order = order;
  }

  get answers(): readonly Answer[] {
    if (this.#answers === undefined) {
      const bindings = [...this.#bindings];
      if (this.#order !== undefined) bindings.sort(this.#order);
      this.#answers = bindings.map(({ destination }) => [destination]);
    }
    return this.#answers;
  }

  add(binding: Binding): void {
    this.#bindings.add(binding);
    this.#answers = undefined;
  }

  remove(binding: Binding): void {
    this.#bindings.delete(binding);
    this.#answers = undefined;
  }
}
