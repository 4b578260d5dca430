/** Copying bytes, few or many. */
import { expect, test } from "vitest";
import { copyBytes } from "../../src/amqp/copy-bytes.ts";
import { Random } from "../seeded.ts";

test("a range is copied to its place and nowhere else, at every length", () => {
  const random = new Random(1);
  const source = random.bytes(400);
  for (let length = 0; length <= 300; length++) {
    const [from, to] = [random.below(100), random.below(100)];
    const target = Buffer.alloc(450, 0xee);
    copyBytes(target, to, source, from, from + length);
    const expected = Buffer.alloc(450, 0xee);
    source.copy(expected, to, from, from + length);
    expect([length, target.equals(expected)]).toEqual([length, true]);
  }
});
