/**
 * The segments of a journal, from the head to the tail, and where in them the message is that its holders know by a position.
 *
 * Records move, and bytes on a disk change: holders notice neither, until they ask for a message that is lost.
 */

import { assert } from "../assert.ts";
import type { DamagedRange, JournalSegment } from "./journal-segment.ts";
import type { Place } from "./message-store.ts";
import type { Moves } from "./moves.ts";
import { messageStart, segmentNumber } from "./segment-format.ts";

export class JournalSegments {
  readonly #all: JournalSegment[] = [];
  readonly #byNumber = new Map<number, JournalSegment>();
  /** Records that are no longer where they were stored first. */
  readonly moves: Moves;
  /** Messages that are held and can no longer be read, by the position that their holders know, and by the one they have. */
  readonly #lost = new Set<number>();
  readonly #onDamage: (damage: DamagedRange) => void;
  #recent: JournalSegment | undefined;
  #place: { -readonly [Key in keyof Place]: Place[Key] } | undefined;
  /** In its segment: of the message that `find` was asked for last. */
  ordinal = 0;

  /** `moves` is kept. */
  constructor(onDamage: (damage: DamagedRange) => void, moves: Moves) {
    this.moves = moves;
    this.#onDamage = onDamage;
  }

  get length(): number {
    return this.#all.length;
  }

  get head(): JournalSegment | undefined {
    return this.#all[0];
  }

  get last(): JournalSegment | undefined {
    return this.#all.at(-1);
  }

  /** Of all files, when all is written. */
  get fileBytes(): number {
    let bytes = 0;
    for (const segment of this.#all) bytes += segment.fileBytes;
    return bytes;
  }

  /** Of records that somebody holds, about. */
  get heldBytes(): number {
    let bytes = 0;
    for (const segment of this.#all) bytes += segment.heldBytes;
    return bytes;
  }

  /** Adds a segment behind all others. */
  add(segment: JournalSegment): void {
    this.#all.push(segment);
    this.#byNumber.set(segment.number, segment);
  }

  /** Nothing is looked up in the head any more. */
  removeHead(): void {
    const head = this.#all.shift()!;
    this.#byNumber.delete(head.number);
    if (this.#recent === head) this.#recent = undefined;
  }

  /** The segment where the message is now; where in it, `ordinal` says. */
  find(position: number): JournalSegment {
    const now = this.moves.current(position);
    let segment = this.#recent;
    const number = segmentNumber(now);
    if (segment?.number !== number) {
      segment = this.#byNumber.get(number);
      assert(segment !== undefined, `position ${position} is in no segment`);
      this.#recent = segment;
    }
    this.ordinal = now - segment.start;
    return segment;
  }

  /** As `MessageStore.locate`. */
  locate(position: number): Place {
    const segment = this.find(position);
    const { ordinal } = this;
    this.use(segment);
    if (this.isLost(position)) throw new Error(`message ${ordinal} of ${segment.name} is damaged`);
    const { keeper } = segment;
    const { buffer, view } = keeper;
    this.#place ??= { buffer, view, keeper, offset: 0 };
    this.#place.buffer = buffer;
    this.#place.view = view;
    this.#place.keeper = keeper;
    this.#place.offset = messageStart(view, segment.recordStart(ordinal));
    return this.#place;
  }

  /** As `MessageStore.isWhole`. */
  isWhole(position: number): boolean {
    if (this.isLost(position)) return false;
    this.use(this.find(position));
    return !this.isLost(position);
  }

  /** Whether the message that its holders know by this position, or that is there, has been found to be lost. */
  isLost(position: number): boolean {
    return this.#lost.size > 0 && this.#lost.has(position);
  }

  /** Whether the message is lost and stayed behind when the rest of its segment moved. */
  isGone(position: number): boolean {
    return (
      this.isLost(position) && !this.#byNumber.has(segmentNumber(this.moves.current(position)))
    );
  }

  /** Its bytes are in memory, and have been looked at. */
  use(segment: JournalSegment): void {
    if (segment.isTail) return;
    if (segment.resident) segment.touch();
    else this.#load(segment);
  }

  #load(segment: JournalSegment): void {
    const damage = segment.load();
    if (damage.length > 0) this.#noteLost(segment, damage);
    if (damage.length === 0 || segment.isDamaged) return;
    segment.isDamaged = true;
    segment.keepAside();
    for (const range of damage) this.#onDamage(range);
  }

  #noteLost(segment: JournalSegment, damage: readonly DamagedRange[]): void {
    for (const { ordinals } of damage)
      for (const ordinal of ordinals) this.#lost.add(segment.start + ordinal);
    this.moves.forEach((known, now) => {
      if (this.#lost.has(now)) this.#lost.add(known);
    });
  }

  /**
   * Looks whether the next segment that was taken over unread is what was written; false when all have been looked at. What
   * is damaged is reported as it is when somebody needs it.
   */
  verifyNext(): boolean {
    const segment = this.#all.find(
      ({ isVerified, isTail, pins }) => !isVerified && !isTail && pins === 0,
    );
    if (segment === undefined) return false;
    // It is not in memory, or it would have been looked at.
    this.#load(segment);
    segment.evict();
    return true;
  }

  /** Lets go of all files and memory. */
  close(): void {
    for (const segment of this.#all) {
      segment.closeFile();
      segment.dispose();
    }
    this.moves.clear();
  }
}
