/**
 * Clients that work without end and note in the ledger what they were told: publishers, consumers, one that uses
 * transactions, one that changes the topology. Each says something whenever it is its turn (`act`), and never waits.
 */
import { longstr } from "../../src/amqp/field-table.ts";
import {
  bodyOf,
  type Entry,
  type MessageLedger,
  type TransactionNote,
} from "../durability/message-ledger.ts";
import type { Random } from "../seeded.ts";
import type { ClientListener, Message, SimulatedClient } from "./simulated-client.ts";

/** What a client needs to work. */
export interface World {
  readonly random: Random;
  readonly ledger: MessageLedger;
  /** Of the names that come and go: whether they are there. Undefined: it was asked for, and not answered. */
  readonly topology: Map<string, boolean | undefined>;
  /** Makes ids of this life unlike those of the others. */
  readonly life: number;
  /** Whether the disk may refuse what it is given, so that connections may be closed for that. */
  readonly faulty: boolean;
  /** Whether something could not be read in this life: what is rejected may stay where it is until it can be. */
  rejectionsWait(): boolean;
  connect(listener: ClientListener): SimulatedClient;
  /** Told what should not have happened. */
  trouble(text: string): void;
}

/** Where a message may be sent, and where that leads. */
interface Route {
  readonly exchange: string;
  readonly key: string;
  readonly queues: readonly string[];
  /** How long it waits on its way. */
  readonly delayMs?: number;
}

const EVENTS = "events";
const FAN = "fan";
const CHANGING = "changing";
const LATER = "later";
const laterQueues = ["later1", "later2"];
/** After that what was sent through LATER has arrived. */
export const DELAY_MS = 200;
/** Holds the messages that show that what was said before them has been heard. */
const MARKS = "marks";
/** Not durable. */
export const LOST = "lost";

const routes: readonly Route[] = [
  { exchange: "", key: "direct1", queues: ["direct1"] },
  { exchange: "", key: "direct2", queues: ["direct2"] },
  { exchange: EVENTS, key: "event.x", queues: ["topic1", "topic2"] },
  { exchange: EVENTS, key: "event.x.y", queues: ["topic1"] },
  { exchange: FAN, key: "", queues: ["fan1", "fan2", "fan3"] },
  { exchange: "", key: "rejecting", queues: ["rejecting"] },
  { exchange: "", key: "limited", queues: ["limited"] },
  { exchange: "", key: "expiring", queues: ["expiring"] },
  { exchange: "", key: "txinput", queues: ["txinput"] },
  { exchange: LATER, key: "later1", queues: ["later1"], delayMs: DELAY_MS },
  { exchange: LATER, key: "later2", queues: ["later2"], delayMs: DELAY_MS },
];

/** Queues whose messages move on by themselves, and where to. */
export const movesOn: ReadonlyMap<string, string> = new Map([
  ["limited", "overflown"],
  ["expiring", "expired"],
]);

function deadLetters(target: string): [string, ReturnType<typeof longstr>][] {
  return [
    ["x-dead-letter-exchange", longstr("")],
    ["x-dead-letter-routing-key", longstr(target)],
  ];
}

function integer(value: number): { type: "I"; value: number } {
  return { type: "I", value };
}

/** The queues that are always there, with their arguments. */
export const fixedQueues = new Map([
  ...["direct1", "direct2", "topic1", "topic2", "fan1", "fan2", "fan3", "txinput", "tx1", "tx2"]
    .concat("dead", "overflown", "expired", laterQueues)
    .map((name) => [name, new Map()] as const),
  ["rejecting", new Map(deadLetters("dead"))],
  ["limited", new Map([...deadLetters("overflown"), ["x-max-length", integer(6)]])],
  ["expiring", new Map([...deadLetters("expired"), ["x-message-ttl", integer(900)]])],
  [MARKS, new Map([["x-max-length", integer(3)]])],
]);

