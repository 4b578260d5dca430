/** The virtual hosts of a broker: adding, changing, deleting and finding them. */

import { queueTypes } from "../queue/settings.ts";
import {
  type AdministrationEntry,
  AdministrationError,
  checkName,
  checkTags,
  type RecordAdministration,
} from "./administration.ts";
import { limitsFrom, type VirtualHostLimits } from "./limits.ts";
import type { VirtualHost } from "./vhost.ts";

/** The folder of its journal has twice as many letters, and file systems allow 255. */
const NAME_BYTES_MAX = 120;

/** What is known of a virtual host besides what is in it. */
export interface VirtualHostProperties {
  readonly description: string;
  readonly tags: readonly string[];
  /** Of durable shared queues that are declared without `x-queue-type`; undefined leaves it at classic. */
  readonly defaultQueueType: string | undefined;
  /** Whether deleting it is refused. */
  readonly protectedFromDeletion: boolean;
  readonly limits: VirtualHostLimits;
}

/** How a virtual host is described; what is left out stays as it is, or is empty for a new one. */
export interface VirtualHostSpec {
  readonly description?: string;
  readonly tags?: readonly string[];
  /** Empty or `undefined`: none [RabbitMQ]. */
  readonly defaultQueueType?: string;
  readonly protectedFromDeletion?: boolean;
  readonly limits?: VirtualHostLimits;
}

export const noProperties: VirtualHostProperties = {
  description: "",
  tags: [],
  defaultQueueType: undefined,
  protectedFromDeletion: false,
  limits: {},
};

/** Where virtual hosts come from and go to: declared here, implemented by the broker. */
export interface VirtualHostsContext {
  readonly record: RecordAdministration;
  /** Makes one of which nothing is kept from before; throws UNAVAILABLE when the disk has no room for it. */
  open(name: string): VirtualHost;
  /** What one of that name is, as far as nobody says otherwise. */
  defaults(name: string): VirtualHostSpec;
  /** There is a new one. */
  added(name: string): void;
  /** Ends its connections and removes all that is kept of one that has been recorded as deleted. */
  remove(vhost: VirtualHost): void;
}

export class VirtualHosts {
  readonly #byName = new Map<string, VirtualHost>();
  readonly #context: VirtualHostsContext;

  constructor(context: VirtualHostsContext) {
    this.#context = context;
  }

  /** Adds a virtual host with the predeclared exchanges; nobody has a permission in it. Throws ALREADY_EXISTS or INVALID. */
  add(name: string, spec: VirtualHostSpec = {}): VirtualHost {
    if (this.#byName.has(name))
      throw new AdministrationError("ALREADY_EXISTS", `there is a vhost '${name}' already`);
    checkName("vhost", name, NAME_BYTES_MAX);
    const properties = change(noProperties, { ...this.#context.defaults(name), ...spec });
    this.#context.record(entry({ name, properties }));
    const vhost = this.#context.open(name);
    vhost.properties = properties;
    this.#byName.set(name, vhost);
    this.#context.added(name);
    return vhost;
  }

  /** Changes what `changes` names of a virtual host; it counts from the next declaration or connection on. Throws NOT_FOUND or INVALID. */
  change(name: string, changes: VirtualHostSpec): VirtualHost {
    const vhost = this.get(name);
    this.#set(vhost, change(vhost.properties, changes));
    return vhost;
  }

  /**
   * Deletes a virtual host with everything in it, its messages and the permissions there, for good: when the call returns,
   * nothing brings it back. Its connections are closed. Throws NOT_FOUND, or PROTECTED.
   */
  delete(name: string): void {
    const vhost = this.get(name);
    if (vhost.properties.protectedFromDeletion)
      throw new AdministrationError("PROTECTED", `vhost '${name}' is protected from deletion`);
    this.#context.record({ op: "delete-vhost", vhost: name });
    this.#byName.delete(name);
    this.#context.remove(vhost);
  }

  /** The virtual host; throws NOT_FOUND. */
  get(name: string): VirtualHost {
    const vhost = this.#byName.get(name);
    if (vhost === undefined) throw new AdministrationError("NOT_FOUND", `no vhost '${name}'`);
    return vhost;
  }

  find(name: string): VirtualHost | undefined {
    return this.#byName.get(name);
  }

  /** In the order in which they were added. */
  all(): Iterable<VirtualHost> {
    return this.#byName.values();
  }

  #set(vhost: VirtualHost, properties: VirtualHostProperties): void {
    this.#context.record(entry({ name: vhost.name, properties }));
    vhost.properties = properties;
  }

  /** One that was there before the restart. */
  restore(vhost: VirtualHost): void {
    this.#byName.set(vhost.name, vhost);
  }

  *entries(): Iterable<AdministrationEntry> {
    for (const vhost of this.#byName.values()) yield entry(vhost);
  }
}

export type VirtualHostEntry = Extract<AdministrationEntry, { op: "vhost" }>;

function entry({ name, properties }: Pick<VirtualHost, "name" | "properties">): VirtualHostEntry {
  const { description, tags, defaultQueueType, protectedFromDeletion, limits } = properties;
  return {
    op: "vhost",
    vhost: name,
    description,
    tags,
    ...(defaultQueueType !== undefined && { defaultQueueType }),
    protectedFromDeletion,
    limits: { ...limits },
  };
}

export function propertiesFrom(given: VirtualHostEntry): VirtualHostProperties {
  const { description, tags, defaultQueueType, protectedFromDeletion, limits } = given;
  return { description, tags, defaultQueueType, protectedFromDeletion, limits };
}

function change(before: VirtualHostProperties, spec: VirtualHostSpec): VirtualHostProperties {
  const { description, tags, protectedFromDeletion } = { ...before, ...spec };
  checkTags(tags);
  return {
    description,
    tags: [...tags],
    protectedFromDeletion,
    defaultQueueType:
      spec.defaultQueueType === undefined
        ? before.defaultQueueType
        : queueTypeNamed(spec.defaultQueueType),
    limits:
      spec.limits === undefined
        ? before.limits
        : limitsFrom(spec.limits, ["maxConnections", "maxQueues"]),
  };
}

function queueTypeNamed(name: string): string | undefined {
  if (name === "" || name === "undefined") return undefined;
  if ((queueTypes as readonly string[]).includes(name)) return name;
  throw new AdministrationError(
    "INVALID",
    `the queue type ${name} is not known: one of ${queueTypes.join(", ")}`,
  );
}
