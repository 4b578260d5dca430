/** Where and on what a result was measured. */

import { execFileSync } from "node:child_process";
import { cpus, release, totalmem, type } from "node:os";
import type { Options } from "./options.ts";

/** Lines of a Markdown list. */
export function describeMachine(brokerVersions: readonly string[], options: Options): string[] {
  const node = nodeVersion(options);
  const processors = cpus();
  const gibibytes = (totalmem() / 1024 ** 3).toFixed(0);
  return [
    `- Date: ${new Date().toISOString().slice(0, 10)}`,
    `- Commit: ${commit()}`,
    `- Brokers: ${brokerVersions.join(", ")}`,
    `- Processor: ${processors[0]?.model.trim()}, ${processors.length} cores; ${gibibytes} GiB of memory`,
    `- Kernel: ${type()} ${release()}`,
    `- Node.js: ${node}${node === process.version ? "" : `, the load generator ${process.version}`}`,
    `- Leveret started with: ${options.brokerArguments.join(" ") || "no arguments"}`,
    `- Measured ${options.seconds} s a repetition, after ${options.warmUpSeconds} s of warm-up`,
  ];
}

/** Of the Node.js that runs Leveret: `v24.9.0`. */
export function nodeVersion({ node }: Options): string {
  if (node === undefined) return process.version;
  return execFileSync(node, ["--version"], { encoding: "utf8" }).trim();
}

function commit(): string {
  try {
    const id = git("rev-parse", "--short=12", "HEAD");
    return git("status", "--porcelain") === "" ? id : `${id}, with changes not committed`;
  } catch {
    return "none";
  }
}

function git(...gitArguments: string[]): string {
  return execFileSync("git", gitArguments, { encoding: "utf8", stdio: "pipe" }).trim();
}
