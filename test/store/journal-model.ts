/**
 * What a journal promises, as a model that knows nothing of bytes, and a run of random work that holds a journal to it.
 *
 * All that happens in one turn is a *step* of the model. After a crash the journal must be where it was after some step: not
 * before the last one that anybody was told is safe, and never in the middle of one.
 */

import { Journal, type JournalOptions } from "../../src/store/journal.ts";
import { recoverJournal } from "../../src/store/journal-recovery.ts";
import { MemoryBudget } from "../../src/store/memory-budget.ts";
import type { Holder } from "../../src/store/message-store.ts";
import { Turn } from "../../src/turn.ts";
import { Random } from "../seeded.ts";
import { recoveredMessages, SALT } from "./journal-bytes.ts";
import { type CrashKind, Cut, type Sabotage, SimulatedDisk } from "./simulated-disk.ts";

const durable: readonly Holder[] = [1, 2, 3, 4].map((id) => ({ id, persists: true }));
/** The others say of each delivery that it is the first. */
const counting: readonly number[] = [1, 2];
const transient: readonly Holder[] = [101, 102].map((id) => ({ id, persists: false }));

/** Octets that repeat only after 64 KiB, so that a byte in a wrong place is noticed. */
const pattern = new Random(1).bytes(1 << 17);

function octets(label: number, bytes: number): Buffer {
  const from = (label * 7919) % (1 << 16);
  return pattern.subarray(from, from + bytes);
}

interface RecoveredMessage {
  readonly position: number;
  readonly label: number;
  readonly deliveries: number;
}

interface Message {
  readonly label: number;
  readonly bytes: number;
  readonly position: number;
  /** Who still holds it. */
  readonly holders: Holder[];
}

/** What one turn did to what outlives the process. */
interface Step {
  readonly published: { label: number; queues: number[] }[];
  /** `tied`: it counts only with the rest of the turn. */
  readonly settled: { label: number; queue: number; tied: boolean }[];
  readonly delivered: { label: number; queue: number; deliveries: number }[];
}

/** Labels by queue: what each durable queue holds, and how often it has delivered that. */
class State {
  readonly held = new Map<number, Set<number>>();
  readonly delivered = new Map<number, Map<number, number>>();

  constructor() {
    for (const { id } of durable) {
      this.held.set(id, new Set());
      this.delivered.set(id, new Map());
    }
  }

  apply(step: Step): void {
    for (const { label, queues } of step.published)
      for (const queue of queues) this.held.get(queue)!.add(label);
    for (const { label, queue, deliveries } of step.delivered)
      this.delivered.get(queue)!.set(label, deliveries);
    for (const { label, queue } of step.settled) {
      this.held.get(queue)!.delete(label);
      this.delivered.get(queue)!.delete(label);
    }
  }

  toString(): string {
    return [...this.held].map(([queue, labels]) => `${queue}: ${[...labels]}`).join("\n");
  }
}

export interface RunOptions {
  readonly seed: number;
  /** The disk operation of the first life at which it ends; else one is drawn. */
  readonly cutAt?: number;
  readonly sabotage?: Sabotage;
  /** What happens to the disk between crash and recovery. */
  readonly tamper?: (disk: SimulatedDisk) => void;
  readonly lives?: number;
  /** Turns of each life; else drawn. */
  readonly turns?: number;
  /** The disk is full now and then. */
  readonly faults?: boolean;
}

function fail(text: string): never {
  throw new Error(text);
}

