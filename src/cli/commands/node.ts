/** Waiting for the node, and what of RabbitMQ's housekeeping has nothing to do here. */

import { existsSync, readFileSync } from "node:fs";
import { managementOf, operatorFileOf } from "../broker-address.ts";
import type { Output } from "../command.ts";
import { both, type Call, type Command, control, diagnostics, everywhere } from "../command.ts";
import { badArgument, Failure, failed, UsageFailure } from "../failure.ts";
import { isThere } from "./health.ts";

const STARTUP_TIMEOUT_MS = 300_000;
const WAIT_TIMEOUT_MS = 10_000;

function timedOut({ node }: Call, operation: string, timeoutMs: number): Failure {
  const text = `Error: operation ${operation} on node ${node} timed out. Timeout value used: ${timeoutMs}`;
  return new Failure("temporaryFailure", text);
}

/** Asks until the answer is yes. Rejects with a `Failure` when that takes too long. */
async function until(call: Call, timeout: number, ask: () => Promise<boolean> | boolean) {
  const endMs = call.nowMs() + timeout;
  while (!(await ask())) {
    if (call.nowMs() >= endMs) throw timedOut(call, "wait", timeout);
    await call.pause();
  }
}

/** A broker that starts says where it is when it is there: that is looked up anew each time. */
function anew(call: Call): Call {
  const { environment } = call;
  return { ...call, management: managementOf(environment), noted: operatorFileOf(environment) };
}

function isUp(call: Call): Promise<boolean> {
  return isThere(anew(call));
}

