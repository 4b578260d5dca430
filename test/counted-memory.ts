/** Counts what is kept about messages. */
import type { MemoryCounter } from "../src/store/memory-budget.ts";

export class CountedMemory implements MemoryCounter {
  bytes = 0;

  take(bytes: number): void {
    this.bytes += bytes;
  }
}
