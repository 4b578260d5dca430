/**
 * What a broker is besides its sockets: its users and their permissions, its virtual hosts, who is connected, its clock, its
 * log, its settings, and what of them is on disk.
 */

import type { BodyMemories } from "../amqp/content.ts";
import { AmqpError } from "../amqp/errors.ts";
import type { Clock, Timer } from "../clock.ts";
import type { Settings } from "../config.ts";
import type { Log } from "../log.ts";
import { copyName } from "../store/damaged-copy.ts";
import type { Disk } from "../store/disk.ts";
import { DurableStore } from "../store/durable-store.ts";
import { EntryLog } from "../store/entry-log.ts";
import { MemoryBudget } from "../store/memory-budget.ts";
import { MemoryStore, SEGMENT_BYTES } from "../store/memory-store.ts";
import type { MessageStore } from "../store/message-store.ts";
import type { Turn } from "../turn.ts";
import { type AdministrationEntry, AdministrationError } from "./administration.ts";
import { Alarm } from "./alarm.ts";
import { Churn } from "./churn.ts";
import { Connections } from "./connections.ts";
import { journalFolder, type LogEntry, TOPOLOGY_NAME, whatNeedsTopology } from "./data-folder.ts";
import { checkDefaults, makeDefaults } from "./defaults.ts";
import { DiskWatch, RESERVE_BYTES } from "./disk-watch.ts";
import { type Intercept, interceptorOf } from "./interceptors.ts";
import { Journals } from "./journals.ts";
import { ObjectLimits } from "./limits.ts";
import { MemoryWatch, type ProcessMemory } from "./memory-watch.ts";
import { limitsComponent, operatorPolicyComponent } from "./parameter-components.ts";
import { GlobalParameters, Parameters } from "./parameters.ts";
import { Permissions } from "./permissions.ts";
import { Policies } from "./policies.ts";
import { restoreAdministration } from "./restore.ts";
import { forgetful, type TopologyEntry, type TopologyRecorder } from "./topology.ts";
import { Users } from "./users.ts";
import { VirtualHost } from "./vhost.ts";
import { VirtualHostDefaults } from "./virtual-host-defaults.ts";
import { VirtualHosts } from "./virtual-hosts.ts";

export interface HostContext {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly log: Log;
  /** Where everything is kept that has to outlive the process; without it nothing does. */
  readonly disk: Disk | undefined;
  /** Bytes on the disk that are kept for when it is full. */
  readonly reserveBytes?: number;
  /** That of the process; without it nobody looks whether memory runs low. */
  readonly processMemory?: ProcessMemory;
  /** Whether definitions will be imported that say who there is: then there is no default user. False when absent. */
  readonly usersAreDefined?: boolean;
}

/** How often it is looked whether consumers take too long [RabbitMQ: channel_tick_interval]. */
const CONSUMER_CHECK_MS = 60_000;
/** As the only node of a cluster is called. */
export const NODE_NAME = "rabbit@localhost";

/** As trouble with it is told. */
function journalOf(vhost: string): string {
  return `the journal of ${vhost}`;
}

function transientMessagesOf(vhost: string): string {
  return `transient messages of ${vhost}`;
}

/** Of a change that cannot be kept. */
function refusal(error: unknown): string {
  return `the disk does not take the change: ${(error as Error).message}`;
}

export class Host {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly log: Log;
  readonly users: Users;
  readonly permissions: Permissions;
  readonly policies: Policies;
  readonly operatorPolicies: Policies;
  readonly parameters: Parameters;
  readonly globalParameters: GlobalParameters;
  readonly virtualHosts: VirtualHosts;
  readonly connections: Connections;
  readonly alarm = new Alarm();
  readonly churn = new Churn();
  /** What is to be done to every message that is published, if anything. */
  readonly intercept: Intercept | undefined;
  readonly startedAtMs: number;
  readonly #usersAreDefined: boolean;
  readonly #disk: Disk | undefined;
  readonly #objectLimits: ObjectLimits;
  readonly #journals: Journals;
  readonly #topology: EntryLog<LogEntry> | undefined;
  readonly #diskWatch: DiskWatch | undefined;
  readonly #memoryWatch: MemoryWatch | undefined;
  #consumerTimer: Timer | undefined;
  /** The memory that messages may take, and what is kept about them. */
  readonly memory: MemoryBudget;
  /** For bodies in pieces: the memory store's own buffers, as they become its segments when they are large. */
  readonly bodies: BodyMemories;

