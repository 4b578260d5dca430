/** Connections themselves: how fast they come and go, and what an idle one costs. */

import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "./client.ts";
import { type AlsoFigure, between, mark } from "./figures.ts";
import { residentBytes } from "./proc.ts";
import type { ChurnRow, IdleRow } from "./rows.ts";
import { repeat, type Scenario } from "./run.ts";

const KIBIBYTE = 1024;
/** Left to a broker to finish what opening a connection starts, before its memory is read. */
const SETTLE_MS = 1000;
const PROGRESS_EVERY = 250;

export const measureChurn: Scenario<ChurnRow> = async (_row, run) => {
  const [from, to] = await repeat(run, async () => {
    const client = await Client.open(run.address);
    await client.close();
  });
  return between(from, to);
};

export const measureIdle: Scenario<IdleRow> = async (row, run) => {
  const before = residentBytes(run.brokerPid);
  const clients: Client[] = [];
  const from = mark(0, run.brokerPid);
  while (clients.length < row.connections) {
    clients.push(await Client.open(run.address));
    if (clients.length % PROGRESS_EVERY === 0) run.progress(`${clients.length} connections open`);
  }
  const to = mark(clients.length, run.brokerPid);
  await sleep(SETTLE_MS);
  const after = residentBytes(run.brokerPid);
  for (const client of clients) await client.close();
  const also: AlsoFigure[] = [];
  if (before !== undefined && after !== undefined) {
    const each = (after - before) / row.connections / KIBIBYTE;
    also.push({ name: "RSS each", value: each, unit: "KiB" });
  }
  return between(from, to, also);
};
