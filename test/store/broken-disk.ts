/**
 * A store that is broken on purpose, by what its disk does or by what becomes of its files: what a test of the store must
 * notice, or it says nothing.
 */
import {
  BLOCK_HEADER_BYTES,
  blockHeader,
  MESSAGE,
  parseSegmentName,
  SETTLED,
} from "../../src/store/segment-format.ts";
import { reseal, walkBlocks, walkRecords } from "./journal-bytes.ts";
import type { Sabotage, SimulatedDisk } from "./simulated-disk.ts";

const MAGIC = Buffer.from("LVRT");

function segmentsOf(disk: SimulatedDisk): { bytes: Buffer; salt: number }[] {
  return disk.list().flatMap((name) => {
    const salt = parseSegmentName(name)?.salt;
    return salt === undefined ? [] : [{ bytes: disk.bytesOf(name), salt }];
  });
}

/** Whoever waits for a sync is told when it begins. */
export const confirmsBeforeSync: Sabotage = { answersEarly: true };

/** What is said of the topology is answered before it is on the disk. */
export const answersTopologyBeforeSync: Sabotage = { syncsNothing: (name) => name === "topology" };

/** Blocks are written as if queues were done with nothing. */
export const skipsSettled: Sabotage = {
  onWrite: (bytes, name) => {
    const salt = parseSegmentName(name)?.salt;
    if (salt === undefined) return bytes;
    const copy = Buffer.from(bytes);
    for (const block of walkBlocks(copy, salt)) {
      for (const { type, at } of walkRecords(copy, block))
        if (type === SETTLED) copy.writeUInt32LE(0, at + 16);
      reseal(copy, block, salt);
    }
    return copy;
  },
};

/** Whoever reads takes any checksum for right: it is made so, wherever something looks like a block. */
export function ignoreChecksums(disk: SimulatedDisk): void {
  for (const { bytes, salt } of segmentsOf(disk)) {
    for (let start = 0; bytes.length - start >= BLOCK_HEADER_BYTES; ) {
      const header = blockHeader(bytes, start);
      const end = start + header.bytes;
      if (!bytes.subarray(start, start + 4).equals(MAGIC)) break;
      if (header.bytes < BLOCK_HEADER_BYTES || end > bytes.length) break;
      reseal(bytes, { start, end, header }, salt);
      start = end;
    }
  }
}

/** A byte of the last message in each file has changed, and its checksum is right. */
export function flipLastMessage(disk: SimulatedDisk): void {
  for (const { bytes, salt } of segmentsOf(disk)) {
    for (const block of walkBlocks(bytes, salt).reverse()) {
      const message = walkRecords(bytes, block).findLast(({ type }) => type === MESSAGE);
      if (message === undefined) continue;
      bytes[message.end - 1]! ^= 1;
      reseal(bytes, block, salt);
      break;
    }
  }
}

/** The last block of the youngest file that has any is missing, as if it had never been written. */
export function dropLastBlock(disk: SimulatedDisk): void {
  for (const { bytes, salt } of segmentsOf(disk).reverse()) {
    const last = walkBlocks(bytes, salt).at(-1);
    if (last === undefined) continue;
    bytes.fill(0, last.start, last.start + BLOCK_HEADER_BYTES);
    return;
  }
}
