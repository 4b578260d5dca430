/**
 * A client's connection in memory: bytes arrive at the broker when the simulation says so, and what the broker says waits
 * until the client takes it.
 *
 * It does at once and in a known order what a stream of Node's does some ticks later, so that a simulation is one
 * synchronous run. It has of a `Duplex` what a connection uses.
 */
import { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";

type Written = () => void;

export class SimulatedStream extends EventEmitter {
  /** Bytes that the client has not taken. */
  writableLength = 0;
  destroyed = false;
  /** The broker says no more. */
  ended = false;
  readonly #isDead: () => boolean;
  #paused = false;
  /** What has arrived while the broker was not reading. */
  #waiting: Buffer[] = [];
  #said: { bytes: Buffer; written: Written | undefined }[] = [];
  /** Of what the client has taken. */
  #taken: Written[] = [];
  #takenBytes = 0;

  /** `isDead` tells that the broker's process has ended: nothing it says then is heard. */
  constructor(isDead: () => boolean) {
    super();
    this.#isDead = isDead;
  }

  /** As the connection knows it. */
  get duplex(): Duplex {
    return this as unknown as Duplex;
  }

  // -- the broker's side

  write(bytes: Buffer, written?: Written): boolean {
    if (this.#isDead()) return true;
    this.#said.push({ bytes: Buffer.from(bytes), written });
    this.writableLength += bytes.length;
    return true;
  }

  cork(): void {}

  uncork(): void {}

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit("close");
  }

  // -- the client's side

  /** Bytes come to the broker; while it does not read they wait. */
  arrive(bytes: Buffer): void {
    this.#waiting.push(bytes);
    this.deliver();
  }

  deliver(): void {
    while (!this.#paused && !this.destroyed && this.#waiting.length > 0)
      this.emit("data", this.#waiting.shift()!);
  }

  /** The client takes all that the broker has said. */
  take(): Buffer[] {
    const said = this.#said;
    this.#said = [];
    for (const { bytes, written } of said) {
      this.#takenBytes += bytes.length;
      if (written !== undefined) this.#taken.push(written);
    }
    return said.map(({ bytes }) => bytes);
  }

  /** The broker learns that what the client has taken has left. */
  tellWritten(): void {
    const taken = this.#taken;
    this.#taken = [];
    this.writableLength -= this.#takenBytes;
    this.#takenBytes = 0;
    for (const written of taken) written();
  }

  /** The client has gone. */
  hangUp(): void {
    if (this.destroyed) return;
    this.emit("end");
    this.destroy();
  }
}
