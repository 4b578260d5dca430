/** The time to live of messages: only the head of a queue expires, and it does so on time. */
import { beforeEach, describe, expect, test } from "vitest";
import { Bench } from "./fixtures.ts";

const DEAD_LETTERS = { "x-dead-letter-exchange": "dlx" };

let bench: Bench;

beforeEach(() => {
  bench = new Bench();
});

function deaths(): [body: string, atMs: number][] {
  return bench.deaths.map(({ body, reason, atMs }) => {
    expect([body, reason]).toEqual([body, "expired"]);
    return [body, atMs];
  });
}

describe("a message", () => {
  test("expires when its time is over, to the millisecond", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    bench.publish(queue, "m", { ttlMs: 50 });
    bench.clock.advance(49);
    expect([queue.readyCount, deaths()]).toEqual([1, []]);
    bench.clock.advance(1);
    expect([queue.readyCount, deaths()]).toEqual([0, [["m", 50]]]);
    expect(bench.store.liveCount).toBe(0);
  });

  test("is just gone where there is no dead letter exchange", () => {
    const queue = bench.queue({ arguments: { "x-message-ttl": 50 } });
    bench.publish(queue, "m");
    bench.clock.advance("1m");
    expect([queue.readyCount, bench.deaths, bench.store.liveCount]).toEqual([0, [], 0]);
  });

  test.each([
    [100, 30, 30],
    [30, 100, 30],
    [30, -1, 30],
    [undefined, 30, 30],
    [0, 30, 0],
    [30, 0, 0],
  ])(
    "lives as long as the shorter of its queue's %s and its own %i ms: %i",
    (ofQueue, own, lives) => {
      const ttl = ofQueue === undefined ? {} : { "x-message-ttl": ofQueue };
      const queue = bench.queue({ arguments: { ...DEAD_LETTERS, ...ttl } });
      bench.publish(queue, "m", { ttlMs: own });
      bench.clock.advance("1h");
      expect(deaths()).toEqual([["m", lives]]);
    },
  );

  test("without a time to live lives for ever", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    bench.publish(queue, "m");
    bench.clock.advance("365d");
    expect(bench.drain(queue)).toEqual(["m"]);
  });

  test("with ten years to live is not cut short by any clock", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    const ttlMs = 315_360_000_000;
    bench.publish(queue, "m", { ttlMs });
    bench.clock.advance(ttlMs - 1);
    expect(deaths()).toEqual([]);
    bench.clock.advance(1);
    expect(deaths()).toEqual([["m", ttlMs]]);
  });

  test("with no time to live at all is delivered at once or not at all", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    const consumer = bench.consume(queue, { credit: 1 });
    bench.publish(queue, "delivered", { ttlMs: 0 });
    bench.publish(queue, "expired", { ttlMs: 0 });
    expect([consumer.bodies, deaths()]).toEqual([["delivered"], [["expired", 0]]]);
  });

  test("that is unacked does not expire, but may as soon as it is back", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    bench.publish(queue, "m", { ttlMs: 50 });
    const taken = bench.get(queue)!;
    bench.clock.advance("1h");
    expect(deaths()).toEqual([]);
    queue.requeue(taken.position, taken.sequence, taken.bits);
    queue.dispatch();
    expect(deaths()).toEqual([["m", 3_600_000]]);
  });

  test("that is back in time expires at its old hour", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    bench.publish(queue, "m", { ttlMs: 50 });
    const taken = bench.get(queue)!;
    bench.clock.advance(20);
    queue.requeue(taken.position, taken.sequence, taken.bits);
    queue.dispatch();
    bench.clock.advance("1h");
    expect(deaths()).toEqual([["m", 50]]);
  });

  test("that has expired is not delivered, though nobody noticed so far", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    bench.publish(queue, "a", { ttlMs: 100 });
    bench.publish(queue, "b", { ttlMs: 10 });
    bench.publish(queue, "c");
    bench.clock.advance(50);
    const [first, second] = [bench.get(queue), bench.get(queue)];
    expect([first?.body, second?.body]).toEqual(["a", "c"]);
    expect(deaths()).toEqual([["b", 50]]);
  });
});

