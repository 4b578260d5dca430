/** The table of what rabbitmqadmin does. One more is one row. */

import { readFileSync, writeFileSync } from "node:fs";
import { apiPath, ManagementError, type Row } from "../management.ts";
import { type Action, type AdminCall, AdminFailure, type AdminOutput } from "./action.ts";

const text = (value: unknown): string => String(value ?? "");

/** That of the arguments before that of the options. */
function vhostOf({ fields, vhost }: AdminCall): string {
  return text(fields["vhost"] ?? vhost ?? "/");
}

type Path = (call: AdminCall) => string;

/** `/api/KIND/VHOST/NAME`, the name being the value of these fields. */
function inVhost(kind: string, ...names: readonly string[]): Path {
  return (call) => apiPath(kind, vhostOf(call), ...names.map((name) => text(call.fields[name])));
}

function outside(kind: string, ...names: readonly string[]): Path {
  return ({ fields }) => apiPath(kind, ...names.map((name) => text(fields[name])));
}

const parameterPath: Path = (call) =>
  apiPath("parameters", text(call.fields["component"]), vhostOf(call), text(call.fields["name"]));

const bindingPath: Path = (call) => {
  const { source, destination_type: type, destination } = call.fields;
  const kind = text(type)[0] ?? "q";
  return apiPath("bindings", vhostOf(call), "e", text(source), kind, text(destination));
};

type Body = (call: AdminCall) => unknown;
const allFields: Body = ({ fields }) => fields;

/** `type=` of a queue is one of its arguments. */
const queueBody: Body = ({
  fields: { queue_type: old, type = old, arguments: given, ...rest },
}) => {
  const table = given as Row;
  return { ...rest, arguments: type === undefined ? table : { ...table, "x-queue-type": type } };
};

const policyBody: Body = ({
  fields: { apply_to: target, applies_to: other = target, ...rest },
}) => ({
  ...rest,
  ...(other !== undefined && { "apply-to": other }),
});

/** An empty password is none. */
const userBody: Body = ({ fields: { password, password_hash: hash, ...rest } }) => ({
  ...rest,
  ...(text(password) !== "" && { password }),
  ...(text(hash) !== "" && { password_hash: hash }),
});

type Named = Pick<Action, "noun"> & Partial<Action>;

function declare(path: Path, body: Body, action: Named): Action {
  return {
    ...action,
    verb: "declare",
    async run(call) {
      await call.management.put(path(call), body(call));
      return { text: `${action.noun} declared`, isStatus: true };
    },
  };
}

/** Something that is not there is gone already, when that is said. */
function remove(path: Path, action: Named, verb = "delete", done = "deleted"): Action {
  return {
    ...action,
    verb,
    optional: { ...action.optional, idempotently: undefined },
    async run(call) {
      try {
        await call.management.delete(path(call));
      } catch (error) {
        const isGone = error instanceof ManagementError && error.status === 404;
        if (!isGone || call.fields["idempotently"] !== true) throw error;
      }
      return { text: `${action.noun} ${done}`, isStatus: true };
    },
  };
}

async function bind(call: AdminCall): Promise<AdminOutput> {
  const { routing_key, arguments: table } = call.fields;
  await call.management.post(bindingPath(call), { routing_key, arguments: table });
  return { text: "binding declared", isStatus: true };
}

/** The older generation knows the key of a binding's properties, the newer one what it is made from. */
async function unbind(call: AdminCall): Promise<AdminOutput> {
  const { properties_key: given, routing_key: key, arguments: wanted } = call.fields;
  const path = bindingPath(call);
  const found = (await call.management.list(path)).find(
    (row) =>
      row["routing_key"] === text(key) &&
      JSON.stringify(row["arguments"]) === JSON.stringify(wanted),
  );
  const properties = key === undefined ? (given ?? "~") : found?.["properties_key"];
  if (properties === undefined) throw new ManagementError(404, "Not Found");
  await call.management.delete(`${path}/${encodeURIComponent(text(properties))}`);
  return { text: "binding deleted", isStatus: true };
}

