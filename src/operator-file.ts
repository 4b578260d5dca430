/**
 * The file `operator` in a data folder: where the running broker's management API is, and the key by which whoever may read
 * the file is its operator there. It is to the command-line tools what the Erlang cookie is to RabbitMQ's: they need no
 * user, and go on working when all users are deleted.
 *
 * Only its owner can read it. It is written when the broker serves and removed when it stops; after a crash it stays,
 * and its key is nobody's.
 */

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface OperatorFile {
  readonly pid: number;
  readonly key: string;
  /** `http://127.0.0.1:15672`; absent when the API is off. */
  readonly management?: string;
  /** Where AMQP clients come in. */
  readonly listeners: readonly {
    readonly tls: boolean;
    readonly host: string;
    readonly port: number;
  }[];
}

function pathIn(folder: string): string {
  return join(folder, "operator");
}

export function writeOperatorFile(folder: string, content: OperatorFile): void {
  // One that is there might be open to others, and would stay so.
  removeOperatorFile(folder);
  writeFileSync(pathIn(folder), `${JSON.stringify(content)}\n`, { mode: 0o600, flag: "wx" });
}

export function removeOperatorFile(folder: string): void {
  rmSync(pathIn(folder), { force: true });
}

/** Undefined when there is none that could be read and understood. */
export function readOperatorFile(folder: string): OperatorFile | undefined {
  try {
    const content = JSON.parse(readFileSync(pathIn(folder), "utf8")) as OperatorFile;
    return typeof content.key === "string" && Array.isArray(content.listeners)
      ? content
      : undefined;
  } catch {
    return undefined;
  }
}
