/** Bodies in pieces: nobody's body is in a buffer that another one gets. */
import { expect, test } from "vitest";
import { giveBodyBuffer, takeBodyBuffer } from "../../src/amqp/body-buffers.ts";
import { seeded } from "../seeded.ts";

test("a buffer that was given back is taken again, and only once", () => {
  const buffer = takeBodyBuffer(100_000);
  expect(buffer.length).toBeGreaterThanOrEqual(100_000);
  giveBodyBuffer(buffer);
  const again = takeBodyBuffer(100_000);
  expect(again).toBe(buffer);
  expect(takeBodyBuffer(100_000)).not.toBe(buffer);
});

test("what is kept is bounded, in number and in size", () => {
  const large = takeBodyBuffer(2 ** 20 + 1);
  giveBodyBuffer(large);
  expect(takeBodyBuffer(2 ** 20 + 1)).not.toBe(large);
  const buffers = Array.from({ length: 20 }, () => takeBodyBuffer(70_000));
  for (const buffer of buffers) giveBodyBuffer(buffer);
  const again = new Set(Array.from({ length: 20 }, () => takeBodyBuffer(70_000)));
  expect(buffers.filter((buffer) => again.has(buffer)).length).toBeLessThanOrEqual(4);
});

seeded("all that are taken at a time are different, and large enough", 20, (random) => {
  const taken: Buffer[] = [];
  for (let step = 0; step < 300; step++) {
    if (random.chance(50) && taken.length > 0) {
      giveBodyBuffer(taken.splice(random.below(taken.length), 1)[0]!);
      continue;
    }
    const bytes = 2 ** random.between(10, 21) + random.below(1000);
    const buffer = takeBodyBuffer(bytes);
    expect(buffer.length).toBeGreaterThanOrEqual(bytes);
    expect(taken.includes(buffer)).toBe(false);
    taken.push(buffer);
  }
});
