/** Direct exchanges: a binding takes the messages whose routing key is its own, exactly. */

import { DestinationCounts } from "./destination-counts.ts";
import type { Binding, Destination, ExchangeType, Matcher } from "./exchange.ts";

const NONE: readonly Destination[] = [];

class DirectMatcher implements Matcher {
  readonly usesHeaders = false;
  readonly #byKey = new Map<string, DestinationCounts>();

  add(binding: Binding): void {
    let destinations = this.#byKey.get(binding.routingKey);
    if (destinations === undefined) {
      destinations = new DestinationCounts();
      this.#byKey.set(binding.routingKey, destinations);
    }
    destinations.add(binding.destination);
  }

  remove(binding: Binding): void {
    const destinations = this.#byKey.get(binding.routingKey);
    destinations?.remove(binding.destination);
    if (destinations?.isEmpty) this.#byKey.delete(binding.routingKey);
  }

  match(routingKey: string): readonly Destination[] {
    return this.#byKey.get(routingKey)?.all ?? NONE;
  }
}

export const direct: ExchangeType = { name: "direct", createMatcher: () => new DirectMatcher() };
