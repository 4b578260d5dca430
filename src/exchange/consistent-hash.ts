/**
 * Consistent-hash exchanges: each message goes to one destination, chosen by a hash of its routing key, of a header or of a
 * property; a binding's key is its weight, a number of buckets.
 *
 * The buckets of a destination lie one after the other on a line, in order of the bindings, and `jumpHash` picks one of all
 * of them. So a new binding takes over keys from all others and moves none between these, and the same key goes to the same
 * destination as long as the bindings are the same. A destination counts once: further bindings to it wait until the first
 * is gone. What is kept is the end of each destination's buckets, whatever the weights are [RabbitMQ: consistent hash].
 */

import { AmqpError } from "../amqp/errors.ts";
import type { FieldTable, FieldValue } from "../amqp/field-table.ts";
import type { DecodableProperty } from "../amqp/properties.ts";
import { erlangBinary, typeName, valueText } from "../amqp/type-names.ts";
import { hashLongstr, hashText, UNDEFINED_HASH } from "./erlang-hash.ts";
import type { Binding, Destination, ExchangeType, Matcher, Routable } from "./exchange.ts";
import { jumpHash } from "./jump-hash.ts";

/** Weights up to here keep the sum of all exact; RabbitMQ itself would need memory for each bucket. */
const WEIGHT_MAX = 2 ** 31 - 1;

const properties: readonly string[] = ["correlation_id", "message_id", "timestamp"];

/** What is hashed: with neither it is the routing key. */
interface HashOn {
  readonly header: string | undefined;
  readonly property: DecodableProperty | undefined;
}

function textArgument(args: FieldTable, name: string): string | undefined {
  const value = args.get(name);
  if (value === undefined) return undefined;
  if (value.type === "S") return valueText(value);
  throw new AmqpError(
    "PRECONDITION_FAILED",
    `Invalid type '${typeName(value)}' for '${name}'; expected longstr`,
  );
}

/** Throws PRECONDITION_FAILED when the arguments say nothing that can be hashed. */
function hashOn(args: FieldTable): HashOn {
  const header = textArgument(args, "hash-header");
  const property = textArgument(args, "hash-property");
  if (header !== undefined && property !== undefined) {
    throw new AmqpError(
      "PRECONDITION_FAILED",
      "hash-header and hash-property are mutually exclusive",
    );
  }
  if (property !== undefined && !properties.includes(property))
    throw new AmqpError("PRECONDITION_FAILED", `Unsupported property: ${property}`);
  return { header, property: property as DecodableProperty | undefined };
}

/** As Erlang reads an integer: digits and perhaps a sign. */
const INTEGER = /^[+-]?\d+$/;

function checkWeight(routingKey: string): void {
  if (!INTEGER.test(routingKey)) {
    throw new AmqpError(
      "PRECONDITION_FAILED",
      `The binding key must be an integer: ${erlangBinary(Buffer.from(routingKey))}`,
    );
  }
  const weight = Number(routingKey);
  if (weight < 1)
    throw new AmqpError("PRECONDITION_FAILED", "The binding key must be greater than 0");
  if (weight > WEIGHT_MAX) {
    throw new AmqpError(
      "PRECONDITION_FAILED",
      `The binding key must not be greater than ${WEIGHT_MAX}`,
    );
  }
}

function hashHeader(value: FieldValue | undefined): number {
  if (value === undefined) return UNDEFINED_HASH;
  return value.type === "S"
    ? hashLongstr(value.value)
    : hashText(`${typeName(value)} ${valueText(value)}`);
}

/** The buckets of one destination. */
interface Share {
  /** As routing answers. */
  readonly destinations: readonly Destination[];
  /** The number of the first bucket behind its own. */
  readonly end: number;
}

const NONE: readonly Destination[] = [];

class ConsistentHashMatcher implements Matcher {
  readonly usesHeaders: boolean;
  readonly #on: HashOn;
  readonly #bindings = new Set<Binding>();
  /** In order of their buckets; undefined when bindings have changed. */
  #ring: readonly Share[] | undefined;

  constructor(args: FieldTable) {
    this.#on = hashOn(args);
    this.usesHeaders = this.#on.header !== undefined || this.#on.property !== undefined;
  }

  add(binding: Binding): void {
    this.#bindings.add(binding);
    this.#ring = undefined;
  }

  remove(binding: Binding): void {
    this.#bindings.delete(binding);
    this.#ring = undefined;
  }

  match(routingKey: string, message: Routable): readonly Destination[] {
    this.#ring ??= this.#layOut();
    const ring = this.#ring;
    const last = ring[ring.length - 1];
    if (last === undefined) return NONE;
    return find(ring, jumpHash(this.#hash(routingKey, message), last.end)).destinations;
  }

  /** Of several routing keys only the first counts [RabbitMQ]. */
  matchKeys(routingKeys: readonly string[], message: Routable): readonly Destination[] {
    return this.match(routingKeys[0]!, message);
  }

  #layOut(): readonly Share[] {
    const shares = new Map<Destination, Share>();
    let end = 0;
    for (const { destination, routingKey } of this.#bindings) {
      if (shares.has(destination)) continue;
      end += Number(routingKey);
      shares.set(destination, { destinations: [destination], end });
    }
    return [...shares.values()];
  }

  #hash(routingKey: string, message: Routable): number {
    const { header, property } = this.#on;
    if (header !== undefined) return hashHeader(message.decodeHeaders().get(header));
    if (property === undefined) return hashText(routingKey);
    const text = message.decodeProperty(property);
    return text === undefined ? UNDEFINED_HASH : hashText(text);
  }
}

/** Whose bucket it is. */
function find(ring: readonly Share[], bucket: number): Share {
  let low = 0;
  let high = ring.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ring[middle]!.end > bucket) high = middle;
    else low = middle + 1;
  }
  return ring[low]!;
}

export const consistentHash: ExchangeType = {
  name: "x-consistent-hash",
  createMatcher: (args) => new ConsistentHashMatcher(args),
  validate: (args) => void hashOn(args),
  validateBinding: checkWeight,
};
