/**
 * The open connections, by user and by virtual host: counted, listed, and closed when their ground goes.
 *
 * What a connection is otherwise is the server's business; it implements `ClientConnection`.
 */

import { AmqpError, NO_METHOD } from "../amqp/errors.ts";
import type { FieldTable } from "../amqp/field-table.ts";
import type { Settings } from "../config.ts";
import type { ChannelCounts } from "../queue/counts.ts";
import type { Queue } from "../queue/queue.ts";
import { AdministrationError } from "./administration.ts";
import type { Churn } from "./churn.ts";
import { isReached } from "./limits.ts";
import type { User } from "./users.ts";
import type { VirtualHost } from "./vhost.ts";

/** What there is to know of a connection; a snapshot. */
export interface ConnectionInfo {
  /** `127.0.0.1:50123 -> 127.0.0.1:5672` */
  readonly name: string;
  /** What the client calls itself, the client property `connection_name`. */
  readonly userProvidedName: string | undefined;
  readonly user: string;
  readonly vhost: string;
  /** The client's address. */
  readonly peerHost: string;
  readonly peerPort: number;
  /** The broker's. */
  readonly host: string;
  readonly port: number;
  readonly protocol: "AMQP 0-9-1";
  readonly authMechanism: string;
  readonly state: "running" | "blocked";
  readonly clientProperties: FieldTable;
  /** How many are open. */
  readonly channels: number;
  readonly channelMax: number;
  readonly frameMax: number;
  /** Of the heartbeat, in seconds; 0 is none. */
  readonly timeout: number;
  /** Milliseconds since 1970. */
  readonly connectedAt: number;
  readonly tls: boolean;
  /** Bytes that came and in how many pieces; and the same of what was sent. */
  readonly receivedBytes: number;
  readonly receiveCount: number;
  readonly sentBytes: number;
  readonly sendCount: number;
}

/** What there is to know of a channel; a snapshot. */
export interface ChannelInfo {
  readonly number: number;
  /** That of its connection, and the number in brackets. */
  readonly name: string;
  readonly confirm: boolean;
  readonly transactional: boolean;
  /** Of consumers that start from now on, and of all together. */
  readonly prefetch: number;
  readonly globalPrefetch: number;
  readonly consumers: number;
  readonly unacked: number;
  readonly unconfirmed: number;
  /** Publishes and settlements that wait for a commit. */
  readonly uncommitted: number;
  readonly uncommittedAcks: number;
}

export interface ConsumerInfo {
  readonly queue: Queue;
  readonly consumerTag: string;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly prefetch: number;
  /** Whether it gets messages, or waits for the single active consumer to go. */
  readonly active: boolean;
  readonly arguments: FieldTable;
}

export interface ClientChannel {
  readonly counts: ChannelCounts;
  info(): ChannelInfo;
  consumersInfo(): Iterable<ConsumerInfo>;
  /** Looks at what has been delivered and not settled: the queue and the bits of each entry. */
  forEachUnacked(look: (queue: Queue, bits: number) => void): void;
}

export interface ClientConnection {
  readonly name: string;
  readonly user: User;
  readonly vhost: VirtualHost;
  readonly channelCount: number;
  channels(): Iterable<ClientChannel>;
  info(): ConnectionInfo;
  /** Closes the channels on which a delivery has stayed unsettled for too long. */
  checkConsumerTimeouts(): void;
  /** Tells the client why and ends. */
  close(error: AmqpError): void;
}

/** RabbitMQ's word for it, whatever tool asked. */
const CLOSED_BY_ADMINISTRATOR = "Closed via management plugin";

type NodeLimits = Pick<Settings, "maxConnections" | "channelMaxPerNode">;

export class Connections {
  readonly #all = new Set<ClientConnection>();
  readonly #byUser = new Map<string, Set<ClientConnection>>();
  readonly #byVhost = new Map<string, Set<ClientConnection>>();
  readonly #limits: NodeLimits;
  readonly #nodeName: string;
  readonly #churn: Churn;

  constructor(limits: NodeLimits, nodeName: string, churn: Churn) {
    this.#limits = limits;
    this.#nodeName = nodeName;
    this.#churn = churn;
  }

