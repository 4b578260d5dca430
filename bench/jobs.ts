/** The messages between runner and generator, and the runner's side of a generator's life. */

import { fork } from "node:child_process";
import type { Figures } from "./figures.ts";

export interface Job {
  readonly rowId: string;
  readonly brokerUrl: string;
  readonly brokerPid: number | undefined;
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

export type Report = { readonly type: "progress"; readonly text: string } | Result;

type Result =
  | { readonly type: "failed"; readonly reason: string }
  | { readonly type: "figures"; readonly figures: Figures };

/** Setting up, filling and draining may take longer than the measurement, but not forever. */
const BESIDES_MEASURING_SECONDS_MAX = 300;

/** The generator beside this file, as source or compiled. */
const generator = import.meta.url.replace(/jobs(\.\w+)$/, "generator$1");

/**
 * Runs a job in a process of its own; rejects with the reason when it yields no figures.
 *
 * Settles when that process has ended, so that it has left the broker clean for the next one.
 */
export function runJob(
  job: Job,
  onProgress: (text: string) => void,
  signal: AbortSignal,
): Promise<Figures> {
  const child = fork(new URL(generator), {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    signal,
  });
  // An abort is told by "error" before the exit that ends the wait below.
  child.on("error", (error) => {
    last = { type: "failed", reason: error.message };
  });
  const secondsMax = job.warmUpSeconds + job.seconds + BESIDES_MEASURING_SECONDS_MAX;
  let last: Result | undefined;
  const deadline = setTimeout(() => {
    last = { type: "failed", reason: `no result within ${secondsMax} s` };
    child.kill("SIGKILL");
  }, secondsMax * 1000);
  child.on("message", (message: Report) => {
    if (message.type === "progress") onProgress(message.text);
    else last = message;
  });
  child.send(job);
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => {
      clearTimeout(deadline);
      if (last?.type === "figures") resolve(last.figures);
      else reject(new Error(last?.reason ?? `the generator ended with code ${code}`));
    });
  });
}
