/** The writing half of a connection: how much of it goes out before somebody else has a turn. */
import { Duplex } from "node:stream";
import { expect, test } from "vitest";
import { Output } from "../../src/amqp/output.ts";
import { Writer } from "../../src/server/writer.ts";
import { Turn } from "../../src/turn.ts";

const KIB = 1024;
const TURN_BYTES = 1024 * KIB;

/** A client that takes whatever it is sent at once. */
class Greedy extends Duplex {
  takenBytes = 0;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.takenBytes += chunk.length;
    done();
  }
}

/** A writer with much to say: it goes on whenever it may. */
class Talker {
  readonly stream = new Greedy();
  readonly #ends: (() => void)[] = [];
  readonly turn = new Turn((end) => void this.#ends.push(end));
  readonly writer: Writer;
  #leftBytes: number;

  constructor(bytes: number) {
    this.#leftBytes = bytes;
    this.writer = new Writer(this.stream, this.turn, 128 * KIB, () => this.talk());
  }

  talk(): void {
    const piece = Buffer.alloc(KIB);
    while (this.#leftBytes > 0 && !this.writer.congested) {
      this.#leftBytes -= KIB;
      this.writer.output.raw(piece, 0, KIB);
      this.writer.grew();
    }
  }

  /** Ends the turn, and lets callbacks of the stream run, as the event loop does. */
  async endTurn(): Promise<void> {
    for (const end of this.#ends.splice(0)) end();
    await new Promise(setImmediate);
  }
}

test("a client that reads as fast as it is written to gets no more than its share of a turn", async () => {
  const talker = new Talker(5 * TURN_BYTES);
  talker.talk();
  // Callbacks of the stream are not a turn of their own.
  await new Promise(setImmediate);
  expect(talker.stream.takenBytes).toBeGreaterThanOrEqual(TURN_BYTES);
  expect(talker.stream.takenBytes).toBeLessThanOrEqual(TURN_BYTES + 128 * KIB);
});

test("and the rest in the turns that follow, all of it", async () => {
  const talker = new Talker(5 * TURN_BYTES);
  talker.talk();
  let before = 0;
  for (let turn = 1; turn <= 6; turn++) {
    await talker.endTurn();
    const taken = talker.stream.takenBytes;
    expect(taken - before).toBeLessThanOrEqual(2 * (TURN_BYTES + 128 * KIB));
    before = taken;
  }
  expect(talker.stream.takenBytes).toBe(5 * TURN_BYTES);
});

/** Fails at once, as a socket whose peer is gone. */
class Broken extends Duplex {
  override _writev(_chunks: unknown, done: (error: Error) => void): void {
    done(new Error("EPIPE"));
  }

  override _read(): void {}
}

test("what could not be written is given back once, whatever is said meanwhile", async () => {
  const stream = new Broken();
  const closed = new Promise((resolve) => stream.on("close", resolve));
  stream.on("error", () => undefined);
  const writer = new Writer(stream, new Turn(() => undefined), 131_072, () => undefined);
  const { output } = writer;
  const [little, much] = [Buffer.alloc(10, 1), Buffer.alloc(5000, 1)];
  for (let batch = 0; batch < 2; batch++) {
    output.raw(little, 0, little.length);
    writer.flushAll();
  }
  for (const bytes of [little, much, little]) output.raw(bytes, 0, bytes.length);
  await closed;
  // Nobody writes where somebody else does.
  const others = [1, 2, 3, 4, 5, 6].map((octet) => {
    const other = new Output(131_072);
    other.raw(Buffer.alloc(10, octet), 0, 10);
    return other;
  });
  expect(others.map((other) => other.take().parts[0]![0])).toEqual([1, 2, 3, 4, 5, 6]);
});
