/**
 * One broker for a data folder: the file `lock` says which process owns it.
 *
 *     the id of the process, a line feed, and a number that no other lock has, a line feed
 *
 * A lock whose process is gone is taken over. Several may try that at once, so whoever wants to replace a lock first makes
 * the file `lock.after-` and what that lock says, which only one can; then looks whether it is still that lock; then puts its
 * own in its place; and only then removes that file again. When it ends on the way, its file stays and is taken for a lock in
 * its turn. In a container a new process may have the id of the one that crashed, so the own id in a file counts as gone, too.
 */

import { randomBytes } from "node:crypto";
import {
  linkSync,
  readFileSync,
  realpathSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

/** What a lock needs of the system; a test has one that stops between two calls. */
export interface LockSystem {
  readonly processId: number;
  /** Folders that brokers of this process own: they have its id in common. */
  readonly owned: Set<string>;
  isAlive(processId: number): boolean;
  /** What a file says; undefined when there is none. */
  read(path: string): string | undefined;
  write(path: string, text: string): void;
  /** Gives a file another name; false when something has it. */
  link(from: string, to: string): boolean;
  /** Gives a file the name of another one, which is gone then. */
  rename(from: string, to: string): void;
  /** There need not be such a file. */
  unlink(path: string): void;
}

/** What `act` returns; `otherwise` when it fails with that code. */
function unless<Result>(code: string, otherwise: Result, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== code) throw error;
    return otherwise;
  }
}

const realSystem: LockSystem = {
  processId: process.pid,
  owned: new Set(),
  isAlive: (processId) => {
    try {
      process.kill(processId, 0);
      return true;
    } catch (error) {
      // Somebody else's process lives, though it may not be signalled.
      return (error as NodeJS.ErrnoException).code === "EPERM";
    }
  },
  read: (path) => unless("ENOENT", undefined, () => readFileSync(path, "utf8")),
  write: (path, text) => writeFileSync(path, text, { mode: 0o600 }),
  link: (from, to) =>
    unless("EEXIST", false, () => {
      linkSync(from, to);
      return true;
    }),
  rename: renameSync,
  unlink: (path) => unless("ENOENT", undefined, () => unlinkSync(path)),
};

export class FolderLock {
  readonly #system: LockSystem;
  readonly #path: string;
  readonly #folder: string;
  /** What this one's lock says. */
  readonly #text: string;
  /** The file that says so before it is the lock. */
  readonly #own: string;

  /** Takes the lock, or throws an error that names the process that has it. */
  constructor(givenFolder: string, system: LockSystem = realSystem) {
    this.#system = system;
    // One folder may go by several names.
    const folder = realpathSync(givenFolder);
    this.#folder = folder;
    this.#path = join(folder, "lock");
    const nonce = randomBytes(8).toString("hex");
    this.#text = `${system.processId}\n${nonce}\n`;
    this.#own = `${this.#path}.${system.processId}-${nonce}`;
    if (system.owned.has(folder)) throw this.#locked(system.processId);
    // A lock appears with all that it says, so that nobody takes it for one without an owner.
    system.write(this.#own, this.#text);
    try {
      while (!system.link(this.#own, this.#path) && !this.#takeOver());
    } finally {
      system.unlink(this.#own);
    }
    system.owned.add(folder);
  }

  /** Whether a lock without an owner was replaced; false when there is something else now. */
  #takeOver(): boolean {
    const system = this.#system;
    const found = system.read(this.#path);
    if (found === undefined) return false;
    const claims = this.#claim(found);
    if (claims === undefined) return false;
    // From here on nobody else is; but somebody may have been here before.
    const isSame = system.read(this.#path) === found;
    if (isSame) system.rename(this.#own, this.#path);
    for (const claim of isSame ? claims : claims.slice(-1)) system.unlink(claim);
    return isSame;
  }

  /**
   * Makes this process the only one that may replace a lock: returns the files that say so, the own one last, behind those
   * of processes that have ended before they were done. Undefined when somebody was done meanwhile.
   */
  #claim(found: string): string[] | undefined {
    const system = this.#system;
    const claims: string[] = [];
    for (let text: string | undefined = found; text !== undefined; ) {
      const owner = Number.parseInt(text, 10);
      if (owner > 0 && owner !== system.processId && system.isAlive(owner))
        throw this.#locked(owner);
      const claim: string = `${this.#path}.after-${text.replaceAll(/\W+/g, "-")}`;
      claims.push(claim);
      if (system.link(this.#own, claim)) return claims;
      text = system.read(claim);
    }
    return undefined;
  }

  #locked(owner: number): Error {
    return new Error(
      `the data folder ${this.#folder} is in use by the broker with process id ${owner}: stop that one, or choose another folder`,
    );
  }

  release(): void {
    this.#system.owned.delete(this.#folder);
    if (this.#system.read(this.#path) === this.#text) this.#system.unlink(this.#path);
  }
}