  constructor(context: HostContext) {
    const { settings, clock, turn, log, disk, processMemory, usersAreDefined = false } = context;
    this.#usersAreDefined = usersAreDefined;
    this.settings = settings;
    this.clock = clock;
    this.startedAtMs = clock.now();
    this.turn = turn;
    this.log = log;
    this.#disk = disk;
    this.intercept = interceptorOf(settings, NODE_NAME, clock);
    this.memory = new MemoryBudget(settings.memoryLimit);
    this.bodies = this.memory.pool(SEGMENT_BYTES);
    this.#journals = new Journals({
      ...{ clock, log, turn, settings, memory: this.memory },
      onWriteTrouble: (vhost, error) => this.#diskWatch?.trouble(journalOf(vhost), error),
    });
    if (disk !== undefined) {
      this.#topology = new EntryLog(disk, turn, TOPOLOGY_NAME, () => this.#entries());
      this.#diskWatch = this.#watchDisk(disk, context.reserveBytes);
    }
    const record = (entry: AdministrationEntry): void => this.#record(entry);
    this.connections = new Connections(settings, NODE_NAME, this.churn);
    this.users = new Users(record, (name) => {
      this.permissions.forgetUser(name);
      this.connections.closeOfUser(name, `user '${name}' is deleted`);
    });
    const vhostDefaults = new VirtualHostDefaults(settings);
    this.virtualHosts = new VirtualHosts({
      record,
      open: (name) => this.#openVirtualHost(name),
      remove: (vhost) => this.#removeVirtualHost(vhost),
      defaults: (name) => vhostDefaults.specOf(name),
      added: (name) => vhostDefaults.addTo(name, this),
    });
    const hasVirtualHost = (name: string): boolean => this.virtualHosts.find(name) !== undefined;
    this.permissions = new Permissions({
      record,
      hasUser: (name) => this.users.find(name) !== undefined,
      hasVirtualHost,
      changed: (vhost) => this.virtualHosts.find(vhost)?.accessChanged(),
    });
    const ofPolicies = {
      record,
      nowMs: () => this.clock.now(),
      hasVirtualHost,
      changed: (vhost: string) => this.virtualHosts.find(vhost)?.policiesChanged(),
    };
    this.policies = new Policies("policy", ofPolicies);
    this.operatorPolicies = new Policies("operator-policy", ofPolicies);
    this.parameters = new Parameters({
      record,
      hasVirtualHost,
      components: new Map([
        ["operator_policy", operatorPolicyComponent(this.operatorPolicies)],
        ["vhost-limits", limitsComponent(this.virtualHosts)],
      ]),
    });
    this.globalParameters = new GlobalParameters(record);
    this.#objectLimits = new ObjectLimits(settings, () => this.virtualHosts.all());
    this.#restore(this.#topology?.read(disk && whatNeedsTopology(disk)) ?? []);
    this.#watchConsumers();
    this.#memoryWatch = this.#watchMemory(processMemory);
    if (disk === undefined) return;
    this.#diskWatch?.start();
    this.#journals.verify();
  }

  /** What the broker is called: a global parameter, as `rabbitmqctl set_cluster_name` sets it. */
  get clusterName(): string {
    const name = this.globalParameters.find("cluster_name");
    if (typeof name === "string" && name !== "") return name;
    return this.settings.clusterName ?? NODE_NAME;
  }

  #entries(): LogEntry[] {
    const { virtualHosts, users, permissions, policies, operatorPolicies } = this;
    return [
      { op: "defaults" },
      ...virtualHosts.entries(),
      ...users.entries(),
      ...permissions.entries(),
      ...policies.entries(),
      ...operatorPolicies.entries(),
      ...this.parameters.entries(),
      ...this.globalParameters.entries(),
      ...[...virtualHosts.all()].flatMap((vhost) => [...vhost.entries()]),
    ];
  }

  /** Users, permissions and policies, then for each virtual host exchanges, queues and bindings, then the messages of the queues. */
  #restore(entries: readonly LogEntry[]): void {
    const kept = restoreAdministration(entries, this);
    // Should the process have ended between the entry and the folder.
    for (const name of kept.deleted) this.#disk?.removeSubfolder(journalFolder(name));
    for (const [name, { properties, entries: content }] of kept.vhosts) {
      const vhost = this.#addVirtualHost(name, content);
      vhost.properties = properties;
      this.virtualHosts.restore(vhost);
    }
    if (!kept.hasDefaults) this.#makeDefaults(kept.vhosts.keys());
    else if (!this.#usersAreDefined) checkDefaults(this);
    const damagedBytes = this.#topology?.damagedBytes ?? 0;
    if (damagedBytes > 0) {
      this.log.error(
        { damagedBytes },
        `the log of exchanges, queues, bindings and users is damaged: what is whole counts, the rest may be in ${copyName(TOPOLOGY_NAME)}`,
      );
    }
    const cutBytes = this.#topology?.cutBytes ?? 0;
    if (cutBytes > 0) {
      this.log.warn(
        { cutBytes },
        "the log of exchanges, queues and bindings had an unfinished end, which was cut off",
      );
    }
  }

  /** That they are made is said last: should the process end on the way, the next one makes what is missing. */
  #makeDefaults(found: Iterable<string>): void {
    makeDefaults(this, found, !this.#usersAreDefined);
    this.#topology?.append({ op: "defaults" });
  }

  /** A new one, of which the log knows already; should the disk not have room for it, the log hears that it is gone again. */
  #openVirtualHost(name: string): VirtualHost {
    try {
      return this.#addVirtualHost(name);
    } catch (error) {
      this.#topology?.defer({ op: "delete-vhost", vhost: name });
      throw new AdministrationError("UNAVAILABLE", refusal(error));
    }
  }

  /** One with what `entries` say, and the messages of its queues; without entries a new one, which begins with nothing. */
  #addVirtualHost(name: string, entries?: readonly TopologyEntry[]): VirtualHost {
    const { clock, log, turn } = this;
    // What is left of another of that name is not to become the new one's.
    if (entries === undefined) this.#disk?.removeSubfolder(journalFolder(name));
    const disk = this.#disk?.subfolder(journalFolder(name));
    const onWriteTrouble = (error: Error | undefined): void =>
      this.#diskWatch?.trouble(transientMessagesOf(name), error);
    const memory = new MemoryStore({ turn, disk, budget: this.memory, onWriteTrouble });
    const recovery = disk && this.#journals.open(disk, name);
    const store: MessageStore = recovery ? new DurableStore(memory, recovery.journal) : memory;
    const vhost = new VirtualHost(name, {
      ...{ store, clock, log, turn, churn: this.churn },
      ...{ nodeName: NODE_NAME, objectLimits: this.#objectLimits, policies: this },
    });
    for (const entry of entries ?? []) vhost.restore(entry);
    const topology = this.#topology;
    if (topology !== undefined) vhost.recordTo(this.#recorder(topology));
    if (recovery === undefined) return vhost;
    this.#journals.add(name, recovery);
    const keepsUnknown = topology?.isIncomplete ?? false;
    const { messages, unknown } = vhost.recover(recovery.forEachRun, keepsUnknown);
    if (keepsUnknown && unknown > 0) {
      const text = `messages of queues that nobody knows are kept as long as ${copyName(TOPOLOGY_NAME)} is there`;
      log.warn({ vhost: name, messages: unknown }, text);
    }
    if (messages > 0) log.info({ vhost: name, messages }, "messages are back from the journal");
    return vhost;
  }

  /** The log says already that it is gone: whatever happens now, nothing of it comes back. */
  #removeVirtualHost(vhost: VirtualHost): void {
    const { name } = vhost;
    vhost.recordTo(forgetful);
    this.#topology?.flush();
    this.permissions.forgetVirtualHost(name);
    this.policies.forgetVirtualHost(name);
    this.operatorPolicies.forgetVirtualHost(name);
    this.parameters.forgetVirtualHost(name);
    this.connections.closeOfVirtualHost(name, `vhost '${name}' is deleted`);
    vhost.stop();
    this.#journals.forget(name);
    vhost.store.discard();
    for (const what of [journalOf(name), transientMessagesOf(name)]) this.#diskWatch?.forget(what);
    try {
      this.#disk?.removeSubfolder(journalFolder(name));
    } catch (error) {
      // It is empty for whoever gets the name next, and a restart removes it.
      const { message } = error as Error;
      this.log.warn({ vhost: name, error: message }, "the folder of a vhost cannot be removed");
    }
  }

  /** To be called before the change is made: what cannot be kept is refused. */
  #record(entry: AdministrationEntry): void {
    try {
      this.#topology?.append(entry);
    } catch (error) {
      throw new AdministrationError("UNAVAILABLE", refusal(error));
    }
  }

  /** What cannot be written is refused, to whoever asks for it and to nobody else. */
  #recorder(topology: EntryLog<LogEntry>): TopologyRecorder {
    return {
      record: (entry) => {
        try {
          topology.append(entry);
        } catch (error) {
          throw new AmqpError("INTERNAL_ERROR", refusal(error));
        }
      },
      note: (entry) => topology.defer(entry),
    };
  }

  #watchDisk(disk: Disk, reserveBytes = RESERVE_BYTES): DiskWatch {
    const { clock, log, alarm, settings } = this;
    return new DiskWatch({
      ...{ disk, clock, log, alarm, reserveBytes },
      diskFreeLimit: settings.diskFreeLimit,
      needsReserve: () => this.#journals.count > 0,
      retryWriting: () => {
        this.#journals.schedule();
        this.memory.makeRoom(0);
      },
      tick: () => void this.#topology?.retry(),
    });
  }

  #watchMemory(memory: ProcessMemory | undefined): MemoryWatch | undefined {
    if (memory === undefined) return undefined;
    const { clock, log, alarm, settings } = this;
    const highWatermark = settings.memoryHighWatermark;
    const evict = (): void => this.memory.makeRoom(this.memory.limitBytes);
    const watch = new MemoryWatch({ memory, clock, log, alarm, highWatermark, evict });
    watch.start();
    return watch;
  }

  #watchConsumers(): void {
    this.#consumerTimer = this.clock.setTimer(CONSUMER_CHECK_MS, () => {
      for (const connection of [...this.connections.all()]) connection.checkConsumerTimeouts();
      this.#watchConsumers();
    });
  }

  /** Free space on the disk, or undefined without one. */
  get freeDiskBytes(): number | undefined {
    return this.#disk?.freeBytes();
  }

  /** With more memory in use publishers are blocked; undefined without a limit. */
  get memoryAlarmBytes(): number | undefined {
    const bytes = this.#memoryWatch?.limitBytes;
    return bytes === Number.POSITIVE_INFINITY ? undefined : bytes;
  }

  /** Until the process ends; what the settings say when it is undefined. Counts at once. */
  setMemoryHighWatermark(highWatermark: number = this.settings.memoryHighWatermark): void {
    this.#memoryWatch?.setHighWatermark(highWatermark);
  }

  /** With less free space on the disk, in bytes, publishers are blocked. */
  get diskFreeLimit(): number {
    return this.#diskWatch?.freeLimitBytes ?? this.settings.diskFreeLimit;
  }

  /** Until the process ends; what the settings say when it is undefined. Counts at once. */
  setDiskFreeLimit(bytes: number = this.settings.diskFreeLimit): void {
    this.#diskWatch?.setFreeLimit(bytes);
  }

  /** Everything goes but what exists from the start. Connections to virtual hosts that go are closed. */
  reset(): void {
    const { virtualHosts, users, globalParameters } = this;
    for (const { name } of [...virtualHosts.all()]) {
      virtualHosts.change(name, { protectedFromDeletion: false });
      virtualHosts.delete(name);
    }
    for (const { name } of [...users.all()]) users.delete(name);
    for (const { name } of [...globalParameters.all()]) globalParameters.clear(name);
    this.#makeDefaults([]);
  }

  /** Writes everything to the disk and closes it, each log whatever becomes of the others; throws the first error. */
  close(): void {
    this.#memoryWatch?.stop();
    this.#diskWatch?.stop();
    this.#journals.stop();
    this.#consumerTimer?.cancel();
    for (const vhost of this.virtualHosts.all()) vhost.stop();
    const stores = [...this.virtualHosts.all()].map(({ store }) => store);
    const errors: unknown[] = [];
    for (const log of [this.#topology, ...stores]) {
      try {
        log?.close();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
