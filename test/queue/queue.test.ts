/** A queue: who gets what, what comes back to where, and what is dropped when. */
import { beforeEach, describe, expect, test } from "vitest";
import { StoredMessage } from "../../src/amqp/stored-message.ts";
import { diskError } from "../store/simulated-disk.ts";
import { Bench } from "./fixtures.ts";

let bench: Bench;

beforeEach(() => {
  bench = new Bench();
});

describe("messages", () => {
  test("wait in the order in which they came, and count as ready", () => {
    const queue = bench.queue();
    for (const body of ["a", "bb", "ccc"]) bench.publish(queue, body);
    expect([queue.readyCount, queue.readyBytes, queue.unackedCount]).toEqual([3, 6, 0]);
    expect(bench.drain(queue)).toEqual(["a", "bb", "ccc"]);
    expect([queue.readyCount, queue.readyBytes, queue.unackedCount]).toEqual([0, 0, 0]);
    expect(queue.enqueuedCount).toBe(3);
    expect(bench.store.liveCount).toBe(0);
  });

  test("that somebody gets are looked at last: what has expired behind them may drive them from memory", () => {
    const queue = bench.queue();
    bench.publish(queue, "a");
    bench.publish(queue, "b", { ttlMs: 1 });
    bench.clock.advance(1);
    const located: number[] = [];
    const locate = bench.store.locate.bind(bench.store);
    bench.store.locate = (position) => {
      located.push(position);
      return locate(position);
    };
    const taken = queue.take(new StoredMessage());
    expect(queue.readyCount).toBe(0);
    expect(located.at(-1)).toBe(taken?.position);
  });

  test("that were delivered are unacked until they are settled", () => {
    const queue = bench.queue();
    const consumer = bench.consume(queue);
    bench.publish(queue, "a");
    expect([queue.readyCount, queue.unackedCount, bench.store.liveCount]).toEqual([0, 1, 1]);
    queue.settle(consumer.deliveries[0]!.position);
    expect([queue.unackedCount, bench.store.liveCount]).toEqual([0, 0]);
  });

  test("of a higher priority overtake those that wait", () => {
    const queue = bench.queue({ arguments: { "x-max-priority": 5 } });
    const sent = [
      ["low", 0],
      ["high", 5],
      ["as high as it goes", 200],
      ["middle", 3],
      ["low too", 0],
    ] as const;
    for (const [body, priority] of sent) bench.publish(queue, body, { priority });
    expect(bench.drain(queue)).toEqual(["high", "as high as it goes", "middle", "low", "low too"]);
  });

  test("are all gone after a purge, but for what is unacked", () => {
    const queue = bench.queue({ arguments: { "x-dead-letter-exchange": "dlx" } });
    for (const body of ["a", "b", "c"]) bench.publish(queue, body);
    const taken = bench.get(queue)!;
    expect(queue.purge()).toBe(2);
    expect([queue.readyCount, queue.readyBytes, queue.unackedCount]).toEqual([0, 0, 1]);
    queue.requeue(taken.position, taken.sequence, taken.bits);
    expect(bench.drain(queue)).toEqual(["a"]);
    expect(bench.deaths).toEqual([]);
  });
});

describe("a message that nobody holds", () => {
  const passing = new StoredMessage();

  test("passes to consumers that settle at once, each in turn", () => {
    const queue = bench.queue();
    const consumers = [
      bench.consume(queue, { noAck: true }),
      bench.consume(queue, { noAck: true }),
    ];
    expect(queue.passes).toBe(true);
    for (let count = 0; count < 4; count++) expect(queue.pass(passing)).toBe(true);
    expect(consumers.map(({ passed }) => passed)).toEqual([2, 2]);
    expect([queue.enqueuedCount, queue.readyCount, queue.unackedCount]).toEqual([4, 0, 0]);
  });

  test("does not pass those that wait, nor where somebody acknowledges", () => {
    const queue = bench.queue();
    const consumer = bench.consume(queue, { noAck: true, credit: 0 });
    bench.publish(queue, "waits");
    expect(queue.passes).toBe(false);
    consumer.grant(5);
    expect([consumer.bodies, queue.passes]).toEqual([["waits"], true]);
    bench.consume(queue);
    expect(queue.passes).toBe(false);
  });

  test("does not pass when nobody has credit", () => {
    const queue = bench.queue();
    expect([queue.passes, queue.pass(passing)]).toEqual([true, false]);
    bench.consume(queue, { noAck: true, credit: 0 });
    expect([queue.passes, queue.pass(passing), queue.enqueuedCount]).toEqual([true, false, 0]);
  });
});

