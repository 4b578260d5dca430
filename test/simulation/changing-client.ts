/** A client that changes the topology, and notes what it was answered. */
import { bodyOf } from "../durability/message-ledger.ts";
import { Ids, WorkingClient, type World } from "./clients.ts";
import { CHANGING } from "./fixed-topology.ts";

/** Declares, binds, unbinds and deletes queues and exchanges, one answered step after the other. */
export class ChangingClient extends WorkingClient {
  readonly #number: number;
  readonly #ids: Ids;
  /** What was asked and not answered, with what was true before. */
  #asked: Map<string, boolean | undefined> | undefined;

  constructor(world: World, number: number) {
    super(world);
    this.#number = number;
    this.#ids = new Ids(`change${world.life}.${number}`, world.random);
  }

  protected begin(): void {}

  protected lost(): void {
    this.#asked = undefined;
  }

  get waits(): boolean {
    return this.#asked !== undefined;
  }

  protected work(): void {
    if (this.#asked !== undefined) return;
    const { random, topology } = this.world;
    const name = `changing${this.#number}.${random.below(3)}`;
    if (random.chance(20)) {
      this.#changeExchange(`exchange ${name}`, name);
      return;
    }
    const queue = `queue ${name}`;
    const binding = `binding ${name}`;
    if (topology.get(queue) !== true) {
      const change = this.#change([[queue, true]]);
      this.client.ask("queue.declare", { queue: name, durable: true }, change);
      return;
    }
    const choice = random.below(5);
    if (choice === 0) this.#delete(name);
    else if (choice < 3) this.#fill(name);
    else {
      const isBound = topology.get(binding) === true;
      const args = { queue: name, exchange: CHANGING, routingKey: name };
      const change = this.#change([[binding, !isBound]]);
      if (isBound) this.client.ask("queue.unbind", args, change);
      else this.client.ask("queue.bind", args, change);
    }
  }

  #changeExchange(key: string, exchange: string): void {
    const exists = this.world.topology.get(key) === true;
    const change = this.#change([[key, !exists]]);
    if (exists) this.client.ask("exchange.delete", { exchange }, change);
    else this.client.ask("exchange.declare", { exchange, type: "direct", durable: true }, change);
  }

  /** While the answer is awaited, what changes is not known. */
  #change(changes: [string, boolean][]): () => void {
    const { topology } = this.world;
    const asked = new Map(changes.map(([key]) => [key, topology.get(key)]));
    this.#asked = asked;
    for (const [key, value] of changes)
      if ((topology.get(key) ?? false) !== value) topology.set(key, undefined);
    return () => {
      this.#asked = undefined;
      for (const [key, value] of changes) topology.set(key, value);
    };
  }

  #delete(queue: string): void {
    const entries = [...this.world.ledger.of(queue).values()];
    for (const entry of entries) if (entry.settled === "no") entry.settled = "maybe";
    const changed = this.#change([
      [`queue ${queue}`, false],
      [`binding ${queue}`, false],
    ]);
    this.client.ask("queue.delete", { queue }, () => {
      for (const entry of entries) entry.settled = "certain";
      changed();
    });
  }

  #fill(queue: string): void {
    const id = this.#ids.next();
    this.world.ledger.sending(id, queue);
    this.client.publish("", queue, { id, body: bodyOf(id), persistent: true });
  }
}
