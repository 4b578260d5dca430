/** One thing outstanding at a time: requests with a reply, and single gets. */

import { performance } from "node:perf_hooks";
import type { Client } from "./client.ts";
import { Consumer } from "./consumer.ts";
import { between } from "./figures.ts";
import { Latencies } from "./latencies.ts";
import { basicAck, basicConsume, basicGet, METHOD } from "./methods.ts";
import { prefill } from "./prefill.ts";
import { properties } from "./properties.ts";
import { Publisher } from "./publisher.ts";
import type { GetRow, RpcRow } from "./rows.ts";
import { markWindow, openClients, repeat, type Scenario, untilDone } from "./run.ts";

const REQUESTS = 1;
const REPLIES = 2;

/**
 * Requester and replier have a connection each; both queues are ordinary ones, as old as RPC over
 * AMQP.
 */
export const measureRpc: Scenario<RpcRow> = async (row, run) => {
  const [requester, replier] = (await openClients(2, run)) as [Client, Client];
  const requestQueue = await run.topology.queue(replier, `${row.id}.requests`);
  const replyQueue = await run.topology.queue(requester, `${row.id}.replies`);
  const requestProperties = properties("rpc", run.address.user, replyQueue);
  const replyProperties = properties("none", run.address.user);
  const { bodyBytes } = row;
  const [request, reply] = [
    { bodyBytes, stream: REQUESTS, properties: requestProperties },
    { bodyBytes, stream: REPLIES, properties: replyProperties },
  ];

  const requests = new Consumer(replier, { ...request, ackEvery: 0 });
  const replies = new Consumer(requester, { ...reply, ackEvery: 0 });
  await replier.call(basicConsume(requestQueue, true), METHOD.basicConsumeOk);
  await requester.call(basicConsume(replyQueue, true), METHOD.basicConsumeOk);
  const toReplier = { exchange: "", routingKeys: [requestQueue], ...request };
  const toRequester = { exchange: "", routingKeys: [replyQueue], ...reply };
  const requestPublisher = new Publisher(requester, toReplier);
  const replyPublisher = new Publisher(replier, toRequester);

  const latencies = new Latencies();
  const measuredFrom = performance.now() + run.warmUpSeconds * 1000;
  let running = true;
  let sentAt = 0;
  const send = (): void => {
    sentAt = performance.now();
    requestPublisher.publish(1);
  };
  requests.onMessage = () => replyPublisher.publish(1);
  replies.onMessage = () => {
    if (sentAt >= measuredFrom) latencies.record(performance.now() - sentAt);
    if (running) send();
  };
  send();
  const [from, to] = await markWindow(run, () => replies.received);
  running = false;
  await untilDone(
    () => replies.received === requestPublisher.published,
    () => replies.received,
    () => `${requestPublisher.published} requests, ${replies.received} replies`,
  );
  for (const client of [requester, replier]) await client.close();
  return between(from, to, latencies.figures());
};

export const measureGets: Scenario<GetRow> = async (row, run) => {
  const [client] = (await openClients(1, run)) as [Client];
  const queue = await run.topology.queue(client, row.id);
  const noProperties = properties("none", run.address.user);
  const { bodyBytes } = row;
  const message = { bodyBytes, stream: REQUESTS, properties: noProperties };
  await prefill(
    row.messages,
    client,
    queue,
    new Publisher(client, { exchange: "", routingKeys: [queue], ...message }),
    run,
  );

  const got = new Consumer(client, { ...message, ackEvery: 0 });
  const latencies = new Latencies();
  const getAndAck = async (): Promise<void> => {
    const sentAt = performance.now();
    const arrived = new Promise<void>((resolve) => {
      got.onMessage = () => resolve();
    });
    await client.call(basicGet(queue, false), METHOD.basicGetOk);
    await arrived;
    latencies.record(performance.now() - sentAt);
    client.socket.write(basicAck(got.received, false));
  };
  const [from, to] = await repeat(run, getAndAck, row.messages);
  run.topology.expectLeft(queue, row.messages - got.received);
  await client.close();
  return between(from, to, latencies.figures());
};
