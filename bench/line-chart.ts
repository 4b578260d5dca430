/**
 * Panels of lines, two or more side by side: how figures change from step to step.
 *
 * Each begins at zero, so that what is flat looks flat. Steps stand at equal distances, whatever their numbers are.
 */

import { colour, element, label, legend, line, picture, short } from "./svg.ts";

export interface Panel {
  readonly title: string;
  readonly steps: readonly string[];
  /** By line, then by step; undefined where there is no figure. */
  readonly lines: readonly (readonly (number | undefined)[])[];
}

export interface LineChart {
  /** What the lines of all panels are, in order. */
  readonly series: readonly string[];
  readonly rows: readonly (readonly Panel[])[];
}

const PANEL_WIDTH = 420;
const PANEL_HEIGHT = 190;
const TOP = 30;
/** Around the lines. */
const MARGIN = { left: 60, right: 40, top: 34, bottom: 30 };
const PLOT_WIDTH = PANEL_WIDTH - MARGIN.left - MARGIN.right;
const PLOT_HEIGHT = PANEL_HEIGHT - MARGIN.top - MARGIN.bottom;
const GRID_LINES = 4;

export function lineChart({ series, rows }: LineChart): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const panels = rows.flatMap((row, down) =>
    row.map((panel, across) => {
      const transform = `translate(${across * PANEL_WIDTH},${TOP + down * PANEL_HEIGHT})`;
      return element("g", { transform }, drawPanel(panel));
    }),
  );
  const height = TOP + rows.length * PANEL_HEIGHT;
  return picture(columns * PANEL_WIDTH, height, [legend(series, MARGIN.left, 20), ...panels]);
}

function drawPanel({ title, steps, lines }: Panel): string {
  const values = lines.flat().filter((value) => value !== undefined);
  const top = niceMaximum(Math.max(0, ...values));
  const x = (step: number): number =>
    MARGIN.left + (steps.length === 1 ? 0.5 : step / (steps.length - 1)) * PLOT_WIDTH;
  const y = (value: number): number => MARGIN.top + PLOT_HEIGHT * (1 - value / top);
  const parts = [label(title, MARGIN.left, 18, "start", { "font-weight": "bold" })];
  for (let index = 0; index <= GRID_LINES; index++) {
    const value = (top * index) / GRID_LINES;
    parts.push(
      line(MARGIN.left, y(value), MARGIN.left + PLOT_WIDTH, y(value)),
      label(short(value), MARGIN.left - 8, y(value) + 4, "end"),
    );
  }
  steps.forEach((step, index) => {
    parts.push(label(step, x(index), MARGIN.top + PLOT_HEIGHT + 18, "middle"));
  });
  lines.forEach((of, index) => {
    const points = of.flatMap((value, step) =>
      value === undefined ? [] : [{ x: x(step), y: y(value) }],
    );
    parts.push(drawLine(points, colour(index)));
  });
  return parts.join("\n");
}

function drawLine(points: readonly { x: number; y: number }[], stroke: string): string {
  const path = points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
  const dots = points.map(({ x, y }) => element("circle", { cx: x, cy: y, r: 3, fill: stroke }));
  return (
    element("polyline", { points: path, fill: "none", stroke, "stroke-width": 2 }) + dots.join("")
  );
}

/** The least of 1, 2, 4 and 8 times a power of ten that is not below: quarters of it are round, too. */
function niceMaximum(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 4, 8].find((factor) => factor * power >= value) ?? 10);
}
