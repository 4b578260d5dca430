/** Stopping, starting and resetting the node, and the watermarks at which it blocks publishers. */

import { bytes } from "../../settings/kinds.ts";
import { type Call, type Command, control, type Output } from "../command.ts";
import { badArgument, failed, UsageFailure } from "../failure.ts";
import { ManagementError } from "../management.ts";

const SHUTDOWN_TIMEOUT_MS = 300_000;

function post(action: string): (call: Call) => Promise<undefined> {
  return async ({ management }) => {
    await management.post(`/api/control/${action}`, {});
    return undefined;
  };
}

async function reset(call: Call): Promise<undefined> {
  try {
    return await post("reset")(call);
  } catch (error) {
    if (!(error instanceof ManagementError) || error.status !== 412) throw error;
    const text = `this command requires the 'rabbit' app to be stopped on the target node. Stop it with 'rabbitmqctl stop_app'.`;
    throw new UsageFailure("usage", text, "Error");
  }
}

async function pidOf({ management, noted }: Call): Promise<number> {
  if (noted !== undefined) return noted.pid;
  const [node] = await management.list("/api/nodes");
  return Number(node?.["os_pid"]);
}

/** The process is one of this machine: it is told as anybody would tell it. */
async function terminate(call: Call): Promise<number> {
  const pid = await pidOf(call);
  try {
    process.kill(pid, "SIGTERM");
  } catch (error) {
    throw failed("software", `process ${pid} cannot be stopped: ${(error as Error).message}`);
  }
  return pid;
}

async function untilGone(call: Call): Promise<void> {
  const endMs = call.nowMs() + call.timeoutMs(SHUTDOWN_TIMEOUT_MS);
  for (;;) {
    try {
      await call.management.get("/api/auth");
    } catch (error) {
      if (error instanceof ManagementError && error.status === 0) return;
      throw error;
    }
    if (call.nowMs() >= endMs) throw failed("temporaryFailure", "the node does not stop");
    await call.pause();
  }
}

async function shutdown(call: Call): Promise<Output> {
  const isQuiet = call.options["quiet"] === true || call.options["silent"] === true;
  const pid = await terminate(call);
  if (!isQuiet) {
    call.say(`Shutting down RabbitMQ node ${call.node} running at PID ${pid}`);
    call.say(`Waiting for PID ${pid} to terminate`);
  }
  await untilGone(call);
  if (isQuiet) return undefined;
  return { text: `RabbitMQ node ${call.node} running at PID ${pid} successfully shut down` };
}

const amount = bytes(0, Number.MAX_SAFE_INTEGER);
const isNumber = (text: string): boolean => /^\d*\.?\d+$/.test(text);

/** A fraction, or bytes after `absolute`. Throws a `UsageFailure`. */
function memoryThreshold({ arguments: [first = "", second] }: Call): number {
  if (first === "absolute") {
    const value = second === undefined ? undefined : amount.parse(second);
    if (value === undefined) throw new UsageFailure("dataError", "Bad argument.");
    // Less than two bytes would be taken for a fraction.
    return value > 1 ? value : 0;
  }
  if (!isNumber(first) || second !== undefined)
    throw new UsageFailure("dataError", "Bad argument.");
  if (Number(first) > 1)
    throw badArgument("The threshold should be a fraction between 0.0 and 1.0");
  return Number(first);
}

/** Bytes, or a fraction of the memory after `mem_relative`. Throws a `UsageFailure`. */
function diskLimit({ arguments: [first = "", second] }: Call): number | { fraction: number } {
  if (first === "mem_relative" && second !== undefined && isNumber(second))
    return { fraction: Number(second) };
  const value = second === undefined ? amount.parse(first) : undefined;
  if (value === undefined) throw new UsageFailure("dataError", "Bad argument.");
  return value;
}

async function setDiskLimit(call: Call): Promise<undefined> {
  const limit = diskLimit(call);
  const body = typeof limit === "number" ? { value: limit } : { mem_relative: limit.fraction };
  await call.management.put("/api/control/disk-free-limit", body);
}

const group = "Nodes";
const configuration = "Configuration and Environment";

export const controlCommands: readonly Command[] = [
  {
    name: "stop_app",
    ...{ group, tools: control },
    summary: "Closes all client connections and takes no more, but leaves the process running",
    says: ({ node }) => `Stopping rabbit application on node ${node} ...`,
    run: post("stop-app"),
  },
  {
    name: "start_app",
    ...{ group, tools: control, usage: "[--timeout <timeout>]" },
    summary: "Takes client connections again after stop_app",
    says: ({ node }) => `Starting node ${node} ...`,
    run: post("start-app"),
  },
  {
    name: "reset",
    ...{ group, tools: control },
    summary: "Returns a node that is stopped to its virgin state",
    says: ({ node }) => `Resetting node ${node} ...`,
    run: reset,
  },
  {
    name: "force_reset",
    ...{ group: "Cluster", tools: control },
    summary: "Returns a node that is stopped to its virgin state, as reset does",
    says: ({ node }) => `Forcefully resetting node ${node} ...`,
    run: reset,
  },
  {
    name: "stop",
    ...{ group, tools: control, takes: [0, 1], usage: "[<pidfile>]" },
    summary: "Stops the process, in order",
    says: ({ node }) => `Stopping and halting node ${node} ...`,
    async run(call) {
      await terminate(call);
      await untilGone(call);
      return undefined;
    },
  },
  {
    name: "shutdown",
    ...{ group, tools: control, options: { wait: "flag", "no-wait": "flag" } },
    usage: "[--wait]",
    summary: "Stops the process, in order, and waits until it is gone",
    run: shutdown,
  },
  {
    name: "suspend_listeners",
    ...{ group, tools: control },
    summary: "Suspends client connection listeners so that no new client connections are accepted",
    says: ({ node }) =>
      `Will suspend client connection listeners on node ${node}. The node will no longer accept client connections`,
    run: post("suspend-listeners"),
  },
  {
    name: "resume_listeners",
    ...{ group, tools: control },
    summary: "Resumes client connection listeners making them accept client connections again",
    says: ({ node }) =>
      `Will resume client connection listeners on node ${node}. The node will now accept client connections`,
    run: post("resume-listeners"),
  },
  {
    name: "set_vm_memory_high_watermark",
    ...{ group: configuration, tools: control, takes: [1, 2] },
    usage: "<fraction> | absolute <value>",
    summary: "Sets the vm_memory_high_watermark setting until the process ends",
    check: (call) => void memoryThreshold(call),
    says: ({ node, arguments: [first, second] }) =>
      first === "absolute"
        ? `Setting memory threshold on ${node} to ${second} bytes ...`
        : `Setting memory threshold on ${node} to ${first} ...`,
    async run(call) {
      const value = memoryThreshold(call);
      await call.management.put("/api/control/memory-high-watermark", { value });
      return undefined;
    },
  },
  {
    name: "set_disk_free_limit",
    ...{ group: configuration, tools: control, takes: [1, 2] },
    usage: "<disk_limit> | mem_relative <fraction>",
    summary: "Sets the disk_free_limit setting until the process ends",
    check: (call) => void diskLimit(call),
    says: ({ node, arguments: [first, second] }) =>
      first === "mem_relative"
        ? `Setting disk free limit on ${node} to ${second} times the total RAM ...`
        : `Setting disk free limit on ${node} to ${first} bytes ...`,
    run: setDiskLimit,
  },
];
