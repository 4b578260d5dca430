/** The data folder: who may use it, how large it gets, and what a torn end of the journal does to it. */
import { spawnSync } from "node:child_process";
import { readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { check } from "../../src/check.ts";
import { Broker } from "../../src/index.ts";
import { FileDisk } from "../../src/store/disk.ts";
import { drainTexts, KeptBroker, numbered, sendTexts, temporaryFolder } from "./kept-broker.ts";
import { transaction } from "./transactional.ts";

/** The files of a folder and those below it, with their sizes. */
async function files(folder: string): Promise<{ path: string; bytes: number }[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const paths = entries
    // The reserve is there for bad times, and has always the same size.
    .filter((entry) => entry.isFile() && entry.name !== "reserve")
    .map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(paths.sort().map(async (path) => ({ path, bytes: (await stat(path)).size })));
}

async function bytesOf(folder: string): Promise<number> {
  return (await files(folder)).reduce((sum, { bytes }) => sum + bytes, 0);
}

describe("the lock", () => {
  test("keeps a second broker away, with the id of the process that has it", async () => {
    const broker = await KeptBroker.start();
    const second = Broker.start({ port: 0, dataDir: broker.folder });
    await expect(second).rejects.toThrow(String(process.pid));
    // The first one is none the worse for it.
    const channel = await broker.channel();
    await channel.assertQueue("q");
  });

  test("keeps a second broker away that names the folder in another way", async () => {
    const broker = await KeptBroker.start();
    for (const name of [`${broker.folder}/`, relative(process.cwd(), broker.folder)]) {
      const second = Broker.start({ port: 0, dataDir: name }).then(async (started) => {
        await started.close();
        return "started";
      });
      await expect(second).rejects.toThrow(String(process.pid));
    }
  });

  test("is free again after a stop and after a start that failed", async () => {
    const broker = await KeptBroker.start();
    const other = await Broker.start({ port: 0 });
    onTestFinished(() => other.close());
    await broker.stop();
    await expect(broker.start({ port: other.port })).rejects.toThrow("EADDRINUSE");
    await broker.start();
    expect(await readFile(join(broker.folder, "lock"), "utf8")).toContain(`${process.pid}\n`);
    await broker.stop();
    await expect(stat(join(broker.folder, "lock"))).rejects.toThrow("ENOENT");
  });

  test("is taken over from a process that has ended, and from one that did not get to write its id", async () => {
    const { pid } = spawnSync(process.execPath, ["--version"]);
    for (const content of [`${pid}\n`, ""]) {
      const folder = await temporaryFolder();
      await writeFile(join(folder, "lock"), content);
      const broker = await Broker.start({ port: 0, dataDir: folder });
      expect(await readFile(join(folder, "lock"), "utf8")).toContain(`${process.pid}\n`);
      await broker.close();
    }
  });

  test("of a process that lives is respected", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "lock"), `${process.ppid}\n`);
    await expect(Broker.start({ port: 0, dataDir: folder })).rejects.toThrow(String(process.ppid));
  });
});

