/** The process around a tool: `node main.js TOOL ARGUMENTS...`. The scripts in docker/bin call it by their own names. */

import { setTimeout as sleep } from "node:timers/promises";
import { type Tool, tools } from "./command.ts";

const PAUSE_MS = 250;

async function input(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

// Whoever has read enough, such as `head`, closes the pipe: that is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

const terminal = {
  environment: process.env,
  out: (text: string) => void process.stdout.write(text),
  error: (text: string) => void process.stderr.write(text),
  input,
  nowMs: () => performance.now(),
  pause: () => sleep(PAUSE_MS),
};

const [name = "", ...argv] = process.argv.slice(2);
if (tools.includes(name as Tool)) {
  const { runTool } = await import("./tool.ts");
  process.exitCode = await runTool(name as Tool, argv, terminal);
} else if (name === "rabbitmqadmin") {
  const { runAdmin } = await import("./admin/rabbitmqadmin.ts");
  process.exitCode = await runAdmin(argv, terminal);
} else {
  terminal.error(`there is no tool '${name}': ${[...tools, "rabbitmqadmin"].join(", ")}\n`);
  process.exitCode = 64;
}
