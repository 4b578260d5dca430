/**
 * The table of handlers: what each method that a client may send on a channel does.
 *
 * It is complete by its type: a method added to the method table does not compile until it has its handler here. Handlers
 * throw; the connection turns what they throw into a close.
 */

import { AmqpError } from "../amqp/errors.ts";
import type { ClientMethodName, Method, MethodArguments } from "../amqp/methods.ts";
import { basicHandlers } from "./basic-handlers.ts";
import type { Channel } from "./channel.ts";
import { exchangeHandlers } from "./exchange-handlers.ts";
import { queueHandlers } from "./queue-handlers.ts";

/** Methods that the connection serves itself, because they open and close things. */
type ConnectionsOwn =
  | Extract<ClientMethodName, `connection.${string}`>
  | "channel.open"
  | "channel.close"
  | "channel.close-ok"
  | "basic.publish";

export type ChannelMethodName = Exclude<ClientMethodName, ConnectionsOwn>;

export type Handler<Name extends ChannelMethodName> = (
  channel: Channel,
  args: MethodArguments<Name>,
) => void;

/** The handlers of some methods. */
export type HandlersOf<Names extends ChannelMethodName> = {
  readonly [Name in Names]: Handler<Name>;
};

const channelHandlers: HandlersOf<
  Extract<ChannelMethodName, `${"channel" | "access" | "confirm" | "tx"}.${string}`>
> = {
  "channel.flow": (channel, { active }) => {
    if (!active) throw new AmqpError("NOT_IMPLEMENTED", "active=false");
    channel.reply("channel.flow-ok", { active });
  },
  // The server never asks for flow, so nobody has anything to answer.
  "channel.flow-ok": () => {
    throw unimplemented();
  },
  "access.request": (channel) => channel.reply("access.request-ok", { ticket: 1 }),

  "confirm.select": (channel, { noWait }) => {
    if (channel.transaction !== undefined) {
      throw new AmqpError("PRECONDITION_FAILED", "cannot switch from tx to confirm mode");
    }
    channel.publishing.startConfirming();
    if (!noWait) channel.reply("confirm.select-ok", {});
  },

  "tx.select": (channel) => {
    if (channel.publishing.confirming) {
      throw new AmqpError("PRECONDITION_FAILED", "cannot switch from confirm to tx mode");
    }
    channel.startTransaction();
    channel.reply("tx.select-ok", {});
  },
  "tx.commit": (channel) => {
    const { transaction } = channel;
    if (transaction === undefined) throw notTransactional();
    if (!transaction.commit()) throw new AmqpError("PRECONDITION_FAILED", "partial tx completion");
    channel.reply("tx.commit-ok", {});
    // It is not said before it is true.
    const { writer } = channel.connection;
    writer.hold();
    const onFlushed = (): void => {
      transaction.isCommitting = false;
      writer.letGo();
    };
    channel.vhost.store.afterFlush({ onFlushed }, true);
  },
  "tx.rollback": (channel) => {
    if (channel.transaction === undefined) throw notTransactional();
    channel.transaction.rollback();
    channel.reply("tx.rollback-ok", {});
  },
};

function unimplemented(): AmqpError {
  return new AmqpError("COMMAND_INVALID", "unimplemented method");
}

function notTransactional(): AmqpError {
  return new AmqpError("PRECONDITION_FAILED", "channel is not transactional");
}

const handlers: HandlersOf<ChannelMethodName> = {
  ...channelHandlers,
  ...exchangeHandlers,
  ...queueHandlers,
  ...basicHandlers,
};

/** Serves a method that is not the connection's own. A server's method sent by a client is a COMMAND_INVALID. */
export function handle(channel: Channel, method: Method): void {
  const handler = handlers[method.name as ChannelMethodName] as
    | Handler<ChannelMethodName>
    | undefined;
  if (handler === undefined) throw unimplemented();
  handler(channel, method.arguments as never);
}