test("a message that its consumer cannot be given now waits, and nobody else notices", () => {
  const queue = bench.queue();
  const consumer = bench.consume(queue);
  const errors: unknown[] = [];
  bench.onUnreadable = (error) => void errors.push(error);
  const { deliver } = consumer;
  const fault = diskError("EIO");
  consumer.deliver = () => {
    throw fault;
  };
  expect(bench.publish(queue, "a")).toBe(true);
  bench.publish(queue, "b");
  expect([queue.readyCount, queue.unackedCount]).toEqual([2, 0]);
  expect(errors[0]).toBe(fault);
  consumer.deliver = deliver;
  queue.dispatch();
  expect(consumer.deliveries).toMatchObject([
    { body: "a", redelivered: false },
    { body: "b", redelivered: false },
  ]);
});

describe("a message that comes back", () => {
  test("stands where it stood, marked as redelivered", () => {
    const queue = bench.queue();
    for (const body of ["a", "b", "c", "d"]) bench.publish(queue, body);
    const [a, b, c] = [bench.get(queue)!, bench.get(queue)!, bench.get(queue)!];
    for (const { position, sequence, bits } of [c, a]) queue.requeue(position, sequence, bits);
    expect([queue.readyCount, queue.unackedCount]).toEqual([3, 1]);
    const first = bench.get(queue)!;
    expect([first.body, first.redelivered]).toEqual(["a", true]);
    queue.requeue(b.position, b.sequence, b.bits);
    const next = [bench.get(queue)!, bench.get(queue)!, bench.get(queue)!];
    expect(next.map(({ body, redelivered }) => [body, redelivered])).toEqual([
      ["b", true],
      ["c", true],
      ["d", false],
    ]);
  });

  test("stands before what came meanwhile, though it never waited itself", () => {
    const queue = bench.queue();
    const consumer = bench.consume(queue, { credit: 1 });
    bench.publish(queue, "first");
    bench.publish(queue, "second");
    const [{ position, sequence, bits }] = consumer.deliveries as [never];
    queue.requeue(position, sequence, bits);
    expect(bench.drain(queue)).toEqual(["first", "second"]);
  });

  test("goes out again when dispatch is called, to whoever has credit", () => {
    const queue = bench.queue();
    const [first, second] = [bench.consume(queue, { credit: 1 }), bench.consume(queue)];
    bench.publish(queue, "m");
    const { position, sequence, bits } = first.deliveries[0]!;
    queue.requeue(position, sequence, bits);
    expect(second.bodies).toEqual([]);
    queue.dispatch();
    expect(second.deliveries.map(({ body, redelivered }) => [body, redelivered])).toEqual([
      ["m", true],
    ]);
  });

  test("by a reject is a dead letter, or gone where there is no exchange for those", () => {
    for (const dlx of [true, false]) {
      const queue = bench.queue({ arguments: dlx ? { "x-dead-letter-exchange": "" } : {} });
      bench.publish(queue, "m");
      queue.reject(bench.get(queue)!.position);
      expect([queue.readyCount, queue.unackedCount, bench.store.liveCount]).toEqual([0, 0, 0]);
    }
    expect(bench.deaths).toEqual([{ body: "m", reason: "rejected", atMs: 0 }]);
  });
});

