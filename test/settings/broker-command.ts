/**
 * `leveret` as a process of its own, for tests of the command line: what it prints, how it ends, and with which code.
 *
 * It is the compiled program, dist/src/main.js. No process outlives the test that started it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

export const main = fileURLToPath(new URL("../../dist/src/main.js", import.meta.url));

/** A folder that goes with the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "leveret-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export class BrokerCommand {
  /** What it has printed to its standard output, line by line. */
  readonly lines: string[] = [];
  errorOutput = "";
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #wake: () => void = () => undefined;

  /** `program` is what is run with the arguments. */
  constructor(
    args: readonly string[],
    environment: NodeJS.ProcessEnv = {},
    [command, ...first]: readonly [string, ...string[]] = [process.execPath, main],
  ) {
    const { PATH } = process.env;
    // Others on this machine may have the ports of the management API and the metrics.
    const env = {
      PATH,
      LEVERET_MANAGEMENT_PORT: "off",
      LEVERET_PROMETHEUS_PORT: "off",
      ...environment,
    };
    const cwd = temporaryFolder();
    this.#child = spawn(command, [...first, ...args], { cwd, env });
    this.#ended = once(this.#child, "close").then(([code]) => code as number | null);
    onTestFinished(async () => {
      this.#child.kill("SIGKILL");
      await this.#ended;
    });
    void this.#ended.then(() => this.#wake());
    this.#child.stderr?.on("data", (text) => {
      this.errorOutput += text;
    });
    createInterface({ input: this.#child.stdout! }).on("line", (line) => {
      this.lines.push(line);
      this.#wake();
    });
  }

  /** Its exit code; null when a signal ended it. */
  get ended(): Promise<number | null> {
    return this.#ended;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves with the first line that has `wanted` in it, already printed or not; rejects when it ends without. */
  async line(wanted: string | RegExp): Promise<string> {
    for (;;) {
      const found = this.lines.find((line) =>
        typeof wanted === "string" ? line.includes(wanted) : wanted.test(line),
      );
      if (found !== undefined) return found;
      if (!this.running && this.#child.stdout?.readableEnded) {
        throw new Error(`no "${wanted}" in ${this.lines.join("\n")}\n${this.errorOutput}`);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Resolves with the URL when it accepts connections. */
  async url(): Promise<string> {
    const line = await this.line("accepts connections at");
    return /amqps?:\/\/[^\s"]+/.exec(line)![0];
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }
}
