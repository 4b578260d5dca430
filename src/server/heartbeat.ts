/**
 * Heartbeats of one connection: says that this side lives, and notices when the other one does not.
 *
 * It looks twice an interval. A look that follows another within the same turn counts for nothing, because the peer had no
 * chance to be heard in between: so neither a laptop that slept nor a clock that a test moves by an hour kills a
 * connection whose client is well.
 */

import type { Clock, Timer } from "../clock.ts";
import type { Turn, TurnTask } from "../turn.ts";

/** Two intervals without a sign of life, at two looks an interval [RabbitMQ]. */
const SILENT_LOOKS_MAX = 4;

export interface HeartbeatActions {
  /** Whether anything was sent since the last time it was asked. */
  spoke(): boolean;
  /** Whether the peer could be heard at all. */
  hears(): boolean;
  /** Sends a heartbeat frame. */
  send(): void;
  /** The peer has been silent too long. */
  expired(): void;
}

export class Heartbeat implements TurnTask {
  readonly #intervalMs: number;
  readonly #clock: Clock;
  readonly #turn: Turn;
  readonly #actions: HeartbeatActions;
  #timer: Timer;
  #heard = true;
  #silentLooks = 0;
  #lookScheduled = false;
  #stopped = false;

  constructor(seconds: number, clock: Clock, turn: Turn, actions: HeartbeatActions) {
    this.#intervalMs = (seconds * 1000) / 2;
    this.#clock = clock;
    this.#turn = turn;
    this.#actions = actions;
    this.#timer = this.#arm();
  }

  /** Bytes have come in. */
  received(): void {
    this.#heard = true;
  }

  stop(): void {
    this.#stopped = true;
    this.#timer.cancel();
  }

  #arm(): Timer {
    return this.#clock.setTimer(this.#intervalMs, () => {
      if (!this.#lookScheduled) {
        this.#lookScheduled = true;
        // After the input that is waiting now.
        this.#turn.flushStore(this);
      }
      this.#timer = this.#arm();
    });
  }

  endTurn(): void {
    this.#lookScheduled = false;
    if (this.#stopped) return;
    this.#silentLooks = this.#heard || !this.#actions.hears() ? 0 : this.#silentLooks + 1;
    this.#heard = false;
    if (this.#silentLooks >= SILENT_LOOKS_MAX) {
      this.stop();
      this.#actions.expired();
      return;
    }
    if (!this.#actions.spoke()) this.#actions.send();
  }
}
