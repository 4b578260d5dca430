/** The two ends of a client's connection: addresses, and what TLS says. */

import type { Socket } from "node:net";
import type { FieldTable } from "../amqp/field-table.ts";

export interface Peer {
  /** The client's end. */
  readonly address: string;
  readonly port: number;
  /** The broker's end. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly tls?: boolean;
  /** The user that the client's valid certificate names. */
  readonly certificateUser?: string | undefined;
}

/** IPv4 addresses as such, also on a socket for both families. */
export function peerOf(socket: Socket): Peer {
  return {
    address: plain(socket.remoteAddress),
    port: socket.remotePort ?? 0,
    localAddress: plain(socket.localAddress),
    localPort: socket.localPort ?? 0,
  };
}

function plain(address: string | undefined): string {
  return address?.replace(/^::ffff:(?=\d+\.)/, "") ?? "unknown";
}

/** `127.0.0.1:50123 -> 127.0.0.1:5672` [RabbitMQ: the name of a connection] */
export function connectionName({ address, port, localAddress, localPort }: Peer): string {
  return `${endpoint(address, port)} -> ${endpoint(localAddress, localPort)}`;
}

/** What the client calls itself. */
export function providedName(clientProperties: FieldTable): string | undefined {
  const given = clientProperties.get("connection_name");
  return given?.type === "S" ? given.value.toString() : undefined;
}

export function endpoint(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
