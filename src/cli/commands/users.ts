/** Users: their passwords, tags and limits. */

import { both, type Call, type Command, control, type Output } from "../command.ts";
import { failed } from "../failure.ts";
import { decodedObject, foundUser } from "../found.ts";
import { apiPath, ManagementError, type Row } from "../management.ts";

/** Leaves everything else of the user as it is. */
async function change(call: Call, name: string, changed: Row): Promise<void> {
  const { tags, password_hash } = await foundUser(call, name);
  const kept = "password" in changed ? { tags } : { tags, password_hash };
  await call.management.put(apiPath("users", name), { ...kept, ...changed });
}

/** The argument after the name, or the first line of the standard input. */
async function passwordOf(call: Call, name: string): Promise<string> {
  const given = call.arguments[1];
  if (given !== undefined) return given;
  call.say("Password: ");
  const [line = ""] = (await call.input()).split(/\r?\n/, 1);
  if (line === "") throw failed("dataError", `${name} is not provided via argument or stdin`);
  return line;
}

async function addUser(call: Call): Promise<Output> {
  const [name = ""] = call.arguments;
  const isHash = call.options["pre-hashed-password"] === true;
  const secret = await passwordOf(call, isHash ? "Password hash" : "Password");
  const path = apiPath("users", name);
  if ((await call.management.find(path)) !== undefined)
    throw failed("software", `User "${name}" already exists`);
  await call.management.put(path, { [isHash ? "password_hash" : "password"]: secret, tags: [] });
  if (call.options["quiet"] === true || call.options["silent"] === true) return undefined;
  const text = `Done. Don't forget to grant the user permissions to some virtual hosts! See '${call.tool} help set_permissions' to learn more.`;
  return { text };
}

/** Those who may not use the API are known all the same: they are refused in other words. */
async function authenticate(call: Call): Promise<Output> {
  const [user = ""] = call.arguments;
  const password = await passwordOf(call, "Password");
  try {
    await call.management.as({ user, password }).get("/api/whoami");
  } catch (error) {
    if (!(error instanceof ManagementError) || error.status !== 401) throw error;
    if (!error.message.startsWith("Not ")) {
      const text = `Error: failed to authenticate user "${user}"\nuser '${user}' - invalid credentials`;
      throw failed("dataError", text);
    }
  }
  return { text: "Success" };
}

async function setTags(call: Call): Promise<undefined> {
  const [name = "", ...tags] = call.arguments;
  await change(call, name, { tags: tags.flatMap((tag) => tag.split(",")) });
}

async function setLimits(call: Call): Promise<undefined> {
  const [name = "", definition = ""] = call.arguments;
  const limits = Object.entries(decodedObject(definition));
  await foundUser(call, name);
  for (const [limit, value] of limits)
    await call.management.put(apiPath("user-limits", name, limit), { value });
}

async function limitsOf({ management }: Call, name: string): Promise<object> {
  const rows = await management.list(apiPath("user-limits", name));
  return (rows[0]?.["value"] ?? {}) as object;
}

async function clearLimits(call: Call): Promise<undefined> {
  const [name = "", limit = ""] = call.arguments;
  await foundUser(call, name);
  const limits = limit === "all" ? Object.keys(await limitsOf(call, name)) : [limit];
  for (const each of limits) await call.management.delete(apiPath("user-limits", name, each));
}

async function listLimits(call: Call): Promise<Output> {
  if (call.options["global"] !== true) {
    const name = String(call.options["user"] ?? "guest");
    await foundUser(call, name);
    return { text: JSON.stringify(await limitsOf(call, name)) };
  }
  const rows = await call.management.list("/api/user-limits");
  return {
    columns: ["user", "limits"],
    rows: rows.map(({ user, value }) => ({ user, limits: JSON.stringify(value) })),
    collected: true,
  };
}

const group = "Users";