async function publish(call: AdminCall): Promise<AdminOutput> {
  const { exchange, payload, ...rest } = call.fields;
  const path = `${apiPath("exchanges", vhostOf(call), text(exchange) || "amq.default")}/publish`;
  const body =
    payload === undefined
      ? {
          payload: Buffer.from(await call.input()).toString("base64"),
          payload_encoding: "base64",
        }
      : { payload };
  const { routed } = (await call.management.post(path, { ...rest, ...body })) as Row;
  const done =
    call.generation === 1 ? "Message published" : "Message published and routed successfully";
  const message = routed === true ? done : "Message published but NOT routed";
  return { text: message, isStatus: call.generation === 1 };
}

async function get(call: AdminCall): Promise<AdminOutput> {
  const { queue, count, ackmode, ack_mode: mode = ackmode, encoding } = call.fields;
  const file = call.fields["payload_file"];
  if (file !== undefined && text(count) !== "1")
    throw new AdminFailure(1, "\nERROR: Cannot get multiple messages using payload_file\n");
  const body = { count, ackmode: mode, encoding };
  const path = `${apiPath("queues", vhostOf(call), text(queue))}/get`;
  const messages = (await call.management.post(path, body)) as readonly Row[];
  if (file === undefined) return { rows: messages };
  const { payload, payload_encoding: encoded } = messages[0] ?? {};
  const bytes = Buffer.from(text(payload), encoded === "base64" ? "base64" : "utf8");
  writeFileSync(text(file), bytes);
  const columns = ["routing_key", "exchange", "message_count", "payload_bytes", "redelivered"];
  return { rows: messages, columns };
}

function definitionsPath({ vhost }: AdminCall): string {
  return vhost === undefined ? "/api/definitions" : apiPath("definitions", vhost);
}

async function exportDefinitions(call: AdminCall): Promise<AdminOutput> {
  const { fields, words, management } = call;
  const file = text(fields["file"] ?? words[0]);
  const definitions = JSON.stringify(await management.get(definitionsPath(call)));
  if (fields["stdout"] === true || (call.generation === 2 && file === ""))
    return { text: definitions };
  if (file === "") throw new AdminFailure(1, "\nERROR: Exactly one argument required\n");
  writeFileSync(file, definitions);
  const host = management.url.hostname;
  return { text: `Exported definitions for ${host} to "${file}"`, isStatus: true };
}

async function importDefinitions(call: AdminCall): Promise<AdminOutput> {
  const { fields, words, management } = call;
  const file = text(fields["file"] ?? words[0]);
  const isInput = fields["stdin"] === true || file === "";
  const definitions = isInput ? await call.input() : readFileSync(file, "utf8");
  await management.post(definitionsPath(call), definitions);
  const message = `Uploaded definitions from "${management.url.hostname}" to ${file}. The import process may take some time. Consult server logs to track progress.`;
  return { text: message, isStatus: true };
}

interface Listable {
  readonly noun: string;
  /** Whether `--vhost` makes the list shorter. */
  readonly byVhost?: boolean;
  /** What is shown where no columns are asked for; everything when absent. */
  readonly columns?: readonly string[];
  readonly json?: readonly string[];
}

const listables: readonly Listable[] = [
  { noun: "connections", columns: ["name", "user", "channels"] },
  { noun: "channels", columns: ["name", "user"] },
  { noun: "consumers", byVhost: true },
  { noun: "exchanges", byVhost: true, columns: ["name", "type"] },
  { noun: "queues", byVhost: true, columns: ["name", "messages"] },
  { noun: "bindings", byVhost: true, columns: ["source", "destination", "routing_key"] },
  { noun: "users" },
  { noun: "vhosts", columns: ["name", "messages"] },
  { noun: "permissions" },
  { noun: "nodes", columns: ["name", "type", "mem_used"] },
  { noun: "parameters", json: ["value"] },
  { noun: "global_parameters", json: ["value"] },
  { noun: "policies", byVhost: true, json: ["definition"] },
  { noun: "operator_policies", byVhost: true, json: ["definition"] },
  { noun: "vhost_limits", json: ["value"] },
  { noun: "user_limits", json: ["value"] },
  { noun: "feature_flags", columns: ["name", "state"] },
  { noun: "deprecated_features" },
];

