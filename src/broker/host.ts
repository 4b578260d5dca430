/**
 * What a broker is besides its sockets: its users and their permissions, its virtual hosts, who is connected, its clock, its
 * log, its settings, and what of them is on disk.
 */

import { randomBytes, randomInt } from "node:crypto";
import { AmqpError } from "../amqp/errors.ts";
import type { Clock, Timer } from "../clock.ts";
import type { Settings } from "../config.ts";
import type { Log } from "../log.ts";
import type { Damage } from "../store/block-reader.ts";
import type { Disk } from "../store/disk.ts";
import { DurableStore } from "../store/durable-store.ts";
import { EntryLog } from "../store/entry-log.ts";
import type { Journal } from "../store/journal.ts";
import { recoverJournal } from "../store/journal-recovery.ts";
import type { DamagedRange } from "../store/journal-segment.ts";
import { MemoryBudget } from "../store/memory-budget.ts";
import { MemoryStore } from "../store/memory-store.ts";
import type { MessageStore } from "../store/message-store.ts";
import { Turn } from "../turn.ts";
import type { AdministrationEntry } from "./administration.ts";
import { Alarm } from "./alarm.ts";
import { Churn } from "./churn.ts";
import { Connections } from "./connections.ts";
import { ObjectLimits } from "./limits.ts";
import { limitsComponent, operatorPolicyComponent } from "./parameter-components.ts";
import { GlobalParameters, Parameters } from "./parameters.ts";
import { Permissions } from "./permissions.ts";
import { Policies } from "./policies.ts";
import { type KeptVirtualHost, restoreAdministration } from "./restore.ts";
import { forgetful, type TopologyEntry, type TopologyRecorder } from "./topology.ts";
import { Users } from "./users.ts";
import { VirtualHost } from "./vhost.ts";
import { VirtualHosts } from "./virtual-hosts.ts";

export interface HostContext {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly log: Log;
  /** Where everything is kept that has to outlive the process; without it nothing does. */
  readonly disk: Disk | undefined;
}

/** How long a disk that cannot be written is left alone before the next try. */
const WRITE_RETRY_MS = 1000;
/** How often the disk's free space is looked at. */
const SPACE_CHECK_MS = 1000;
/** How often it is looked whether consumers take too long [RabbitMQ: channel_tick_interval]. */
const CONSUMER_CHECK_MS = 60_000;
/** How often a long recovery says how far it is. */
const PROGRESS_MS = 2000;
/** Between two segments that are verified after a restart: each costs some milliseconds. */
const VERIFY_PAUSE_MS = 200;
/** A file that is given up when the disk is full, so that what consumers settle can still be noted, and frees files. */
const RESERVE_NAME = "reserve";
const RESERVE_BYTES = 4 * 1024 * 1024;
/** As the only node of a cluster is called. */
export const NODE_NAME = "rabbit@localhost";

type LogEntry = TopologyEntry | AdministrationEntry;

/** As trouble with it is told. */
function journalOf(vhost: string): string {
  return `the journal of ${vhost}`;
}

function transientMessagesOf(vhost: string): string {
  return `transient messages of ${vhost}`;
}