/** Declares what is always there; `done` is called when all has been answered. */
export function declareFixed(client: SimulatedClient, done: () => void): void {
  const durable = true;
  for (const [queue, args] of fixedQueues)
    client.ask("queue.declare", { queue, durable, arguments: args });
  client.ask("queue.declare", { queue: LOST });
  for (const [exchange, type] of [
    [EVENTS, "topic"],
    [FAN, "fanout"],
    [CHANGING, "direct"],
  ] as const)
    client.ask("exchange.declare", { exchange, type, durable });
  client.ask("exchange.declare", {
    ...{ exchange: LATER, type: "x-delayed-message", durable },
    arguments: new Map([["x-delayed-type", longstr("direct")]]),
  });
  for (const queue of laterQueues)
    client.ask("queue.bind", { queue, exchange: LATER, routingKey: queue });
  client.ask("queue.bind", { queue: "topic1", exchange: EVENTS, routingKey: "event.#" });
  client.ask("queue.bind", { queue: "topic2", exchange: EVENTS, routingKey: "*.*" });
  client.ask("queue.bind", { queue: "fan1", exchange: FAN });
  client.ask("queue.bind", { queue: "fan2", exchange: FAN });
  client.ask("queue.bind", { queue: "fan3", exchange: FAN }, done);
}

/** `publisher`-number-bytes */
class Ids {
  #next = 1;
  readonly #publisher: string;
  readonly #random: Random;

  constructor(publisher: string, random: Random) {
    this.#publisher = publisher;
    this.#random = random;
  }

  next(): string {
    const random = this.#random;
    const kind = random.below(100);
    const bytes =
      kind < 85
        ? random.between(40, 300)
        : kind < 97
          ? random.between(300, 4000)
          : random.between(4000, 20_000);
    return `${this.#publisher}-${this.#next++}-${bytes}`;
  }
}

/** The id of a message, whose body must be the one that belongs to it. */
export function checkedId({ header, body }: Message, trouble: (text: string) => void): string {
  const id = body.subarray(0, body.indexOf("|")).toString();
  if (!body.equals(bodyOf(id))) trouble(`${id} has another body`);
  if (!header.includes(id)) trouble(`${id} has another header`);
  return id;
}

export abstract class WorkingClient implements ClientListener {
  protected readonly world: World;
  client: SimulatedClient;
  /** Whether what it said on an earlier connection may not have been heard. */
  protected reconnected = false;

  constructor(world: World) {
    this.world = world;
    this.client = world.connect(this);
    this.begin();
  }

  /** Says what comes first on a connection. */
  protected abstract begin(): void;
  protected abstract work(): void;
  /** Forgets what it waits for: the connection is gone. */
  protected abstract lost(): void;

  act(): void {
    if (!this.client.isOpen) {
      this.client = this.world.connect(this);
      this.begin();
    }
    if (!this.client.isBlocked) this.work();
  }

  /** Whether it waits for an answer. */
  abstract get waits(): boolean;

  closed(reason: string): void {
    if (!this.world.faulty) this.world.trouble(`a connection was closed: ${reason}`);
    this.reconnected = true;
    this.lost();
  }

  delivered(message: Message): void {
    this.world.trouble(`${message.queue} was delivered to somebody else`);
  }

  confirmed(_deliveryTag: number, _multiple: boolean, _isAck: boolean): void {
    this.world.trouble("a confirm came to somebody who did not want one");
  }
}

/** One with confirms; each publish has something to do when it is acked. */
abstract class ConfirmingClient extends WorkingClient {
  #published = 0;
  readonly #unconfirmed = new Map<number, () => void>();

  protected begin(): void {
    this.client.ask("confirm.select", {});
  }

  protected lost(): void {
    this.#published = 0;
    this.#unconfirmed.clear();
  }

  get waits(): boolean {
    return this.#unconfirmed.size > 0;
  }

  protected get unconfirmed(): number {
    return this.#unconfirmed.size;
  }

  protected publish({ exchange, key, delayMs }: Route, id: string, onAck: () => void): void {
    this.client.publish(exchange, key, { id, body: bodyOf(id), persistent: true, delayMs });
    this.#unconfirmed.set(++this.#published, onAck);
  }

  /** A message that nobody asks for again. */
  protected publishTransient(queue: string, id: string, persistent: boolean): void {
    this.client.publish("", queue, { id, body: bodyOf(id), persistent });
    this.#unconfirmed.set(++this.#published, () => undefined);
  }

