/** Dead letters turn by turn: however many there are at once, others are served in between. */
import { expect, test } from "vitest";
import { type DeadLetterContext, DeadLetters } from "../../src/broker/dead-letters.ts";
import type { Queue } from "../../src/queue/queue.ts";
import { Turn } from "../../src/turn.ts";

/** Dead letters for an exchange that is not there: all that is seen is that the original is let go of. */
function deadLetters() {
  const ends: (() => void)[] = [];
  const released: number[] = [];
  const store = {
    isWhole: () => true,
    release: (position: number) => void released.push(position),
  };
  const context = {
    ...{ vhost: "/", store, turn: new Turn((run) => void ends.push(run)) },
    ...{ retries: { hasWork: () => false }, findExchange: () => undefined },
  };
  const letters = new DeadLetters(context as unknown as DeadLetterContext);
  const queue = { settings: { deadLetterExchange: "dlx" } } as Queue;
  const publish = (first: number, count: number): void => {
    for (let at = 0; at < count; at++) letters.publish(queue, first + at, "rejected");
  };
  return { letters, released, publish, endTurn: () => ends.shift()?.() };
}

test("of many dead letters a thousand go out in a turn, in their order", () => {
  const { released, publish, endTurn } = deadLetters();
  publish(0, 2500);
  const counts = [released.length];
  for (let turn = 0; turn < 3; turn++) {
    endTurn();
    counts.push(released.length);
  }
  expect(counts).toEqual([1000, 2000, 2500, 2500]);
  publish(2500, 10);
  expect(released).toEqual(Array.from({ length: 2510 }, (_, position) => position));
});

test("a dead letter that comes while others wait for their turn waits behind them", () => {
  const { released, publish, endTurn } = deadLetters();
  publish(0, 1001);
  endTurn();
  publish(1001, 1);
  expect(released.slice(-2)).toEqual([1000, 1001]);
});

test("those that were held back together keep to the limit too", () => {
  const { letters, released, publish, endTurn } = deadLetters();
  letters.pause();
  publish(0, 1500);
  expect(released).toEqual([]);
  letters.resume();
  expect(released).toHaveLength(1000);
  endTurn();
  expect(released).toHaveLength(1500);
});
