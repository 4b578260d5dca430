/** What the broker is and how it is: the overview, its one node, and the little routes by which tools find out whom they talk to. */

import { NODE_NAME } from "../broker/host.ts";
import { RABBITMQ_VERSION, version } from "../config.ts";
import { exchangeTypes } from "../exchange/types.ts";
import type { ManagementContext } from "./context.ts";
import { nothingThere } from "./http-error.ts";
import { chosenColumns, listing } from "./listing.ts";
import { type Call, done, ok, type Reply, type Route } from "./route.ts";
import { isMonitor } from "./tags.ts";

const typeDescriptions: Readonly<Record<string, string>> = {
  direct: "AMQP direct exchange, as per the AMQP specification",
  fanout: "AMQP fanout exchange, as per the AMQP specification",
  headers: "AMQP headers exchange, as per the AMQP specification",
  topic: "AMQP topic exchange, as per the AMQP specification",
};

const mechanismDescriptions: Readonly<Record<string, string>> = {
  PLAIN: "SASL PLAIN authentication mechanism",
  AMQPLAIN: "QPid AMQPLAIN mechanism",
  EXTERNAL: "TLS peer verification-based authentication plugin",
};

/** How long RabbitMQ keeps samples, in seconds; the pages of some tools want to know. */
const RETENTION = { global: [600, 3600, 28_800, 86_400], basic: [600, 3600], detailed: [600] };

function typesOfExchanges(): object[] {
  return [...exchangeTypes.keys()].map((name) => ({
    name,
    description: typeDescriptions[name] ?? `${name} exchange`,
    enabled: true,
  }));
}

function objectTotals(call: Call): object {
  const totals = { channels: 0, connections: 0, consumers: 0, exchanges: 0, queues: 0 };
  for (const vhost of call.visibleVirtualHosts()) {
    totals.exchanges += vhost.exchanges.count;
    totals.queues += vhost.queues.count;
    for (const queue of vhost.queues.all()) totals.consumers += queue.consumerCount;
  }
  for (const connection of call.host.connections.all()) {
    if (!call.seesUser(connection.user.name)) continue;
    totals.connections++;
    totals.channels += connection.channelCount;
  }
  return totals;
}

function listeners(context: ManagementContext): object[] {
  return context.ports().map(({ protocol, host, port }) => ({
    node: NODE_NAME,
    protocol,
    ip_address: host,
    port,
    socket_opts: { backlog: 511, nodelay: true },
  }));
}

function contexts(context: ManagementContext): object[] {
  const described = new Map([
    ["http", "RabbitMQ Management"],
    ["https", "RabbitMQ Management"],
    ["http/prometheus", "RabbitMQ Prometheus"],
  ]);
  return context.ports().flatMap(({ protocol, host, port }) => {
    const description = described.get(protocol);
    if (description === undefined) return [];
    return [
      { ssl_opts: [], node: NODE_NAME, description, path: "/", ip: host, port: String(port) },
    ];
  });
}

function statisticsOf(call: Call): object {
  const { host, context } = call;
  const { messages, lengths, churn } = context.statistics.totals();
  const rated = (counts: typeof messages): object => context.statistics.withRates(host, counts);
  return {
    message_stats: rated(messages),
    churn_rates: rated(churn),
    queue_totals: rated(lengths),
  };
}

function overview(call: Call): Reply {
  const { context, query } = call;
  const hidesStatistics = query.get("disable_stats") === "true";
  const totals = query.get("enable_queue_totals") === "true";
  const all = {
    management_version: RABBITMQ_VERSION,
    rates_mode: "basic",
    sample_retention_policies: RETENTION,
    exchange_types: typesOfExchanges(),
    product_version: RABBITMQ_VERSION,
    product_name: "RabbitMQ",
    rabbitmq_version: RABBITMQ_VERSION,
    leveret_version: version,
    cluster_name: call.host.clusterName,
    cluster_tags: [],
    node_tags: [],
    default_queue_type: call.host.settings.defaultQueueType ?? "classic",
    erlang_version: "0",
    erlang_full_version: `Leveret ${version} on Node.js ${context.processFacts().nodeVersion}`,
    release_series_support_status: "supported",
    disable_stats: hidesStatistics,
    enable_queue_totals: totals,
    is_op_policy_updating_enabled: true,
    ...(!hidesStatistics && statisticsOf(call)),
    object_totals: objectTotals(call),
    statistics_db_event_queue: 0,
    node: NODE_NAME,
    listeners: isMonitor(call.user) ? listeners(context) : [],
    contexts: isMonitor(call.user) ? contexts(context) : [],
  };
  return ok(chosenColumns(all, query));
}

