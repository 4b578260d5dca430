/**
 * The public interface: a broker inside your process.
 *
 *     import { Broker } from "leveret";
 *     const broker = await Broker.start({ port: 0 });
 *     // point any RabbitMQ client at broker.url
 *     await broker.close();
 */

import type { Connections } from "./broker/connections.ts";
import type { EffectivePolicy } from "./broker/effective-policy.ts";
import { Host } from "./broker/host.ts";
import type { ProcessMemory } from "./broker/memory-watch.ts";
import type { GlobalParameters, Parameters } from "./broker/parameters.ts";
import type { Permissions } from "./broker/permissions.ts";
import type { Policies } from "./broker/policies.ts";
import type { Users } from "./broker/users.ts";
import type { VirtualHostProperties, VirtualHostSpec } from "./broker/virtual-hosts.ts";
import { type Clock, SystemClock } from "./clock.ts";
import { defaultSettings, type Settings } from "./config.ts";
import type { HttpListener } from "./http-listeners.ts";
import { type Listener, openListeners } from "./listeners.ts";
import { type Log, silentLog } from "./log.ts";
import type { Handle } from "./management/application.ts";
import type { NodeControl } from "./management/context.ts";
import { closeClients, RunningNode } from "./node-control.ts";
import { NodeMemory } from "./process-memory.ts";
import { ENTRY_BODY_BYTES_MAX } from "./queue/ready.ts";
import { Connection } from "./server/connection.ts";
import { endpoint } from "./server/peer.ts";
import { type Disk, FileDisk } from "./store/disk.ts";
import { FolderLock } from "./store/folder-lock.ts";
import { Turn } from "./turn.ts";

export type { PermissionTriple, TopicPermission } from "./broker/access.ts";
export { AdministrationError, type AdministrationErrorCode } from "./broker/administration.ts";
export type { ConnectionInfo } from "./broker/connections.ts";
export type { EffectivePolicy } from "./broker/effective-policy.ts";
export type { Json } from "./broker/erlang-term.ts";
export type { UserLimits, VirtualHostLimits } from "./broker/limits.ts";
export type { Parameter } from "./broker/parameters.ts";
export type { Policy, PolicySpec, PolicyTarget } from "./broker/policies.ts";
export type { PolicyDefinition } from "./broker/policy-settings.ts";
export type { User, UserSpec } from "./broker/users.ts";
export type { VirtualHostProperties, VirtualHostSpec } from "./broker/virtual-hosts.ts";
export { type Clock, type Timer, VirtualClock } from "./clock.ts";
export { type Settings, version } from "./config.ts";
export type { Log } from "./log.ts";

export interface BrokerOptions extends Partial<Settings> {
  /** Time: a `VirtualClock` stands still until it is advanced. The host's clock by default. */
  readonly clock?: Clock;
  /** The folder for everything that outlives the process. Without it nothing does. */
  readonly dataDir?: string | undefined;
  /** A disk in place of `dataDir`: for simulations. */
  readonly disk?: Disk;
  /** How the memory of the process is told: for simulations. */
  readonly processMemory?: ProcessMemory;
  /** What the management API says the broker was configured from. */
  readonly configFiles?: readonly string[];
  /** The names of RabbitMQ's plugins that it says are there. */
  readonly plugins?: readonly string[];
  /** A secret with which one may do everything in the management API, as its operator. */
  readonly operatorKey?: string;
  /** Where log lines go, for example a pino logger. Nowhere by default. */
  readonly log?: Log;
}

/** A virtual host, as its administrator sees it. */
export interface VirtualHostInfo {
  readonly name: string;
  readonly properties: VirtualHostProperties;
  /** Whether messages are traced to the exchange amq.rabbitmq.trace there; false from the start. */
  tracing: boolean;
  /** Which policies apply to a queue or an exchange, and what they come to; undefined when it is not there. */
  effectivePolicy(kind: "queue" | "exchange", name: string): EffectivePolicy | undefined;
}

/** The virtual hosts of a broker; what each method does and throws is said at `VirtualHosts` in src/broker/virtual-hosts.ts. */
export interface VirtualHostRegistry {
  add(name: string, spec?: VirtualHostSpec): VirtualHostInfo;
  change(name: string, changes: VirtualHostSpec): VirtualHostInfo;
  delete(name: string): void;
  get(name: string): VirtualHostInfo;
  find(name: string): VirtualHostInfo | undefined;
  all(): Iterable<VirtualHostInfo>;
}

export type PolicyRegistry = Pick<Policies, "set" | "clear" | "get" | "find" | "all">;

/** What `act` returns; when it throws, `undo` is called first. */
function orElse<Result>(undo: () => void, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    undo();
    throw error;
  }
}

