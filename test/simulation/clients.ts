/**
 * Clients that work without end and note in the ledger what they were told: here publishers and consumers. Each says something
 * whenever it is its turn (`act`), and never waits.
 */
import { bodyOf, type Entry, type MessageLedger } from "../durability/message-ledger.ts";
import type { Random } from "../seeded.ts";
import { LOST, laterQueues, MARKS, movesOn, type Route, routes } from "./fixed-topology.ts";
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

/** `publisher`-number-bytes */
export class Ids {
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
