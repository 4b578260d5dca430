/**
 * From the protocol header to connection.open: who the client is, what it can do, which limits hold.
 *
 * A state machine without socket: methods in, replies out. What it refuses it throws; RabbitMQ drops the socket for some of
 * these mistakes, a close that says why is kinder and is understood by every client.
 */

import { ByteWriter } from "../amqp/byte-writer.ts";
import { AmqpError } from "../amqp/errors.ts";
import type { FieldTable } from "../amqp/field-table.ts";
import { encodeMethod } from "../amqp/method-codec.ts";
import { type Method, type MethodArguments, methods } from "../amqp/methods.ts";
import type { Access } from "../broker/access.ts";
import type { Host } from "../broker/host.ts";
import { type Credentials, login } from "../broker/login.ts";
import type { User } from "../broker/users.ts";
import type { VirtualHost } from "../broker/vhost.ts";
import { FRAME_MAX_LEAST, FRAME_MAX_LEAST_RABBITMQ } from "../config.ts";
import { mechanisms, offeredMechanisms } from "./mechanisms.ts";
import { connectionName, type Peer } from "./peer.ts";
import { serverProperties } from "./server-properties.ts";

export const PROTOCOL_HEADER_BYTES = 8;
const AMQP_0_9_1 = Buffer.from([0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1]);
/** An old spelling of 0-9, which RabbitMQ takes for 0-9-1. */
const AMQP_0_9 = Buffer.from([0x41, 0x4d, 0x51, 0x50, 1, 1, 0, 9]);

/** Frames before the limits are agreed on. */
const INITIAL_FRAME_MAX = 8192;

/** Undefined when the header is right, else the header to answer with before the end. */
export function protocolHeader(header: Buffer): Buffer | undefined {
  return header.equals(AMQP_0_9_1) || header.equals(AMQP_0_9) ? undefined : AMQP_0_9_1;
}

/** What all clients are told that come one after the other. */
let lastStart: { clusterName: string; mechanisms: string; payload: Buffer } | undefined;

function startPayload(clusterName: string, mechanisms: string): Buffer {
  if (lastStart?.clusterName !== clusterName || lastStart.mechanisms !== mechanisms) {
    const writer = new ByteWriter(1024);
    encodeMethod(writer, "connection.start", {
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: serverProperties(clusterName),
      mechanisms: Buffer.from(mechanisms),
      locales: Buffer.from("en_US"),
    });
    lastStart = { clusterName, mechanisms, payload: writer.bytes() };
  }
  return lastStart.payload;
}

/** What a connection is once it is open. */
export interface HandshakeResult {
  readonly user: User;
  readonly vhost: VirtualHost;
  readonly access: Access;
  readonly authMechanism: string;
  readonly clientProperties: FieldTable;
  /** Whether the client wants basic.cancel from the server. */
  readonly notifiesCancel: boolean;
  /** Whether it wants connection.blocked and connection.unblocked. */
  readonly notifiesBlocked: boolean;
}

export type HandshakeReply =
  | { name: "connection.tune"; arguments: MethodArguments<"connection.tune"> }
  | { name: "tuned"; frameMax: number; heartbeat: number }
  | { name: "opened"; result: HandshakeResult }
  /** Without `error` the client would not understand one. */
  | {
      name: "refused";
      userName: string;
      mechanism: string;
      reason: string;
      error: AmqpError | undefined;
    };

export class Handshake {
  readonly #host: Host;
  readonly #peer: Peer;
  /** As RabbitMQ names the states in its texts. */
  state: "starting" | "tuning" | "opening" | "running" = "starting";
  frameMax = INITIAL_FRAME_MAX;
  channelMax: number;
  /** In seconds, as the client has chosen; 0 is none. */
  heartbeat = 0;
  #user: User | undefined;
  #mechanism = "";
  #clientProperties: FieldTable = new Map();

  constructor(host: Host, peer: Peer) {
    this.#host = host;
    this.#peer = peer;
    this.channelMax = host.settings.channelMax;
  }

