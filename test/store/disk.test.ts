/** The real disk: what was written is there, and whoever waits for a sync hears of its end, at once or later. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { type DiskFile, FileDisk } from "../../src/store/disk.ts";

function open(): DiskFile {
  const folder = mkdtempSync(join(tmpdir(), "leveret-disk-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return new FileDisk(folder).open("file");
}

function synced(file: DiskFile): Promise<Error | null> {
  return new Promise((resolve) => file.sync(resolve));
}

test("a sync of little ends without an error, as often as there is one", async () => {
  const file = open();
  for (let round = 0; round < 50; round++) {
    file.write(Buffer.alloc(100, round), 0, 100, 100 * round);
    expect(await synced(file)).toBe(null);
    await turn();
  }
  const bytes = Buffer.alloc(5000);
  expect(file.read(bytes, 0, 5000, 0)).toBe(5000);
  expect(bytes.readUInt8(4999)).toBe(49);
  file.close();
});

test("a sync of much is not waited for", async () => {
  const file = open();
  for (let round = 0; round < 5; round++) {
    file.write(Buffer.alloc(5000, round), 0, 5000, 0);
    let isOver = false;
    const end = synced(file).then((error) => {
      isOver = true;
      return error;
    });
    await Promise.resolve();
    expect(isOver).toBe(false);
    expect(await end).toBe(null);
    await turn();
  }
  file.close();
});
