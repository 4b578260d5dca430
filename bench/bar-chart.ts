/**
 * Bars for each row of a table, one for each series, in columns of which each has a scale of its own.
 *
 * Scales are logarithmic, because rows differ by factors of a thousand: what can be compared is which bar of a row ends
 * further, and by how many of the lines, each of which is ten times the one before.
 */

import { colour, element, label, legend, line, picture, short } from "./svg.ts";

export interface BarColumn {
  readonly title: string;
  /** By row, then by series; undefined where there is no figure. */
  readonly values: readonly (readonly (number | undefined)[])[];
}

export interface BarChart {
  readonly series: readonly string[];
  readonly rows: readonly string[];
  readonly columns: readonly BarColumn[];
}

const NAMES_WIDTH = 60;
const COLUMN_WIDTH = 420;
/** Behind the longest bar, for its figure. */
const FIGURE_WIDTH = 60;
const BAR_HEIGHT = 12;
const ROW_GAP = 8;
const TOP = 64;

export function barChart({ series, rows, columns }: BarChart): string {
  const rowHeight = series.length * BAR_HEIGHT + ROW_GAP;
  const height = TOP + rows.length * rowHeight + ROW_GAP;
  const width = NAMES_WIDTH + columns.length * COLUMN_WIDTH;
  const names = rows.map((name, row) =>
    label(name, NAMES_WIDTH - 10, TOP + (row + 0.5) * rowHeight, "end"),
  );
  const drawn = columns.map((column, index) => {
    const x = NAMES_WIDTH + index * COLUMN_WIDTH;
    return drawColumn(column, x, rowHeight, height - ROW_GAP);
  });
  return picture(width, height, [legend(series, NAMES_WIDTH, 20), ...names, ...drawn]);
}

function drawColumn(
  { title, values }: BarColumn,
  x: number,
  rowHeight: number,
  bottom: number,
): string {
  const all = values.flat().filter((value) => value !== undefined && value > 0) as number[];
  if (all.length === 0) return "";
  const low = Math.floor(Math.log10(Math.min(...all)));
  const high = Math.max(low + 1, Math.log10(Math.max(...all)));
  const barWidth = COLUMN_WIDTH - FIGURE_WIDTH;
  const at = (value: number): number => ((Math.log10(value) - low) / (high - low)) * barWidth;
  const parts = [label(title, x, 42, "start", { "font-weight": "bold" })];
  for (let power = low; power <= high; power++) {
    const lineX = x + at(10 ** power);
    parts.push(line(lineX, TOP, lineX, bottom), label(short(10 ** power), lineX, 58, "middle"));
  }
  values.forEach((bars, row) => {
    bars.forEach((value, index) => {
      if (value === undefined || !(value > 0)) return;
      const y = TOP + row * rowHeight + index * BAR_HEIGHT;
      const width = Math.max(1, at(value));
      parts.push(
        element("rect", { x, y, width, height: BAR_HEIGHT - 1, fill: colour(index) }),
        label(short(value), x + width + 4, y + 10, "start", { "font-size": 10 }),
      );
    });
  });
  return parts.join("\n");
}
