/** How things are named in RabbitMQ's texts, and the rules for names. */

import { randomBytes } from "node:crypto";
import { AmqpError } from "../amqp/errors.ts";

/** `queue 'q' in vhost '/'` */
export function queueIn(vhost: string, name: string): string {
  return `queue '${name}' in vhost '${vhost}'`;
}

/** `exchange 'x' in vhost '/'` */
export function exchangeIn(vhost: string, name: string): string {
  return `exchange '${name}' in vhost '${vhost}'`;
}

const RESERVED_PREFIX = "amq.";

/** Line ends are cut out of names that are declared; nothing else is forbidden [RabbitMQ]. */
export function stripLineEnds(name: string): string {
  return name.replace(/[\r\n]/g, "");
}

/** Throws ACCESS_REFUSED for a new name that begins with `amq.`. */
export function checkReservedPrefix(kind: "queue" | "exchange", name: string): void {
  if (name.startsWith(RESERVED_PREFIX)) {
    throw new AmqpError(
      "ACCESS_REFUSED",
      `${kind} name '${name}' contains reserved prefix 'amq.*'`,
    );
  }
}

/** A name that nobody else has: `amq.gen-` or `amq.ctag-` and 22 characters. */
export function generateName(prefix: string): string {
  return prefix + randomBytes(16).toString("base64url");
}
