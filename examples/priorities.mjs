/**
 * A priority queue: the most urgent message comes first, and equals keep their order.
 *
 * x-max-priority makes it one (amqplib calls it maxPriority). A few levels are enough; a message without a
 * priority has 0, and one above the maximum counts as the maximum.
 *
 *     node examples/priorities.mjs [amqp://guest:guest@127.0.0.1:5672]
 */
import { connect } from "amqplib";

const url = process.argv[2] ?? process.env.BROKER_URL ?? "amqp://guest:guest@127.0.0.1:5672";
const queue = "example.tickets";
const tickets = [
  { title: "a typo" },
  { title: "a slow page", priority: 2 },
  { title: "the site is down", priority: 5 },
  { title: "another typo" },
  { title: "the shop is down too", priority: 5 },
];

const connection = await connect(url);
const channel = await connection.createConfirmChannel();
await channel.assertQueue(queue, { maxPriority: 5 });

for (const { title, priority } of tickets) {
  channel.sendToQueue(queue, Buffer.from(title), { priority });
  console.log(`queued: ${title} (priority ${priority ?? "not set"})`);
}
// Only messages that wait can overtake each other, so let all of them arrive first.
await channel.waitForConfirms();

let handled = 0;
await new Promise((whenDone) => {
  channel.consume(queue, (message) => {
    if (message === null) return;
    handled++;
    console.log(`${handled}. ${message.content}`);
    channel.ack(message);
    if (handled === tickets.length) whenDone();
  });
});

await channel.deleteQueue(queue);
await connection.close();
