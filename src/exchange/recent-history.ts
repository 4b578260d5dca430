/**
 * Recent-history exchanges: every binding takes every message, and the last ones are kept for those who bind later.
 *
 * `x-recent-history-length` says how many; a message with the header `x-recent-history-no-store` that is true is not kept
 * [RabbitMQ: recent history].
 */

import { AmqpError } from "../amqp/errors.ts";
import { integerValue } from "../amqp/field-equality.ts";
import type { FieldTable } from "../amqp/field-table.ts";
import { erlangBinary, valueText } from "../amqp/type-names.ts";
import { DestinationCounts } from "./destination-counts.ts";
import type {
  Binding,
  Destination,
  ExchangeType,
  Matcher,
  MatcherContext,
  Routable,
  Shelf,
} from "./exchange.ts";

const LENGTH_ARGUMENT = "x-recent-history-length";
const LENGTH_DEFAULT = 20;
/** The types of integers that it may be. */
const LENGTH_TYPES = "bsIlL";

/** How many messages are kept. Throws PRECONDITION_FAILED when the argument is no positive integer. */
export function historyLength(args: FieldTable): number {
  const value = args.get(LENGTH_ARGUMENT);
  if (value === undefined) return LENGTH_DEFAULT;
  const length = LENGTH_TYPES.includes(value.type) ? integerValue(value)! : 0;
  if (length > 0) return length;
  const shown = value.type === "S" ? erlangBinary(value.value) : valueText(value);
  throw new AmqpError(
    "PRECONDITION_FAILED",
    `Invalid argument ${shown}, '${LENGTH_ARGUMENT}' must be a positive integer`,
  );
}

class RecentHistoryMatcher implements Matcher {
  /** Whether a message is kept is seen when it is routed: each one must be. */
  readonly usesHeaders = true;
  readonly #destinations = new DestinationCounts();
  readonly #shelf: Shelf;

  constructor({ shelf }: MatcherContext) {
    this.#shelf = shelf!;
  }

  add(binding: Binding): void {
    this.#destinations.add(binding.destination);
  }

  remove(binding: Binding): void {
    this.#destinations.remove(binding.destination);
  }

  match(_routingKey: string, message: Routable): readonly Destination[] {
    const noStore = message.decodeHeaders().get("x-recent-history-no-store");
    if (noStore?.type !== "t" || !noStore.value) message.remember(this.#shelf);
    return this.#destinations.all;
  }

  matchKeys(_routingKeys: readonly string[], message: Routable): readonly Destination[] {
    return this.match("", message);
  }
}

export const recentHistory: ExchangeType = {
  name: "x-recent-history",
  keeps: "recent",
  createMatcher: (_args, context) => new RecentHistoryMatcher(context),
  validate: (args) => void historyLength(args),
};