  override confirmed(deliveryTag: number, multiple: boolean, isAck: boolean): void {
    for (const [number, onAck] of this.#unconfirmed) {
      if (number > deliveryTag) break;
      if (!multiple && number !== deliveryTag) continue;
      this.#unconfirmed.delete(number);
      if (isAck) onAck();
      else if (!this.world.faulty) this.world.trouble(`publish ${number} was refused`);
    }
  }
}

export class PublishingClient extends ConfirmingClient {
  readonly #ids: Ids;
  readonly #transientIds: Ids;

  constructor(world: World, number: number) {
    super(world);
    this.#ids = new Ids(`p${world.life}.${number}`, world.random);
    this.#transientIds = new Ids(`transient${world.life}.${number}`, world.random);
  }

  protected work(): void {
    const { random } = this.world;
    if (this.unconfirmed > 40) return;
    for (let burst = random.between(1, 6); burst > 0; burst--) {
      if (random.chance(8)) this.publishTransient("direct2", this.#transientIds.next(), false);
      else if (random.chance(4)) this.publishTransient(LOST, this.#transientIds.next(), true);
      else this.#send(random.pick(routes));
    }
  }

  #send(route: Route): void {
    const { ledger } = this.world;
    const id = this.#ids.next();
    const entries = ledger.sending(id, ...route.queues);
    const target = movesOn.get(route.key);
    if (target !== undefined) ledger.rejecting(entries[0]!, target);
    this.publish(route, id, () => {
      for (const entry of entries) entry.confirmed = true;
    });
  }
}

/** A delivery that has not been settled. */
interface Held {
  readonly deliveryTag: number;
  readonly entry: Entry;
}

export class ConsumingClient extends ConfirmingClient {
  readonly #queue: string;
  readonly #target: string | undefined;
  readonly #marks: Ids;
  #held: Held[] = [];
  /** Settled since the last mark. */
  #settled: Entry[] = [];

  /** With a `target` it rejects, which leads there. */
  constructor(world: World, queue: string, target?: string) {
    super(world);
    this.#queue = queue;
    this.#target = target;
    this.#marks = new Ids(`mark${world.life}.${queue}`, world.random);
    world.ledger.consumed.add(queue);
    this.#consume();
  }

  #consume(): void {
    this.client.ask("basic.qos", { prefetchCount: this.world.random.between(3, 30) });
    this.client.consume(this.#queue);
  }

  protected override begin(): void {
    super.begin();
    // The first time it is not known yet what to consume.
    if (this.reconnected) this.#consume();
  }

  protected override lost(): void {
    super.lost();
    this.#held = [];
    this.#settled = [];
  }