function list({ noun, byVhost, columns, json }: Listable): Action {
  return {
    ...{ verb: "list", noun, takesWords: true, optional: { component: undefined } },
    async run({ management, words, vhost, isBrief, sorting, fields }) {
      const shown = words.length > 0 ? words : isBrief ? columns : undefined;
      const base = apiPath(noun.replaceAll("_", "-"));
      const path = byVhost && vhost !== undefined ? `${base}/${encodeURIComponent(vhost)}` : base;
      const query = [...(shown === undefined ? [] : [`columns=${shown.join(",")}`]), ...sorting];
      const rows = await management.list(query.length === 0 ? path : `${path}?${query.join("&")}`);
      const { component } = fields;
      return {
        rows: rows.filter((row) => component === undefined || row["component"] === component),
        ...(shown !== undefined && { columns: shown }),
        ...(json !== undefined && { json }),
      };
    },
  };
}

/** Of a node that has nobody to be critical for, the answer is in the API. */
const checks: Readonly<Record<string, (call: AdminCall) => string>> = {
  local_alarms: () => "local-alarms",
  cluster_wide_alarms: () => "alarms",
  node_is_quorum_critical: () => "node-is-quorum-critical",
  port_listener: ({ fields }) => `port-listener/${text(fields["port"])}`,
  protocol_listener: ({ fields }) =>
    `protocol-listener/${encodeURIComponent(text(fields["protocol"]))}`,
};

const healthActions: readonly Action[] = Object.entries(checks).map(([noun, path]) => ({
  ...{ verb: "health_check", noun, optional: { port: undefined, protocol: undefined } },
  async run(call) {
    try {
      await call.management.get(`/api/health/checks/${path(call)}`);
    } catch (error) {
      if (!(error instanceof ManagementError) || error.status !== 503) throw error;
      throw new AdminFailure(69, `health check failed: ${error.message}\n`);
    }
    return { text: "health check passed" };
  },
}));

const overviewColumns = [
  ...["rabbitmq_version", "cluster_name", "queue_totals.messages", "object_totals.queues"],
];

async function showOverview(call: AdminCall): Promise<AdminOutput> {
  const { management, words, isBrief, generation } = call;
  const overview = await management.get("/api/overview");
  if (generation === 2) {
    const keys = ["product_name", "product_version", "rabbitmq_version", "erlang_version"];
    return { rows: keys.map((key) => ({ key, value: overview[key] })), columns: ["key", "value"] };
  }
  const shown = words.length > 0 ? words : isBrief ? overviewColumns : undefined;
  return { rows: [overview], ...(shown !== undefined && { columns: shown }) };
}

async function showChurn({ management }: AdminCall): Promise<AdminOutput> {
  const { churn_rates: rates } = await management.get<{ churn_rates: Row }>("/api/overview");
  const rows = Object.entries(rates).filter(([, value]) => typeof value === "number");
  return { rows: rows.map(([key, value]) => ({ key, value })), columns: ["key", "value"] };
}

const name = ["name"];
const policy = {
  required: ["name", "pattern", "definition"],
  optional: { priority: 0, apply_to: undefined, applies_to: undefined },
  json: ["definition", "priority"],
};
const permission = {
  required: ["user", "configure", "write", "read"],
  optional: { vhost: undefined },
};
const limit = { required: ["name", "value"], optional: { vhost: undefined }, json: ["value"] };
const binding = {
  noun: "binding",
  optional: { destination_type: "queue", routing_key: "", arguments: {} },
  json: ["arguments"],
};

