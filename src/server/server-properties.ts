/**
 * What the broker says about itself in connection.start.
 *
 * Clients branch on product, version and capabilities, so these are RabbitMQ's; `information` says who speaks.
 */

import { type FieldTable, longstr } from "../amqp/field-table.ts";
import { RABBITMQ_VERSION, version } from "../config.ts";

const capabilities = [
  "publisher_confirms",
  "exchange_exchange_bindings",
  "basic.nack",
  "consumer_cancel_notify",
  "connection.blocked",
  "consumer_priorities",
  "authentication_failure_close",
  "per_consumer_qos",
  "direct_reply_to",
] as const;

export function serverProperties(clusterName: string): FieldTable {
  return new Map([
    [
      "capabilities",
      { type: "F", value: new Map(capabilities.map((name) => [name, { type: "t", value: true }])) },
    ],
    ["cluster_name", longstr(clusterName)],
    ["copyright", longstr("Copyright (c) the Leveret authors")],
    ["information", longstr(`Leveret ${version}, licensed under the Apache License 2.0`)],
    ["platform", longstr(`Node.js ${process.version}`)],
    ["product", longstr("RabbitMQ")],
    ["version", longstr(RABBITMQ_VERSION)],
  ]);
}
