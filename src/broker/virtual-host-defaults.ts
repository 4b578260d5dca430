/**
 * What the settings give each new virtual host: limits, a queue type, operator policies, and users with their permissions.
 *
 * It counts when a virtual host is added and never again: what an administrator changes later stays changed [RabbitMQ:
 * default_limits, default_policies, default_users].
 */

import type { Settings } from "../config.ts";
import type { VirtualHostLimits } from "./limits.ts";
import { Pattern } from "./pattern.ts";
import type { Permissions } from "./permissions.ts";
import type { Policies } from "./policies.ts";
import type { PolicyDefinition } from "./policy-settings.ts";
import type { Users } from "./users.ts";
import type { VirtualHostSpec } from "./virtual-hosts.ts";

type DefaultSettings = Pick<
  Settings,
  "defaultLimits" | "defaultOperatorPolicies" | "defaultUsers" | "defaultQueueType"
>;

/** What there is to be added to. */
interface Registries {
  readonly users: Users;
  readonly permissions: Permissions;
  readonly operatorPolicies: Policies;
}

type Limits = DefaultSettings["defaultLimits"][number];
type OperatorPolicy = DefaultSettings["defaultOperatorPolicies"][number];
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
  readonly #operatorPolicies: readonly Rule<OperatorPolicy>[];
  readonly #users: readonly Rule<User>[];
  readonly #queueType: DefaultSettings["defaultQueueType"];

  /** Throws RangeError when a pattern is none. */
  constructor(settings: DefaultSettings) {
    const { defaultLimits, defaultOperatorPolicies, defaultUsers, defaultQueueType } = settings;
    this.#limits = defaultLimits.map((each) => rule("defaultLimits", each, each.pattern));
    this.#operatorPolicies = defaultOperatorPolicies.map((each) =>
      rule("defaultOperatorPolicies", each, each.vhostPattern),
    );
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

  /** Adds what belongs to a new virtual host. Users that there are already get their permissions there. */
  addTo(vhost: string, { users, permissions, operatorPolicies }: Registries): void {
    for (const { pattern, given } of this.#operatorPolicies) {
      if (!pattern.matches(vhost)) continue;
      const { name, vhostPattern: _, queuePattern = ".*", applyTo = "all", ...values } = given;
      const definition = definitionOf(values);
      operatorPolicies.set(vhost, name, { pattern: queuePattern, applyTo, definition });
    }
    for (const { pattern, given } of this.#users) {
      if (!pattern.matches(vhost)) continue;
      const { name, password = "", tags = [] } = given;
      const { configure = ".*", write = ".*", read = ".*" } = given;
      if (users.find(name) === undefined) users.add(name, { password, tags });
      permissions.set(name, vhost, { configure, write, read });
    }
  }
}

/** `maxLength` is `max-length` in a policy. */
function definitionOf(values: object): PolicyDefinition {
  const entries = Object.entries(values).map(([name, value]) => [
    name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
    value,
  ]);
  return Object.fromEntries(entries) as PolicyDefinition;
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
