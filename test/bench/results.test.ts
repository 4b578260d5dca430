/** What the benchmark writes: a document section by section, and pictures that show the figures they were given. */

import { expect, test } from "vitest";
import { barChart } from "../../bench/bar-chart.ts";
import { withSection } from "../../bench/document.ts";
import { growth } from "../../bench/growth.ts";
import { lineChart } from "../../bench/line-chart.ts";
import { parseOptions } from "../../bench/options.ts";
import { plotGrowth, plotRows } from "../../bench/plots.ts";
import type { RowResult } from "../../bench/report.ts";
import { type Row, rows } from "../../bench/rows.ts";

const document = "# Results\n\n## One\n\nfirst\n\n## Two\n\nsecond\n";

test("a section takes the place of the one with its heading, or the end", () => {
  expect(withSection(document, "One", "new\n")).toBe(document.replace("first", "new"));
  expect(withSection(document, "Two", "new")).toBe(document.replace("second", "new"));
  expect(withSection(document, "Three", "third")).toBe(`${document}\n## Three\n\nthird\n`);
  expect(withSection("# Results\n", "One", "first")).toBe("# Results\n\n## One\n\nfirst\n");
});

test("a heading that only begins like the one asked for is another one", () => {
  const longer = "# Results\n\n## One and a half\n\nlonger\n";
  expect(withSection(longer, "One", "first")).toBe(`${longer}\n## One\n\nfirst\n`);
});

/** The numbers of an attribute, in order. */
function numbers(svg: string, element: string, attribute: string): number[] {
  const found = svg.matchAll(new RegExp(`<${element} [^>]*?\\b${attribute}="([\\d.]+)"`, "g"));
  return Array.from(found, (match) => Number(match[1]));
}

test("bars are as long as the logarithm of their figures, and what has none has no bar", () => {
  const svg = barChart({
    series: ["ours", "theirs"],
    rows: ["A", "B"],
    columns: [
      {
        title: "per second",
        values: [
          [10, 1000],
          [100, undefined],
        ],
      },
    ],
  });
  const bars = [...svg.matchAll(/<rect x="[\d.]+" y="[\d.]+" width="([\d.]+)" height="11"/g)];
  // The least one lies on the first line.
  expect(bars.map((bar) => Number(bar[1]))).toEqual([1, 360, 180]);
});

test("lines begin at zero, and figures that do not change make a level line", () => {
  const svg = lineChart({
    series: ["a <b>"],
    rows: [[{ title: "x", steps: ["1", "2", "3"], lines: [[4, 4, 2]] }]],
  });
  const [first, second, third] = numbers(svg, "circle", "cy");
  const lines = numbers(svg, "line", "y1");
  expect([first, second]).toEqual([Math.min(...lines), Math.min(...lines)]);
  expect(third).toBe((Math.min(...lines) + Math.max(...lines)) / 2);
  expect(svg).toContain("a &lt;b>");
});

function result(row: Row, rates: readonly (number | undefined)[]): RowResult {
  const figures = { seconds: 1, brokerCpuSeconds: 1, generatorCpuSeconds: 1, also: [] };
  return {
    row,
    outcomes: rates.map((rate) =>
      rate === undefined
        ? { repetitions: [], failure: "failed" }
        : { repetitions: [{ ...figures, operations: rate }] },
    ),
  };
}

test("the plot of a table has the medians of what was measured, and none of what failed", () => {
  const svg = plotRows(["ours", "theirs"], [result(rows[0]!, [50_000, undefined])]);
  expect(svg).toContain(">50 k<");
  // A figure for the rate, one for the CPU time of a million.
  expect([...svg.matchAll(/height="11"/g)]).toHaveLength(2);
});

test("the plot of growth has a point for each step and broker", () => {
  const series = growth.slice(0, 2);
  const results = series.flatMap(({ steps }) => steps.map(({ row }) => result(row, [1000, 2000])));
  const svg = plotGrowth(["ours", "theirs"], series, results);
  expect(numbers(svg, "circle", "cx")).toHaveLength(2 * 3 * 2 * 2);
  expect(svg).toContain("10,000");
});

test("each step of growth is a row of its own, which the command line can name by its series", () => {
  const ids = growth.flatMap(({ steps }) => steps.map(({ row }) => row.id));
  expect(new Set([...ids, ...rows.map(({ id }) => id)]).size).toBe(ids.length + rows.length);
  const options = parseOptions(["--growth", "--row", "Depth"]);
  expect(options.rows.map(({ id }) => id)).toEqual(["depth-0", "depth-10000", "depth-1000000"]);
  expect(() => parseOptions(["--row", "depth"])).toThrow('there is no "depth"');
  expect(parseOptions(["--row", "a,n2"]).growth).toBeUndefined();
});
