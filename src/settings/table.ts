/**
 * The table of settings: from it come the command line, its help, the environment, the keys of rabbitmq.conf,
 * CONFIGURATION.md and the types.
 *
 * One more setting is one row here, and whoever reads it. Nothing here knows where a value came from.
 */

import { httpSettings, managementPort, prometheusPort } from "./http-table.ts";
import {
  address,
  binaryBytes,
  boolean,
  bytes,
  choice,
  count,
  limit,
  listOf,
  milliseconds,
  multiple,
  optional,
  path,
  ports,
  seconds,
  text,
  watermark,
} from "./kinds.ts";
import { records } from "./records.ts";
import { type Setting, setting } from "./setting.ts";

export type { Setting };

/** The smallest frame-max that is accepted [AMQP 0-9-1: frame-min-size]. */
export const FRAME_SIZE_LEAST = 4096;
/** A body has to fit into a segment's record. */
const MESSAGE_SIZE_MAX = 2 ** 29 - 1;

/** A process that has a broker in it besides other things is not measured by all that it uses. */
function memoryHighWatermark(otherwise: number): Setting<number> {
  return setting({
    kind: watermark,
    default: otherwise,
    help: "memory that the process may use before publishers are blocked",
    environment: ["RABBITMQ_VM_MEMORY_HIGH_WATERMARK"],
    keys: ["vm_memory_high_watermark.relative", "vm_memory_high_watermark.absolute"],
  });
}