describe("behind another one", () => {
  test("a message waits for its turn to expire, and counts as ready meanwhile", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    bench.publish(queue, "long", { ttlMs: 100 });
    bench.publish(queue, "short", { ttlMs: 10 });
    bench.clock.advance(99);
    expect(queue.readyCount).toBe(2);
    bench.clock.advance(1);
    expect(deaths()).toEqual([
      ["long", 100],
      ["short", 100],
    ]);
  });

  test("it waits for ever when that one never expires", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    bench.publish(queue, "eternal");
    bench.publish(queue, "short", { ttlMs: 10 });
    bench.clock.advance("1h");
    expect([queue.readyCount, deaths()]).toEqual([2, []]);
  });

  test("of a higher priority too", () => {
    const queue = bench.queue({ arguments: { ...DEAD_LETTERS, "x-max-priority": 5 } });
    bench.publish(queue, "low", { ttlMs: 10 });
    bench.publish(queue, "high", { ttlMs: 100, priority: 5 });
    bench.clock.advance("1h");
    expect(deaths()).toEqual([
      ["high", 100],
      ["low", 100],
    ]);
  });
});

describe("very many at once", () => {
  test("expire in order, and what lives behind them goes to whoever waits for it", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    for (let message = 0; message < 2500; message++)
      bench.publish(queue, `${message}`, { ttlMs: 50 });
    bench.publish(queue, "living");
    const consumer = bench.consume(queue, { credit: 0 });
    bench.clock.advance(49);
    consumer.credit = 1;
    bench.clock.advance(1);
    queue.consumerReady(consumer);
    bench.clock.advance(0);
    expect(bench.deaths.map(({ body }) => body)).toEqual(
      Array.from({ length: 2500 }, (_, message) => `${message}`),
    );
    expect(new Set(bench.deaths.map(({ atMs }) => atMs))).toEqual(new Set([50]));
    expect([consumer.bodies, queue.readyCount]).toEqual([["living"], 0]);
  });

  test("are all passed over by basic.get", () => {
    const queue = bench.queue({ arguments: { ...DEAD_LETTERS, "x-message-ttl": 50 } });
    for (let message = 0; message < 2500; message++) bench.publish(queue, `${message}`);
    const [held] = [bench.get(queue)!];
    bench.clock.advance(20);
    bench.publish(queue, "living");
    queue.requeue(held.position, held.sequence, held.bits);
    bench.clock.advance(30);
    expect(bench.get(queue)?.body).toBe("living");
    expect(bench.get(queue)).toBeUndefined();
    expect(bench.deaths).toHaveLength(2500);
  });
});

describe("a new head expires on time", () => {
  test("when the old one was got", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    bench.publish(queue, "old");
    bench.publish(queue, "new", { ttlMs: 50 });
    bench.get(queue);
    bench.clock.advance("1h");
    expect(deaths()).toEqual([["new", 50]]);
  });

  test("when the old one, which had longer to live, was got", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    bench.publish(queue, "old", { ttlMs: 10_000 });
    bench.publish(queue, "new", { ttlMs: 50 });
    bench.get(queue);
    bench.clock.advance("1h");
    expect(deaths()).toEqual([["new", 50]]);
  });

  test("when the old one was delivered", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    bench.publish(queue, "old");
    bench.publish(queue, "new", { ttlMs: 50 });
    bench.consume(queue, { credit: 1 });
    bench.clock.advance("1h");
    expect(deaths()).toEqual([["new", 50]]);
  });

  test("when the old one was dropped because the queue was too long", () => {
    const queue = bench.queue({ arguments: { ...DEAD_LETTERS, "x-max-length": 2 } });
    bench.publish(queue, "old");
    bench.publish(queue, "new", { ttlMs: 50 });
    bench.publish(queue, "newer", { ttlMs: 60 });
    bench.clock.advance("1h");
    expect(bench.deaths.map(({ body, reason, atMs }) => [body, reason, atMs])).toEqual([
      ["old", "maxlen", 0],
      ["new", "expired", 50],
      ["newer", "expired", 60],
    ]);
  });

  test("when it overtook the old one, or came back before it", () => {
    const queue = bench.queue({ arguments: { ...DEAD_LETTERS, "x-max-priority": 5 } });
    bench.publish(queue, "back", { ttlMs: 30, priority: 1 });
    const taken = bench.get(queue)!;
    bench.publish(queue, "old", { ttlMs: 500, priority: 1 });
    bench.publish(queue, "high", { ttlMs: 20, priority: 5 });
    bench.clock.advance(25);
    expect(deaths()).toEqual([["high", 20]]);
    queue.requeue(taken.position, taken.sequence, taken.bits);
    queue.dispatch();
    bench.clock.advance("1h");
    expect(deaths()).toEqual([
      ["high", 20],
      ["back", 30],
      ["old", 500],
    ]);
  });

  test("when the queue was purged meanwhile", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    bench.publish(queue, "purged", { ttlMs: 500 });
    queue.purge();
    bench.publish(queue, "new", { ttlMs: 50 });
    bench.clock.advance("1h");
    expect(deaths()).toEqual([["new", 50]]);
  });
});
