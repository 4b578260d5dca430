/** What is made from the table of settings: the help and CONFIGURATION.md. `npm run configuration` writes the page anew. */
import { describe, expect, test } from "vitest";
import { helpText } from "../../src/settings/help.ts";
import { settingRows, settings, variablesOf } from "../../src/settings/table.ts";
import { configurationPage } from "./configuration-page.ts";

describe("the table of settings", () => {
  test("is what CONFIGURATION.md says", async () => {
    await expect(configurationPage()).toMatchFileSnapshot("../../CONFIGURATION.md");
  });

  test("has every flag in the help, and the help fits a terminal", () => {
    const help = helpText();
    for (const [, { flag }] of settingRows) if (flag) expect(help).toContain(`--${flag}`);
    expect(Math.max(...help.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  test("names no flag, variable or key twice", () => {
    const rows = Object.values(settings);
    const names = rows.flatMap((row) => [
      ...(row.flag === undefined ? [] : [`--${row.flag}`]),
      ...variablesOf(row),
      ...(row.environmentFile === undefined ? [] : [row.environmentFile]),
      ...(row.keys ?? []),
    ]);
    expect(names).toEqual([...new Set(names)]);
  });
});
