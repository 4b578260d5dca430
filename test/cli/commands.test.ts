/** The table of commands, and that every command has a test. */
import { expect, test } from "vitest";
import { commands } from "../../src/cli/commands.ts";
import { testsUnder } from "../conformance/row-table.ts";

const tests = testsUnder(import.meta.dirname).filter(({ file }) => !file.includes("admin"));

function filesOf(command: string): string[] {
  const word = new RegExp(`(?<![\\w-])${command}(?![\\w-])`);
  return [...new Set(tests.filter(({ name }) => word.test(name)).map(({ file }) => file))];
}

test("G3 G4 G5 every command has a test with its name in the test's; COMMANDS.md has them all", async () => {
  const rows = commands.map((command) => ({ ...command, files: filesOf(command.name) }));
  expect(rows.filter(({ files }) => files.length === 0).map(({ name }) => name)).toEqual([]);
  const lines = rows.map(
    ({ name, tools, summary, files }) =>
      `| ${name} | ${tools.join(", ")} | ${summary} | ${files.join(", ")} |`,
  );
  await expect(
    `# The commands of the tools, and the tests that show them\n\nWritten by \`npx vitest run test/cli/commands.test.ts -u\` from the table of commands and the names of the tests.\n\n| command | tools | what | tests |\n| --- | --- | --- | --- |\n${lines.join("\n")}\n`,
  ).toMatchFileSnapshot("COMMANDS.md");
});

test("G3 G4 G5 no tool has two commands of one name", () => {
  const all = commands.flatMap(({ name, tools }) => tools.map((tool) => `${tool} ${name}`));
  expect(all).toEqual([...new Set(all)]);
});
