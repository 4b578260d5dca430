/** Parameters that are kept where they count: operator policies, and the limits of virtual hosts. */

import { AdministrationError } from "./administration.ts";
import { erlangPairs, erlangTerm, type Json, sortedEntries } from "./erlang-term.ts";
import type { VirtualHostLimits } from "./limits.ts";
import type { ParameterComponent } from "./parameters.ts";
import { type Policies, type PolicySpec, validationFailed } from "./policies.ts";
import type { VirtualHosts } from "./virtual-hosts.ts";

type JsonObject = Readonly<Record<string, Json>>;

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** With the members that the HTTP API has, `apply-to` among them. */
export function operatorPolicyComponent(operatorPolicies: Policies): ParameterComponent {
  return {
    set(vhost, name, value) {
      if (!isObject(value)) throw validationFailed([`${name} not a list ${erlangTerm(value)}`]);
      const { "apply-to": applyTo, ...others } = value;
      // Whatever is wrong with it, the registry says.
      const spec = { ...others, ...(applyTo !== undefined && { applyTo }) } as unknown;
      operatorPolicies.set(vhost, name, spec as PolicySpec);
    },
    clear: (vhost, name) => operatorPolicies.clear(vhost, name),
    *all() {
      for (const { vhost, name, pattern, definition, applyTo, priority } of operatorPolicies.all())
        yield { vhost, name, value: { pattern, definition, priority, "apply-to": applyTo } };
    },
  };
}

/** The one name under which a virtual host's limits are kept. */
const LIMITS = "limits";
const limitNames = { "max-queues": "maxQueues", "max-connections": "maxConnections" } as const;

/** The limits that a parameter of this name holds, or all that is wrong with them [RabbitMQ]. */
function limitsOf(parameter: string, value: Json): VirtualHostLimits {
  if (!isObject(value)) throw validationFailed([`${parameter} not a list ${erlangTerm(value)}`]);
  const limits: Record<string, number> = {};
  const errors: string[] = [];
  const unknown = sortedEntries(value).filter(([name]) => !(name in limitNames));
  if (unknown.length > 0) errors.push(`Unrecognised terms ${erlangPairs(unknown)} in ${parameter}`);
  for (const [name, property] of Object.entries(limitNames)) {
    const limit = value[name];
    if (typeof limit === "number" && Number.isInteger(limit)) limits[property] = limit;
    else if (limit !== undefined)
      errors.push(`${name} should be a number, actually was ${erlangTerm(limit)}`);
  }
  if (errors.length > 0) throw validationFailed(errors);
  return limits;
}

export function limitsComponent(virtualHosts: VirtualHosts): ParameterComponent {
  return {
    set(vhost, name, value) {
      virtualHosts.change(vhost, { limits: limitsOf(name, value) });
    },
    clear(vhost) {
      if (Object.keys(virtualHosts.get(vhost).properties.limits).length === 0)
        throw new AdministrationError("NOT_FOUND", "Parameter does not exist");
      virtualHosts.change(vhost, { limits: {} });
    },
    *all() {
      for (const { name: vhost, limits } of virtualHosts.all()) {
        const value: Record<string, Json> = {};
        for (const [name, property] of Object.entries(limitNames)) {
          const limit = limits[property];
          if (limit !== undefined) value[name] = limit;
        }
        if (Object.keys(value).length > 0) yield { vhost, name: LIMITS, value };
      }
    },
  };
}
