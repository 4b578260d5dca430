/** From measured rows to pictures: rate and CPU beside each other, a colour for each broker. */

import { barChart } from "./bar-chart.ts";
import type { Series } from "./growth.ts";
import { lineChart, type Panel } from "./line-chart.ts";
import { brokerPerMillion, medianOf, perSecond, type RowResult } from "./report.ts";

const RATE = "per second";
const CPU = "CPU-seconds per million";

/** Of the ordinary table. */
export function plotRows(names: readonly string[], results: readonly RowResult[]): string {
  return barChart({
    series: names,
    rows: results.map(({ row }) => row.id),
    columns: [
      { title: RATE, values: results.map((result) => medians(result, perSecond)) },
      { title: CPU, values: results.map((result) => medians(result, brokerPerMillion)) },
    ],
  });
}

/** A row of two panels for each series. */
export function plotGrowth(
  names: readonly string[],
  growth: readonly Series[],
  results: readonly RowResult[],
): string {
  const rows = growth.map((series) => [
    panel(series, results, RATE, perSecond),
    panel(series, results, CPU, brokerPerMillion),
  ]);
  return lineChart({ series: names, rows });
}

function panel(
  { id, steps }: Series,
  results: readonly RowResult[],
  what: string,
  of: typeof brokerPerMillion,
): Panel {
  const found = steps.map(({ row }) => results.find((result) => result.row.id === row.id));
  const byStep = found.map((result) => (result ? medians(result, of) : []));
  const brokers = byStep[0]!.map((_, broker) => byStep.map((values) => values[broker]));
  return {
    title: `${id}: ${what}`,
    steps: steps.map(({ count }) => count.toLocaleString("en-US")),
    lines: brokers,
  };
}

function medians({ outcomes }: RowResult, of: typeof brokerPerMillion): (number | undefined)[] {
  return outcomes.map((outcome) => medianOf(outcome, of));
}
