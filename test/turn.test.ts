/** The end of a turn: stores first, then sockets, each task once, and nothing forgotten. */
import { describe, expect, test } from "vitest";
import { Turn } from "../src/turn.ts";

class Host {
  readonly ends: (() => void)[] = [];
  readonly turn = new Turn((run) => void this.ends.push(run));
  readonly done: string[] = [];

  task(name: string, then?: () => void) {
    return {
      endTurn: () => {
        this.done.push(name);
        then?.();
      },
    };
  }

  /** Ends the turn, and says what was done in it. */
  end(): string[] {
    expect(this.ends).toHaveLength(1);
    this.ends.shift()!();
    return this.done.splice(0);
  }
}

describe("at the end of a turn", () => {
  test("stores flush before sockets, each kind in the order in which it asked", () => {
    const host = new Host();
    host.turn.flushSocket(host.task("socket 1"));
    host.turn.flushStore(host.task("store 1"));
    host.turn.flushSocket(host.task("socket 2"));
    host.turn.flushStore(host.task("store 2"));
    expect(host.done).toEqual([]);
    expect(host.end()).toEqual(["store 1", "store 2", "socket 1", "socket 2"]);
  });

  test("everything is done once, and the next turn begins empty", () => {
    const host = new Host();
    const task = host.task("socket");
    host.turn.flushSocket(task);
    expect(host.end()).toEqual(["socket"]);
    expect(host.ends).toEqual([]);
    host.turn.flushSocket(task);
    expect(host.end()).toEqual(["socket"]);
  });

  test("what a store's task asks for belongs to the same turn", () => {
    const host = new Host();
    const confirm = host.task("confirm", () => host.turn.flushSocket(host.task("written")));
    const publisher = host.task("publisher", () => host.turn.flushStore(confirm));
    host.turn.flushSocket(host.task("socket"));
    host.turn.flushStore(publisher);
    expect(host.end()).toEqual(["publisher", "confirm", "socket", "written"]);
    for (const end of host.ends) end();
    expect(host.done).toEqual([]);
  });

  test("what a socket's task asks for belongs to the next one", () => {
    const host = new Host();
    const again = host.task("socket", () => {
      host.turn.flushSocket(host.task("more"));
      host.turn.flushStore(host.task("store"));
    });
    host.turn.flushSocket(again);
    host.turn.flushSocket(host.task("other"));
    expect(host.end()).toEqual(["socket", "other"]);
    expect(host.end()).toEqual(["store", "more"]);
    expect(host.ends).toEqual([]);
  });
});

test("one turn is scheduled for all that asks, and none when nobody does", () => {
  const host = new Host();
  expect(host.ends).toEqual([]);
  for (let task = 0; task < 10; task++) {
    host.turn.flushStore(host.task("store"));
    host.turn.flushSocket(host.task("socket"));
  }
  expect(host.ends).toHaveLength(1);
  expect(host.end()).toHaveLength(20);
});

test("a turn may be ended early, and the end that was scheduled finds nothing left", () => {
  const host = new Host();
  host.turn.flushSocket(host.task("socket"));
  host.turn.run();
  expect(host.done.splice(0)).toEqual(["socket"]);
  host.turn.flushSocket(host.task("later"));
  for (const end of host.ends.splice(0)) end();
  expect(host.done).toEqual(["later"]);
});

test("by default it ends after the input that is waiting has been read", async () => {
  const order: string[] = [];
  const turn = new Turn();
  const ended = new Promise<void>((resolve) => {
    turn.flushSocket({
      endTurn: () => {
        order.push("end of turn");
        resolve();
      },
    });
  });
  process.nextTick(() => order.push("next tick"));
  void Promise.resolve().then(() => order.push("promise"));
  order.push("now");
  await ended;
  expect(order).toHaveLength(4);
  expect([order[0], order[3]]).toEqual(["now", "end of turn"]);
});

describe("when a store cannot flush", () => {
  function broken(host: Host): void {
    host.turn.flushSocket(host.task("socket"));
    host.turn.flushStore({
      endTurn: () => {
        throw new Error("EIO");
      },
    });
  }

  test("the turn's end throws, and no socket says what may not be true, then or later", () => {
    const host = new Host();
    broken(host);
    expect(() => host.end()).toThrow("EIO");
    host.turn.flushSocket(host.task("later"));
    host.turn.flushStore(host.task("store"));
    expect([host.ends, host.done]).toEqual([[], []]);
    expect(() => host.turn.run()).toThrow("EIO");
    expect(host.done).toEqual([]);
  });

  test("before the turn's end, that throws as well, whoever has caught it on the way", () => {
    const host = new Host();
    broken(host);
    expect(() => host.turn.flushStores()).toThrow("EIO");
    expect(() => host.end()).toThrow("EIO");
    expect(host.done).toEqual([]);
  });
});
