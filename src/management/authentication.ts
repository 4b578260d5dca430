/**
 * Who a request is from, and whether that user may come to the route.
 *
 * No reply tells whether a user exists: an unknown one and a wrong password look the same, and take the same time.
 */

import type { Host } from "../broker/host.ts";
import { login } from "../broker/login.ts";
import type { User } from "../broker/users.ts";
import { HttpError, notAuthorised } from "./http-error.ts";
import { hasKey, operator } from "./operator.ts";
import type { Needs, Route } from "./route.ts";
import { isAdministrator, isManagementUser, isMonitor, isPolicymaker } from "./tags.ts";

/** For a browser to ask for a password. */
export const CHALLENGE = 'Basic realm="RabbitMQ Management"';

/** Without credentials. */
export const unauthenticated = new HttpError(401, {});

const refused = new HttpError(401, { error: "not_authorized", reason: "Login failed" });

const BASIC = /^basic\s+([A-Za-z0-9+/_-]*={0,2})\s*$/i;

/** The user of a header `Authorization`, or the operator, who has the key; throws `unauthenticated`, or a 401 that says no more than that it is refused. */
export function authenticate(
  host: Host,
  header: string | undefined,
  address: string,
  operatorKey: string | undefined,
): User {
  if (header === undefined) throw unauthenticated;
  if (hasKey(header, operatorKey)) return operator;
  const encoded = BASIC.exec(header)?.[1];
  if (encoded === undefined) throw refused;
  const credentials = Buffer.from(encoded, "base64");
  const colon = credentials.indexOf(":");
  if (colon < 0) throw refused;
  const userName = credentials.toString("utf8", 0, colon);
  const result = login(host, { userName, password: credentials.subarray(colon + 1) }, address);
  if (typeof result !== "string") return result;
  host.log.warn({ user: userName, address }, `HTTP access denied: user '${userName}' - ${result}`);
  throw refused;
}

const allowed: Readonly<
  Record<Exclude<Needs, "nothing">, readonly [(user: User) => boolean, refusal: string]>
> = {
  management: [isManagementUser, "Not management user"],
  monitoring: [isMonitor, "Not monitor user"],
  policymaker: [isPolicymaker, "User not authorised to access object"],
  administrator: [isAdministrator, "Not administrator user"],
};

/** Throws a 401 when the user's tags do not suffice, or when the virtual host is not one that the user sees. */
export function authorise(host: Host, user: User, route: Route, vhost: string | undefined): void {
  const { needs, method } = route;
  if (needs === "nothing") return;
  if (!isManagementUser(user)) throw notAuthorised("Not management user");
  const [isAllowed, refusal] = allowed[needs];
  if (!isAllowed(user)) throw notAuthorised(refusal);
  if (vhost === undefined || host.virtualHosts.find(vhost) === undefined) return;
  if (isAdministrator(user) || (method === "GET" && isMonitor(user))) return;
  if (host.permissions.get(user.name, vhost) === undefined)
    throw notAuthorised("User not authorised to access virtual host");
}
