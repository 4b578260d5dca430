/** What applies to a queue or an exchange: at most one policy and one operator policy, and what the two come to. */

import type { Policies, PolicySubject } from "./policies.ts";
import { mergeDefinitions, type PolicyDefinition } from "./policy-settings.ts";

export interface PolicyRegistries {
  readonly policies: Policies;
  readonly operatorPolicies: Policies;
}

export interface EffectivePolicy {
  /** Their names. */
  readonly policy: string | undefined;
  readonly operatorPolicy: string | undefined;
  /** Sorted by name; empty when nothing applies. */
  readonly definition: PolicyDefinition;
  /** Messages that came before were given their time to live by something else. */
  readonly ttlSinceMs: number;
}

const nothing: EffectivePolicy = {
  policy: undefined,
  operatorPolicy: undefined,
  definition: {},
  ttlSinceMs: 0,
};

export function effectivePolicy(
  { policies, operatorPolicies }: PolicyRegistries,
  vhost: string,
  subject: PolicySubject,
): EffectivePolicy {
  const policy = policies.match(vhost, subject);
  const operatorPolicy = operatorPolicies.match(vhost, subject);
  if (policy === undefined && operatorPolicy === undefined) return nothing;
  return {
    policy: policy?.name,
    operatorPolicy: operatorPolicy?.name,
    definition: mergeDefinitions(policy?.definition ?? {}, operatorPolicy?.definition ?? {}),
    ttlSinceMs: Math.max(policy?.ttlSinceMs ?? 0, operatorPolicy?.ttlSinceMs ?? 0),
  };
}
