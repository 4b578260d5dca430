/**
 * Policies: settings for all queues and exchanges whose names match a pattern. A broker has two registries of them, one of
 * policies and one of operator policies, which bound what the others ask for.
 *
 * Of each registry one policy applies to a queue or an exchange, that with the highest priority; among equals the one whose
 * name comes first. A change counts at once for what exists. Refusals are in RabbitMQ's words.
 */

import type { QueueType } from "../queue/settings.ts";
import {
  type AdministrationEntry,
  AdministrationError,
  checkName,
  type PolicyKind,
  type RecordAdministration,
} from "./administration.ts";
import { erlangTerm, erlangText, type Json } from "./erlang-term.ts";
import { Pattern } from "./pattern.ts";
import { PatternError } from "./pattern-syntax.ts";
import { definitionError, type PolicyDefinition, suitsQueue } from "./policy-settings.ts";

const NAME_BYTES_MAX = 255;

const targets = [
  "all",
  "queues",
  "classic_queues",
  "quorum_queues",
  "streams",
  "exchanges",
] as const;
/** What a policy is for. There are no streams, so that a policy for them applies to nothing. */
export type PolicyTarget = (typeof targets)[number];

/** How a policy is described; what is in it is checked, since it comes from outside. */
export interface PolicySpec {
  /** A regular expression for names, not anchored. */
  readonly pattern: string;
  readonly definition: PolicyDefinition;
  /** `all` by default. */
  readonly applyTo?: PolicyTarget;
  /** 0 by default. */
  readonly priority?: number;
}

/** A policy, as it stays until it is set again or cleared. */
export interface Policy extends Required<PolicySpec> {
  readonly vhost: string;
  readonly name: string;
}

/** What a policy can apply to. */
export type PolicySubject =
  | { readonly kind: "exchange"; readonly name: string }
  | { readonly kind: "queue"; readonly name: string; readonly type: QueueType };

interface KeptPolicy extends Policy {
  readonly matcher: Pattern;
  readonly ttlSinceMs: number;
}

/** What the registry must know of the broker, which implements it. */
export interface PoliciesContext {
  readonly record: RecordAdministration;
  nowMs(): number;
  hasVirtualHost(name: string): boolean;
  /** The policies of this virtual host are not what they were. */
  changed(vhost: string): void;
}

export class Policies {
  readonly #kind: PolicyKind;
  readonly #context: PoliciesContext;
  /** By virtual host, in the order in which they are asked. */
  readonly #byVhost = new Map<string, KeptPolicy[]>();

  constructor(kind: PolicyKind, context: PoliciesContext) {
    this.#kind = kind;
    this.#context = context;
  }

  /** Sets a policy, in place of the one of that name. Throws NOT_FOUND for the virtual host, or INVALID. */
  set(vhost: string, name: string, spec: PolicySpec): Policy {
    if (!this.#context.hasVirtualHost(vhost)) throw notFound(`no vhost '${vhost}'`);
    checkName("policy", name, NAME_BYTES_MAX);
    const { pattern, definition, applyTo = "all", priority = 0 } = spec;
    const matcher = this.#check(name, spec);
    const before = this.#find(vhost, name);
    const policy = { vhost, name, pattern, definition: { ...definition }, applyTo, priority };
    // Who sets all policies at each start has not changed any.
    if (before !== undefined && isSame(before, policy)) return before;
    const ttlSinceMs = givesSameTtl(before, policy) ? before.ttlSinceMs : this.#context.nowMs();
    const kept = { ...policy, matcher, ttlSinceMs };
    this.#context.record({ op: "policy", kind: this.#kind, ...policy, ttlSinceMs });
    this.#put(kept);
    this.#context.changed(vhost);
    return kept;
  }

  /** Clears a policy. Throws NOT_FOUND. */
  clear(vhost: string, name: string): void {
    this.get(vhost, name);
    this.#context.record({ op: "clear-policy", kind: this.#kind, vhost, name });
    this.#remove(vhost, name);
    this.#context.changed(vhost);
  }

  /** The policy; throws NOT_FOUND. */
  get(vhost: string, name: string): Policy {
    const policy = this.#find(vhost, name);
    if (policy === undefined) throw notFound("Parameter does not exist");
    return policy;
  }

  find(vhost: string, name: string): Policy | undefined {
    return this.#find(vhost, name);
  }

  /** Those of a virtual host, or of all; in each the one first that counts before others. */
  *all(vhost?: string): Iterable<Policy> {
    if (vhost !== undefined) yield* this.#byVhost.get(vhost) ?? [];
    else for (const policies of this.#byVhost.values()) yield* policies;
  }

  /** The policy that applies, with the time since when it gives messages their time to live. */
  match(vhost: string, subject: PolicySubject): (Policy & { ttlSinceMs: number }) | undefined {
    return this.#byVhost.get(vhost)?.find((policy) => applies(policy, subject));
  }

  #find(vhost: string, name: string): KeptPolicy | undefined {
    return this.#byVhost.get(vhost)?.find((policy) => policy.name === name);
  }

  /** The compiled pattern. All that is wrong is said at once [RabbitMQ]. */
  #check(name: string, { pattern, definition, applyTo, priority }: PolicySpec): Pattern {
    const matcher = compiled(pattern, name);
    const errors = [
      definition === undefined
        ? `Key "definition" not found in ${name}`
        : definitionError(definition, this.#kind === "operator-policy"),
      targetError(applyTo),
      typeof matcher === "string" ? matcher : undefined,
      priorityError(priority),
    ].filter((error) => error !== undefined);
    if (typeof matcher === "string" || errors.length > 0) throw validationFailed(errors);
    return matcher;
  }

  #put(policy: KeptPolicy): void {
    const { vhost, name, priority } = policy;
    const policies = this.#byVhost.get(vhost) ?? [];
    const others = policies.filter((other) => other.name !== name);
    const after = others.findIndex(
      (other) => other.priority < priority || (other.priority === priority && other.name > name),
    );
    others.splice(after < 0 ? others.length : after, 0, policy);
    this.#byVhost.set(vhost, others);
  }

