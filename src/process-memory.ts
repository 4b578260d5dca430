/** The memory of this process: what it may have, what it uses, and giving back what nobody uses any more. */

import { totalmem } from "node:os";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { ProcessMemory } from "./broker/memory-watch.ts";

/** The limit of the container (cgroup), where there is one, or all of the machine. */
export function memoryTotalBytes(): number {
  // 0, or more than anybody has, is no limit.
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

/** V8 collects garbage on demand only for those who ask it to, which can be done at any time. */
function findCollector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

export class NodeMemory implements ProcessMemory {
  readonly totalBytes = memoryTotalBytes();
  /** Resident from the start, beside the heap and the buffers: code, mostly. */
  readonly #codeBytes: number;
  #collect: (() => void) | undefined;

  constructor() {
    const { rss, heapTotal, external } = process.memoryUsage();
    this.#codeBytes = Math.max(0, rss - heapTotal - external);
  }

  /**
   * What is resident, without what the allocator keeps of memory that has been given back: large buffers go through it, it
   * does not return all of them to the system, and the next ones take their place.
   */
  usedBytes(): number {
    const { rss, heapTotal, external } = process.memoryUsage();
    return Math.min(rss, this.#codeBytes + heapTotal + external);
  }

  collectGarbage(): void {
    this.#collect ??= findCollector();
    this.#collect();
  }
}
