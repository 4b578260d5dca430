/**
 * The settings of a broker, their defaults and their limits. Whoever embeds a broker passes a part of them; the command
 * line fills them in.
 */

export interface Settings {
  /** The address to listen on. */
  host: string;
  /** The AMQP port; 0 lets the system choose a free one. */
  port: number;
  /** The user that exists from the start, and its password. A data folder keeps users: there they count at its first start. */
  defaultUser: string;
  defaultPassword: string;
  /** The virtual host that exists from the start. */
  defaultVhost: string;
  /** Users who may connect from the same machine only. */
  loopbackUsers: readonly string[];
  /** Connections of all clients. */
  maxConnections: number;
  /** Channels of all connections. */
  channelMaxPerNode: number;
  /** Queues and exchanges in all virtual hosts; the exchanges with those that are there from the start. */
  clusterQueueLimit: number;
  clusterExchangeLimit: number;
  /** Offered to clients, in seconds; the client's answer counts. 0 offers none. */
  heartbeat: number;
  /** The largest frame, in bytes with its overhead. */
  frameMax: number;
  /** Channels per connection. */
  channelMax: number;
  /** The largest body, in bytes. */
  maxMessageSize: number;
  /** How long a client may take from the connection's beginning to connection.open, in milliseconds. */
  handshakeTimeoutMs: number;
  /** When a persistent message counts as safe: on the disk, or handed to the operating system. */
  sync: "always" | "os";
  /** What sealed segments of the journal may take of memory, in bytes. */
  memoryLimit: number;
  /** With less free space on the disk, in bytes, publishers are blocked. */
  diskFreeLimit: number;
  /** Bytes of a segment of the journal. */
  segmentBytes: number;
}

export const defaultSettings: Readonly<Settings> = {
  host: "127.0.0.1",
  port: 5672,
  defaultUser: "guest",
  defaultPassword: "guest",
  defaultVhost: "/",
  loopbackUsers: [],
  maxConnections: Number.POSITIVE_INFINITY,
  channelMaxPerNode: Number.POSITIVE_INFINITY,
  clusterQueueLimit: Number.POSITIVE_INFINITY,
  clusterExchangeLimit: Number.POSITIVE_INFINITY,
  heartbeat: 60,
  frameMax: 131_072,
  channelMax: 2047,
  maxMessageSize: 16 * 1024 * 1024,
  handshakeTimeoutMs: 10_000,
  sync: "always",
  memoryLimit: 48 * 1024 * 1024,
  diskFreeLimit: 50_000_000,
  segmentBytes: 16 * 1024 * 1024,
};

/** The smallest frame-max that is accepted [AMQP 0-9-1: frame-min-size]. */
export const FRAME_MAX_LEAST = 4096;
/** Below it RabbitMQ from 4.1 on refuses a client: worth a word in the log. */
export const FRAME_MAX_LEAST_RABBITMQ = 8192;

/** The version of this package; a test holds it equal to package.json's. */
export const version = "0.1.0";
