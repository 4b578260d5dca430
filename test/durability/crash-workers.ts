/**
 * Clients that work until the broker is killed, and note what they were told in the ledger.
 *
 * Each has a connection of its own and works without end; what it waits for when the broker dies never comes. Settling
 * becomes certain by a persistent message that is published on the same channel behind it and confirmed.
 */
import {
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  type ConsumeMessage,
  connect,
  type Message,
} from "amqplib";
import type { Random } from "../seeded.ts";
import { bodyOf, type Entry, type MessageLedger } from "./message-ledger.ts";
import { transaction } from "./transactional.ts";

export const directQueues = ["direct1", "direct2", "direct3"];
export const fanQueues = ["fan1", "fan2"];
export const transactionQueues = ["tx1", "tx2"];
export const fixedQueues = [
  ...directQueues,
  ...fanQueues,
  ...transactionQueues,
  "txinput",
  "rejecting",
  "dead",
];
const EVENTS = "events";
export const CHANGING = "changing";
/** Holds the messages that show that what was said before them has been heard. */
const MARKS = "marks";

/** What a worker needs. */
export interface Work {
  readonly url: string;
  readonly ledger: MessageLedger;
  readonly topology: Map<string, QueueNote>;
  readonly random: Random;
  /** Makes ids of this round unlike those of the others. */
  readonly round: number;
  /** The ends of the connections. */
  readonly ends: Promise<unknown>[];
  /** Called with what should not have happened while the broker lives. */
  readonly trouble: (text: string) => void;
}

/** What is known of a queue that comes and goes. `undefined`: it was asked for, and not answered. */
export interface QueueNote {
  exists: boolean | undefined;
  bound: boolean | undefined;
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
    const bytes = random.chance(2) ? random.below(200_000) : random.below(2000);
    return `${this.#publisher}-${this.#next++}-${bytes}`;
  }
}

/** The id of a delivered message, whose body must be the one that belongs to it. */
export function checkedId(message: Message, trouble: (text: string) => void): string {
  const id = String(message.properties.messageId);
  if (!message.content.equals(bodyOf(id))) trouble(`${id} has another body`);
  if (message.properties.headers?.["x-id"] !== id) trouble(`${id} has other headers`);
  return id;
}

function publishOptions(id: string) {
  return { persistent: true, messageId: id, headers: { "x-id": id } };
}

interface Client {
  readonly connection: ChannelModel;
  readonly channel: ConfirmChannel;
}

async function open({ url, trouble, ends }: Work): Promise<Client> {
  const connection = await connect(url, { noDelay: true });
  ends.push(new Promise((resolve) => connection.once("close", resolve)));
  const report = (error: Error): void =>
    trouble(`a connection or channel failed: ${error.message}`);
  connection.on("error", report);
  const channel = await connection.createConfirmChannel();
  channel.on("error", report);
  return { connection, channel };
}

export async function declareFixed(url: string): Promise<void> {
  const connection = await connect(url, { noDelay: true });
  const channel = await connection.createChannel();
  for (const queue of fixedQueues) {
    const deadLetters = { deadLetterExchange: "", deadLetterRoutingKey: "dead" };
    await channel.assertQueue(queue, queue === "rejecting" ? deadLetters : {});
  }
  await channel.assertQueue(MARKS, { maxLength: 10 });
  await channel.assertExchange(EVENTS, "topic");
  await channel.assertExchange(CHANGING, "direct");
  await channel.bindQueue("fan1", EVENTS, "event.#");
  await channel.bindQueue("fan2", EVENTS, "*.*");
  await connection.close();
}

/** Resolves when a persistent message has been confirmed that was published behind all that was said before. */
export function mark(channel: ConfirmChannel): Promise<void> {
  return new Promise((resolve) => {
    channel.sendToQueue(MARKS, Buffer.from("mark"), { persistent: true }, (error) => {
      if (!error) resolve();
    });
  });
}

const WINDOW = 100;

