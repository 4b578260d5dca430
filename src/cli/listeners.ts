/** The ports of the broker, as the tools show them, and the protocols that they go by. */

import type { Call } from "./command.ts";
import type { Row } from "./management.ts";

export interface Listener {
  readonly interface: string;
  readonly port: number;
  readonly protocol: string;
  readonly purpose: string;
}

const purposes: Readonly<Record<string, string>> = {
  amqp: "AMQP 0-9-1",
  "amqp/ssl": "AMQP 0-9-1 over TLS",
  http: "HTTP API",
  https: "HTTP API over TLS (HTTPS)",
  "http/prometheus": "Prometheus exporter API over HTTP",
};

/** Other names of a protocol, and its own. */
const protocols: Readonly<Record<string, string>> = {
  amqp091: "amqp",
  "amqp0.9.1": "amqp",
  "amqp0-9-1": "amqp",
  amqps: "amqp/ssl",
  management: "http",
  prometheus: "http/prometheus",
};

export function protocolOf(name: string): string {
  const lower = name.toLowerCase();
  return Object.hasOwn(protocols, lower) ? protocols[lower]! : lower;
}

function described(address: string, port: number, protocol: string): Listener {
  const purpose = purposes[protocol] ?? protocol;
  return { interface: address.includes(":") ? `[${address}]` : address, port, protocol, purpose };
}

/** Where the management API is off, those for AMQP. */
export async function listeners({ management, noted }: Call): Promise<readonly Listener[]> {
  if (noted !== undefined && noted.management === undefined) {
    return noted.listeners.map(({ tls, host, port }) =>
      described(host, port, tls ? "amqp/ssl" : "amqp"),
    );
  }
  const { listeners: all } = await management.get<{ listeners: readonly Row[] }>("/api/overview");
  return all.map(({ ip_address: address, port, protocol }) =>
    described(String(address), Number(port), String(protocol)),
  );
}

export function listenerLine({ interface: on, port, protocol, purpose }: Listener): string {
  return `Interface: ${on}, port: ${port}, protocol: ${protocol}, purpose: ${purpose}`;
}

/** An address to connect to: that of this machine where it listens on all. */
export function connectableAddress(on: string): string {
  const address = on.replace(/^\[|\]$/g, "");
  if (address === "::") return "localhost";
  return address === "0.0.0.0" ? "127.0.0.1" : address;
}