function nodeJson({ context, host }: Call): Record<string, unknown> {
  const facts = context.processFacts();
  const { settings, alarm, clock } = host;
  const { churn } = context.statistics.totals();
  return {
    name: NODE_NAME,
    type: "disc",
    running: !context.control.isStopped,
    being_drained: false,
    partitions: [],
    os_pid: String(facts.pid),
    uptime: clock.now() - host.startedAtMs,
    processors: facts.processors,
    run_queue: 0,
    fd_total: 1_048_576,
    fd_used: facts.filesOpen ?? 0,
    sockets_total: 1_048_576,
    sockets_used: host.connections.count,
    proc_total: 1_048_576,
    proc_used: 1,
    mem_calculation_strategy: "rss",
    mem_limit: host.memoryAlarmBytes ?? facts.memoryTotalBytes,
    mem_used: facts.memoryUsedBytes,
    mem_alarm: alarm.isLow("memory"),
    disk_free: host.freeDiskBytes ?? Number.MAX_SAFE_INTEGER,
    disk_free_limit: host.diskFreeLimit,
    disk_free_alarm: alarm.isLow("disk"),
    rates_mode: "basic",
    net_ticktime: 60,
    db_dir: context.dataDir ?? "",
    config_files: context.configFiles,
    log_files: ["<stdout>"],
    enabled_plugins: context.plugins,
    exchange_types: typesOfExchanges(),
    auth_mechanisms: settings.authMechanisms.map((name) => ({
      name,
      description: mechanismDescriptions[name] ?? name,
      enabled: true,
    })),
    applications: [{ name: "leveret", description: "Leveret", version }],
    contexts: contexts(context),
    cluster_links: [],
    ...context.statistics.withRates(host, churn),
  };
}

function node(call: Call): Reply {
  if (call.parameter("node") !== NODE_NAME) throw nothingThere();
  return ok(chosenColumns(nodeJson(call), call.query));
}

function nodeMemory(call: Call): Reply {
  if (call.parameter("node") !== NODE_NAME) throw nothingThere();
  const rss = call.context.processFacts().memoryUsedBytes;
  const total = { erlang: rss, rss, allocated: rss };
  return ok({ memory: { code: 0, other_proc: rss, strategy: "rss", total } });
}

/** The one id that RabbitMQ's clients ask for by name are the first two; the others are what 4.x cannot be without. */
const featureFlags = [
  ...["quorum_queue", "stream_queue", "implicit_default_bindings", "virtual_host_metadata"],
  ...["maintenance_mode_status", "user_limits", "drop_unroutable_metric", "empty_basic_get_metric"],
  ...["classic_mirrored_queue_version", "direct_exchange_routing_v2", "feature_flags_v2"],
  ...["listener_records_in_ets", "tracking_records_in_ets", "classic_queue_type_delivery_support"],
  ...["restart_streams", "stream_sac_coordinator_unblock_group", "stream_single_active_consumer"],
  ...["stream_filtering", "message_containers", "detailed_queues_endpoint", "rabbitmq_4.0.0"],
  ...["rabbitmq_4.1.0", "rabbitmq_4.2.0"],
];

function featureFlagsList(): Reply {
  const flags = [...featureFlags].sort().map((name) => ({
    name,
    desc: name,
    doc_url: "",
    state: "enabled",
    stability: "stable",
    provided_by: "rabbit",
  }));
  return ok(flags);
}

export const overviewRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/overview",
    needs: "management",
    summary: "What the broker is, what is in it and how much goes through it",
    handle: overview,
  },
  {
    method: "GET",
    path: "/api/nodes",
    needs: "monitoring",
    summary: "The nodes of the cluster: always one",
    handle: (call) => ok(listing([nodeJson(call)], call.query)),
  },
  {
    method: "GET",
    path: "/api/nodes/:node",
    needs: "monitoring",
    summary: "The node of that name",
    handle: node,
  },
  {
    method: "GET",
    path: "/api/nodes/:node/memory",
    needs: "monitoring",
    summary: "What the node uses of memory",
    handle: nodeMemory,
  },
  {
    method: "GET",
    path: "/api/whoami",
    needs: "management",
    summary: "The user who asks",
    handle: ({ user }) => ok({ name: user.name, tags: user.tags }),
  },
  {
    method: "GET",
    path: "/api/auth",
    needs: "nothing",
    summary: "How a page should log in: without OAuth",
    handle: () =>
      ok({ oauth_enabled: false, enable_uaa: false, uaa_client_id: "", uaa_location: "" }),
  },
  {
    method: "GET",
    path: "/api/version",
    needs: "management",
    summary: "The version of RabbitMQ that clients will meet",
    handle: () => ok(RABBITMQ_VERSION),
  },
  {
    method: "GET",
    path: "/api/extensions",
    needs: "management",
    summary: "Extensions of the management page: none",
    handle: () => ok([]),
  },
  {
    method: "GET",
    path: "/api/feature-flags",
    needs: "administrator",
    summary: "Feature flags of RabbitMQ, all of them enabled",
    handle: featureFlagsList,
  },
  {
    method: "PUT",
    path: "/api/feature-flags/:name/enable",
    needs: "administrator",
    summary: "Enables a feature flag, which all of them are",
    handle: () => done,
  },
  {
    method: "GET",
    path: "/api/deprecated-features",
    needs: "administrator",
    summary: "Deprecated features of RabbitMQ: none is denied",
    handle: () => ok([]),
  },
  {
    method: "GET",
    path: "/api/deprecated-features/used",
    needs: "administrator",
    summary: "Deprecated features that are in use: none is counted",
    handle: () => ok([]),
  },
];
