/** A store in memory, and messages in it that can be told apart. */
import type { Disk } from "../../src/store/disk.ts";
import { MemoryBudget } from "../../src/store/memory-budget.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import type { Holder } from "../../src/store/message-store.ts";
import { Turn } from "../../src/turn.ts";

export const MIB = 1 << 20;

export const holders: Holder[] = [1, 2, 3].map((id) => ({ id, persists: false }));
export const one = holders.slice(0, 1);

/** What may come on top of the messages: a table of eight bytes for each. */
export const TABLES = MIB / 4;

export class TestStore extends MemoryStore {
  readonly #budget: MemoryBudget;

  constructor(
    turn = new Turn(() => undefined),
    budget = new MemoryBudget(Number.POSITIVE_INFINITY),
    disk: Disk | undefined = undefined,
  ) {
    super({
      turn,
      budget,
      disk,
      onWriteTrouble: (error) => {
        if (error !== undefined) throw error;
      },
    });
    this.#budget = budget;
  }

  /** Without buffers that only wait to be used again. */
  get allocatedBytes(): number {
    return this.#budget.usedBytes - this.#budget.keptBytes;
  }
}

export function newStore(): TestStore {
  return new TestStore();
}

/** Octets that repeat only after 256, so that a message in a wrong place is noticed. */
const pattern = Buffer.alloc(6 * MIB);

for (let index = 0; index < pattern.length; index++) pattern[index] = index * 7;

export function octets(bytes: number, seed: number): Buffer {
  return pattern.subarray(seed % 256, (seed % 256) + bytes);
}

export function append(store: MemoryStore, bytes: number, seed: number, by = one): number {
  const position = store.append(bytes, by);
  const { buffer, view, offset } = store.locate(position);
  octets(bytes, seed).copy(buffer, offset);
  // The view is over the same bytes.
  if (view.getUint8(offset) !== octets(1, seed)[0]) throw new Error("view and buffer differ");
  return position;
}

export function expectIntact(
  store: MemoryStore,
  position: number,
  bytes: number,
  seed: number,
): void {
  const { buffer, offset } = store.locate(position);
  if (!buffer.subarray(offset, offset + bytes).equals(octets(bytes, seed)))
    throw new Error(`the ${bytes} bytes at position ${position} have changed`);
}
