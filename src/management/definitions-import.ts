/**
 * Makes what definitions in RabbitMQ's format say, in an order in which everything finds what it needs, whatever their own
 * order is.
 *
 * Users, permissions, parameters and policies are set as given. Queues and exchanges that exist are left as they are, and so
 * are names that begin with `amq.`, which belong to the broker. What is wrong ends the import with an error; what came before
 * stays [RabbitMQ].
 */

import { Access } from "../broker/access.ts";
import type { Json } from "../broker/erlang-term.ts";
import type { Host } from "../broker/host.ts";
import type { VirtualHost } from "../broker/vhost.ts";
import { isPredeclared } from "./definitions-export.ts";
import { badRequest, notFound } from "./http-error.ts";
import {
  flag,
  given,
  isObject,
  type JsonObject,
  object,
  require,
  requiredText,
  text,
} from "./input.ts";
import { tableFromJson } from "./json-table.ts";
import { policySpec } from "./policies.ts";
import { userSpec } from "./users.ts";
import { virtualHostSpec } from "./virtual-host-spec.ts";

const RESERVED = "amq.";

/** The objects under a name; none when it is absent. */
function rows(definitions: JsonObject, name: string): readonly JsonObject[] {
  const list = given(definitions, name);
  if (list === undefined) return [];
  if (!Array.isArray(list) || !list.every(isObject)) throw badRequest(["not_a_list", name]);
  return list;
}

/** Whether the definitions say who there is. */
export function definesUsers(definitions: JsonObject): boolean {
  return rows(definitions, "users").length > 0;
}

class Import {
  readonly #host: Host;
  readonly #definitions: JsonObject;
  /** For definitions of one virtual host: everything goes there. */
  readonly #vhost: VirtualHost | undefined;

  constructor(host: Host, definitions: JsonObject, vhost: VirtualHost | undefined) {
    this.#host = host;
    this.#definitions = definitions;
    this.#vhost = vhost;
  }