/** Publishes to one exchange; `choose` says by which key, and to which queues that leads. */
async function publish(
  work: Work,
  name: string,
  exchange: string,
  choose: () => { key: string; queues: string[] },
): Promise<void> {
  const { channel } = await open(work);
  const { ledger, random } = work;
  const ids = new Ids(name, random);
  let unconfirmed = 0;
  let wake = (): void => undefined;
  const sendOne = (): void => {
    const id = ids.next();
    const { key, queues } = choose();
    const entries = ledger.sending(id, ...queues);
    unconfirmed++;
    channel.publish(exchange, key, bodyOf(id), publishOptions(id), (error) => {
      unconfirmed--;
      if (!error) {
        ledger.learn(() => {
          for (const entry of entries) entry.confirmed = true;
        });
      }
      wake();
    });
  };
  while (!ledger.closed) {
    for (let burst = random.between(1, WINDOW - unconfirmed); burst > 0; burst--) sendOne();
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}

/** What has been settled on a channel since its last mark. */
class Settling {
  readonly #channel: ConfirmChannel;
  readonly #ledger: MessageLedger;
  #entries: Entry[] = [];

  constructor(channel: ConfirmChannel, ledger: MessageLedger) {
    this.#channel = channel;
    this.#ledger = ledger;
  }

  add(entry: Entry): void {
    this.#entries.push(entry);
    if (this.#entries.length < 20) return;
    const certain = this.#entries;
    this.#entries = [];
    void mark(this.#channel).then(() => {
      this.#ledger.learn(() => {
        for (const settled of certain) settled.settled = "certain";
      });
    });
  }
}

/** The entry of a delivered message; it must not be one that was settled. */
function received(work: Work, queue: string, message: ConsumeMessage): Entry | undefined {
  const id = checkedId(message, work.trouble);
  const entry = work.ledger.of(queue).get(id);
  if (entry === undefined) work.trouble(`${queue}: ${id} was delivered and never sent here`);
  else if (entry.settled !== "no")
    work.trouble(`${queue}: ${id} was settled and is delivered again`);
  else entry.delivered = true;
  return entry;
}

/** Consumes; acks most, holds some, lets some come back, and rejects where that leads somewhere. */
async function consume(work: Work, queue: string): Promise<void> {
  const { ledger, random } = work;
  const { channel } = await open(work);
  const settling = new Settling(channel, ledger);
  await channel.prefetch(80);
  ledger.consumed.add(queue);
  let held: ConsumeMessage[] = [];
  const settle = (message: ConsumeMessage, entry: Entry): void => {
    if (queue === "rejecting") {
      ledger.rejecting(entry, "dead");
      channel.nack(message, false, false);
    } else {
      entry.settled = "maybe";
      channel.ack(message);
    }
    settling.add(entry);
  };
  const onMessage = (message: ConsumeMessage | null): void => {
    if (message === null || ledger.closed) return;
    const entry = received(work, queue, message);
    if (entry === undefined) return;
    if (random.chance(75)) settle(message, entry);
    else held.push(message);
    if (held.length < 60) return;
    for (const back of held) channel.nack(back, false, true);
    held = [];
  };
  await channel.consume(queue, onMessage);
}

/** Publishes several messages and acks some in one transaction after the other; some are rolled back. */
async function transact(work: Work): Promise<void> {
  const { ledger, random } = work;
  const { connection, channel: input } = await open(work);
  const inputIds = new Ids(`input${work.round}`, random);
  const ids = new Ids(`tx${work.round}`, random);
  const channel = await connection.createChannel();
  await transaction(channel, "select");
  ledger.consumed.add("txinput");
  while (!ledger.closed) {
    for (let count = random.below(4); count > 0; count--) {
      const id = inputIds.next();
      const [entry] = ledger.sending(id, "txinput");
      input.sendToQueue("txinput", bodyOf(id), publishOptions(id), (error) => {
        if (!error && entry) ledger.learn(() => Object.assign(entry, { confirmed: true }));
      });
    }
    await input.waitForConfirms();
    await transactOnce(work, channel, ids);
  }
}

async function transactOnce(work: Work, channel: Channel, ids: Ids): Promise<void> {
  const { ledger, random } = work;
  const note = ledger.transaction();
  for (let count = random.between(1, 10); count > 0; count--) {
    const id = ids.next();
    const queue = random.pick(transactionQueues);
    note.published.push(...ledger.sending(id, queue));
    channel.sendToQueue(queue, bodyOf(id), publishOptions(id));
  }
  for (let count = random.below(4); count > 0; count--) {
    const message = await channel.get("txinput");
    if (message === false) break;
    const entry = ledger.of("txinput").get(checkedId(message, work.trouble));
    if (entry === undefined) continue;
    entry.delivered = true;
    note.acked.push(entry);
    channel.ack(message);
  }
  if (random.chance(15)) {
    await transaction(channel, "rollback");
    note.state = "rolled back";
    if (note.acked.length === 0) return;
    // What was acked in it is unacked again; the next transaction may get it.
    note.acked.length = 0;
    channel.nackAll(true);
    await transaction(channel, "commit");
    return;
  }
  note.state = "commit sent";
  for (const entry of note.acked) entry.settled = "maybe";
  await transaction(channel, "commit");
  ledger.learn(() => {
    note.state = "committed";
    for (const entry of note.published) entry.confirmed = true;
    for (const entry of note.acked) entry.settled = "certain";
  });
}

