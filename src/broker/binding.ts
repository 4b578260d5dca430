/** What is checked before a binding is made or unmade, whatever its ends are. */

import { AmqpError } from "../amqp/errors.ts";
import type { Access } from "./access.ts";
import { stripLineEnds } from "./names.ts";
import type { VirtualHost } from "./vhost.ts";

/**
 * Whoever binds must be allowed to write to the destination and to read from the source, with that routing key if the source
 * is a topic exchange; and the default exchange takes part in no binding. Throws ACCESS_REFUSED [RabbitMQ: in this order].
 */
export function checkBinding(
  { access, vhost }: { readonly access: Access; readonly vhost: VirtualHost },
  kind: "queue" | "exchange",
  givenDestination: string,
  givenSource: string,
  routingKey: string,
): void {
  const destination = stripLineEnds(givenDestination);
  const source = stripLineEnds(givenSource);
  access.check("write", kind, destination);
  if (source === "" || (kind === "exchange" && destination === "")) {
    throw new AmqpError("ACCESS_REFUSED", "operation not permitted on the default exchange");
  }
  access.check("read", "exchange", source);
  if (vhost.exchanges.find(source)?.type.name === "topic")
    access.checkTopic("read", source, routingKey);
}
