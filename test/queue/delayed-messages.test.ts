/** What an exchange holds back, when the disk does not give it. */
import { expect, test } from "vitest";
import { VirtualClock } from "../../src/clock.ts";
import { DelayedMessages } from "../../src/queue/delayed-messages.ts";
import type { MessageStore } from "../../src/store/message-store.ts";

class Fixture {
  readonly clock = new VirtualClock();
  readonly published: number[] = [];
  readonly unreadable: unknown[] = [];
  error: Error | undefined;
  readonly delayed: DelayedMessages;

  constructor() {
    const store = {
      isWhole: () => {
        if (this.error !== undefined) throw this.error;
        return true;
      },
    } as unknown as MessageStore;
    const owner = {
      publishDue: (_: DelayedMessages, position: number) => void this.published.push(position),
      unreadable: (_: DelayedMessages, error: unknown) => void this.unreadable.push(error),
    };
    this.delayed = new DelayedMessages(1, "later", true, { store, clock: this.clock, owner });
  }
}

test("X26 a message that is due and cannot be read waits, and goes out when it can be", () => {
  const one = new Fixture();
  one.error = Object.assign(new Error("EIO: simulated"), { code: "EIO" });
  const now = one.clock.now();
  for (const position of [1, 2]) one.delayed.add(position, now + 100);
  one.clock.advance(100);
  expect([one.published, one.unreadable.length, one.delayed.length]).toEqual([[], 1, 2]);
  // What comes meanwhile is no reason to ask the disk again.
  one.delayed.add(3, now + 50);
  one.clock.advance(500);
  expect(one.unreadable).toHaveLength(1);
  one.clock.advance(500);
  expect(one.unreadable).toHaveLength(2);
  one.error = undefined;
  one.clock.advance(1000);
  expect(one.published).toEqual([3, 1, 2]);
});
