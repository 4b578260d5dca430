/**
 * Measures a row on all brokers, repetition by repetition in turn: a machine that becomes slower or
 * faster meanwhile does so for all of them.
 */

import type { Broker } from "./brokers.ts";
import type { Figures } from "./figures.ts";
import { runJob } from "./jobs.ts";
import type { Options } from "./options.ts";
import { type Outcome, type RowResult, summarize } from "./report.ts";
import { measureRestart } from "./restart.ts";
import type { Row } from "./rows.ts";

const REPETITIONS = 3;

/** One run of the benchmark, from its command line to its end. */
export interface Session {
  readonly options: Options;
  readonly brokers: readonly Broker[];
  /** Aborted when the person waiting has had enough. */
  readonly signal: AbortSignal;
  progress(line: string): void;
}

export async function measureRow(row: Row, session: Session): Promise<RowResult> {
  const { options, brokers, progress } = session;
  const repetitions = options.repetitions ?? row.repetitionsMax ?? REPETITIONS;
  const figures = brokers.map((): Figures[] => []);
  const failures = brokers.map((): string | undefined => undefined);
  progress(`${row.id}: ${row.title}`);
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    for (const [index, broker] of brokers.entries()) {
      // A row that failed once has failed: another try can only tell whether it always does.
      if (failures[index] !== undefined) continue;
      const prefix = `  ${broker.name} ${repetition}/${repetitions}: `;
      try {
        const result = await measureOnce(row, broker, session, (text) => progress(prefix + text));
        figures[index]!.push(result);
        progress(prefix + summarize(result, row));
      } catch (error) {
        session.signal.throwIfAborted();
        failures[index] = (error as Error).message;
        progress(`${prefix}FAILED: ${failures[index]}`);
      }
    }
  }
  const outcomes = brokers.map(
    (_, index): Outcome => ({ repetitions: figures[index]!, failure: failures[index] }),
  );
  return { row, outcomes };
}

async function measureOnce(
  row: Row,
  broker: Broker,
  { options, signal }: Session,
  progress: (text: string) => void,
): Promise<Figures> {
  signal.throwIfAborted();
  if (row.freshBroker) await broker.stop();
  await broker.start();
  const { warmUpSeconds, seconds } = options;
  const job = {
    rowId: row.id,
    brokerUrl: broker.url,
    brokerPid: broker.pid,
    warmUpSeconds,
    seconds,
  };
  const figures = await runJob(job, progress, signal);
  return row.kind === "restart" ? measureRestart(row, broker, figures) : figures;
}
