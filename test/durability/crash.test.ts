/**
 * `kill -9` at any moment: what was confirmed is there, what was settled is not, and what was answered holds.
 *
 * In each round clients work until the broker is killed; it is started again on the same folder, and all its queues are
 * held against what the clients know. `ROUNDS=100` makes more rounds, `SEED=17` chooses other moments and other work:
 * neither is repeated exactly, because the processes race.
 */
import { type Channel, type ChannelModel, type ConsumeMessage, connect } from "amqplib";
import { expect, test } from "vitest";
import { Random } from "../seeded.ts";
import { BrokerProcess, brokerMain, isBuilt } from "./broker-process.ts";
import {
  CHANGING,
  checkedId,
  declareFixed,
  fixedQueues,
  mark,
  type QueueNote,
  startWorkers,
} from "./crash-workers.ts";
import { temporaryFolder } from "./kept-broker.ts";
import { type Found, MessageLedger } from "./message-ledger.ts";

const { ROUNDS, SEED } = process.env;
const rounds = Number(ROUNDS ?? 5);
const seed = Number(SEED ?? Date.now() % 1_000_000);
const ROUND_DEADLINE_MS = 30_000;

type Contents = Map<string, Found[]>;

/** The counts of a run, so that it says what it has seen. */
const totals = { checked: 0, dead: 0, inBoth: 0 };

class Rounds {
  readonly #folder: string;
  readonly #random = new Random(seed);
  readonly #ledger = new MessageLedger();
  readonly #topology = new Map<string, QueueNote>();
  #troubles: string[] = [];
  #broker: BrokerProcess | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async begin(): Promise<void> {
    this.#broker = await BrokerProcess.start(this.#folder);
    await declareFixed(this.#broker.url);
  }

  /** Work, kill, start, look. */
  async round(number: number): Promise<void> {
    await this.#work(number);
    this.#broker = await BrokerProcess.start(this.#folder);
    const contents = await this.#look();
    const wrong = [...this.#troubles, ...this.#ledger.verify(contents), ...this.#broker.errors];
    expect(wrong.slice(0, 20), `seed ${seed}, round ${number}: ${wrong.length} wrong`).toEqual([]);
    for (const list of contents.values()) totals.checked += list.length;
    totals.dead += contents.get("dead")?.length ?? 0;
    totals.inBoth += this.#ledger.inBoth(contents);
    this.#ledger.settleOn(contents);
    await this.#settleHalf();
  }

  async #work(round: number): Promise<void> {
    const broker = this.#broker!;
    let killed = false;
    const trouble = (text: string): void => {
      if (!killed || text.includes("delivered")) this.#troubles.push(text);
    };
    const ends: Promise<unknown>[] = [];
    const [ledger, topology, random] = [this.#ledger, this.#topology, this.#random];
    startWorkers({ url: broker.url, ledger, topology, random, round, ends, trouble });
    const lifeMs = random.between(100, 1500);
    await new Promise((resolve) => setTimeout(resolve, lifeMs));
    if (!broker.running) this.#troubles.push(`the broker has ended by itself:\n${broker.output}`);
    this.#troubles.push(...broker.errors);
    killed = true;
    await broker.kill();
    await Promise.all(ends);
    ledger.closed = true;
  }

  /** What every queue holds, and whether there are those that there must be. */
  async #look(): Promise<Contents> {
    const connection = await connect(this.#broker!.url, { noDelay: true });
    const contents: Contents = new Map();
    const names = new Set([...fixedQueues, ...this.#ledger.queues, ...this.#topology.keys()]);
    for (const queue of names) {
      const channel = await connection.createChannel();
      channel.on("error", () => undefined);
      const answer = await channel.checkQueue(queue).catch(() => undefined);
      this.#compareExistence(queue, answer !== undefined);
      if (answer === undefined) continue;
      const list: Found[] = [];
      const trouble = (text: string): void => void this.#troubles.push(text);
      await new Promise<void>((resolve, reject) => {
        const tooFew = (): void =>
          reject(new Error(`seed ${seed}: ${queue} has ${list.length} of ${answer.messageCount}`));
        const timer = setTimeout(tooFew, ROUND_DEADLINE_MS / 2);
        const look = (message: ConsumeMessage | null): void => {
          if (message !== null) {
            const { redelivered } = message.fields;
            list.push({ id: checkedId(message, trouble), redelivered });
          }
          if (list.length < answer.messageCount) return;
          clearTimeout(timer);
          resolve();
        };
        if (answer.messageCount === 0) look(null);
        else void channel.consume(queue, look);
      });
      contents.set(queue, list);
      await channel.close();
      if (this.#topology.has(queue)) await this.#compareBinding(connection, queue);
    }
    await connection.close();
    return contents;
  }

  #compareExistence(queue: string, exists: boolean): void {
    const note = this.#topology.get(queue);
    const expected = note === undefined ? true : note.exists;
    if (expected !== undefined && expected !== exists) {
      this.#troubles.push(`${queue} ${exists ? "is back" : "is gone"} against what was answered`);
    }
    if (note === undefined) return;
    note.exists = exists;
    if (!exists) note.bound = false;
  }

  async #compareBinding(connection: ChannelModel, queue: string): Promise<void> {
    const channel = await connection.createConfirmChannel();
    let bound = true;
    channel.on("return", () => {
      bound = false;
    });
    channel.publish(CHANGING, queue, Buffer.from("probe"), { mandatory: true, priority: 9 });
    await channel.waitForConfirms();
    if (bound) await this.#takeProbe(channel, queue);
    await channel.close();
    const note = this.#topology.get(queue)!;
    if (note.bound !== undefined && note.bound !== bound) {
      this.#troubles.push(`${queue}: its binding ${bound ? "is back" : "is gone"}`);
    }
    note.bound = bound;
  }

  async #takeProbe(channel: Channel, queue: string): Promise<void> {
    for (;;) {
      const message = await channel.get(queue);
      if (message === false) throw new Error(`${queue}: the probe is gone`);
      if (message.content.toString() !== "probe") continue;
      channel.ack(message);
      return;
    }
  }

  /** So that the queues do not grow from round to round, and that what is old is settled beside what is kept. */
  async #settleHalf(): Promise<void> {
    const connection = await connect(this.#broker!.url, { noDelay: true });
    const channel = await connection.createConfirmChannel();
    for (const queue of this.#ledger.queues) {
      for (const entry of [...this.#ledger.of(queue).values()]) {
        const message = await channel.get(queue);
        if (message === false || message.properties.messageId !== entry.id) {
          throw new Error(`seed ${seed}: ${entry.id} is not in its place in ${queue}`);
        }
        if (!this.#random.chance(60)) continue;
        channel.ack(message);
        entry.settled = "certain";
      }
    }
    await mark(channel);
    await connection.close();
  }
}

test.skipIf(!isBuilt)(
  `nothing that was promised is undone by kill -9 in ${rounds} rounds (needs ${brokerMain})`,
  async () => {
    const run = new Rounds(await temporaryFolder());
    await run.begin();
    for (let number = 1; number <= rounds; number++) await run.round(number);
    // A run that saw nothing proved nothing.
    expect(totals.checked).toBeGreaterThan(rounds * 20);
    process.stdout.write(
      `crash rounds: seed ${seed}, ${rounds} rounds, ${JSON.stringify(totals)}\n`,
    );
  },
  10_000 + rounds * ROUND_DEADLINE_MS,
);
