/** Programs of other people that speak the management API: curl, and the rabbitmqadmin of RabbitMQ's package. */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { newVirtualHost, target } from "./api.ts";

const run = promisify(execFile);

function isInstalled(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

const RABBITMQADMIN = "/usr/bin/rabbitmqadmin";
const hasRabbitmqadmin = existsSync(RABBITMQADMIN) && isInstalled("python3", "--version");

/** What it prints when it is told this about a virtual host. */
async function rabbitmqadmin(vhost: string, ...args: string[]): Promise<string> {
  const { hostname, port } = new URL((await target()).http);
  const where = ["--host", hostname, "--port", port, "--vhost", vhost];
  const { stdout } = await run("python3", [RABBITMQADMIN, ...where, ...args]);
  return stdout.trim();
}

describe.skipIf(!hasRabbitmqadmin)("G6 rabbitmqadmin", { timeout: 60_000 }, () => {
  test("G6 declares, binds, publishes, gets, lists and deletes", async () => {
    const vhost = await newVirtualHost();
    const admin = (...args: string[]) => rabbitmqadmin(vhost, ...args);
    const list = async (...args: string[]) =>
      JSON.parse(await admin("--format", "raw_json", "list", ...args));
    expect(await admin("declare", "queue", "name=q", "durable=true")).toBe("queue declared");
    expect(await admin("declare", "exchange", "name=x", "type=topic")).toBe("exchange declared");
    expect(await admin("declare", "binding", "source=x", "destination=q", "routing_key=k")).toBe(
      "binding declared",
    );
    expect(await admin("publish", "exchange=x", "routing_key=k", "payload=hello")).toBe(
      "Message published",
    );
    expect(await admin("publish", "exchange=x", "routing_key=z", "payload=hello")).toBe(
      "Message published but NOT routed",
    );
    expect(JSON.parse(await admin("--format", "raw_json", "get", "queue=q"))).toMatchObject([
      { payload: "hello", routing_key: "k", exchange: "x" },
    ]);
    expect(await list("queues", "name", "durable")).toEqual([{ name: "q", durable: true }]);
    expect(await list("bindings", "source", "destination")).toEqual([
      { source: "", destination: "q" },
      { source: "x", destination: "q" },
    ]);
    expect(await list("exchanges", "name")).toContainEqual({ name: "x" });
    expect(await admin("purge", "queue", "name=q")).toBe("queue purged");
    expect(
      await admin(
        "delete",
        "binding",
        "source=x",
        "destination_type=queue",
        "destination=q",
        "properties_key=k",
      ),
    ).toBe("binding deleted");
    expect(await admin("delete", "queue", "name=q")).toBe("queue deleted");
    expect(await admin("delete", "exchange", "name=x")).toBe("exchange deleted");
  });

  test("G6 sets policies, parameters, limits, users and permissions", async () => {
    const vhost = await newVirtualHost();
    const admin = (...args: string[]) => rabbitmqadmin(vhost, ...args);
    const definition = 'definition={"max-length":5}';
    expect(await admin("declare", "policy", "name=p", "pattern=^q", definition)).toBe(
      "policy declared",
    );
    expect(await admin("declare", "operator_policy", "name=o", "pattern=^q", definition)).toBe(
      "operator_policy declared",
    );
    expect(
      await admin("declare", "vhost_limit", `vhost=${vhost}`, "name=max-queues", "value=3"),
    ).toBe("vhost_limit declared");
    expect(await admin("declare", "user", `name=${vhost}`, "password=p", "tags=monitoring")).toBe(
      "user declared",
    );
    const permission = [`vhost=${vhost}`, `user=${vhost}`, "configure=.*", "write=.*", "read=.*"];
    expect(await admin("declare", "permission", ...permission)).toBe("permission declared");
    for (const [kind, wanted] of [
      ["policies", { name: "p", "apply-to": "all" }],
      ["operator_policies", { name: "o" }],
      ["vhost_limits", { value: { "max-queues": 3 } }],
      ["permissions", { user: vhost, read: ".*" }],
      ["users", { name: vhost }],
    ] as const) {
      const rows = JSON.parse(await admin("--format", "raw_json", "list", kind));
      expect([kind, rows]).toEqual([
        kind,
        expect.arrayContaining([expect.objectContaining(wanted)]),
      ]);
    }
    expect(await admin("delete", "user", `name=${vhost}`)).toBe("user deleted");
  });

  test("G6 exports and imports definitions", async () => {
    const vhost = await newVirtualHost();
    const folder = mkdtempSync(join(tmpdir(), "leveret-tools-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, "definitions.json");
    await rabbitmqadmin(vhost, "declare", "queue", "name=q");
    expect(await rabbitmqadmin(vhost, "export", file)).toContain("Exported definitions");
    expect(JSON.parse(readFileSync(file, "utf8")).queues).toContainEqual(
      expect.objectContaining({ name: "q" }),
    );
    expect(await rabbitmqadmin(vhost, "import", file)).toMatch(/[Uu]ploaded definitions|Imported/);
  });

  test("G6 shows the overview, nodes and clients", async () => {
    const { hostname } = new URL((await target()).http);
    expect(hostname).toBe("127.0.0.1");
    expect(await rabbitmqadmin("/", "show", "overview")).toContain("rabbitmq_version");
    for (const kind of ["nodes", "connections", "channels", "consumers", "vhosts", "parameters"])
      await rabbitmqadmin("/", "list", kind);
    await expect(rabbitmqadmin("/", "close", "connection", "name=nope")).rejects.toThrow(
      "Not found",
    );
  });
});

describe.skipIf(!isInstalled("curl", "--version"))("G1 curl", () => {
  const curl = async (path: string, ...args: string[]): Promise<string> => {
    const { http } = await target();
    const { stdout } = await run("curl", [
      "-s",
      "-u",
      "guest:guest",
      ...args,
      `${http}/api/${path}`,
    ]);
    return stdout;
  };

  test("G1 may send JSON that it calls a form", async () => {
    const vhost = await newVirtualHost();
    const put = ["-X", "PUT", "-d", '{"durable":true}', "-o", "-", "-w", "%{http_code}"];
    expect(await curl(`queues/${vhost}/q`, ...put)).toBe("201");
    expect(JSON.parse(await curl(`queues/${vhost}?columns=name`))).toEqual([{ name: "q" }]);
  });

  test("G1 may send definitions as the file of a form", async () => {
    const vhost = await newVirtualHost();
    const definitions = JSON.stringify({
      queues: [{ name: "q", vhost, durable: true, auto_delete: false, arguments: {} }],
    });
    const folder = mkdtempSync(join(tmpdir(), "leveret-tools-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, "d.json");
    execFileSync("sh", ["-c", 'printf %s "$1" > "$2"', "sh", definitions, file]);
    const posted = await curl("definitions", "-F", `file=@${file}`, "-w", "%{http_code}");
    expect(posted).toBe("204");
    expect(JSON.parse(await curl(`queues/${vhost}?columns=name`))).toEqual([{ name: "q" }]);
  });
});
