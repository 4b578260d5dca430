/** Virtual hosts: their properties and limits, and tracing in them. */

import { both, type Call, type Command, control, type Output } from "../command.ts";
import { decoded, foundVirtualHost } from "../found.ts";
import { chosenColumns, unknownColumns } from "../listing.ts";
import { apiPath } from "../management.ts";

const columns = [
  ...["name", "tracing", "cluster_state", "description", "tags", "default_queue_type"],
  ...["protected_from_deletion", "metadata"],
];

function properties({ options }: Call): object {
  const { description, tags, "default-queue-type": type } = options;
  return {
    ...(description !== undefined && { description }),
    ...(tags !== undefined && { tags }),
    ...(type !== undefined && { default_queue_type: type }),
  };
}

async function addVirtualHost(call: Call): Promise<undefined> {
  await call.management.put(apiPath("vhosts", call.arguments[0]!), properties(call));
}

async function changeVirtualHost(call: Call): Promise<undefined> {
  const [name = ""] = call.arguments;
  await foundVirtualHost(call, name);
  await call.management.put(apiPath("vhosts", name), properties(call));
}

async function listVirtualHosts(call: Call): Promise<Output> {
  const chosen = chosenColumns(call.arguments);
  const rows = await call.management.list("/api/vhosts");
  return { columns: chosen.length === 0 ? ["name"] : chosen, rows };
}

async function trace(call: Call, tracing: boolean): Promise<Output> {
  await foundVirtualHost(call, call.vhost);
  await call.management.put(apiPath("vhosts", call.vhost), { tracing });
  return { text: `Trace ${tracing ? "enabled" : "disabled"} for vhost ${call.vhost}` };
}

async function protect(call: Call, isProtected: boolean): Promise<undefined> {
  const [name = ""] = call.arguments;
  await foundVirtualHost(call, name);
  await call.management.put(apiPath("vhosts", name), { protected_from_deletion: isProtected });
}

const limitsPath = ({ vhost }: Call): string =>
  apiPath("parameters", "vhost-limits", vhost, "limits");

async function setLimits(call: Call): Promise<undefined> {
  await foundVirtualHost(call, call.vhost);
  await call.management.put(limitsPath(call), { value: decoded(call.arguments[0]!) });
}

async function clearLimits(call: Call): Promise<undefined> {
  await foundVirtualHost(call, call.vhost);
  const path = limitsPath(call);
  if ((await call.management.find(path)) !== undefined) await call.management.delete(path);
}

async function listLimits(call: Call): Promise<Output> {
  const rows = await call.management.list("/api/vhost-limits");
  const texts = rows.map(({ vhost, value }) => ({ vhost, limits: JSON.stringify(value) }));
  if (call.options["global"] === true)
    return { columns: ["vhost", "limits"], rows: texts, collected: true };
  await foundVirtualHost(call, call.vhost);
  const text = texts.find(({ vhost }) => vhost === call.vhost)?.limits ?? "";
  return { text, json: { node: call.node, result: "ok", value: text } };
}

const group = "Virtual hosts";
const metadata = { description: "text", tags: "text", "default-queue-type": "text" } as const;
const metadataUsage =
  '[--description <description> --tags "<tag1>,<tag2>,<...>" --default-queue-type <quorum|classic|stream>]';

export const virtualHostCommands: readonly Command[] = [
  {
    name: "add_vhost",
    ...{ group, tools: control, takes: [1, 1], options: metadata },
    usage: `<vhost> ${metadataUsage}`,
    summary: "Creates a virtual host",
    says: ({ arguments: [name] }) => `Adding vhost "${name}" ...`,
    run: addVirtualHost,
  },
  {
    name: "update_vhost_metadata",
    ...{ group, tools: control, takes: [1, 1], options: metadata },
    usage: `<vhost> ${metadataUsage}`,
    summary: "Updates metadata (tags, description, default queue type) of a virtual host",
    says: ({ arguments: [name] }) => `Updating metadata of vhost "${name}" ...`,
    run: changeVirtualHost,
  },
  {
    name: "delete_vhost",
    ...{ group, tools: control, takes: [1, 1], usage: "<vhost>" },
    summary: "Deletes a virtual host",
    says: ({ arguments: [name] }) => `Deleting vhost "${name}" ...`,
    async run(call) {
      const [name = ""] = call.arguments;
      await foundVirtualHost(call, name);
      await call.management.delete(apiPath("vhosts", name));
      return undefined;
    },
  },
  {
    name: "list_vhosts",
    ...{ group: "Access Control", tools: both, takes: [0, 255] },
    usage: "[--no-table-headers] [<column> ...] [--timeout <timeout>]",
    summary: "Lists virtual hosts",
    check: (call) => unknownColumns(chosenColumns(call.arguments), columns),
    says: () => "Listing vhosts ...",
    run: listVirtualHosts,
  },
  {
    name: "enable_vhost_deletion_protection",
    ...{ group, tools: control, takes: [1, 1], usage: "<vhost>" },
    summary: "Enables deletion protection for a virtual host",
    says: ({ arguments: [name] }) => `Will mark virtual host "${name}" as protected ...`,
    run: (call) => protect(call, true),
  },
  {
    name: "disable_vhost_deletion_protection",
    ...{ group, tools: control, takes: [1, 1], usage: "<vhost>" },
    summary: "Removes deletion protection from a virtual host",
    says: ({ arguments: [name] }) => `Will remove protection from virtual host "${name}" ...`,
    run: (call) => protect(call, false),
  },
  {
    name: "restart_vhost",
    ...{ group, tools: control, usage: "[--vhost <vhost>]" },
    summary: "Restarts a failed vhost data stores and queues",
    says: ({ vhost, node }) => `Trying to restart vhost '${vhost}' on node '${node}' ...`,
    async run(call) {
      await foundVirtualHost(call, call.vhost);
      return { text: `Vhost '${call.vhost}' is already running on node '${call.node}'` };
    },
  },
  {
    name: "trace_on",
    ...{ group, tools: control, usage: "[--vhost <vhost>]", summary: "Starts tracing" },
    says: ({ vhost }) => `Starting tracing for vhost "${vhost}" ...`,
    run: (call) => trace(call, true),
  },
  {
    name: "trace_off",
    ...{ group, tools: control, usage: "[--vhost <vhost>]", summary: "Stops tracing" },
    says: ({ vhost }) => `Stopping tracing for vhost "${vhost}" ...`,
    run: (call) => trace(call, false),
  },
  {
    name: "set_vhost_limits",
    ...{ group, tools: control, takes: [1, 1], usage: "[--vhost <vhost>] <definition>" },
    summary: "Sets virtual host limits",
    says: ({ arguments: [limits], vhost }) =>
      `Setting vhost limits to "${limits}" for vhost "${vhost}" ...`,
    run: setLimits,
  },
  {
    name: "clear_vhost_limits",
    ...{ group, tools: control, usage: "[--vhost <vhost>]" },
    summary: "Clears virtual host limits",
    says: ({ vhost }) => `Clearing vhost "${vhost}" limits ...`,
    run: clearLimits,
  },
  {
    name: "list_vhost_limits",
    ...{ group, tools: both, options: { global: "flag" } },
    usage: "[--vhost <vhost>] [--global] [--no-table-headers]",
    summary: "Displays configured virtual host limits",
    says: ({ options, vhost }) =>
      options["global"] === true
        ? "Listing limits for all vhosts ..."
        : `Listing limits for vhost "${vhost}" ...`,
    run: listLimits,
  },
];
