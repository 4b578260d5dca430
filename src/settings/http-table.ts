/** The rows of the table of settings that are about the ports for HTTP: the management API and the metrics. */

import { address, boolean, optional, type Ports, path, ports, text } from "./kinds.ts";
import { type Setting, setting } from "./setting.ts";

/** Off for a broker that is embedded, and where RabbitMQ has it for the command. */
export function managementPort(otherwise: Ports): Setting<Ports> {
  return setting({
    kind: ports,
    default: otherwise,
    help: "where the management HTTP API is, or off",
    flag: "management-port",
    keys: ["management.listener.port", "management.tcp.port"],
  });
}

export function prometheusPort(otherwise: Ports): Setting<Ports> {
  return setting({
    kind: ports,
    default: otherwise,
    help: "where Prometheus finds the metrics, or off",
    flag: "prometheus-port",
    keys: ["prometheus.tcp.port"],
  });
}

export const httpSettings = {
  /** For the management HTTP API. */
  managementPort: managementPort("off"),
  /** Where it is when its port is given without an address; the setting `host` when absent. */
  managementHost: setting({
    kind: optional(address),
    default: undefined,
    help: "address of the management HTTP API, where it is to be another one",
    keys: ["management.listener.ip", "management.tcp.ip"],
  }),
  /** For the management HTTP API with TLS. */
  managementTlsPort: setting({
    kind: ports,
    default: "off",
    help: "where the management HTTP API is with TLS, usually 15671",
    flag: "management-tls-port",
    keys: ["management.ssl.port"],
  }),
  managementTlsCertFile: setting({
    kind: optional(path),
    default: undefined,
    help: "the certificate of the management API (PEM), where it is not that of --tls-cert",
    keys: ["management.ssl.certfile"],
  }),
  managementTlsKeyFile: setting({
    kind: optional(path),
    default: undefined,
    help: "the private key of that certificate (PEM)",
    keys: ["management.ssl.keyfile"],
  }),
  managementTlsKeyPassword: setting({
    kind: optional(text),
    default: undefined,
    help: "the password of that key",
    keys: ["management.ssl.password"],
    secret: true,
  }),
  /** For Prometheus, which needs no log-in. */
  prometheusPort: prometheusPort("off"),
  /** Where it is when its port is given without an address; the setting `host` when absent. */
  prometheusHost: setting({
    kind: optional(address),
    default: undefined,
    help: "address of the metrics, where it is to be another one",
    keys: ["prometheus.tcp.ip"],
  }),
  /** Whether /metrics gives a value for each object, as /metrics/per-object does. */
  prometheusPerObject: setting({
    kind: boolean,
    default: false,
    help: "whether /metrics has a value for each queue, connection and channel",
    keys: ["prometheus.return_per_object_metrics"],
  }),
};
