/**
 * Retries without a busy loop: work that fails waits in a second queue and comes back by itself.
 *
 * A rejected message goes to the dead letter exchange of its queue. There it lands in a queue that nobody
 * reads and where messages expire; what expires is dead-lettered back to the first queue. The broker counts
 * the rounds in the x-death header, and after three tries the worker gives up.
 *
 *     node examples/retry.mjs [amqp://guest:guest@127.0.0.1:5672]
 */
import { connect } from "amqplib";

const url = process.argv[2] ?? process.env.BROKER_URL ?? "amqp://guest:guest@127.0.0.1:5672";
const work = "example.payments";
const retry = "example.payments.retry";
const failed = "example.payments.failed";
const triesMax = 3;

const connection = await connect(url);
const channel = await connection.createChannel();

// The exchange named "" sends a message to the queue that its routing key names, so no bindings are needed.
await channel.assertQueue(work, { deadLetterExchange: "", deadLetterRoutingKey: retry });
await channel.assertQueue(retry, {
  messageTtl: 100,
  deadLetterExchange: "",
  deadLetterRoutingKey: work,
});
await channel.assertQueue(failed);

channel.sendToQueue(work, Buffer.from("payment 17"));

await new Promise((whenGivenUp) => {
  channel.consume(work, (message) => {
    if (message === null) return;
    // One entry for each queue and reason; `count` says how often it happened.
    const deaths = message.properties.headers["x-death"] ?? [];
    const rejections = deaths.find(({ queue, reason }) => queue === work && reason === "rejected");
    const tries = (rejections?.count ?? 0) + 1;
    console.log(`try ${tries}: ${message.content} fails`);

    if (tries < triesMax) {
      // false: do not put it back at once, let the dead letter exchange have it.
      channel.reject(message, false);
    } else {
      channel.sendToQueue(failed, message.content);
      channel.ack(message);
      whenGivenUp();
    }
  });
});

const { content } = await channel.get(failed, { noAck: true });
console.log(`gave up after ${triesMax} tries: ${content} is in ${failed}`);

for (const queue of [work, retry, failed]) await channel.deleteQueue(queue);
await connection.close();