export const userCommands: readonly Command[] = [
  {
    name: "add_user",
    ...{ group, tools: control, takes: [1, 2], options: { "pre-hashed-password": "flag" } },
    usage: "<username> [<password>] [<password_hash> --pre-hashed-password]",
    summary:
      "Creates a new user in the internal database. This user will have no permissions for any virtual hosts by default.",
    says: ({ arguments: [name] }) => `Adding user "${name}" ...`,
    run: addUser,
  },
  {
    name: "delete_user",
    ...{ group, tools: control, takes: [1, 1], usage: "<username>" },
    summary: "Removes a user from the internal database",
    says: ({ arguments: [name] }) => `Deleting user "${name}" ...`,
    async run(call) {
      const [name = ""] = call.arguments;
      await foundUser(call, name);
      await call.management.delete(apiPath("users", name));
      return undefined;
    },
  },
  {
    name: "change_password",
    ...{ group, tools: control, takes: [1, 2], usage: "<username> [<password>]" },
    summary: "Changes the user password",
    says: ({ arguments: [name] }) => `Changing password for user "${name}" ...`,
    async run(call) {
      const password = await passwordOf(call, "Password");
      await change(call, call.arguments[0]!, { password });
      return undefined;
    },
  },
  {
    name: "clear_password",
    ...{ group, tools: control, takes: [1, 1], usage: "<username>" },
    summary: "Clears (resets) password and disables password login for a user",
    says: ({ arguments: [name] }) => `Clearing password for user "${name}" ...`,
    async run(call) {
      await change(call, call.arguments[0]!, { password_hash: "" });
      return undefined;
    },
  },
  {
    name: "authenticate_user",
    ...{ group, tools: control, takes: [1, 2], usage: "<username> [<password>]" },
    summary: "Attempts to authenticate a user. Exits with a non-zero code if authentication fails.",
    says: ({ arguments: [name] }) => `Authenticating user "${name}" ...`,
    run: authenticate,
  },
  {
    name: "set_user_tags",
    ...{ group, tools: control, takes: [1, 255], usage: "<username> <tag1> [<tag2> ...]" },
    summary: "Sets user tags",
    says: ({ arguments: [name, ...tags] }) =>
      `Setting tags for user "${name}" to [${tags.join(", ")}] ...`,
    run: setTags,
  },
  {
    name: "list_users",
    ...{ group, tools: both, summary: "List user names and tags" },
    usage: "[--no-table-headers] [--timeout <timeout>]",
    says: () => "Listing users ...",
    async run({ management }) {
      const rows = await management.list("/api/users");
      const columns = ["user", "tags"];
      const users = rows.map(({ name, tags }) => ({ user: name, tags }));
      return { columns, rows: users, collected: true };
    },
  },
  {
    name: "set_user_limits",
    ...{ group, tools: control, takes: [2, 2], usage: "<username> <definition>" },
    summary: "Sets user limits",
    says: ({ arguments: [name, limits] }) =>
      `Setting user limits to "${limits}" for user "${name}" ...`,
    run: setLimits,
  },
  {
    name: "clear_user_limits",
    ...{ group, tools: control, takes: [2, 2], usage: "<username> <limit_type> | all" },
    summary: "Clears user connection/channel limits",
    says: ({ arguments: [name, limit] }) =>
      limit === "all"
        ? `Clearing all limits for user "${name}" ...`
        : `Clearing "${limit}" limit for user "${name}" ...`,
    run: clearLimits,
  },
  {
    name: "list_user_limits",
    ...{ group, tools: both, options: { user: "text", global: "flag" } },
    usage: "[--user <username>] [--global]",
    summary: "Displays configured user limits",
    says: ({ options: { user = "guest", global } }) =>
      global === true
        ? "Listing limits for all users ..."
        : `Listing limits for user "${user}" ...`,
    run: listLimits,
  },
  {
    name: "hash_password",
    ...{ group, tools: control, takes: [1, 1], usage: "<cleartext_password>" },
    summary: "Hashes a plaintext password",
    says: () => "Will hash the provided password",
    async run({ management, arguments: [password = ""] }) {
      const { ok } = await management.get(apiPath("auth", "hash_password", password));
      return { text: String(ok) };
    },
  },
];
