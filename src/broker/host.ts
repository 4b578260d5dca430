/**
 * What a broker is when nobody is connected: its users and its virtual hosts, its clock, its log, its settings, and what of
 * them is on disk.
 */

import { AmqpError } from "../amqp/errors.ts";
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
import { Alarm } from "./alarm.ts";
import type { TopologyEntry, TopologyRecorder } from "./topology.ts";
import { Users } from "./users.ts";
import { VirtualHost } from "./vhost.ts";

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

export class Host {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly log: Log;
  readonly users = new Users();
  readonly alarm = new Alarm();
  readonly #disk: Disk | undefined;
  readonly #vhosts = new Map<string, VirtualHost>();
  readonly #journals = new Map<string, Journal>();
  readonly #topology: EntryLog<TopologyEntry> | undefined;
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
    this.#restore(this.#topology?.read() ?? []);
    if (disk !== undefined) this.#watchSpace(disk);
    this.users.add(settings.defaultUser, settings.defaultPassword, ["administrator"]);
  }

  /** The names of the durable queues of a data folder, by virtual host and id; for reports. */
  static queueNames(disk: Disk): Map<string, Map<number, string>> {
    const names = new Map<string, Map<number, string>>();
    const log = new EntryLog<TopologyEntry>(disk, new Turn(), "topology", () => []);
    for (const entry of log.peek()) {
      if (entry.op !== "queue") continue;
      const ofVhost = names.get(entry.vhost) ?? new Map<number, string>();
      names.set(entry.vhost, ofVhost.set(entry.id, entry.name));
    }
    return names;
  }

  #entries(): TopologyEntry[] {
    return [...this.#vhosts.values()].flatMap((vhost) => [...vhost.entries()]);
  }

  /** Exchanges, queues and bindings first, then the messages of the queues. */
  #restore(entries: readonly TopologyEntry[]): void {
    const names = new Set([this.settings.defaultVhost, ...entries.map(({ vhost }) => vhost)]);
    for (const name of names) this.#addVirtualHost(name, entries);
    const cutBytes = this.#topology?.cutBytes ?? 0;
    if (cutBytes > 0) {
      this.log.warn(
        { cutBytes },
        "the log of exchanges, queues and bindings had an unfinished end, which was cut off",
      );
    }
  }

  #addVirtualHost(name: string, entries: readonly TopologyEntry[]): void {
    const { clock, log, turn } = this;
    const memory = new MemoryStore(turn);
    const recovery = this.#disk && this.#recoverJournal(this.#disk, name);
    const store: MessageStore = recovery ? new DurableStore(memory, recovery.journal) : memory;
    const vhost = new VirtualHost(name, { store, clock, log, turn });
    this.#vhosts.set(name, vhost);
    for (const entry of entries) if (entry.vhost === name) vhost.restore(entry);
    const topology = this.#topology;
    if (topology !== undefined) vhost.recordTo(this.#recorder(topology));
    if (recovery === undefined) return;
    this.#journals.set(name, recovery.journal);
    for (const damage of recovery.damage) this.#report(name, damage);
    const messages = vhost.recover(recovery.forEachMessage);
    if (messages > 0) log.info({ vhost: name, messages }, "messages are back from the journal");
  }

  /** What cannot be written is refused, to whoever asks for it and to nobody else. */
  #recorder(topology: EntryLog<TopologyEntry>): TopologyRecorder {
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
    return recoverJournal({
      disk: disk.subfolder(`vhost-${Buffer.from(vhost).toString("hex")}`),
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
    this.#topology?.retry();
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

  virtualHost(name: string): VirtualHost | undefined {
    return this.#vhosts.get(name);
  }

  /** Writes everything to the disk and closes it. */
  close(): void {
    this.#spaceTimer?.cancel();
    for (const { queues } of this.#vhosts.values()) for (const queue of queues.all()) queue.stop();
    this.#topology?.close();
    for (const journal of this.#journals.values()) journal.close();
  }
}
