/**
 * How much of something there may be: limits of virtual hosts and users, which administrators set while the broker runs,
 * and of the broker as a whole, which are settings. The texts are RabbitMQ's.
 */

import { AmqpError } from "../amqp/errors.ts";
import type { Settings } from "../config.ts";
import { AdministrationError } from "./administration.ts";
import { exchangeIn } from "./names.ts";

/** Absent or negative: without limit [RabbitMQ: vhost limits]. */
export interface VirtualHostLimits {
  readonly maxConnections?: number;
  readonly maxQueues?: number;
}

/** Absent or negative: without limit [RabbitMQ: user limits]. */
export interface UserLimits {
  readonly maxConnections?: number;
  readonly maxChannels?: number;
}

/** The limits that limit something, checked; `known` are the names that there are. Throws `AdministrationError`. */
export function limitsFrom(given: object, known: readonly string[]): Record<string, number> {
  const limits: Record<string, number> = {};
  for (const [name, value] of Object.entries(given)) {
    if (!known.includes(name)) {
      throw new AdministrationError("INVALID", `${name}: the limits are ${known.join(", ")}`);
    }
    if (!Number.isSafeInteger(value)) {
      throw new AdministrationError("INVALID", `${name}: a limit is an integer, -1 for none`);
    }
    if (value >= 0) limits[name] = value;
  }
  return limits;
}

export function isReached(limit: number | undefined, count: number): boolean {
  return limit !== undefined && count >= limit;
}

/** A virtual host, as far as what it contains is limited. */
export interface Counted {
  readonly name: string;
  readonly limits: VirtualHostLimits;
  readonly queues: { readonly count: number };
  readonly exchanges: { readonly count: number };
}

/** Asked before a queue or an exchange comes into being; throws PRECONDITION_FAILED. */
export class ObjectLimits {
  readonly #settings: Pick<Settings, "clusterQueueLimit" | "clusterExchangeLimit">;
  readonly #vhosts: () => Iterable<Counted>;

  constructor(
    settings: Pick<Settings, "clusterQueueLimit" | "clusterExchangeLimit">,
    vhosts: () => Iterable<Counted>,
  ) {
    this.#settings = settings;
    this.#vhosts = vhosts;
  }

  checkNewQueue(vhost: Counted, name: string): void {
    const { clusterQueueLimit } = this.#settings;
    const { maxQueues } = vhost.limits;
    if (isReached(maxQueues, vhost.queues.count)) {
      throw new AmqpError(
        "PRECONDITION_FAILED",
        `cannot declare queue '${name}': queue limit in vhost '${vhost.name}' (${maxQueues}) is reached`,
      );
    }
    if (this.#total("queues", clusterQueueLimit)) {
      throw new AmqpError(
        "PRECONDITION_FAILED",
        `cannot declare queue '${name}': queue limit in cluster (${clusterQueueLimit}) is reached`,
      );
    }
  }

  checkNewExchange(vhost: Counted, name: string): void {
    const { clusterExchangeLimit } = this.#settings;
    if (this.#total("exchanges", clusterExchangeLimit)) {
      throw new AmqpError(
        "PRECONDITION_FAILED",
        `cannot declare ${exchangeIn(vhost.name, name)}: exchange limit of ${clusterExchangeLimit} is reached`,
      );
    }
  }

  /** Whether there are as many in all virtual hosts together. */
  #total(what: "queues" | "exchanges", limit: number): boolean {
    if (limit === Number.POSITIVE_INFINITY) return false;
    let count = 0;
    for (const vhost of this.#vhosts()) count += vhost[what].count;
    return count >= limit;
  }
}
