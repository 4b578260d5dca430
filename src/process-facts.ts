/** What the process knows of itself and its machine, for whoever watches the broker. */

import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { ProcessFacts } from "./management/context.ts";
import { memoryTotalBytes } from "./process-memory.ts";

function filesOpen(): number | undefined {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return undefined;
  }
}

export function processFacts(): ProcessFacts {
  return {
    pid: process.pid,
    nodeVersion: process.version,
    processors: availableParallelism(),
    memoryUsedBytes: process.memoryUsage.rss(),
    memoryTotalBytes: memoryTotalBytes(),
    filesOpen: filesOpen(),
  };
}
