/**
 * Messages at a fixed rate, far below what the broker could do, and how long each takes.
 *
 * The clock of a message starts when it is given to the socket and ends when the consumer has read
 * all of it. Publisher and consumer are in one process, so there is one clock. Publishing goes by a
 * timer and does not wait for deliveries: a broker that pauses is not spared the messages due
 * meanwhile.
 */

import { performance } from "node:perf_hooks";
import { between } from "./figures.ts";
import { openLane } from "./lane.ts";
import { Latencies } from "./latencies.ts";
import type { SteadyRow } from "./rows.ts";
import { markWindow, type Scenario, untilDone } from "./run.ts";

/** A power of two: the most messages that can be under way. */
const UNDER_WAY_MAX = 2 ** 16;
const TICK_MS = 1;

export const measureSteady: Scenario<SteadyRow> = async (row, run) => {
  const lane = await openLane(row, 0, run);
  const { publisher } = lane;
  const consumer = lane.consumers[0]!;
  const sentAt = new Float64Array(UNDER_WAY_MAX);
  const latencies = new Latencies();
  const startedAt = performance.now();
  const measuredFrom = startedAt + run.warmUpSeconds * 1000;

  consumer.onMessage = (sequence) => {
    const sent = sentAt[sequence % UNDER_WAY_MAX]!;
    if (sent >= measuredFrom) latencies.record(performance.now() - sent);
  };
  const timer = setInterval(() => {
    const now = performance.now();
    const due = Math.floor(((now - startedAt) * row.messagesPerSecond) / 1000);
    const count = Math.min(due - publisher.published, publisher.batchMessages);
    if (count <= 0 || publisher.busy) return;
    if (publisher.published + count - consumer.received > UNDER_WAY_MAX) {
      throw new Error("the broker does not keep up with the rate");
    }
    for (let index = 0; index < count; index++) {
      sentAt[(publisher.published + index) % UNDER_WAY_MAX] = now;
    }
    publisher.publish(count);
  }, TICK_MS);

  const [from, to] = await markWindow(run, () => lane.received);
  clearInterval(timer);
  await untilDone(
    () => lane.settled,
    () => lane.received,
    () => lane.describe(),
  );
  await lane.close();
  return between(from, to, latencies.figures());
};
