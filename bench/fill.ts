/**
 * A backlog: fills a queue nobody consumes, looks at the broker's memory, then drains the queue.
 *
 * Rate and CPU are the fill's; the drain's stand beside them.
 */

import { ConfirmWindow } from "./confirms.ts";
import { Consumer } from "./consumer.ts";
import { type AlsoFigure, between, type Figures, type Mark, MEBIBYTE, mark } from "./figures.ts";
import { basicConsume, confirmSelect, METHOD } from "./methods.ts";
import { residentBytes, writtenBytes } from "./proc.ts";
import { properties } from "./properties.ts";
import { Publisher } from "./publisher.ts";
import type { FillRow } from "./rows.ts";
import { openClients, type Run, type Scenario, untilDone } from "./run.ts";

const STREAM = 0;

export const measureFill: Scenario<FillRow> = async (row, run) => {
  const clients = await openClients(2, run);
  const queue = await run.topology.queue(clients[0]!, row.id, { durable: row.durable });
  const encodedProperties = properties(row.properties, run.address.user);
  const publisher = new Publisher(clients[0]!, {
    exchange: "",
    routingKeys: [queue],
    bodyBytes: row.bodyBytes,
    stream: STREAM,
    properties: encodedProperties,
  });
  await clients[0]!.call(confirmSelect(), METHOD.confirmSelectOk);
  const confirms = new ConfirmWindow(row.confirmWindow);
  clients[0]!.confirms = confirms;

  const residentBefore = residentBytes(run.brokerPid);
  const writtenBefore = writtenBytes(run.brokerPid);
  const from = mark(0, run.brokerPid);
  await fill(row, publisher, confirms, (pump) => {
    clients[0]!.onChunkEnd = pump;
  });
  const filled = mark(row.messages, run.brokerPid);
  const residentAfter = residentBytes(run.brokerPid);
  run.progress(`filled in ${(filled.atSeconds - from.atSeconds).toFixed(1)} s, draining`);

  const consumer = new Consumer(clients[1]!, {
    bodyBytes: row.bodyBytes,
    stream: STREAM,
    ackEvery: 0,
    properties: encodedProperties,
  });
  const drained = await drain(row, consumer, run, () =>
    clients[1]!.call(basicConsume(queue, true), METHOD.basicConsumeOk),
  );
  for (const client of clients) await client.close();
  const also = [
    ...drainFigures(drained),
    ...memoryFigures(row, residentBefore, residentAfter),
    ...diskFigures(row, writtenBefore, writtenBytes(run.brokerPid)),
  ];
  return between(from, filled, also);
};

/** Resolves when every message is published and confirmed. */
export async function fill(
  row: Pick<FillRow, "messages" | "confirmWindow">,
  publisher: Publisher,
  confirms: ConfirmWindow,
  onConfirms: (pump: () => void) => void,
): Promise<void> {
  const stride = row.confirmWindow >> 2;
  const pump = (): void => {
    while (!publisher.busy && publisher.published < row.messages) {
      const room = row.confirmWindow - confirms.outstanding;
      const left = row.messages - publisher.published;
      if (room < Math.min(stride, left)) return;
      confirms.onPublished(publisher.publish(Math.min(stride, left)));
    }
  };
  onConfirms(pump);
  publisher.onIdle = pump;
  pump();
  await untilDone(
    () => publisher.published === row.messages && confirms.outstanding === 0,
    () => publisher.published - confirms.outstanding,
    () => `${publisher.published} published, ${confirms.outstanding} unconfirmed`,
  );
}

async function drain(
  row: FillRow,
  consumer: Consumer,
  run: Run,
  consume: () => Promise<Buffer>,
): Promise<Figures> {
  const from = mark(0, run.brokerPid);
  let to: Mark | undefined;
  consumer.onMessage = (sequence) => {
    if (sequence === row.messages - 1) to = mark(row.messages, run.brokerPid);
  };
  await consume();
  await untilDone(
    () => to !== undefined,
    () => consumer.received,
    () => `${consumer.received} of ${row.messages} drained`,
  );
  return between(from, to!);
}

function drainFigures(drained: Figures): AlsoFigure[] {
  const rate = drained.operations / drained.seconds;
  const figures = [{ name: "drain", value: rate, unit: "msg/s" }];
  if (drained.brokerCpuSeconds !== undefined) {
    const perMillion = drained.brokerCpuSeconds / (drained.operations / 1e6);
    figures.push({ name: "drain CPU", value: perMillion, unit: "s/M" });
  }
  return figures;
}

function memoryFigures(
  row: FillRow,
  before: number | undefined,
  after: number | undefined,
): AlsoFigure[] {
  if (before === undefined || after === undefined) return [];
  return [
    { name: "RSS when full", value: after / MEBIBYTE, unit: "MiB" },
    { name: "growth", value: (after - before) / row.messages, unit: "B/message" },
  ];
}

/** Of the fill and the drain together. */
function diskFigures(
  row: FillRow,
  before: number | undefined,
  after: number | undefined,
): AlsoFigure[] {
  if (!row.durable || before === undefined || after === undefined) return [];
  const value = (after - before) / (row.messages * row.bodyBytes);
  return [{ name: "disk", value, unit: "B/body byte" }];
}