  #remove(vhost: string, name: string): void {
    const policies = this.#byVhost.get(vhost) ?? [];
    this.#byVhost.set(
      vhost,
      policies.filter((policy) => policy.name !== name),
    );
  }

  forgetVirtualHost(vhost: string): void {
    this.#byVhost.delete(vhost);
  }

  /** Makes what an entry of the log says. */
  restore(entry: PolicyEntry): void {
    const { vhost, name } = entry;
    if (entry.op === "clear-policy") {
      this.#remove(vhost, name);
      return;
    }
    const { pattern, definition, priority, ttlSinceMs } = entry;
    const applyTo = entry.applyTo as PolicyTarget;
    const matcher = new Pattern(pattern);
    this.#put({ vhost, name, pattern, definition, applyTo, priority, matcher, ttlSinceMs });
  }

  *entries(): Iterable<AdministrationEntry> {
    for (const policies of this.#byVhost.values()) {
      for (const { matcher: _, ...policy } of policies)
        yield { op: "policy", kind: this.#kind, ...policy };
    }
  }
}

export type PolicyEntry = Extract<AdministrationEntry, { op: "policy" | "clear-policy" }>;

function notFound(text: string): AdministrationError {
  return new AdministrationError("NOT_FOUND", text);
}

/** RabbitMQ's refusal of a parameter, for all that is wrong with it. */
export function validationFailed(errors: readonly string[]): AdministrationError {
  const lines = errors.map((error) => `${error}\n`).join("");
  return new AdministrationError("INVALID", `Validation failed\n\n${lines}`);
}

function applies(policy: KeptPolicy, subject: PolicySubject): boolean {
  const { applyTo, definition, matcher } = policy;
  const isTarget =
    subject.kind === "exchange"
      ? applyTo === "exchanges" || applyTo === "all"
      : applyTo === "queues" || applyTo === "all" || applyTo === `${subject.type}_queues`;
  if (!isTarget || (subject.kind === "queue" && !suitsQueue(definition, subject.type)))
    return false;
  return matcher.matches(subject.name);
}

function isSame(a: Policy, b: Policy): boolean {
  return (
    givesSameDefinition(a, b) &&
    a.pattern === b.pattern &&
    a.applyTo === b.applyTo &&
    a.priority === b.priority
  );
}

function givesSameDefinition(a: Policy, b: Policy): boolean {
  return canonical(a.definition) === canonical(b.definition);
}

/** Settings that are kept are texts and numbers. */
function canonical(definition: PolicyDefinition): string {
  return JSON.stringify(Object.entries(definition).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function givesSameTtl(before: Policy | undefined, after: Policy): before is Policy {
  return (
    before !== undefined &&
    before.pattern === after.pattern &&
    before.applyTo === after.applyTo &&
    before.definition["message-ttl"] === after.definition["message-ttl"]
  );
}

/** The pattern, or what is wrong with it. */
function compiled(pattern: Json | undefined, name: string): Pattern | string {
  if (pattern === undefined) return `Key "pattern" not found in ${name}`;
  if (typeof pattern !== "string")
    return `pattern should be a binary but was ${erlangTerm(pattern)}`;
  try {
    return new Pattern(pattern);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    const { what, offset = 0 } = error;
    const text = erlangText(what).slice(2, -2);
    return `pattern should be regular expression but is invalid: {${text},${offset}}`;
  }
}

function targetError(target: Json | undefined): string | undefined {
  if (target === undefined || (targets as readonly Json[]).includes(target)) return undefined;
  const shown = typeof target === "string" ? target : erlangTerm(target);
  // The two blanks are RabbitMQ's.
  return `apply-to '${shown}' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'`;
}

function priorityError(priority: Json | undefined): string | undefined {
  if (priority === undefined || typeof priority === "number") return undefined;
  return `priority should be a number, actually was ${erlangTerm(priority)}`;
}
