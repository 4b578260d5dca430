/**
 * What a process used, read from Linux's /proc.
 *
 * Undefined where there is no such process id or no /proc: figures are then left out, never
 * guessed.
 */

import { readFileSync } from "node:fs";

/** USER_HZ: the unit of the times in /proc/PID/stat, fixed at 100 a second for user space. */
const TICKS_PER_SECOND = 100;

/** User and system time of all threads, those that have ended included. */
export function cpuSeconds(pid: number | undefined): number | undefined {
  const stat = read(pid, "stat");
  if (stat === undefined) return undefined;
  // The command in parentheses may contain anything; behind it the fields are numbers, from the
  // third on.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
  return (userTicks + systemTicks) / TICKS_PER_SECOND;
}

/** The memory resident in RAM. */
export function residentBytes(pid: number | undefined): number | undefined {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(read(pid, "status") ?? "")?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

/** What it has given to block devices, in bytes: file contents when the system wrote them out. */
export function writtenBytes(pid: number | undefined): number | undefined {
  const bytes = /^write_bytes: (\d+)$/m.exec(read(pid, "io") ?? "")?.[1];
  return bytes === undefined ? undefined : Number(bytes);
}

function read(pid: number | undefined, file: string): string | undefined {
  if (pid === undefined) return undefined;
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}