  override delivered(message: Message): void {
    const { ledger } = this.world;
    const trouble = (text: string): void => this.world.trouble(`${this.#queue}: ${text}`);
    const id = checkedId(message, trouble);
    if (id.startsWith("transient")) {
      this.client.say("basic.ack", { deliveryTag: message.deliveryTag });
      return;
    }
    const entry = ledger.of(this.#queue).get(id);
    if (entry === undefined) {
      trouble(`${id} was delivered and never sent here`);
      return;
    }
    if (entry.settled === "certain" || (entry.settled === "maybe" && !this.reconnected))
      trouble(`${id} was settled and is delivered again`);
    if (entry.delivered && !message.redelivered) trouble(`${id} is not marked redelivered`);
    // What was said on another connection has not been heard.
    entry.settled = "no";
    // What has just come due may be back where it waited, if that was not written yet: then it comes as if for the first time.
    entry.delivered = !(entry.fresh && laterQueues.includes(this.#queue));
    this.#held.push({ deliveryTag: message.deliveryTag, entry });
  }

  protected work(): void {
    const { random } = this.world;
    if (this.#held.length > 0) this.#settle(random.below(100));
    if (this.#settled.length === 0 || !random.chance(30)) return;
    const certain = this.#settled;
    this.#settled = [];
    this.publish({ exchange: "", key: MARKS, queues: [] }, this.#marks.next(), () => {
      if (this.#target !== undefined && this.world.rejectionsWait()) return;
      for (const entry of certain) entry.settled = "certain";
    });
  }

  #settle(kind: number): void {
    const { random } = this.world;
    const multiple = kind < 25;
    const at = random.below(this.#held.length);
    const settled = multiple ? this.#held.splice(0, at + 1) : this.#held.splice(at, 1);
    const { deliveryTag } = settled.at(-1)!;
    if (kind >= 85) {
      this.client.say("basic.nack", { deliveryTag, multiple, requeue: true });
      return;
    }
    for (const { entry } of settled) {
      if (this.#target === undefined) entry.settled = "maybe";
      else this.world.ledger.rejecting(entry, this.#target);
      this.#settled.push(entry);
    }
    if (this.#target === undefined) this.client.say("basic.ack", { deliveryTag, multiple });
    else this.client.say("basic.nack", { deliveryTag, multiple });
  }
}

/** Publishes several messages and acks some in one transaction after the other; some are rolled back. */
export class TransactingClient extends WorkingClient {
  readonly #ids: Ids;
  #note: TransactionNote | undefined;
  /** Those of which nobody has said how they ended. */
  readonly #lost: TransactionNote[] = [];
  #gets = 0;
  #highestTag = 0;
  /** In this transaction. */
  #acked = 0;
  #ending = false;

  constructor(world: World) {
    super(world);
    this.#ids = new Ids(`tx${world.life}`, world.random);
    world.ledger.consumed.add("txinput");
  }

  protected begin(): void {
    this.client.ask("tx.select", {});
  }

  protected lost(): void {
    if (this.#note !== undefined) this.#lost.push(this.#note);
    this.#note = undefined;
    this.#gets = 0;
    this.#ending = false;
  }

  get waits(): boolean {
    return this.#ending;
  }

  protected work(): void {
    if (this.#ending || this.#gets > 0) return;
    if (this.#note === undefined) this.#start();
    else this.#end(this.#note);
  }

  #start(): void {
    const { ledger, random } = this.world;
    const note = ledger.transaction();
    this.#note = note;
    this.#acked = 0;
    for (let count = random.between(1, 8); count > 0; count--) {
      const id = this.#ids.next();
      const queue = random.pick(["tx1", "tx2"]);
      note.published.push(...ledger.sending(id, queue));
      this.client.publish("", queue, { id, body: bodyOf(id), persistent: true });
    }
    for (let count = random.below(4); count > 0; count--) {
      this.#gets++;
      this.client.get("txinput", (message) => this.#got(note, message));
    }
  }

  #got(note: TransactionNote, message: Message | undefined): void {
    this.#gets--;
    if (message === undefined) return;
    const { ledger } = this.world;
    const id = checkedId(message, (text) => this.world.trouble(text));
    const entry = ledger.of("txinput").get(id);
    if (entry === undefined || entry.settled === "certain") {
      this.world.trouble(`txinput: ${id} was delivered and is not here`);
      return;
    }
    entry.settled = "no";
    entry.delivered = true;
    // That it is here shows that no transaction before has acked it.
    for (const { acked } of this.#lost)
      if (acked.includes(entry)) acked.splice(acked.indexOf(entry), 1);
    // What is not confirmed may go in a crash, whether or not this counts.
    if (entry.confirmed) note.acked.push(entry);
    else entry.settled = "maybe";
    this.#acked++;
    this.#highestTag = message.deliveryTag;
    this.client.say("basic.ack", { deliveryTag: message.deliveryTag });
  }

  #end(note: TransactionNote): void {
    this.#ending = true;
    const over = (): void => {
      this.#note = undefined;
      this.#ending = false;
    };
    if (this.world.random.chance(15)) {
      const acked = this.#acked;
      // What was acked in it is unacked again.
      note.acked.length = 0;
      note.state = "rolled back";
      this.client.ask("tx.rollback", {});
      const requeue = { deliveryTag: this.#highestTag, multiple: true, requeue: true };
      if (acked > 0) this.client.say("basic.nack", requeue);
      this.client.ask("tx.commit", {}, over);
      return;
    }
    note.state = "commit sent";
    for (const entry of note.acked) entry.settled = "maybe";
    this.client.ask("tx.commit", {}, () => {
      note.state = "committed";
      for (const entry of note.published) entry.confirmed = true;
      for (const entry of note.acked) entry.settled = "certain";
      over();
    });
  }
}

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
