/**
 * The ports that speak HTTP: the management API and the metrics.
 *
 * What answers is loaded with the first request, and takes a tenth of a second once: a broker starts as fast, and is as
 * small, as without these ports. Slow and endless requests are cut off here.
 */

import { once } from "node:events";
import { createServer, type RequestListener, type Server, type ServerOptions } from "node:http";
import type { AddressInfo } from "node:net";
import type { TlsOptions } from "node:tls";
import type { Log } from "./log.ts";
import type { Handle } from "./management/application.ts";
import { type Address, addressesOf, type Ports } from "./settings/kinds.ts";

/** What a client may take of time and room. */
export interface HttpLimits {
  /** All of a request's headers must have come within this time, and all of the request within the next. */
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** How often requests that take too long are looked for. */
  readonly checkingIntervalMs: number;
  readonly headerBytesMax: number;
  /** Clients at a time. */
  readonly connectionsMax: number;
}

const httpLimits: HttpLimits = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  checkingIntervalMs: 5000,
  headerBytesMax: 32 * 1024,
  connectionsMax: 1000,
};

export interface HttpListener {
  /** As RabbitMQ calls it in its list of listeners. */
  readonly protocol: string;
  readonly host: string;
  readonly port: number;
  /** Takes no more clients, and drops those that there are. */
  close(): Promise<unknown>;
}

export interface HttpPort {
  readonly protocol: string;
  /** For the log: `Management plugin: HTTP (non-TLS)`. */
  readonly title: string;
  readonly ports: Ports;
  /** Where to listen when a port is given without an address. */
  readonly host: string;
  /** Of a port with TLS. */
  readonly tls?: TlsOptions;
  /** Called once, with the first request. */
  load(): Promise<Handle>;
}

/** What HTTPS takes is loaded with the first port that speaks it. */
async function createHttpServer(
  tls: TlsOptions | undefined,
  options: ServerOptions,
  answer: RequestListener,
): Promise<Server> {
  if (tls === undefined) return createServer(options, answer);
  const https = await import("node:https");
  return https.createServer({ ...tls, ...options }, answer);
}

async function lazyServer(
  { load, protocol, tls }: HttpPort,
  log: Log,
  limits: HttpLimits,
): Promise<Server> {
  let loaded: Promise<Handle> | undefined;
  const server = await createHttpServer(
    tls,
    {
      connectionsCheckingInterval: limits.checkingIntervalMs,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      maxHeaderSize: limits.headerBytesMax,
    },
    (request, response) => {
      loaded ??= load();
      loaded.then(
        (handle) => handle(request, response),
        (error: unknown) => {
          log.error({ protocol, error }, "what answers HTTP requests could not be loaded");
          response.writeHead(500).end();
        },
      );
    },
  );
  server.maxConnections = limits.connectionsMax;
  return server;
}

async function listen(
  port: HttpPort,
  address: Address,
  log: Log,
  limits: HttpLimits,
): Promise<HttpListener> {
  const server = await lazyServer(port, log, limits);
  server.listen(address.port, address.host);
  await once(server, "listening");
  server.on("error", (error) =>
    log.error({ error: error.message }, "an HTTP connection could not be accepted"),
  );
  const bound = server.address() as AddressInfo;
  log.info(
    { host: bound.address, port: bound.port },
    `${port.title} listener started on port ${bound.port}`,
  );
  return {
    protocol: port.protocol,
    host: bound.address,
    port: bound.port,
    close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      return closed;
    },
  };
}

/** Resolves when all ports are open. Rejects with the system's error, and opens none, when one cannot be. */
export async function openHttpListeners(
  wanted: readonly HttpPort[],
  log: Log,
  limits: HttpLimits = httpLimits,
): Promise<readonly HttpListener[]> {
  const listeners: HttpListener[] = [];
  try {
    for (const port of wanted) {
      for (const address of addressesOf(port.ports))
        listeners.push(await listen(port, { host: port.host, ...address }, log, limits));
    }
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close()));
    throw error;
  }
  return listeners;
}
