/** Reads the CPU profiles Node writes (`--cpu-prof`), and tells where the time went. */

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";

/** What of the format is used here: samples name a node each, deltas are microseconds. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
    };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const FUNCTIONS_SHOWN = 25;

/** The functions with the most self time in all profiles of a folder, which are then removed. */
export function topFunctions(folder: string): string[] {
  const selfMicroseconds = new Map<string, number>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".cpuprofile"))) {
    const path = join(folder, file);
    addSelfTimes(JSON.parse(readFileSync(path, "utf8")) as CpuProfile, selfMicroseconds);
    rmSync(path);
  }
  const busy = [...selfMicroseconds].filter(([name]) => name !== "(idle)");
  const total = busy.reduce((sum, [, microseconds]) => sum + microseconds, 0);
  return busy
    .sort(([, one], [, other]) => other - one)
    .slice(0, FUNCTIONS_SHOWN)
    .map(([name, microseconds]) => {
      const share = ((100 * microseconds) / total).toFixed(1).padStart(5);
      return `${share} %  ${(microseconds / 1e6).toFixed(2)} s  ${name}`;
    });
}

function addSelfTimes(profile: CpuProfile, selfMicroseconds: Map<string, number>): void {
  const names = new Map(profile.nodes.map((node) => [node.id, frameName(node.callFrame)]));
  profile.samples.forEach((id, index) => {
    const name = names.get(id)!;
    const delta = profile.timeDeltas[index] ?? 0;
    selfMicroseconds.set(name, (selfMicroseconds.get(name) ?? 0) + delta);
  });
}

function frameName({ functionName, url, lineNumber }: CpuProfile["nodes"][0]["callFrame"]): string {
  const name = functionName || "(anonymous)";
  return url === "" ? name : `${name} ${basename(url)}:${lineNumber + 1}`;
}