describe("consumers", () => {
  test("get what waits when they come, and take turns after that", () => {
    const queue = bench.queue();
    for (const body of ["1", "2"]) bench.publish(queue, body);
    const first = bench.consume(queue);
    expect(first.bodies).toEqual(["1", "2"]);
    const second = bench.consume(queue);
    for (const body of ["3", "4", "5", "6"]) bench.publish(queue, body);
    const third = bench.consume(queue);
    for (const body of ["7", "8", "9"]) bench.publish(queue, body);
    const after = [first.bodies.slice(2), second.bodies, third.bodies];
    expect(after.map(({ length }) => length)).toEqual([3, 3, 1]);
    expect(after.flat().sort()).toEqual(["3", "4", "5", "6", "7", "8", "9"]);
  });

  test("share a flow evenly, whatever each does with its credit", () => {
    const queue = bench.queue();
    const consumers = Array.from({ length: 7 }, () => bench.consume(queue));
    for (let message = 0; message < 700; message++) bench.publish(queue, `${message}`);
    expect(consumers.map(({ deliveries }) => deliveries.length)).toEqual(Array(7).fill(100));
    consumers[3]!.credit = 0;
    for (let message = 0; message < 600; message++) bench.publish(queue, `${message}`);
    const counts = consumers.map(({ deliveries }) => deliveries.length);
    expect(counts).toEqual([200, 200, 200, 100, 200, 200, 200]);
  });

  test("get no more than they have credit for, and the rest when they have it again", () => {
    const queue = bench.queue();
    const [first, second] = [
      bench.consume(queue, { credit: 2 }),
      bench.consume(queue, { credit: 1 }),
    ];
    for (const body of ["1", "2", "3", "4", "5"]) bench.publish(queue, body);
    expect([first.bodies, second.bodies, queue.readyCount]).toEqual([["1", "3"], ["2"], 2]);
    second.grant(1);
    expect(second.bodies).toEqual(["2", "4"]);
    first.grant(5);
    expect(first.bodies).toEqual(["1", "3", "5"]);
    bench.publish(queue, "6");
    expect(first.bodies).toEqual(["1", "3", "5", "6"]);
  });

  test("of a higher priority come first", () => {
    const queue = bench.queue();
    const low = bench.consume(queue, { priority: 1 });
    const high = bench.consume(queue, { priority: 10, credit: 2 });
    for (const body of ["1", "2", "3"]) bench.publish(queue, body);
    expect([high.bodies, low.bodies]).toEqual([["1", "2"], ["3"]]);
  });

  test("behind a single active one wait until it leaves", () => {
    const queue = bench.queue({ arguments: { "x-single-active-consumer": true } });
    const [first, second] = [bench.consume(queue, { credit: 1 }), bench.consume(queue)];
    for (const body of ["1", "2", "3"]) bench.publish(queue, body);
    expect([first.bodies, second.bodies]).toEqual([["1"], []]);
    queue.removeConsumer(first);
    expect(second.bodies).toEqual(["2", "3"]);
  });

  test("that left get nothing more, and what they have unacked can be settled", () => {
    const queue = bench.queue();
    const consumer = bench.consume(queue);
    bench.publish(queue, "1");
    queue.removeConsumer(consumer);
    bench.publish(queue, "2");
    expect([consumer.bodies, queue.consumerCount, queue.readyCount]).toEqual([["1"], 0, 1]);
    queue.settle(consumer.deliveries[0]!.position);
    expect(queue.unackedCount).toBe(0);
  });
});

const DEAD_LETTERS = { "x-dead-letter-exchange": "dlx" };

