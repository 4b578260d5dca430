/** Waiting for a node, the commands that have nothing to do here, feature flags, and help. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { commandsOf } from "../../src/cli/tool.ts";
import {
  areForeign,
  printed,
  rabbitmqctl,
  rabbitmqDiagnostics,
  rabbitmqPlugins,
  refused,
  run,
} from "./tools.ts";

const waiting = (pid: number): string[] => [
  `Waiting for erlang distribution on node 'NODE' while OS process '${pid}' is running`,
  "Waiting for applications 'rabbit_and_plugins' to start on node 'NODE'",
  "Applications 'rabbit_and_plugins' are running on node 'NODE'",
];

test("G3 await_startup is silent when the node is up, and await_online_nodes knows of one", async () => {
  expect(await rabbitmqctl("await_startup")).toEqual(printed());
  const says = "Will wait for at least 1 nodes to join the cluster of NODE. Timeout: 300 seconds.";
  expect(await rabbitmqctl("await_online_nodes", "1")).toEqual(printed(says));
  expect(await rabbitmqctl("await_online_nodes", "2", "--timeout", "1")).toEqual(
    refused(
      70,
      [says.replace("1 nodes", "2 nodes").replace("300", "1")],
      "Error:",
      "Error: timed out while waiting. Not enough nodes joined NODE's cluster.",
    ),
  );
});

test.skipIf(areForeign)("G3 await_startup gives up after the time-out", async () => {
  const environment = { LEVERET_MANAGEMENT_URL: "http://127.0.0.1:9" };
  const outcome = await run("rabbitmqctl", ["await_startup", "-t", "0"], { environment });
  expect(outcome).toMatchObject({
    code: 69,
    error: expect.stringContaining("unable to perform an operation on node 'NODE'"),
  });
});

test("G3 wait waits for a process, or for the one that a file names", async () => {
  const folder = mkdtempSync(join(tmpdir(), "wait-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "pid");
  writeFileSync(file, `${process.pid}\n`);
  expect(await rabbitmqctl("wait", "--pid", String(process.pid))).toEqual(
    printed(...waiting(process.pid)),
  );
  expect(await rabbitmqctl("wait", file)).toEqual(
    printed(
      `Waiting for pid file '${file}' to appear`,
      `pid is ${process.pid}`,
      ...waiting(process.pid),
    ),
  );
  expect(await rabbitmqctl("wait", `${file}-2`, "--timeout", "1")).toEqual(
    refused(
      75,
      [`Waiting for pid file '${file}-2' to appear`],
      "Error: operation wait on node NODE timed out. Timeout value used: 1000",
    ),
  );
  expect(await rabbitmqctl("wait")).toMatchObject({
    code: 64,
    error: expect.stringContaining('Error (argument validation): "No pid or pidfile specified"\n'),
  });
});

test("G3 eval answers node().", async () => {
  expect(await rabbitmqctl("eval", "node().")).toEqual(printed("NODE"));
});

test.skipIf(areForeign)("G3 eval refuses what only Erlang could do", async () => {
  expect(await rabbitmqctl("eval", "erlang:halt().")).toMatchObject({ code: 69, out: "" });
});

test("G3 force_gc, rotate_logs, list_unresponsive_queues and discover_peers have nothing to do", async () => {
  expect(await rabbitmqctl("force_gc")).toEqual(
    printed("Will ask all processes on node NODE to schedule a full sweep GC"),
  );
  expect(await rabbitmqctl("rotate_logs")).toEqual(
    refused(69, [], "Error:", "This command does not rotate logs anymore [deprecated]"),
  );
  expect(await rabbitmqctl("list_unresponsive_queues")).toEqual(
    printed("Listing unresponsive queues for vhost / ..."),
  );
  expect(await rabbitmqDiagnostics("discover_peers")).toEqual(
    printed("Discovering peers nodes ...", "No peers discovered"),
  );
});

test("G3 list_feature_flags and enable_feature_flag", async () => {
  const { out } = await rabbitmqctl("list_feature_flags");
  const lines = out.split("\n");
  expect(lines.slice(0, 2)).toEqual(["Listing feature flags ...", "name\tstate"]);
  expect(lines).toContain("quorum_queue\tenabled");
  expect(await rabbitmqctl("enable_feature_flag", "all")).toEqual(
    printed("Enabling all feature flags ..."),
  );
  expect(await rabbitmqctl("enable_feature_flag", "quorum_queue")).toEqual(
    printed('Enabling feature flag "quorum_queue" ...'),
  );
  expect(await rabbitmqctl("enable_feature_flag", "nope")).toEqual(
    refused(
      64,
      ['Enabling feature flag "nope" ...'],
      "Error:",
      "This feature flag is not supported by node NODE",
    ),
  );
});

test.skipIf(areForeign)("G3 list_deprecated_features lists none", async () => {
  expect(await rabbitmqctl("list_deprecated_features", "--used")).toEqual(
    printed("Listing deprecated features in use ...", ""),
  );
});

test("G3 G4 G5 version needs no node, as a command and as an option", async () => {
  for (const tool of [rabbitmqctl, rabbitmqDiagnostics, rabbitmqPlugins])
    expect((await tool("version")).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect((await rabbitmqctl("--version")).out).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test("G3 G4 G5 help lists the commands of the tool, and how each is used", async () => {
  for (const tool of ["rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-plugins"] as const) {
    const { code, out } = await run(tool, ["help"]);
    expect(code).toBe(0);
    expect(out).toContain(
      `\nUsage\n\n${tool} [--node <node>] [--timeout <timeout>] [--longnames] [--quiet] <command> [<command options>]\n`,
    );
    if (!areForeign)
      for (const { name } of commandsOf(tool)) expect(out).toMatch(new RegExp(`^   ${name} `, "m"));
  }
  const usage =
    "\nUsage\n\nrabbitmqctl [--node <node>] [--longnames] [--quiet] set_permissions [--vhost <vhost>] <username> <conf> <write> <read>\n";
  expect((await rabbitmqctl("help", "set_permissions")).out).toContain(usage);
  expect((await rabbitmqctl("set_permissions", "--help")).out).toContain(usage);
});

test("G3 G4 G5 what is no command, or lacks arguments, ends with 64 and what is meant", async () => {
  expect(await rabbitmqctl("list_queue")).toMatchObject({
    code: 64,
    out: "",
    error: expect.stringContaining(
      "\nCommand 'list_queue' not found. \nDid you mean 'list_queues'? \n",
    ),
  });
  expect(await rabbitmqDiagnostics("xyzzy")).toMatchObject({
    code: 64,
    error: expect.stringContaining("\nCommand 'xyzzy' not found. \n"),
  });
  expect(await rabbitmqctl()).toMatchObject({
    code: 64,
    error: expect.stringContaining("Available commands:"),
  });
  expect(await rabbitmqctl("add_vhost")).toMatchObject({
    code: 64,
    error: expect.stringMatching(
      /^Error \(argument validation\): not enough arguments\.\nArguments given:\n\tadd_vhost\n\nUsage\n\nrabbitmqctl \[--node <node>\] \[--longnames\] \[--quiet\] add_vhost <vhost> /,
    ),
  });
  expect(await rabbitmqctl("status", "more")).toMatchObject({
    code: 64,
    error: expect.stringContaining("too many arguments."),
  });
});

test.skipIf(areForeign)(
  "G3 a node's name is taken for a name, and changes nothing else",
  async () => {
    const { code, out } = await rabbitmqctl("-n", "rabbit@elsewhere", "status");
    expect({ code, says: out.split("\n")[0] }).toEqual({
      ...{ code: 0, says: "Status of node rabbit@elsewhere ..." },
    });
    const environment = { RABBITMQ_NODENAME: "mine" };
    const named = await run("rabbitmqctl", ["status"], { environment });
    expect(named.out).toContain("Status of node mine@localhost ...\n");
  },
);
