/** Which deliveries of messages delivered more than once have still to be written. */
import { expect, test } from "vitest";
import { Redeliveries } from "../../src/store/redeliveries.ts";
import { CountedMemory } from "../counted-memory.ts";

function unwritten(redeliveries: Redeliveries): [number, number, number][] {
  const written: [number, number, number][] = [];
  redeliveries.takeUnwritten((...record) => void written.push(record));
  return written;
}

test("each message is written once, with the last of its numbers, and not when it is settled", () => {
  const redeliveries = new Redeliveries(new CountedMemory());
  redeliveries.note(1, 10, 2);
  redeliveries.note(1, 10, 3);
  redeliveries.note(1, 11, 2);
  redeliveries.note(2, 10, 2);
  redeliveries.forget(1, 11);
  redeliveries.forget(3, 11);
  expect(unwritten(redeliveries)).toEqual([
    [1, 10, 3],
    [2, 10, 2],
  ]);
  expect(unwritten(redeliveries)).toEqual([]);
});

test("what is in the log is written again only when it is to be", () => {
  const redeliveries = new Redeliveries(new CountedMemory());
  redeliveries.adopt(1, 10, 7);
  expect(unwritten(redeliveries)).toEqual([]);
  redeliveries.repeat(1, 10);
  redeliveries.repeat(1, 11);
  redeliveries.repeat(2, 10);
  expect(unwritten(redeliveries)).toEqual([[1, 10, 7]]);
});
