/**
 * The differential test for as long as one likes: `npm run differential -- --seconds 3600`.
 *
 * Exit code 1 when the brokers differed, 2 when the command line was not understood.
 */
import { parseArgs } from "node:util";
import { compare, describeDifference, minimize } from "./compare.ts";

const HELP = `Plays random sequences of operations to two brokers, and tells where they differ.

  npm run differential -- --seconds 3600
  npm run differential -- --seed 17

Options
  --leveret URL      amqp://guest:guest@127.0.0.1:5672
  --rabbitmq URL     amqp://guest:guest@127.0.0.1:5673
  --seconds N        how long (60)
  --first N          the first seed (1)
  --seed N           only this one
  --operations N     of a sequence (40)
  --differences N    how many differences it takes to end (10)
`;

const { values } = parseArgs({
  options: {
    leveret: { type: "string", default: "amqp://guest:guest@127.0.0.1:5672" },
    rabbitmq: { type: "string", default: "amqp://guest:guest@127.0.0.1:5673" },
    seconds: { type: "string", default: "60" },
    first: { type: "string", default: "1" },
    seed: { type: "string" },
    operations: { type: "string", default: "40" },
    differences: { type: "string", default: "10" },
    help: { type: "boolean", short: "h", default: false },
  },
});

if (values.help) {
  console.log(HELP);
} else {
  const pair = {
    urls: [values.rabbitmq, values.leveret] as const,
    operationCount: Number(values.operations),
  };
  let isStopped = false;
  // The sequence that is being played is played to its end, so that nothing of it stays in the brokers.
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => (isStopped = true));
  const end = Date.now() + Number(values.seconds) * 1000;
  const first = Number(values.seed ?? values.first);
  let [seed, differences] = [first, 0];
  for (; seed === first || (values.seed === undefined && Date.now() < end); seed++) {
    if (isStopped) break;
    const difference = await compare(seed, pair);
    if (seed % 20 === 0) console.error(`seed ${seed}, ${differences} differences`);
    if (difference === undefined) continue;
    differences++;
    console.log(describeDifference(await minimize(difference, pair), ["RabbitMQ", "Leveret"]));
    if (differences >= Number(values.differences)) break;
  }
  console.error(`seeds ${first} to ${seed - 1}: ${differences} differences`);
  if (differences > 0) process.exitCode = 1;
}
