/**
 * What a broker is besides its sockets: its users and their permissions, its virtual hosts, who is connected, its clock, its
 * log, its settings, and what of them is on disk.
 */

import type { Clock, Timer } from "../clock.ts";
import type { Settings } from "../config.ts";
import type { Log } from "../log.ts";
import type { Disk } from "../store/disk.ts";
import { DurableStore } from "../store/durable-store.ts";
import { EntryLog } from "../store/entry-log.ts";
import type { Journal } from "../store/journal.ts";
import { type Damage, recoverJournal } from "../store/journal-recovery.ts";
import { MemoryStore } from "../store/memory-store.ts";
import type { MessageStore } from "../store/message-store.ts";
import { Turn } from "../turn.ts";
import type { AdministrationEntry } from "./administration.ts";
import { Alarm } from "./alarm.ts";
import { Connections } from "./connections.ts";
import { ObjectLimits } from "./limits.ts";
import { Permissions } from "./permissions.ts";
import { type KeptVirtualHost, restoreAdministration } from "./restore.ts";
import { forgetful, type TopologyEntry } from "./topology.ts";
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
/** As the only node of a cluster is called. */
export const NODE_NAME = "rabbit@localhost";

type LogEntry = TopologyEntry | AdministrationEntry;

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
  readonly virtualHosts: VirtualHosts;
  readonly connections: Connections;
  readonly alarm = new Alarm();
  readonly #disk: Disk | undefined;
  readonly #objectLimits: ObjectLimits;
  readonly #journals = new Map<string, Journal>();
  readonly #topology: EntryLog<LogEntry> | undefined;
  /** Virtual hosts whose journal cannot be written now. */
  readonly #unwritable = new Set<string>();
  #lowOnSpace = false;
  #spaceTimer: Timer | undefined;

  constructor({ settings, clock, turn, log, disk }: HostContext) {
    this.settings = settings;
    this.clock = clock;
    this.turn = turn;
    this.log = log;
    this.#disk = disk;
    if (disk !== undefined) {
      this.#topology = new EntryLog(disk, turn, "topology", () => this.#entries());
    }
    const record = (entry: AdministrationEntry): void => this.#topology?.append(entry);
    this.connections = new Connections(settings, NODE_NAME);
    this.users = new Users(record, (name) => {
      this.permissions.forgetUser(name);
      this.connections.closeOfUser(name, `user '${name}' is deleted`);
    });
    this.virtualHosts = new VirtualHosts({
      record,
      open: (name) => this.#addVirtualHost(name),
      remove: (vhost) => this.#removeVirtualHost(vhost),
    });
    this.permissions = new Permissions({
      record,
      hasUser: (name) => this.users.find(name) !== undefined,
      hasVirtualHost: (name) => this.virtualHosts.find(name) !== undefined,
      changed: (vhost) => this.virtualHosts.find(vhost)?.accessChanged(),
    });
    this.#objectLimits = new ObjectLimits(settings, () => this.virtualHosts.all());
    this.#restore(this.#topology?.read() ?? []);
    if (disk !== undefined) this.#watchSpace(disk);
  }

  /** The names of the durable queues of a data folder, by virtual host and id; for reports. */
  static queueNames(disk: Disk): Map<string, Map<number, string>> {
    const names = new Map<string, Map<number, string>>();
    const log = new EntryLog<LogEntry>(disk, new Turn(), "topology", () => []);
    for (const entry of log.peek()) {
      if (entry.op === "delete-vhost") names.delete(entry.vhost);
      if (entry.op !== "queue") continue;
      const ofVhost = names.get(entry.vhost) ?? new Map<number, string>();
      names.set(entry.vhost, ofVhost.set(entry.id, entry.name));
    }
    return names;
  }

  #entries(): LogEntry[] {
    const { virtualHosts, users, permissions } = this;
    return [
      { op: "defaults" },
      ...virtualHosts.entries(),
      ...users.entries(),
      ...permissions.entries(),
      ...[...virtualHosts.all()].flatMap((vhost) => [...vhost.entries()]),
    ];
  }

  /** Users and permissions, then for each virtual host exchanges, queues and bindings, then the messages of the queues. */
  #restore(entries: readonly LogEntry[]): void {
    const kept = restoreAdministration(entries, this.users, this.permissions);
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

  /** What exists from the start, made at the first start only [RabbitMQ: default user]. */
  #makeDefaults(found: ReadonlyMap<string, KeptVirtualHost>): void {
    const { defaultUser, defaultPassword, defaultVhost } = this.settings;
    this.#topology?.append({ op: "defaults" });
    for (const name of found.keys()) this.virtualHosts.change(name, {});
    if (!found.has(defaultVhost)) this.virtualHosts.add(defaultVhost);
    this.users.add(defaultUser, { password: defaultPassword, tags: ["administrator"] });
    this.permissions.set(defaultUser, defaultVhost, { configure: ".*", write: ".*", read: ".*" });
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
    const memory = new MemoryStore(turn);
    // What is left of another of that name is not to become the new one's.
    if (entries === undefined) this.#disk?.removeSubfolder(journalFolder(name));
    const recovery = this.#disk && this.#recoverJournal(this.#disk, name);
    const store: MessageStore = recovery ? new DurableStore(memory, recovery.journal) : memory;
    const objectLimits = this.#objectLimits;
    const vhost = new VirtualHost(name, { store, clock, log, turn, objectLimits });
    for (const entry of entries ?? []) vhost.restore(entry);
    const topology = this.#topology;
    if (topology !== undefined) vhost.recordTo({ record: (entry) => topology.append(entry) });
    if (recovery === undefined) return vhost;
    this.#journals.set(name, recovery.journal);
    for (const damage of recovery.damage) this.#report(name, damage);
    const messages = vhost.recover(recovery.forEachMessage);
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
    this.connections.closeOfVirtualHost(name, `vhost '${name}' is deleted`);
    vhost.stop();
    const journal = this.#journals.get(name);
    this.#journals.delete(name);
    journal?.close();
    if (this.#unwritable.delete(name)) this.#checkSpace();
    this.#disk?.removeSubfolder(journalFolder(name));
  }

  #recoverJournal(disk: Disk, vhost: string): ReturnType<typeof recoverJournal> {
    const { log, turn, settings } = this;
    return recoverJournal({
      disk: disk.subfolder(journalFolder(vhost)),
      turn,
      segmentBytes: settings.segmentBytes,
      residentBytesMax: settings.memoryLimit,
      sync: settings.sync,
      onSyncFailed: (error) => {
        log.error(
          { vhost, error },
          "the disk could not sync the journal: what it holds is not known, so the broker stops",
        );
        throw error;
      },
      onWriteTrouble: (error) => this.#writeTrouble(vhost, error),
    });
  }

  #writeTrouble(vhost: string, error: Error | undefined): void {
    // It is being removed.
    if (!this.#journals.has(vhost)) return;
    if (error === undefined) {
      this.#unwritable.delete(vhost);
      this.log.info({ vhost }, "the journal can be written again");
    } else {
      this.#unwritable.add(vhost);
      this.log.warn(
        { vhost, error: error.message },
        "the journal cannot be written: it is tried again every second",
      );
      this.clock.setTimer(WRITE_RETRY_MS, () => this.#journals.get(vhost)?.schedule());
    }
    this.#checkSpace();
  }

  #watchSpace(disk: Disk): void {
    this.#lowOnSpace = disk.freeBytes() < this.settings.diskFreeLimit;
    this.#checkSpace();
    this.#spaceTimer = this.clock.setTimer(SPACE_CHECK_MS, () => this.#watchSpace(disk));
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

  #report(vhost: string, { segment, offset, bytes, kind }: Damage): void {
    const fields = { vhost, segment, offset, bytes };
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

  /** Writes everything to the disk and closes it. */
  close(): void {
    this.#spaceTimer?.cancel();
    for (const vhost of this.virtualHosts.all()) vhost.stop();
    this.#topology?.close();
    for (const journal of this.#journals.values()) journal.close();
  }
}
