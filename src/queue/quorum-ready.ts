/**
 * The messages of a quorum queue that wait for a consumer, in the order in which they leave [RabbitMQ 4.2].
 *
 * What came back stands in front of all others, in the order in which it came back. Behind it are two priorities, high
 * from 5 on: two high messages leave for each normal one, and a high one that came before the normal one at its head does
 * so in its place, too. Sequences mean nothing here.
 */

import type { MemoryCounter } from "../store/memory-budget.ts";
import { Fifo } from "./fifo.ts";
import { entryBodyBytes, PERSISTENT, type ReadyMessages } from "./ready.ts";

const HIGH_PRIORITY_MIN = 5;
/** Of so many messages in a row the last is a normal one, if there is one. */
const ROUND = 3;

export class QuorumReady implements ReadyMessages {
  length = 0;
  bodyBytes = 0;
  persistentCount = 0;
  persistentBytes = 0;
  position = 0;
  readonly sequence = 0;
  bits = 0;
  readonly #returned: Fifo;
  readonly #high: Fifo;
  readonly #normal: Fifo;
  /** For each high message, how many normal ones had come before it: in the place of positions. */
  readonly #normalBefore: Fifo;
  #normalCame = 0;
  #normalLeft = 0;
  /** Of the round: how many have left. */
  #turn = 0;
  /** Where the first message stands. */
  #list: Fifo;

  constructor(memory: MemoryCounter) {
    this.#returned = new Fifo(memory);
    this.#high = new Fifo(memory);
    this.#normal = new Fifo(memory);
    this.#normalBefore = new Fifo(memory);
    this.#list = this.#normal;
  }

  push(position: number, bits: number, priority: number): void {
    if (priority >= HIGH_PRIORITY_MIN) {
      this.#high.push(position, bits);
      this.#normalBefore.push(this.#normalCame, 0);
    } else {
      this.#normal.push(position, bits);
      this.#normalCame++;
    }
    this.#count(bits);
  }

  pass(priority: number): number {
    if (priority < HIGH_PRIORITY_MIN) {
      this.#normalCame++;
      this.#normalLeft++;
    }
    this.#endTurn();
    return 0;
  }

  restore(position: number, _: number, bits: number): void {
    this.#returned.push(position, bits);
    this.#count(bits);
  }

  #count(bits: number): void {
    this.length++;
    this.bodyBytes += entryBodyBytes(bits);
    if ((bits & PERSISTENT) === 0) return;
    this.persistentCount++;
    this.persistentBytes += entryBodyBytes(bits);
  }

  #endTurn(): void {
    this.#turn = (this.#turn + 1) % ROUND;
  }

  #firstList(): Fifo {
    if (this.#returned.length > 0) return this.#returned;
    if (this.#high.length === 0) return this.#normal;
    if (this.#normal.length === 0 || this.#turn < ROUND - 1) return this.#high;
    return this.#normalBefore.position <= this.#normalLeft ? this.#high : this.#normal;
  }

  first(): boolean {
    if (this.length === 0) return false;
    const list = this.#firstList();
    this.#list = list;
    this.position = list.position;
    this.bits = list.bits;
    return true;
  }

  shift(): void {
    const list = this.#list;
    this.length--;
    this.bodyBytes -= entryBodyBytes(this.bits);
    if ((this.bits & PERSISTENT) !== 0) {
      this.persistentCount--;
      this.persistentBytes -= entryBodyBytes(this.bits);
    }
    list.shift();
    if (list === this.#returned) return;
    if (list === this.#high) this.#normalBefore.shift();
    else this.#normalLeft++;
    this.#endTurn();
  }
}
