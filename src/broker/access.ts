/**
 * What a user may do in a virtual host: rules, and the refusals in RabbitMQ's words.
 *
 * There is one for each user and virtual host, as long as both are there, and whoever asks keeps it: a change of the
 * permissions counts for everybody at once. Answers are remembered, so that a name costs its match once.
 */

import { AmqpError } from "../amqp/errors.ts";
import { AdministrationError } from "./administration.ts";
import { exchangeIn, queueIn } from "./names.ts";
import { Pattern } from "./pattern.ts";
import { PatternError } from "./pattern-syntax.ts";

/** Regular expressions for names; an empty one matches the empty name alone [RabbitMQ: access control]. */
export interface PermissionTriple {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

/** Regular expressions for routing keys; `{username}` and `{vhost}` in them stand for these [RabbitMQ: topic authorisation]. */
export interface TopicPermission {
  readonly write: string;
  readonly read: string;
}

export type Permission = keyof PermissionTriple;

/** Answers that a rule remembers; then it starts over. */
const ANSWERS_MAX = 1000;
/** What the default exchange is called here. */
const DEFAULT_EXCHANGE = "amq.default";

function nothing(): void {}

class Rule {
  readonly #pattern: Pattern;
  readonly #answers = new Map<string, boolean>();

  /** Throws INVALID for what is no regular expression. */
  constructor(source: string) {
    try {
      this.#pattern = new Pattern(source === "" ? "^$" : source);
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      throw new AdministrationError(
        "INVALID",
        `the regular expression '${source}' cannot be used: ${error.message}`,
      );
    }
  }

  allows(name: string): boolean {
    const known = this.#answers.get(name);
    if (known !== undefined) return known;
    const answer = this.#pattern.matches(name);
    if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear();
    this.#answers.set(name, answer);
    return answer;
  }
}

type Rules<Permissions> = Readonly<Record<keyof Permissions, Rule>>;

interface Granted<Permissions> {
  readonly given: Permissions;
  readonly rules: Rules<Permissions>;
}

export class Access {
  readonly user: string;
  readonly vhost: string;
  #granted: Granted<PermissionTriple> | undefined;
  readonly #topics = new Map<string, Granted<TopicPermission>>();

  constructor(user: string, vhost: string) {
    this.user = user;
    this.vhost = vhost;
  }

  /** The permissions; without any a user may not even come in. */
  get permissions(): PermissionTriple | undefined {
    return this.#granted?.given;
  }

  /** By exchange. */
  *topicPermissions(): Iterable<readonly [exchange: string, permission: TopicPermission]> {
    for (const [exchange, { given }] of this.#topics) yield [exchange, given];
  }

  /** Throws INVALID. `keep` is called before the change counts, and prevents it by throwing. */
  grant({ configure, write, read }: PermissionTriple, keep: () => void = nothing): void {
    const rules = {
      configure: new Rule(configure),
      write: new Rule(write),
      read: new Rule(read),
    };
    keep();
    this.#granted = { given: { configure, write, read }, rules };
  }

  /** Throws INVALID. `keep` as for `grant`. */
  grantTopic(exchange: string, { write, read }: TopicPermission, keep: () => void = nothing): void {
    const rules = { write: new Rule(this.#expand(write)), read: new Rule(this.#expand(read)) };
    keep();
    this.#topics.set(exchange, { given: { write, read }, rules });
  }

  revoke(): void {
    this.#granted = undefined;
  }

  revokeTopic(exchange: string): boolean {
    return this.#topics.delete(exchange);
  }

  revokeAll(): void {
    this.#granted = undefined;
    this.#topics.clear();
  }

  /** Names stand for themselves, whatever is in them. */
  #expand(source: string): string {
    return source
      .replaceAll("{username}", () => quote(this.user))
      .replaceAll("{vhost}", () => quote(this.vhost));
  }

  /** Throws ACCESS_REFUSED unless the permission covers that queue or exchange. */
  check(permission: Permission, kind: "queue" | "exchange", givenName: string): void {
    const name = kind === "exchange" && givenName === "" ? DEFAULT_EXCHANGE : givenName;
    if (this.#granted?.rules[permission].allows(name)) return;
    const shown = kind === "queue" ? queueIn(this.vhost, name) : exchangeIn(this.vhost, name);
    throw new AmqpError(
      "ACCESS_REFUSED",
      `${permission} access to ${shown} refused for user '${this.user}'`,
    );
  }

  /** Throws ACCESS_REFUSED for a routing key at a topic exchange that the user's rule for it, if there is one, excludes. */
  checkTopic(permission: keyof TopicPermission, exchange: string, routingKey: string): void {
    const topic = this.#topics.get(exchange);
    if (topic === undefined || topic.rules[permission].allows(routingKey)) return;
    throw new AmqpError(
      "ACCESS_REFUSED",
      `${permission} access to topic '${routingKey}' in ${exchangeIn(this.vhost, exchange)} refused for user '${this.user}'`,
    );
  }
}

function quote(name: string): string {
  return name.replace(/[^A-Za-z0-9\u{80}-\u{10ffff}]/gu, "\\$&");
}