function journalFolder(vhost: string): string {
  return `vhost-${Buffer.from(vhost).toString("hex")}`;
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
  readonly startedAtMs: number;
  readonly #disk: Disk | undefined;
  readonly #objectLimits: ObjectLimits;
  readonly #journals = new Map<string, Journal>();
  readonly #topology: EntryLog<LogEntry> | undefined;
  /** What cannot be written now. */
  readonly #unwritable = new Set<string>();
  #lowOnSpace = false;
  #hasReserve = false;
  #spaceTimer: Timer | undefined;
  #verifyTimer: Timer | undefined;
  #retryTimer: Timer | undefined;
  #consumerTimer: Timer | undefined;
  /** The memory that messages may take, and what is kept about them. */
  readonly memory: MemoryBudget;

  constructor({ settings, clock, turn, log, disk }: HostContext) {
    this.settings = settings;
    this.clock = clock;
    this.startedAtMs = clock.now();
    this.turn = turn;
    this.log = log;
    this.#disk = disk;
    this.memory = new MemoryBudget(settings.memoryLimit);
    if (disk !== undefined) {
      this.#topology = new EntryLog(disk, turn, "topology", () => this.#entries());
    }
    const record = (entry: AdministrationEntry): void => this.#topology?.append(entry);
    this.connections = new Connections(settings, NODE_NAME, this.churn);
    this.users = new Users(record, (name) => {
      this.permissions.forgetUser(name);
      this.connections.closeOfUser(name, `user '${name}' is deleted`);
    });
    this.virtualHosts = new VirtualHosts({
      record,
      open: (name) => this.#addVirtualHost(name),
      remove: (vhost) => this.#removeVirtualHost(vhost),
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
    this.#restore(this.#topology?.read() ?? []);
    this.#watchConsumers();
    if (disk !== undefined) {
      this.#watchSpace(disk);
      this.#verifySome();
    }
  }

  /** What the broker is called: a global parameter, as `rabbitmqctl set_cluster_name` sets it. */
  get clusterName(): string {
    const name = this.globalParameters.find("cluster_name");
    return typeof name === "string" && name !== "" ? name : NODE_NAME;
  }

  /** What has messages in a data folder, durable queues and delaying exchanges, by virtual host and id; for reports. */
  static holderNames(disk: Disk): Map<string, Map<number, string>> {
    const names = new Map<string, Map<number, string>>();
    const log = new EntryLog<LogEntry>(disk, new Turn(), "topology", () => []);
    for (const entry of log.peek()) {
      if (entry.op === "delete-vhost") names.delete(entry.vhost);
      if (entry.op !== "queue" && entry.op !== "exchange") continue;
      const id = entry.op === "queue" ? entry.id : entry.shelfId;
      if (id === undefined) continue;
      const ofVhost = names.get(entry.vhost) ?? new Map<number, string>();
      names.set(entry.vhost, ofVhost.set(id, `${entry.op} ${entry.name}`));
    }
    return names;
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
    if (kept.hasDefaults) this.#checkDefaults();
    else this.#makeDefaults(kept.vhosts);
    const cutBytes = this.#topology?.cutBytes ?? 0;
    if (cutBytes > 0) {
      this.log.warn(
        { cutBytes },
        "the log of exchanges, queues and bindings had an unfinished end, which was cut off",
      );
    }
  }

  /**
   * What exists from the start, made at the first start only [RabbitMQ: default user]. That it is made is said last: should
   * the process end on the way, the next one makes what is missing.
   */
  #makeDefaults(found: ReadonlyMap<string, KeptVirtualHost>): void {
    const { defaultUser, defaultPassword, defaultVhost } = this.settings;
    for (const name of found.keys()) this.virtualHosts.change(name, {});
    if (!found.has(defaultVhost)) this.virtualHosts.add(defaultVhost);
    const spec = { password: defaultPassword, tags: ["administrator"] };
    if (this.users.find(defaultUser) === undefined) this.users.add(defaultUser, spec);
    this.permissions.set(defaultUser, defaultVhost, { configure: ".*", write: ".*", read: ".*" });
    this.#topology?.append({ op: "defaults" });
  }

  /** Who starts a broker on a folder that knows other users should hear why he cannot log in. */
  #checkDefaults(): void {
    const { defaultUser, defaultPassword } = this.settings;
    if (this.users.authenticate(defaultUser, Buffer.from(defaultPassword)) !== undefined) return;
    this.log.warn(
      { user: defaultUser },
      "the data folder has its own users: the default user of the settings is not among them, or has another password",
    );
  }

  /** One with what `entries` say, and the messages of its queues; without entries a new one, which begins with nothing. */
  #addVirtualHost(name: string, entries?: readonly TopologyEntry[]): VirtualHost {
    const { clock, log, turn } = this;
    // What is left of another of that name is not to become the new one's.
    if (entries === undefined) this.#disk?.removeSubfolder(journalFolder(name));
    const disk = this.#disk?.subfolder(journalFolder(name));
    const onWriteTrouble = (error: Error | undefined): void =>
      this.#writeTrouble(transientMessagesOf(name), error);
    const memory = new MemoryStore({ turn, disk, budget: this.memory, onWriteTrouble });
    const recovery = disk && this.#recoverJournal(disk, name);
    const store: MessageStore = recovery ? new DurableStore(memory, recovery.journal) : memory;
    const vhost = new VirtualHost(name, {
      ...{ store, clock, log, turn, churn: this.churn },
      ...{ objectLimits: this.#objectLimits, policies: this },
    });
    for (const entry of entries ?? []) vhost.restore(entry);
    const topology = this.#topology;
    if (topology !== undefined) vhost.recordTo(this.#recorder(topology));
    if (recovery === undefined) return vhost;
    this.#journals.set(name, recovery.journal);
    for (const damage of recovery.damage) this.#report(name, damage);
    const messages = vhost.recover(recovery.forEachRun);
    if (messages > 0) log.info({ vhost: name, messages }, "messages are back from the journal");
    return vhost;
  }

  /** The log says first that it is gone: whatever happens then, nothing of it comes back. */
  #removeVirtualHost(vhost: VirtualHost): void {
    const { name } = vhost;
    vhost.recordTo(forgetful);
    this.#topology?.append({ op: "delete-vhost", vhost: name });
    this.#topology?.flush();
    this.permissions.forgetVirtualHost(name);
    this.policies.forgetVirtualHost(name);
    this.operatorPolicies.forgetVirtualHost(name);
    this.parameters.forgetVirtualHost(name);
    this.connections.closeOfVirtualHost(name, `vhost '${name}' is deleted`);
    vhost.stop();
    this.#journals.delete(name);
    vhost.store.close();
    for (const what of [journalOf(name), transientMessagesOf(name)]) this.#unwritable.delete(what);
    this.#checkSpace();
    this.#disk?.removeSubfolder(journalFolder(name));
  }

  /** What cannot be written is refused, to whoever asks for it and to nobody else. */
  #recorder(topology: EntryLog<LogEntry>): TopologyRecorder {
    return {
      record: (entry) => {
        try {
          topology.append(entry);
        } catch (error) {
          throw new AmqpError(
            "INTERNAL_ERROR",
            `the disk does not take the change: ${(error as Error).message}`,
          );
        }
      },
      note: (entry) => topology.defer(entry),
    };
  }

  #recoverJournal(disk: Disk, vhost: string): ReturnType<typeof recoverJournal> {
    const { log, turn, settings } = this;
    const options = {
      disk,
      turn,
      segmentBytes: settings.segmentBytes,
      budget: this.memory,
      sync: settings.sync,
      salt: () => randomInt(2 ** 32),
      onSyncFailed: (error: Error) => {
        log.error(
          { vhost, error },
          "the disk could not sync the journal: what it holds is not known, so the broker stops",
        );
        throw error;
      },
      onWriteTrouble: (error: Error | undefined) => this.#writeTrouble(journalOf(vhost), error),
      onDamage: (damage: DamagedRange) => this.#reportLoss(vhost, damage),
    };
    let saidAtMs = this.clock.exactNow();
    return recoverJournal(options, (segments, of) => {
      if (this.clock.exactNow() - saidAtMs < PROGRESS_MS) return;
      saidAtMs = this.clock.exactNow();
      log.info({ vhost, segments, of }, `reading the journal: ${segments} of ${of} segments`);
    });
  }

  /** `what` cannot be written now, or can be again (undefined). */
  #writeTrouble(what: string, error: Error | undefined): void {
    if (error === undefined) {
      if (!this.#unwritable.delete(what)) return;
      this.log.info({ what }, `${what} can be written again`);
    } else {
      if (!this.#unwritable.has(what)) {
        const text = `${what} cannot be written: it is tried again every second`;
        this.log.warn({ what, error: error.message }, text);
      }
      this.#unwritable.add(what);
      this.#giveUpReserve();
      this.#retryTimer ??= this.clock.setTimer(WRITE_RETRY_MS, () => this.#retryWriting());
    }
    this.#checkSpace();
  }

  #retryWriting(): void {
    this.#retryTimer = undefined;
    for (const journal of this.#journals.values()) journal.schedule();
    this.memory.makeRoom(0);
  }

  /** What a restart had no need to read is read bit by bit, so that damage is found before somebody needs it. */
  #verifySome(): void {
    this.#verifyTimer = this.clock.setTimer(VERIFY_PAUSE_MS, () => {
      const journal = [...this.#journals.values()].find((each) => each.verifyNext());
      if (journal !== undefined) this.#verifySome();
    });
  }

  #watchConsumers(): void {
    this.#consumerTimer = this.clock.setTimer(CONSUMER_CHECK_MS, () => {
      for (const connection of [...this.connections.all()]) connection.checkConsumerTimeouts();
      this.#watchConsumers();
    });
  }

  #watchSpace(disk: Disk): void {
    this.#lowOnSpace = disk.freeBytes() < this.settings.diskFreeLimit;
    this.#checkSpace();
    this.#topology?.retry();
    this.#spaceTimer = this.clock.setTimer(SPACE_CHECK_MS, () => {
      // Not before: nobody should wait for it at a start.
      if (!this.alarm.isSet) this.#keepReserve(disk);
      this.#watchSpace(disk);
    });
  }

  #keepReserve(disk: Disk): void {
    if (this.#hasReserve || this.#journals.size === 0) return;
    const file = disk.open(RESERVE_NAME);
    try {
      const missing = RESERVE_BYTES - file.size;
      // Not zeros: some disks do not store these.
      if (missing > 0) file.write(randomBytes(missing), 0, missing, file.size);
      this.#hasReserve = true;
    } catch (error) {
      this.log.warn(
        { error: (error as Error).message },
        "the reserve on the disk cannot be written",
      );
    } finally {
      file.close();
    }
  }

  #giveUpReserve(): void {
    if (!this.#hasReserve) return;
    this.#hasReserve = false;
    this.#disk?.remove(RESERVE_NAME);
  }

  /** Publishers are held back while the disk is nearly full, or cannot be written. */
  #checkSpace(): void {
    if (this.#lowOnSpace || this.#unwritable.size > 0) {
      if (this.alarm.raise("disk")) {
        const { diskFreeLimit } = this.settings;
        this.log.warn(
          { diskFreeLimit },
          "disk alarm: publishers are blocked until there is space again",
        );
      }
    } else if (this.alarm.clear("disk")) {
      this.log.info({}, "disk alarm cleared: publishers go on");
    }
  }

  /** Bytes have changed that a restart had no need to read. */
  #reportLoss(vhost: string, { segment, from, to, ordinals }: DamagedRange): void {
    const fields = { vhost, segment: segment.name, offset: from, bytes: to - from };
    this.log.error(
      { ...fields, messages: ordinals.length },
      "the journal is damaged: a copy of the segment is kept aside, and these messages are lost",
    );
  }

  #report(vhost: string, { segment, offset, bytes, kind, messages }: Damage): void {
    const fields = { vhost, segment, offset, bytes, messages };
    if (kind === "torn end") {
      this.log.warn(
        fields,
        "the journal had an unfinished end, as a crash leaves it, which was cut off",
      );
    } else {
      this.log.error(
        fields,
        "the journal is damaged: a copy of the segment is kept aside, what is whole has been loaded",
      );
    }
  }

  /** Free space on the disk, or undefined without one. */
  get freeDiskBytes(): number | undefined {
    return this.#disk?.freeBytes();
  }

  /** Writes everything to the disk and closes it. */
  close(): void {
    this.#spaceTimer?.cancel();
    this.#verifyTimer?.cancel();
    this.#retryTimer?.cancel();
    this.#consumerTimer?.cancel();
    this.#giveUpReserve();
    for (const vhost of this.virtualHosts.all()) vhost.stop();
    this.#topology?.close();
    for (const { store } of this.virtualHosts.all()) store.close();
  }
}
