/**
 * A broker in a process of its own, as people run it, that can be killed at any moment.
 *
 * It is the compiled program: dist/src/main.js, or the one that BROKER_MAIN names. No process outlives the test that
 * started it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

const { BROKER_MAIN } = process.env;
export const brokerMain =
  BROKER_MAIN ?? fileURLToPath(new URL("../../dist/src/main.js", import.meta.url));
export const isBuilt = existsSync(brokerMain);

const START_DEADLINE_MS = 10_000;

export class BrokerProcess {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #output: string;

  private constructor(child: ChildProcess, exited: Promise<unknown>, url: string, output: string) {
    this.#child = child;
    this.#exited = exited;
    this.url = url;
    this.#output = output;
    child.stdout?.on("data", (text) => {
      this.#output += text;
    });
    child.stderr?.on("data", (text) => {
      this.#output += text;
    });
  }

  /** Resolves when it accepts connections. */
  static async start(folder: string): Promise<BrokerProcess> {
    const args = [brokerMain, "--port", "0", "--data-dir", folder, "--log-level", "warn"];
    // Others on this machine may have the ports of the management API and the metrics.
    const env = { ...process.env, LEVERET_MANAGEMENT_PORT: "off", LEVERET_PROMETHEUS_PORT: "off" };
    const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    const exited = once(child, "exit");
    onTestFinished(async () => {
      child.kill("SIGKILL");
      await exited;
    });
    let output = "";
    const url = await new Promise<string>((resolve, reject) => {
      // Once it has started this does nothing any more.
      const fail = (): void => reject(new Error(`the broker does not start:\n${output}`));
      const timer = setTimeout(fail, START_DEADLINE_MS);
      child.once("exit", fail);
      child.stderr.on("data", (text) => {
        output += text;
      });
      child.stdout.on("data", (text) => {
        output += text;
        const found = /accepts connections at ([^\s"]+)[\s"]/.exec(output)?.[1];
        if (found === undefined) return;
        clearTimeout(timer);
        resolve(found);
      });
    });
    child.stdout.removeAllListeners("data");
    child.stderr.removeAllListeners("data");
    return new BrokerProcess(child, exited, url, output);
  }

  /** All that it has printed. */
  get output(): string {
    return this.#output;
  }

  /** The lines of its log that tell of errors. */
  get errors(): string[] {
    return this.#output.split("\n").filter((line) => line.includes('"level":50'));
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Ends it without a chance to do anything more. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }
}
