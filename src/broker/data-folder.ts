/**
 * What is where in a data folder: the log of the topology, and a folder with the journal of each virtual host.
 */

import type { Disk } from "../store/disk.ts";
import { EntryLog } from "../store/entry-log.ts";
import { parseSegmentName } from "../store/segment-format.ts";
import { Turn } from "../turn.ts";
import type { AdministrationEntry } from "./administration.ts";
import type { TopologyEntry } from "./topology.ts";

export type LogEntry = TopologyEntry | AdministrationEntry;

export const TOPOLOGY_NAME = "topology";

/** What the log of a data folder says. */
export interface LogReport {
  /** What has messages, durable queues and delaying exchanges, by virtual host and id. */
  readonly holderNames: ReadonlyMap<string, ReadonlyMap<number, string>>;
  readonly damagedBytes: number;
  readonly tornBytes: number;
  /** Whether it says nothing although there are messages: a broker does not start then. */
  readonly isLost: boolean;
}

const JOURNAL_PREFIX = "vhost-";

export function journalFolder(vhost: string): string {
  return `${JOURNAL_PREFIX}${Buffer.from(vhost).toString("hex")}`;
}

/** Why there must be a log of the topology; without one a virtual host would begin with nothing, and so end what is there. */
export function whatNeedsTopology(disk: Disk): string | undefined {
  const folders = disk.list().filter((name) => name.startsWith(JOURNAL_PREFIX));
  const hasMessages = folders.some((folder) =>
    disk
      .subfolder(folder)
      .list()
      .some((name) => parseSegmentName(name) !== undefined),
  );
  return hasMessages
    ? "there are messages, and nothing says whose they are. Put the file back, or take another folder"
    : undefined;
}

/** What the log of a data folder says, for reports. */
export function inspectLog(disk: Disk): LogReport {
  const names = new Map<string, Map<number, string>>();
  const isNeeded = whatNeedsTopology(disk) !== undefined;
  // To open it would make it.
  if (!disk.list().includes(TOPOLOGY_NAME))
    return { holderNames: names, damagedBytes: 0, tornBytes: 0, isLost: isNeeded };
  const log = new EntryLog<LogEntry>(disk, new Turn(), TOPOLOGY_NAME, () => []);
  const { entries, damagedBytes, tornBytes } = log.peek();
  for (const entry of entries) {
    if (entry.op === "delete-vhost") names.delete(entry.vhost);
    if (entry.op !== "queue" && entry.op !== "exchange") continue;
    const id = entry.op === "queue" ? entry.id : entry.shelfId;
    if (id === undefined) continue;
    const ofVhost = names.get(entry.vhost) ?? new Map<number, string>();
    names.set(entry.vhost, ofVhost.set(id, `${entry.op} ${entry.name}`));
  }
  const isLost = isNeeded && entries.length === 0;
  return { holderNames: names, damagedBytes, tornBytes, isLost };
}
