/**
 * A broker in this process whose every contact with the outside is counted: turns of its event loop, writes to sockets,
 * writes and syncs of its disk.
 *
 * Nothing happens by itself: bytes arrive, syncs end and turns end when `run` and `arrive` say so, so that a count is the
 * same on every machine. Time stands still.
 */
import { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import { LRUCache } from "lru-cache";
import {
  channelOpen,
  connectionOpen,
  connectionStartOk,
  connectionTuneOk,
  protocolHeader,
} from "../../bench/methods.ts";
import { FRAME_BYTES_MAX } from "../../bench/wire.ts";
import { Host } from "../../src/broker/host.ts";
import { VirtualClock } from "../../src/clock.ts";
import { defaultSettings } from "../../src/config.ts";
import { silentLog } from "../../src/log.ts";
import { Connection } from "../../src/server/connection.ts";
import { Turn } from "../../src/turn.ts";
import { CountingDisk } from "./counting-disk.ts";

const peer = { address: "127.0.0.1", port: 1, localAddress: "127.0.0.1", localPort: 5672 };
const guest = { user: "guest", password: "guest", vhost: "/" };
const CHANNELS_MAX = 10;

export class Counts {
  turns = 0;
  socketWrites = 0;
  diskWrites = 0;
  diskBytes = 0;
  diskSyncs = 0;
  /** Messages for which exchanges were asked. */
  routings = 0;
  /** Keys that a topic exchange did not remember. */
  unknownKeys = 0;
}

/** A client's connection: of a `Duplex` it has what a connection uses, and takes all bytes at once. */
export class CountedStream extends EventEmitter {
  writableLength = 0;
  destroyed = false;
  /** Whether the broker does not read. */
  isPaused = false;
  /** Of the last write: for a look at what the broker answered. */
  lastWritten: Buffer = Buffer.alloc(0);
  readonly #counts: Counts;
  #written: (() => void)[] = [];

  constructor(counts: Counts) {
    super();
    this.#counts = counts;
  }

  write(bytes: Buffer, written?: () => void): boolean {
    this.#counts.socketWrites++;
    this.lastWritten = bytes;
    if (written !== undefined) this.#written.push(written);
    return true;
  }

  /** Tells the broker that its bytes have left; whether there were any. */
  tellWritten(): boolean {
    const written = this.#written;
    if (written.length === 0) return false;
    this.#written = [];
    for (const tell of written) tell();
    return true;
  }

  cork(): void {}

  uncork(): void {}

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(): void {
    throw new Error(`the broker ends the connection: ${this.lastWritten.toString("latin1")}`);
  }

  destroy(): void {
    this.end();
  }
}

export class CountedBroker {
  readonly counts = new Counts();
  readonly host: Host;
  readonly #disk = new CountingDisk(this.counts);
  readonly #streams: CountedStream[] = [];
  #runTurn: (() => void) | undefined;
  /** Kept, so that the compiler cannot do without it. */
  #wasted: object = {};

  constructor() {
    const turn = new Turn((run) => {
      this.#runTurn = run;
    });
    const settings = { ...defaultSettings, heartbeat: 0 };
    const clock = new VirtualClock();
    this.host = new Host({ settings, clock, turn, log: silentLog, disk: this.#disk });
    this.#countRouting();
  }

  /** From now on each message costs an object more: for a test of the tests. */
  wasteObjects(): void {
    const vhost = this.host.virtualHosts.get("/");
    const enqueue = vhost.enqueue.bind(vhost);
    vhost.enqueue = (publication, receivers) => {
      this.#wasted = { bodyBytes: publication.bodyBytes };
      return enqueue(publication, receivers);
    };
  }

  /** From now on each message costs a buffer of its size: the same. */
  wasteBuffers(): void {
    const vhost = this.host.virtualHosts.get("/");
    const enqueue = vhost.enqueue.bind(vhost);
    vhost.enqueue = (publication, receivers) => {
      this.#wasted = Buffer.allocUnsafeSlow(publication.bodyBytes);
      return enqueue(publication, receivers);
    };
  }

  #countRouting(): void {
    const { counts } = this;
    const vhost = this.host.virtualHosts.get("/");
    const route = vhost.route.bind(vhost);
    vhost.route = (publication, routingKeys) => {
      counts.routings++;
      return route(publication, routingKeys);
    };
    const { prototype } = LRUCache;
    const { set } = prototype;
    prototype.set = function (...given) {
      counts.unknownKeys++;
      return set.apply(this, given);
    };
  }

  get wasted(): object {
    return this.#wasted;
  }

  /** A client with its channel open. */
  connect(): CountedStream {
    const stream = new CountedStream(this.counts);
    this.#streams.push(stream);
    const connection = new Connection(
      stream as unknown as Duplex,
      this.host,
      peer,
      () => undefined,
    );
    void connection;
    const opening = [
      protocolHeader,
      connectionStartOk(guest),
      connectionTuneOk(CHANNELS_MAX, FRAME_BYTES_MAX),
      connectionOpen(guest),
      channelOpen(),
    ];
    this.arrive(stream, Buffer.concat(opening));
    return stream;
  }

  /** Lets bytes arrive, so many in a read and as many in a turn as are read, and everything follow that follows from it. */
  arrive(stream: CountedStream, bytes: Buffer, readBytes = bytes.length): void {
    for (let from = 0; from < bytes.length; from += readBytes) {
      while (stream.isPaused) if (!this.#goOn()) throw new Error("the broker does not read on");
      stream.emit("data", bytes.subarray(from, from + readBytes));
    }
    while (this.#goOn());
  }

  /** One turn, with what can happen before it; false when the broker has come to rest. */
  #goOn(): boolean {
    let moved = false;
    for (const stream of this.#streams) if (stream.tellWritten()) moved = true;
    if (this.#disk.completeSyncs()) moved = true;
    const runTurn = this.#runTurn;
    if (runTurn === undefined) return moved;
    this.#runTurn = undefined;
    this.counts.turns++;
    runTurn();
    return true;
  }
}
