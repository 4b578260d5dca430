/** What becomes of messages of a quorum queue that a restart finds delivered often. Reference rows Q26 and QQ8. */
import { expect, test } from "vitest";
import { Bench } from "./fixtures.ts";

/** A quorum queue that has got back messages that were delivered so often. */
function recovered(limit: number, ...deliveries: number[]) {
  const bench = new Bench();
  const source = bench.queue();
  const queue = bench.queue({
    arguments: {
      "x-queue-type": "quorum",
      "x-delivery-limit": limit,
      "x-dead-letter-exchange": "dlx",
    },
  });
  for (const count of deliveries) {
    bench.publish(source, `delivered ${count} times`);
    const { position, bits } = bench.get(source)!;
    queue.recover(position, bits, 0, count);
  }
  queue.recovered();
  return { bench, queue };
}

test("Q26 QQ8 the end of the broker counts, and what has come back too often with it goes", () => {
  const { bench, queue } = recovered(2, 0, 1, 2, 3, 4);
  expect(bench.deaths.map(({ body, reason }) => [body, reason])).toEqual([
    ["delivered 3 times", "delivery_limit"],
    ["delivered 4 times", "delivery_limit"],
  ]);
  const counts = ["delivered 1 times", "delivered 2 times", "delivered 0 times"].map((body) => {
    const delivery = bench.get(queue)!;
    expect([delivery.body, delivery.redelivered]).toEqual([body, !body.includes("0")]);
    return queue.deliveryCount(delivery.position);
  });
  expect(counts).toEqual([1, 2, 0]);
});

test("Q26 what may never have been delivered is not dropped for a limit of 0", () => {
  const { bench, queue } = recovered(0, 1, 2);
  expect(bench.deaths).toHaveLength(1);
  expect(bench.get(queue)!.body).toBe("delivered 1 times");
});
