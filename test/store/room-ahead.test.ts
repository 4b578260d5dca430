/** Room ahead in a file, and where what has been written ends. */
import { describe, expect, test } from "vitest";
import { contentEnd, makeRoomAhead } from "../../src/store/room-ahead.ts";
import { Random } from "../seeded.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

describe("the end of what a file holds is where its zeros begin", () => {
  test("whatever its size, and however many they are", () => {
    for (const content of [0, 1, 7, 65_535, 65_536, 65_537, 200_000]) {
      for (const zeros of [0, 1, 65_535, 65_536, 65_537, 131_072]) {
        const bytes = Buffer.concat([Buffer.alloc(content, 1), Buffer.alloc(zeros)]);
        expect([content, zeros, contentEnd(bytes)]).toEqual([content, zeros, content]);
      }
    }
  });

  test("but not before what is known to be there", () => {
    expect(contentEnd(Buffer.alloc(100_000), 70_000)).toBe(70_000);
    expect(contentEnd(Buffer.alloc(10), 10)).toBe(10);
  });
});

test("a file grows by steps, and the room takes no space", () => {
  const disk = new SimulatedDisk(new Random(1));
  const file = disk.open("file");
  let size = makeRoomAhead(file, 0, 100);
  expect([size, file.size]).toEqual([65_536, 65_536]);
  file.write(Buffer.alloc(100, 1), 0, 100, 0);
  size = makeRoomAhead(file, size, 65_536);
  expect(size).toBe(65_536);
  size = makeRoomAhead(file, size, 200_000);
  expect([size, file.size, disk.usedBytes]).toEqual([262_144, 262_144, 100]);
});
