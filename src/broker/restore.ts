/**
 * Makes what the log of the topology says, entry by entry: first users, permissions, policies and which virtual hosts there are, then
 * what is in each of these.
 */

import type { Destination } from "../exchange/exchange.ts";
import type { Queue } from "../queue/queue.ts";
import type { AdministrationEntry } from "./administration.ts";
import type { PolicyRegistries } from "./effective-policy.ts";
import type { Exchanges } from "./exchanges.ts";
import type { GlobalParameters, Parameters } from "./parameters.ts";
import type { Permissions } from "./permissions.ts";
import type { Queues } from "./queues.ts";
import { decodeTable, type TopologyEntry } from "./topology.ts";
import type { Users } from "./users.ts";
import { noProperties, propertiesFrom, type VirtualHostProperties } from "./virtual-hosts.ts";

/** A virtual host that the log leaves standing. */
export interface KeptVirtualHost {
  properties: VirtualHostProperties;
  /** Of what is in it. */
  readonly entries: TopologyEntry[];
}

export interface KeptAdministration {
  /** Whether the default user and virtual host have been made once. */
  hasDefaults: boolean;
  readonly vhosts: Map<string, KeptVirtualHost>;
  /** Names of virtual hosts that were deleted and not added again. */
  readonly deleted: Set<string>;
}

/** What is restored before any virtual host. */
export interface Registries extends PolicyRegistries {
  readonly users: Users;
  readonly permissions: Permissions;
  readonly parameters: Parameters;
  readonly globalParameters: GlobalParameters;
}

/** Restores users, permissions and policies, and sorts what virtual hosts contain by these. */
export function restoreAdministration(
  entries: Iterable<TopologyEntry | AdministrationEntry>,
  registries: Registries,
): KeptAdministration {
  const { users, permissions, policies, operatorPolicies } = registries;
  const kept: KeptAdministration = { hasDefaults: false, vhosts: new Map(), deleted: new Set() };
  for (const entry of entries) {
    switch (entry.op) {
      case "defaults":
        kept.hasDefaults = true;
        break;
      case "user":
        users.restore(entry);
        break;
      case "delete-user":
        users.forget(entry.name);
        permissions.forgetUser(entry.name);
        break;
      case "vhost":
        keptVirtualHost(kept, entry.vhost).properties = propertiesFrom(entry);
        break;
      case "delete-vhost":
        kept.vhosts.delete(entry.vhost);
        kept.deleted.add(entry.vhost);
        permissions.forgetVirtualHost(entry.vhost);
        policies.forgetVirtualHost(entry.vhost);
        operatorPolicies.forgetVirtualHost(entry.vhost);
        registries.parameters.forgetVirtualHost(entry.vhost);
        break;
      case "permission":
      case "clear-permission":
      case "topic-permission":
      case "clear-topic-permission":
        permissions.restore(entry);
        break;
      case "parameter":
      case "clear-parameter":
        registries.parameters.restore(entry);
        break;
      case "global-parameter":
      case "clear-global-parameter":
        registries.globalParameters.restore(entry);
        break;
      case "policy":
      case "clear-policy":
        (entry.kind === "policy" ? policies : operatorPolicies).restore(entry);
        break;
      default:
        keptVirtualHost(kept, entry.vhost).entries.push(entry);
    }
  }
  return kept;
}

function keptVirtualHost({ vhosts, deleted }: KeptAdministration, name: string): KeptVirtualHost {
  let vhost = vhosts.get(name);
  if (vhost === undefined) {
    vhost = { properties: noProperties, entries: [] };
    vhosts.set(name, vhost);
    deleted.delete(name);
  }
  return vhost;
}

type BindingEntry = Extract<TopologyEntry, { op: "bind" | "unbind" }>;

/** What an entry refers to may have gone already, as an auto-delete exchange with its last binding: then nothing is done. */
export function restoreEntry(
  exchanges: Exchanges,
  queues: Queues,
  entry: TopologyEntry,
  removeQueue: (queue: Queue) => void,
): void {
  switch (entry.op) {
    case "ids":
      queues.reserveIds(entry.next);
      break;
    case "queue": {
      // That it was deleted before may be lost.
      const before = queues.find(entry.name);
      if (before !== undefined) removeQueue(before);
      queues.restore(entry.id, entry.name, entry.autoDelete, decodeTable(entry.arguments));
      exchanges.generation++;
      break;
    }
    case "delete-queue": {
      const queue = queues.find(entry.name);
      if (queue !== undefined) removeQueue(queue);
      break;
    }
    case "exchange":
      exchanges.declare({ ...entry, durable: true, arguments: decodeTable(entry.arguments) });
      break;
    case "delete-exchange":
      exchanges.delete(entry.name, false);
      break;
    default:
      restoreBinding(exchanges, queues, entry);
  }
}

function restoreBinding(exchanges: Exchanges, queues: Queues, entry: BindingEntry): void {
  const destination: Destination | undefined =
    entry.kind === "queue" ? queues.find(entry.destination) : exchanges.find(entry.destination);
  if (destination === undefined || exchanges.find(entry.source) === undefined) return;
  const args = decodeTable(entry.arguments);
  if (entry.op === "bind") exchanges.bind(entry.source, destination, entry.routingKey, args);
  else exchanges.unbind(entry.source, destination, entry.routingKey, args);
}