describe("a limit of the length", () => {
  test("drops the oldest that wait, and tells why", () => {
    const queue = bench.queue({ arguments: { ...DEAD_LETTERS, "x-max-length": 2 } });
    for (const body of ["1", "2", "3", "4"]) expect(bench.publish(queue, body)).toBe(true);
    expect(bench.deaths.map(({ body, reason }) => [body, reason])).toEqual([
      ["1", "maxlen"],
      ["2", "maxlen"],
    ]);
    expect(bench.drain(queue)).toEqual(["3", "4"]);
    expect(bench.store.liveCount).toBe(0);
  });

  test("in bytes counts bodies", () => {
    const queue = bench.queue({ arguments: { ...DEAD_LETTERS, "x-max-length-bytes": 10 } });
    for (const body of ["1234", "5678", "ab", "c", "a body larger than all"])
      bench.publish(queue, body);
    expect(bench.deaths.map(({ body }) => body)).toEqual([
      "1234",
      "5678",
      "ab",
      "c",
      "a body larger than all",
    ]);
    bench.publish(queue, "0123456789");
    expect([queue.readyCount, queue.readyBytes]).toEqual([1, 10]);
  });

  test("counts only what is ready, also when something comes back", () => {
    const queue = bench.queue({ arguments: { ...DEAD_LETTERS, "x-max-length": 1 } });
    bench.publish(queue, "1");
    const taken = bench.get(queue)!;
    bench.publish(queue, "2");
    expect([queue.readyCount, queue.unackedCount, bench.deaths]).toEqual([1, 1, []]);
    queue.requeue(taken.position, taken.sequence, taken.bits);
    expect(bench.deaths.map(({ body }) => body)).toEqual(["1"]);
    expect(bench.drain(queue)).toEqual(["2"]);
  });

  test("of nothing lets a message through to a consumer and keeps none", () => {
    const queue = bench.queue({ arguments: { ...DEAD_LETTERS, "x-max-length": 0 } });
    bench.publish(queue, "dropped");
    const consumer = bench.consume(queue, { credit: 1 });
    bench.publish(queue, "delivered");
    bench.publish(queue, "dropped too");
    expect(consumer.bodies).toEqual(["delivered"]);
    expect(bench.deaths.map(({ body }) => body)).toEqual(["dropped", "dropped too"]);
  });

  test("drops of the highest priority first", () => {
    const queue = bench.queue({
      arguments: { ...DEAD_LETTERS, "x-max-length": 2, "x-max-priority": 9 },
    });
    bench.publish(queue, "low");
    bench.publish(queue, "high", { priority: 9 });
    bench.publish(queue, "middle", { priority: 5 });
    expect(bench.deaths.map(({ body }) => body)).toEqual(["high"]);
    expect(bench.drain(queue)).toEqual(["middle", "low"]);
  });

  test.each(["reject-publish", "reject-publish-dlx"])("%s refuses what is too much", (overflow) => {
    const limits = { "x-max-length": 2, "x-max-length-bytes": 5, "x-overflow": overflow };
    const queue = bench.queue({ arguments: limits });
    expect(bench.publish(queue, "123456")).toBe(false);
    expect(bench.publish(queue, "123")).toBe(true);
    expect(bench.publish(queue, "456")).toBe(false);
    expect(bench.publish(queue, "45")).toBe(true);
    expect(bench.publish(queue, "")).toBe(false);
    const taken = bench.get(queue)!;
    bench.publish(queue, "");
    // What comes back is not refused.
    queue.requeue(taken.position, taken.sequence, taken.bits);
    expect(bench.drain(queue)).toEqual(["123", "45", ""]);
  });
});

describe("an expired dead letter that comes back to its queue", () => {
  test("is the queue's last, once for each time it expires", () => {
    const queue = bench.queue({ arguments: { ...DEAD_LETTERS, "x-message-ttl": 10 } });
    bench.onDeath = (dying, body) => {
      if (body.length < 5) bench.publish(dying, `${body}'`);
    };
    bench.publish(queue, "a");
    bench.publish(queue, "b");
    bench.clock.advance(100);
    expect(bench.deaths.map(({ body, atMs }) => [body, atMs])).toEqual([
      ["a", 10],
      ["b", 10],
      ["a'", 20],
      ["b'", 20],
      ["a''", 30],
      ["b''", 30],
      ["a'''", 40],
      ["b'''", 40],
      ["a''''", 50],
      ["b''''", 50],
    ]);
    expect([queue.readyCount, bench.store.liveCount]).toEqual([0, 0]);
  });

  test("goes to a consumer that waits for it", () => {
    const queue = bench.queue({ arguments: { ...DEAD_LETTERS } });
    bench.publish(queue, "m", { ttlMs: 10 });
    bench.onDeath = (dying, body) => void bench.publish(dying, `${body} again`);
    const consumer = bench.consume(queue, { credit: 0 });
    bench.clock.advance(9);
    consumer.credit = 1;
    bench.clock.advance(1);
    expect(consumer.bodies).toEqual([]);
    queue.consumerReady(consumer);
    expect(consumer.bodies).toEqual(["m again"]);
  });
});

