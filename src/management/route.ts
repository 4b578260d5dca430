/**
 * What a route is: a row of the table from which the server, its checks, the OpenAPI document and the list of tests come.
 *
 * A handler gets a `Call`, in which the user is known and allowed to be here, and returns a reply. What it cannot do it
 * throws as an `HttpError`, or as the broker's own error.
 */

import type { Access } from "../broker/access.ts";
import type { Host } from "../broker/host.ts";
import type { User } from "../broker/users.ts";
import type { VirtualHost } from "../broker/vhost.ts";
import type { ManagementContext } from "./context.ts";
import { nothingThere } from "./http-error.ts";
import { type JsonObject, parseObject } from "./input.ts";
import type { Query } from "./listing.ts";
import { operator, operatorAccess } from "./operator.ts";
import { isAdministrator, isMonitor } from "./tags.ts";

/**
 * Who may come: anybody at all, without a log-in; users with one of the tags that let into the management API; or those with
 * this tag or a higher one.
 */
export type Needs = "nothing" | "management" | "policymaker" | "monitoring" | "administrator";

export type HttpMethod = "GET" | "PUT" | "POST" | "DELETE";

export interface Reply {
  readonly status: number;
  /** Written as JSON, unless it is text already. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Route {
  readonly method: HttpMethod;
  /** Parts that begin with a colon are parameters. In `:vhost` a virtual host that the user must be able to see. */
  readonly path: string;
  readonly needs: Needs;
  /** For the OpenAPI document. */
  readonly summary: string;
  /** Of the request; `BODY_BYTES_MAX` when absent. */
  readonly bodyBytesMax?: number;
  readonly handle: (call: Call) => Reply | Promise<Reply>;
}

export interface CallDetails {
  readonly context: ManagementContext;
  readonly user: User;
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** One request. */
export class Call {
  readonly context: ManagementContext;
  readonly host: Host;
  readonly user: User;
  readonly query: Query;
  readonly body: Buffer;
  readonly headers: CallDetails["headers"];
  readonly #parameters: CallDetails["parameters"];
  #json: JsonObject | undefined;

  constructor({ context, user, parameters, query, body, headers }: CallDetails) {
    this.context = context;
    this.host = context.host;
    this.user = user;
    this.query = query;
    this.body = body;
    this.headers = headers;
    this.#parameters = parameters;
  }

  /** A part of the path. */
  parameter(name: string): string {
    return this.#parameters[name] ?? "";
  }

  /** The body as an object; throws a 400 when it is none. */
  get json(): JsonObject {
    this.#json ??= parseObject(this.body);
    return this.#json;
  }

  /** The virtual host of the path; throws a 404 when there is none. */
  get vhost(): VirtualHost {
    const vhost = this.host.virtualHosts.find(this.parameter("vhost"));
    if (vhost === undefined) throw nothingThere();
    return vhost;
  }

  /** What the user may do there. */
  accessTo(vhost: VirtualHost): Access {
    if (this.user === operator) return operatorAccess(vhost.name);
    return this.host.permissions.access(this.user.name, vhost.name);
  }

  /** Whether the user is to see what is in a virtual host. */
  sees(vhost: string): boolean {
    return isMonitor(this.user) || this.host.permissions.get(this.user.name, vhost) !== undefined;
  }

  /** The virtual host of the path, or all that the user sees when there is none in the path. */
  *visibleVirtualHosts(): Iterable<VirtualHost> {
    if (this.parameter("vhost") !== "") {
      yield this.vhost;
      return;
    }
    for (const vhost of this.host.virtualHosts.all()) if (this.sees(vhost.name)) yield vhost;
  }

  /** Whether the user is to see what another one does. */
  seesUser(name: string): boolean {
    return isMonitor(this.user) || isAdministrator(this.user) || name === this.user.name;
  }
}

export function ok(body: unknown): Reply {
  return { status: 200, body };
}

export const created: Reply = { status: 201 };
export const done: Reply = { status: 204 };

/** The reply to a PUT. */
export function put(isNew: boolean): Reply {
  return isNew ? created : done;
}
