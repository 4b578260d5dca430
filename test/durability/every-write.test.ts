/**
 * A crash behind each single write of an act that must count wholly or not at all: the folder is copied before every
 * write to the journal, and a broker is started on each copy.
 */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type DiskFile, FileDisk } from "../../src/store/disk.ts";
import { KeptBroker, numbered, readyCount, sendTexts, temporaryFolder } from "./kept-broker.ts";
import { transaction } from "./transactional.ts";

/** Copies a folder each time before it is written to, once it is told to begin. */
class Copies {
  readonly folders: string[] = [];
  readonly source: string;
  readonly #target: string;
  #copying = false;

  constructor(source: string, target: string) {
    this.source = source;
    this.#target = target;
  }

  begin(): void {
    this.#copying = true;
  }

  end(): void {
    this.#copying = false;
  }

  take(): void {
    if (!this.#copying) return;
    const folder = join(this.#target, String(this.folders.length));
    cpSync(this.source, folder, { recursive: true });
    this.folders.push(folder);
  }
}

class CopiedDisk extends FileDisk {
  readonly #copies: Copies;

  constructor(folder: string, copies: Copies) {
    super(folder);
    this.#copies = copies;
  }

  override open(name: string): DiskFile {
    const file = super.open(name);
    const write = file.write.bind(file);
    file.write = (buffer, start, end, offset) => {
      this.#copies.take();
      write(buffer, start, end, offset);
    };
    return file;
  }

  override subfolder(name: string): CopiedDisk {
    return new CopiedDisk(join(this.folder, name), this.#copies);
  }
}

async function copied(): Promise<{ broker: KeptBroker; copies: Copies }> {
  const broker = await KeptBroker.start();
  await broker.stop();
  const copies = new Copies(broker.folder, await temporaryFolder());
  await broker.start({ segmentBytes: 1 << 18, disk: new CopiedDisk(broker.folder, copies) });
  return { broker, copies };
}

/** How many messages queues hold in the broker that each copy makes. */
async function countsIn(copies: Copies, queues: readonly string[]): Promise<number[][]> {
  const counts: number[][] = [];
  for (const dataDir of copies.folders) {
    const started = await KeptBroker.start({ dataDir });
    const channel = await started.channel();
    counts.push(await Promise.all(queues.map((queue) => readyCount(channel, queue))));
    await started.stop();
  }
  return counts;
}

test("a large transaction to a queue that is being consumed counts wholly or not at all", async () => {
  const { broker, copies } = await copied();
  const connection = await broker.connection();
  const channel = await connection.createChannel();
  await channel.assertQueue("q");
  await channel.assertQueue("input");
  await sendTexts(await broker.channel(), "input", ["in"]);
  let arrived = 0;
  await channel.consume("q", () => arrived++);
  await transaction(channel, "select");
  const input = await channel.get("input");
  for (const text of numbered("z".repeat(30_000), 30)) {
    channel.sendToQueue("q", Buffer.from(text), { persistent: true });
  }
  if (input !== false) channel.ack(input);
  await readyCount(channel, "input");
  copies.begin();
  await transaction(channel, "commit");
  copies.end();
  const counts = await countsIn(copies, ["q", "input"]);
  expect(counts.length).toBeGreaterThan(0);
  for (const count of counts) {
    expect([
      [0, 1],
      [30, 0],
    ]).toContainEqual(count);
  }
});

test("large dead letters that are consumed at once stand in one of the two queues at any time", async () => {
  const { broker, copies } = await copied();
  const channel = await broker.channel();
  await channel.assertQueue("source", { deadLetterExchange: "", deadLetterRoutingKey: "target" });
  await channel.assertQueue("target");
  await sendTexts(channel, "source", numbered("z".repeat(30_000), 30));
  let arrived = 0;
  await channel.consume("target", () => arrived++);
  for (let taken = 0; taken < 30; taken++) await channel.get("source");
  copies.begin();
  channel.nackAll(false);
  await readyCount(channel, "source");
  copies.end();
  const counts = await countsIn(copies, ["source", "target"]);
  expect(counts.length).toBeGreaterThan(0);
  // Never in neither; in both only what a crash finds between two flushes.
  for (const [source = 0, target = 0] of counts) expect(source + target).toBeGreaterThanOrEqual(30);
});
