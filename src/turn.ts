/**
 * The end of a turn of the event loop: the moment at which bytes move.
 *
 * Inside a turn code only appends to memory. At its end the stores flush first, then what waited for them (confirms) is
 * written, then the sockets. That order is what makes a confirm a promise, and it batches writes, syncs and confirms
 * without a queue, a promise or a timer per message.
 */

/** Something to be done once at the end of this turn. */
export interface TurnTask {
  endTurn(): void;
}

/** Runs `run` after the input that is waiting now has been read. */
export type TurnSchedule = (run: () => void) => void;

export class Turn {
  #stores: TurnTask[] = [];
  #sockets: TurnTask[] = [];
  #scheduled = false;
  #flushing = false;
  /** Why a store could not flush: then nobody knows what the disk holds, and nothing is said to anybody any more. */
  #failure: { readonly error: unknown } | undefined;
  /** How many acts are under way that may not be divided, one within the other. */
  #undivided = 0;
  readonly #schedule: TurnSchedule;
  readonly #run = (): void => this.run();

  /** The default schedule is the check phase, right after the poll phase has handed over every readable socket. */
  constructor(schedule: TurnSchedule = setImmediate) {
    this.#schedule = schedule;
  }

  /** Does something of which all goes into one flush, or nothing. */
  undivided<Result>(act: () => Result): Result {
    this.#undivided++;
    try {
      return act();
    } finally {
      this.#undivided--;
    }
  }

  /** Whether something is being done of which all goes into one flush. */
  get isUndivided(): boolean {
    return this.#undivided > 0;
  }

  /** At the end of this turn, before any socket: once per call, so the caller keeps a flag. */
  flushStore(task: TurnTask): void {
    this.#stores.push(task);
    this.#wake();
  }

  /** At the end of this turn, after every store: once per call, so the caller keeps a flag. */
  flushSocket(task: TurnTask): void {
    this.#sockets.push(task);
    this.#wake();
  }

  #wake(): void {
    if (this.#scheduled || this.#failure !== undefined) return;
    this.#scheduled = true;
    this.#schedule(this.#run);
  }

  /**
   * Ends the turn now. What a store's task adds still belongs to this turn; what a socket's task adds to the next. Throws
   * what a store throws that cannot flush, also when that was before the turn's end: no turn ends after that.
   */
  run(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    try {
      this.flushStores();
      const sockets = this.#sockets;
      this.#sockets = [];
      for (const task of sockets) task.endTurn();
    } finally {
      // What was asked for meanwhile has been done, but for what a socket's task asked for.
      this.#scheduled = false;
      if (this.#stores.length > 0 || this.#sockets.length > 0) this.#wake();
    }
  }

  /**
   * Flushes the stores now: for whoever has so much to say that it leaves before the turn ends. False when that cannot
   * be now, because it is under way already or because what is being done must go into one flush.
   */
  flushStores(): boolean {
    if (this.#flushing || this.#undivided > 0) return false;
    this.#flushing = true;
    // The list grows while it is worked through: a confirm asks its store to tell it when it has flushed.
    try {
      for (const task of this.#stores) task.endTurn();
    } catch (error) {
      this.#failure = { error };
      this.#sockets = [];
      throw error;
    } finally {
      this.#stores = [];
      this.#flushing = false;
    }
    return true;
  }
}
