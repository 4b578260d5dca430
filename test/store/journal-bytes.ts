/** The bytes of segment files, taken apart and put together again for tests that damage them. */
import type { RecoveredRun, Recovery } from "../../src/store/journal-recovery.ts";
import {
  BLOCK_HEADER_BYTES,
  type BlockHeader,
  DELIVERED_BYTES,
  MESSAGE,
  readBlock,
  recordBytes,
  SETTLED,
  SETTLED_BYTES,
  sealBlock,
} from "../../src/store/segment-format.ts";

/** The salt of all segments of the journals that are taken apart. */
export const SALT = 0x5a17_ed00;

export interface Block {
  readonly start: number;
  readonly end: number;
  readonly header: BlockHeader;
}

/** The valid blocks from the beginning of a file on. */
export function walkBlocks(bytes: Buffer, salt = SALT): Block[] {
  const blocks: Block[] = [];
  for (let start = 0; start < bytes.length; ) {
    const header = readBlock(bytes, start, bytes.length, salt);
    if (header === undefined) break;
    blocks.push({ start, end: start + header.bytes, header });
    start += header.bytes;
  }
  return blocks;
}

export interface Record {
  readonly type: number;
  readonly at: number;
  readonly end: number;
}

/** The records of a block. */
export function walkRecords(bytes: Buffer, { start, end }: Block): Record[] {
  const records: Record[] = [];
  for (let at = start + BLOCK_HEADER_BYTES; at < end; ) {
    const type = bytes[at]!;
    const recordEnd = at + bytesOfRecord(bytes, at, type);
    records.push({ type, at, end: recordEnd });
    at = recordEnd;
  }
  return records;
}

function bytesOfRecord(bytes: Buffer, at: number, type: number): number {
  if (type === MESSAGE)
    return recordBytes(bytes.readUInt32LE(at) >>> 8, bytes.readUInt32LE(at + 4));
  return type === SETTLED ? SETTLED_BYTES : DELIVERED_BYTES;
}

/** Makes the checksum of a changed block right. */
export function reseal(bytes: Buffer, { start, end, header }: Block, salt = SALT): void {
  sealBlock(bytes, start, end, { ...header, salt });
}

/** A segment file without what follows its blocks. */
export function withoutIndex(bytes: Buffer): Buffer {
  return bytes.subarray(0, walkBlocks(bytes).at(-1)?.end ?? 0);
}

/** Every message that has come back, one by one. */
export function recoveredMessages({ forEachRun }: Pick<Recovery, "forEachRun">): RecoveredRun[] {
  const messages: RecoveredRun[] = [];
  forEachRun((run) => {
    for (let at = 0; at < run.count; at++)
      messages.push({ ...run, position: run.position + at, count: 1 });
  });
  return messages;
}
