/** Users: their hashes, tags and limits. No password ever comes out. */

import { DEFAULT_ALGORITHM, PasswordHash } from "../broker/password.ts";
import type { User, UserSpec } from "../broker/users.ts";
import { badRequest, nothingThere } from "./http-error.ts";
import { given, type JsonObject, object, tags, text } from "./input.ts";
import { limitNames, limitsFromJson, limitsToJson } from "./limits.ts";
import { chosenColumns, listing } from "./listing.ts";
import { permissionsWhere, topicPermissionsWhere } from "./permissions.ts";
import { type Call, done, ok, put, type Reply, type Route } from "./route.ts";

export function userJson(user: User): Record<string, unknown> {
  const { name, passwordHash, limits } = user;
  return {
    name,
    password_hash: passwordHash?.toString() ?? "",
    hashing_algorithm: passwordHash?.algorithm ?? DEFAULT_ALGORITHM,
    tags: user.tags,
    limits: limitsToJson(limits, limitNames.user),
  };
}

function userOf(call: Call): User {
  const user = call.host.users.find(call.parameter("user"));
  if (user === undefined) throw nothingThere();
  return user;
}

/** What an object says of a user; its tags are needed, and without a password nobody can log in with one [RabbitMQ]. */
export function userSpec(body: JsonObject): UserSpec {
  const tagList = tags(body, "tags");
  if (tagList === undefined) throw badRequest("tags_not_present");
  const password = text(body, "password");
  const passwordHash = text(body, "password_hash");
  const hashingAlgorithm = text(body, "hashing_algorithm");
  const limits = object(body, "limits");
  return {
    tags: tagList,
    ...(password !== undefined && { password }),
    ...(password === undefined && { passwordHash: passwordHash ?? "" }),
    ...(hashingAlgorithm !== undefined && { hashingAlgorithm }),
    ...(limits !== undefined && { limits: limitsFromJson(limits, limitNames.user) }),
  };
}

function putUser(call: Call): Reply {
  const { users } = call.host;
  const name = call.parameter("user");
  const spec = userSpec(call.json);
  const isNew = users.find(name) === undefined;
  if (isNew) users.add(name, spec);
  else users.change(name, spec);
  return put(isNew);
}

function bulkDelete({ host, json }: Call): Reply {
  const names = given(json, "users");
  if (!Array.isArray(names)) throw badRequest("[{key_missing,users}]");
  for (const name of names) {
    if (typeof name !== "string" || host.users.find(name) === undefined)
      throw badRequest(["no_such_user", name]);
  }
  for (const name of new Set(names as string[])) host.users.delete(name);
  return done;
}

function withoutPermissions({ host, query }: Call): Reply {
  const permitted = new Set([...host.permissions.all()].map(({ user }) => user));
  const rest = [...host.users.all()].filter(({ name }) => !permitted.has(name));
  return ok(listing(rest.map(userJson), query));
}

function hashPassword(call: Call): Reply {
  return ok({ ok: PasswordHash.of(call.parameter("password")).toString() });
}

export const userRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/users",
    needs: "administrator",
    summary: "All users",
    handle: ({ host, query }) => ok(listing([...host.users.all()].map(userJson), query)),
  },
  {
    method: "GET",
    path: "/api/users/without-permissions",
    needs: "administrator",
    summary: "The users who may do nothing anywhere",
    handle: withoutPermissions,
  },
  {
    method: "POST",
    path: "/api/users/bulk-delete",
    needs: "administrator",
    summary: "Deletes several users",
    handle: bulkDelete,
  },
  {
    method: "GET",
    path: "/api/users/:user",
    needs: "administrator",
    summary: "A user",
    handle: (call) => ok(chosenColumns(userJson(userOf(call)), call.query)),
  },
  {
    method: "PUT",
    path: "/api/users/:user",
    needs: "administrator",
    summary: "Adds or changes a user",
    handle: putUser,
  },
  {
    method: "DELETE",
    path: "/api/users/:user",
    needs: "administrator",
    summary: "Deletes a user",
    handle: (call) => {
      call.host.users.delete(userOf(call).name);
      return done;
    },
  },
  {
    method: "GET",
    path: "/api/users/:user/permissions",
    needs: "administrator",
    summary: "The permissions of a user",
    handle: (call) =>
      ok(listing(permissionsWhere(call.host, { user: userOf(call).name }), call.query)),
  },
  {
    method: "GET",
    path: "/api/users/:user/topic-permissions",
    needs: "administrator",
    summary: "The topic permissions of a user",
    handle: (call) =>
      ok(listing(topicPermissionsWhere(call.host, { user: userOf(call).name }), call.query)),
  },
  {
    method: "GET",
    path: "/api/auth/hash_password/:password",
    needs: "administrator",
    summary: "The hash of a password, with a salt of its own",
    handle: hashPassword,
  },
];
