/**
 * Deduplicating exchanges: every binding takes every message, but for one whose `x-deduplication-header` has been seen.
 *
 * `x-cache-size` says how many values are remembered, `x-cache-ttl` for how many milliseconds; a header `x-cache-ttl` says
 * it for its message. All is forgotten at a restart, whatever `x-cache-persistence` says [RabbitMQ: message deduplication].
 */

import { AmqpError } from "../amqp/errors.ts";
import { integerValue } from "../amqp/field-equality.ts";
import type { FieldTable } from "../amqp/field-table.ts";
import { valueText } from "../amqp/type-names.ts";
import { deduplicationKey } from "./deduplication-key.ts";
import { DestinationCounts } from "./destination-counts.ts";
import type {
  Binding,
  Destination,
  ExchangeType,
  Matcher,
  MatcherContext,
  Routable,
} from "./exchange.ts";
import { SeenKeys } from "./seen-keys.ts";

/** About a gigabyte of keys. */
const CACHE_SIZE_MAX = 10_000_000;

const NONE: readonly Destination[] = [];

function refused(text: string): AmqpError {
  return new AmqpError("PRECONDITION_FAILED", text);
}

/** An integer above 0, perhaps as text; undefined when it is none. */
function positive(args: FieldTable, name: string): number | undefined {
  const value = args.get(name);
  if (value === undefined) return undefined;
  const number = value.type === "S" ? Number.parseInt(valueText(value), 10) : integerValue(value);
  return number !== undefined && number > 0 ? number : undefined;
}

function cacheSize(args: FieldTable): number {
  const size = positive(args, "x-cache-size");
  if (size === undefined) {
    throw refused("Missing or invalid argument, 'x-cache-size' must be an integer greater than 0");
  }
  if (size > CACHE_SIZE_MAX)
    throw refused(`Invalid argument, 'x-cache-size' must not be greater than ${CACHE_SIZE_MAX}`);
  return size;
}

/** Infinity where nothing is said. */
function cacheTtlMs(args: FieldTable): number {
  if (!args.has("x-cache-ttl")) return Number.POSITIVE_INFINITY;
  const ttlMs = positive(args, "x-cache-ttl");
  if (ttlMs === undefined)
    throw refused("Invalid argument, 'x-cache-ttl' must be an integer greater than 0");
  return ttlMs;
}

function checkPersistence(args: FieldTable): void {
  const value = args.get("x-cache-persistence");
  if (value === undefined) return;
  if (value.type !== "S" || !["disk", "memory"].includes(valueText(value)))
    throw refused("Invalid argument, 'x-cache-persistence' must be either 'disk' or 'memory'");
}

class DeduplicatingMatcher implements Matcher {
  readonly usesHeaders = true;
  readonly #destinations = new DestinationCounts();
  readonly #seen: SeenKeys;
  readonly #ttlMs: number;

  constructor(args: FieldTable, { clock }: MatcherContext) {
    this.#seen = new SeenKeys(cacheSize(args), clock);
    this.#ttlMs = cacheTtlMs(args);
  }

  add(binding: Binding): void {
    this.#destinations.add(binding.destination);
  }

  remove(binding: Binding): void {
    this.#destinations.remove(binding.destination);
  }

  match(_routingKey: string, message: Routable): readonly Destination[] {
    const headers = message.decodeHeaders();
    const key = deduplicationKey(headers);
    if (key !== undefined) {
      const own = headers.get("x-cache-ttl");
      const ttlMs = own === undefined ? undefined : integerValue(own);
      if (!this.#seen.claim(key, ttlMs ?? this.#ttlMs)) return NONE;
    }
    return this.#destinations.all;
  }

  /** Once for all of its keys: else a message would be its own duplicate. */
  matchKeys(_routingKeys: readonly string[], message: Routable): readonly Destination[] {
    return this.match("", message);
  }
}

export const messageDeduplication: ExchangeType = {
  name: "x-message-deduplication",
  createMatcher: (args, context) => new DeduplicatingMatcher(args, context),
  validate: (args) => {
    cacheSize(args);
    cacheTtlMs(args);
    checkPersistence(args);
  },
};
