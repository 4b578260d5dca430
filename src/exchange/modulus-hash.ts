/**
 * Modulus-hash exchanges: each message takes the binding whose number is the hash of its routing keys modulo the number of
 * bindings.
 *
 * Bindings are counted in the order of their keys and then of their destinations, so that it does not matter in which order
 * they were made. One more binding moves nearly every key: who minds takes `x-consistent-hash` [RabbitMQ: sharding].
 */

import { BindingList } from "./binding-list.ts";
import { hashTexts } from "./erlang-hash.ts";
import type { Binding, Destination, ExchangeType, Matcher } from "./exchange.ts";

const NONE: readonly Destination[] = [];

/** Exchanges stand before queues: the order of Erlang's terms. */
function compare(a: Binding, b: Binding): number {
  const byKey = compareText(a.routingKey, b.routingKey);
  if (byKey !== 0) return byKey;
  const byKind = compareText(a.destination.kind, b.destination.kind);
  return byKind !== 0 ? byKind : compareText(a.destination.name, b.destination.name);
}

function compareText(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

class ModulusHashMatcher implements Matcher {
  readonly usesHeaders = false;
  readonly #bindings = new BindingList(compare);
  readonly #keys = [""];

  add(binding: Binding): void {
    this.#bindings.add(binding);
  }

  remove(binding: Binding): void {
    this.#bindings.remove(binding);
  }

  match(routingKey: string): readonly Destination[] {
    this.#keys[0] = routingKey;
    return this.matchKeys(this.#keys);
  }

  /** Several routing keys make one hash [RabbitMQ]. */
  matchKeys(routingKeys: readonly string[]): readonly Destination[] {
    const { answers } = this.#bindings;
    return answers.length === 0 ? NONE : answers[hashTexts(routingKeys) % answers.length]!;
  }
}

export const modulusHash: ExchangeType = {
  name: "x-modulus-hash",
  createMatcher: () => new ModulusHashMatcher(),
};
