/**
 * What a broker promises, held against one that works, ends and starts again, many times, on a disk that does what disks do
 * at the worst moment. All that happens follows from one seed.
 *
 * Clients note what they are told (clients.ts). After each start every queue is looked through: what was confirmed and not
 * settled is back, whole and in order, and nothing that was certainly settled; dead letters stand in one place, transactions
 * count wholly or not at all, and what was answered about the topology holds.
 */
import type { Host } from "../../src/broker/host.ts";
import type { Log } from "../../src/log.ts";
import { type Found, MessageLedger } from "../durability/message-ledger.ts";
import { Random } from "../seeded.ts";
import { type CrashKind, Cut, type Sabotage, SimulatedDisk } from "../store/simulated-disk.ts";
import { Administrator } from "./administrator.ts";
import { BrokerLife } from "./broker-life.ts";
import { ChangingClient } from "./changing-client.ts";
import {
  ConsumingClient,
  checkedId,
  PublishingClient,
  type WorkingClient,
  type World,
} from "./clients.ts";
import { DELAY_MS, declareFixed, fixedQueues, LOST, movesOn } from "./fixed-topology.ts";
import { TransactingClient } from "./transacting-client.ts";

export interface RunOptions {
  readonly seed: number;
  readonly sabotage?: Sabotage;
  /** What happens to the disk between crash and start. */
  readonly tamper?: (disk: SimulatedDisk) => void;
}

type Contents = Map<string, Found[]>;

/** What was found wrong. */
class Broken extends Error {}

/** How the disk says that it fails. */
const DISK_ERROR = /^(EIO|ENOSPC)/;
const FAULTS = [
  "create",
  "write",
  "write",
  "syncFolder",
  "sync",
  "open",
  "read",
  "remove",
] as const;
const START_MS = Date.UTC(2026, 0, 1);
/** What a log says of clients that go without a word, and of what a crash leaves. */
const HARMLESS = /unexpectedly closed|unfinished end/;
/** Long enough for a disk that is well again to be tried again. */
const RECOVERY_MS = 5000;

export class BrokerRun {
  readonly #random: Random;
  readonly #options: RunOptions;
  readonly #settings: ReturnType<typeof drawSettings>;
  readonly #faulty: boolean;
  readonly #ledger = new MessageLedger();
  readonly #topology = new Map<string, boolean | undefined>();
  #disk: SimulatedDisk;
  #broker!: BrokerLife;
  #clients: WorkingClient[] = [];
  #administrator!: Administrator;
  #declared = false;
  /** Whether the broker of this life has come up. */
  #started = false;
  #life = 0;
  #nowMs = START_MS;
  #troubles: string[] = [];
  /** So that a run says what it has seen. */
  readonly counts = { lives: 0, messages: 0, redelivered: 0, dead: 0 };

  constructor(options: RunOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#settings = drawSettings(this.#random);
    this.#faulty = this.#random.chance(35);
    this.#disk = new SimulatedDisk(new Random(options.seed + 0x5eed), options.sabotage);
    this.#disk.namesInOrder = this.#random.chance(50);
    this.#disk.waitsForSyncs = this.#random.chance(30);
  }

  run(): void {
    for (const lives = this.#random.between(2, 5); this.#life < lives; this.#life++) {
      this.#untilEnd(() => this.#live());
    }
    this.#wellAgain();
    this.#disk.cutAt = Number.POSITIVE_INFINITY;
    this.#start();
  }

