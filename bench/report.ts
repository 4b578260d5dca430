/** From the figures of all repetitions to a Markdown table of medians. */

import type { Figures } from "./figures.ts";
import type { Series } from "./growth.ts";
import type { Row } from "./rows.ts";

/** One row on one broker: its repetitions, or why it has none. */
export interface Outcome {
  readonly repetitions: readonly Figures[];
  readonly failure?: string | undefined;
}

export interface RowResult {
  readonly row: Row;
  /** In the order of the brokers. */
  readonly outcomes: readonly Outcome[];
}

/** Above this share of one core's time, the generator may be what limits the figure. */
const GENERATOR_BUSY = 0.9;

export function perSecond({ operations, seconds }: Figures): number {
  return operations / seconds;
}

export function brokerPerMillion({ brokerCpuSeconds, operations }: Figures): number | undefined {
  return brokerCpuSeconds === undefined ? undefined : brokerCpuSeconds / (operations / 1e6);
}

export function generatorPerMillion({ generatorCpuSeconds, operations }: Figures): number {
  return generatorCpuSeconds / (operations / 1e6);
}

/** One line for the person waiting. */
export function summarize(figures: Figures, row: Row): string {
  const cpu = brokerPerMillion(figures);
  const also = figures.also.map(({ name, value, unit }) => `, ${name} ${number(value)} ${unit}`);
  const parts = [
    `${number(perSecond(figures))} ${row.unit}/s`,
    cpu === undefined ? "" : `, ${number(cpu)} CPU-s/M`,
    ` (generator ${number(generatorPerMillion(figures))})`,
    ...also,
  ];
  return parts.join("");
}

/** The table and the notes under it. */
export function resultTable(names: readonly string[], results: readonly RowResult[]): string {
  const compared = names.length > 1;
  const header = [
    "Row",
    "What",
    ...names.map((name) => `${name} per second`),
    ...(compared ? ["Ratio"] : []),
    ...names.map((name) => `${name} CPU-s per million`),
    ...(compared ? ["Ratio"] : []),
    "Generator CPU-s per million",
    "Also",
  ];
  const alignment = header.map((_, index) =>
    index < 2 || index === header.length - 1 ? "---" : "---:",
  );
  const lines = [header, alignment, ...results.map((result) => resultCells(result, compared))];
  const table = lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  return `${table}\n\n${notes(names, results)}\n`;
}

/** Why what grows costs more, or that it does not. */
export function growthReasons(growth: readonly Series[]): string {
  return growth.map(({ id, why }) => `- **${id}**: ${why}`).join("\n");
}

function resultCells({ row, outcomes }: RowResult, compared: boolean): string[] {
  const rates = outcomes.map((outcome) => values(outcome, perSecond));
  const cpus = outcomes.map((outcome) => values(outcome, brokerPerMillion));
  const generators = outcomes.map((outcome) => values(outcome, generatorPerMillion));
  return [
    row.id,
    `${row.title} (${row.unit})`,
    ...rates.map((rate, index) => spread(rate, outcomes[index]!) + busyMark(row, outcomes[index]!)),
    ...(compared ? [ratio(rates[0]!, rates[1]!)] : []),
    ...cpus.map((cpu) => (cpu.length === 0 ? "–" : number(median(cpu)))),
    ...(compared ? [ratio(cpus[0]!, cpus[1]!)] : []),
    generators.map((cpu) => (cpu.length === 0 ? "–" : number(median(cpu)))).join(" / "),
    alsoCell(outcomes),
  ];
}

/** `median (lowest–highest)`, or that the row failed. */
function spread(numbers: readonly number[], { failure }: Outcome): string {
  if (failure !== undefined || numbers.length === 0) return "failed";
  const middle = number(median(numbers));
  if (numbers.length === 1) return middle;
  return `${middle} (${number(Math.min(...numbers))}–${number(Math.max(...numbers))})`;
}

/**
 * Only where as much as possible is under way: one thing at a time keeps nobody busy for its own
 * sake.
 */
function busyMark(row: Row, { repetitions }: Outcome): string {
  if (row.kind !== "flow" && row.kind !== "fill") return "";
  const busy = repetitions.some(
    ({ generatorCpuSeconds, seconds }) => generatorCpuSeconds > GENERATOR_BUSY * seconds,
  );
  return busy ? " *" : "";
}

function alsoCell(outcomes: readonly Outcome[]): string {
  const figures = outcomes.flatMap(({ repetitions }) => repetitions.flatMap(({ also }) => also));
  const cells = new Map(figures.map(({ name, unit }) => [name, unit]));
  const parts = [...cells].map(([name, unit]) => {
    const perBroker = outcomes.map((outcome) => {
      const numbers = values(outcome, ({ also }) => also.find((one) => one.name === name)?.value);
      return numbers.length === 0 ? "–" : number(median(numbers));
    });
    return `${name} ${perBroker.join(" / ")} ${unit}`;
  });
  return parts.join(", ");
}

function notes(names: readonly string[], results: readonly RowResult[]): string {
  const lines = [
    "Medians, with the lowest and highest repetition in parentheses. CPU is user and system time of the",
    `broker's process. Figures joined by " / " are in the order ${names.join(", ")}.`,
  ];
  if (
    results.some(({ row, outcomes }) => outcomes.some((outcome) => busyMark(row, outcome) !== ""))
  ) {
    lines.push("\\* The load generator was busy all the time: the broker may be able to do more.");
  }
  for (const { row, outcomes } of results) {
    outcomes.forEach(({ failure }, index) => {
      if (failure !== undefined)
        lines.push(`\nRow ${row.id} failed on ${names[index]}: ${failure}.`);
    });
  }
  return lines.join("\n");
}

function values(
  { repetitions, failure }: Outcome,
  of: (figures: Figures) => number | undefined,
): number[] {
  if (failure !== undefined) return [];
  return repetitions.map(of).filter((value) => value !== undefined);
}

/** The median over the repetitions; undefined where there is no figure. */
export function medianOf(
  outcome: Outcome,
  of: (figures: Figures) => number | undefined,
): number | undefined {
  const numbers = values(outcome, of);
  return numbers.length === 0 ? undefined : median(numbers);
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle]!;
  return (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function ratio(ours: readonly number[], theirs: readonly number[]): string {
  if (ours.length === 0 || theirs.length === 0) return "–";
  return `${(median(ours) / median(theirs)).toPrecision(3).replace(/e.*/, "")}×`;
}

/** Three digits that mean something, and separators for the thousands. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) || 1)));
  return value.toLocaleString("en-US", {
    maximumFractionDigits: Math.min(digits, 4),
    minimumFractionDigits: 0,
  });
}
