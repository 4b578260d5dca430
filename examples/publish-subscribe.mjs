/**
 * Publish and subscribe: each subscriber has a queue of its own, and an exchange copies messages into them.
 *
 * A fanout exchange copies every message to every queue bound to it. A topic exchange looks at the routing
 * key, words with dots between: in a binding key, * stands for one word and # for any number of words.
 *
 *     node examples/publish-subscribe.mjs [amqp://guest:guest@127.0.0.1:5672]
 */
import { connect } from "amqplib";

const url = process.argv[2] ?? process.env.BROKER_URL ?? "amqp://guest:guest@127.0.0.1:5672";
const news = "example.news";
const weather = "example.weather";
const copiesExpected = 6;

const connection = await connect(url);
const channel = await connection.createChannel();
await channel.assertExchange(news, "fanout", { durable: false });
await channel.assertExchange(weather, "topic", { durable: false });

let copies = 0;
let whenAllCame;
const allCame = new Promise((resolve) => (whenAllCame = resolve));

async function subscribe(name, exchange, bindingKey) {
  // The broker invents a name for the queue; being exclusive, it goes when the connection does.
  const { queue } = await channel.assertQueue("", { exclusive: true });
  await channel.bindQueue(queue, exchange, bindingKey);

  const print = (message) => {
    console.log(`${name} got: ${message.content}`);
    copies++;
    if (copies === copiesExpected) whenAllCame();
  };
  await channel.consume(queue, print, { noAck: true });
}

await subscribe("ann", news, "");
await subscribe("bob", news, "");
await subscribe("rain watch", weather, "*.rain");
await subscribe("north watch", weather, "north.#");

channel.publish(news, "", Buffer.from("the hare is home"));
channel.publish(weather, "north.rain", Buffer.from("rain in the north"));
channel.publish(weather, "south.rain", Buffer.from("rain in the south"));
// Nobody is bound for this one: an exchange keeps nothing, so the message is gone.
channel.publish(weather, "south.sun", Buffer.from("sun in the south"));
channel.publish(weather, "north.snow.heavy", Buffer.from("heavy snow in the north"));

await allCame;
console.log(`${copies} copies of 4 messages; nobody wanted the fifth`);

await channel.deleteExchange(news);
await channel.deleteExchange(weather);
await connection.close();
