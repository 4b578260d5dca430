/**
 * Request and reply: a client asks, a server answers, and neither knows where the other one is.
 *
 * The client consumes from amq.rabbitmq.reply-to, a name that stands for "back to me" and needs no queue
 * (direct reply-to). The correlation id tells which request a reply belongs to, as replies may overtake
 * each other.
 *
 *     node examples/rpc.mjs [amqp://guest:guest@127.0.0.1:5672]
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "amqplib";

const url = process.argv[2] ?? process.env.BROKER_URL ?? "amqp://guest:guest@127.0.0.1:5672";
const queue = "example.square";
const connection = await connect(url);

// The server: squares what it is asked to, large numbers faster than small ones.
const server = await connection.createChannel();
await server.assertQueue(queue, { autoDelete: true });
const { consumerTag } = await server.consume(queue, async (request) => {
  if (request === null) return;
  const number = Number(request.content);
  await sleep(100 / number);
  const { replyTo, correlationId } = request.properties;
  server.sendToQueue(replyTo, Buffer.from(String(number * number)), { correlationId });
  server.ack(request);
});

// The client: asking and listening must happen on the same channel, and without acknowledgements.
const client = await connection.createChannel();
const waiting = new Map();
const takeReply = ({ content, properties }) => {
  waiting.get(properties.correlationId)?.(Number(content));
  waiting.delete(properties.correlationId);
};
await client.consume("amq.rabbitmq.reply-to", takeReply, { noAck: true });

async function square(number) {
  const correlationId = randomUUID();
  const reply = new Promise((resolve) => waiting.set(correlationId, resolve));
  client.sendToQueue(queue, Buffer.from(String(number)), {
    replyTo: "amq.rabbitmq.reply-to",
    correlationId,
  });
  console.log(`${number} squared is ${await reply}`);
}

// All three are asked at once.
await Promise.all([square(1), square(5), square(50)]);

// With its only consumer the queue goes too: it is auto-delete.
await server.cancel(consumerTag);
await connection.close();
