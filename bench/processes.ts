/** How a child process is brought to its end. */

import type { ChildProcess } from "node:child_process";

const STOP_MS_MAX = 15_000;

/** Asks it to end, or kills it at once; makes it end when it does not. */
export async function stopProcess(
  child: ChildProcess,
  signal: "SIGTERM" | "SIGKILL" = "SIGTERM",
): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  const deadline = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
  await ended;
  clearTimeout(deadline);
}
