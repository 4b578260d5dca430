/** What is done to queues and connections. */

import { type Call, type Command, control, type Output } from "../command.ts";
import { failed } from "../failure.ts";
import { apiPath, ManagementError, type Row } from "../management.ts";

/** RabbitMQ's words for the management API's. */
const deleteRefusals: readonly (readonly [pattern: RegExp, text: string])[] = [
  [/ not empty/, "Queue is not empty"],
  [/ in use/, "Queue is in use"],
];

async function deleteQueue({ management, ...call }: Call): Promise<Output> {
  const path = apiPath("queues", call.vhost, call.arguments[0]!);
  const queue = await management.find(path);
  if (queue === undefined) throw failed("usage", "Queue not found");
  const conditions = ["if-empty", "if-unused"].filter((name) => call.options[name] === true);
  try {
    await management.delete(`${path}?${conditions.map((name) => `${name}=true`).join("&")}`);
  } catch (error) {
    const { message } = error as Error;
    const refusal = deleteRefusals.find(([pattern]) => pattern.test(message));
    if (!(error instanceof ManagementError) || refusal === undefined) throw error;
    throw failed("usage", refusal[1]);
  }
  const text = `Queue was successfully deleted with ${queue["messages_ready"]} ready messages`;
  return call.options["quiet"] === true || call.options["silent"] === true ? undefined : { text };
}

function deleteQueueSays({ arguments: [name], vhost, options }: Call): string {
  const conditions = [
    ...(options["if-empty"] === true ? ["if queue is empty "] : []),
    ...(options["if-unused"] === true ? ["if queue is unused "] : []),
  ];
  return `Deleting queue '${name}' on vhost '${vhost}' ${conditions.join("and ")}...`;
}

async function purgeQueue({ management, vhost, arguments: [name = ""] }: Call): Promise<undefined> {
  const path = apiPath("queues", vhost, name);
  if ((await management.find(path)) === undefined) throw failed("unavailable", "not_found");
  await management.delete(`${path}/contents`);
}

/** Whether it was there. Most of those who are closed do not wait for it. */
async function close({ management }: Call, name: string, reason: string): Promise<boolean> {
  try {
    await management.delete(apiPath("connections", name), {
      // A header cannot carry all characters.
      "x-reason": reason.replace(/[^\x20-\x7e]/g, "?"),
    });
    return true;
  } catch (error) {
    if (error instanceof ManagementError && error.status === 404) return false;
    throw error;
  }
}

/** A pid that is not there any more has been closed, as it was wanted [RabbitMQ]. */
async function closeConnection(call: Call): Promise<undefined> {
  const [name = "", reason = ""] = call.arguments;
  if ((await close(call, name, reason)) || /^<.*>$/.test(name)) return;
  throw failed("unavailable", `there is no connection '${name}'`);
}

async function closeAll(call: Call, isMeant: (row: Row) => boolean, most: number) {
  const reason = call.arguments.at(-1)!;
  const all = (await call.management.list("/api/connections")).filter(isMeant);
  const some = most > 0 ? all.slice(0, most) : all;
  for (const { name } of some) await close(call, String(name), reason);
  return some.length;
}

const group = "Operations";

export const operationCommands: readonly Command[] = [
  {
    name: "delete_queue",
    ...{ group: "Queues", tools: control, takes: [1, 1] },
    options: { "if-empty": "flag", "if-unused": "flag" },
    usage: "[--vhost <vhost>] <queue_name> [--if-empty] [--if-unused]",
    summary: "Deletes a queue",
    says: deleteQueueSays,
    run: deleteQueue,
  },
  {
    name: "purge_queue",
    ...{ group: "Queues", tools: control, takes: [1, 1], usage: "[--vhost <vhost>] <queue>" },
    summary: "Purges a queue (removes all messages in it)",
    says: ({ arguments: [name], vhost }) => `Purging queue '${name}' in vhost '${vhost}' ...`,
    run: purgeQueue,
  },
  {
    name: "close_connection",
    ...{ group, tools: control, takes: [2, 2], usage: "<connectionpid> <explanation>" },
    summary: "Instructs the broker to close the connection with the given name",
    says: ({ arguments: [name, reason] }) => `Closing connection ${name}, reason: ${reason}...`,
    run: closeConnection,
  },
  {
    name: "close_all_connections",
    ...{ group, tools: control, takes: [1, 1] },
    options: { limit: "integer", global: "flag", "per-connection-delay": "integer" },
    usage:
      "[--vhost <vhost> --limit <limit>] [-n <node> --global] [--per-connection-delay <delay>] <explanation>",
    summary: "Instructs the broker to close all connections in a virtual host, or of the node",
    says: ({ arguments: [reason], vhost, node, options: { global, limit = "all" } }) =>
      global === true
        ? `Closing all connections to node ${node} (across all vhosts), reason: ${reason}...`
        : `Closing ${limit} connections in vhost ${vhost}, reason: ${reason}...`,
    async run(call) {
      const { global, limit = 0 } = call.options;
      const isMeant = (row: Row): boolean => global === true || row["vhost"] === call.vhost;
      return { text: `Closed ${await closeAll(call, isMeant, Number(limit))} connections` };
    },
  },
  {
    name: "close_all_user_connections",
    ...{ group, tools: control, takes: [2, 2], usage: "<username> <explanation>" },
    summary: "Instructs the broker to close all connections of the given user",
    says: ({ arguments: [user, reason] }) =>
      `Closing connections of user ${user}, reason: ${reason}...`,
    async run(call) {
      await closeAll(call, (row) => row["user"] === call.arguments[0], 0);
      return undefined;
    },
  },
];
