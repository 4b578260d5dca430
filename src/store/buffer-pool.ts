/**
 * Buffers of one size that are used again: a flow of messages needs a new one all the time, and fresh memory costs more than
 * the messages that go into it.
 *
 * Within a turn bytes stay where they are, whoever lets go of them: what is given back can be taken after `endTurn`.
 */

const SPARE_MAX = 2;

export class BufferPool {
  readonly bufferBytes: number;
  #spare: Buffer[] = [];
  #resting: Buffer[] = [];

  constructor(bufferBytes: number) {
    this.bufferBytes = bufferBytes;
  }

  /** A buffer of at least so many bytes, with anything in it. */
  take(bytes: number): Buffer {
    if (bytes > this.bufferBytes || bytes * 2 < this.bufferBytes)
      return Buffer.allocUnsafeSlow(bytes);
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.bufferBytes);
  }

  /** A buffer that nobody will look at after this turn. */
  give(buffer: Buffer): void {
    if (buffer.length === this.bufferBytes && this.#resting.length < SPARE_MAX)
      this.#resting.push(buffer);
  }

  endTurn(): void {
    if (this.#resting.length === 0) return;
    this.#spare.push(...this.#resting);
    this.#spare.length = Math.min(this.#spare.length, SPARE_MAX);
    this.#resting = [];
  }
}
