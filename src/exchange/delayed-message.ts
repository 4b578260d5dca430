/**
 * Delayed-message exchanges: a message with a header `x-delay` waits for so many milliseconds, and is then routed as an
 * exchange of another type would, which the argument `x-delayed-type` names.
 *
 * A delay may be an integer of any width, a float, which is cut, or a text of digits. None, one that is not positive and
 * one of more than 32 bits let the message pass at once. Whoever publishes what has waited negates the header, so that it
 * passes from then on [RabbitMQ: delayed message exchange].
 */

import { AmqpError } from "../amqp/errors.ts";
import { integerValue } from "../amqp/field-equality.ts";
import type { FieldTable, FieldValue } from "../amqp/field-table.ts";
import { valueText } from "../amqp/type-names.ts";
import type {
  Binding,
  Destination,
  ExchangeType,
  Matcher,
  MatcherContext,
  Routable,
} from "./exchange.ts";

const NAME = "x-delayed-message";
const DELAY_HEADER = "x-delay";
const DELAY_MS_MAX = 2 ** 32 - 1;

function milliseconds(value: FieldValue): number | undefined {
  if (value.type === "f" || value.type === "d") return Math.trunc(value.value);
  if (value.type === "S") {
    const text = valueText(value);
    return /^[+-]?\d+$/.test(text) ? Number(text) : undefined;
  }
  return integerValue(value);
}

/** How long a message with these headers has to wait; 0 when it may pass. */
export function delayMs(headers: FieldTable): number {
  const value = headers.get(DELAY_HEADER);
  const delay = value === undefined ? undefined : milliseconds(value);
  return delay !== undefined && delay > 0 && delay <= DELAY_MS_MAX ? delay : 0;
}

/** Marks a message that has waited: the delay that it had stands there with a minus. */
export function negateDelay(headers: FieldTable): void {
  const delay = delayMs(headers);
  if (delay === 0) return;
  headers.set(
    DELAY_HEADER,
    delay <= 2 ** 31 ? { type: "I", value: -delay } : { type: "l", value: -BigInt(delay) },
  );
}

class DelayedMatcher implements Matcher {
  readonly usesHeaders = true;
  readonly #inner: Matcher;
  /** Where messages wait, as routing answers. */
  readonly #shelf: readonly Destination[];

  constructor(inner: Matcher, shelf: Destination) {
    this.#inner = inner;
    this.#shelf = [shelf];
  }

  add(binding: Binding): void {
    this.#inner.add(binding);
  }

  remove(binding: Binding): void {
    this.#inner.remove(binding);
  }

  match(routingKey: string, message: Routable): readonly Destination[] {
    if (delayMs(message.decodeHeaders()) > 0) return this.#shelf;
    return this.#inner.match(routingKey, message);
  }

  matchKeys(routingKeys: readonly string[], message: Routable): readonly Destination[] {
    if (delayMs(message.decodeHeaders()) > 0) return this.#shelf;
    const inner = this.#inner;
    if (inner.matchKeys !== undefined) return inner.matchKeys(routingKeys, message);
    return [...new Set(routingKeys.flatMap((key) => inner.match(key, message)))];
  }
}

/** The type, which can act as any of `others`. */
export function delayedMessageType(others: ReadonlyMap<string, ExchangeType>): ExchangeType {
  const wrapped = (args: FieldTable): ExchangeType => {
    const value = args.get("x-delayed-type");
    if (value?.type !== "S") {
      throw new AmqpError(
        "PRECONDITION_FAILED",
        "Invalid argument, 'x-delayed-type' must be an existing exchange type",
      );
    }
    const name = valueText(value);
    if (name === NAME) {
      throw new AmqpError(
        "PRECONDITION_FAILED",
        `Invalid argument, '${NAME}' can't be used for 'x-delayed-type'`,
      );
    }
    const type = others.get(name);
    if (type === undefined)
      throw new AmqpError("PRECONDITION_FAILED", `unknown exchange type '${name}'`);
    return type;
  };
  return {
    name: NAME,
    keeps: "delayed",
    createMatcher: (args: FieldTable, context: MatcherContext) =>
      new DelayedMatcher(wrapped(args).createMatcher(args, context), context.shelf!),
    validate: (args) => wrapped(args).validate?.(args),
    validateBinding: (routingKey, args, destination, exchangeArgs) =>
      wrapped(exchangeArgs).validateBinding?.(routingKey, args, destination, exchangeArgs),
  };
}
