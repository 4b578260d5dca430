/**
 * Looks at how much memory the process uses, and holds publishers back while it is more than the watermark; whoever
 * consumes goes on and makes room.
 *
 * It knows no process: who starts a broker says how its memory is told. Nothing here throws.
 */

import type { Clock, Timer } from "../clock.ts";
import type { Log } from "../log.ts";
import type { Alarm } from "./alarm.ts";

const CHECK_MS = 1000;

/** The memory of a process: declared here, implemented by whoever starts the broker. */
export interface ProcessMemory {
  /** What it may have: that of the machine, or of the container. */
  readonly totalBytes: number;
  /** What is resident and in use. */
  usedBytes(): number;
  /** Gives back what nobody uses any more; it takes time. */
  collectGarbage(): void;
}

export interface MemoryWatchContext {
  readonly memory: ProcessMemory;
  readonly clock: Clock;
  readonly log: Log;
  readonly alarm: Alarm;
  /** Lets go of all memory whose content can be had again from the disk. */
  evict(): void;
  /** A fraction of the total up to 1, bytes above it, or infinity [RabbitMQ: vm_memory_high_watermark]. */
  readonly highWatermark: number;
}

export class MemoryWatch {
  #limitBytes: number;
  readonly #context: MemoryWatchContext;
  #timer: Timer | undefined;

  constructor(context: MemoryWatchContext) {
    this.#context = context;
    this.#limitBytes = this.#bytesOf(context.highWatermark);
  }

  /** With more in use publishers are blocked. */
  get limitBytes(): number {
    return this.#limitBytes;
  }

  /** Counts at once. */
  setHighWatermark(highWatermark: number): void {
    this.stop();
    this.#limitBytes = this.#bytesOf(highWatermark);
    this.#check();
    this.start();
  }

  #bytesOf(highWatermark: number): number {
    return highWatermark <= 1
      ? Math.floor(highWatermark * this.#context.memory.totalBytes)
      : highWatermark;
  }

  /** Looks at the memory from now on, if there is a limit. */
  start(): void {
    if (this.limitBytes === Number.POSITIVE_INFINITY) return;
    this.#check();
    this.#timer = this.#context.clock.setTimer(CHECK_MS, () => this.start());
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #check(): void {
    const { limitBytes } = this;
    const { alarm, log } = this.#context;
    const usedBytes = this.#usedBytes();
    if (usedBytes > limitBytes) {
      if (!alarm.raise("memory")) return;
      log.warn(
        { usedBytes, limitBytes },
        "memory alarm: publishers are blocked until less memory is used (vm_memory_high_watermark)",
      );
    } else if (alarm.clear("memory")) {
      log.info({ usedBytes, limitBytes }, "memory alarm cleared: publishers go on");
    }
  }

  /**
   * Neither garbage nor what is on the disk as well holds anybody back: where nobody publishes, nothing else would ever let
   * go of it.
   */
  #usedBytes(): number {
    const { memory } = this.#context;
    const usedBytes = memory.usedBytes();
    if (usedBytes <= this.limitBytes) return usedBytes;
    this.#context.evict();
    memory.collectGarbage();
    return memory.usedBytes();
  }
}
