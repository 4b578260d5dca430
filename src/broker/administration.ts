/**
 * What is common to the registries of users, permissions, policies and virtual hosts: how they refuse, and how their changes are
 * written down.
 *
 * A change is written before it is made, and refused when the disk does not take it. It counts for clients at once and is
 * safe when the turn ends.
 */

import type { Json } from "./erlang-term.ts";

/** `UNAVAILABLE`: it cannot be kept now, because the disk does not take it. */
export type AdministrationErrorCode =
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "INVALID"
  | "PROTECTED"
  | "UNAVAILABLE";

/** A request of an administrator that cannot be met; the message says which and why. */
export class AdministrationError extends Error {
  override readonly name = "AdministrationError";
  readonly code: AdministrationErrorCode;

  constructor(code: AdministrationErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Entries of the log of the topology, beside those of what virtual hosts contain (topology.ts). */
export type AdministrationEntry =
  /** The default user and virtual host have been made: they are not made again, whoever deletes them. */
  | { op: "defaults" }
  | {
      op: "user";
      name: string;
      /** base64; empty when the user has no password. */
      passwordHash: string;
      hashingAlgorithm: string;
      tags: readonly string[];
      limits: Limits;
    }
  | { op: "delete-user"; name: string }
  | {
      op: "vhost";
      vhost: string;
      description: string;
      tags: readonly string[];
      defaultQueueType?: string;
      protectedFromDeletion: boolean;
      limits: Limits;
    }
  | { op: "delete-vhost"; vhost: string }
  | {
      op: "permission";
      user: string;
      vhost: string;
      configure: string;
      write: string;
      read: string;
    }
  | { op: "clear-permission"; user: string; vhost: string }
  | {
      op: "topic-permission";
      user: string;
      vhost: string;
      exchange: string;
      write: string;
      read: string;
    }
  | { op: "clear-topic-permission"; user: string; vhost: string; exchange: string }
  | {
      op: "policy";
      kind: PolicyKind;
      vhost: string;
      name: string;
      pattern: string;
      applyTo: string;
      definition: Readonly<Record<string, Json>>;
      priority: number;
      /** Since when it gives messages their time to live, in milliseconds. */
      ttlSinceMs: number;
    }
  | { op: "clear-policy"; kind: PolicyKind; vhost: string; name: string }
  | { op: "parameter"; vhost: string; component: string; name: string; value: Json }
  | { op: "clear-parameter"; vhost: string; component: string; name: string }
  | { op: "global-parameter"; name: string; value: Json }
  | { op: "clear-global-parameter"; name: string };

/** Whose policy it is: an operator's bounds what the others may ask for. */
export type PolicyKind = "policy" | "operator-policy";

type Limits = Readonly<Record<string, number>>;

/** To be called before a change is made. Throws UNAVAILABLE when it cannot be kept: then it must not be made. */
export type RecordAdministration = (entry: AdministrationEntry) => void;

/** A name of a user or virtual host goes over the wire as a shortstr. */
export function checkName(what: string, name: string, bytesMax: number): void {
  const bytes = Buffer.byteLength(name);
  if (bytes === 0 || bytes > bytesMax) {
    throw new AdministrationError(
      "INVALID",
      `the name of a ${what} has 1 to ${bytesMax} bytes, this one ${bytes}`,
    );
  }
}

export function checkTags(tags: readonly string[]): void {
  for (const tag of tags) {
    if (typeof tag !== "string" || tag === "")
      throw new AdministrationError("INVALID", "a tag is a text and not empty");
  }
}
