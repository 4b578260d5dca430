/** The list of rows and the tests that show them: no row without a test, no test of an unknown row. */
import { expect, test } from "vitest";
import { type NamedTest, rowTable, testsIn, testsUnder } from "./row-table.ts";
import { pending, type RowId, rows } from "./rows.ts";

const tests = testsUnder(`${import.meta.dirname}/..`);

test("every row has a test, but for those that are pending", () => {
  const shown = new Set(tests.flatMap(({ ids }) => ids));
  const missing = Object.keys(rows).filter((id) => !shown.has(id) && !pending.has(id as RowId));
  expect(missing).toEqual([]);
});

test("every id in a test's name is that of a row", () => {
  const unknown = tests.filter(({ ids }) => ids.some((id) => !Object.hasOwn(rows, id)));
  expect(unknown).toEqual([]);
});

test("every name is a test's own", () => {
  const names = tests.map(({ file, name }) => `${file}: ${name}`);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
});

test("ROWS.md says so: npm run conformance:table writes it", async () => {
  await expect(rowTable(tests)).toMatchFileSnapshot("ROWS.md");
});

// Line by line: this file is read in search of tests, too.
const FILE = [
  'test("A1 A2 plain", () => {});',
  'describe("B1 a group", () => {',
  "  test.each<[string, Check]>([",
  '    ["x", (y) => y("no title")],',
  '  ])("C1, C2 with %s \\"quoted\\"", () => {});',
  "  test(",
  '    "D1inside", { timeout: 1 }, () => {});',
  "});",
  'test.skipIf(isOld)("ABC1 after the group", () => {});',
  "it(title, () => {});",
];

test("tests are found by their names, with the rows of the groups they are in", () => {
  const found: NamedTest[] = [
    { file: "f", name: "A1 A2 plain", ids: ["A1", "A2"] },
    { file: "f", name: 'B1 a group C1, C2 with %s \\"quoted\\"', ids: ["B1", "C1", "C2"] },
    { file: "f", name: "B1 a group D1inside", ids: ["B1"] },
    { file: "f", name: "ABC1 after the group", ids: [] },
  ];
  expect(testsIn("f", FILE.join("\n"))).toEqual(found);
});
