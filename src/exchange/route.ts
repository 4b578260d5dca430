/**
 * Which queues a message goes to: a pure function of exchanges, bindings and message.
 *
 * Exchanges bound to exchanges are followed, each visited once, so cycles end. An exchange that finds nothing hands the
 * message to its alternate exchange. A queue gets a message at most once, whatever leads there.
 */

import type { Destination, Exchange, Routable } from "./exchange.ts";

/** Finds an exchange by name, for alternate exchanges. */
export type FindExchange = (name: string) => Exchange | undefined;

/** The destinations found are all queues. The array may belong to a matcher: it is not to be changed. */
export function route(
  start: Exchange,
  message: Routable,
  findExchange: FindExchange,
): readonly Destination[] {
  const found = start.matcher.match(message.routingKey, message);
  const goesOn =
    start.leadsToExchanges || (found.length === 0 && start.alternateExchange !== undefined);
  return goesOn ? routeFrom([start], [message.routingKey], message, findExchange) : found;
}

/** As `route`, for a message with several routing keys [RabbitMQ: CC and BCC]. */
export function routeKeys(
  start: Exchange,
  routingKeys: readonly string[],
  message: Routable,
  findExchange: FindExchange,
): readonly Destination[] {
  return routeFrom([start], routingKeys, message, findExchange);
}

function routeFrom(
  work: Exchange[],
  routingKeys: readonly string[],
  message: Routable,
  findExchange: FindExchange,
): readonly Destination[] {
  const visited = new Set<Exchange>(work);
  const queues = new Set<Destination>();
  const visit = (exchange: Exchange): void => {
    if (visited.has(exchange)) return;
    visited.add(exchange);
    work.push(exchange);
  };
  for (let exchange = work.pop(); exchange !== undefined; exchange = work.pop()) {
    let found = false;
    const take = (destinations: readonly Destination[]): void => {
      for (const destination of destinations) {
        found = true;
        if (destination.kind === "exchange") visit(destination as Exchange);
        else queues.add(destination);
      }
    };
    const { matcher } = exchange;
    if (matcher.matchKeys !== undefined) take(matcher.matchKeys(routingKeys, message));
    else for (const routingKey of routingKeys) take(matcher.match(routingKey, message));
    if (!found && exchange.alternateExchange !== undefined) {
      const alternate = findExchange(exchange.alternateExchange);
      if (alternate !== undefined) visit(alternate);
    }
  }
  return [...queues];
}
