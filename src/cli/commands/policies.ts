/** Policies and operator policies. */

import { both, type Call, type Command, control, type Output } from "../command.ts";
import { failed } from "../failure.ts";
import { decoded, foundVirtualHost } from "../found.ts";
import { apiPath } from "../management.ts";

interface Kind {
  /** In the management API. */
  readonly resource: string;
  /** In names of commands: `set_policy`, `list_policies`. */
  readonly one: string;
  readonly many: string;
  /** In texts. */
  readonly says: string;
  readonly saysMany: string;
  readonly clears: string;
}

const kinds: readonly Kind[] = [
  {
    ...{ resource: "policies", one: "policy", many: "policies" },
    ...{ says: "policy", saysMany: "policies", clears: "policy" },
  },
  {
    ...{ resource: "operator-policies", one: "operator_policy", many: "operator_policies" },
    says: "operator policy override",
    saysMany: "operator policy overrides",
    clears: "operator policy",
  },
];

async function setPolicy(call: Call, resource: string): Promise<undefined> {
  const [name = "", pattern, definition = ""] = call.arguments;
  const { priority = 0, "apply-to": target = "all" } = call.options;
  const value = decoded(definition);
  await foundVirtualHost(call, call.vhost);
  await call.management.put(apiPath(resource, call.vhost, name), {
    ...{ pattern, priority, "apply-to": target, definition: value },
  });
}

async function clearPolicy(call: Call, resource: string): Promise<undefined> {
  const path = apiPath(resource, call.vhost, call.arguments[0]!);
  await foundVirtualHost(call, call.vhost);
  if ((await call.management.find(path)) === undefined)
    throw failed("unavailable", "Parameter does not exist");
  await call.management.delete(path);
}

async function listPolicies(call: Call, resource: string): Promise<Output> {
  await foundVirtualHost(call, call.vhost);
  const rows = await call.management.list(apiPath(resource, call.vhost));
  return {
    columns: ["vhost", "name", "pattern", "apply-to", "definition", "priority"],
    rows: rows.map((row) => ({ ...row, definition: JSON.stringify(row["definition"]) })),
    collected: true,
  };
}

const group = "Policies";

export const policyCommands: readonly Command[] = kinds.flatMap((kind): Command[] => [
  {
    name: `set_${kind.one}`,
    ...{ group, tools: control, takes: [3, 3] },
    options: { priority: "integer", "apply-to": "text" },
    usage:
      "[--vhost <vhost>] [--priority <priority>] [--apply-to <apply-to>] <name> <pattern> <definition>",
    summary: `Sets or updates ${kind.one === "policy" ? "a policy" : "an operator policy"}`,
    says: ({ arguments: [name, pattern, definition], options: { priority = 0 }, vhost }) =>
      `Setting ${kind.says} "${name}" for pattern "${pattern}" to "${definition}" with priority "${priority}" for vhost "${vhost}" ...`,
    run: (call) => setPolicy(call, kind.resource),
  },
  {
    name: `clear_${kind.one}`,
    ...{ group, tools: control, takes: [1, 1], usage: "[--vhost <vhost>] <name>" },
    summary: `Clears (removes) ${kind.one === "policy" ? "a policy" : "an operator policy"}`,
    says: ({ arguments: [name], vhost }) =>
      `Clearing ${kind.clears} "${name}" on vhost "${vhost}" ...`,
    run: (call) => clearPolicy(call, kind.resource),
  },
  {
    name: `list_${kind.many}`,
    ...{ group, tools: both },
    usage: "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
    summary: `Lists all ${kind.saysMany} in a virtual host`,
    says: ({ vhost }) => `Listing ${kind.saysMany} for vhost "${vhost}" ...`,
    run: (call) => listPolicies(call, kind.resource),
  },
]);
