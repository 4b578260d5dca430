/** Fanout exchanges: every binding takes every message, whatever its key. */

import { DestinationCounts } from "./destination-counts.ts";
import type { Binding, Destination, ExchangeType, Matcher } from "./exchange.ts";

class FanoutMatcher implements Matcher {
  readonly usesHeaders = false;
  readonly #destinations = new DestinationCounts();

  add(binding: Binding): void {
    this.#destinations.add(binding.destination);
  }

  remove(binding: Binding): void {
    this.#destinations.remove(binding.destination);
  }

  match(): readonly Destination[] {
    return this.#destinations.all;
  }
}

export const fanout: ExchangeType = { name: "fanout", createMatcher: () => new FanoutMatcher() };
