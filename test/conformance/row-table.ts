/**
 * Which tests show which row: found by reading the test files, and put down as the table in ROWS.md.
 *
 * A test's name begins with the ids of the rows that it shows, or the name of a `describe` around it does. The files are
 * read as text, formatted as the linter wants them: what is further indented belongs to the `describe` above it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pending, type Row, type RowId, rows } from "./rows.ts";

export interface NamedTest {
  /** The file, from the folder of all tests. */
  readonly file: string;
  /** The names of the `describe`s around it, and its own. */
  readonly name: string;
  /** The rows that it says it shows. */
  readonly ids: readonly string[];
}

/** Those under them can be run against a RabbitMQ. */
const CONFORMANCE = ["conformance/", "management/", "cli/"];

const CALL = /^( *)(describe|test|it)(\.\w+)?[(<]/gm;
/** Directly in the call, or, where the first call takes a table or a condition, in the one that follows. */
const TITLE = /\(\s*(["'`])((?:\\.|(?!\1).)*)\1/y;
const TITLE_OF_SECOND_CALL = /\)\(\s*(["'`])((?:\\.|(?!\1).)*)\1/g;
const CALLED_TWICE = new Set([".each", ".for", ".skipIf", ".runIf"]);
const IDS = /^(?:[A-Z]{1,2}\d+[ ,]+)+/;

function idsOf(title: string): string[] {
  return IDS.exec(title)?.[0].match(/[A-Z]+\d+/g) ?? [];
}

/** The tests that the text of a file holds, in their order. */
export function testsIn(file: string, text: string): NamedTest[] {
  const found: NamedTest[] = [];
  const around: { indent: number; title: string }[] = [];
  for (const call of text.matchAll(CALL)) {
    const [whole, { length: indent } = "", kind, modifier = ""] = call;
    const pattern = CALLED_TWICE.has(modifier) ? TITLE_OF_SECOND_CALL : TITLE;
    pattern.lastIndex = call.index + whole.length - 1;
    const title = pattern.exec(text)?.[2];
    if (title === undefined) continue;
    while (around.length > 0 && around.at(-1)!.indent >= indent) around.pop();
    const titles = [...around.map((describe) => describe.title), title];
    if (kind === "describe") around.push({ indent, title });
    else found.push({ file, name: titles.join(" "), ids: titles.flatMap(idsOf) });
  }
  return found;
}

/** The tests of every file in the folder and the folders in it. */
export function testsUnder(folder: string): NamedTest[] {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => file.endsWith(".test.ts"))
    .sort()
    .flatMap((file) => testsIn(file, readFileSync(join(folder, file), "utf8")));
}

/** The rows in their order, each with the tests that show it. */
function testsOfRows(tests: readonly NamedTest[]): [RowId, Row, NamedTest[]][] {
  return Object.entries(rows).map(([id, row]) => [
    id as RowId,
    row,
    tests.filter(({ ids }) => ids.includes(id)),
  ]);
}

/** Why nothing that a RabbitMQ 3.10 does shows the row; undefined when its tests run there. */
function notChecked(row: Row, tests: readonly NamedTest[]): string | undefined {
  if (row.notChecked !== undefined) return row.notChecked;
  if (tests.some(({ file }) => CONFORMANCE.some((folder) => file.startsWith(folder))))
    return undefined;
  return "its tests take hold of the broker from inside";
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}

/** The names of the tests, those of each file after the file's own. */
function byFile(tests: readonly NamedTest[]): string[] {
  return tests.flatMap(({ file, name }, index) =>
    file === tests[index - 1]?.file ? [cell(name)] : [`**${file}**`, cell(name)],
  );
}

function tableRow(id: RowId, row: Row, tests: readonly NamedTest[]): string {
  const why = notChecked(row, tests);
  let checked = why === undefined ? "yes" : `no: ${why}`;
  if (row.differs !== undefined) checked += `; differs: ${row.differs}`;
  if (pending.has(id)) checked = "pending";
  return `| ${id} | ${cell(row.title)} | ${cell(checked)} | ${byFile(tests).join("<br>")} |`;
}

/** What ROWS.md says. */
export function rowTable(tests: readonly NamedTest[]): string {
  const all = testsOfRows(tests);
  const unchecked = all.filter(([id, row, own]) => !pending.has(id) && notChecked(row, own));
  const differing = all.filter(([, { differs }]) => differs !== undefined);
  const open =
    pending.size > 0 ? ` ${pending.size} rows are pending: their tests are to come.` : "";
  return `# RabbitMQ's behaviour, and the tests that show it

Written by \`npm run conformance:table\` from rows.ts and from the names of the tests; a test holds it up to date.

${all.length} rows. ${all.length - unchecked.length - pending.size} are checked on a running RabbitMQ 3.10 by \
\`npm run conformance:rabbitmq\`, ${unchecked.length} are not; in ${differing.length} RabbitMQ 4.2, which Leveret follows, \
differs from 3.10, and the tests know both.${open}

| row | what | checked on RabbitMQ 3.10 | tests |
| --- | --- | --- | --- |
${all.map(([id, row, own]) => tableRow(id, row, own)).join("\n")}
`;
}
