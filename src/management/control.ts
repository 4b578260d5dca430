/**
 * What an operator does to the node: stopping and starting it for its clients, resetting it, and its watermarks.
 *
 * RabbitMQ has no such routes, since its tools talk to the node in Erlang; these are for ours.
 */

import { HttpError } from "./http-error.ts";
import { given, parseInteger } from "./input.ts";
import { type Call, done, type Reply, type Route } from "./route.ts";

type Act = (call: Call) => void | Promise<void>;

function route(method: "POST" | "PUT", name: string, summary: string, act: Act): Route {
  return {
    ...{ method, needs: "administrator", summary },
    path: `/api/control/${name}`,
    async handle(call): Promise<Reply> {
      await act(call);
      return done;
    },
  };
}

/** Nobody is to lose anything while clients are still at work. */
function reset({ context }: Call): void {
  if (!context.control.isStopped) {
    const reason = "the node must be stopped first: POST /api/control/stop-app";
    throw new HttpError(412, { error: "precondition_failed", reason });
  }
  context.control.reset();
}

/** Without a value, or with null, what the settings say counts again. */
function memoryHighWatermark({ host, json }: Call): void {
  const value = given(json, "value");
  const number = typeof value === "number" && value >= 0 ? value : undefined;
  if (value !== undefined && number === undefined) parseInteger(value);
  host.setMemoryHighWatermark(number);
}

/** In place of bytes `mem_relative`, a fraction of the memory. */
function diskFreeLimit({ host, json, context }: Call): void {
  const fraction = given(json, "mem_relative");
  if (typeof fraction === "number" && fraction >= 0) {
    host.setDiskFreeLimit(Math.floor(fraction * context.processFacts().memoryTotalBytes));
    return;
  }
  const value = given(json, "value");
  host.setDiskFreeLimit(value === undefined ? undefined : parseInteger(value));
}

export const controlRoutes: readonly Route[] = [
  route("POST", "stop-app", "Closes all AMQP connections and takes no more", ({ context }) =>
    context.control.stopClients(),
  ),
  route("POST", "start-app", "Takes AMQP connections again", ({ context }) =>
    context.control.startClients(),
  ),
  route("POST", "reset", "Deletes everything but what exists from the start", reset),
  route("POST", "suspend-listeners", "Takes no more AMQP connections", ({ context }) =>
    context.control.suspendListeners(),
  ),
  route("POST", "resume-listeners", "Takes AMQP connections again", ({ context }) =>
    context.control.resumeListeners(),
  ),
  route(
    ...(["PUT", "memory-high-watermark"] as const),
    "Sets how much memory blocks publishers, until the process ends",
    memoryHighWatermark,
  ),
  route(
    ...(["PUT", "disk-free-limit"] as const),
    "Sets how little free space blocks publishers, until the process ends",
    diskFreeLimit,
  ),
];
