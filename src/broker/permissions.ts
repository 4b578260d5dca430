/** The permissions of all users in all virtual hosts: granting, revoking and listing them. */

import { Access, type PermissionTriple, type TopicPermission } from "./access.ts";
import {
  type AdministrationEntry,
  AdministrationError,
  type RecordAdministration,
} from "./administration.ts";

/** Whose permission it is, and where. */
export interface Grant {
  readonly user: string;
  readonly vhost: string;
}

/** What the registry must know of the broker, which implements it. */
export interface PermissionsContext {
  readonly record: RecordAdministration;
  hasUser(name: string): boolean;
  hasVirtualHost(name: string): boolean;
  /** A permission in this virtual host is not what it was. */
  changed(vhost: string): void;
}

export class Permissions {
  readonly #context: PermissionsContext;
  /** By virtual host and user. */
  readonly #accesses = new Map<string, Map<string, Access>>();

  constructor(context: PermissionsContext) {
    this.#context = context;
  }

  /**
   * Gives a user these permissions in a virtual host, in place of those it had. Patterns are regular expressions for
   * names of queues and exchanges (`amq.default` is the default exchange), not anchored. Throws NOT_FOUND or INVALID.
   */
  set(user: string, vhost: string, permissions: PermissionTriple): void {
    this.#check(user, vhost);
    const { configure, write, read } = permissions;
    this.access(user, vhost).grant(permissions, () => {
      this.#context.record({ op: "permission", user, vhost, configure, write, read });
    });
    this.#context.changed(vhost);
  }

  /** Takes a user's permissions in a virtual host away. Throws NOT_FOUND when one of the two is not there. */
  clear(user: string, vhost: string): void {
    this.#check(user, vhost);
    this.#context.record({ op: "clear-permission", user, vhost });
    this.access(user, vhost).revoke();
    this.#context.changed(vhost);
  }

  /**
   * Limits the routing keys that a user may publish to (`write`) and bind with (`read`) at a topic exchange, which need not
   * exist. Throws NOT_FOUND or INVALID.
   */
  setTopic(user: string, vhost: string, exchange: string, permission: TopicPermission): void {
    this.#check(user, vhost);
    const { write, read } = permission;
    this.access(user, vhost).grantTopic(exchange, permission, () => {
      this.#context.record({ op: "topic-permission", user, vhost, exchange, write, read });
    });
    this.#context.changed(vhost);
  }

  /** Takes away the limits for an exchange, or for all. Throws NOT_FOUND when user or virtual host are not there. */
  clearTopic(user: string, vhost: string, exchange?: string): void {
    this.#check(user, vhost);
    const access = this.access(user, vhost);
    for (const [name] of [...access.topicPermissions()]) {
      if (exchange !== undefined && name !== exchange) continue;
      this.#context.record({ op: "clear-topic-permission", user, vhost, exchange: name });
      access.revokeTopic(name);
      this.#context.changed(vhost);
    }
  }

  /** The permissions of a user in a virtual host, or undefined. */
  get(user: string, vhost: string): PermissionTriple | undefined {
    return this.#accesses.get(vhost)?.get(user)?.permissions;
  }

  /** All there are; by a user or a virtual host the caller filters. */
  *all(): Iterable<Grant & PermissionTriple> {
    for (const access of this.#all()) {
      const { user, vhost, permissions } = access;
      if (permissions !== undefined) yield { user, vhost, ...permissions };
    }
  }

  *allTopics(): Iterable<Grant & { exchange: string } & TopicPermission> {
    for (const access of this.#all()) {
      for (const [exchange, permission] of access.topicPermissions())
        yield { user: access.user, vhost: access.vhost, exchange, ...permission };
    }
  }

  *#all(): Iterable<Access> {
    for (const ofVhost of this.#accesses.values()) yield* ofVhost.values();
  }

  /** What a user may do in a virtual host, from now on: to be kept by its connections. */
  access(user: string, vhost: string): Access {
    let ofVhost = this.#accesses.get(vhost);
    if (ofVhost === undefined) {
      ofVhost = new Map();
      this.#accesses.set(vhost, ofVhost);
    }
    let access = ofVhost.get(user);
    if (access === undefined) {
      access = new Access(user, vhost);
      ofVhost.set(user, access);
    }
    return access;
  }

  /** A user is gone, and what it was permitted with it. */
  forgetUser(user: string): void {
    for (const [vhost, ofVhost] of this.#accesses) {
      const access = ofVhost.get(user);
      if (access === undefined) continue;
      access.revokeAll();
      ofVhost.delete(user);
      this.#context.changed(vhost);
    }
  }

  forgetVirtualHost(vhost: string): void {
    for (const access of this.#accesses.get(vhost)?.values() ?? []) access.revokeAll();
    this.#accesses.delete(vhost);
  }

  #check(user: string, vhost: string): void {
    if (!this.#context.hasUser(user)) throw notFound(`no user '${user}'`);
    if (!this.#context.hasVirtualHost(vhost)) throw notFound(`no vhost '${vhost}'`);
  }

  /** Makes what an entry of the log says. */
  restore(entry: PermissionEntry): void {
    const access = this.access(entry.user, entry.vhost);
    if (entry.op === "permission") access.grant(entry);
    else if (entry.op === "clear-permission") access.revoke();
    else if (entry.op === "topic-permission") access.grantTopic(entry.exchange, entry);
    else access.revokeTopic(entry.exchange);
  }

  *entries(): Iterable<AdministrationEntry> {
    for (const permission of this.all()) yield { op: "permission", ...permission };
    for (const permission of this.allTopics()) yield { op: "topic-permission", ...permission };
  }
}

export type PermissionEntry = Extract<AdministrationEntry, { user: string }>;

function notFound(text: string): AdministrationError {
  return new AdministrationError("NOT_FOUND", text);
}