/** Of a broker, embedded or not. */
export const brokerSettings = {
  /** Where to listen when a port is given without an address. */
  host: setting({
    kind: address,
    default: "127.0.0.1",
    help: "address to listen on; :: or 0.0.0.0 for all",
    flag: "host",
    environment: ["RABBITMQ_NODE_IP_ADDRESS"],
  }),
  /** For AMQP clients; 0 lets the system choose a free port. */
  port: setting({
    kind: ports,
    default: 5672,
    help: "where AMQP clients connect; 0 takes a free port and prints it",
    flag: "port",
    environment: ["RABBITMQ_NODE_PORT"],
    keys: ["listeners.tcp", "listeners.tcp.*"],
  }),
  /** For AMQP clients that speak TLS. */
  tlsPort: setting({
    kind: ports,
    default: "off",
    help: "where AMQP clients connect with TLS, usually 5671",
    flag: "tls-port",
    keys: ["listeners.ssl", "listeners.ssl.*"],
  }),
  ...httpSettings,
  tlsCertFile: setting({
    kind: optional(path),
    default: undefined,
    help: "the server's certificate (PEM), and those between it and the CA",
    flag: "tls-cert",
    environment: ["RABBITMQ_SSL_CERTFILE"],
    keys: ["ssl_options.certfile"],
  }),
  tlsKeyFile: setting({
    kind: optional(path),
    default: undefined,
    help: "the private key of the server's certificate (PEM)",
    flag: "tls-key",
    environment: ["RABBITMQ_SSL_KEYFILE"],
    keys: ["ssl_options.keyfile"],
  }),
  tlsKeyPassword: setting({
    kind: optional(text),
    default: undefined,
    help: "the password of the private key",
    keys: ["ssl_options.password"],
    secret: true,
  }),
  tlsCaFile: setting({
    kind: optional(path),
    default: undefined,
    help: "certificates (PEM) that vouch for clients' certificates",
    flag: "tls-ca",
    environment: ["RABBITMQ_SSL_CACERTFILE"],
    keys: ["ssl_options.cacertfile"],
  }),
  tlsVerify: setting({
    kind: choice(["verify_none", "verify_peer"]),
    default: "verify_none",
    help: "whether clients are asked for a certificate, which then has to be valid",
    environment: ["RABBITMQ_SSL_VERIFY"],
    keys: ["ssl_options.verify"],
  }),
  tlsFailIfNoPeerCert: setting({
    kind: boolean,
    default: false,
    help: "with verify_peer: whether a client without a certificate is refused",
    environment: ["RABBITMQ_SSL_FAIL_IF_NO_PEER_CERT"],
    keys: ["ssl_options.fail_if_no_peer_cert"],
  }),
  tlsVersions: setting({
    kind: listOf(choice(["tlsv1.2", "tlsv1.3"])),
    default: ["tlsv1.2", "tlsv1.3"],
    help: "versions of TLS that are spoken",
    keys: ["ssl_options.versions.*"],
  }),
  /** Which part of a client's certificate is the user's name for the mechanism EXTERNAL. */
  tlsLoginFrom: setting({
    kind: choice(["distinguished_name", "common_name"]),
    default: "distinguished_name",
    help: "what in a client's certificate is the user's name, for the mechanism EXTERNAL",
    keys: ["ssl_cert_login_from"],
  }),
  /** The user that exists from the start. A data folder keeps users: there it counts at its first start. */
  defaultUser: setting({
    kind: text,
    default: "guest",
    help: "name of the user that exists from the start",
    environment: ["RABBITMQ_DEFAULT_USER"],
    environmentFile: "RABBITMQ_DEFAULT_USER_FILE",
    keys: ["default_user"],
  }),
  /** Its password. */
  defaultPassword: setting({
    kind: text,
    default: "guest",
    help: "password of that user",
    environment: ["RABBITMQ_DEFAULT_PASS"],
    environmentFile: "RABBITMQ_DEFAULT_PASS_FILE",
    keys: ["default_pass"],
    secret: true,
  }),
  /** The virtual host that exists from the start. */
  defaultVhost: setting({
    kind: text,
    default: "/",
    help: "virtual host that exists from the start",
    environment: ["RABBITMQ_DEFAULT_VHOST"],
    keys: ["default_vhost"],
  }),
  /** Its tags, and its permissions in the virtual host that exists from the start. */
  defaultUserTags: setting({
    kind: listOf(text),
    default: ["administrator"],
    help: "tags of that user",
    keys: ["default_user_tags.NAME"],
  }),
  defaultPermissionConfigure: setting({
    kind: text,
    default: ".*",
    help: "what that user may declare and delete there: a regular expression for names",
    keys: ["default_permissions.configure"],
  }),
  defaultPermissionWrite: setting({
    kind: text,
    default: ".*",
    help: "what that user may write to there",
    keys: ["default_permissions.write"],
  }),
  defaultPermissionRead: setting({
    kind: text,
    default: ".*",
    help: "what that user may read from there",
    keys: ["default_permissions.read"],
  }),
  /** Users who get permissions in each new virtual host whose name their pattern fits, and are made with the first. */
  defaultUsers: setting({
    kind: records({
      vhostPattern: text,
      password: text,
      tags: listOf(text),
      configure: text,
      write: text,
      read: text,
    }),
    default: [],
    help: "users who get permissions in each new virtual host whose name fits, and are made for it",
    keys: ["default_users.NAME.FIELD"],
    secret: true,
  }),
  /** Limits of new virtual hosts whose name the pattern fits. */
  defaultLimits: setting({
    kind: records({ pattern: text, maxConnections: limit, maxQueues: limit }),
    default: [],
    help: "limits of each new virtual host whose name fits",
    keys: ["default_limits.vhosts.NAME.FIELD"],
  }),
  /** Operator policies of new virtual hosts whose name their pattern fits. */
  defaultOperatorPolicies: setting({
    kind: records({
      vhostPattern: text,
      queuePattern: text,
      applyTo: choice(["all", "queues", "classic_queues", "quorum_queues", "streams"]),
      expires: milliseconds,
      messageTtl: milliseconds,
      maxLength: count(0, Number.MAX_SAFE_INTEGER),
      maxLengthBytes: bytes(0, Number.MAX_SAFE_INTEGER),
      maxInMemoryLength: count(0, Number.MAX_SAFE_INTEGER),
      maxInMemoryBytes: bytes(0, Number.MAX_SAFE_INTEGER),
      deliveryLimit: count(0, Number.MAX_SAFE_INTEGER),
    }),
    default: [],
    help: "operator policies of each new virtual host whose name fits",
    keys: ["default_policies.operator.NAME.FIELD"],
  }),
  /** Of new virtual hosts: what a queue is that is declared without `x-queue-type`. */
  defaultQueueType: setting({
    kind: optional(choice(["classic", "quorum"])),
    default: undefined,
    help: "the default queue type of new virtual hosts",
    keys: ["default_queue_type"],
  }),
  /** What the broker calls itself, unless somebody has called it otherwise. */
  clusterName: setting({
    kind: optional(text),
    default: undefined,
    help: "what the broker is called by clients and in the API",
    keys: ["cluster_name"],
  }),
  /** Definitions in RabbitMQ's format to be imported at each start. When they define users there is no default user. */
  definitions: setting({
    kind: optional(path),
    default: undefined,
    help: "definitions to import at the start: a file, or a folder of *.json",
    flag: "definitions",
    keys: ["management.load_definitions", "definitions.local.path", "load_definitions"],
  }),
  /** Users who may log in from this machine only. */
  loopbackUsers: setting({
    kind: listOf(text),
    default: [],
    help: "users who may log in from this machine only",
    keys: ["loopback_users", "loopback_users.NAME"],
  }),
  /** Connections of all clients. */
  maxConnections: setting({
    kind: limit,
    default: Number.POSITIVE_INFINITY,
    help: "connections of all clients",
    keys: ["connection_max", "max_connections"],
  }),
  /** Channels of all connections. */
  channelMaxPerNode: setting({
    kind: limit,
    default: Number.POSITIVE_INFINITY,
    help: "channels of all connections",
    keys: ["channel_max_per_node"],
  }),
  /** Consumers of a channel. */
  consumerMaxPerChannel: setting({
    kind: limit,
    default: Number.POSITIVE_INFINITY,
    help: "consumers that a channel may have",
    keys: ["consumer_max_per_channel"],
  }),
  /** How long a delivery may stay unsettled before its channel is closed, in milliseconds; a queue may say otherwise. */
  consumerTimeoutMs: setting({
    kind: milliseconds,
    default: 1_800_000,
    help: "time that a client has to settle a delivery",
    keys: ["consumer_timeout"],
  }),
  /** Queues in all virtual hosts. */
  clusterQueueLimit: setting({
    kind: limit,
    default: Number.POSITIVE_INFINITY,
    help: "queues in all virtual hosts",
    keys: ["cluster_queue_limit"],
  }),
  /** Exchanges in all virtual hosts, with those that are there from the start. */
  clusterExchangeLimit: setting({
    kind: limit,
    default: Number.POSITIVE_INFINITY,
    help: "exchanges in all virtual hosts, with those that are there from the start",
    keys: ["cluster_exchange_limit"],
  }),
  /** What clients may log in with, in the order in which it is offered. */
  authMechanisms: setting({
    kind: listOf(choice(["PLAIN", "AMQPLAIN", "ANONYMOUS", "EXTERNAL"])),
    default: ["PLAIN", "AMQPLAIN", "ANONYMOUS"],
    help: "ways to log in; EXTERNAL is by certificate, on TLS connections",
    keys: ["auth_mechanisms.*"],
  }),
  /** Who somebody is who logs in with ANONYMOUS; `none` for nobody. */
  anonymousLoginUser: setting({
    kind: text,
    default: "guest",
    help: "user as whom those are logged in who give no name; none for nobody",
    keys: ["anonymous_login_user"],
  }),
  /** The password of that user. */
  anonymousLoginPassword: setting({
    kind: text,
    default: "guest",
    help: "password of that user",
    keys: ["anonymous_login_pass"],
    secret: true,
  }),
  /** Offered to clients, in seconds; the client's answer counts. 0 offers none. */
  heartbeat: setting({
    kind: seconds(65_535),
    default: 60,
    help: "interval of heartbeats that is offered to clients; 0 for none",
    keys: ["heartbeat"],
  }),
  /** The largest frame, in bytes with its overhead. */
  frameMax: setting({
    kind: binaryBytes(FRAME_SIZE_LEAST, 2 ** 31 - 1),
    default: 131_072,
    help: "largest frame",
    keys: ["frame_max"],
  }),
  /** Channels per connection. */
  channelMax: setting({
    kind: count(1, 65_535),
    default: 2047,
    help: "channels that a connection may have",
    keys: ["channel_max", "max_channels_per_connection"],
  }),
  /** The largest body, in bytes. */
  maxMessageSize: setting({
    kind: bytes(0, MESSAGE_SIZE_MAX),
    default: 16 * 1024 * 1024,
    help: "largest body of a message",
    keys: ["max_message_size"],
  }),
  /** How long a client may take from the connection's beginning to connection.open, in milliseconds. */
  handshakeTimeoutMs: setting({
    kind: milliseconds,
    default: 10_000,
    help: "time that a client has to connect and log in",
    keys: ["handshake_timeout"],
  }),
  /** Whether the time of arrival is written into messages that have one already; undefined writes it into none. */
  messageTimestampOverwrite: setting({
    kind: optional(boolean),
    default: undefined,
    help: "write the time of arrival into messages: if true, also over one that is there",
    keys: ["message_interceptors.incoming.set_header_timestamp.overwrite"],
  }),
  /** The same of the node's name. */
  messageNodeOverwrite: setting({
    kind: optional(boolean),
    default: undefined,
    help: "write the node's name into messages: if true, also over one that is there",
    keys: ["message_interceptors.incoming.set_header_routing_node.overwrite"],
  }),
  /** When a persistent message counts as safe: on the disk, or handed to the operating system. */
  sync: setting({
    kind: choice(["always", "os"]),
    default: "always",
    help: "confirm when on the disk, always, or when handed to the os",
    flag: "sync",
  }),
  /** What messages may take of memory, in bytes, with what is kept about each: what is beyond it goes to the disk. */
  memoryLimit: setting({
    kind: bytes(0, Number.MAX_SAFE_INTEGER),
    default: 48 * 1024 * 1024,
    help: "memory for messages: what is beyond it goes to the disk, if there is one",
    environment: ["LEVERET_MEMORY_LIMIT"],
  }),
  /** With more memory used by the process publishers are blocked: up to 1 a fraction of all there is, above it bytes. */
  memoryHighWatermark: memoryHighWatermark(Number.POSITIVE_INFINITY),
  /** With less free space on the disk, in bytes, publishers are blocked. */
  diskFreeLimit: setting({
    kind: bytes(0, Number.MAX_SAFE_INTEGER),
    default: 50_000_000,
    help: "with less free space on the disk, publishers are blocked",
    keys: ["disk_free_limit.absolute"],
  }),
  /** The same as a multiple of the memory that there is; it counts before the bytes. */
  diskFreeLimitRelative: setting({
    kind: optional(multiple),
    default: undefined,
    help: "the same as a multiple of the memory that there is, before the number of bytes",
    keys: ["disk_free_limit.relative"],
  }),
  /** Bytes of a segment of the journal. */
  segmentBytes: setting({
    kind: bytes(65_536, 2 ** 30),
    default: 8 * 1024 * 1024,
    help: "bytes of a segment of the journal",
    environment: ["LEVERET_SEGMENT_BYTES"],
  }),
};

