/** Definitions as files, and through the standard output and input. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { api, newVirtualHost } from "../management/api.ts";
import { areForeign, printed, rabbitmqctl, refused, run, virtualHostName } from "./tools.ts";

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "definitions-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

const STARTED =
  "Successfully started definition import. This process is asynchronous and can take some time.";

test("G3 V12 export_definitions writes what import_definitions reads", async () => {
  const vhost = await newVirtualHost();
  const there = await api();
  await there.put(`queues/${vhost}/q`, { durable: true, arguments: { "x-max-length": 3 } });
  const file = join(folder(), "definitions.json");
  expect(await rabbitmqctl("export_definitions", file)).toEqual(
    printed(`Exporting definitions in JSON to a file at "${file}" ...`),
  );
  const all = JSON.parse(readFileSync(file, "utf8"));
  const isHere = (row: { vhost?: string; name?: string }) => row.vhost === vhost;
  const queues = all.queues.filter(isHere);
  expect(queues).toMatchObject([{ name: "q", arguments: { "x-max-length": 3 } }]);
  const own = {
    vhosts: all.vhosts.filter(({ name }: { name: string }) => name === vhost),
    permissions: all.permissions.filter(isHere),
    queues,
  };
  await there.delete(`vhosts/${vhost}`);
  writeFileSync(file, JSON.stringify(own));
  expect(await rabbitmqctl("import_definitions", file)).toEqual(
    printed(`Importing definitions in JSON from a file at "${file}" ...`, STARTED),
  );
  expect((await there.get(`queues/${vhost}/q`)).body.arguments).toEqual({ "x-max-length": 3 });
});

test("G3 V12 export_definitions - prints them", async () => {
  const { code, out } = await rabbitmqctl("-q", "export_definitions", "-");
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ users: expect.any(Array), vhosts: expect.any(Array) });
});

test("G3 V12 import_definitions says what is wrong with a file", async () => {
  const file = join(folder(), "definitions.json");
  expect(await rabbitmqctl("import_definitions", file)).toMatchObject({
    code: 65,
    error: expect.stringContaining(
      `Error (argument validation): Bad argument: File ${file} does not exist\n`,
    ),
  });
  writeFileSync(file, "no JSON");
  const says = `Importing definitions in JSON from a file at "${file}" ...`;
  expect(await rabbitmqctl("import_definitions", file)).toMatchObject({
    code: 65,
    out: `${says}\n`,
    error: expect.stringContaining("Error:\nFailed to deserialise input (format: JSON)"),
  });
  writeFileSync(file, '{"queues":[{"name":"x","vhost":"no-such-vhost"}]}');
  expect(await rabbitmqctl("import_definitions", file)).toEqual(
    refused(65, [says], "Virtual host 'no-such-vhost' does not exist"),
  );
  expect(await rabbitmqctl("export_definitions", "/no/such/file")).toMatchObject({
    code: 65,
    error: expect.stringContaining("Bad argument: Directory /no/such does not exist\n"),
  });
});

test.skipIf(areForeign)("G3 V12 import_definitions reads the standard input", async () => {
  const name = virtualHostName();
  const input = JSON.stringify({ vhosts: [{ name }] });
  expect(await run("rabbitmqctl", ["import_definitions"], { input })).toEqual(
    printed("Importing definitions in JSON from standard input ...", STARTED),
  );
  expect((await (await api()).get(`vhosts/${name}`)).status).toBe(200);
});
