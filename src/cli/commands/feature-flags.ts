/** Feature flags, all of which are enabled, and deprecated features. */

import { both, type Call, type Command, control, type Output } from "../command.ts";
import { failed } from "../failure.ts";
import { chosenColumns, unknownColumns } from "../listing.ts";
import { apiPath } from "../management.ts";

const columns = ["name", "state", "stability", "provided_by", "desc", "doc_url"];

async function list(call: Call, path: string, shown: readonly string[]): Promise<Output> {
  const chosen = chosenColumns(call.arguments);
  const rows = await call.management.list(path);
  return { columns: chosen.length === 0 ? shown : chosen, rows, collected: true };
}

async function enable({ management, node, arguments: given }: Call): Promise<undefined> {
  const [name = ""] = given;
  if (name === "all") return;
  const flags = await management.list("/api/feature-flags");
  if (!flags.some((flag) => flag["name"] === name))
    throw failed("usage", `This feature flag is not supported by node ${node}`);
  await management.put(`${apiPath("feature-flags", name)}/enable`, { name });
}

const group = "Feature flags";

export const featureFlagCommands: readonly Command[] = [
  {
    name: "list_feature_flags",
    ...{ group, tools: both, takes: [0, 255], usage: "[<column> ...] [--timeout <timeout>]" },
    summary: "Lists feature flags",
    check: (call) => unknownColumns(chosenColumns(call.arguments), columns),
    says: () => "Listing feature flags ...",
    run: (call) => list(call, "/api/feature-flags", ["name", "state"]),
  },
  {
    name: "enable_feature_flag",
    ...{ group, tools: control, takes: [1, 1], usage: "<all | name of the feature flag>" },
    options: { experimental: "flag", "opt-in": "flag" },
    summary: "Enables a feature flag or all supported feature flags on the target node",
    says: ({ arguments: [name] }) =>
      name === "all" ? "Enabling all feature flags ..." : `Enabling feature flag "${name}" ...`,
    run: enable,
  },
  {
    name: "list_deprecated_features",
    ...{ group, tools: both, takes: [0, 255], options: { used: "flag" } },
    usage: "[--used] [<column> ...]",
    summary: "Lists deprecated features",
    says: ({ options }) =>
      options["used"] === true
        ? "Listing deprecated features in use ..."
        : "Listing deprecated features ...",
    run: (call) => {
      const used = call.options["used"] === true ? "/used" : "";
      return list(call, `/api/deprecated-features${used}`, ["name", "deprecation_phase"]);
    },
  },
];
