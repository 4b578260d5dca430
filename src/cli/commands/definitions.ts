/** Definitions: what outlives messages, in RabbitMQ's format, as a file. */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Call, type Command, control, type Output } from "../command.ts";
import { badArgument, failed, noVirtualHost } from "../failure.ts";
import { ManagementError } from "../management.ts";

const PATH = "/api/definitions";

/** Standard output and input. */
function isStandard(file: string | undefined): boolean {
  return file === undefined || file === "-";
}

function checkFormat({ options: { format = "json" } }: Call): void {
  if (String(format).toLowerCase() !== "json")
    throw badArgument(`Format must be JSON: ${format} is not`);
}

function checkExport(call: Call): void {
  checkFormat(call);
  const [file = ""] = call.arguments;
  const folder = dirname(file);
  if (!isStandard(file) && !existsSync(folder))
    throw badArgument(`Directory ${folder} does not exist`);
}

async function exportDefinitions({ management, arguments: given }: Call): Promise<Output> {
  const definitions = await management.get(PATH);
  const [file = ""] = given;
  const text = JSON.stringify(definitions);
  if (isStandard(file)) return { text, json: definitions };
  writeFileSync(file, text);
  return undefined;
}

function checkImport(call: Call): void {
  checkFormat(call);
  const [file] = call.arguments;
  if (!isStandard(file) && !existsSync(file!)) throw badArgument(`File ${file} does not exist`);
}

async function importDefinitions(call: Call): Promise<Output> {
  const [file] = call.arguments;
  const text = isStandard(file) ? await call.input() : readFileSync(file!, "utf8");
  try {
    JSON.parse(text);
  } catch (error) {
    const { message } = error as Error;
    throw failed("dataError", `Failed to deserialise input (format: JSON) (error: ${message})`);
  }
  try {
    await call.management.post(PATH, text);
  } catch (error) {
    if (!(error instanceof ManagementError) || error.status !== 400) throw error;
    const vhost = /(?:no vhost '|no_such_vhost",")([^'"]*)/.exec(error.message)?.[1];
    throw vhost === undefined ? failed("dataError", error.message) : noVirtualHost(vhost);
  }
  const started =
    "Successfully started definition import. This process is asynchronous and can take some time.";
  return { text: started };
}

const group = "Definitions";

export const definitionCommands: readonly Command[] = [
  {
    name: "export_definitions",
    ...{ group, tools: control, takes: [1, 1], options: { format: "text" } },
    usage: '<file_path | "-"> [--format <json>] [--timeout <timeout>]',
    summary: "Exports definitions in JSON",
    check: checkExport,
    says: ({ arguments: [file] }) =>
      isStandard(file) ? undefined : `Exporting definitions in JSON to a file at "${file}" ...`,
    run: exportDefinitions,
  },
  {
    name: "import_definitions",
    ...{ group, tools: control, takes: [0, 1] },
    options: { format: "text", "skip-if-unchanged": "flag" },
    usage: '[<file_path | "-">] [--format <json>] [--skip-if-unchanged] [--timeout <timeout>]',
    summary: "Imports definitions in JSON",
    check: checkImport,
    says: ({ arguments: [file] }) =>
      isStandard(file)
        ? "Importing definitions in JSON from standard input ..."
        : `Importing definitions in JSON from a file at "${file}" ...`,
    run: importDefinitions,
  },
];
