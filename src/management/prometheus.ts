/**
 * Metrics for Prometheus: /metrics, /metrics/per-object and /metrics/detailed, in the words of RabbitMQ's plugin.
 *
 * A registry is filled at each scrape and forgotten then. Nobody has to log in, as with RabbitMQ: the port is for a network
 * of one's own.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { Counter, Gauge, Registry } from "prom-client";
import type { Queue } from "../queue/queue.ts";
import { entryBodyBytes } from "../queue/ready.ts";
import type { Handle } from "./application.ts";
import {
  globalMetrics,
  identity,
  type Metric,
  nodeMetrics,
  objectCounts,
  type Sample,
} from "./broker-metrics.ts";
import type { ManagementContext } from "./context.ts";
import {
  type ChannelSubject,
  channelMetrics,
  connectionMetrics,
  type ObjectMetric,
  type QueueSubject,
  queueMetrics,
} from "./metrics.ts";

type Context = Pick<ManagementContext, "host" | "statistics" | "processFacts">;

/** An object to be measured, and what tells it from others. */
interface Subject<Of> {
  readonly of: Of;
  readonly labels: Readonly<Record<string, string>>;
}

interface Objects {
  readonly queues: readonly Subject<QueueSubject>[];
  readonly connections: readonly Subject<
    Parameters<(typeof connectionMetrics)[number]["read"]>[0]
  >[];
  readonly channels: readonly Subject<ChannelSubject>[];
}

function unackedBytes({ host }: Context): Map<Queue, number> {
  const bytes = new Map<Queue, number>();
  const look = (queue: Queue, bits: number): void =>
    void bytes.set(queue, (bytes.get(queue) ?? 0) + entryBodyBytes(bits));
  for (const connection of host.connections.all())
    for (const channel of connection.channels()) channel.forEachUnacked(look);
  return bytes;
}

/** All there are; `vhosts` empty means all. */
function objectsOf(context: Context, vhosts: readonly string[]): Objects {
  const { host } = context;
  const isWanted = (name: string): boolean => vhosts.length === 0 || vhosts.includes(name);
  const unacked = unackedBytes(context);
  const queues = [...host.virtualHosts.all()]
    .filter(({ name }) => isWanted(name))
    .flatMap((vhost) =>
      [...vhost.queues.all()].map((queue) => ({
        of: { queue, unackedBytes: unacked.get(queue) ?? 0 },
        labels: { vhost: vhost.name, queue: queue.name },
      })),
    );
  const connections = [...host.connections.all()].filter(({ vhost }) => isWanted(vhost.name));
  return {
    queues,
    connections: connections.map((connection) => ({
      of: connection.info(),
      labels: { connection: connection.name },
    })),
    channels: connections.flatMap((connection) =>
      [...connection.channels()].map((channel) => {
        const info = channel.info();
        return { of: { counts: channel.counts, info }, labels: { channel: info.name } };
      }),
    ),
  };
}

type Shape = <Of>(metric: ObjectMetric<Of>, subjects: readonly Subject<Of>[]) => Metric;

/** One value for all objects together. */
const summed: Shape = ({ name, type, help, read }, subjects) => ({
  ...{ name: `rabbitmq_${name}`, type, help },
  samples: [{ value: subjects.reduce((sum, { of }) => sum + read(of), 0) }],
});

/** A value for each object. */
function perObject(prefix: string): Shape {
  return ({ name, type, help, read }, subjects) => ({
    ...{ name: `${prefix}${name}`, type, help },
    samples: subjects.map(({ of, labels }): Sample => ({ labels, value: read(of) })),
  });
}

function objectMetrics(objects: Objects, shape: Shape, families?: readonly string[]): Metric[] {
  const isWanted = ({ family }: { family: string }): boolean => families?.includes(family) ?? true;
  return [
    ...queueMetrics.filter(isWanted).map((metric) => shape(metric, objects.queues)),
    ...connectionMetrics.filter(isWanted).map((metric) => shape(metric, objects.connections)),
    ...channelMetrics.filter(isWanted).map((metric) => shape(metric, objects.channels)),
  ];
}

/** Families that are not metrics of objects. */
function clusterMetrics(
  { host }: Context,
  families: readonly string[],
  vhosts: readonly string[],
): Metric[] {
  const wanted = [...host.virtualHosts.all()].filter(
    ({ name }) => vhosts.length === 0 || vhosts.includes(name),
  );
  const status: Metric = {
    name: "rabbitmq_cluster_vhost_status",
    type: "gauge",
    help: "Whether a virtual host is running",
    samples: wanted.map(({ name }) => ({ labels: { vhost: name }, value: 1 })),
  };
  const bindings: Metric = {
    name: "rabbitmq_cluster_exchange_bindings",
    type: "gauge",
    help: "Number of bindings of an exchange",
    samples: wanted.flatMap((vhost) =>
      [...vhost.exchanges.all()].map((exchange) => ({
        labels: { vhost: vhost.name, exchange: exchange.name, type: exchange.type.name },
        value: [...exchange.bindings].length,
      })),
    ),
  };
  return [
    ...(families.includes("vhost_status") ? [status] : []),
    ...(families.includes("exchange_bindings") ? [bindings] : []),
  ];
}

async function write(metrics: readonly Metric[]): Promise<string> {
  const registry = new Registry();
  for (const { name, type, help, samples } of metrics) {
    if (samples.length === 0) continue;
    const labelNames = Object.keys(samples[0]!.labels ?? {});
    const options = { name, help, labelNames, registers: [registry] };
    if (type === "gauge") {
      const gauge = new Gauge(options);
      for (const { labels, value } of samples) gauge.set(labels ?? {}, value);
    } else {
      const counter = new Counter(options);
      for (const { labels, value } of samples) counter.inc(labels ?? {}, value);
    }
  }
  return registry.metrics();
}

function metricsFor(context: Context, path: string, query: URLSearchParams): Metric[] | undefined {
  const broker = (): Metric[] => [
    ...identity(context),
    ...nodeMetrics(context),
    ...objectCounts(context),
    ...globalMetrics(context),
  ];
  const isPerObject = context.host.settings.prometheusPerObject;
  if (path === "/metrics/per-object" || (path === "/metrics" && isPerObject))
    return [...broker(), ...objectMetrics(objectsOf(context, []), perObject("rabbitmq_"))];
  if (path === "/metrics") return [...broker(), ...objectMetrics(objectsOf(context, []), summed)];
  if (path !== "/metrics/detailed") return undefined;
  const families = query.getAll("family");
  const vhosts = query.getAll("vhost");
  const objects = objectsOf(context, vhosts);
  return [
    ...identity(context),
    ...objectMetrics(objects, perObject("rabbitmq_detailed_"), families),
    ...clusterMetrics(context, families, vhosts),
  ];
}

async function answer(
  context: Context,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [path = "", query = ""] = (request.url ?? "").split("?");
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.writeHead(405, { allow: "HEAD, GET" }).end();
    return;
  }
  const metrics = metricsFor(context, path.replace(/\/$/, ""), new URLSearchParams(query));
  if (metrics === undefined) {
    response.writeHead(404, { "content-type": "application/json" });
    response.end('{"error":"Object Not Found","reason":"Not Found"}');
    return;
  }
  response.writeHead(200, { "content-type": "text/plain; version=0.0.4" });
  response.end(await write(metrics));
}

/** What answers on the port for Prometheus. */
export function prometheusHandle(context: Context): Handle {
  return (request, response) => {
    answer(context, request, response).catch((error: unknown) => {
      context.host.log.error({ error }, "the metrics could not be written");
      response.writeHead(500).end();
    });
  };
}
