/**
 * A work queue: tasks wait in a durable queue, and each goes to one of two workers.
 *
 * A worker takes one task at a time (prefetch 1) and acknowledges it when it is done: a busy worker gets
 * nothing new, and the task of a worker that dies goes to the other one.
 *
 *     node examples/work-queue.mjs [amqp://guest:guest@127.0.0.1:5672]
 */
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "amqplib";

const url = process.argv[2] ?? process.env.BROKER_URL ?? "amqp://guest:guest@127.0.0.1:5672";
const queue = "example.tasks";
const taskCount = 10;

const connection = await connect(url);
const publisher = await connection.createConfirmChannel();

// A durable queue and persistent messages: together they survive a restart of the broker.
await publisher.assertQueue(queue, { durable: true });
for (let n = 1; n <= taskCount; n++) {
  publisher.sendToQueue(queue, Buffer.from(`task ${n}`), { persistent: true });
}
// From here on the broker answers for them.
await publisher.waitForConfirms();
console.log(`queued ${taskCount} tasks`);

const done = { quick: 0, slow: 0 };

async function startWorker(name, workMs, whenAllDone) {
  const channel = await connection.createChannel();
  await channel.prefetch(1);
  await channel.consume(queue, async (message) => {
    // No message: the broker says that the queue was deleted, which happens below.
    if (message === null) return;
    await sleep(workMs);
    channel.ack(message);
    done[name]++;
    console.log(`the ${name} worker finished ${message.content}`);
    if (done.quick + done.slow === taskCount) whenAllDone();
  });
}

await new Promise((whenAllDone) => {
  startWorker("quick", 10, whenAllDone);
  startWorker("slow", 100, whenAllDone);
});
console.log(`quick: ${done.quick} tasks, slow: ${done.slow} tasks`);

await publisher.deleteQueue(queue);
await connection.close();
