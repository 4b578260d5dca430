/**
 * Definitions: everything of a broker but its messages and connections, in RabbitMQ's format.
 *
 * What goes with a connection is left out, as are predeclared exchanges and the bindings of the default exchange.
 */

import type { Host } from "../broker/host.ts";
import type { VirtualHost } from "../broker/vhost.ts";
import { RABBITMQ_VERSION, version } from "../config.ts";
import { tableToJson } from "./json-table.ts";
import { policyJson } from "./policies.ts";
import { userJson } from "./users.ts";

type Row = Record<string, unknown>;

const product = {
  rabbit_version: RABBITMQ_VERSION,
  rabbitmq_version: RABBITMQ_VERSION,
  product_name: "RabbitMQ",
  product_version: RABBITMQ_VERSION,
  leveret_version: version,
};

/** One that other brokers make by themselves, too. */
export function isPredeclared(exchange: string): boolean {
  return exchange === "" || exchange.startsWith("amq.");
}

function queuesOf(vhost: VirtualHost): Row[] {
  return [...vhost.queues.all()]
    .filter(({ exclusiveOwner }) => exclusiveOwner === undefined)
    .map(({ name, durable, autoDelete, arguments: args }) => ({
      ...{ name, vhost: vhost.name, durable, auto_delete: autoDelete },
      arguments: tableToJson(args),
    }));
}

function exchangesOf(vhost: VirtualHost): Row[] {
  return [...vhost.exchanges.all()]
    .filter(({ name }) => !isPredeclared(name))
    .map(({ name, type, durable, autoDelete, internal, arguments: args }) => ({
      ...{ name, vhost: vhost.name, type: type.name, durable, auto_delete: autoDelete, internal },
      arguments: tableToJson(args),
    }));
}

/** Those whose destination is exported, too. */
function bindingsOf(vhost: VirtualHost): Row[] {
  const rows: Row[] = [];
  for (const exchange of vhost.exchanges.all()) {
    for (const { destination, routingKey, arguments: args } of exchange.bindings) {
      const { kind, name } = destination;
      if (kind === "shelf") continue;
      const owner = kind === "queue" ? vhost.queues.find(name)?.exclusiveOwner : undefined;
      if (owner !== undefined) continue;
      rows.push({
        ...{ source: exchange.name, vhost: vhost.name, destination: name, destination_type: kind },
        ...{ routing_key: routingKey, arguments: tableToJson(args) },
      });
    }
  }
  return rows;
}

function contentOf(host: Host, vhosts: readonly VirtualHost[]): Row {
  const names = new Set(vhosts.map(({ name }) => name));
  return {
    parameters: [...host.parameters.all()].filter(({ vhost }) => names.has(vhost)),
    policies: [...host.policies.all()].filter(({ vhost }) => names.has(vhost)).map(policyJson),
    queues: vhosts.flatMap(queuesOf),
    exchanges: vhosts.flatMap(exchangesOf),
    bindings: vhosts.flatMap(bindingsOf),
  };
}

function virtualHostJson({ name, properties }: VirtualHost): Row {
  const { description, tags, defaultQueueType } = properties;
  const type = defaultQueueType === undefined ? {} : { default_queue_type: defaultQueueType };
  return { name, description, tags, metadata: { description, tags, ...type }, ...type };
}

/** Of the whole broker. */
export function exportDefinitions(host: Host): Row {
  const vhosts = [...host.virtualHosts.all()];
  return {
    ...product,
    users: [...host.users.all()].map(userJson),
    vhosts: vhosts.map(virtualHostJson),
    permissions: [...host.permissions.all()],
    topic_permissions: [...host.permissions.allTopics()],
    global_parameters: [...host.globalParameters.all()],
    ...contentOf(host, vhosts),
  };
}

function withoutVirtualHost(rows: unknown): Row[] {
  return (rows as Row[]).map(({ vhost: _, ...rest }) => rest);
}

/** Of what is in one virtual host, to be imported into any. */
export function exportVirtualHost(host: Host, vhost: VirtualHost): Row {
  const { parameters, policies, queues, exchanges, bindings } = contentOf(host, [vhost]);
  return {
    ...product,
    original_vhost_name: vhost.name,
    parameters: withoutVirtualHost(parameters),
    policies: withoutVirtualHost(policies),
    queues: withoutVirtualHost(queues),
    exchanges: withoutVirtualHost(exchanges),
    bindings: withoutVirtualHost(bindings),
  };
}
