/** Permissions and topic permissions: who may do what where. */

import type { Host } from "../broker/host.ts";
import { badRequest, nothingThere } from "./http-error.ts";
import { require, requiredText } from "./input.ts";
import { listing } from "./listing.ts";
import { type Call, done, ok, put, type Reply, type Route } from "./route.ts";

interface Where {
  readonly user?: string;
  readonly vhost?: string;
}

type Row = Record<string, unknown>;
type TopicRow = Row & { readonly exchange: string };

function matches(grant: { user: string; vhost: string }, { user, vhost }: Where): boolean {
  return (
    (user === undefined || grant.user === user) && (vhost === undefined || grant.vhost === vhost)
  );
}

export function permissionsWhere(host: Host, where: Where): Row[] {
  return [...host.permissions.all()]
    .filter((grant) => matches(grant, where))
    .map((grant) => ({ ...grant }));
}

export function topicPermissionsWhere(host: Host, where: Where): TopicRow[] {
  return [...host.permissions.allTopics()]
    .filter((grant) => matches(grant, where))
    .map((grant) => ({ ...grant }));
}

/** The user and the virtual host of the path; throws `error` unless both are there. */
function checkBoth(call: Call, error: Error): { user: string; vhost: string } {
  const { users, virtualHosts } = call.host;
  const user = call.parameter("user");
  const vhost = call.parameter("vhost");
  if (users.find(user) === undefined || virtualHosts.find(vhost) === undefined) throw error;
  return { user, vhost };
}

function getPermission(call: Call): Reply {
  const { user, vhost } = checkBoth(call, nothingThere());
  const permission = call.host.permissions.get(user, vhost);
  if (permission === undefined) throw nothingThere();
  return ok({ user, vhost, ...permission });
}

function putPermission(call: Call): Reply {
  const { user, vhost } = checkBoth(call, badRequest("vhost_or_user_not_found"));
  const { permissions } = call.host;
  const body = call.json;
  require(body, "configure", "write", "read");
  const isNew = permissions.get(user, vhost) === undefined;
  permissions.set(user, vhost, {
    configure: requiredText(body, "configure"),
    write: requiredText(body, "write"),
    read: requiredText(body, "read"),
  });
  return put(isNew);
}

function deletePermission(call: Call): Reply {
  const { user, vhost } = checkBoth(call, nothingThere());
  if (call.host.permissions.get(user, vhost) === undefined) throw nothingThere();
  call.host.permissions.clear(user, vhost);
  return done;
}

function topicsOf(call: Call): TopicRow[] {
  const exchange = call.parameter("exchange");
  const all = topicPermissionsWhere(call.host, checkBoth(call, nothingThere()));
  return exchange === "" ? all : all.filter((row) => row.exchange === exchange);
}

function getTopicPermissions(call: Call): Reply {
  const rows = topicsOf(call);
  if (rows.length === 0) throw nothingThere();
  return ok(listing(rows, call.query));
}

function putTopicPermission(call: Call): Reply {
  const { user, vhost } = checkBoth(call, badRequest("vhost_or_user_not_found"));
  const body = call.json;
  require(body, "exchange", "write", "read");
  const exchange = requiredText(body, "exchange");
  // New is the first one, of whatever exchange [RabbitMQ].
  const isNew = topicsOf(call).length === 0;
  call.host.permissions.setTopic(user, vhost, exchange, {
    write: requiredText(body, "write"),
    read: requiredText(body, "read"),
  });
  return put(isNew);
}

function deleteTopicPermissions(call: Call): Reply {
  const { user, vhost } = checkBoth(call, nothingThere());
  if (topicsOf(call).length === 0) throw nothingThere();
  const exchange = call.parameter("exchange");
  call.host.permissions.clearTopic(user, vhost, exchange === "" ? undefined : exchange);
  return done;
}

const topicPath = "/api/topic-permissions/:vhost/:user";

export const permissionRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/permissions",
    needs: "administrator",
    summary: "All permissions",
    handle: ({ host, query }) => ok(listing(permissionsWhere(host, {}), query)),
  },
  {
    method: "GET",
    path: "/api/permissions/:vhost/:user",
    needs: "administrator",
    summary: "The permissions of a user in a virtual host",
    handle: getPermission,
  },
  {
    method: "PUT",
    path: "/api/permissions/:vhost/:user",
    needs: "administrator",
    summary: "Sets the permissions of a user in a virtual host",
    handle: putPermission,
  },
  {
    method: "DELETE",
    path: "/api/permissions/:vhost/:user",
    needs: "administrator",
    summary: "Takes the permissions of a user in a virtual host away",
    handle: deletePermission,
  },
  {
    method: "GET",
    path: "/api/topic-permissions",
    needs: "administrator",
    summary: "All topic permissions",
    handle: ({ host, query }) => ok(listing(topicPermissionsWhere(host, {}), query)),
  },
  {
    method: "GET",
    path: topicPath,
    needs: "administrator",
    summary: "The topic permissions of a user in a virtual host",
    handle: getTopicPermissions,
  },
  {
    method: "PUT",
    path: topicPath,
    needs: "administrator",
    summary: "Sets a topic permission of a user in a virtual host",
    handle: putTopicPermission,
  },
  {
    method: "DELETE",
    path: topicPath,
    needs: "administrator",
    summary: "Takes the topic permissions of a user in a virtual host away",
    handle: deleteTopicPermissions,
  },
  {
    method: "GET",
    path: `${topicPath}/:exchange`,
    needs: "administrator",
    summary: "The topic permission of a user for an exchange",
    handle: getTopicPermissions,
  },
  {
    method: "DELETE",
    path: `${topicPath}/:exchange`,
    needs: "administrator",
    summary: "Takes the topic permission of a user for an exchange away",
    handle: deleteTopicPermissions,
  },
];