  run(): void {
    if (this.#vhost === undefined) {
      for (const row of this.#rows("users")) this.#user(row);
      for (const row of this.#rows("vhosts")) this.#virtualHost(row);
      for (const row of this.#rows("permissions")) this.#permission(row);
      for (const row of this.#rows("topic_permissions")) this.#topicPermission(row);
      for (const row of this.#rows("global_parameters")) this.#globalParameter(row);
    }
    for (const row of this.#rows("parameters")) this.#parameter(row);
    for (const row of this.#rows("policies")) this.#policy(row);
    for (const row of this.#rows("queues")) this.#queue(row);
    for (const row of this.#rows("exchanges")) this.#exchange(row);
    for (const row of this.#rows("bindings")) this.#binding(row);
  }

  #rows(name: string): readonly JsonObject[] {
    return rows(this.#definitions, name);
  }

  #virtualHostOf(row: JsonObject): VirtualHost {
    if (this.#vhost !== undefined) return this.#vhost;
    const name = requiredText(row, "vhost");
    const vhost = this.#host.virtualHosts.find(name);
    if (vhost === undefined) throw badRequest(["no_such_vhost", name]);
    return vhost;
  }

  #user(row: JsonObject): void {
    const { users } = this.#host;
    const name = requiredText(row, "name");
    if (users.find(name) === undefined) users.add(name, userSpec(row));
    else users.change(name, userSpec(row));
  }

  #virtualHost(row: JsonObject): void {
    const { virtualHosts } = this.#host;
    const name = requiredText(row, "name");
    if (virtualHosts.find(name) === undefined) virtualHosts.add(name, virtualHostSpec(row));
    else virtualHosts.change(name, virtualHostSpec(row));
  }

  #userOf(row: JsonObject): string {
    const name = requiredText(row, "user");
    if (this.#host.users.find(name) === undefined) throw badRequest(["no_such_user", name]);
    return name;
  }

  #permission(row: JsonObject): void {
    this.#host.permissions.set(this.#userOf(row), this.#virtualHostOf(row).name, {
      configure: requiredText(row, "configure"),
      write: requiredText(row, "write"),
      read: requiredText(row, "read"),
    });
  }

  #topicPermission(row: JsonObject): void {
    const exchange = requiredText(row, "exchange");
    this.#host.permissions.setTopic(this.#userOf(row), this.#virtualHostOf(row).name, exchange, {
      write: requiredText(row, "write"),
      read: requiredText(row, "read"),
    });
  }

  #globalParameter(row: JsonObject): void {
    require(row, "value");
    this.#host.globalParameters.set(requiredText(row, "name"), given(row, "value") as Json);
  }

  #parameter(row: JsonObject): void {
    require(row, "value");
    const { name } = this.#virtualHostOf(row);
    const component = requiredText(row, "component");
    this.#host.parameters.set(
      name,
      component,
      requiredText(row, "name"),
      given(row, "value") as Json,
    );
  }

  #policy(row: JsonObject): void {
    const { name } = this.#virtualHostOf(row);
    this.#host.policies.set(name, requiredText(row, "name"), policySpec(row));
  }

  #queue(row: JsonObject): void {
    const vhost = this.#virtualHostOf(row);
    const name = requiredText(row, "name");
    if (name.startsWith(RESERVED)) {
      this.#host.log.warn(
        { vhost: vhost.name, queue: name },
        `Skipping import of a queue whose name begins with 'amq.', name: ${name}`,
      );
      return;
    }
    if (vhost.queues.find(name) !== undefined) return;
    const declaration = {
      name,
      durable: flag(row, "durable"),
      autoDelete: flag(row, "auto_delete"),
      exclusive: false,
      arguments: tableFromJson(object(row, "arguments") ?? {}),
    };
    vhost.declareQueue(declaration, {}, everythingIn(vhost));
  }

  #exchange(row: JsonObject): void {
    const vhost = this.#virtualHostOf(row);
    const name = requiredText(row, "name");
    if (isPredeclared(name) || vhost.exchanges.find(name) !== undefined) return;
    vhost.exchanges.declare({
      name,
      type: requiredText(row, "type"),
      durable: flag(row, "durable"),
      autoDelete: flag(row, "auto_delete"),
      internal: flag(row, "internal"),
      arguments: tableFromJson(object(row, "arguments") ?? {}),
    });
  }

  /** One between things of which one is missing is passed over [RabbitMQ]. */
  #binding(row: JsonObject): void {
    const vhost = this.#virtualHostOf(row);
    const source = requiredText(row, "source");
    const name = requiredText(row, "destination");
    const kind = requiredText(row, "destination_type");
    if (kind !== "queue" && kind !== "exchange") throw badRequest(["unknown_type", kind]);
    const destination = kind === "queue" ? vhost.queues.find(name) : vhost.exchanges.find(name);
    if (destination === undefined || source === "" || vhost.exchanges.find(source) === undefined) {
      if (source !== "")
        this.#host.log.warn(
          { vhost: vhost.name, source, destination: name },
          "a binding has no ends",
        );
      return;
    }
    const args = tableFromJson(object(row, "arguments") ?? {});
    vhost.exchanges.bind(source, destination, text(row, "routing_key") ?? "", args);
  }
}

/** Definitions are an administrator's. */
function everythingIn(vhost: VirtualHost): Access {
  const access = new Access("", vhost.name);
  access.grant({ configure: ".*", write: ".*", read: ".*" });
  return access;
}

/** Throws an `HttpError`, or the broker's own error. */
export function importDefinitions(host: Host, definitions: JsonObject): void {
  new Import(host, definitions, undefined).run();
}

/** Into one virtual host, whatever they say of others. */
export function importVirtualHost(host: Host, definitions: JsonObject, name: string): void {
  const vhost = host.virtualHosts.find(name);
  if (vhost === undefined) throw notFound("vhost_not_found");
  new Import(host, definitions, vhost).run();
}
