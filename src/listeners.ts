/**
 * The ports on which clients come in, with and without TLS.
 *
 * It hands every client over as a stream with the name of its two ends, and knows nothing of AMQP.
 */

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Settings } from "./config.ts";
import type { Log } from "./log.ts";
import { connectionName, endpoint, type Peer, peerOf } from "./server/peer.ts";
import { type Address, addressesOf } from "./settings/kinds.ts";

export interface Listener {
  readonly tls: boolean;
  readonly host: string;
  /** Chosen by the system when 0 was asked for. */
  readonly port: number;
  /** Takes no more clients; resolves when the last one is gone. */
  close(): Promise<unknown>;
  /** After `close`: takes clients again, at the same port. */
  open(): Promise<unknown>;
  /** Drops every client without a word. */
  dropAll(): void;
}

export type Accept = (socket: Socket, peer: Peer) => void;

/** Says of handshakes how they failed, each once. A socket does not know any more whose it was when it is closed. */
class Handshakes {
  readonly #log: Log;
  /** The names of those that have not come to an end. */
  readonly #names = new Set<string>();

  constructor(log: Log) {
    this.#log = log;
  }

  begin(socket: Socket): void {
    const name = connectionName(peerOf(socket));
    this.#names.add(name);
    socket.on("close", () => {
      // One that said nothing is a load balancer that looks whether somebody is there.
      if (socket.bytesRead === 0) this.#names.delete(name);
      else this.fail(name, "the client went away, often because it does not trust the certificate");
    });
  }

  succeed(name: string): void {
    this.#names.delete(name);
  }

  fail(name: string, why: string): void {
    if (!this.#names.delete(name)) return;
    this.#log.warn({ connection: name }, `TLS handshake failed (${name}): ${why}`);
  }
}

async function tlsServer(settings: Settings, log: Log, accept: Accept): Promise<Server> {
  const { createTlsServer, certificateUser, handshakeFailure, refusal } = await import("./tls.ts");
  const server = createTlsServer(settings);
  const handshakes = new Handshakes(log);
  server.on("connection", (socket: Socket) => handshakes.begin(socket));
  server.on("tlsClientError", (error, socket) => {
    handshakes.fail(connectionName(peerOf(socket)), handshakeFailure(error));
    // One that only takes too long is still there.
    socket.destroy();
  });
  server.on("secureConnection", (socket: TLSSocket) => {
    const peer = peerOf(socket);
    const name = connectionName(peer);
    handshakes.succeed(name);
    const why = refusal(socket, settings);
    if (why === undefined) {
      accept(socket, { ...peer, tls: true, certificateUser: certificateUser(socket, settings) });
      return;
    }
    log.warn({ connection: name }, `TLS connection ${name} refused: ${why}`);
    socket.on("error", () => undefined);
    socket.destroy();
  });
  return server;
}

async function listen(server: Server, address: Address, tls: boolean): Promise<Listener> {
  // Those in the midst of a TLS handshake too.
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(address.port, address.host);
  await once(server, "listening");
  const { port, address: host } = server.address() as AddressInfo;
  return {
    tls,
    host,
    port,
    close() {
      const closed = once(server, "close");
      server.close();
      return closed;
    },
    open() {
      server.listen(port, host);
      return once(server, "listening");
    },
    dropAll() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/**
 * Resolves when all ports are open. Rejects, and opens none, when one cannot be: with the system's error, for example
 * `EADDRINUSE`, or with what is wrong with the settings.
 */
export async function openListeners(
  settings: Settings,
  log: Log,
  accept: Accept,
): Promise<readonly Listener[]> {
  const wanted = [
    ...addressesOf(settings.port).map((address) => ({ address, tls: false })),
    ...addressesOf(settings.tlsPort).map((address) => ({ address, tls: true })),
  ];
  if (wanted.length === 0) throw new Error("there is no port to listen on: all are off");
  const listeners: Listener[] = [];
  try {
    for (const { address, tls } of wanted) {
      const server = tls
        ? await tlsServer(settings, log, accept)
        : createServer((socket) => accept(socket, peerOf(socket)));
      server.on("connection", (socket: Socket) => socket.setNoDelay(true));
      const listener = await listen(server, { host: settings.host, ...address }, tls);
      listeners.push(listener);
      // A connection that cannot be accepted, for want of file descriptors say, must not end the broker.
      server.on("error", (error) =>
        log.error({ error: error.message }, "a connection could not be accepted"),
      );
    }
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close()));
    throw error;
  }
  for (const { tls, host, port } of listeners) {
    const kind = tls ? "TLS (SSL)" : "TCP";
    log.info({ host, port }, `started ${kind} listener on ${endpoint(host, port)}`);
  }
  return listeners;
}
