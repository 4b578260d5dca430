/** A message of the broker's own, as if a client had published it. */

import { type BasicProperties, writeHeader } from "../amqp/basic-properties.ts";
import { ByteWriter } from "../amqp/byte-writer.ts";
import type { Exchange } from "../exchange/exchange.ts";
import { Publication } from "./publication.ts";

/** Exchange and routing key, as basic.publish has them. */
function routingBytes(exchange: string, routingKey: string): Buffer {
  const writer = new ByteWriter();
  writer.shortstr(exchange);
  writer.shortstr(routingKey);
  return writer.bytes();
}

/** Names and texts are at most 255 bytes long. */
export function makePublication(
  exchange: Exchange,
  routingKey: string,
  properties: BasicProperties,
  body: Buffer,
): Publication {
  const routing = routingBytes(exchange.name, routingKey);
  const header = writeHeader(properties, body.length);
  const publication = new Publication();
  publication.exchange = exchange;
  publication.routingKey = routingKey;
  publication.load({
    ...{ routingBuffer: routing, routingStart: 0, routingEnd: routing.length },
    ...{ headerBuffer: header, headerStart: 0, headerEnd: header.length },
    ...{ bodyBuffer: body, bodyStart: 0, bodyEnd: body.length },
    contiguous: false,
  });
  return publication;
}