/** Where a client on this machine reaches a listener, which may be on all addresses. */
function reachableEndpoint(host: string, port: number): string {
  return endpoint(host === "::" || host === "0.0.0.0" ? "127.0.0.1" : host, port);
}

function urlOf(listeners: readonly HttpListener[], protocol: string): string | undefined {
  const listener = listeners.find((each) => each.protocol === protocol);
  const scheme = protocol === "https" ? "https" : "http";
  return listener && `${scheme}://${reachableEndpoint(listener.host, listener.port)}`;
}

/** What `act` resolves with; when it rejects, the listeners are closed first. */
async function orCloseAll<Result>(
  listeners: readonly Listener[],
  act: () => Promise<Result>,
): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close()));
    throw error;
  }
}

interface Definitions {
  readonly defineUsers: boolean;
  importTo(host: Host): void;
}

/** Definitions to start with; their import is loaded only where there are any. */
async function definitionsOf(path: string | undefined): Promise<Definitions> {
  if (path === undefined) return { defineUsers: false, importTo: () => undefined };
  const files = await import("./definition-files.ts");
  const read = files.readDefinitionFiles(path);
  return {
    defineUsers: files.defineUsers(read),
    importTo: (host) => files.importDefinitionFiles(host, read),
  };
}

/** Opens the ports that speak HTTP; they show each other, and those for AMQP. */
async function openHttp(
  host: Host,
  listeners: readonly Listener[],
  control: NodeControl,
  { dataDir, configFiles = [], plugins = [], operatorKey }: BrokerOptions,
): Promise<readonly HttpListener[]> {
  const { settings, log } = host;
  const { managementPort, managementTlsPort, prometheusPort } = settings;
  if ([managementPort, managementTlsPort, prometheusPort].every((port) => port === "off"))
    return [];
  const { openHttpListeners } = await import("./http-listeners.ts");
  const amqp = listeners.map(({ tls, ...at }) => ({ protocol: tls ? "amqp/ssl" : "amqp", ...at }));
  let http: readonly HttpListener[] = [];
  const about = {
    ...{ host, control, dataDir, configFiles, plugins, operatorKey },
    ports: () => [...(control.takesClients ? amqp : []), ...http],
  };
  let loaded: Promise<Handle> | undefined;
  const management = {
    host: settings.managementHost ?? settings.host,
    // One for both ports.
    load() {
      loaded ??= import("./management.ts").then(({ managementHandle }) => managementHandle(about));
      return loaded;
    },
  };
  const tls =
    managementTlsPort === "off"
      ? undefined
      : (await import("./tls.ts")).managementTlsOptions(settings);
  http = await openHttpListeners(
    [
      {
        ...{ ...management, protocol: "http", ports: managementPort },
        title: "Management plugin: HTTP (non-TLS)",
      },
      {
        ...{ ...management, protocol: "https", ports: managementTlsPort },
        title: "Management plugin: HTTPS",
        ...(tls !== undefined && { tls }),
      },
      {
        protocol: "http/prometheus",
        title: "Prometheus metrics: HTTP (non-TLS)",
        ports: prometheusPort,
        host: settings.prometheusHost ?? settings.host,
        load: async () => (await import("./management.ts")).metricsHandle(about),
      },
    ],
    log,
  );
  return http;
}

/** A running broker. Several in one process do not see each other. */
export class Broker {
  /** The port of `url`, chosen by the system when 0 was asked for. */
  readonly port: number;
  readonly host: string;
  /**
   * For clients: `amqp://user:password@host:port`, and the virtual host when it is not `/`; `amqps:` when all of the
   * broker's ports speak TLS.
   */
  readonly url: string;
  /** All ports for AMQP, those without TLS first. */
  readonly listeners: readonly {
    readonly tls: boolean;
    readonly host: string;
    readonly port: number;
  }[];
  /** Where the management HTTP API is, `http://host:port`, or `https:` when it is there with TLS alone; undefined when it is off. */
  readonly managementUrl: string | undefined;
  /** Where Prometheus finds the metrics, `http://host:port/metrics`; undefined when they are off. */
  readonly metricsUrl: string | undefined;
  /**
   * Who may log in, what each may do where, the virtual hosts with their policies and parameters, and who is connected. What is changed here counts at once and is
   * on the disk when the turn ends; what cannot be done throws an `AdministrationError`.
   *
   *     broker.virtualHosts.add("test");
   *     broker.users.add("app", { password: "secret" });
   *     broker.permissions.set("app", "test", { configure: "^app-", write: ".*", read: "^app-" });
   */
  readonly users: Pick<Users, "add" | "change" | "delete" | "get" | "find" | "all">;
  readonly permissions: Pick<
    Permissions,
    "set" | "clear" | "setTopic" | "clearTopic" | "get" | "all" | "allTopics"
  >;
  readonly virtualHosts: VirtualHostRegistry;
  readonly policies: PolicyRegistry;
  readonly operatorPolicies: PolicyRegistry;
  readonly parameters: Pick<Parameters, "set" | "clear" | "find" | "all">;
  readonly globalParameters: Pick<GlobalParameters, "set" | "clear" | "find" | "all">;
  readonly connections: Pick<
    Connections,
    "count" | "list" | "close" | "closeOfUser" | "closeOfVirtualHost"
  >;
  readonly #listeners: readonly Listener[];
  readonly #httpListeners: readonly HttpListener[];
  readonly #connections: Set<Connection>;
  readonly #onClosed: () => void;
  #closed: Promise<void> | undefined;

