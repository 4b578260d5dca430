/** What the log says of damage to a journal: where it is, and what is lost with it. */

import type { Log } from "../log.ts";
import type { Damage } from "../store/block-reader.ts";
import type { DamagedRange } from "../store/journal-segment.ts";

function ofCopy(hasCopy: boolean): string {
  return hasCopy
    ? "a copy of the segment is kept aside"
    : "the disk did not take a copy of the segment";
}

/** Bytes have changed that a restart had no need to read. */
export function reportLoss(
  log: Log,
  vhost: string,
  { segment, from, to, ordinals }: DamagedRange,
): void {
  const fields = { vhost, segment: segment.name, offset: from, bytes: to - from };
  log.error(
    { ...fields, messages: ordinals.length },
    `the journal is damaged: ${ofCopy(segment.hasCopy)}, and these messages are lost`,
  );
}

/** What a restart has found. */
export function reportDamage(log: Log, vhost: string, damage: Damage): void {
  const { segment, offset, bytes, kind, messages, hasCopy = true } = damage;
  const fields = { vhost, segment, offset, bytes, messages };
  if (kind === "torn end") {
    log.warn(fields, "the journal had an unfinished end, as a crash leaves it, which was cut off");
  } else {
    log.error(fields, `the journal is damaged: ${ofCopy(hasCopy)}, what is whole has been loaded`);
  }
}
