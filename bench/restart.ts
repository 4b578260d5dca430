/**
 * How soon a broker serves: started anew over what it kept, once after it was asked to stop and once after it was killed.
 *
 * The generator fills the queue; the restarts are the runner's, which owns the process. Time is from the start of the
 * process until a client has opened a channel and been told how many messages the queue has.
 */

import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { Broker } from "./brokers.ts";
import { Client } from "./client.ts";
import { ConfirmWindow } from "./confirms.ts";
import { type Figures, MEBIBYTE, mark } from "./figures.ts";
import { fill } from "./fill.ts";
import { confirmSelect, METHOD, queueDeclare } from "./methods.ts";
import { cpuSeconds, residentBytes } from "./proc.ts";
import { properties } from "./properties.ts";
import { Publisher } from "./publisher.ts";
import type { RestartRow } from "./rows.ts";
import { openClients, type Scenario } from "./run.ts";
import { parseBrokerUrl } from "./url.ts";

/** The broker goes with its folder, so nobody has to delete it. */
const QUEUE = "bench.restart";
/** What has settled down by then is what the broker takes at rest. */
const REST_SECONDS = 2;

/** The generator's part. */
export const prepareRestart: Scenario<RestartRow> = async (row, run) => {
  const [client] = (await openClients(1, run)) as [Client];
  const from = mark(0, run.brokerPid);
  if (row.messages > 0) await fillQueue(row, client, run.address.user);
  const to = mark(row.messages, run.brokerPid);
  await client.close();
  return {
    operations: row.messages,
    seconds: to.atSeconds - from.atSeconds,
    brokerCpuSeconds: undefined,
    generatorCpuSeconds: to.generatorCpuSeconds - from.generatorCpuSeconds,
    also: [],
  };
};

async function fillQueue(row: RestartRow, client: Client, user: string): Promise<void> {
  await client.call(queueDeclare(QUEUE, { durable: true }), METHOD.queueDeclareOk);
  await client.call(confirmSelect(), METHOD.confirmSelectOk);
  const publisher = new Publisher(client, {
    exchange: "",
    routingKeys: [QUEUE],
    bodyBytes: row.bodyBytes,
    stream: 0,
    properties: properties("persistent", user),
  });
  const confirms = new ConfirmWindow(row.confirmWindow);
  client.confirms = confirms;
  await fill(row, publisher, confirms, (pump) => {
    client.onChunkEnd = pump;
  });
}

/** The runner's part, after that of the generator. */
export async function measureRestart(
  row: RestartRow,
  broker: Broker,
  prepared: Figures,
): Promise<Figures> {
  const stopped = await restart(row, broker, "SIGTERM");
  const killed = await restart(row, broker, "SIGKILL");
  await sleep(REST_SECONDS * 1000);
  const resident = residentBytes(broker.pid);
  return {
    operations: 1,
    seconds: killed.seconds,
    brokerCpuSeconds: killed.cpuSeconds,
    generatorCpuSeconds: prepared.generatorCpuSeconds,
    also: [
      { name: "after a stop", value: stopped.seconds, unit: "s" },
      { name: "after kill -9", value: killed.seconds, unit: "s" },
      ...(resident === undefined ? [] : [{ name: "RSS", value: resident / MEBIBYTE, unit: "MiB" }]),
    ],
  };
}

interface Restarted {
  readonly seconds: number;
  readonly cpuSeconds: number | undefined;
}

async function restart(
  row: RestartRow,
  broker: Broker,
  signal: "SIGTERM" | "SIGKILL",
): Promise<Restarted> {
  await broker.end(signal);
  const from = performance.now();
  await broker.start();
  const client = await Client.open(parseBrokerUrl(broker.url));
  const messages = row.messages > 0 ? await readyCount(client) : 0;
  const seconds = (performance.now() - from) / 1000;
  await client.close();
  if (messages !== row.messages)
    throw new Error(`${messages} of ${row.messages} messages came back after ${signal}`);
  return { seconds, cpuSeconds: cpuSeconds(broker.pid) };
}

async function readyCount(client: Client): Promise<number> {
  const declare = queueDeclare(QUEUE, { durable: true, passive: true });
  const reply = await client.call(declare, METHOD.queueDeclareOk);
  return reply.readUInt32BE(4 + 1 + QUEUE.length);
}
