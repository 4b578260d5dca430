/** Runtime parameters, global ones, and the name of the cluster. */

import { both, type Call, type Command, control, type Output } from "../command.ts";
import { failed } from "../failure.ts";
import { decoded, foundVirtualHost } from "../found.ts";
import { apiPath } from "../management.ts";

/** They are parameters too, and have commands of their own. */
const elsewhere = ["policy", "operator_policy"];

async function setParameter(call: Call): Promise<undefined> {
  const [component = "", name = "", value = ""] = call.arguments;
  const body = { value: decoded(value) };
  await foundVirtualHost(call, call.vhost);
  await call.management.put(apiPath("parameters", component, call.vhost, name), body);
}

async function clear({ management }: Call, path: string): Promise<undefined> {
  if ((await management.find(path)) === undefined)
    throw failed("unavailable", "Parameter does not exist");
  await management.delete(path);
}

async function listParameters(call: Call): Promise<Output> {
  await foundVirtualHost(call, call.vhost);
  const all = await call.management.list("/api/parameters");
  const rows = all
    .filter((row) => row["vhost"] === call.vhost && !elsewhere.includes(String(row["component"])))
    .map((row) => ({ ...row, value: JSON.stringify(row["value"]) }));
  return { columns: ["component", "name", "value"], rows, collected: true };
}

async function setGlobal({ management, arguments: given }: Call): Promise<undefined> {
  const [name = "", value = ""] = given;
  await management.put(apiPath("global-parameters", name), { value: decoded(value) });
}

async function listGlobal({ management }: Call): Promise<Output> {
  const rows = await management.list("/api/global-parameters");
  return {
    columns: ["name", "value"],
    rows: rows.map(({ name, value }) => ({ name, value: JSON.stringify(value) })),
    collected: true,
  };
}

const group = "Parameters";

export const parameterCommands: readonly Command[] = [
  {
    name: "set_parameter",
    ...{ group, tools: control, takes: [3, 3] },
    usage: "[--vhost <vhost>] <component_name> <name> <value>",
    summary: "Sets a runtime parameter",
    says: ({ arguments: [component, name, value], vhost }) =>
      `Setting runtime parameter "${name}" for component "${component}" to "${value}" in vhost "${vhost}" ...`,
    run: setParameter,
  },
  {
    name: "clear_parameter",
    ...{ group, tools: control, takes: [2, 2] },
    usage: "[--vhost <vhost>] <component_name> <name>",
    summary: "Clears a runtime parameter",
    says: ({ arguments: [component, name], vhost }) =>
      `Clearing runtime parameter "${name}" for component "${component}" on vhost "${vhost}" ...`,
    async run(call) {
      const [component = "", name = ""] = call.arguments;
      await foundVirtualHost(call, call.vhost);
      return await clear(call, apiPath("parameters", component, call.vhost, name));
    },
  },
  {
    name: "list_parameters",
    ...{ group, tools: both },
    usage: "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
    summary: "Lists runtime parameters for a virtual host",
    says: ({ vhost }) => `Listing runtime parameters for vhost "${vhost}" ...`,
    run: listParameters,
  },
  {
    name: "set_global_parameter",
    ...{ group, tools: control, takes: [2, 2], usage: "<name> <value>" },
    summary: "Sets a runtime parameter for all virtual hosts",
    says: ({ arguments: [name, value] }) =>
      `Setting global runtime parameter "${name}" to "${value}" ...`,
    run: setGlobal,
  },
  {
    name: "clear_global_parameter",
    ...{ group, tools: control, takes: [1, 1], usage: "<name>" },
    summary: "Clears a global runtime parameter",
    says: ({ arguments: [name] }) => `Clearing global runtime parameter "${name}" ...`,
    run: (call) => clear(call, apiPath("global-parameters", call.arguments[0]!)),
  },
  {
    name: "list_global_parameters",
    ...{ group, tools: both, usage: "[--no-table-headers] [--timeout <timeout>]" },
    summary: "Lists global runtime parameters",
    says: () => "Listing global runtime parameters ...",
    run: listGlobal,
  },
  {
    name: "set_cluster_name",
    ...{ group: "Cluster", tools: control, takes: [1, 1], usage: "<name>" },
    summary: "Sets the cluster name",
    says: ({ arguments: [name] }) => `Setting cluster name to ${name} ...`,
    async run({ management, arguments: [name] }) {
      await management.put("/api/cluster-name", { name });
      return undefined;
    },
  },
];
