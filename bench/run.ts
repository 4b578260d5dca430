/** What every scenario is given, and the loops they share. */

import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "./client.ts";
import { type Figures, type Mark, mark } from "./figures.ts";
import type { Topology } from "./topology.ts";
import type { BrokerAddress } from "./url.ts";

export interface Run {
  readonly address: BrokerAddress;
  readonly brokerPid: number | undefined;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  readonly topology: Topology;
  /** A line for the person waiting, for what takes longer than the measurement itself. */
  progress(text: string): void;
}

/** Measures one row once. Any error it throws fails the row. */
export type Scenario<Row> = (row: Row, run: Run) => Promise<Figures>;

/** Without any progress for this long, messages count as lost. */
const STALLED_SECONDS = 10;
const POLL_MS = 5;

/** Opens several connections one after the other, as brokers refuse sudden crowds. */
export async function openClients(count: number, run: Run): Promise<Client[]> {
  const clients: Client[] = [];
  while (clients.length < count) clients.push(await Client.open(run.address));
  return clients;
}

/** Lets things run through warm-up and measurement, and marks both ends of the latter. */
export async function markWindow(run: Run, operations: () => number): Promise<[Mark, Mark]> {
  await sleep(run.warmUpSeconds * 1000);
  const from = mark(operations(), run.brokerPid);
  await sleep(run.seconds * 1000);
  const to = mark(operations(), run.brokerPid);
  if (to.operations === from.operations) throw new Error("nothing arrived");
  return [from, to];
}

/**
 * Waits until `done`; throws with `describe` when nothing `progressed` for ten seconds.
 *
 * It looks every few milliseconds: fine for an end that is not part of a figure.
 */
export async function untilDone(
  done: () => boolean,
  progressed: () => number,
  describe: () => string,
): Promise<void> {
  let last = progressed();
  let lastAt = Date.now();
  while (!done()) {
    await sleep(POLL_MS);
    if (progressed() !== last) {
      last = progressed();
      lastAt = Date.now();
    } else if (Date.now() - lastAt > STALLED_SECONDS * 1000) {
      throw new Error(`stalled: ${describe()}`);
    }
  }
}

/** Repeats `operation` one at a time, first to warm up, then between the marks returned. */
export async function repeat(
  run: Run,
  operation: () => Promise<void>,
  operationsMax = Number.POSITIVE_INFINITY,
): Promise<[Mark, Mark]> {
  let operations = 0;
  const until = async (seconds: number, max: number): Promise<void> => {
    const end = Date.now() + seconds * 1000;
    while (operations < max && Date.now() < end) {
      await operation();
      operations++;
    }
  };
  await until(run.warmUpSeconds, operationsMax / 10);
  const from = mark(operations, run.brokerPid);
  await until(run.seconds, operationsMax);
  return [from, mark(operations, run.brokerPid)];
}
