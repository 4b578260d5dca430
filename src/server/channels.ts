/**
 * The channels of a connection: opened, closed by either side, and found by their number.
 *
 * It says what opening and closing says on the wire; which error closes what is the connection's to decide. A content refers
 * to the chunk in which it came until the chunk has been read: one at a time, and this keeps which.
 */

import type { Content } from "../amqp/content.ts";
import { AmqpError, NO_METHOD } from "../amqp/errors.ts";
import { type MethodArguments, methodKey, methods } from "../amqp/methods.ts";
import { Channel } from "./channel.ts";
import type { Connection } from "./connection.ts";

const CHANNEL_CLOSE = methodKey(...methods["channel.close"].id);
const CHANNEL_CLOSE_OK = methodKey(...methods["channel.close-ok"].id);

export class Channels {
  readonly #connection: Connection;
  readonly #channels: (Channel | undefined)[] = [];
  /** Those that this side is closing: what comes for them is dropped until the client agrees. */
  readonly #closing = new Set<number>();
  /** The content whose ranges point into the chunk that is being read. */
  #borrowing: Content | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get(number: number): Channel | undefined {
    return this.#channels[number];
  }

  isClosing(number: number): boolean {
    return this.#closing.has(number);
  }

  get count(): number {
    let count = 0;
    for (const _ of this) count++;
    return count;
  }

  *[Symbol.iterator](): Iterator<Channel> {
    for (const channel of this.#channels) if (channel !== undefined) yield channel;
  }

  wakeConsumers(): void {
    for (const channel of this.#channels) channel?.wakeConsumers();
  }

  // -- opening and closing

  /** Opens one; throws NOT_ALLOWED above `channelMax`, or beyond what the user may have. */
  open(number: number, channelMax: number): void {
    const connection = this.#connection;
    const { host, user } = connection;
    if (number > channelMax) {
      throw new AmqpError(
        "NOT_ALLOWED",
        `number of channels opened (${channelMax}) has reached the negotiated channel_max (${channelMax})`,
        { method: NO_METHOD },
      );
    }
    host.connections.checkNewChannel(host.users.find(user.name) ?? user);
    this.#channels[number] = new Channel(number, connection, connection.vhost);
    host.churn.channelCreated++;
    connection.output.method(number, "channel.open-ok", { channelId: Buffer.alloc(0) });
    connection.writer.grew();
  }

  closedByClient(channel: Channel): void {
    this.#remove(channel);
    this.#closeOk(channel.number);
  }

  #closeOk(number: number): void {
    this.#connection.output.method(number, "channel.close-ok", {});
    this.#connection.writer.grew();
  }

  /** This side closes one. */
  close(channel: Channel, reason: MethodArguments<"channel.close">): void {
    this.#remove(channel);
    this.#closing.add(channel.number);
    this.#connection.output.method(channel.number, "channel.close", reason);
    this.#connection.writer.grew();
  }

  /** A method for one that is being closed. */
  closingMethod(number: number, key: number): void {
    if (key === CHANNEL_CLOSE) this.#closeOk(number);
    else if (key === CHANNEL_CLOSE_OK) this.#closing.delete(number);
  }

  #remove(channel: Channel): void {
    this.#channels[channel.number] = undefined;
    this.#connection.host.churn.channelClosed++;
    if (this.#borrowing === channel.content) this.#borrowing = undefined;
    channel.close();
  }

  /** All of them end. */
  release(): void {
    // First all consumers: none may take what another channel gives back.
    for (const channel of this) channel.cancelAll();
    for (const channel of this) this.#remove(channel);
  }

  // -- contents

  /** From now on `content` refers to the chunk; another one that does is copied, so that one at most is to be watched. */
  borrow(content: Content): void {
    if (this.#borrowing === content) return;
    this.#borrowing?.detach();
    this.#borrowing = content;
  }

  /** The chunk has been read. */
  endChunk(): void {
    this.#borrowing?.detach();
    this.#borrowing = undefined;
  }
}
