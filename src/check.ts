/**
 * `leveret check DIR`: reads a data folder, says what is in it and what is wrong with it, and changes nothing.
 */

import { readdirSync } from "node:fs";
import { inspectLog } from "./broker/data-folder.ts";
import type { Damage } from "./store/block-reader.ts";
import { FileDisk } from "./store/disk.ts";
import { inspectJournal } from "./store/journal-recovery.ts";

const VHOST_FOLDER = /^vhost-([0-9a-f]*)$/;

function describe({ kind, segment, offset, bytes, messages }: Damage): string {
  const held = messages === undefined ? "what these bytes held" : `${messages} messages`;
  const what =
    kind === "torn end"
      ? "an unfinished end, as a crash leaves it: it will be cut off"
      : `DAMAGED: ${held} missing`;
  return `  ${segment}, ${bytes} bytes from offset ${offset}: ${what}`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** Prints the report line by line; false when something is damaged. */
export function check(folder: string, print: (line: string) => void): boolean {
  const disk = new FileDisk(folder);
  const { holderNames, damagedBytes, tornBytes, isLost } = inspectLog(disk);
  let sound = damagedBytes === 0 && !isLost;
  if (isLost)
    print("topology: LOST: nothing says whose the messages are, and no broker starts here");
  else if (tornBytes > 0)
    print(
      `topology, ${tornBytes} bytes: an unfinished end, as a crash leaves it: it will be cut off`,
    );
  if (damagedBytes > 0)
    print(`topology, ${damagedBytes} bytes: DAMAGED: what they said is missing`);
  for (const entry of readdirSync(folder).sort()) {
    const match = VHOST_FOLDER.exec(entry);
    if (match === null) continue;
    const vhost = Buffer.from(match[1]!, "hex").toString();
    const report = inspectJournal(disk.subfolder(entry));
    print(`vhost ${vhost}: ${report.segments} segments, ${mebibytes(report.bytes)}`);
    for (const [id, count] of report.messages) {
      print(
        `  ${holderNames.get(vhost)?.get(id) ?? `queue with id ${id}, which is deleted`}: ${count} messages`,
      );
    }
    for (const damage of report.damage) print(describe(damage));
    if (report.damage.some(({ kind }) => kind === "damaged")) sound = false;
  }
  print(sound ? "The folder is sound." : "The folder is damaged: see above.");
  return sound;
}
