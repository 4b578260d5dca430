/** The aliveness test: declares a queue, and sends a message through it. Clients compare the reply byte by byte. */

import { StoredMessage } from "../amqp/stored-message.ts";
import { makePublication } from "../broker/make-publication.ts";
import { type Call, ok, type Reply, type Route } from "./route.ts";

const QUEUE = "aliveness-test";
const BODY = Buffer.from("test_message");

function testAliveness(call: Call): Reply {
  const { vhost } = call;
  const declaration = {
    ...{ name: QUEUE, durable: false, exclusive: false, autoDelete: false },
    arguments: new Map(),
  };
  const queue = vhost.declareQueue(declaration, {}, call.accessTo(vhost));
  vhost.enqueue(makePublication(vhost.exchanges.get(""), QUEUE, new Map(), BODY), [queue]);
  const taken = vhost.take(queue, new StoredMessage());
  if (taken !== undefined) queue.settle(taken.position);
  return ok({ status: "ok" });
}

export const alivenessRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/aliveness-test/:vhost",
    needs: "management",
    summary: "Declares a queue, and sends a message through it",
    handle: testAliveness,
  },
];