  /** The server's first word, connection.start: a method frame's payload. */
  start(): Buffer {
    return startPayload(this.#host.clusterName, this.#offered().join(" "));
  }

  #offered(): readonly string[] {
    return offeredMechanisms(this.#host.settings, this.#peer);
  }

  /** Takes the client's next method. */
  receive(method: Method): HandshakeReply {
    if (method.name === "connection.start-ok" && this.state === "starting")
      return this.#startOk(method.arguments);
    if (method.name === "connection.tune-ok" && this.state === "tuning")
      return this.#tuneOk(method.arguments);
    if (method.name === "connection.open" && this.state === "opening")
      return this.#open(method.arguments);
    throw new AmqpError("CHANNEL_ERROR", `unexpected method in connection state ${this.state}`);
  }

  #startOk(args: MethodArguments<"connection.start-ok">): HandshakeReply {
    const offered = this.#offered();
    const mechanism = offered.includes(args.mechanism) && mechanisms.get(args.mechanism);
    if (!mechanism) {
      throw new AmqpError(
        "COMMAND_INVALID",
        `unknown authentication mechanism '${args.mechanism}'`,
        { advice: `offered are ${offered.join(", ")}` },
      );
    }
    this.#clientProperties = args.clientProperties;
    const credentials = mechanism(args.response, this.#peer, this.#host.settings);
    this.#mechanism = args.mechanism;
    const user = login(this.#host, credentials, this.#peer.address);
    if (typeof user === "string") return this.#refuse(credentials, user);
    this.#user = user;
    this.state = "tuning";
    const { channelMax, frameMax, heartbeat } = this.#host.settings;
    return { name: "connection.tune", arguments: { channelMax, frameMax, heartbeat } };
  }

  /** The client does not hear the reason: it might be a stranger. */
  #refuse(credentials: Credentials, reason: string): HandshakeReply {
    const understands = hasCapability(this.#clientProperties, "authentication_failure_close");
    const error = new AmqpError(
      "ACCESS_REFUSED",
      `Login was refused using authentication mechanism ${this.#mechanism}. For details see the broker logfile.`,
    );
    return {
      name: "refused",
      userName: credentials.userName,
      mechanism: this.#mechanism,
      reason,
      error: understands ? error : undefined,
    };
  }

  /** The client's answer counts, within the server's limits. */
  #tuneOk({
    channelMax,
    frameMax,
    heartbeat,
  }: MethodArguments<"connection.tune-ok">): HandshakeReply {
    const { settings, log } = this.#host;
    checkLimit("channel_max", channelMax, 1, settings.channelMax);
    checkLimit("frame_max", frameMax, FRAME_MAX_LEAST, settings.frameMax);
    if (frameMax < FRAME_MAX_LEAST_RABBITMQ) {
      log.warn(
        { connection: connectionName(this.#peer), frameMax },
        `frame_max below ${FRAME_MAX_LEAST_RABBITMQ}: RabbitMQ 4.1 and later refuse this client`,
      );
    }
    this.channelMax = channelMax;
    this.frameMax = frameMax;
    this.heartbeat = heartbeat;
    this.state = "opening";
    return { name: "tuned", frameMax, heartbeat };
  }

  #open({ virtualHost }: MethodArguments<"connection.open">): HandshakeReply {
    const { virtualHosts, permissions, connections } = this.#host;
    connections.checkNode();
    const vhost = virtualHosts.find(virtualHost);
    if (vhost === undefined) {
      throw new AmqpError("NOT_ALLOWED", `vhost ${virtualHost} not found`, {
        advice: this.#vhostAdvice(virtualHost),
      });
    }
    const user = this.#currentUser();
    connections.checkNew(user, vhost);
    const access = permissions.access(user.name, vhost.name);
    if (access.permissions === undefined) throw refused(user, vhost);
    this.state = "running";
    const clientProperties = this.#clientProperties;
    const notifiesCancel = hasCapability(clientProperties, "consumer_cancel_notify");
    const notifiesBlocked = hasCapability(clientProperties, "connection.blocked");
    return {
      name: "opened",
      result: {
        user,
        vhost,
        access,
        authMechanism: this.#mechanism,
        clientProperties,
        notifiesCancel,
        notifiesBlocked,
      },
    };
  }

  /** Most often the slash of a URL has become part of the name. */
  #vhostAdvice(name: string): string {
    const meant = name.startsWith("/") ? name.slice(1) : undefined;
    return meant !== undefined && this.#host.virtualHosts.find(meant) !== undefined
      ? `there is '${meant}': in a URL its name follows the slash, as in amqp://host/${encodeURIComponent(meant)}`
      : "in a URL the vhost '/' is written %2F or left out";
  }

  /** The user who has logged in, as it is now: an administrator may have been at it meanwhile. */
  #currentUser(): User {
    const { name } = this.#user!;
    const user = this.#host.users.find(name);
    if (user === undefined) throw new AmqpError("CONNECTION_FORCED", `user '${name}' is deleted`);
    return user;
  }
}

function refused(user: User, vhost: VirtualHost): AmqpError {
  return new AmqpError(
    "NOT_ALLOWED",
    `access to vhost '${vhost.name}' refused for user '${user.name}'`,
    { advice: "the user needs permissions in that virtual host" },
  );
}

/** RabbitMQ names its own tune in the close, not the client's answer. */
const OF_TUNE = { method: methods["connection.tune"].id };

function checkLimit(name: string, value: number, least: number, most: number): void {
  const shown = name === "channel_max" && value === 0 ? "0 (no limit)" : String(value);
  if (value === 0 || value > most) {
    throw new AmqpError(
      "NOT_ALLOWED",
      `negotiated ${name} = ${shown} is higher than the maximum allowed value (${most})`,
      OF_TUNE,
    );
  }
  if (value < least) {
    throw new AmqpError(
      "NOT_ALLOWED",
      `negotiated ${name} = ${shown} is lower than the minimum allowed value (${least})`,
      OF_TUNE,
    );
  }
}

function hasCapability(clientProperties: FieldTable, name: string): boolean {
  const capabilities = clientProperties.get("capabilities");
  if (capabilities?.type !== "F") return false;
  const capability = capabilities.value.get(name);
  return capability?.type === "t" && capability.value;
}
