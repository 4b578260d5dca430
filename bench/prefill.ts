/** Messages that are in a queue before anything is measured. */

import type { Client } from "./client.ts";
import { METHOD, queueDeclare } from "./methods.ts";
import type { Publisher } from "./publisher.ts";
import { type Run, untilDone } from "./run.ts";

/** Publishes so many messages; resolves when the broker has worked them off. The publisher goes on behind them. */
export async function prefill(
  messages: number,
  client: Client,
  queue: string,
  publisher: Publisher,
  run: Run,
): Promise<void> {
  publisher.onIdle = () => {
    while (!publisher.busy && publisher.published < messages) {
      publisher.publish(messages - publisher.published);
    }
  };
  publisher.onIdle();
  await untilDone(
    () => publisher.published === messages && !publisher.busy,
    () => publisher.published,
    () => `${publisher.published} published`,
  );
  run.progress(`${messages} messages wait in the queue`);
  // Publishing and declaring share the channel: the reply comes when all of it was worked off.
  await client.call(queueDeclare(queue, { passive: true }), METHOD.queueDeclareOk);
}