/** What was wrong at the end of it is what is said: that nobody is there. */
async function awaitStartup(call: Call): Promise<undefined> {
  const timeout = call.timeoutMs(STARTUP_TIMEOUT_MS);
  try {
    await until(call, timeout, () => isUp(call));
  } catch (error) {
    if (error instanceof Failure) await anew(call).management.get("/api/auth");
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function pidOf(call: Call, timeout: number): Promise<number> {
  const given = call.options["pid"];
  if (given !== undefined) return Number(given);
  const [file = ""] = call.arguments;
  if (call.options["quiet"] !== true) call.say(`Waiting for pid file '${file}' to appear`);
  await until(call, timeout, () => existsSync(file) && readFileSync(file, "utf8").trim() !== "");
  const pid = Number(readFileSync(file, "utf8").trim());
  if (!Number.isInteger(pid)) throw failed("software", `Garbage in pid file ${file}`);
  if (call.options["quiet"] !== true) call.say(`pid is ${pid}`);
  return pid;
}

async function wait(call: Call): Promise<Output> {
  const { node, options } = call;
  const timeout = call.timeoutMs(WAIT_TIMEOUT_MS);
  const say = (line: string): void => {
    if (options["quiet"] !== true && options["silent"] !== true) call.say(line);
  };
  const pid = await pidOf(call, timeout);
  say(`Waiting for erlang distribution on node '${node}' while OS process '${pid}' is running`);
  await until(call, timeout, async () => {
    if (!isAlive(pid)) throw failed("software", `process_not_running`);
    return await isUp(call);
  });
  say(`Waiting for applications 'rabbit_and_plugins' to start on node '${node}'`);
  say(`Applications 'rabbit_and_plugins' are running on node '${node}'`);
  return undefined;
}

function checkWait({ arguments: given, options }: Call): void {
  const isPid = options["pid"] !== undefined;
  if (given.length === 0 && !isPid)
    throw new UsageFailure("usage", '"No pid or pidfile specified"');
  if (given.length > 0 && isPid)
    throw new UsageFailure("usage", '"Cannot specify both pid and pidfile"');
}

async function awaitNodes(call: Call): Promise<undefined> {
  if (Number(call.arguments[0]) > 1) {
    const text = `Error: timed out while waiting. Not enough nodes joined ${call.node}'s cluster.`;
    throw failed("software", text);
  }
  await awaitStartup(call);
}

type Answer = (call: Call, match: RegExpExecArray) => string | Promise<string>;

const watermarks: Readonly<Record<string, readonly [path: string, value: number]>> = {
  memory: ["/api/control/memory-high-watermark", 0],
  disk: ["/api/control/disk-free-limit", Number.MAX_SAFE_INTEGER],
};

/** An alarm is set by a watermark that nothing can keep, and cleared by what the settings say. */
function alarm(isSet: boolean): Answer {
  return async ({ management }, [, resource = ""]) => {
    const [path, value] = watermarks[resource]!;
    await management.put(path, { value: isSet ? value : null });
    return "ok";
  };
}

/** What test suites ask for with it. It is no Erlang. */
const expressions: readonly (readonly [pattern: RegExp, answer: Answer])[] = [
  [/^node\(\)\.?$/, ({ node }) => node],
  [/^rabbit:is_running\(\)\.?$/, () => "true"],
  [/^rabbit_nodes:(?:all|list)_running\(\)\.?$/, ({ node }) => `[${node}]`],
  [
    /^rabbit_alarm:set_alarm\(\{\{resource_limit, *(memory|disk), *node\(\)\}, *\[\]\}\)\.?$/,
    alarm(true),
  ],
  [/^rabbit_alarm:clear_alarm\(\{resource_limit, *(memory|disk), *node\(\)\}\)\.?$/, alarm(false)],
];

async function evaluate(call: Call): Promise<Output> {
  const expression = call.arguments[0]!.trim();
  for (const [pattern, answer] of expressions) {
    const match = pattern.exec(expression);
    if (match === null) continue;
    await call.management.get("/api/auth");
    return { text: await answer(call, match) };
  }
  throw failed("unavailable", "this broker is not written in Erlang, and cannot evaluate it");
}

function checkNumber({ arguments: [count = ""] }: Call): void {
  if (!/^[1-9]\d*$/.test(count)) throw badArgument("Argument must be a positive integer");
}

const nodes = "Nodes";
const monitoring = "Monitoring, observability and health checks";

export const nodeCommands: readonly Command[] = [
  {
    name: "await_startup",
    ...{ group: nodes, tools: control, usage: "[--timeout <timeout>]" },
    summary: "Waits for the RabbitMQ application to start on the target node",
    run: awaitStartup,
  },
  {
    name: "wait",
    ...{ group: nodes, tools: both, takes: [0, 1], options: { pid: "integer" } },
    usage: "[<pidfile>] [--pid|-P <pid>] [--timeout <timeout>]",
    summary: "Waits for RabbitMQ node startup by monitoring a local PID file",
    check: checkWait,
    run: wait,
  },
  {
    name: "await_online_nodes",
    ...{ group: "Cluster", tools: control, takes: [1, 1], usage: "<count> [--timeout <timeout>]" },
    summary: "Waits for <count> nodes to join the cluster, of which there is one",
    check: checkNumber,
    says: ({ node, arguments: [count], timeoutMs }) =>
      `Will wait for at least ${count} nodes to join the cluster of ${node}. Timeout: ${Math.trunc(timeoutMs(STARTUP_TIMEOUT_MS) / 1000)} seconds.`,
    run: awaitNodes,
  },
  {
    name: "eval",
    ...{ group: nodes, tools: control, takes: [1, 1], usage: "<expression>" },
    summary: "Evaluates one of a few well-known Erlang expressions, such as node().",
    run: evaluate,
  },
  {
    name: "force_gc",
    ...{ group: nodes, tools: control, summary: "Does nothing: memory is collected as needed" },
    says: ({ node }) => `Will ask all processes on node ${node} to schedule a full sweep GC`,
    run: async () => undefined,
  },
  {
    name: "rotate_logs",
    ...{ group: nodes, tools: control, summary: "Does nothing [deprecated]" },
    run: () =>
      Promise.reject(
        failed("unavailable", "This command does not rotate logs anymore [deprecated]"),
      ),
  },
  {
    name: "list_unresponsive_queues",
    ...{
      group: monitoring,
      tools: both,
      takes: [0, 255],
      usage: "[--vhost <vhost>] [<column> ...]",
    },
    summary: "Tests queues to respond within timeout. Lists those which did not respond: none",
    says: ({ vhost }) => `Listing unresponsive queues for vhost ${vhost} ...`,
    run: async () => ({ columns: ["name"], rows: [] }),
  },
  {
    name: "discover_peers",
    ...{
      group: monitoring,
      tools: diagnostics,
      summary: "Performs peer discovery and lists discovered nodes, if any",
    },
    says: () => "Discovering peers nodes ...",
    run: async () => ({ text: "No peers discovered" }),
  },
];

export const helpCommand: Command = {
  name: "help",
  ...{ group: "Help", tools: everywhere, takes: [0, 1], usage: "[<command>]" },
  summary: "Displays usage information for a command",
  run: async (call) => ({ text: call.help(call.arguments[0]) }),
};
