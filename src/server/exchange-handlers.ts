/** The methods of exchanges [exchange]. */

import { AmqpError } from "../amqp/errors.ts";
import { stripLineEnds } from "../broker/names.ts";
import type { ChannelMethodName, HandlersOf } from "./handlers.ts";

/** The default exchange takes part in no binding. */
function checkNotDefault(name: string): void {
  if (name === "") {
    throw new AmqpError("ACCESS_REFUSED", "operation not permitted on the default exchange");
  }
}

export const exchangeHandlers: HandlersOf<Extract<ChannelMethodName, `exchange.${string}`>> = {
  "exchange.declare": (channel, args) => {
    const { exchanges } = channel.vhost;
    if (args.passive) exchanges.named(args.exchange);
    else exchanges.declare({ ...args, name: args.exchange });
    if (!args.noWait) channel.reply("exchange.declare-ok", {});
  },

  "exchange.delete": (channel, { exchange, ifUnused, noWait }) => {
    channel.vhost.exchanges.delete(exchange, ifUnused);
    if (!noWait) channel.reply("exchange.delete-ok", {});
  },

  "exchange.bind": (channel, args) => {
    const { exchanges } = channel.vhost;
    checkNotDefault(args.destination);
    // Of two that are missing the source is named [RabbitMQ].
    exchanges.named(args.source);
    exchanges.bind(args.source, exchanges.named(args.destination), args.routingKey, args.arguments);
    if (!args.noWait) channel.reply("exchange.bind-ok", {});
  },

  "exchange.unbind": (channel, args) => {
    const { exchanges } = channel.vhost;
    checkNotDefault(args.destination);
    const bound = exchanges.find(stripLineEnds(args.destination));
    if (bound !== undefined) exchanges.unbind(args.source, bound, args.routingKey, args.arguments);
    if (!args.noWait) channel.reply("exchange.unbind-ok", {});
  },
};
