/** Permissions and topic permissions. */

import { both, type Call, type Command, control, type Output } from "../command.ts";
import { failed } from "../failure.ts";
import { foundVirtualHost } from "../found.ts";
import { apiPath, type Row } from "../management.ts";

/** RabbitMQ has other words for it here. */
async function check({ management, vhost }: Call, user: string): Promise<void> {
  if ((await management.find(apiPath("vhosts", vhost))) === undefined)
    throw failed("unavailable", `Virtual host ${vhost} does not exist`);
  if ((await management.find(apiPath("users", user))) === undefined)
    throw failed("noUser", `User ${user} does not exist`);
}

async function setPermissions(call: Call): Promise<undefined> {
  const [user = "", configure, write, read] = call.arguments;
  await check(call, user);
  await call.management.put(apiPath("permissions", call.vhost, user), { configure, write, read });
}

/** What is not there is cleared already. */
async function clear(call: Call, path: string): Promise<undefined> {
  await check(call, call.arguments[0]!);
  if ((await call.management.find(path)) !== undefined) await call.management.delete(path);
}

async function setTopicPermissions(call: Call): Promise<undefined> {
  const [user = "", exchange, write, read] = call.arguments;
  await check(call, user);
  await call.management.put(apiPath("topic-permissions", call.vhost, user), {
    ...{ exchange, write, read },
  });
}

async function clearTopicPermissions(call: Call): Promise<undefined> {
  const [user = "", exchange] = call.arguments;
  const path = apiPath("topic-permissions", call.vhost, user);
  if (exchange === undefined) return await clear(call, path);
  await check(call, user);
  const list = (await call.management.list(apiPath("users", user, "topic-permissions"))) ?? [];
  const isThere = list.some((row) => row["exchange"] === exchange && row["vhost"] === call.vhost);
  if (isThere)
    await call.management.delete(apiPath("topic-permissions", call.vhost, user, exchange));
}

async function inVirtualHost(call: Call, kind: string, columns: string[]): Promise<Output> {
  await foundVirtualHost(call, call.vhost);
  const rows = await call.management.list(apiPath("vhosts", call.vhost, kind));
  return { columns, rows, collected: true };
}

async function ofUser(call: Call, kind: string): Promise<readonly Row[]> {
  const [user = ""] = call.arguments;
  if ((await call.management.find(apiPath("users", user))) === undefined)
    throw failed("unavailable", `{:no_such_user, "${user}"}`);
  return await call.management.list(apiPath("users", user, kind));
}

const group = "Access Control";
const listUsage = "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]";

export const permissionCommands: readonly Command[] = [
  {
    name: "set_permissions",
    ...{ group, tools: control, takes: [4, 4] },
    usage: "[--vhost <vhost>] <username> <conf> <write> <read>",
    summary: "Sets user permissions for a vhost",
    says: ({ arguments: [user], vhost }) =>
      `Setting permissions for user "${user}" in vhost "${vhost}" ...`,
    run: setPermissions,
  },
  {
    name: "clear_permissions",
    ...{ group, tools: control, takes: [1, 1], usage: "[--vhost <vhost>] <username>" },
    summary: "Revokes user permissions for a vhost",
    says: ({ arguments: [user], vhost }) =>
      `Clearing permissions for user "${user}" in vhost "${vhost}" ...`,
    run: (call) => clear(call, apiPath("permissions", call.vhost, call.arguments[0]!)),
  },
  {
    name: "list_permissions",
    ...{ group, tools: both, usage: listUsage },
    summary: "Lists user permissions in a virtual host",
    says: ({ vhost }) => `Listing permissions for vhost "${vhost}" ...`,
    run: (call) => inVirtualHost(call, "permissions", ["user", "configure", "write", "read"]),
  },
  {
    name: "list_user_permissions",
    ...{ group, tools: both, takes: [1, 1] },
    usage: "<username> [--no-table-headers] [--timeout <timeout>]",
    summary: "Lists permissions of a user across all virtual hosts",
    says: ({ arguments: [user] }) => `Listing permissions for user "${user}" ...`,
    run: async (call) => ({
      columns: ["vhost", "configure", "write", "read"],
      rows: await ofUser(call, "permissions"),
      collected: true,
    }),
  },
  {
    name: "set_topic_permissions",
    ...{ group, tools: control, takes: [4, 4] },
    usage: "[--vhost <vhost>] <username> <exchange> <write> <read>",
    summary: "Sets user topic permissions for an exchange",
    says: ({ arguments: [user, exchange], vhost }) =>
      `Setting topic permissions on "${exchange}" for user "${user}" in vhost "${vhost}" ...`,
    run: setTopicPermissions,
  },
  {
    name: "clear_topic_permissions",
    ...{ group, tools: control, takes: [1, 2], usage: "[--vhost <vhost>] <username> [<exchange>]" },
    summary: "Clears user topic permissions for a vhost or exchange",
    says: ({ arguments: [user, exchange], vhost }) =>
      exchange === undefined
        ? `Clearing topic permissions for user "${user}" in vhost "${vhost}" ...`
        : `Clearing topic permissions on "${exchange}" for user "${user}" in vhost "${vhost}" ...`,
    run: clearTopicPermissions,
  },
  {
    name: "list_topic_permissions",
    ...{ group, tools: both, usage: listUsage },
    summary: "Lists topic permissions in a virtual host",
    says: ({ vhost }) => `Listing topic permissions for vhost "${vhost}" ...`,
    run: (call) => inVirtualHost(call, "topic-permissions", ["user", "exchange", "write", "read"]),
  },
  {
    name: "list_user_topic_permissions",
    ...{ group, tools: both, takes: [1, 1] },
    usage: "<username> [--no-table-headers] [--timeout <timeout>]",
    summary: "Lists user topic permissions",
    says: ({ arguments: [user] }) => `Listing topic permissions for user "${user}" ...`,
    run: async (call) => ({
      columns: ["vhost", "exchange", "write", "read"],
      rows: await ofUser(call, "topic-permissions"),
      collected: true,
      noHeading: true,
    }),
  },
];
