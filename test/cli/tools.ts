/**
 * The command-line tools under test, in this process and against an embedded broker. Where RABBITMQ_TOOLS names the folder
 * of RabbitMQ's own, these are run in their place, against the node that the environment names: the tests' expectations
 * come from there. BROKER_URL and MANAGEMENT_URL name the same node then.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { onTestFinished, vi } from "vitest";
import type { Tool } from "../../src/cli/command.ts";
import { runTool } from "../../src/cli/tool.ts";
import { runProgram } from "../interop/run-program.ts";
import { api, target } from "../management/api.ts";

const { RABBITMQ_TOOLS: folder = "" } = process.env;
/** Whether the tools are RabbitMQ's. */
export const areForeign = folder !== "";

// A virtual machine of Erlang's starts for each.
if (areForeign) vi.setConfig({ testTimeout: 120_000 });

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

export interface RunOptions {
  readonly environment?: NodeJS.ProcessEnv;
  readonly input?: string;
}

/** The node's name is NODE, and nothing is bold. */
function plain(text: string): string {
  return (
    text
      .replaceAll(/rabbit@localhost|shared@localhost/g, "NODE")
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a terminal is told
      .replaceAll(/\u001b\[\d*m/g, "")
  );
}

async function runForeign(tool: Tool, args: readonly string[]): Promise<Ran> {
  const { code, transcript, output } = await runProgram(join(folder, tool), args, {
    deadlineMs: 60_000,
  });
  return { code, out: plain(output), error: plain(transcript.replace(output, "")) };
}

/** Runs a tool to its end. Nothing is waited for in between. */
export async function run(
  tool: Tool,
  args: readonly string[],
  { environment = {}, input = "" }: RunOptions = {},
): Promise<Ran> {
  if (areForeign) return await runForeign(tool, args);
  let out = "";
  let error = "";
  let nowMs = 0;
  const code = await runTool(tool, args, {
    environment: { LEVERET_MANAGEMENT_URL: (await target()).http, ...environment },
    out: (text) => {
      out += text;
    },
    error: (text) => {
      error += text;
    },
    input: async () => input,
    nowMs: () => nowMs,
    pause: async () => {
      nowMs += 250;
      await new Promise(setImmediate);
    },
  });
  return { code, out: plain(out), error: plain(error) };
}

export const rabbitmqctl = (...args: readonly string[]): Promise<Ran> => run("rabbitmqctl", args);
export const rabbitmqDiagnostics = (...args: readonly string[]): Promise<Ran> =>
  run("rabbitmq-diagnostics", args);
export const rabbitmqQueues = (...args: readonly string[]): Promise<Ran> =>
  run("rabbitmq-queues", args);
export const rabbitmqUpgrade = (...args: readonly string[]): Promise<Ran> =>
  run("rabbitmq-upgrade", args);
export const rabbitmqPlugins = (...args: readonly string[]): Promise<Ran> =>
  run("rabbitmq-plugins", args);

function text(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

/** It went well and printed these lines. */
export function printed(...lines: readonly string[]): Ran {
  return { code: 0, out: text(lines), error: "" };
}

/** It said this and failed with that. */
export function refused(code: number, says: readonly string[], ...error: readonly string[]): Ran {
  return { code, out: text(says), error: text(error) };
}

export function newName(stem: string): string {
  return `${stem}-${randomBytes(6).toString("hex")}`;
}

/** A name for a user who is gone after the test, whoever makes it. */
export function userName(): string {
  const name = newName("user");
  onTestFinished(async () => void (await (await api()).delete(`users/${name}`)));
  return name;
}

/** A name for a virtual host that is gone after the test, whoever makes it. */
export function virtualHostName(): string {
  const name = newName("vhost");
  onTestFinished(async () => void (await (await api()).delete(`vhosts/${name}`)));
  return name;
}