  private constructor(
    listeners: readonly Listener[],
    httpListeners: readonly HttpListener[],
    host: Host,
    connections: Set<Connection>,
    onClosed: () => void,
  ) {
    this.users = host.users;
    this.permissions = host.permissions;
    this.virtualHosts = host.virtualHosts;
    this.policies = host.policies;
    this.operatorPolicies = host.operatorPolicies;
    this.parameters = host.parameters;
    this.globalParameters = host.globalParameters;
    this.connections = host.connections;
    this.#onClosed = onClosed;
    this.#listeners = listeners;
    this.#httpListeners = httpListeners;
    this.managementUrl = urlOf(httpListeners, "http") ?? urlOf(httpListeners, "https");
    const metrics = urlOf(httpListeners, "http/prometheus");
    this.metricsUrl = metrics && `${metrics}/metrics`;
    this.#connections = connections;
    this.listeners = listeners.map(({ tls, host, port }) => ({ tls, host, port }));
    const { tls, port } = listeners[0]!;
    this.port = port;
    this.host = listeners[0]!.host;
    const { defaultUser, defaultPassword, defaultVhost } = host.settings;
    const credentials = `${encodeURIComponent(defaultUser)}:${encodeURIComponent(defaultPassword)}`;
    const vhost = defaultVhost === "/" ? "" : `/${encodeURIComponent(defaultVhost)}`;
    this.url = `${tls ? "amqps" : "amqp"}://${credentials}@${reachableEndpoint(this.host, port)}${vhost}`;
  }

  /**
   * Starts a broker and resolves when it accepts connections. Rejects with the system's error when it cannot listen, for
   * example `EADDRINUSE`, and when settings do not fit together.
   */
  static async start(options: BrokerOptions = {}): Promise<Broker> {
    const { clock = new SystemClock(), log = silentLog, dataDir, ...given } = options;
    // Clients do not live in virtual time, so they are not asked for heartbeats in it.
    const heartbeat = clock instanceof SystemClock ? defaultSettings.heartbeat : 0;
    const processMemory = given.processMemory ?? new NodeMemory();
    const settings = { ...defaultSettings, heartbeat, ...given };
    const { diskFreeLimitRelative: relative } = settings;
    if (relative !== undefined)
      settings.diskFreeLimit = Math.floor(relative * processMemory.totalBytes);
    if (!(settings.maxMessageSize <= ENTRY_BODY_BYTES_MAX)) {
      throw new RangeError(
        `maxMessageSize is ${settings.maxMessageSize}: at most ${ENTRY_BODY_BYTES_MAX} bytes`,
      );
    }
    const definitions = await definitionsOf(settings.definitions);
    const folder = dataDir === undefined ? undefined : new FileDisk(dataDir);
    const lock = folder && new FolderLock(folder.folder);
    const release = (): void => lock?.release();
    const host = orElse(
      release,
      () =>
        new Host({
          ...{ settings, clock, turn: new Turn(), log, disk: given.disk ?? folder },
          processMemory,
          usersAreDefined: definitions.defineUsers,
        }),
    );
    const connections = new Set<Connection>();
    const close = (): void => {
      orElse(release, () => host.close());
      release();
    };
    try {
      definitions.importTo(host);
      const listeners = await openListeners(settings, log, (socket, peer) => {
        connections.add(
          new Connection(socket, host, peer, (connection) => connections.delete(connection)),
        );
      });
      const control = new RunningNode(host, listeners, connections, () =>
        definitions.importTo(host),
      );
      const http = await orCloseAll(listeners, () => openHttp(host, listeners, control, options));
      return new Broker(listeners, http, host, connections, close);
    } catch (error) {
      close();
      throw error;
    }
  }

  /** Closes every connection as RabbitMQ does when it stops, and resolves when all are gone. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const closed = Promise.all(this.#httpListeners.map((listener) => listener.close()));
    await closeClients(this.#listeners, this.#connections);
    await closed;
    this.#onClosed();
  }
}
