/**
 * What the log says of one connection: RabbitMQ's words, one line each, and what to do about it where that is known.
 *
 * What a client does wrong is a warning; an error is the broker's own trouble.
 */

import type { AmqpError } from "../amqp/errors.ts";
import { methodKey, methods } from "../amqp/methods.ts";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import { connectionName, type Peer } from "./peer.ts";

/** How something begins that is not AMQP 0-9-1, in Latin-1. */
const otherProtocols: readonly (readonly [beginnings: readonly string[], advice: string])[] = [
  [
    ["\x16\x03"],
    "this is TLS on a port without it: use amqp:// here, or the TLS port for amqps://",
  ],
  [
    ["GET ", "PUT ", "POST ", "HEAD ", "DELETE ", "OPTIONS ", "PATCH "],
    "this is an HTTP request on the port for AMQP",
  ],
  [
    ["AMQP\0\x01\0\0", "AMQP\x02\x01\0\0", "AMQP\x03\x01\0\0"],
    "the client speaks AMQP 1.0: set it to 0-9-1",
  ],
  [["AMQP"], "the client speaks another version of AMQP: set it to 0-9-1"],
  [["PROXY ", "\r\n\r\n\0"], "a proxy sends the PROXY protocol: switch it off there"],
  [["\x10"], "this may be MQTT on the port for AMQP"],
];

/** Units of a duration, the largest first. */
const units = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
] as const;

/** `47ms`, `4m, 36s` */
export function durationText(durationMs: number): string {
  const parts: string[] = [];
  let rest = durationMs;
  for (const [unit, unitMs] of units) {
    const count = Math.floor(rest / unitMs);
    rest -= count * unitMs;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.length === 0 ? `${durationMs}ms` : parts.join(", ");
}

/** `queue.declare` for its key; RabbitMQ says `none` where there is no method. */
function operationName(key: number): string {
  for (const [name, { id }] of Object.entries(methods))
    if (methodKey(id[0]!, id[1]!) === key) return name;
  return "none";
}

/** `caused a channel exception not_found: no queue 'q' in vhost '/'`, and the advice. */
function causeText({ closes, replyName, logText, advice }: AmqpError): string {
  const text = logText.slice(replyName.length + " - ".length);
  const hint = advice === undefined ? "" : ` (${advice})`;
  return `caused a ${closes} exception ${replyName.toLowerCase()}: ${text}${hint}`;
}

export class ConnectionLog {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #beganMs: number;
  readonly #tls: boolean;
  /** `127.0.0.1:48944 -> 127.0.0.1:5672`, and ` - ` and the name that the client gave itself. */
  #name: string;
  #fields: { connection: string; user?: string; vhost?: string };
  #saidEnd = false;

  constructor(log: Log, clock: Clock, peer: Peer) {
    this.#log = log;
    this.#clock = clock;
    this.#beganMs = clock.now();
    this.#tls = peer.tls ?? false;
    this.#name = connectionName(peer);
    this.#fields = { connection: this.#name };
  }

  /** Who it is as far as that is known: in brackets as RabbitMQ has it. */
  #who(more: string[] = []): string {
    const { user, vhost } = this.#fields;
    const known = [vhost && `vhost: '${vhost}'`, user && `user: '${user}'`, ...more];
    return `(${[this.#name, ...known.filter(Boolean)].join(", ")})`;
  }

  /** The client has begun to speak. */
  accepting(): void {
    this.#log.info(this.#fields, `accepting AMQP connection ${this.#name}`);
  }

  /** `given` is what the client calls itself. */
  opened(user: string, vhost: string, given: string | undefined): void {
    if (given !== undefined) this.#name += ` - ${given}`;
    this.#fields = { connection: this.#name, user, vhost };
    this.#log.info(
      this.#fields,
      `connection ${this.#name}: user '${user}' authenticated and granted access to vhost '${vhost}'`,
    );
  }

  loginRefused(mechanism: string, user: string, why: string): void {
    this.#log.warn(
      { ...this.#fields, user },
      `Error on AMQP connection ${this.#who(["state: starting"])}: ${mechanism} login refused: user '${user}' - ${why}`,
    );
  }

  channelError(channel: number, error: AmqpError, key: number): void {
    this.#log.warn(
      { ...this.#fields, channel },
      `Channel error on connection ${this.#who()}, channel ${channel}: operation ${operationName(key)} ${causeText(error)}`,
    );
  }

  connectionError(state: string, channel: number, error: AmqpError, key: number): void {
    const fields = { ...this.#fields, channel };
    const who = this.#who([`state: ${state}`]);
    const line = `Error on AMQP connection ${who}, channel ${channel}: operation ${operationName(key)} ${causeText(error)}`;
    // A client that is told to go has done nothing wrong.
    if (error.replyName === "CONNECTION_FORCED") this.#log.info(fields, line);
    else this.#log.warn(fields, line);
  }

  internalError(error: unknown): void {
    this.#log.error(
      { ...this.#fields, error },
      `internal error on AMQP connection ${this.#who()} while serving a method`,
    );
  }

  wrongProtocol(header: Buffer): void {
    const bytes = header.toString("latin1");
    const found = otherProtocols.find(([all]) => all.some((some) => bytes.startsWith(some)));
    const hint = found?.[1] ?? "AMQP 0-9-1 is spoken here";
    this.lost(`bad protocol header ${JSON.stringify(bytes)}: ${hint}`);
  }

  /** It ends in another way than it should; nothing more is said of it. */
  lost(why: string): void {
    this.#log.warn(this.#fields, `closing AMQP connection ${this.#who()}: ${why}`);
    this.#saidEnd = true;
  }

  /** The socket is gone. */
  closed(spoke: boolean, orderly: boolean): void {
    if (this.#saidEnd) return;
    if (!spoke && this.#tls) {
      this.lost("the client went right after the TLS handshake: it may not trust the certificate");
    } else if (!spoke) {
      // A load balancer that looks whether somebody is there.
      this.#log.debug(this.#fields, `connection ${this.#name} closed before it began`);
    } else if (orderly) {
      const duration = durationText(this.#clock.now() - this.#beganMs);
      const who = this.#who([`duration: '${duration}'`]);
      this.#log.info(this.#fields, `closing AMQP connection ${who}`);
    } else {
      this.lost("client unexpectedly closed TCP connection");
    }
  }
}
