/** When a consumer is given more: once for all acknowledgements that come together, and before whatever follows them. */
import { beforeEach, describe, expect, test } from "vitest";
import {
  basicAck,
  basicConsume,
  basicGet,
  basicPublish,
  basicQos,
  CHANNEL,
  contentHeader,
  queueDeclare,
} from "../../bench/methods.ts";
import { properties } from "../../bench/properties.ts";
import { FRAME_BODY, FRAME_METHOD, frame } from "../../bench/wire.ts";
import { FRAME_OVERHEAD_BYTES } from "../../src/amqp/frame-parser.ts";
import { CountedBroker, type CountedStream } from "../performance/counted-broker.ts";

const DELIVER = 60;
const GET_OK = 71;

let broker: CountedBroker;
let client: CountedStream;

beforeEach(() => {
  broker = new CountedBroker();
  client = broker.connect();
  broker.arrive(client, queueDeclare("queue", {}));
  for (const body of ["1", "2", "3", "4", "5", "6"]) broker.arrive(client, publication(body));
  broker.arrive(client, Buffer.concat([basicQos(2), basicConsume("queue", false)]));
});

function publication(text: string): Buffer {
  const body = Buffer.from(text);
  const header = contentHeader(body.length, properties("none", "guest"));
  return Buffer.concat([basicPublish("", "queue"), header, frame(FRAME_BODY, CHANNEL, body)]);
}

/** Of each message in the last write: the method that brought it, and its body. */
function said(): [method: number, body: string][] {
  const messages: [number, string][] = [];
  const bytes = client.lastWritten;
  let method = 0;
  for (let at = 0; at < bytes.length; at += FRAME_OVERHEAD_BYTES + bytes.readUInt32BE(at + 3)) {
    if (bytes[at] === FRAME_METHOD) method = bytes.readUInt16BE(at + 9);
    if (bytes[at] === FRAME_BODY) messages.push([method, String.fromCharCode(bytes[at + 7]!)]);
  }
  return messages;
}

describe("acknowledgements that come together", () => {
  test("bring as many messages, in order", () => {
    broker.arrive(client, Buffer.concat([basicAck(2, false), basicAck(1, false)]));
    expect(said()).toEqual([
      [DELIVER, "3"],
      [DELIVER, "4"],
    ]);
  });

  test("bring them before what follows takes any", () => {
    broker.arrive(client, Buffer.concat([basicAck(1, false), basicGet("queue", true)]));
    expect(said()).toEqual([
      [DELIVER, "3"],
      [GET_OK, "4"],
    ]);
  });

  test("are settled although an unknown one follows, which closes the channel", () => {
    const [queue] = broker.host.virtualHosts.get("/").queues.all();
    broker.arrive(client, Buffer.concat([basicAck(1, false), basicAck(9, false)]));
    expect([queue!.readyCount, queue!.unackedCount, queue!.counts.ack]).toEqual([5, 0, 1]);
  });
});
