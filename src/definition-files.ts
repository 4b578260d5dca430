/** Definitions that a broker starts with: a file, or the files of a folder that end in `.json`, in the order of their names. */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Host } from "./broker/host.ts";
import { definesUsers, importDefinitions } from "./management/definitions-import.ts";
import { httpErrorOf } from "./management/http-error.ts";
import { type JsonObject, parseObject } from "./management/input.ts";

export interface DefinitionFile {
  readonly path: string;
  readonly definitions: JsonObject;
}

/** What is wrong, in a line that begins with the file. */
function inFile(path: string, error: unknown): Error {
  const known = httpErrorOf(error);
  if (known === undefined) return error as Error;
  const { reason } = known.body as { reason?: unknown };
  const shown = typeof reason === "string" ? reason : JSON.stringify(reason);
  return new Error(`${path}: ${shown.trim().replaceAll(/\s*\n+\s*/g, "; ")}`);
}

function attempt<Result>(path: string, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    throw inFile(path, error);
  }
}

/** Throws when a file cannot be read, or holds no definitions. */
export function readDefinitionFiles(path: string): DefinitionFile[] {
  const isFolder = statSync(path).isDirectory();
  const names = isFolder ? readdirSync(path).filter((name) => name.endsWith(".json")) : [];
  const paths = isFolder ? names.sort().map((name) => join(path, name)) : [path];
  return paths.map((file) => ({
    path: file,
    definitions: attempt(file, () => {
      const definitions = parseObject(readFileSync(file));
      definesUsers(definitions);
      return definitions;
    }),
  }));
}

/** Whether they say who there is, so that the default user is not to be made. */
export function defineUsers(files: readonly DefinitionFile[]): boolean {
  return files.some(({ definitions }) => definesUsers(definitions));
}

/** Throws an error that begins with the file and says what is wrong in it. */
export function importDefinitionFiles(host: Host, files: readonly DefinitionFile[]): void {
  for (const { path, definitions } of files) {
    attempt(path, () => importDefinitions(host, definitions));
    host.log.info({ definitions: path }, `definitions imported: ${path}`);
  }
}
