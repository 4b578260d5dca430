/**
 * The keys of the messages that are in a queue, ready or unacked, so that no second message with one of them gets in.
 *
 * What came back with a restart has no key here: it is nobody's duplicate [RabbitMQ: message deduplication].
 */

/** In one queue; messages beyond that are let in unseen. */
const KEYS_MAX = 1_000_000;

export class UniqueMessages {
  readonly #keys = new Set<string>();
  readonly #byPosition = new Map<number, string>();

  has(key: string | undefined): boolean {
    return key !== undefined && this.#keys.has(key);
  }

  /** A message is about to come in; without a key it is not looked at. */
  add(position: number, key: string | undefined): void {
    if (key === undefined || this.#keys.size >= KEYS_MAX) return;
    this.#keys.add(key);
    this.#byPosition.set(position, key);
  }

  /** The message has left the queue. */
  forget(position: number): void {
    const key = this.#byPosition.get(position);
    if (key === undefined) return;
    this.#byPosition.delete(position);
    this.#keys.delete(key);
  }
}
