/** Copying and comparing bytes, few or many. */
import { expect, test } from "vitest";
import { copyBytes, hasBytes, roomAround, roomOf } from "../../src/amqp/room.ts";
import { Random } from "../seeded.ts";

test("a range is copied to its place and nowhere else, at every length", () => {
  const random = new Random(1);
  const source = random.bytes(400);
  for (let length = 0; length <= 300; length++) {
    const [from, to] = [random.below(100), random.below(100)];
    const target = Buffer.alloc(450, 0xee);
    copyBytes(roomOf(target), to, roomOf(source), from, from + length);
    const expected = Buffer.alloc(450, 0xee);
    source.copy(expected, to, from, from + length);
    expect([length, target.equals(expected)]).toEqual([length, true]);
  }
});

test("a range is found where it stands, at every length, and not when an octet is another", () => {
  const random = new Random(2);
  const source = random.bytes(200);
  for (let length = 0; length <= 60; length++) {
    const [from, to] = [random.below(100), random.below(100)];
    const target = Buffer.alloc(200, 0xee);
    source.copy(target, to, from, from + length);
    const has = () => hasBytes(roomOf(target), to, roomOf(source), from, from + length);
    expect([length, has()]).toEqual([length, true]);
    for (let at = to; at < to + length; at++) {
      target[at]! ^= 1 << random.below(8);
      expect([length, at, has()]).toEqual([length, at, false]);
      target[at] = source[from + at - to]!;
    }
  }
});

test("the room around a buffer is over its bytes, whichever buffer was asked for before", () => {
  const chunk = Buffer.from("some bytes");
  for (const buffer of [chunk, chunk.subarray(5), chunk, Buffer.from("others")]) {
    const room = roomAround(buffer);
    expect(room.buffer).toBe(buffer);
    expect([room.view.getUint8(0), room.view.byteLength]).toEqual([buffer[0], buffer.length]);
  }
});
