/** Limits of virtual hosts and users, under RabbitMQ's names. */

import { badRequest, nothingThere } from "./http-error.ts";
import { given, type JsonObject, parseInteger, require } from "./input.ts";
import { type Call, done, ok, type Reply, type Route } from "./route.ts";

type Names = Readonly<Record<string, string>>;
type Limits = Readonly<Record<string, number>>;

/** RabbitMQ's names, and ours. */
export const limitNames = {
  vhost: { "max-connections": "maxConnections", "max-queues": "maxQueues" },
  user: { "max-connections": "maxConnections", "max-channels": "maxChannels" },
} as const satisfies Record<string, Names>;

export function limitsToJson(limits: object, names: Names): Limits {
  const known = limits as Limits;
  return Object.fromEntries(
    Object.entries(names).flatMap(([name, ours]) =>
      known[ours] === undefined ? [] : [[name, known[ours]]],
    ),
  );
}

export function limitsFromJson(json: JsonObject, names: Names): Limits {
  return Object.fromEntries(
    Object.entries(json).map(([name, value]) => [nameOf(name, names), parseInteger(value)]),
  );
}

function nameOf(name: string, names: Names): string {
  if (Object.hasOwn(names, name)) return names[name]!;
  throw badRequest(`Unrecognised limit ${name}: the limits are ${Object.keys(names).join(", ")}`);
}

function limitOf(call: Call): number {
  require(call.json, "value");
  return parseInteger(given(call.json, "value"));
}

/** `limits` with one of them changed, or taken away when there is no value. */
function changed(limits: object, name: string, value: number | undefined): Limits {
  return { ...(limits as Limits), [name]: value ?? -1 };
}

function setVirtualHostLimit(call: Call, value: number | undefined): Reply {
  const name = nameOf(call.parameter("name"), limitNames.vhost);
  const { vhost } = call;
  const limits = changed(vhost.limits, name, value);
  call.host.virtualHosts.change(vhost.name, { limits });
  return done;
}

function userOf(call: Call): { readonly name: string; readonly limits: object } {
  const user = call.host.users.find(call.parameter("user"));
  if (user === undefined) throw nothingThere();
  return user;
}

function setUserLimit(call: Call, value: number | undefined): Reply {
  const name = nameOf(call.parameter("name"), limitNames.user);
  const user = userOf(call);
  call.host.users.change(user.name, { limits: changed(user.limits, name, value) });
  return done;
}

function virtualHostLimits(call: Call): Reply {
  const rows = [...call.visibleVirtualHosts()].map((vhost) => ({
    vhost: vhost.name,
    value: limitsToJson(vhost.limits, limitNames.vhost),
  }));
  return ok(rows.filter(({ value }) => Object.keys(value).length > 0));
}

function userLimits(call: Call): Reply {
  const users = call.parameter("user") === "" ? [...call.host.users.all()] : [userOf(call)];
  const rows = users
    .filter(({ name }) => call.seesUser(name))
    .map(({ name, limits }) => ({ user: name, value: limitsToJson(limits, limitNames.user) }));
  return ok(rows.filter(({ value }) => Object.keys(value).length > 0));
}

export const limitRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/vhost-limits",
    needs: "management",
    summary: "The limits of all virtual hosts",
    handle: virtualHostLimits,
  },
  {
    method: "GET",
    path: "/api/vhost-limits/:vhost",
    needs: "management",
    summary: "The limits of a virtual host",
    handle: virtualHostLimits,
  },
  {
    method: "PUT",
    path: "/api/vhost-limits/:vhost/:name",
    needs: "administrator",
    summary: "Sets a limit of a virtual host",
    handle: (call) => setVirtualHostLimit(call, limitOf(call)),
  },
  {
    method: "DELETE",
    path: "/api/vhost-limits/:vhost/:name",
    needs: "administrator",
    summary: "Takes a limit of a virtual host away",
    handle: (call) => setVirtualHostLimit(call, undefined),
  },
  {
    method: "GET",
    path: "/api/user-limits",
    needs: "management",
    summary: "The limits of all users",
    handle: userLimits,
  },
  {
    method: "GET",
    path: "/api/user-limits/:user",
    needs: "management",
    summary: "The limits of a user",
    handle: userLimits,
  },
  {
    method: "PUT",
    path: "/api/user-limits/:user/:name",
    needs: "administrator",
    summary: "Sets a limit of a user",
    handle: (call) => setUserLimit(call, limitOf(call)),
  },
  {
    method: "DELETE",
    path: "/api/user-limits/:user/:name",
    needs: "administrator",
    summary: "Takes a limit of a user away",
    handle: (call) => setUserLimit(call, undefined),
  },
];
