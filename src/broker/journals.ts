/**
 * The journals of a broker's virtual hosts: how each is read at a start, and verified in the background after it.
 *
 * What goes wrong with one is told in the log and to the disk watch. A sync that fails ends the process: what it covered is not
 * known to be on the disk.
 */

import { randomInt } from "node:crypto";
import type { Clock, Timer } from "../clock.ts";
import type { Settings } from "../config.ts";
import type { Log } from "../log.ts";
import type { Disk } from "../store/disk.ts";
import type { Journal, JournalOptions } from "../store/journal.ts";
import { type Recovery, recoverJournal } from "../store/journal-recovery.ts";
import type { MemoryBudget } from "../store/memory-budget.ts";
import type { Turn } from "../turn.ts";
import { reportDamage, reportLoss } from "./damage-report.ts";

/** How often a long recovery says how far it is. */
const PROGRESS_MS = 2000;
/** Between two segments that are verified after a restart: each costs some milliseconds. */
const VERIFY_PAUSE_MS = 200;
/** After one that could not be read. */
const VERIFY_RETRY_MS = 60_000;

export interface JournalsContext {
  readonly clock: Clock;
  readonly log: Log;
  readonly turn: Turn;
  readonly settings: Settings;
  readonly memory: MemoryBudget;
  /** Writing to the journal of a virtual host does not work, or works again (undefined). */
  readonly onWriteTrouble: (vhost: string, error: Error | undefined) => void;
}

export class Journals {
  readonly #context: JournalsContext;
  readonly #byVirtualHost = new Map<string, Journal>();
  #verifyTimer: Timer | undefined;

  constructor(context: JournalsContext) {
    this.#context = context;
  }

  get count(): number {
    return this.#byVirtualHost.size;
  }

  /** The journal that is in a virtual host's folder, or a new one. */
  open(disk: Disk, vhost: string): Recovery {
    const { log, clock } = this.#context;
    let saidAtMs = clock.exactNow();
    return recoverJournal(this.#options(disk, vhost), (segments, of) => {
      if (clock.exactNow() - saidAtMs < PROGRESS_MS) return;
      saidAtMs = clock.exactNow();
      log.info({ vhost, segments, of }, `reading the journal: ${segments} of ${of} segments`);
    });
  }

  /** The virtual host is there: its journal is looked after from now on. */
  add(vhost: string, { journal, damage }: Recovery): void {
    this.#byVirtualHost.set(vhost, journal);
    for (const each of damage) reportDamage(this.#context.log, vhost, each);
  }

  #options(disk: Disk, vhost: string): JournalOptions {
    const { log, turn, settings, memory, onWriteTrouble } = this.#context;
    return {
      disk,
      turn,
      segmentBytes: settings.segmentBytes,
      budget: memory,
      sync: settings.sync,
      salt: () => randomInt(2 ** 32),
      onSyncFailed: (error) => {
        log.error(
          { vhost, error },
          "the disk could not sync the journal: what it holds is not known, so the broker stops",
        );
        throw error;
      },
      onWriteTrouble: (error) => onWriteTrouble(vhost, error),
      onDamage: (damage) => reportLoss(log, vhost, damage),
    };
  }

  forget(vhost: string): void {
    this.#byVirtualHost.delete(vhost);
  }

  /** Those that could not be written try again at the end of the turn. */
  schedule(): void {
    for (const journal of this.#byVirtualHost.values()) journal.schedule();
  }

  /** What a restart had no need to read is read bit by bit, so that damage is found before somebody needs it. */
  verify(pauseMs = VERIFY_PAUSE_MS): void {
    const { clock, log } = this.#context;
    this.#verifyTimer = clock.setTimer(pauseMs, () => {
      try {
        const journal = [...this.#byVirtualHost.values()].find((each) => each.verifyNext());
        if (journal !== undefined) this.verify();
      } catch (error) {
        const { message } = error as Error;
        log.warn({ error: message }, "a segment cannot be read: it will be verified later");
        this.verify(VERIFY_RETRY_MS);
      }
    });
  }

  /** Nothing is verified any more. */
  stop(): void {
    this.#verifyTimer?.cancel();
  }
}
