/**
 * Entry of the load generator: a process of its own, which lives for one repetition of one row.
 *
 * It is told by its parent what to measure, and answers with figures or with the reason why there
 * are none. Whatever goes wrong anywhere in it ends here: a measurement with an error in it has no
 * figure.
 */

import { Client } from "./client.ts";
import { growth } from "./growth.ts";
import type { Job, Report } from "./jobs.ts";
import { type Row, rows } from "./rows.ts";
import type { Run } from "./run.ts";
import { measure } from "./scenarios.ts";
import { Topology } from "./topology.ts";
import { parseBrokerUrl } from "./url.ts";

const CLEAN_UP_MS_MAX = 3000;

function report(message: Report): Promise<void> {
  return new Promise((resolve) => {
    process.send!(message, () => resolve());
  });
}

function findRow(id: string): Row {
  const steps = growth.flatMap((series) => series.steps.map(({ row }) => row));
  const row = [...rows, ...steps].find((one) => one.id === id);
  if (!row) throw new Error(`no row ${id}`);
  return row;
}

async function perform(job: Job): Promise<void> {
  const row = findRow(job.rowId);
  const topology = new Topology();
  const address = parseBrokerUrl(job.brokerUrl);
  let failed = false;

  const fail = async (error: unknown): Promise<void> => {
    // Closing sockets may raise more errors; the first one is the reason.
    if (failed) return;
    failed = true;
    const giveUp = setTimeout(() => process.exit(1), CLEAN_UP_MS_MAX);
    await report({ type: "failed", reason: error instanceof Error ? error.message : `${error}` });
    await topology.abandon(address);
    clearTimeout(giveUp);
    process.exit(1);
  };
  process.on("uncaughtException", fail);
  process.on("unhandledRejection", fail);

  const run: Run = {
    address,
    brokerPid: job.brokerPid,
    warmUpSeconds: job.warmUpSeconds,
    seconds: job.seconds,
    topology,
    progress: (text) => void report({ type: "progress", text }),
  };
  const figures = await measure(row, run);
  const client = await Client.open(address);
  await topology.deleteAll(client);
  await client.close();
  await report({ type: "figures", figures });
  process.disconnect();
}

// Its parent is gone: nobody waits for the figures.
process.once("disconnect", () => process.exit());

process.once("message", (job: Job) => {
  perform(job).catch((error: unknown) => process.emit("uncaughtException", error as Error));
});
