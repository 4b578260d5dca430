/** Makes kept messages for tests of what is done with them. */
import { StoredMessage, writeMessage } from "../../src/amqp/stored-message.ts";
import { encodeModel, type Properties, shortstr } from "./header-model.ts";

export interface MessageParts {
  exchange?: string;
  routingKey?: string;
  properties?: Properties;
  body?: Buffer;
}

/** A message in a room of its own, opened. */
export function storedMessage(parts: MessageParts): StoredMessage {
  const { exchange = "", routingKey = "", properties = new Map(), body = Buffer.alloc(0) } = parts;
  const header = encodeModel({ bodyBytes: body.length, properties });
  const routing = Buffer.concat([shortstr(exchange), shortstr(routingKey)]);
  const source = {
    ...{ routingBuffer: routing, routingStart: 0, routingEnd: routing.length },
    ...{ headerBuffer: header, headerStart: 0, headerEnd: header.length },
    ...{ bodyBuffer: body, bodyStart: 0, bodyEnd: body.length },
    contiguous: false,
  };
  const buffer = Buffer.alloc(routing.length + header.length + body.length + 100);
  const room = { buffer, view: new DataView(buffer.buffer, buffer.byteOffset, buffer.length) };
  writeMessage(room, 11, source, { ttlMs: -1, hasDeaths: false, hiddenKeys: undefined }, 0);
  const message = new StoredMessage();
  message.open(room, 11);
  return message;
}
