/**
 * Leveret beside RabbitMQ: random sequences of operations, of which everything that can be seen must be the same.
 *
 * A short run of what `npm run differential` does for as long as one likes. It needs Debian's rabbitmq-server to be
 * installed, and is skipped without.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Broker } from "../../src/index.ts";
import {
  isRabbitMQInstalled,
  type RabbitMQNode,
  startRabbitMQ,
} from "../conformance/rabbitmq-node.ts";
import { Random } from "../seeded.ts";
import { compare, describeDifference, firstDifference, minimize } from "./compare.ts";
import { sequence } from "./operations.ts";

const SEEDS = 20;
const OPERATIONS = 40;
const START_MS_MAX = 90_000;
const RUN_MS_MAX = 300_000;

test("the same seed makes the same sequence, another one another", () => {
  const operations = sequence(new Random(1), OPERATIONS);
  expect(sequence(new Random(1), OPERATIONS)).toEqual(operations);
  expect(sequence(new Random(2), OPERATIONS)).not.toEqual(operations);
  expect(operations).toHaveLength(OPERATIONS);
});

test("a difference is found where it is", () => {
  const same = [["1 replies: queue.declare-ok {}"], [], ["1 confirms: basic.ack 1"]];
  const other = [...same.slice(0, 2), ["1 confirms: basic.nack 1"]];
  expect(firstDifference([], [same, same], 7)).toBeUndefined();
  expect(firstDifference([], [same, other], 7)).toMatchObject({ seed: 7, step: 2 });
});

describe.skipIf(!isRabbitMQInstalled())(
  "beside RabbitMQ (Debian's rabbitmq-server; skipped where it is not installed)",
  () => {
    let rabbitmq: RabbitMQNode | undefined;
    let leveret: Broker | undefined;

    beforeAll(async () => {
      leveret = await Broker.start({ port: 0 });
      rabbitmq = await startRabbitMQ();
    }, START_MS_MAX);

    afterAll(async () => {
      await rabbitmq?.stop();
      await leveret?.close();
    }, START_MS_MAX);

    test(
      "random sequences of operations come to the same",
      async () => {
        const pair = { urls: [rabbitmq!.url, leveret!.url] as const, operationCount: OPERATIONS };
        for (let seed = 1; seed <= SEEDS; seed++) {
          const difference = await compare(seed, pair);
          if (difference === undefined) continue;
          const least = await minimize(difference, pair);
          expect.fail(describeDifference(least, ["RabbitMQ", "Leveret"]));
        }
      },
      RUN_MS_MAX,
    );
  },
);
