/** Settings that change while a queue is in use. */
import { expect, test } from "vitest";
import type { QueueSettings } from "../../src/queue/settings.ts";
import { Bench } from "./fixtures.ts";

test("V6 excess leaves when a limit is lowered, the oldest first, and nothing comes back when it is raised", () => {
  const bench = new Bench();
  const queue = bench.queue({ arguments: { "x-dead-letter-exchange": "x" } });
  for (const body of ["a", "bb", "ccc", "dddd"]) bench.publish(queue, body);
  queue.apply({ ...queue.settings, bodyBytesMax: 8 });
  queue.apply({ ...queue.settings, lengthMax: 1 });
  queue.apply({ ...queue.settings, lengthMax: 9 });
  expect(bench.deaths.map(({ body, reason }) => `${body} ${reason}`)).toEqual([
    ...["a maxlen", "bb maxlen", "ccc maxlen"],
  ]);
  expect(bench.drain(queue)).toEqual(["dddd"]);
  expect(bench.store.liveCount).toBe(0);
});

test("V6 a queue that refuses what is too many keeps what it has", () => {
  const bench = new Bench();
  const queue = bench.queue();
  for (const body of ["a", "b", "c"]) bench.publish(queue, body);
  queue.apply({ ...queue.settings, lengthMax: 1, overflow: "reject-publish" });
  expect(queue.readyCount).toBe(3);
  expect(bench.publish(queue, "d")).toBe(false);
  queue.apply({ ...queue.settings, overflow: "drop-head" });
  expect(bench.drain(queue)).toEqual(["c"]);
});

test("V6 a message keeps its time to live when it comes back, and when the queue's is another or none", () => {
  const bench = new Bench();
  const queue = bench.queue({
    arguments: { "x-message-ttl": 1000, "x-dead-letter-exchange": "x" },
  });
  bench.publish(queue, "a");
  const { position, sequence, bits } = bench.get(queue)!;
  queue.apply({ ...queue.settings, messageTtlMs: undefined });
  bench.clock.advance(10);
  queue.apply({ ...queue.settings, messageTtlMs: 5000 });
  queue.requeue(position, sequence, bits);
  queue.dispatch();
  bench.publish(queue, "b");
  bench.clock.advance("1h");
  expect(bench.deaths.map(({ body, atMs }) => `${body} ${atMs}`)).toEqual(["a 1000", "b 5010"]);
});

test("V6 a new expiry counts from when it was given, and one that is taken away does not come", () => {
  const bench = new Bench();
  const queue = bench.queue();
  const withExpiry = (expiresMs: number | undefined): QueueSettings => ({
    ...queue.settings,
    expiresMs,
  });
  bench.clock.advance("1h");
  queue.apply(withExpiry(1000));
  bench.clock.advance(999);
  queue.apply(withExpiry(undefined));
  bench.clock.advance("1h");
  expect(bench.unused).toEqual([]);
  queue.apply(withExpiry(1000));
  bench.clock.advance(900);
  queue.apply(withExpiry(500));
  bench.clock.advance(499);
  expect(bench.unused).toEqual([]);
  bench.clock.advance(1);
  expect(bench.unused).toEqual([queue]);
});
