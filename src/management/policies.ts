/** Policies and operator policies. */

import type { Policies, Policy, PolicySpec } from "../broker/policies.ts";
import { nothingThere } from "./http-error.ts";
import { given, require } from "./input.ts";
import { chosenColumns, listing } from "./listing.ts";
import { writableVirtualHost } from "./queues.ts";
import { type Call, done, type Needs, ok, put, type Reply, type Route } from "./route.ts";

export function policyJson(policy: Policy): Record<string, unknown> {
  const { vhost, name, pattern, applyTo, definition, priority } = policy;
  return { vhost, name, pattern, "apply-to": applyTo, definition, priority };
}

/** What an object says of a policy; the registry finds out what is wrong with it. */
export function policySpec(body: Readonly<Record<string, unknown>>): PolicySpec {
  require(body, "pattern", "definition");
  const applyTo = given(body, "apply-to");
  const priority = given(body, "priority");
  const spec: unknown = {
    pattern: given(body, "pattern"),
    definition: given(body, "definition"),
    ...(applyTo !== undefined && { applyTo }),
    ...(priority !== undefined && { priority }),
  };
  return spec as PolicySpec;
}

interface Kind {
  readonly path: string;
  readonly noun: string;
  readonly needs: Needs;
  of(call: Call): Policies;
}

/** Whoever may set policies may see operators' policies, and only administrators may set these [RabbitMQ]. */
const kinds: readonly Kind[] = [
  {
    path: "/api/policies",
    noun: "policy",
    needs: "policymaker",
    of: ({ host }) => host.policies,
  },
  {
    path: "/api/operator-policies",
    noun: "operator policy",
    needs: "administrator",
    of: ({ host }) => host.operatorPolicies,
  },
];

function list({ of }: Kind): (call: Call) => Reply {
  return (call) => {
    const rows = [...call.visibleVirtualHosts()].flatMap(({ name }) => [...of(call).all(name)]);
    return ok(listing(rows.map(policyJson), call.query));
  };
}

function find({ of }: Kind, call: Call): Policy {
  const policy = of(call).find(call.vhost.name, call.parameter("name"));
  if (policy === undefined) throw nothingThere();
  return policy;
}

function set({ of }: Kind): (call: Call) => Reply {
  return (call) => {
    const vhost = writableVirtualHost(call).name;
    const name = call.parameter("name");
    const isNew = of(call).find(vhost, name) === undefined;
    of(call).set(vhost, name, policySpec(call.json));
    return put(isNew);
  };
}

function clear(kind: Kind): (call: Call) => Reply {
  return (call) => {
    const { vhost, name } = find(kind, call);
    kind.of(call).clear(vhost, name);
    return done;
  };
}

export const policyRoutes: readonly Route[] = kinds.flatMap((kind): Route[] => {
  const { path, noun, needs } = kind;
  const onePath = `${path}/:vhost/:name`;
  const plural = noun.replace(/y$/, "ies");
  return [
    {
      method: "GET",
      path,
      needs: "management",
      summary: `The ${plural} in all virtual hosts that the user may see`,
      handle: list(kind),
    },
    {
      method: "GET",
      path: `${path}/:vhost`,
      needs: "management",
      summary: `The ${plural} of a virtual host`,
      handle: list(kind),
    },
    {
      method: "GET",
      path: onePath,
      needs: "management",
      summary: `One ${noun}`,
      handle: (call) => ok(chosenColumns(policyJson(find(kind, call)), call.query)),
    },
    { method: "PUT", path: onePath, needs, summary: `Sets one ${noun}`, handle: set(kind) },
    { method: "DELETE", path: onePath, needs, summary: `Removes one ${noun}`, handle: clear(kind) },
  ];
});
