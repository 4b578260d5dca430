/**
 * A connection: bytes in, frames to channels, bytes out at the end of the turn, and an end for every case.
 *
 * It works on any duplex stream and knows no listener. Within a turn what it has to say only collects in its writer. Whatever
 * a client does wrong ends at `#fail`, with the close that RabbitMQ sends, and concerns nobody else.
 */

import type { Duplex } from "node:stream";
import { longAt, longlongAt } from "../amqp/byte-reader.ts";
import { type Content, EXPECT_METHOD, unexpectedFrameFor } from "../amqp/content.ts";
import { AmqpError } from "../amqp/errors.ts";
import {
  FRAME_BODY,
  FRAME_HEADER,
  FRAME_HEARTBEAT,
  FRAME_METHOD,
  type FrameHandler,
  FrameParser,
  unexpectedFrame,
} from "../amqp/frame-parser.ts";
import { decodeMethod } from "../amqp/method-codec.ts";
import { type Method, type MethodArguments, methodKey, methods } from "../amqp/methods.ts";
import type { Output } from "../amqp/output.ts";
import type { Access } from "../broker/access.ts";
import type { Publisher } from "../broker/alarm.ts";
import type { ClientChannel, ClientConnection, ConnectionInfo } from "../broker/connections.ts";
import type { Host } from "../broker/host.ts";
import type { User } from "../broker/users.ts";
import type { VirtualHost } from "../broker/vhost.ts";
import type { Timer } from "../clock.ts";
import type { TurnTask } from "../turn.ts";
import type { Channel } from "./channel.ts";
import { Channels } from "./channels.ts";
import { ConnectionLog } from "./connection-log.ts";
import { handle } from "./handlers.ts";
import {
  Handshake,
  type HandshakeResult,
  PROTOCOL_HEADER_BYTES,
  protocolHeader,
} from "./handshake.ts";
import { Heartbeat } from "./heartbeat.ts";
import { connectionName, type Peer, providedName } from "./peer.ts";
import { readChunks } from "./reads.ts";
import { settle } from "./settling.ts";
import { Writer } from "./writer.ts";

/** How long a peer may take to answer connection.close, or to end its side after a close. */
const CLOSE_TIMEOUT_MS = 5000;

const NO_BYTES = Buffer.alloc(0);

const PUBLISH = methodKey(...methods["basic.publish"].id);
const ACK = methodKey(...methods["basic.ack"].id);
const CHANNEL_OPEN = methodKey(...methods["channel.open"].id);
const CHANNEL_CLOSE = methodKey(...methods["channel.close"].id);
const CONNECTION_CLOSE = methodKey(...methods["connection.close"].id);
const CONNECTION_CLOSE_OK = methodKey(...methods["connection.close-ok"].id);

/**
 * A client is not read from any more in a turn in which it has sent that much: what it publishes goes to consumers in the
 * same turn then, and waits in no queue until these have been written to (`TURN_BYTES_MAX` in writer.ts is larger).
 */
const TURN_BYTES_MAX = 1 << 18;

type State = "header" | "handshake" | "running" | "closing" | "closed";

export class Connection implements FrameHandler, Publisher, ClientConnection, TurnTask {
  readonly host: Host;
  readonly output: Output;
  readonly writer: Writer;
  readonly name: string;
  readonly #log: ConnectionLog;
  readonly #peer: Peer;
  readonly #connectedAtMs: number;
  readonly #stream: Duplex;
  readonly #parser: FrameParser;
  readonly #handshake: Handshake;
  readonly #channels: Channels;
  #state: State = "header";
  #header: Buffer = NO_BYTES;
  #timer: Timer | undefined;
  #heartbeat: Heartbeat | undefined;
  #session: HandshakeResult | undefined;
  /** See `wakeSoon`. */
  #waking: Channel | undefined;
  #isBlocked = false;
  /** Read in this turn, and whether that is enough. */
  #turnBytes = 0;
  #isFull = false;
  /** To which the last body bytes belong. */
  #lastContent: Content | undefined;
  #receivedBytes = 0;
  #receiveCount = 0;
  readonly #onEnd: (connection: Connection) => void;

