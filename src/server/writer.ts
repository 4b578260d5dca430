/**
 * The writing half of a connection: from what was said in a turn to the stream, and back-pressure from there.
 *
 * A client that does not read stops its deliveries first (`congested`) and is then not read from either, so that it
 * holds no more memory than the limits below.
 */

import type { Duplex } from "node:stream";
import { Output, recycle } from "../amqp/output.ts";
import type { Turn, TurnTask } from "../turn.ts";

/** Said and not yet written to the system: beyond it a connection gets no deliveries. */
const UNWRITTEN_BYTES_CONGESTED = 1 << 20;
/** Beyond it the connection is not read from, so that a client cannot ask for more than it takes. */
const UNWRITTEN_BYTES_MAX = 8 << 20;
/** Within a turn this much is written as soon as it is there: it is still warm, and the client can begin. */
const EAGER_BYTES = 1 << 17;
/**
 * Having written this much within a turn a connection gets no deliveries before the next: a client that reads as fast as it
 * is written to would keep everybody else waiting until its queue is empty.
 */
const TURN_BYTES_MAX = 1 << 20;

export class Writer implements TurnTask {
  readonly output: Output;
  /** Bytes handed to the stream, and in how many writes. */
  writtenBytes = 0;
  writeCount = 0;
  /** Deliveries have to wait until the client has read some of what it was sent; then `onDrained` is called. */
  congested = false;
  /** For how many reasons the client is not read from now. */
  #stalls = 0;
  /** Whether one of them is that it does not read. */
  #unread = false;
  /** Whether bytes have been written since somebody looked and set it back. */
  spoke = false;
  readonly #stream: Duplex;
  readonly #turn: Turn;
  readonly #onDrained: () => void;
  #scheduled = false;
  #holds = 0;
  /** Written in this turn. */
  #turnBytes = 0;
  /** Whether the stream ends behind what has been said. */
  #ending = false;

  constructor(stream: Duplex, turn: Turn, frameMax: number, onDrained: () => void) {
    this.#stream = stream;
    this.#turn = turn;
    this.#onDrained = onDrained;
    this.output = new Output(frameMax);
  }

  /** Something was added to the output: it leaves at the end of the turn, or now when it is much. */
  grew(): void {
    // The disk before the sockets, here too.
    const leaves = this.output.bytes >= EAGER_BYTES && this.#holds === 0;
    if (leaves && this.#turn.flushStores()) this.flushAll();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#turn.flushSocket(this);
  }

  endTurn(): void {
    this.#scheduled = false;
    const wasFull = this.#turnBytes >= TURN_BYTES_MAX;
    this.#turnBytes = 0;
    // What the client has not taken yet is followed by the rest when it has: a slow client costs no slab a turn.
    if (!this.#ending && this.#stream.writableLength > 0) return;
    this.#flushUnlessHeld();
    if (wasFull) this.#written();
  }

  /** Ends the stream when all that has been said is written: not before it is true, here too. */
  end(): void {
    this.#ending = true;
    this.grew();
  }

  /** Whether the client is not read from. */
  get stalled(): boolean {
    return this.#stalls > 0;
  }

  /** Until `unstall` nothing is read from the client. */
  stall(): void {
    this.#stalls++;
    this.#stream.pause();
  }

  unstall(): void {
    this.#stalls--;
    if (this.#stalls === 0) this.#stream.resume();
  }

  /** Until `letGo` nothing leaves: what has been said is not true yet. */
  hold(): void {
    this.#holds++;
  }

  letGo(): void {
    this.#holds--;
    this.grew();
  }

  #flushUnlessHeld(): void {
    if (this.#holds > 0) return;
    this.flushAll();
    if (this.#ending) this.#stream.end();
  }

  /** Hands everything said so far to the stream. */
  flushAll(): void {
    const stream = this.#stream;
    if (this.output.bytes === 0 || stream.destroyed) return;
    const batch = this.output.take();
    const last = batch.parts.length - 1;
    if (last > 0) stream.cork();
    for (let index = 0; index < last; index++) stream.write(batch.parts[index]);
    stream.write(batch.parts[last], (error) => {
      recycle(batch);
      // A stream that has failed takes nothing more: written to from here it would tell of the same bytes again.
      if (!error && stream.writableLength === 0) this.#written();
    });
    if (last > 0) stream.uncork();
    this.spoke = true;
    this.writtenBytes += batch.bytes;
    this.writeCount++;
    this.#turnBytes += batch.bytes;
    if (this.#turnBytes >= TURN_BYTES_MAX) {
      this.congested = true;
      this.#schedule();
    }
    if (stream.writableLength >= UNWRITTEN_BYTES_CONGESTED) this.congested = true;
    if (stream.writableLength >= UNWRITTEN_BYTES_MAX && !this.#unread) {
      this.#unread = true;
      this.stall();
    }
  }

  /** The system has taken all that the stream had. */
  #written(): void {
    if (!this.#scheduled) this.#flushUnlessHeld();
    if (this.#stream.writableLength > 0) return;
    if (this.#unread) {
      this.#unread = false;
      this.unstall();
    }
    if (!this.congested || this.#turnBytes >= TURN_BYTES_MAX) return;
    this.congested = false;
    this.#onDrained();
  }
}
