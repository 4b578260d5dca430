/**
 * Stopping a broker's clients off and letting them in again while the process goes on, and beginning anew: what
 * `rabbitmqctl stop_app`, `reset` and `start_app` are for. The management API stays where it is.
 */

import { AmqpError } from "./amqp/errors.ts";
import type { Host } from "./broker/host.ts";
import type { Listener } from "./listeners.ts";
import type { NodeControl } from "./management/context.ts";
import type { Connection } from "./server/connection.ts";

/** How long clients may take to answer the close of a broker that stops. */
const CLOSE_GRACE_MS = 1000;

/** Takes no more clients, closes every connection as RabbitMQ does when it stops, and resolves when all are gone. */
export async function closeClients(
  listeners: readonly Listener[],
  connections: ReadonlySet<Connection>,
): Promise<void> {
  const closed = Promise.all(listeners.map((listener) => listener.close()));
  for (const connection of connections) {
    connection.close(
      new AmqpError("CONNECTION_FORCED", "broker forced connection closure with reason 'shutdown'"),
    );
  }
  const impatience = setTimeout(() => {
    for (const listener of listeners) listener.dropAll();
  }, CLOSE_GRACE_MS);
  await closed;
  clearTimeout(impatience);
}

export class RunningNode implements NodeControl {
  readonly #host: Host;
  readonly #listeners: readonly Listener[];
  readonly #connections: ReadonlySet<Connection>;
  /** What it starts with, apart from the default user. */
  readonly #importDefinitions: () => void;
  #isStopped = false;
  #listens = true;

  constructor(
    host: Host,
    listeners: readonly Listener[],
    connections: ReadonlySet<Connection>,
    importDefinitions: () => void,
  ) {
    this.#host = host;
    this.#listeners = listeners;
    this.#connections = connections;
    this.#importDefinitions = importDefinitions;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  get takesClients(): boolean {
    return this.#listens;
  }

  /** Those who are connected stay. */
  suspendListeners(): void {
    if (!this.#listens) return;
    this.#listens = false;
    // It is over when the last client has gone, which nobody waits for.
    for (const listener of this.#listeners) listener.close().catch(() => undefined);
    this.#host.log.info({}, "no more clients are taken until listening is resumed");
  }

  async resumeListeners(): Promise<void> {
    if (this.#listens || this.#isStopped) return;
    this.#listens = true;
    await Promise.all(this.#listeners.map((listener) => listener.open()));
    this.#host.log.info({}, "clients are taken again");
  }

  async stopClients(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#listens = false;
    await closeClients(this.#listeners, this.#connections);
    this.#host.log.info(
      {},
      "stopped: no client is connected, and none can connect until it is started",
    );
  }

  async startClients(): Promise<void> {
    this.#isStopped = false;
    await this.resumeListeners();
  }

  reset(): void {
    this.#host.reset();
    this.#importDefinitions();
    this.#host.log.warn({}, "reset: everything is gone but what exists from the start");
  }
}