export class JournalRun {
  readonly #random: Random;
  readonly #options: RunOptions;
  readonly #journalOptions: Omit<JournalOptions, "disk" | "turn" | "budget">;
  readonly #memoryBytes: number;
  readonly #segmentBytes: number;
  readonly #syncMode: "always" | "os";
  disk: SimulatedDisk;
  #turn!: Turn;
  #journal!: Journal;
  #messages: Message[] = [];
  /** Of all that was ever published. */
  readonly #bytesOf = new Map<number, number>();
  #nextLabel = 1;
  #base = new State();
  #steps: Step[] = [];
  #step!: Step;
  /** Steps that somebody was told are safe; that the operating system has. */
  #told = 0;
  #written = 0;
  #trouble = false;
  #highestDelivered = new Map<number, number>();
  /** How often what is held has been delivered, as its queue has it, and how often at most. */
  #deliveries = new Map<string, number>();
  readonly #deliveriesMax = new Map<string, number>();
  /** How often it was delivered in turns of this life that have ended. */
  readonly #shown = new Map<string, number>();
  /** Disk operations of the first life. */
  firstOperations = 0;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    const random = this.#random;
    this.#segmentBytes = random.pick([4096, 8192, 16384]);
    this.#syncMode = random.chance(85) ? "always" : "os";
    this.#memoryBytes = random.pick([1, 5000, 20_000, 60_000, 1_000_000]);
    this.#journalOptions = {
      segmentBytes: this.#segmentBytes,
      salt: () => SALT,
      onDamage: ({ segment, from }) => fail(`${segment.name} is damaged at ${from}`),
      sync: this.#syncMode,
      onSyncFailed: (error) => {
        throw error;
      },
      onWriteTrouble: (error) => {
        if (error instanceof Cut) throw error;
        this.#trouble = error !== undefined;
      },
    };
    this.disk = new SimulatedDisk(new Random(options.seed + 0x5eed), options.sabotage);
    this.disk.namesInOrder = random.chance(50);
    this.disk.waitsForSyncs = random.chance(30);
    this.#newTurn();
    this.#journal = new Journal(this.#wholeOptions());
    this.#newStep();
  }

  #wholeOptions(): JournalOptions {
    const budget = new MemoryBudget(this.#memoryBytes);
    return { ...this.#journalOptions, budget, disk: this.disk, turn: this.#turn };
  }

  #newTurn(): void {
    this.#turn = new Turn(() => undefined);
  }

  #newStep(): void {
    this.#step = { published: [], settled: [], delivered: [] };
  }

  /** Lives, each ended by a crash, and a last one that is closed in order. */
  run(): void {
    const lives = this.#options.lives ?? 3;
    for (let life = 0; life < lives; life++) {
      const cutAt = life === 0 ? this.#options.cutAt : undefined;
      this.disk.cutAt = this.disk.operations + (cutAt ?? this.#drawCut());
      this.#live(this.#options.turns ?? this.#random.between(5, 60), this.#random.chance(20));
      if (life === 0) this.firstOperations = this.disk.operations;
      this.#crash();
    }
    this.#live(10);
    this.#close();
  }

  #drawCut(): number {
    return this.#random.chance(70) ? this.#random.between(1, 150) : Number.POSITIVE_INFINITY;
  }

  #live(turns: number, beginsLong = false): void {
    const busy = this.#random.between(1, 12);
    try {
      if (beginsLong) this.#longTurn();
      for (let turn = 0; turn < turns; turn++) this.#oneTurn(busy);
    } catch (error) {
      if (!(error instanceof Cut)) throw error;
    }
  }

  /** One flush over several segments, as the first of a life. */
  #longTurn(): void {
    const bytes = Math.floor(this.#segmentBytes * 0.7);
    for (let count = this.#random.between(2, 4); count > 0; count--)
      this.#append([this.#random.pick(durable)], bytes);
    this.#askToBeTold();
    this.#endTurn();
    // Mostly before its sync has ended.
    if (this.#random.chance(70)) this.disk.cutAt = this.disk.operations + 1;
  }

  #oneTurn(busy: number): void {
    const random = this.#random;
    if (this.#options.faults === true && random.chance(10)) {
      this.disk.capacityBytes = random.chance(50)
        ? this.disk.usedBytes + random.below(this.#segmentBytes)
        : Number.POSITIVE_INFINITY;
    }
    for (let work = random.below(busy); work >= 0; work--) {
      this.#work();
      if (random.chance(15)) this.disk.completeSyncs(random.between(1, 2));
      if (random.chance(15)) this.#askToBeTold();
    }
    if (random.chance(60)) this.#askToBeTold();
    this.#endTurn();
    if (random.chance(50)) this.disk.completeSyncs();
  }

  #endTurn(): void {
    this.#steps.push(this.#step);
    this.#newStep();
    this.#turn.run();
    if (!this.#trouble && !this.#journal.isBehind) this.#written = this.#steps.length;
    for (const { label, queue, deliveries } of this.#steps.at(-1)!.delivered)
      this.#shown.set(`${queue}: ${label}`, deliveries);
  }

  #askToBeTold(): void {
    const step = this.#steps.length;
    this.#journal.afterFlush({
      onFlushed: () => {
        if (this.#steps.length <= step)
          fail(`step ${step} is called safe before its turn has ended`);
        if (this.#written <= step && this.#trouble)
          fail(`step ${step} is called safe, and not written`);
        this.#told = Math.max(this.#told, step + 1);
      },
    });
  }

  // -- the work

  #work(): void {
    const random = this.#random;
    const kind = random.below(100);
    if (kind < 40 || this.#messages.length === 0) this.#publish();
    else if (kind < 75) this.#settle();
    else if (kind < 80) this.#deadLetter();
    else if (kind < 90) this.#deliver();
    else this.#check(random.pick(this.#messages));
  }

  #drawBytes(): number {
    const kind = this.#random.below(100);
    if (kind < 60) return this.#random.between(1, 100);
    if (kind < 90) return this.#random.between(100, 1500);
    if (kind < 97) return this.#random.between(1500, this.#segmentBytes);
    return this.#random.between(this.#segmentBytes - 60, this.#segmentBytes * 2);
  }

  #publish(): void {
    const random = this.#random;
    if (random.chance(5)) {
      const holder = random.pick(durable);
      for (let count = random.below(80); count > 0; count--)
        this.#append([holder], random.between(1, 60));
    }
    const holders = durable.filter(() => random.chance(35));
    if (holders.length === 0) holders.push(random.pick(durable));
    holders.push(...transient.filter(() => random.chance(15)));
    this.#append(holders, this.#drawBytes());
  }

  #append(holders: Holder[], bytes: number): void {
    const label = this.#nextLabel++;
    this.#bytesOf.set(label, bytes);
    const position = this.#journal.append(bytes, holders, label);
    const { buffer, offset } = this.#journal.locate(position);
    octets(label, bytes).copy(buffer, offset);
    this.#messages.push({ label, bytes, position, holders });
    const queues = holders.filter(({ persists }) => persists).map(({ id }) => id);
    this.#step.published.push({ label, queues });
  }

  #draw(): Message {
    const { length } = this.#messages;
    const message = this.#messages[this.#random.chance(60) ? 0 : this.#random.below(length)]!;
    // Some stay long, and move from segment to segment.
    return message.label % 30 === 0 && this.#random.chance(90)
      ? this.#random.pick(this.#messages)
      : message;
  }

  /** Mostly the oldest message, and often for all of its holders; sometimes many in a row. */
  #settle(): void {
    const many = this.#random.chance(10) ? this.#random.below(120) : 1;
    for (let count = 0; count < many && this.#messages.length > 0; count++) {
      const message = this.#draw();
      const all = this.#random.chance(60);
      do this.#release(message);
      while (all && message.holders.length > 0);
    }
  }

  #release(message: Message, tied = false): void {
    const [holder] = message.holders.splice(this.#random.below(message.holders.length), 1);
    this.#journal.release(message.position, holder!);
    if (holder!.persists)
      this.#step.settled.push({ label: message.label, queue: holder!.id, tied });
    this.#forgetIfFree(message);
  }

  /** The old queue is done with it and another one takes a copy, in one turn. */
  #deadLetter(): void {
    const message = this.#draw();
    this.#turn.undivided(() => {
      this.#append([this.#random.pick(durable)], message.bytes);
      this.#release(message, true);
    });
  }

  /** Often one that has been delivered before, so that it is so many times and goes through many segments. */
  #deliver(): void {
    const again = this.#random.chance(60)
      ? this.#random.pick(this.#messages.filter((one) => this.#isDelivered(one)))
      : undefined;
    const message = again ?? this.#random.pick(this.#messages);
    for (const { id, persists } of message.holders) {
      if (!persists || this.#random.chance(30)) continue;
      const key = `${id}: ${message.label}`;
      const deliveries = counting.includes(id) ? 1 + (this.#deliveries.get(key) ?? 0) : 1;
      this.#deliveries.set(key, deliveries);
      this.#deliveriesMax.set(key, Math.max(deliveries, this.#deliveriesMax.get(key) ?? 0));
      this.#journal.noteDelivered(id, message.position, deliveries);
      this.#step.delivered.push({ label: message.label, queue: id, deliveries });
      const before = this.#highestDelivered.get(id) ?? 0;
      this.#highestDelivered.set(id, Math.max(before, message.label));
    }
  }

  #isDelivered({ label, holders }: Message): boolean {
    return holders.some(
      ({ id }) => counting.includes(id) && this.#deliveries.has(`${id}: ${label}`),
    );
  }

  #forgetIfFree(message: Message): void {
    if (message.holders.length > 0) return;
    this.#messages.splice(this.#messages.indexOf(message), 1);
  }

  #check({ position, label, bytes }: { position: number; label: number; bytes: number }): void {
    const { buffer, view, offset } = this.#journal.locate(position);
    if (!buffer.subarray(offset, offset + bytes).equals(octets(label, bytes)))
      fail(`the bytes of message ${label} have changed`);
    if (view.getUint8(offset) !== buffer[offset]) fail("view and buffer differ");
  }

  // -- the end of a life

  #crash(): void {
    const kind: CrashKind = this.#syncMode === "os" || this.#random.chance(40) ? "kill" : "power";
    // What a dying turn did may be there as well.
    this.#steps.push(this.#step);
    this.#newStep();
    this.disk = this.disk.crash(kind);
    this.#options.tamper?.(this.disk);
    // Whatever a consumer has seen before the process is killed is known to have been delivered.
    if (kind === "power" || this.#options.faults === true) this.#shown.clear();
    this.#recover(kind === "kill" ? this.#written : this.#told);
    this.#shown.clear();
  }

  #recover(leastSteps: number): void {
    this.#trouble = false;
    this.#newTurn();
    const recovery = recoverJournal(this.#wholeOptions());
    const { journal, damage } = recovery;
    const messages = new Map<number, RecoveredMessage[]>(durable.map(({ id }) => [id, []]));
    this.#deliveries = new Map();
    for (const { queueId, position, label, deliveries } of recoveredMessages(recovery)) {
      const list = messages.get(queueId) ?? fail(`nobody has queue ${queueId}`);
      list.push({ position, label, deliveries });
      this.#deliveries.set(`${queueId}: ${label}`, deliveries);
    }
    this.#journal = journal;
    this.#base = this.#matchingState(messages, leastSteps);
    this.#steps = [];
    this.#told = 0;
    this.#written = 0;
    this.#adopt(messages);
    for (const { kind, segment, offset } of damage)
      if (kind === "damaged") fail(`a crash is taken for damage at ${offset} of ${segment}`);
  }

  /** The state after the step to which the journal has come back. */
  #matchingState(messages: ReadonlyMap<number, RecoveredMessage[]>, leastSteps: number): State {
    const found = [...messages]
      .map(([id, list]) => `${id}: ${list.map(({ label }) => label)}`)
      .join("\n");
    const state = this.#base;
    let expected = "";
    for (let steps = 0; steps <= this.#steps.length; steps++) {
      if (steps > 0) state.apply(this.#steps[steps - 1]!);
      if (steps < leastSteps) continue;
      const text = state.toString();
      if (text === found) return state;
      if (this.#options.faults === true && this.#settlesMore(state, steps, messages)) return state;
      if (steps === leastSteps) expected = text;
    }
    return fail(
      `what has come back is the state after no step from ${leastSteps} to ${this.#steps.length}\n` +
        `--- expected at least\n${expected}\n--- found\n${found}`,
    );
  }

  /**
   * Whether what was found differs from a state only by messages that were settled later, each by itself: on a full disk
   * their files go before it can be written that they may. Makes the state what was found.
   */
  #settlesMore(
    state: State,
    steps: number,
    messages: ReadonlyMap<number, RecoveredMessage[]>,
  ): boolean {
    const settled = this.#steps.slice(steps).flatMap((step) => step.settled);
    const missing: [number, number][] = [];
    for (const [queue, held] of state.held) {
      const labels = messages.get(queue)!.map(({ label }) => label);
      const there = new Set(labels);
      // In the same order, too.
      if (String([...held].filter((label) => there.has(label))) !== String(labels)) return false;
      for (const label of held) if (!there.has(label)) missing.push([queue, label]);
    }
    const isSettled = (queue: number, label: number): boolean =>
      settled.some((each) => each.queue === queue && each.label === label && !each.tied);
    if (!missing.every(([queue, label]) => isSettled(queue, label))) return false;
    for (const [queue, label] of missing) state.held.get(queue)!.delete(label);
    return true;
  }

  #adopt(messages: ReadonlyMap<number, RecoveredMessage[]>): void {
    const byLabel = new Map<number, Message>();
    for (const holder of durable) {
      for (const { position, label, deliveries } of messages.get(holder.id) ?? []) {
        const before = byLabel.get(label);
        if (before === undefined) {
          const bytes = this.#bytesOf.get(label)!;
          byLabel.set(label, { label, bytes, position, holders: [holder] });
        } else {
          if (before.position !== position) fail(`message ${label} is at two positions`);
          before.holders.push(holder);
        }
        this.#checkDeliveries(holder.id, label, deliveries);
      }
    }
    this.#messages = [...byLabel.values()].sort((a, b) => a.label - b.label);
    for (const message of this.#messages) this.#check(message);
  }

  /** At least as often as anybody can know, and not more often than it was; once may be never, as only a mark says so. */
  #checkDeliveries(queue: number, label: number, deliveries: number): void {
    const key = `${queue}: ${label}`;
    const shown = this.#shown.get(key) ?? 0;
    const least = Math.max(shown, this.#base.delivered.get(queue)!.get(label) ?? 0);
    const marked = label <= (this.#highestDelivered.get(queue) ?? 0) ? 1 : 0;
    const most = Math.max(marked, this.#deliveriesMax.get(key) ?? 0);
    if (deliveries < least || deliveries > most)
      fail(
        `message ${label} has come back to queue ${queue} as if it had been delivered ${deliveries} times: it was from ${least} to ${most}`,
      );
  }

  /** Closed in order, everything is there, and not even a loss of power afterwards takes any of it. */
  #close(): void {
    this.disk.capacityBytes = Number.POSITIVE_INFINITY;
    this.#endTurn();
    this.#journal.close();
    this.disk.completeSyncs();
    if (this.#trouble) return;
    this.disk = this.disk.crash(this.#syncMode === "os" ? "kill" : "power");
    this.#recover(this.#steps.length);
  }
}
