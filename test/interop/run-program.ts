/**
 * Runs a program to its end and keeps what it said. It knows nothing of brokers.
 *
 * It guarantees that the program is gone when the promise settles: one that outlives the deadline is killed.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";

export interface Outcome {
  /** The exit code; null when a signal ended the program, as the one at the deadline does. */
  code: number | null;
  /** Standard output, without empty lines. */
  lines: string[];
  /** Standard output, as it is. */
  output: string;
  /** Everything it wrote, standard error included, in the order it came: for the message of a failure. */
  transcript: string;
}

export interface RunOptions {
  cwd?: string;
  /** Added to the environment of this process; undefined takes a variable out. */
  env?: Record<string, string | undefined>;
  deadlineMs?: number;
}

/** Never rejects because of what the program does; only when there is no such program. */
export async function runProgram(
  command: string,
  args: readonly string[],
  { cwd, env, deadlineMs = 10_000 }: RunOptions = {},
): Promise<Outcome> {
  const child = spawn(command, args, {
    ...(cwd !== undefined && { cwd }),
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: deadlineMs,
    killSignal: "SIGKILL",
  });
  let output = "";
  let transcript = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    transcript += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    transcript += text;
  });
  const [code] = (await once(child, "close")) as [number | null];
  const lines = output.split("\n").filter((line) => line !== "");
  return { code, lines, output, transcript };
}
