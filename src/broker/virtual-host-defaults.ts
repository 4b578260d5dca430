/**
 * What the settings give each new virtual host: limits, a queue type, and users with their permissions there.
 *
 * It counts when a virtual host is added and never again: what an administrator changes later stays changed [RabbitMQ:
 * default_limits, default_users].
 */

import type { Settings } from "../config.ts";
import type { VirtualHostLimits } from "./limits.ts";
import { Pattern } from "./pattern.ts";
import type { Permissions } from "./permissions.ts";
import type { Users } from "./users.ts";
import type { VirtualHostSpec } from "./virtual-hosts.ts";

type DefaultSettings = Pick<Settings, "defaultLimits" | "defaultUsers" | "defaultQueueType">;

type Limits = DefaultSettings["defaultLimits"][number];
type User = DefaultSettings["defaultUsers"][number];

interface Rule<Given> {
  /** May stand anywhere in the name. */
  readonly pattern: Pattern;
  readonly given: Given;
}

/** Without a pattern it is for all. */
function rule<Given extends { name: string }>(
  setting: string,
  given: Given,
  pattern: string | undefined,
): Rule<Given> {
  try {
    return { given, pattern: new Pattern(pattern ?? "") };
  } catch (error) {
    const { message } = error as Error;
    throw new RangeError(`${setting}, the pattern of ${given.name}: ${message}`);
  }
}

export class VirtualHostDefaults {
  readonly #limits: readonly Rule<Limits>[];
  readonly #users: readonly Rule<User>[];
  readonly #queueType: DefaultSettings["defaultQueueType"];

  /** Throws RangeError when a pattern is none. */
  constructor({ defaultLimits, defaultUsers, defaultQueueType }: DefaultSettings) {
    this.#limits = defaultLimits.map((each) => rule("defaultLimits", each, each.pattern));
    this.#users = defaultUsers.map((each) => rule("defaultUsers", each, each.vhostPattern));
    this.#queueType = defaultQueueType;
  }

  /** What a new virtual host of that name is, as far as nobody says otherwise. Of several limits the first that fit count. */
  specOf(vhost: string): VirtualHostSpec {
    const limits = this.#limits.find(({ pattern }) => pattern.matches(vhost));
    return {
      ...(limits !== undefined && { limits: limitsOf(limits.given) }),
      ...(this.#queueType !== undefined && { defaultQueueType: this.#queueType }),
    };
  }

  /** Gives users their permissions in a new virtual host, and makes those that there are not yet. */
  addUsers(vhost: string, users: Users, permissions: Permissions): void {
    for (const { pattern, given } of this.#users) {
      if (!pattern.matches(vhost)) continue;
      const { name, password = "", tags = [] } = given;
      const { configure = ".*", write = ".*", read = ".*" } = given;
      if (users.find(name) === undefined) users.add(name, { password, tags });
      permissions.set(name, vhost, { configure, write, read });
    }
  }
}

function limitsOf({ maxConnections, maxQueues }: Limits): VirtualHostLimits {
  return {
    ...(isLimit(maxConnections) && { maxConnections }),
    ...(isLimit(maxQueues) && { maxQueues }),
  };
}

function isLimit(limit: number | undefined): limit is number {
  return limit !== undefined && limit < Number.POSITIVE_INFINITY;
}
