/** Health checks: 200 when all is well, 503 and a reason when it is not. Load balancers and orchestrators ask. */

import { NODE_NAME } from "../broker/host.ts";
import { badRequest } from "./http-error.ts";
import { type Call, ok, type Reply, type Route } from "./route.ts";

const DAY_MS = 86_400_000;
const unitDays: Readonly<Record<string, number>> = { days: 1, weeks: 7, months: 30, years: 365 };
/** Other names of a protocol. */
const synonyms: Readonly<Record<string, string>> = {
  amqp091: "amqp",
  "amqp0.9.1": "amqp",
  "amqp0-9-1": "amqp",
  amqps: "amqp/ssl",
  management: "http",
  prometheus: "http/prometheus",
};

const healthy = ok({ status: "ok" });

function failed(reason: string, more: object): Reply {
  return { status: 503, body: { status: "failed", reason, ...more } };
}

function alarms(where: string): (call: Call) => Reply {
  return ({ host }) => {
    const low = (["memory", "disk"] as const).filter((resource) => host.alarm.isLow(resource));
    if (low.length === 0) return healthy;
    const list = low.map((resource) => ({ node: NODE_NAME, resource }));
    return failed(`There are alarms in effect ${where}`, { alarms: list });
  };
}

function portListener(call: Call): Reply {
  const text = call.parameter("port");
  if (!/^\d{1,5}$/.test(text)) throw badRequest("Invalid port");
  const port = Number(text);
  const ports = call.context.ports().map((each) => each.port);
  if (ports.includes(port)) return ok({ status: "ok", port });
  return failed("No active listener", { missing: port, ports });
}

function protocolListener(call: Call): Reply {
  const asked = call.parameter("protocol").toLowerCase();
  const protocol = Object.hasOwn(synonyms, asked) ? synonyms[asked] : asked;
  const protocols = [...new Set(call.context.ports().map((each) => each.protocol))];
  if (protocol !== undefined && protocols.includes(protocol)) return ok({ status: "ok", protocol });
  return failed("No active listener", { missing: asked, protocols });
}

function certificateExpiration(call: Call): Reply {
  const { context, host } = call;
  const within = call.parameter("within");
  const unit = call.parameter("unit");
  if (!Object.hasOwn(unitDays, unit)) {
    throw badRequest("Time unit not recognised. Supported units: days, weeks, months, years.");
  }
  if (!/^\d{1,6}$/.test(within)) throw badRequest("Invalid expiration value.");
  const untilMs = host.clock.now() + Number(within) * unitDays[unit]! * DAY_MS;
  const expired = context.certificates().filter(({ notAfterMs }) => notAfterMs <= untilMs);
  if (expired.length === 0) return healthy;
  const list = expired.map(({ file, notAfterMs }) => ({
    node: NODE_NAME,
    certfile: file,
    certfile_expires_on: [new Date(notAfterMs).toISOString()],
  }));
  return failed("Certificates expiring", { expired: list });
}

/** What cannot fail on a single node. */
const alwaysHealthy = [
  ["virtual-hosts", "Whether all virtual hosts run", {}],
  [
    "node-is-quorum-critical",
    "Whether queues would lose their quorum",
    { reason: "single node cluster" },
  ],
  [
    "node-is-mirror-sync-critical",
    "Whether mirrors would be lost",
    { reason: "single node cluster" },
  ],
  ["reached-target-cluster-size", "Whether the cluster is complete", {}],
  ["metadata-store/initialized", "Whether the store of metadata is there", {}],
  ["metadata-store/initialized/with-data", "Whether the store of metadata has data", {}],
  [
    "quorum-queues-without-elected-leaders/all-vhosts",
    "Whether all quorum queues have leaders",
    {},
  ],
] as const;

function takesClients({ context }: Call): Reply {
  if (context.control.takesClients) return healthy;
  return failed("the rabbit node is not ready to serve clients", {});
}

function connectionLimit({ host }: Call): Reply {
  const { maxConnections } = host.settings;
  const connections = host.connections.count;
  if (connections < maxConnections) return healthy;
  return failed("Node connection limit is reached", { connections, limit: maxConnections });
}

export const healthRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/health/checks/alarms",
    needs: "management",
    summary: "Whether a resource runs low in the cluster",
    handle: alarms("in the cluster"),
  },
  {
    method: "GET",
    path: "/api/health/checks/local-alarms",
    needs: "management",
    summary: "Whether a resource runs low on this node",
    handle: alarms("on the node"),
  },
  {
    method: "GET",
    path: "/api/health/checks/port-listener/:port",
    needs: "management",
    summary: "Whether the port is open",
    handle: portListener,
  },
  {
    method: "GET",
    path: "/api/health/checks/protocol-listener/:protocol",
    needs: "management",
    summary: "Whether a port for the protocol is open",
    handle: protocolListener,
  },
  {
    method: "GET",
    path: "/api/health/checks/certificate-expiration/:within/:unit",
    needs: "management",
    summary: "Whether all certificates are valid for some time yet",
    handle: certificateExpiration,
  },
  {
    method: "GET",
    path: "/api/health/checks/below-node-connection-limit",
    needs: "management",
    summary: "Whether one more connection would be taken",
    handle: connectionLimit,
  },
  {
    method: "GET",
    path: "/api/health/checks/is-in-service",
    needs: "management",
    summary: "Whether the node takes clients",
    handle: takesClients,
  },
  {
    method: "GET",
    path: "/api/health/checks/ready-to-serve-clients",
    needs: "management",
    summary: "Whether the node has started and takes clients",
    handle: takesClients,
  },
  ...alwaysHealthy.map(
    ([name, summary, more]): Route => ({
      method: "GET",
      path: `/api/health/checks/${name}`,
      needs: "management",
      summary,
      handle: () => ok({ status: "ok", ...more }),
    }),
  ),
  {
    method: "GET",
    path: "/api/healthchecks/node",
    needs: "management",
    summary: "Whether the node is well; an older form",
    handle: () => healthy,
  },
  {
    method: "GET",
    path: "/api/healthchecks/node/:node",
    needs: "management",
    summary: "Whether the node is well; an older form",
    handle: () => healthy,
  },
];