/** Of the process around a broker. */
export const processSettings = {
  managementPort: managementPort(15_672),
  prometheusPort: prometheusPort(15_692),
  memoryHighWatermark: memoryHighWatermark(0.6),
  config: setting({
    kind: optional(path),
    default: undefined,
    help: "rabbitmq.conf to read, and conf.d/*.conf beside it; or their folder",
    flag: "config",
    environment: ["RABBITMQ_CONFIG_FILE"],
  }),
  moreConfig: setting({
    kind: optional(path),
    default: undefined,
    help: "folder of further *.conf files, in place of conf.d",
    environment: ["RABBITMQ_CONFIG_FILES"],
  }),
  enabledPlugins: setting({
    kind: optional(path),
    default: undefined,
    help: "enabled_plugins to read; by default the one beside rabbitmq.conf",
    environment: ["RABBITMQ_ENABLED_PLUGINS_FILE"],
  }),
  dataDir: setting({
    kind: path,
    default: "./leveret-data",
    help: "folder for what outlives the process",
    flag: "data-dir",
    environment: ["RABBITMQ_MNESIA_DIR", "RABBITMQ_MNESIA_BASE"],
  }),
  pidFile: setting({
    kind: optional(path),
    default: undefined,
    help: "file for the process's id, as rabbitmqctl wait looks for it",
    environment: ["RABBITMQ_PID_FILE"],
  }),
  memory: setting({
    kind: boolean,
    default: false,
    help: "keep everything in memory: nothing outlives the process",
    flag: "memory",
  }),
  logLevel: setting({
    kind: choice(["debug", "info", "warn", "error", "silent"], {
      notice: "info",
      warning: "warn",
      critical: "error",
      alert: "error",
      emergency: "error",
      none: "silent",
    }),
    default: "info",
    help: "what is logged; that the broker has started is, unless silent",
    flag: "log-level",
    environment: ["RABBITMQ_LOG"],
    keys: ["log.default.level", "log.console.level"],
  }),
  logFormat: setting({
    kind: choice(["json", "pretty", "auto"], { plaintext: "pretty" }),
    default: "auto",
    help: "auto is pretty on a terminal and JSON elsewhere",
    flag: "log-format",
    keys: ["log.console.formatter"],
  }),
};

export const settings = { ...brokerSettings, ...processSettings };

/** The values of a table's settings, by name. */
export type ValuesOf<Table> = {
  -readonly [Name in keyof Table]: Table[Name] extends Setting<infer Value> ? Value : never;
};

export type SettingName = keyof typeof settings;
export type AllSettings = ValuesOf<typeof settings>;

/** The table, for those who walk it. */
export const settingRows = Object.entries(settings) as readonly [SettingName, Setting<unknown>][];

/** `LEVERET_TLS_PORT` for the flag `tls-port`. */
export function variableOf(flag: string): string {
  return `LEVERET_${flag.toUpperCase().replaceAll("-", "_")}`;
}

/** The variables that set it, the strongest first. */
export function variablesOf({ flag, environment = [] }: Setting<unknown>): readonly string[] {
  return flag === undefined ? environment : [variableOf(flag), ...environment];
}

export function defaultsOf<Table extends Record<string, Setting<unknown>>>(
  table: Table,
): ValuesOf<Table> {
  const defaults = Object.entries(table).map(([name, row]) => [name, row.default]);
  return Object.fromEntries(defaults) as ValuesOf<Table>;
}
