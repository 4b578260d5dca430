/** Exchanges, destinations and messages, as little of them as routing needs. */
import type { FieldTable, FieldValue } from "../../src/amqp/field-table.ts";
import { VirtualClock } from "../../src/clock.ts";
import {
  type Destination,
  Exchange,
  type ExchangeType,
  type Routable,
} from "../../src/exchange/exchange.ts";
import { exchangeTypes } from "../../src/exchange/types.ts";

export const noArguments: FieldTable = new Map();

export function queue(name: string): Destination {
  return { kind: "queue", name, persists: false };
}

export function fields(entries: Record<string, FieldValue>): FieldTable {
  return new Map(Object.entries(entries));
}

export function typeNamed(name: string): ExchangeType {
  const type = exchangeTypes.get(name);
  if (type === undefined) throw new Error(`there is no exchange type ${name}`);
  return type;
}

export function exchange(type: string, name = "x", alternateExchange?: string): Exchange {
  return exchangeWith(type, noArguments, name, alternateExchange);
}

export function exchangeWith(
  type: string,
  args: FieldTable,
  name = "x",
  alternateExchange?: string,
): Exchange {
  return new Exchange({
    ...{ name, type: typeNamed(type), durable: false, autoDelete: false, internal: false },
    ...{ arguments: args, alternateExchange, shelf: undefined, clock: new VirtualClock() },
  });
}

export function message(routingKey: string, headers: FieldTable = noArguments): Routable {
  return {
    routingKey,
    decodeHeaders: () => headers,
    decodeProperty: () => undefined,
    remember: () => undefined,
  };
}

/** Names in order, to be compared. */
export function names(destinations: Iterable<Destination>): string[] {
  return [...destinations].map(({ name }) => name).sort();
}

/** The names of what the exchange's own bindings take. */
export function matched(of: Exchange, routingKey: string, headers?: FieldTable): string[] {
  return names(of.matcher.match(routingKey, message(routingKey, headers)));
}