describe("its size", () => {
  test("does not grow by starts and stops, nor do its files become more", async () => {
    const broker = await KeptBroker.start();
    let channel = await broker.channel();
    await channel.assertQueue("held");
    await channel.assertQueue("q");
    await sendTexts(channel, "held", ["for long"]);
    for (let round = 0; round < 40; round++) {
      await sendTexts(channel, "q", [`round ${round}`]);
      expect(await drainTexts(channel, "q")).toEqual([`round ${round}`]);
      channel = await broker.restart();
    }
    const after = await files(broker.folder);
    expect(after.length).toBeLessThan(15);
    expect(await bytesOf(broker.folder)).toBeLessThan(100_000);
    expect(await drainTexts(channel, "held")).toEqual(["for long"]);
  });

  test("comes down when messages are settled, purged or deleted, beside one that is held", async () => {
    const segmentBytes = 1 << 18;
    const broker = await KeptBroker.start({ segmentBytes });
    const channel = await broker.channel();
    await channel.assertQueue("held");
    await sendTexts(channel, "held", ["for long"]);
    for (const end of ["settled", "purged", "deleted"]) {
      await channel.assertQueue(end);
      for (let count = 0; count < 2000; count++) {
        channel.sendToQueue(end, Buffer.alloc(1000), { persistent: true });
      }
      await channel.waitForConfirms();
      expect(await bytesOf(broker.folder)).toBeGreaterThan(2_000_000);
      if (end === "settled") await drainTexts(channel, end);
      else if (end === "purged") await channel.purgeQueue(end);
      else await channel.deleteQueue(end);
      // Files go with a sync; the second confirm comes after it.
      await sendTexts(channel, "held", ["x"]);
      await sendTexts(channel, "held", ["x"]);
      expect(await bytesOf(broker.folder)).toBeLessThan(5 * segmentBytes);
    }
    const again = await broker.restart();
    expect((await drainTexts(again, "held")).length).toBe(7);
  });

  test("is small after a stop right behind the settling of much", async () => {
    const broker = await KeptBroker.start({ segmentBytes: 1 << 16 });
    for (let round = 0; round < 5; round++) {
      const channel = await broker.channel();
      await channel.assertQueue("q");
      await sendTexts(channel, "q", numbered("x".repeat(1000), 500));
      await channel.purgeQueue("q");
      await broker.stop();
      await broker.start();
    }
    const channel = await broker.channel();
    await sendTexts(channel, "q", ["last"]);
    await sendTexts(channel, "q", ["last"]);
    expect(await bytesOf(broker.folder)).toBeLessThan(500_000);
    expect(broker.warnings).toEqual([]);
  });
});

test("more than the memory limit is kept and comes back", async () => {
  const broker = await KeptBroker.start({ segmentBytes: 1 << 16, memoryLimit: 1 << 17 });
  const channel = await broker.channel();
  await channel.assertQueue("q");
  const texts = numbered("y".repeat(500), 2000);
  await sendTexts(channel, "q", texts);
  const again = await broker.restart();
  expect(await drainTexts(again, "q")).toEqual(texts);
});

test("a crash between the giving up of a segment and its removal does no harm", async () => {
  /** Leaves every file where it is, as a crash before its removal does. */
  class KeepingDisk extends FileDisk {
    override remove(): void {}
    override subfolder(name: string): KeepingDisk {
      return new KeepingDisk(join(this.folder, name));
    }
  }
  const broker = await KeptBroker.start();
  await broker.stop();
  await broker.start({ segmentBytes: 1 << 16, disk: new KeepingDisk(broker.folder) });
  const channel = await broker.channel();
  await channel.assertQueue("held");
  await channel.assertQueue("traffic");
  await sendTexts(channel, "held", numbered("held ", 5));
  for (let round = 0; round < 3; round++) {
    await sendTexts(channel, "traffic", numbered("t".repeat(1000), 300));
    await drainTexts(channel, "traffic");
  }
  await sendTexts(channel, "traffic", ["last"]);
  const again = await broker.restart();
  const purged = await again.purgeQueue("held").catch(() => undefined);
  expect([purged?.messageCount, broker.warnings]).toEqual([5, []]);
  expect(await drainTexts(again, "traffic")).toEqual(["last"]);
  const once = await broker.restart();
  expect(await drainTexts(once, "held")).toEqual([]);
});

