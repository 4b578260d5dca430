/** The blocks of a segment file in literal bytes, and what makes one valid. */
import { describe, expect, test } from "vitest";
import {
  BLOCK_HEADER_BYTES,
  ordinalOf,
  POSITION_BASE,
  readBlock,
  sealBlock,
  segmentNumber,
  segmentStart,
} from "../../src/store/segment-format.ts";

/** Block 7 of a journal, whose flush goes on, with the eight bytes 1 to 8 as its records. */
const literal = Buffer.from(
  "4c565254" + // LVRT
    "2c000000" + // 44 bytes
    "0000000000001c40" + // 7
    "01000000" + // goes on
    "05000000" + // five messages before it in the segment
    "0000000000001440" + // blocks up to 5 were on the disk
    "00000000" + // the checksum, filled in below
    "0102030405060708",
  "hex",
);

const SALT = 0xfeed_0815;

/** The CRC-32 of zip and Ethernet, bit by bit, of bytes that follow others with the CRC `begun`. */
function slowCrc32(bytes: Buffer, begun: number): number {
  let crc = ~begun >>> 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

literal.writeUInt32LE(
  slowCrc32(Buffer.concat([literal.subarray(0, 32), literal.subarray(36)]), SALT),
  32,
);

function sealed(goesOn: boolean): Buffer {
  const buffer = Buffer.alloc(BLOCK_HEADER_BYTES + 8, 0xff);
  Buffer.from("0102030405060708", "hex").copy(buffer, BLOCK_HEADER_BYTES);
  sealBlock(buffer, 0, buffer.length, {
    number: 7,
    continues: false,
    goesOn,
    ordinal: 5,
    synced: 5,
    salt: SALT,
  });
  return buffer;
}

describe("a block", () => {
  test("is what the format says, byte for byte", () => {
    expect(sealed(true).toString("hex")).toBe(literal.toString("hex"));
  });

  test("is read as it was written, wherever it stands", () => {
    const around = Buffer.concat([Buffer.alloc(5, 9), literal, Buffer.alloc(3, 9)]);
    const before = Buffer.from(around);
    const block = { bytes: 44, number: 7, continues: false, goesOn: true, ordinal: 5, synced: 5 };
    expect(readBlock(around, 5, around.length, SALT)).toEqual(block);
    expect(readBlock(around, 5, 5 + 44, SALT)).toEqual(block);
    expect(around.equals(before)).toBe(true);
    expect(readBlock(sealed(false), 0, 44, SALT)).toEqual({ ...block, goesOn: false });
  });

  test("is invalid with any bit flipped", () => {
    for (let bit = 0; bit < literal.length * 8; bit++) {
      const flipped = Buffer.from(literal);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(readBlock(flipped, 0, flipped.length, SALT)).toBeUndefined();
    }
  });

  test("is invalid when it ends before its last byte", () => {
    for (let end = 0; end < literal.length; end++)
      expect(readBlock(literal, 0, end, SALT)).toBeUndefined();
  });

  test("is not made of zeros, nor of anything shorter than a header", () => {
    expect(readBlock(Buffer.alloc(100), 0, 100, SALT)).toBeUndefined();
    const short = Buffer.from(literal);
    for (const bytes of [0, 1, BLOCK_HEADER_BYTES - 1, 0xffffffff]) {
      short.writeUInt32LE(bytes, 4);
      expect(readBlock(short, 0, short.length, SALT)).toBeUndefined();
    }
  });

  test("may be empty", () => {
    const buffer = Buffer.alloc(BLOCK_HEADER_BYTES);
    sealBlock(buffer, 0, buffer.length, {
      number: 1,
      continues: true,
      goesOn: false,
      ordinal: 0,
      synced: 0,
      salt: SALT,
    });
    expect(readBlock(buffer, 0, buffer.length, SALT)).toMatchObject({
      bytes: BLOCK_HEADER_BYTES,
      number: 1,
      continues: true,
      goesOn: false,
    });
  });
});

describe("a position", () => {
  test("says its segment and its ordinal, and stays an exact integer", () => {
    for (const number of [1, 2, 1000, 2 ** 31])
      for (const ordinal of [0, 1, 4095, 2 ** 20 - 1]) {
        const position = segmentStart(number) + ordinal;
        expect(Number.isSafeInteger(position)).toBe(true);
        expect([segmentNumber(position), ordinalOf(position)]).toEqual([number, ordinal]);
      }
  });

  test("is never one of a message that is in memory only", () => {
    expect(segmentStart(1)).toBe(POSITION_BASE + 2 ** 20);
    expect(POSITION_BASE).toBe(2 ** 52);
  });
});
