/** The methods of exchanges [exchange]. */

import { checkBinding } from "../broker/binding.ts";
import { stripLineEnds } from "../broker/names.ts";
import type { ChannelMethodName, HandlersOf } from "./handlers.ts";

export const exchangeHandlers: HandlersOf<Extract<ChannelMethodName, `exchange.${string}`>> = {
  "exchange.declare": (channel, args) => {
    const { exchanges } = channel.vhost;
    if (args.passive) exchanges.named(args.exchange);
    else exchanges.declare({ ...args, name: args.exchange }, channel.access);
    if (!args.noWait) channel.reply("exchange.declare-ok", {});
  },

  "exchange.delete": (channel, { exchange, ifUnused, noWait }) => {
    channel.vhost.exchanges.delete(exchange, ifUnused, channel.access);
    if (!noWait) channel.reply("exchange.delete-ok", {});
  },

  "exchange.bind": (channel, args) => {
    const { exchanges } = channel.vhost;
    checkBinding(channel, "exchange", args.destination, args.source, args.routingKey);
    // Of two that are missing the source is named [RabbitMQ].
    exchanges.named(args.source);
    exchanges.bind(args.source, exchanges.named(args.destination), args.routingKey, args.arguments);
    if (!args.noWait) channel.reply("exchange.bind-ok", {});
  },

  "exchange.unbind": (channel, args) => {
    const { exchanges } = channel.vhost;
    checkBinding(channel, "exchange", args.destination, args.source, args.routingKey);
    const bound = exchanges.find(stripLineEnds(args.destination));
    if (bound !== undefined) exchanges.unbind(args.source, bound, args.routingKey, args.arguments);
    if (!args.noWait) channel.reply("exchange.unbind-ok", {});
  },
};
