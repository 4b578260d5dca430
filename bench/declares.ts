/**
 * Queues declared, bound and deleted, one request at a time, in rounds until the time is over.
 *
 * The rate is that of the declares; the CPU time is that of the whole round, told for each queue.
 */

import { performance } from "node:perf_hooks";
import type { Client } from "./client.ts";
import { between, type Figures, mark } from "./figures.ts";
import { METHOD, queueBind } from "./methods.ts";
import type { DeclareRow } from "./rows.ts";
import { openClients, type Run, type Scenario } from "./run.ts";

interface Phases {
  rounds: number;
  declareSeconds: number;
  bindSeconds: number;
  deleteSeconds: number;
}

export const measureDeclares: Scenario<DeclareRow> = async (row, run) => {
  const [client] = (await openClients(1, run)) as [Client];
  const exchange = await run.topology.exchange(client, row.id, "direct");
  const phases: Phases = { rounds: 0, declareSeconds: 0, bindSeconds: 0, deleteSeconds: 0 };
  await declareRound(Math.ceil(row.queues / 10), { ...phases }, client, exchange, run);

  const from = mark(0, run.brokerPid);
  const end = Date.now() + run.seconds * 1000;
  do {
    await declareRound(row.queues, phases, client, exchange, run);
    phases.rounds++;
  } while (Date.now() < end);
  const operations = phases.rounds * row.queues;
  const to = mark(operations, run.brokerPid);
  await client.close();

  const also = [
    { name: "binds", value: operations / phases.bindSeconds, unit: "/s" },
    { name: "deletes", value: operations / phases.deleteSeconds, unit: "/s" },
  ];
  const figures: Figures = { ...between(from, to, also), seconds: phases.declareSeconds };
  return figures;
};

async function declareRound(
  queues: number,
  phases: Phases,
  client: Client,
  exchange: string,
  run: Run,
): Promise<void> {
  const names: string[] = [];
  const startedAt = performance.now();
  for (let index = 0; index < queues; index++) {
    names.push(await run.topology.queue(client, `V.${index}`, { durable: true }));
  }
  const declaredAt = performance.now();
  for (const name of names) {
    await client.call(queueBind(name, exchange, name), METHOD.queueBindOk);
  }
  const boundAt = performance.now();
  for (const name of names) await run.topology.deleteQueue(client, name);
  phases.declareSeconds += (declaredAt - startedAt) / 1000;
  phases.bindSeconds += (boundAt - declaredAt) / 1000;
  phases.deleteSeconds += (performance.now() - boundAt) / 1000;
}