  /** A life, however it ends. */
  #untilEnd(live: () => void): void {
    try {
      live();
    } catch (error) {
      // A start needs the disk; after it only a sync that failed may end the process.
      const isFatal = this.#faulty && (!this.#started || this.#disk.syncFaults > 0);
      const isFault = isFatal && error instanceof Error && DISK_ERROR.test(error.message);
      if (!(error instanceof Cut) && !isFault) throw error;
    }
    this.#nowMs = this.#broker?.clock.now() ?? this.#nowMs;
    this.#crash();
  }

  #crash(): void {
    const random = this.#random;
    const kind: CrashKind = this.#settings.sync === "os" || random.chance(40) ? "kill" : "power";
    this.#broker?.lastWords(() => random.chance(70));
    this.#clients = [];
    this.#checkTroubles();
    // Nor can it be written that something is delivered while nothing can be.
    if (kind === "power" || this.#disk.faults > 0) this.#ledger.forgetDelivered();
    this.#disk = this.#disk.crash(kind);
    this.#options.tamper?.(this.#disk);
  }

  #live(): void {
    const random = this.#random;
    this.#disk.cutAt = random.chance(75)
      ? this.#disk.operations + random.between(1, 400)
      : Number.POSITIVE_INFINITY;
    this.#start();
    if (!this.#declared) this.#declareFixed();
    this.#startClients();
    for (let turns = random.between(10, 150); turns > 0; turns--) this.#oneTurn();
    if (random.chance(40)) this.#recover();
    if (random.chance(25)) this.#broker.stop();
  }

  #start(): void {
    this.#started = false;
    this.#broker = new BrokerLife(this.#disk, this.#settings, this.#log(), this.#nowMs);
    this.#started = true;
    this.counts.lives++;
    if (!this.#declared) return;
    this.#compareTopology(this.#broker.host);
    this.#checkTroubles();
    this.#broker.advance(DELAY_MS);
    this.#broker.rest();
    const contents = this.#look();
    this.#troubles.push(...this.#ledger.verify(contents));
    const inBoth = this.#ledger.inBoth(contents);
    if (inBoth > 0) this.#troubles.push(`${inBoth} dead letters are in both of their queues`);
    this.#checkTroubles();
    this.#settleOn(contents);
  }

  /** From now on what was found is what is known. */
  #settleOn(contents: Contents): void {
    this.#ledger.settleOn(contents);
    for (const [queue, target] of movesOn)
      for (const entry of this.#ledger.of(queue).values()) this.#ledger.rejecting(entry, target);
  }

  #checkTroubles(): void {
    const [first] = this.#troubles;
    if (first === undefined) return;
    const count = this.#troubles.length;
    throw new Broken(
      `life ${this.#life + 1}: ${count} wrong\n${this.#troubles.slice(0, 5).join("\n")}`,
    );
  }

  /** What the broker complains of is wrong, unless the disk gave it a reason. */
  #log(): Log {
    const disk = this.#disk;
    const note = (fields: object, message: string): void => {
      if (disk.dead || HARMLESS.test(message)) return;
      if (this.#faulty && disk.faults > 0) return;
      const { error } = fields as { error?: unknown };
      const stack = error instanceof Error ? error.stack : undefined;
      this.#troubles.push(`${message} ${JSON.stringify(fields)} ${stack ?? ""}`);
    };
    const nothing = (): void => undefined;
    return { debug: nothing, info: nothing, warn: note, error: note };
  }

  #declareFixed(): void {
    const listener = {
      delivered: () => undefined,
      confirmed: () => undefined,
      closed: (reason: string) => void this.#troubles.push(reason),
    };
    const client = this.#broker.connect(listener);
    declareFixed(client, () => {
      this.#declared = true;
    });
    this.#broker.rest();
    client.hangUp();
    this.#broker.rest();
  }

  #startClients(): void {
    const world: World = {
      random: this.#random,
      ledger: this.#ledger,
      topology: this.#topology,
      life: this.counts.lives,
      faulty: this.#faulty,
      rejectionsWait: () => this.#disk.readFaults > 0,
      connect: (listener) => this.#broker.connect(listener),
      trouble: (text) => void this.#troubles.push(text),
    };
    this.#administrator = new Administrator(this.#random, this.#topology);
    this.#clients = [
      new PublishingClient(world, 1),
      new PublishingClient(world, 2),
      new ConsumingClient(world, "direct1"),
      new ConsumingClient(world, "topic1"),
      new ConsumingClient(world, "fan1"),
      new ConsumingClient(world, "later1"),
      new ConsumingClient(world, "rejecting", "dead"),
      new TransactingClient(world),
      new ChangingClient(world, 1),
      new ChangingClient(world, 2),
    ];
  }

  // -- work

  /** What comes to the broker in one turn of its event loop, and the end of that. */
  #oneTurn(): void {
    const random = this.#random;
    for (let events = random.between(1, 6); events > 0; events--) this.#event(random.below(100));
    if (random.chance(8)) {
      this.#administrator.act(this.#broker.host);
      this.#broker.checkAlive();
    }
    if (this.#faulty && random.chance(8)) this.#changeFaults();
    this.#broker.endTurn();
    this.#administrator.turnEnded();
    this.#broker.exchange(() => random.chance(70));
    this.#checkTroubles();
  }

  #event(kind: number): void {
    const random = this.#random;
    const working = random.pick(this.#clients);
    if (kind < 40) working.act();
    else if (kind < 75) {
      const all = random.chance(60);
      this.#broker.arrive(working.client, (bytes) => (all ? bytes : random.below(bytes + 1)));
    } else if (kind < 92) this.#broker.completeSyncs(random.between(1, 3));
    else this.#broker.advance(random.between(1, random.pick([10, 1000])));
  }

  #changeFaults(): void {
    const random = this.#random;
    const disk = this.#disk;
    if (random.chance(50)) {
      this.#wellAgain();
    } else if (random.chance(70)) {
      disk.capacityBytes = disk.usedBytes + random.below(20_000);
    } else {
      disk.failing.add(random.pick(FAULTS));
    }
  }

  #wellAgain(): void {
    this.#disk.capacityBytes = Number.POSITIVE_INFINITY;
    this.#disk.failing.clear();
  }

  /** Left alone, and with a disk that is well again, the broker answers whatever was asked of it. */
  #recover(): void {
    this.#wellAgain();
    for (let seconds = 0; seconds < RECOVERY_MS / 1000; seconds++) {
      this.#broker.advance(1000);
      this.#broker.rest();
    }
    for (const client of this.#clients) {
      const { waits, client: connected } = client;
      if (connected.isOpen && (connected.isBlocked || waits))
        this.#troubles.push(`a ${client.constructor.name} still waits`);
    }
    this.#checkTroubles();
  }

  // -- the look

  #compareTopology(host: Host): void {
    const vhost = host.virtualHosts.get("/");
    for (const queue of fixedQueues.keys())
      if (vhost.queues.find(queue) === undefined) this.#troubles.push(`${queue} is gone`);
    if (vhost.queues.find(LOST) !== undefined) this.#troubles.push(`${LOST} is back`);
    const bindings = new Set<string>();
    for (const entry of vhost.exchanges.bindingEntries())
      if (entry.op === "bind") bindings.add(entry.destination);
    const exists = (key: string): boolean => {
      const [kind, name = ""] = key.split(" ");
      if (kind === "user") return host.users.find(name) !== undefined;
      if (kind === "vhost") return host.virtualHosts.find(name) !== undefined;
      if (kind === "queue") return vhost.queues.find(name) !== undefined;
      return kind === "exchange" ? vhost.exchanges.find(name) !== undefined : bindings.has(name);
    };
    for (const [key, expected] of this.#topology) {
      const found = exists(key);
      if (expected !== undefined && expected !== found)
        this.#troubles.push(`${key} ${found ? "is back" : "is gone"} against what was answered`);
      this.#topology.set(key, found);
    }
  }

  /** What every queue holds, as a client finds it, who goes without settling any of it. */
  #look(): Contents {
    const contents: Contents = new Map();
    const expected = new Map<string, number>();
    const trouble = (text: string): void => void this.#troubles.push(text);
    for (const { name, readyCount } of this.#broker.host.virtualHosts.get("/").queues.all()) {
      contents.set(name, []);
      expected.set(name, readyCount);
    }
    const client = this.#broker.connect({
      delivered: (message) => {
        const id = checkedId(message, trouble);
        const { queue, redelivered } = message;
        if (!id.startsWith("mark")) contents.get(queue)!.push({ id, redelivered });
        if (redelivered) this.counts.redelivered++;
      },
      confirmed: () => undefined,
      closed: trouble,
    });
    for (const queue of contents.keys()) {
      // Should it end while it is looked, what was seen has been delivered.
      this.#ledger.consumed.add(queue);
      client.consume(queue);
    }
    this.#broker.rest();
    for (const [queue, found] of contents) {
      const count = expected.get(queue)!;
      if (queue !== "marks" && found.length !== count)
        trouble(`${queue} has delivered ${found.length} of ${count} messages`);
      this.counts.messages += found.length;
    }
    this.counts.dead += contents.get("dead")!.length;
    client.hangUp();
    this.#broker.rest();
    return contents;
  }
}

function drawSettings(random: Random) {
  return {
    segmentBytes: random.pick([4096, 8192, 30_000, 100_000]),
    memoryLimit: random.pick([1, 50_000, 2_000_000]),
    diskFreeLimit: 0,
    // In proportion to everything else.
    reserveBytes: 50_000,
    // Clients are slow, and time is fast.
    handshakeTimeoutMs: 1_000_000,
    sync: random.chance(85) ? ("always" as const) : ("os" as const),
  };
}
