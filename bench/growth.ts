/**
 * How cost grows: the same flow while one thing becomes more. One more series is one more entry in this table.
 *
 * What is to be seen is whether rate and CPU a message stay as they are. Where they do not, `why` says what the reason is.
 */

import { confirmed, type FlowRow, plain } from "./rows.ts";

interface Step {
  /** How many there are of what grows. */
  readonly count: number;
  readonly row: FlowRow;
}

export interface Series {
  readonly id: string;
  readonly title: string;
  readonly steps: readonly Step[];
  /** Why it is not flat, or that it is. */
  readonly why: string;
}

interface SeriesSpec extends Omit<Series, "steps"> {
  readonly counts: readonly number[];
  /** What `plain` becomes with so many. */
  with(count: number): Partial<FlowRow>;
}

function series({ counts, with: change, ...about }: SeriesSpec): Series {
  const steps = counts.map((count): Step => {
    const named = {
      id: `${about.id}-${count}`,
      title: `${about.title}: ${count.toLocaleString("en-US")}`,
    };
    return { count, row: { ...plain, ...change(count), ...named } };
  });
  return { ...about, steps };
}

export const growth: readonly Series[] = [
  series({
    id: "depth",
    title: "messages waiting in the queue, ack every 500",
    counts: [0, 10_000, 1_000_000],
    with: (backlog) => ({ ...confirmed, confirmWindow: 0, backlog }),
    why: "Flat as long as the messages fit into the memory limit; beyond it each is written to a scratch file and read back, a segment at a time.",
  }),
  series({
    id: "queues",
    title: "queues, published to in turn",
    counts: [1, 100, 10_000],
    with: (queuesInTurn) => ({ queuesInTurn }),
    why: "Each message goes to another queue than the one before: where its key leads is looked for by its bytes, which a publisher that stays with its key is spared. From thousands of queues on what they keep is no longer in the processor's caches, and each is cold when its turn comes.",
  }),
  series({
    id: "bindings",
    title: "bindings of a direct exchange, used in turn",
    counts: [1, 100, 100_000],
    with: (bindings) => ({ exchange: "direct", bindings }),
    why: "The first step is the look-up of a key that is not the last one's. Beyond the 16,384 routes that are remembered the key is decoded and looked up in a table of its own, which has outgrown the processor's caches.",
  }),
  series({
    id: "patterns",
    title: "wildcard bindings of a topic exchange, used in turn",
    counts: [1, 100, 100_000],
    with: (bindings) => ({ exchange: "topic", bindings }),
    why: "As with bindings; what is not remembered is searched for, word by word, in a tree that has outgrown the caches.",
  }),
  series({
    id: "connections",
    title: "connections, each second one publishing to a queue that the next one consumes",
    counts: [2, 100, 1000],
    with: (connections) => ({ lanes: connections / 2 }),
    why: "About flat. The more connections, the fewer messages are in each read and write of a socket, and the more memory is in use by those under way.",
  }),
  series({
    id: "consumers",
    title: "consumers of the queue",
    counts: [1, 100],
    with: (consumersPerQueue) => ({ consumersPerQueue }),
    why: "Flat.",
  }),
];