export const actions: readonly Action[] = [
  ...listables.map(list),
  { verb: "show", noun: "overview", takesWords: true, run: showOverview },
  { verb: "show", noun: "churn", run: showChurn },
  {
    ...{ verb: "show", noun: "endpoint" },
    run: async ({ management }) => ({ text: `Using endpoint: ${management.url.origin}/api` }),
  },

  declare(inVhost("exchanges", "name"), allFields, {
    ...{ noun: "exchange", required: ["name", "type"], assumed: { type: "direct" } },
    optional: { auto_delete: "false", durable: "true", internal: "false", arguments: {} },
    json: ["arguments"],
  }),
  declare(inVhost("queues", "name"), queueBody, {
    ...{ noun: "queue", required: name, json: ["arguments"] },
    optional: {
      ...{ auto_delete: "false", durable: "true", arguments: {}, node: undefined },
      ...{ queue_type: undefined, type: undefined },
    },
  }),
  { ...binding, verb: "declare", required: ["source", "destination"], run: bind },
  declare(outside("vhosts", "name"), allFields, {
    ...{ noun: "vhost", required: name },
    optional: {
      tracing: undefined,
      description: undefined,
      default_queue_type: undefined,
      tags: undefined,
    },
  }),
  declare(outside("users", "name"), userBody, {
    ...{
      noun: "user",
      required: ["name", "password|password_hash", "tags"],
      assumed: { tags: "" },
    },
    optional: { hashing_algorithm: undefined },
  }),
  declare(inVhost("permissions", "user"), allFields, { ...permission, noun: "permission" }),
  declare(inVhost("permissions", "user"), allFields, { ...permission, noun: "permissions" }),
  declare(parameterPath, allFields, {
    ...{ noun: "parameter", required: ["component", "name", "value"], json: ["value"] },
  }),
  declare(outside("global-parameters", "name"), allFields, {
    ...{ noun: "global_parameter", required: ["name", "value"], json: ["value"] },
  }),
  declare(inVhost("policies", "name"), policyBody, { ...policy, noun: "policy" }),
  declare(inVhost("operator-policies", "name"), policyBody, { ...policy, noun: "operator_policy" }),
  declare(inVhost("vhost-limits", "name"), allFields, { ...limit, noun: "vhost_limit" }),
  declare(outside("user-limits", "user", "name"), allFields, {
    ...{ noun: "user_limit", required: ["user", "name", "value"], json: ["value"] },
  }),

  remove(inVhost("exchanges", "name"), { noun: "exchange", required: name }),
  remove(inVhost("queues", "name"), { noun: "queue", required: name }),
  {
    ...{ verb: "delete", noun: "binding", required: ["source", "destination_type", "destination"] },
    optional: { properties_key: undefined, routing_key: undefined, arguments: {} },
    json: ["arguments"],
    run: unbind,
  },
  remove(outside("vhosts", "name"), { noun: "vhost", required: name }),
  remove(outside("users", "name"), { noun: "user", required: name }),
  ...["permission", "permissions"].map((noun) =>
    remove(inVhost("permissions", "user"), {
      noun,
      required: ["user"],
      optional: { vhost: undefined },
    }),
  ),
  remove(parameterPath, { noun: "parameter", required: ["component", "name"] }),
  remove(outside("global-parameters", "name"), { noun: "global_parameter", required: name }),
  remove(inVhost("policies", "name"), { noun: "policy", required: name }),
  remove(inVhost("operator-policies", "name"), { noun: "operator_policy", required: name }),
  remove(inVhost("vhost-limits", "name"), {
    ...{ noun: "vhost_limit", required: name, optional: { vhost: undefined } },
  }),
  remove(outside("user-limits", "user", "name"), {
    noun: "user_limit",
    required: ["user", "name"],
  }),

  remove(outside("connections", "name"), { noun: "connection", required: name }, "close", "closed"),
  {
    ...{ verb: "close", noun: "user_connections", required: ["username"] },
    async run({ management, fields }) {
      await management.delete(apiPath("connections", "username", text(fields["username"])));
      return undefined;
    },
  },
  remove(
    (call) => `${inVhost("queues", "name")(call)}/contents`,
    ...([{ noun: "queue", required: name }, "purge", "purged"] as const),
  ),

  {
    ...{ verb: "publish", noun: "", required: ["routing_key"], json: ["properties"] },
    optional: {
      ...{ payload: undefined, properties: {}, exchange: "amq.default" },
      payload_encoding: "string",
    },
    run: publish,
  },
  {
    ...{ verb: "get", noun: "", required: ["queue"] },
    optional: {
      ...{ count: "1", ackmode: "ack_requeue_true", ack_mode: undefined },
      ...{ payload_file: undefined, encoding: "auto" },
    },
    run: get,
  },
  {
    ...{
      verb: "export",
      noun: "",
      takesWords: true,
      optional: { file: undefined, stdout: undefined },
    },
    run: exportDefinitions,
  },
  {
    ...{
      verb: "import",
      noun: "",
      takesWords: true,
      optional: { file: undefined, stdin: undefined },
    },
    run: importDefinitions,
  },
  ...healthActions,
  {
    ...{ verb: "rebalance", noun: "queues" },
    // One node has nothing to balance.
    run: async () => undefined,
  },
  {
    ...{ verb: "enable", noun: "feature_flag", required: name },
    async run({ management, fields }) {
      await management.put(`${apiPath("feature-flags", text(fields["name"]))}/enable`, fields);
      return undefined;
    },
  },
];