describe("an auto-delete queue", () => {
  test("is of no more use when its last consumer leaves, and not before it had one", () => {
    const queue = bench.queue({ autoDelete: true });
    bench.publish(queue, "m");
    bench.drain(queue);
    bench.clock.advance("7d");
    expect(bench.unused).toEqual([]);
    const [first, second] = [bench.consume(queue), bench.consume(queue)];
    queue.removeConsumer(first);
    expect(bench.unused).toEqual([]);
    queue.removeConsumer(second);
    expect(bench.unused).toEqual([queue]);
  });

  test("outlives its consumers when it is not auto-delete", () => {
    const queue = bench.queue();
    queue.removeConsumer(bench.consume(queue));
    bench.clock.advance("7d");
    expect(bench.unused).toEqual([]);
  });
});

describe("x-expires", () => {
  const expiring = { arguments: { "x-expires": 1000 } };

  test("ends a queue that nobody uses, though it has messages", () => {
    const queue = bench.queue(expiring);
    bench.publish(queue, "m");
    bench.clock.advance(999);
    expect(bench.unused).toEqual([]);
    bench.clock.advance(1);
    expect(bench.unused).toEqual([queue]);
  });

  test("begins anew with every use, and a publish is none", () => {
    const queue = bench.queue(expiring);
    bench.clock.advance(600);
    queue.use();
    bench.clock.advance(600);
    bench.get(queue);
    bench.clock.advance(600);
    bench.publish(queue, "m");
    expect(bench.unused).toEqual([]);
    bench.clock.advance(399);
    expect(bench.unused).toEqual([]);
    bench.clock.advance(1);
    expect(bench.unused).toEqual([queue]);
  });

  test("does not pass while there is a consumer, and begins when the last one leaves", () => {
    const queue = bench.queue(expiring);
    const [first, second] = [bench.consume(queue), bench.consume(queue)];
    bench.clock.advance("1h");
    queue.removeConsumer(first);
    bench.clock.advance("1h");
    queue.removeConsumer(second);
    bench.clock.advance(999);
    expect(bench.unused).toEqual([]);
    bench.clock.advance(1);
    expect(bench.unused).toEqual([queue]);
  });

  test("does not ring for a queue that was deleted", () => {
    const queue = bench.queue(expiring);
    queue.delete();
    bench.clock.advance("1h");
    expect(bench.unused).toEqual([]);
  });
});

describe("a queue that is deleted", () => {
  test("lets go of what is ready and tells its consumers, and nothing dies of it", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    const consumer = bench.consume(queue, { credit: 1 });
    for (const body of ["unacked", "ready", "ready too"]) bench.publish(queue, body);
    queue.delete();
    expect(consumer.queueDeletions).toBe(1);
    expect([queue.readyCount, bench.store.liveCount, bench.deaths]).toEqual([0, 1, []]);
    queue.settle(consumer.deliveries[0]!.position);
    expect([queue.unackedCount, bench.store.liveCount]).toEqual([0, 0]);
  });

  test("takes nothing back", () => {
    const queue = bench.queue();
    bench.publish(queue, "m");
    const taken = bench.get(queue)!;
    queue.delete();
    queue.requeue(taken.position, taken.sequence, taken.bits);
    expect([queue.readyCount, queue.unackedCount, bench.store.liveCount]).toEqual([0, 0, 0]);
  });

  test("makes no dead letter of what is rejected afterwards", () => {
    const queue = bench.queue({ arguments: DEAD_LETTERS });
    bench.publish(queue, "m");
    const taken = bench.get(queue)!;
    queue.delete();
    queue.reject(taken.position);
    expect([queue.unackedCount, bench.store.liveCount, bench.deaths]).toEqual([0, 0, []]);
  });

  test("expires nothing more", () => {
    const queue = bench.queue({ arguments: { ...DEAD_LETTERS, "x-message-ttl": 10 } });
    bench.publish(queue, "m");
    queue.delete();
    bench.clock.advance("1h");
    expect(bench.deaths).toEqual([]);
  });
});
