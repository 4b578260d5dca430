/**
 * Random exchanges: each message takes one of the bindings, all with the same chance, whatever the keys are.
 *
 * `x-local-random` is the same for the queues of the node that the publisher is connected to, which here are all; it lets
 * only classic queues be bound, with an empty key [RabbitMQ 4].
 */

import { AmqpError } from "../amqp/errors.ts";
import { BindingList } from "./binding-list.ts";
import type { Binding, Destination, ExchangeType, Matcher } from "./exchange.ts";

const NONE: readonly Destination[] = [];

class RandomMatcher implements Matcher {
  /** It depends on chance: no answer is to be remembered. */
  readonly usesHeaders = true;
  readonly #bindings = new BindingList();

  add(binding: Binding): void {
    this.#bindings.add(binding);
  }

  remove(binding: Binding): void {
    this.#bindings.remove(binding);
  }

  match(): readonly Destination[] {
    const { answers } = this.#bindings;
    return answers[Math.floor(Math.random() * answers.length)] ?? NONE;
  }

  matchKeys(): readonly Destination[] {
    return this.match();
  }
}

function checkLocal(routingKey: string, { kind, queueType }: Destination): void {
  let wrong: string | undefined;
  if (routingKey !== "") wrong = `Non empty binding '${routingKey}' key not permitted`;
  else if (kind !== "queue") wrong = "Destination not found";
  else if (queueType !== undefined && queueType !== "classic")
    wrong = `Queue type rabbit_${queueType}_queue not valid for this exchange type`;
  if (wrong !== undefined) throw new AmqpError("PRECONDITION_FAILED", wrong);
}

export const random: ExchangeType = {
  name: "x-random",
  createMatcher: () => new RandomMatcher(),
};

export const localRandom: ExchangeType = {
  name: "x-local-random",
  createMatcher: () => new RandomMatcher(),
  validateBinding: (routingKey, _args, destination) => checkLocal(routingKey, destination),
};