/** Declares, binds, fills, unbinds and deletes queues, one answered step after the other. */
async function change(work: Work, worker: number): Promise<void> {
  const { channel } = await open(work);
  const changing = new Changing(
    work,
    channel,
    new Ids(`change${work.round}.${worker}`, work.random),
  );
  const names = [1, 2, 3].map((number) => `changing${worker}.${number}`);
  while (!work.ledger.closed) await changing.step(work.random.pick(names));
}

class Changing {
  readonly #work: Work;
  readonly #channel: ConfirmChannel;
  readonly #ids: Ids;

  constructor(work: Work, channel: ConfirmChannel, ids: Ids) {
    this.#work = work;
    this.#channel = channel;
    this.#ids = ids;
  }

  async step(name: string): Promise<void> {
    const { topology, random } = this.#work;
    const note = topology.get(name) ?? { exists: false, bound: false };
    topology.set(name, note);
    const channel = this.#channel;
    if (!note.exists) {
      await this.#ask(note, { exists: true }, () => channel.assertQueue(name));
      return;
    }
    const choice = random.below(3);
    if (choice === 0) await this.#delete(name, note);
    else if (choice === 1) await this.#fill(name);
    else if (note.bound) {
      await this.#ask(note, { bound: false }, () => channel.unbindQueue(name, CHANGING, name));
    } else await this.#ask(note, { bound: true }, () => channel.bindQueue(name, CHANGING, name));
  }

  /** While the answer is awaited, what changes is not known. */
  async #ask(
    note: QueueNote,
    change: Partial<QueueNote>,
    ask: () => Promise<unknown>,
  ): Promise<void> {
    for (const key of Object.keys(change) as (keyof QueueNote)[]) {
      if (note[key] !== change[key]) note[key] = undefined;
    }
    await ask();
    this.#work.ledger.learn(() => Object.assign(note, change));
  }

  async #delete(name: string, note: QueueNote): Promise<void> {
    const { ledger } = this.#work;
    const entries = [...ledger.of(name).values()].filter(({ settled }) => settled === "no");
    for (const entry of entries) entry.settled = "maybe";
    await this.#ask(note, { exists: false, bound: false }, () => this.#channel.deleteQueue(name));
    ledger.learn(() => {
      for (const entry of entries) entry.settled = "certain";
    });
  }

  async #fill(name: string): Promise<void> {
    const { ledger } = this.#work;
    const id = this.#ids.next();
    const [entry] = ledger.sending(id, name);
    await new Promise<void>((resolve) => {
      this.#channel.sendToQueue(name, bodyOf(id), publishOptions(id), (error) => {
        if (!error && entry) ledger.learn(() => Object.assign(entry, { confirmed: true }));
        resolve();
      });
    });
  }
}

/** Starts them all. Nobody waits for them: they end with the broker. */
export function startWorkers(work: Work): void {
  const { random, trouble, round } = work;
  const workers = [
    publish(work, `p${round}direct`, "", () => {
      const key = random.pick(directQueues);
      return { key, queues: [key] };
    }),
    publish(work, `p${round}events`, EVENTS, () => {
      const both = random.chance(80);
      return { key: both ? "event.x" : "event.x.y", queues: both ? [...fanQueues] : ["fan1"] };
    }),
    publish(work, `p${round}reject`, "", () => ({ key: "rejecting", queues: ["rejecting"] })),
    consume(work, "direct1"),
    consume(work, "direct2"),
    consume(work, "fan1"),
    consume(work, "rejecting"),
    transact(work),
    change(work, 1),
    change(work, 2),
  ];
  for (const worker of workers) {
    worker.catch((error: Error) => trouble(`a client failed: ${error.message}`));
  }
}
