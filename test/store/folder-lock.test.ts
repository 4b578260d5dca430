/**
 * The lock of a data folder when several processes want it at once, and some of them end on the way: at whatever call one is
 * stopped and others go on, never do two have it.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FolderLock, type LockSystem } from "../../src/store/folder-lock.ts";

/** The process ends here. */
class Ended extends Error {}

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lock-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

/** The processes of a test, by their ids, all on one folder. */
class Processes {
  readonly #alive = new Set<number>();
  readonly #files = new Map<string, string>();
  readonly holders: number[] = [];
  readonly refused: string[] = [];

  /** The lock of a process that has ended. */
  leaveStaleLock(): void {
    this.#files.set(join(folder, "lock"), "999\n");
  }

  get files(): string[] {
    return [...this.#files.keys()];
  }

  /** How many calls a process has made until it had the lock, was refused or ended; `before` is told of each. */
  take(processId: number, before: (call: number) => void = () => undefined): number {
    this.#alive.add(processId);
    let calls = 0;
    try {
      new FolderLock(
        folder,
        this.#system(processId, () => before(++calls)),
      );
      this.holders.push(processId);
    } catch (error) {
      this.#alive.delete(processId);
      if (!(error instanceof Ended)) this.refused.push((error as Error).message);
    }
    return calls;
  }

  #system(processId: number, call: () => void): LockSystem {
    const files = this.#files;
    let ended = false;
    /** What has ended does not even clean up. */
    const step = <Result>(act: () => Result): Result => {
      if (ended) throw new Ended();
      try {
        call();
      } catch (error) {
        ended = true;
        throw error;
      }
      return act();
    };
    return {
      processId,
      owned: new Set(),
      isAlive: (id) => this.#alive.has(id),
      read: (path) => step(() => files.get(path)),
      write: (path, text) => step(() => void files.set(path, text)),
      link: (from, to) =>
        step(() => {
          if (files.has(to)) return false;
          files.set(to, files.get(from)!);
          return true;
        }),
      rename: (from, to) =>
        step(() => {
          files.set(to, files.get(from)!);
          files.delete(from);
        }),
      unlink: (path) => step(() => void files.delete(path)),
    };
  }
}

const CALLS_MAX = 30;

test("of two processes that find a lock without an owner one gets it, wherever the other was meanwhile", () => {
  for (let at = 1; at <= CALLS_MAX; at++) {
    const processes = new Processes();
    processes.leaveStaleLock();
    processes.take(1, (call) => {
      if (call === at) processes.take(2);
    });
    if (processes.holders.length === 0) processes.take(3);
    expect([at, processes.holders.length]).toEqual([at, 1]);
  }
});

test("and of three, also when the first two end on the way", () => {
  for (let first = 1; first <= CALLS_MAX; first++) {
    for (let second = 1; second <= CALLS_MAX; second++) {
      for (const third of [1, 3, 5, 7, 9]) {
        const processes = new Processes();
        processes.leaveStaleLock();
        const endAt = (end: number) => (call: number) => {
          if (call === end) throw new Ended();
        };
        processes.take(1, endAt(first));
        processes.take(2, (call) => {
          if (call === third) processes.take(3);
          endAt(second)(call);
        });
        if (processes.holders.length === 0) processes.take(4);
        expect([first, second, third, processes.holders.length]).toEqual([first, second, third, 1]);
      }
    }
  }
});

test("whoever takes a lock over leaves nothing behind but the lock", () => {
  const processes = new Processes();
  processes.leaveStaleLock();
  processes.take(1);
  expect(processes.files).toEqual([join(folder, "lock")]);
});

test("on a real folder a lock without an owner is taken over, and released", () => {
  writeFileSync(join(folder, "lock"), "999999999\n");
  const lock = new FolderLock(folder);
  expect(readFileSync(join(folder, "lock"), "utf8")).toContain(`${process.pid}\n`);
  expect(readdirSync(folder)).toEqual(["lock"]);
  expect(() => new FolderLock(folder)).toThrow(`process id ${process.pid}`);
  lock.release();
  expect(readdirSync(folder)).toEqual([]);
});
