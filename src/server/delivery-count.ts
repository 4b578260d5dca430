/**
 * The header x-delivery-count, which tells whoever gets a message of a quorum queue how often it has come back [RabbitMQ].
 *
 * The stored message stays as it is: only what is shown of it differs.
 */

import { PropertyScan, rewriteHeader } from "../amqp/properties.ts";
import type { StoredMessage } from "../amqp/stored-message.ts";
import type { Queue } from "../queue/queue.ts";

const HEADER = "x-delivery-count";
const properties = new PropertyScan();

/** `message` has just been opened, and shows the count of the message at `position` if it has one. */
export function showDeliveryCount(queue: Queue, position: number, message: StoredMessage): void {
  const count = queue.deliveryCount(position);
  if (count === 0) return;
  properties.scan(message.buffer, message.headerStart, message.headerEnd);
  const headers = properties.decodeHeaders().set(HEADER, { type: "l", value: BigInt(count) });
  message.shownHeader = rewriteHeader(properties, { headers });
  properties.release();
}
