/** Memory for bodies in pieces, without a limit. */
import { MemoryBudget } from "../../src/store/memory-budget.ts";

export const memories = new MemoryBudget(Number.POSITIVE_INFINITY).pool(1 << 20);
