/**
 * One life of a broker in memory: a host on a simulated disk and a clock that stands still, the turns of its event loop, and
 * the clients that are connected to it.
 *
 * Nothing happens by itself: the simulation lets bytes arrive, syncs end, time pass and turns end, in an order of its own.
 */
import { RESERVE_BYTES } from "../../src/broker/disk-watch.ts";
import { Host } from "../../src/broker/host.ts";
import { VirtualClock } from "../../src/clock.ts";
import { defaultSettings, type Settings } from "../../src/config.ts";
import type { Log } from "../../src/log.ts";
import { Connection } from "../../src/server/connection.ts";
import { Turn } from "../../src/turn.ts";
import { Cut, type SimulatedDisk } from "../store/simulated-disk.ts";
import { type ClientListener, SimulatedClient } from "./simulated-client.ts";
import { SimulatedStream } from "./simulated-stream.ts";

const peer = { address: "127.0.0.1", port: 1, localAddress: "127.0.0.1", localPort: 5672 };
/** Rounds after which a broker that is left alone must have come to rest. */
const ROUNDS_MAX = 1000;

interface Client {
  readonly client: SimulatedClient;
  readonly stream: SimulatedStream;
}

export class BrokerLife {
  readonly disk: SimulatedDisk;
  readonly clock: VirtualClock;
  readonly host: Host;
  readonly #turn: Turn;
  #runTurn: (() => void) | undefined;
  #clients: Client[] = [];

  /** Starts a broker on what is on the disk; throws what the disk throws. */
  constructor(
    disk: SimulatedDisk,
    settings: Partial<Settings> & { readonly reserveBytes?: number },
    log: Log,
    nowMs: number,
  ) {
    this.disk = disk;
    this.clock = new VirtualClock(nowMs);
    this.#turn = new Turn((run) => {
      this.#runTurn = run;
    });
    const { clock } = this;
    const { reserveBytes = RESERVE_BYTES, ...given } = settings;
    const all = { ...defaultSettings, heartbeat: 0, ...given };
    try {
      this.host = new Host({ settings: all, clock, turn: this.#turn, log, disk, reserveBytes });
    } catch (error) {
      this.checkAlive();
      throw error;
    }
  }

  connect(listener: ClientListener, virtualHost?: string): SimulatedClient {
    const stream = new SimulatedStream(() => this.disk.dead);
    const connection = new Connection(stream.duplex, this.host, peer, () => undefined);
    void connection;
    const client = new SimulatedClient(stream, listener, virtualHost);
    this.#clients.push({ client, stream });
    return client;
  }

  /** Some of what a client has said comes to the broker. */
  arrive(client: SimulatedClient, cut: (bytes: number) => number): void {
    client.arrive(cut);
    this.checkAlive();
  }

  /** An operation of the disk that ended the process may have been caught on its way here. */
  checkAlive(): void {
    if (this.disk.dead) throw new Cut("the process has ended");
  }

  endTurn(): void {
    const run = this.#runTurn;
    this.#runTurn = undefined;
    run?.();
    this.checkAlive();
  }

  completeSyncs(count?: number): number {
    const completed = this.disk.completeSyncs(count);
    this.checkAlive();
    return completed;
  }

  advance(ms: number): void {
    this.clock.advance(ms);
    this.checkAlive();
  }

  /** Clients hear what was said to them, those that `chosen` says, and the broker goes on with the others. */
  exchange(chosen: () => boolean): void {
    for (const { client, stream } of this.#clients) {
      if (chosen()) client.listen();
      if (chosen()) stream.tellWritten();
      stream.deliver();
      this.checkAlive();
    }
    this.#clients = this.#clients.filter(({ client }) => client.isOpen);
  }

  /** What was said before the end is heard after it, by those that `chosen` says. */
  lastWords(chosen: () => boolean): void {
    for (const { client } of this.#clients) if (chosen()) client.listen();
  }

  /** Lets everything happen that has been set off; time stands still. */
  rest(): void {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      let busy = this.#runTurn !== undefined;
      for (const { client } of this.#clients) {
        if (!client.hasOutgoing) continue;
        busy = true;
        this.arrive(client, (bytes) => bytes);
      }
      this.endTurn();
      if (this.completeSyncs() > 0) busy = true;
      this.exchange(() => true);
      if (!busy && this.#runTurn === undefined) return;
    }
    throw new Error("the broker does not come to rest");
  }

  /** Stops in order. */
  stop(): void {
    for (const { client } of this.#clients) client.hangUp();
    this.#clients = [];
    this.rest();
    this.host.close();
    this.checkAlive();
  }
}
