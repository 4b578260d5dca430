/**
 * Records that have moved: from the position that their holders know to where they are now, and back.
 *
 * Holders keep the position under which a message was stored first, for as long as they hold it.
 */

export class Moves {
  readonly #to = new Map<number, number>();
  readonly #from = new Map<number, number>();

  /** Where the record that is known by `position` is now. */
  current(position: number): number {
    return this.#to.size === 0 ? position : (this.#to.get(position) ?? position);
  }

  /** By which position the record that is now at `position` is known. */
  known(position: number): number {
    return this.#from.get(position) ?? position;
  }

  /** The record at `from` is at `to` from now on. */
  move(from: number, to: number): void {
    const known = this.known(from);
    this.#from.delete(from);
    this.#to.set(known, to);
    this.#from.set(to, known);
  }

  /** The record that is now at `position` is gone. */
  forget(position: number): void {
    if (this.#from.size === 0) return;
    const known = this.#from.get(position);
    if (known === undefined) return;
    this.#from.delete(position);
    this.#to.delete(known);
  }
}