describe("a transaction over several segments whose end is missing", () => {
  async function torn(): Promise<KeptBroker> {
    const broker = await KeptBroker.start({ segmentBytes: 1 << 16 });
    const channel = await (await broker.connection()).createChannel();
    await channel.assertQueue("q");
    const confirmed = await broker.channel();
    await sendTexts(confirmed, "q", ["before"]);
    await transaction(channel, "select");
    for (const text of numbered("z".repeat(10_000), 20)) {
      channel.sendToQueue("q", Buffer.from(text), { persistent: true });
    }
    await transaction(channel, "commit");
    await broker.stop();
    const segments = (await files(broker.folder)).filter(({ path }) =>
      /segment-\d+-[0-9a-f]{8}$/.test(path),
    );
    expect(segments.length).toBeGreaterThan(2);
    const last = segments.at(-1)!;
    await truncate(last.path, last.bytes - 100);
    await broker.start();
    return broker;
  }

  test("is not there", async () => {
    const broker = await torn();
    const channel = await broker.channel();
    expect(await drainTexts(channel, "q")).toEqual(["before"]);
    expect(broker.warnings.length).toBeGreaterThan(0);
  });

  test("is not there after the next restart either, when something was written behind it", async () => {
    const broker = await torn();
    await sendTexts(await broker.channel(), "q", ["after"]);
    const again = await broker.restart();
    const texts = await drainTexts(again, "q");
    expect(texts.map((text) => text.slice(-10))).toEqual(["before", "after"]);
  });
});

describe("the log of exchanges and queues", () => {
  const TEXTS = numbered("m", 20);

  /** A folder with the queues a and b, of which what says that there is a has changed. */
  async function folderWithDamage(): Promise<KeptBroker> {
    const broker = await KeptBroker.start();
    const channel = await broker.channel();
    for (const queue of ["a", "b"]) {
      await channel.assertQueue(queue);
      await sendTexts(channel, queue, TEXTS);
    }
    await broker.stop();
    const path = join(broker.folder, "topology");
    const bytes = await readFile(path);
    bytes[bytes.indexOf('"name":"a"') + 8]! ^= 1;
    await writeFile(path, bytes);
    return broker;
  }

  test("that is damaged costs what the damage has hit, and no messages", async () => {
    const broker = await folderWithDamage();
    const before = await readFile(join(broker.folder, "topology"));
    const lines: string[] = [];
    expect(check(broker.folder, (line) => void lines.push(line))).toBe(false);
    expect(lines.join("\n")).toMatch(/topology, \d+ bytes: DAMAGED/);
    await broker.start();
    const channel = await broker.channel();
    expect(await drainTexts(channel, "b")).toEqual(TEXTS);
    expect(broker.warnings.join("\n")).toContain("bindings and users is damaged");
    expect(broker.warnings.join("\n")).toContain("messages of queues that nobody knows are kept");
    await expect(channel.checkQueue("a")).rejects.toThrow("NOT_FOUND");
    expect(await readFile(join(broker.folder, "topology.damaged"))).toEqual(before);
    await broker.stop();
    // Whoever can mend it has all back.
    before[before.indexOf('"name":"`"') + 8]! ^= 1;
    await writeFile(join(broker.folder, "topology"), before);
    await rm(join(broker.folder, "topology.damaged"));
    await broker.start();
    expect(await drainTexts(await broker.channel(), "a")).toEqual(TEXTS);
  });

  test("whose copy is removed lets go of the messages of which it does not know the queue", async () => {
    const broker = await folderWithDamage();
    await broker.restart();
    await broker.restart();
    expect(broker.warnings.filter((text) => text.includes("nobody knows"))).toHaveLength(2);
    await broker.stop();
    await rm(join(broker.folder, "topology.damaged"));
    await broker.restart();
    expect(broker.warnings.filter((text) => text.includes("nobody knows"))).toHaveLength(2);
    await broker.stop();
    const lines: string[] = [];
    expect(check(broker.folder, (line) => void lines.push(line))).toBe(true);
    expect(lines.join("\n")).not.toContain("deleted");
  });

  test("that is gone while there are messages keeps the broker from starting, and the messages as they are", async () => {
    for (const lose of [(path: string) => rm(path), (path: string) => truncate(path, 3)]) {
      const broker = await folderWithDamage();
      const path = join(broker.folder, "topology");
      const bytes = await readFile(path);
      await lose(path);
      await expect(broker.start()).rejects.toThrow("the file topology of the data folder is lost");
      await writeFile(path, bytes);
      await broker.start();
      expect(await drainTexts(await broker.channel(), "b")).toEqual(TEXTS);
    }
  });
});
