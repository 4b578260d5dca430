/** What a measurement yields, and the marks between which it is taken. */

import { performance } from "node:perf_hooks";
import { cpuSeconds } from "./proc.ts";

export const MEBIBYTE = 1024 * 1024;

/** A further figure of a row, told beside rate and CPU. */
export interface AlsoFigure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** One repetition of one row on one broker. */
export interface Figures {
  /** In the row's unit: messages, round trips, connections. */
  readonly operations: number;
  readonly seconds: number;
  /** Undefined when the broker's process is not known. */
  readonly brokerCpuSeconds: number | undefined;
  readonly generatorCpuSeconds: number;
  readonly also: readonly AlsoFigure[];
}

/** A moment in a run; all its values are read together. */
export interface Mark {
  readonly operations: number;
  readonly atSeconds: number;
  readonly brokerCpuSeconds: number | undefined;
  readonly generatorCpuSeconds: number;
}

export function mark(operations: number, brokerPid: number | undefined): Mark {
  const { user, system } = process.cpuUsage();
  return {
    operations,
    atSeconds: performance.now() / 1000,
    brokerCpuSeconds: cpuSeconds(brokerPid),
    generatorCpuSeconds: (user + system) / 1e6,
  };
}

export function between(from: Mark, to: Mark, also: readonly AlsoFigure[] = []): Figures {
  const brokerKnown = from.brokerCpuSeconds !== undefined && to.brokerCpuSeconds !== undefined;
  return {
    operations: to.operations - from.operations,
    seconds: to.atSeconds - from.atSeconds,
    brokerCpuSeconds: brokerKnown ? to.brokerCpuSeconds - from.brokerCpuSeconds : undefined,
    generatorCpuSeconds: to.generatorCpuSeconds - from.generatorCpuSeconds,
    also,
  };
}
