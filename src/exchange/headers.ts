/**
 * Headers exchanges: a binding's arguments are compared with the message's headers.
 *
 * `x-match` says whether all of them or any must fit; keys that begin with `x-` count only with `all-with-x` and
 * `any-with-x`. Values compare without their types, but a float is no integer; an argument without value asks only that the header is there. A binding
 * without arguments takes every message under `all` and none under `any` [RabbitMQ].
 */

import { AmqpError } from "../amqp/errors.ts";
import { sameValues } from "../amqp/field-equality.ts";
import type { FieldTable, FieldValue } from "../amqp/field-table.ts";
import { typeName, valueText } from "../amqp/type-names.ts";
import type { Binding, Destination, ExchangeType, Matcher, Routable } from "./exchange.ts";

const modes = ["all", "any", "all-with-x", "any-with-x"] as const;
type Mode = (typeof modes)[number];

function matchMode(args: FieldTable): Mode {
  const mode = args.get("x-match");
  if (mode === undefined) return "all";
  if (mode.type !== "S") {
    const shown = mode.type === "V" ? "" : ` (value ${valueText(mode)})`;
    throw new AmqpError(
      "PRECONDITION_FAILED",
      `Invalid x-match field type ${typeName(mode)}${shown}; expected longstr`,
    );
  }
  const text = mode.value.toString();
  const found = modes.find((known) => known === text);
  if (found === undefined) {
    throw new AmqpError(
      "PRECONDITION_FAILED",
      `Invalid x-match field value <<"${text}">>; expected all, any, all-with-x, or any-with-x`,
    );
  }
  return found;
}

class HeadersBinding {
  readonly destination: Destination;
  readonly #anySuffices: boolean;
  readonly #wanted: readonly [string, FieldValue][];

  constructor(binding: Binding) {
    this.destination = binding.destination;
    const mode = matchMode(binding.arguments);
    this.#anySuffices = mode.startsWith("any");
    const withX = mode.endsWith("-with-x");
    this.#wanted = [...binding.arguments].filter(
      ([key]) => key !== "x-match" && (withX || !key.startsWith("x-")),
    );
  }

  takes(headers: FieldTable): boolean {
    const fits = ([key, wanted]: [string, FieldValue]): boolean => {
      const header = headers.get(key);
      return header !== undefined && (wanted.type === "V" || sameValues(wanted, header));
    };
    return this.#anySuffices ? this.#wanted.some(fits) : this.#wanted.every(fits);
  }
}

class HeadersMatcher implements Matcher {
  readonly usesHeaders = true;
  readonly #bindings = new Map<Binding, HeadersBinding>();

  add(binding: Binding): void {
    this.#bindings.set(binding, new HeadersBinding(binding));
  }

  remove(binding: Binding): void {
    this.#bindings.delete(binding);
  }

  match(_routingKey: string, message: Routable): readonly Destination[] {
    const headers = message.decodeHeaders();
    const found = new Set<Destination>();
    for (const binding of this.#bindings.values()) {
      if (!found.has(binding.destination) && binding.takes(headers)) found.add(binding.destination);
    }
    return [...found];
  }
}

export const headers: ExchangeType = {
  name: "headers",
  createMatcher: () => new HeadersMatcher(),
  validateBinding: (_routingKey, args) => void matchMode(args),
};
