/**
 * One broker for a data folder: the file `lock` holds the id of the process that owns it.
 *
 * A lock whose process is gone is taken over. In a container a new process may have the id of the one that crashed, so the
 * own id in the file counts as gone too.
 */

import { linkSync, readFileSync, realpathSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

function isAlive(processId: number): boolean {
  if (processId === process.pid) return false;
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    // Somebody else's process lives, though it may not be signalled.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Folders that brokers of this process own: they have its id in common. */
const ownedHere = new Set<string>();

export class FolderLock {
  readonly #path: string;
  readonly #folder: string;

  /** Takes the lock, or throws an error that names the process that has it. */
  constructor(givenFolder: string) {
    // One folder may go by several names.
    const folder = realpathSync(givenFolder);
    this.#folder = folder;
    this.#path = join(folder, "lock");
    if (ownedHere.has(folder)) throw locked(folder, process.pid);
    for (;;) {
      try {
        this.#take();
        ownedHere.add(folder);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const owner = Number.parseInt(readFileSync(this.#path, "utf8"), 10);
      if (owner > 0 && isAlive(owner)) throw locked(folder, owner);
      unlinkSync(this.#path);
    }
  }

  /** The file appears with the id in it, so that nobody takes it for a lock without an owner. */
  #take(): void {
    const own = `${this.#path}.${process.pid}`;
    writeFileSync(own, `${process.pid}\n`, { mode: 0o600 });
    try {
      linkSync(own, this.#path);
    } finally {
      unlinkSync(own);
    }
  }

  release(): void {
    ownedHere.delete(this.#folder);
    unlinkSync(this.#path);
  }
}

function locked(folder: string, owner: number): Error {
  return new Error(
    `the data folder ${folder} is in use by the broker with process id ${owner}: stop that one, or choose another folder`,
  );
}