  add(connection: ClientConnection): void {
    this.#all.add(connection);
    this.#churn.connectionCreated++;
    addTo(this.#byUser, connection.user.name, connection);
    addTo(this.#byVhost, connection.vhost.name, connection);
  }

  /** It has ended, or was never added. */
  remove(connection: ClientConnection): void {
    if (!this.#all.delete(connection)) return;
    this.#churn.connectionClosed++;
    removeFrom(this.#byUser, connection.user.name, connection);
    removeFrom(this.#byVhost, connection.vhost.name, connection);
  }

  get count(): number {
    return this.#all.size;
  }

  /** The oldest first. */
  all(): Iterable<ClientConnection> {
    return this.#all;
  }

  /** The connection that somebody holds as an object, while it is open. */
  find(connection: object): ClientConnection | undefined {
    const known = connection as ClientConnection;
    return this.#all.has(known) ? known : undefined;
  }

  /** What is known of each open connection, the oldest first. */
  list(): ConnectionInfo[] {
    return [...this.#all].map((connection) => connection.info());
  }

  /** Closes the connection of that name with CONNECTION_FORCED and the reason. Throws NOT_FOUND. */
  close(name: string, reason: string = CLOSED_BY_ADMINISTRATOR): void {
    for (const connection of this.#all) {
      if (connection.name !== name) continue;
      connection.close(forced(reason));
      return;
    }
    throw new AdministrationError("NOT_FOUND", `no connection '${name}'`);
  }

  closeOfUser(user: string, reason: string = CLOSED_BY_ADMINISTRATOR): void {
    closeAll(this.#byUser.get(user), reason);
  }

  closeOfVirtualHost(vhost: string, reason: string = CLOSED_BY_ADMINISTRATOR): void {
    closeAll(this.#byVhost.get(vhost), reason);
  }

  /** Throws NOT_ALLOWED when one more would be too many for the broker as a whole. */
  checkNode(): void {
    const { maxConnections } = this.#limits;
    if (!isReached(maxConnections, this.#all.size)) return;
    throw new AmqpError(
      "NOT_ALLOWED",
      `connection refused: node connection limit (${maxConnections}) is reached`,
    );
  }

  /** Throws NOT_ALLOWED when one more would be too many for the virtual host or the user. */
  checkNew(user: User, vhost: VirtualHost): void {
    const ofVhost = vhost.limits.maxConnections;
    if (isReached(ofVhost, sizeOf(this.#byVhost, vhost.name))) {
      throw new AmqpError(
        "NOT_ALLOWED",
        `access to vhost '${vhost.name}' refused for user '${user.name}': connection limit (${ofVhost}) is reached`,
      );
    }
    const ofUser = user.limits.maxConnections;
    if (isReached(ofUser, sizeOf(this.#byUser, user.name))) {
      throw new AmqpError(
        "NOT_ALLOWED",
        `connection refused for user '${user.name}': user connection limit (${ofUser}) is reached`,
      );
    }
  }

  /** Throws NOT_ALLOWED when one more channel would be too many for the broker or for the user, as it is now. */
  checkNewChannel(user: User): void {
    const { channelMaxPerNode } = this.#limits;
    if (channelMaxPerNode < Number.POSITIVE_INFINITY && channels(this.#all) >= channelMaxPerNode) {
      throw tooManyChannels(
        `opened on node '${this.#nodeName}' has reached the maximum allowed limit of (${channelMaxPerNode})`,
      );
    }
    const { maxChannels } = user.limits;
    if (maxChannels !== undefined && channels(this.#byUser.get(user.name)) >= maxChannels) {
      throw tooManyChannels(
        `opened for user '${user.name}' has reached the maximum allowed user limit of (${maxChannels})`,
      );
    }
  }
}

function tooManyChannels(text: string): AmqpError {
  return new AmqpError("NOT_ALLOWED", `number of channels ${text}`, { method: NO_METHOD });
}

function forced(reason: string): AmqpError {
  return new AmqpError("CONNECTION_FORCED", reason);
}

function closeAll(connections: Set<ClientConnection> | undefined, reason: string): void {
  for (const connection of [...(connections ?? [])]) connection.close(forced(reason));
}

function channels(connections: Set<ClientConnection> | undefined): number {
  let count = 0;
  for (const connection of connections ?? []) count += connection.channelCount;
  return count;
}

type Index = Map<string, Set<ClientConnection>>;

function sizeOf(index: Index, key: string): number {
  return index.get(key)?.size ?? 0;
}

function addTo(index: Index, key: string, connection: ClientConnection): void {
  const set = index.get(key);
  if (set === undefined) index.set(key, new Set([connection]));
  else set.add(connection);
}

function removeFrom(index: Index, key: string, connection: ClientConnection): void {
  const set = index.get(key);
  set?.delete(connection);
  if (set?.size === 0) index.delete(key);
}
