/**
 * How the broker lives with a disk that is full or fails: who cannot be written now and when it is tried again, how much space
 * there is, and the reserve.
 *
 * Publishers are held back while the disk is nearly full or something cannot be written; whoever consumes goes on. What is
 * settled has to be noted before files can go, and on a full disk that takes space, too: so a file is kept that is given up
 * then. It knows nothing of what is written. Nothing here throws: trouble with the disk is no news to a timer.
 */

import { randomFillSync } from "node:crypto";
import type { Clock, Timer } from "../clock.ts";
import type { Log } from "../log.ts";
import type { Disk } from "../store/disk.ts";
import type { Alarm } from "./alarm.ts";

/** How long a disk that cannot be written is left alone before the next try. */
const WRITE_RETRY_MS = 1000;
/** How often the disk's free space is looked at. */
const SPACE_CHECK_MS = 1000;
const RESERVE_NAME = "reserve";
export const RESERVE_BYTES = 4 * 1024 * 1024;
const RESERVE_PIECE_BYTES = 128 * 1024;

export interface DiskWatchContext {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  readonly alarm: Alarm;
  /** With less free space, in bytes, publishers are held back. */
  readonly diskFreeLimit: number;
  /** Size of the file that is given up when the disk is full. */
  readonly reserveBytes: number;
  /** Whether there is anything that a reserve would help. */
  needsReserve(): boolean;
  /** Everything that could not be written is to be tried again at the end of this turn. */
  retryWriting(): void;
  /** Once a second. */
  tick(): void;
}

export class DiskWatch {
  readonly #context: DiskWatchContext;
  /** What cannot be written now. */
  readonly #unwritable = new Set<string>();
  #freeLimitBytes: number;
  #lowOnSpace = false;
  #hasReserve: boolean;
  #saidNoReserve = false;
  #spaceTimer: Timer | undefined;
  #retryTimer: Timer | undefined;

  constructor(context: DiskWatchContext) {
    this.#context = context;
    this.#freeLimitBytes = context.diskFreeLimit;
    // The process before this one may have left it.
    this.#hasReserve = context.disk.list().includes(RESERVE_NAME);
  }

  /** With less free space, in bytes, publishers are held back. */
  get freeLimitBytes(): number {
    return this.#freeLimitBytes;
  }

  /** Counts at once. */
  setFreeLimit(bytes: number): void {
    this.#freeLimitBytes = bytes;
    this.#lookAtSpace();
  }

  #lookAtSpace(): void {
    this.#try("the free space on the disk cannot be told", () => {
      this.#lowOnSpace = this.#context.disk.freeBytes() < this.#freeLimitBytes;
    });
    this.#check();
  }

  /** Looks at the space from now on. */
  start(): void {
    const { clock, alarm } = this.#context;
    this.#lookAtSpace();
    this.#context.tick();
    this.#spaceTimer = clock.setTimer(SPACE_CHECK_MS, () => {
      // Not before: nobody should wait for it at a start.
      if (!alarm.isLow("disk") && this.#context.needsReserve()) this.#keepReserve();
      this.start();
    });
  }

  stop(): void {
    this.#spaceTimer?.cancel();
    this.#retryTimer?.cancel();
    this.#giveUpReserve();
  }

  /** `what` cannot be written now, or can be again (undefined). */
  trouble(what: string, error: Error | undefined): void {
    const { log, clock } = this.#context;
    if (error === undefined) {
      if (!this.#unwritable.delete(what)) return;
      log.info({ what }, `${what} can be written again`);
    } else {
      if (!this.#unwritable.has(what)) {
        const text = `${what} cannot be written: it is tried again every second`;
        log.warn({ what, error: error.message }, text);
      }
      this.#unwritable.add(what);
      this.#giveUpReserve();
      this.#retryTimer ??= clock.setTimer(WRITE_RETRY_MS, () => {
        this.#retryTimer = undefined;
        this.#context.retryWriting();
      });
    }
    this.#check();
  }

  /** It is gone, and with it any trouble there was. */
  forget(what: string): void {
    this.#unwritable.delete(what);
    this.#check();
  }

  #check(): void {
    const { alarm, log } = this.#context;
    if (this.#lowOnSpace || this.#unwritable.size > 0) {
      if (alarm.raise("disk")) {
        log.warn(
          { diskFreeLimit: this.#freeLimitBytes },
          "disk alarm: publishers are blocked until there is space again",
        );
      }
    } else if (alarm.clear("disk")) {
      log.info({}, "disk alarm cleared: publishers go on");
    }
  }

  #keepReserve(): void {
    if (this.#hasReserve) return;
    const { disk, log, reserveBytes } = this.#context;
    try {
      writeReserve(disk, reserveBytes);
      this.#hasReserve = true;
      this.#saidNoReserve = false;
    } catch (error) {
      // Half a reserve takes what others need.
      this.#removeReserve();
      if (this.#saidNoReserve) return;
      this.#saidNoReserve = true;
      const { message } = error as Error;
      log.warn({ error: message }, "the reserve on the disk cannot be written");
    }
  }

  #giveUpReserve(): void {
    if (!this.#hasReserve) return;
    this.#hasReserve = !this.#removeReserve();
  }

  /** Whether there is none any more. */
  #removeReserve(): boolean {
    const { disk } = this.#context;
    return this.#try("the reserve on the disk cannot be removed", () => {
      if (disk.list().includes(RESERVE_NAME)) disk.remove(RESERVE_NAME);
    });
  }

  /** Whether it was done; if not, the log says why. */
  #try(trouble: string, act: () => void): boolean {
    try {
      act();
      return true;
    } catch (error) {
      this.#context.log.warn({ error: (error as Error).message }, trouble);
      return false;
    }
  }
}

function writeReserve(disk: Disk, bytes: number): void {
  const file = disk.open(RESERVE_NAME);
  try {
    // All at once would stay in memory until garbage is collected.
    const piece = Buffer.allocUnsafe(RESERVE_PIECE_BYTES);
    for (let at = file.size; at < bytes; at += RESERVE_PIECE_BYTES) {
      // Not zeros: some disks do not store these.
      randomFillSync(piece);
      file.write(piece, 0, Math.min(RESERVE_PIECE_BYTES, bytes - at), at);
    }
  } finally {
    file.close();
  }
}