  constructor(stream: Duplex, host: Host, peer: Peer, onEnd: (connection: Connection) => void) {
    this.#stream = stream;
    this.host = host;
    this.name = connectionName(peer);
    this.#peer = peer;
    this.#log = new ConnectionLog(host.log, host.clock, peer);
    this.#connectedAtMs = host.clock.now();
    this.#onEnd = onEnd;
    this.writer = new Writer(stream, host.turn, host.settings.frameMax, () =>
      this.#channels.wakeConsumers(),
    );
    this.output = this.writer.output;
    this.#channels = new Channels(this);
    this.#handshake = new Handshake(host, peer);
    this.#parser = new FrameParser(this, this.#handshake.frameMax);
    this.#timer = host.clock.setTimer(host.settings.handshakeTimeoutMs, () =>
      this.#handshakeTimedOut(),
    );
    readChunks(stream, (chunk) => this.#onData(chunk));
    stream.on("error", (error: Error) =>
      host.log.debug({ connection: this.name, error: error.message }, "connection error"),
    );
    stream.on("end", () => {
      if (!stream.writableEnded) stream.end();
    });
    stream.on("close", () => this.#onClose());
  }

  get user(): User {
    return this.#session!.user;
  }

  get vhost(): VirtualHost {
    return this.#session!.vhost;
  }

  get access(): Access {
    return this.#session!.access;
  }

  get channelCount(): number {
    return this.#channels.count;
  }

  channels(): Iterable<ClientChannel> {
    return this.#channels;
  }

  info(): ConnectionInfo {
    const { clientProperties, authMechanism } = this.#session!;
    return {
      name: this.name,
      userProvidedName: providedName(clientProperties),
      user: this.user.name,
      vhost: this.vhost.name,
      peerHost: this.#peer.address,
      peerPort: this.#peer.port,
      host: this.#peer.localAddress,
      port: this.#peer.localPort,
      protocol: "AMQP 0-9-1",
      authMechanism,
      state: this.#isBlocked ? "blocked" : "running",
      clientProperties,
      channels: this.channelCount,
      channelMax: this.#handshake.channelMax,
      frameMax: this.#handshake.frameMax,
      timeout: this.#handshake.heartbeat,
      connectedAt: this.#connectedAtMs,
      tls: this.#peer.tls ?? false,
      receivedBytes: this.#receivedBytes,
      receiveCount: this.#receiveCount,
      sentBytes: this.writer.writtenBytes,
      sendCount: this.writer.writeCount,
    };
  }

  checkConsumerTimeouts(): void {
    for (const channel of this.#channels) {
      try {
        channel.checkConsumerTimeout();
      } catch (error) {
        this.#fail(error, channel.number, 0);
      }
    }
  }

  /** Whether the client wants to be told when a consumer ends by itself. */
  get notifiesCancel(): boolean {
    return this.#session!.notifiesCancel;
  }

  #onData(chunk: Buffer): void {
    this.#receivedBytes += chunk.length;
    this.#receiveCount++;
    this.#heartbeat?.received();
    if (this.#state === "closed") return;
    this.#parse(chunk);
    this.#countRead(chunk.length);
  }

  #countRead(bytes: number): void {
    if (this.#turnBytes === 0) this.host.turn.flushSocket(this);
    this.#turnBytes += bytes;
    if (this.#turnBytes < TURN_BYTES_MAX || this.#isFull) return;
    // Of a body that has begun nobody gets anything yet.
    if (this.#lastContent !== undefined && this.#lastContent.bytesLeft > 0) return;
    this.#isFull = true;
    this.writer.stall();
  }

  /** There is a new turn: it is read on. */
  endTurn(): void {
    this.#turnBytes = 0;
    if (!this.#isFull) return;
    this.#isFull = false;
    this.writer.unstall();
  }

  /** Lets the parser hand over the frames of a chunk, or those that it has kept while it was paused. */
  #parse(chunk: Buffer | undefined): void {
    try {
      if (chunk === undefined) this.#parser.resume();
      else this.#parser.push(this.#state === "header" ? this.#takeHeader(chunk) : chunk);
    } catch (error) {
      // The stream cannot be followed any further.
      this.#parser.stop();
      this.#fail(error, 0, 0);
      this.writer.end();
    }
    this.#wake();
    this.#channels.endChunk();
  }

  /** Reads the protocol header and returns what follows it. */
  #takeHeader(chunk: Buffer): Buffer {
    if (this.#header.length === 0) this.#log.accepting();
    this.#header = Buffer.concat([this.#header, chunk]);
    if (this.#header.length < PROTOCOL_HEADER_BYTES) return NO_BYTES;
    const header = this.#header.subarray(0, PROTOCOL_HEADER_BYTES);
    const rest = this.#header.subarray(PROTOCOL_HEADER_BYTES);
    this.#header = NO_BYTES;
    const answer = protocolHeader(header);
    if (answer === undefined) {
      this.#state = "handshake";
      const start = this.#handshake.start();
      this.output.frame(FRAME_METHOD, 0, start, 0, start.length);
      this.writer.grew();
      return rest;
    }
    this.#log.wrongProtocol(header);
    this.output.raw(answer, 0, answer.length);
    this.#end();
    return NO_BYTES;
  }

  /** `wakeNow` is to be called of this channel, and nothing else before. */
  wakeSoon(channel: Channel): void {
    if (this.#waking !== channel) this.#wake();
    this.#waking = channel;
  }

  #wake(): void {
    const waking = this.#waking;
    this.#waking = undefined;
    waking?.wakeNow();
  }

  onMethodFrame(number: number, buffer: Buffer, start: number, end: number): void {
    const key = longAt(buffer, start) | 0;
    try {
      if (key !== ACK && this.#waking !== undefined) this.#wake();
      const channel = this.#channels.get(number);
      if (channel === undefined) this.#otherMethod(number, key, buffer, start, end);
      else this.#channelMethod(channel, key, buffer, start, end);
    } catch (error) {
      this.#fail(error, number, key);
    }
  }

  #channelMethod(channel: Channel, key: number, buffer: Buffer, start: number, end: number): void {
    channel.expectMethod();
    if (key === PUBLISH) {
      this.#channels.borrow(channel.content);
      channel.content.begin(buffer, start, end);
      const { alarm } = this.host;
      if (alarm.isSet) alarm.block(this);
      return;
    }
    // A publication is looked at when it is whole.
    if (channel.transaction !== undefined && key !== CHANNEL_CLOSE) channel.checkNotCommitting();
    if (key === ACK && end - start === 13) {
      const deliveryTag = longlongAt(buffer, start + 4);
      settle(channel, deliveryTag, (buffer[start + 12]! & 1) !== 0, "ack");
    } else if (key === CHANNEL_OPEN) {
      throw new AmqpError("CHANNEL_ERROR", "second 'channel.open' seen");
    } else if (key === CHANNEL_CLOSE) {
      this.#channels.closedByClient(channel);
    } else {
      handle(channel, decodeMethod(buffer, start, end));
    }
  }

  /** Methods of the connection, those that open and close channels, and those that come too early or too late. */
  #otherMethod(number: number, key: number, buffer: Buffer, start: number, end: number): void {
    if (this.#state === "closing" || this.#state === "closed") {
      if (key === CONNECTION_CLOSE && number === 0) this.#answerClose();
      else if (key === CONNECTION_CLOSE_OK && number === 0) this.#end();
      return;
    }
    if (this.#channels.isClosing(number)) {
      this.#channels.closingMethod(number, key);
      return;
    }
    if (number === 0) {
      this.#connectionMethod(decodeMethod(buffer, start, end));
    } else if (this.#state !== "running") {
      throw unexpectedFrame(FRAME_METHOD, buffer, start, end);
    } else if (key === CHANNEL_OPEN) {
      this.#channels.open(number, this.#handshake.channelMax);
    } else {
      throw new AmqpError("CHANNEL_ERROR", "expected 'channel.open'");
    }
  }

  #connectionMethod(method: Method): void {
    if (method.name === "connection.close") {
      this.#answerClose();
    } else if (this.#state === "handshake") {
      this.#handshakeMethod(method);
    } else if (method.name === "connection.update-secret") {
      this.output.method(0, "connection.update-secret-ok", {});
      this.writer.grew();
    } else {
      throw new AmqpError("CHANNEL_ERROR", "unexpected method in connection state running");
    }
  }

  #handshakeMethod(method: Method): void {
    const reply = this.#handshake.receive(method);
    if (reply.name === "refused") {
      // Without the capability a client takes a closed socket for a refusal [RabbitMQ].
      this.#log.loginRefused(reply.mechanism, reply.userName, reply.reason);
      if (reply.error === undefined) this.#end();
      else this.#close(reply.error, 0);
      return;
    }
    if (reply.name === "connection.tune") {
      this.output.method(0, reply.name, reply.arguments);
    } else if (reply.name === "tuned") {
      this.output.frameMax = reply.frameMax;
      this.#parser.limitFrames(reply.frameMax);
      this.#startHeartbeat(reply.heartbeat);
    } else {
      this.#opened(reply.result);
    }
    this.writer.grew();
  }

  #startHeartbeat(seconds: number): void {
    if (seconds === 0) return;
    const { clock, turn } = this.host;
    this.#heartbeat = new Heartbeat(seconds, clock, turn, {
      // While it is not read from, a client cannot be heard.
      hears: () => !this.writer.stalled,
      spoke: () => {
        const { spoke } = this.writer;
        this.writer.spoke = false;
        return spoke;
      },
      send: () => {
        this.output.frame(FRAME_HEARTBEAT, 0, this.#header, 0, 0);
        this.writer.grew();
      },
      expired: () => {
        this.#log.lost(`missed heartbeats from client, timeout: ${seconds}s`);
        this.#stream.destroy();
      },
    });
  }

  #opened(result: HandshakeResult): void {
    this.#session = result;
    this.#state = "running";
    this.#timer?.cancel();
    this.host.connections.add(this);
    this.output.method(0, "connection.open-ok", { knownHosts: "" });
    const { user, vhost, clientProperties } = result;
    this.#log.opened(user.name, vhost.name, providedName(clientProperties));
  }

  onHeaderFrame(number: number, buffer: Buffer, start: number, end: number): void {
    this.#onContent(number, buffer, start, end, true);
  }

  onBodyBytes(number: number, buffer: Buffer, start: number, end: number): void {
    this.#onContent(number, buffer, start, end, false);
  }

  #onContent(number: number, buffer: Buffer, start: number, end: number, isHeader: boolean): void {
    if (this.#state === "closing" || this.#state === "closed") return;
    const channel = this.#channels.get(number);
    try {
      if (channel === undefined) {
        if (this.#channels.isClosing(number)) return;
        if (this.#state === "running" && number !== 0) throw unexpectedFrameFor(EXPECT_METHOD);
        throw unexpectedFrame(isHeader ? FRAME_HEADER : FRAME_BODY, buffer, start, end);
      } else if (isHeader) {
        this.#channels.borrow(channel.content);
        channel.onHeader(buffer, start, end);
      } else {
        this.#lastContent = channel.content;
        channel.onBody(buffer, start, end);
      }
    } catch (error) {
      this.#fail(error, number, PUBLISH);
    }
  }

  onHeartbeat(): void {}

  /** Nothing is read until there is room again, not even the rest of the publication; a client that can be told is told. */
  blocked(reason: string): void {
    this.#isBlocked = true;
    this.writer.stall();
    this.#parser.pause();
    this.#tellBlocked("connection.blocked", { reason });
  }

  unblocked(): void {
    this.#tellBlocked("connection.unblocked", {});
    this.#readOn();
  }

  #readOn(): void {
    if (!this.#isBlocked) return;
    this.#isBlocked = false;
    this.writer.unstall();
    this.#parse(undefined);
  }

  #tellBlocked<Name extends "connection.blocked" | "connection.unblocked">(
    name: Name,
    args: MethodArguments<Name>,
  ): void {
    if (this.#state !== "running" || !this.#session!.notifiesBlocked) return;
    this.output.method(0, name, args);
    this.writer.grew();
  }

  /** The one place where an error becomes a close. `key` is the failing method's, 0 when there is none. */
  #fail(error: unknown, number: number, key: number): void {
    if (this.#state === "closing" || this.#state === "closed") return;
    const amqpError = error instanceof AmqpError ? error : this.#internalError(error);
    const channel = this.#channels.get(number);
    if (amqpError.closes === "channel" && channel !== undefined) {
      this.#log.channelError(number, amqpError, key);
      this.#channels.close(channel, closeArguments(amqpError, key));
    } else {
      this.#close(amqpError, key, number);
    }
  }

  #internalError(error: unknown): AmqpError {
    this.#log.internalError(error);
    return new AmqpError("INTERNAL_ERROR", "the broker's log says more");
  }

  /** Closes the connection from this side, for an error or because the broker wants it. */
  #close(error: AmqpError, key: number, number = 0): void {
    const state = this.#state === "handshake" ? this.#handshake.state : this.#state;
    this.#log.connectionError(state, number, error, key);
    const wasOpen = this.#state !== "header";
    this.#release();
    this.#state = "closing";
    if (wasOpen) {
      this.output.method(0, "connection.close", closeArguments(error, key));
      this.writer.grew();
    }
    this.#timer?.cancel();
    this.#timer = this.host.clock.setTimer(CLOSE_TIMEOUT_MS, () => this.#stream.destroy());
    // The answer is to be heard, whatever is low.
    this.#readOn();
  }

  /** Asks the client to go, as when the broker stops or an operator wants it. */
  close(error: AmqpError): void {
    if (this.#state === "closing" || this.#state === "closed") return;
    this.#close(error, 0);
  }

  /** The client closes: everything it had is gone before it hears so. */
  #answerClose(): void {
    this.#release();
    this.output.method(0, "connection.close-ok", {});
    this.#end();
  }

  /** Sends what has been said, then ends this side, and the other one too if it does not. */
  #end(): void {
    this.#state = "closed";
    this.#parser.stop();
    this.writer.end();
    this.#timer?.cancel();
    this.#timer = this.host.clock.setTimer(CLOSE_TIMEOUT_MS, () => this.#stream.destroy());
  }

  #handshakeTimedOut(): void {
    const { state } = this.#handshake;
    this.#log.lost(`handshake timeout in state ${state}: the client does not go on`);
    this.#stream.destroy();
  }

  /** Gives back what the connection holds: channels first, then its exclusive queues. */
  #release(): void {
    this.#heartbeat?.stop();
    this.host.alarm.forget(this);
    if (this.#session !== undefined) this.host.connections.remove(this);
    this.#channels.release();
    this.#session?.vhost.connectionClosed(this);
  }

  #onClose(): void {
    this.#timer?.cancel();
    const spoke = this.#state !== "header" || this.#header.length > 0;
    this.#log.closed(spoke, this.#state === "closing" || this.#state === "closed");
    this.#release();
    this.#state = "closed";
    this.#onEnd(this);
  }
}

function closeArguments(error: AmqpError, key: number): MethodArguments<"connection.close"> {
  const { replyCode, replyText, method = [key >>> 16, key & 0xffff] } = error;
  return { replyCode, replyText, classId: method[0], methodId: method[1] };
}
