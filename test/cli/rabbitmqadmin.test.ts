/**
 * rabbitmqadmin in both grammars. What the older one prints is held against RabbitMQ's Python script where that is
 * installed: it talks to the same broker, and must get the same answers.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "amqplib";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Action } from "../../src/cli/admin/action.ts";
import { actions } from "../../src/cli/admin/actions.ts";
import { adminCommandLine } from "../../src/cli/admin/command-line.ts";
import { runAdmin } from "../../src/cli/admin/rabbitmqadmin.ts";
import { runProgram } from "../interop/run-program.ts";
import { api, isForeign, newUser, newVirtualHost, target } from "../management/api.ts";
import { newName, printed, type Ran, refused, userName, virtualHostName } from "./tools.ts";

const SCRIPT = "/usr/bin/rabbitmqadmin";

type Admin = (...args: readonly string[]) => Promise<Ran>;

async function address(): Promise<readonly string[]> {
  const { hostname, port } = new URL((await target()).http);
  return ["-H", hostname, "-P", port];
}

/** Actions that have come to their end without a failure. */
const done = new Set<Action>();

function note(args: readonly string[]): void {
  const { action } = adminCommandLine(args);
  if (action !== undefined) done.add(action);
}

async function shim(args: readonly string[], input = ""): Promise<Ran> {
  let [out, error] = ["", ""];
  const code = await runAdmin(args, {
    environment: {},
    out: (text) => {
      out += text;
    },
    error: (text) => {
      error += text;
    },
    input: async () => input,
    nowMs: () => 0,
    pause: async () => undefined,
  });
  if (code === 0 && args.at(-1) !== "help") note(args);
  return { code, out, error };
}

const ours: Admin = async (...args) => await shim([...(await address()), ...args]);

const theirs: Admin = async (...args) => {
  const { code, output, transcript } = await runProgram(SCRIPT, [...(await address()), ...args]);
  return { code, out: output, error: transcript.replace(output, "") };
};

function temporaryFile(): string {
  const folder = mkdtempSync(join(tmpdir(), "admin-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, "file");
}

const usage = (message: string): Ran =>
  refused(1, [], "", `ERROR: ${message}`, "", "rabbitmqadmin --help for help", "");

describe.each<[string, Admin, boolean]>([
  ["Leveret's", ours, isForeign],
  ["RabbitMQ's", theirs, !existsSync(SCRIPT)],
])("G6 %s rabbitmqadmin, as the Python script writes it:", (_, admin, isMissing) => {
  const one = test.skipIf(isMissing);

  one("declare queue, list queues, purge queue and delete queue", async () => {
    const vhost = await newVirtualHost();
    const V = ["-V", vhost];
    expect(await admin(...V, "declare", "queue", "name=q", "durable=false")).toEqual(
      printed("queue declared"),
    );
    expect(await admin(...V, "declare", "queue", "name=q", "durable=true")).toMatchObject({
      code: 1,
      error: expect.stringMatching(/^\*\*\* .*inequivalent arg 'durable' for queue 'q' in vhost/),
    });
    const more = ["queue_type=quorum", 'arguments={"x-max-length":3}'];
    await admin("declare", "queue", "name=qq", ...more, ...V);
    const { body } = await (await api()).get(`queues/${vhost}/qq`);
    expect(body.arguments).toEqual({ "x-queue-type": "quorum", "x-max-length": 3 });
    expect(await admin(...V, "list", "queues", "name", "durable")).toEqual(
      printed(
        ...["+------+---------+", "| name | durable |", "+------+---------+"],
        ...["| q    | False   |", "| qq   | True    |", "+------+---------+"],
      ),
    );
    const rows = ["name\tdurable", "q\tFalse", "qq\tTrue"];
    const list = ["list", "queues", "name", "durable"];
    expect(await admin(...V, "-f", "tsv", ...list)).toEqual(printed(...rows));
    expect(await admin(...V, "-q", "-f", "tsv", ...list)).toEqual(printed(...rows.slice(1)));
    expect(await admin(...V, "-f", "kvp", ...list)).toEqual(
      printed('name="q" durable="False"', 'name="qq" durable="True"'),
    );
    expect(await admin(...V, "-f", "bash", "list", "queues")).toEqual(printed("q qq"));
    expect(await admin(...V, "-S", "name", "-R", "-f", "bash", "list", "queues")).toEqual(
      printed("qq q"),
    );
    const rule = "-".repeat(80);
    expect(await admin(...V, "-f", "long", "list", "queues", "name")).toEqual(
      printed("", rule, "", "name: q", "", rule, "", "name: qq", "", rule, ""),
    );
    const json = await admin(...V, "-f", "raw_json", "list", "queues", "name");
    expect(JSON.parse(json.out)).toEqual([{ name: "q" }, { name: "qq" }]);
    expect(await admin(...V, "-f", "pretty_json", "list", "queues", "name", "durable")).toEqual(
      printed(
        ...["[", "  {", '    "durable": false,', '    "name": "q"', "  },"],
        ...["  {", '    "durable": true,', '    "name": "qq"', "  }", "]"],
      ),
    );
    expect(await admin(...V, "purge", "queue", "name=q")).toEqual(printed("queue purged"));
    expect(await admin(...V, "delete", "queue", "name=q")).toEqual(printed("queue deleted"));
    expect(await admin(...V, "delete", "queue", "name=q")).toEqual(
      refused(1, [], `*** Not found: /api/queues/${vhost}/q`, ""),
    );
    expect(await admin(...V, "list", "consumers")).toEqual(printed("No items"));
  });

  one("declare exchange, declare binding, list bindings and delete of both", async () => {
    const vhost = await newVirtualHost();
    const V = ["-V", vhost];
    expect(await admin(...V, "declare", "exchange", "name=x", "type=topic")).toEqual(
      printed("exchange declared"),
    );
    await admin(...V, "declare", "queue", "name=q");
    const bind = ["declare", "binding", "source=x", "destination=q", "routing_key=a.b"];
    expect(await admin(...V, ...bind)).toEqual(printed("binding declared"));
    const bindings = await admin(...V, "-f", "tsv", "list", "bindings");
    expect(bindings.out.split("\n")).toContain("x\tq\ta.b");
    const gone = ["source=x", "destination_type=queue", "destination=q", "properties_key=a.b"];
    expect(await admin(...V, "delete", "binding", ...gone)).toEqual(printed("binding deleted"));
    expect(await admin(...V, "delete", "exchange", "name=x")).toEqual(printed("exchange deleted"));
    expect(await admin(...V, "declare", "exchange", "name=x")).toEqual(
      usage('mandatory argument "type" is required'),
    );
  });

  one("publish and get", async () => {
    const vhost = await newVirtualHost();
    const V = ["-V", vhost];
    await admin(...V, "declare", "queue", "name=q");
    const publish = ["publish", "routing_key=q", "payload=hi", 'properties={"app_id":"me"}'];
    expect(await admin(...V, ...publish)).toEqual(printed("Message published"));
    expect(await admin(...V, "publish", "routing_key=nobody", "payload=x")).toEqual(
      printed("Message published but NOT routed"),
    );
    const get = await admin(...V, "get", "queue=q", "ackmode=ack_requeue_true");
    expect(get.code).toBe(0);
    expect(
      get.out
        .split("\n")[1]!
        .split("|")
        .map((cell) => cell.trim()),
    ).toEqual([
      ...["", "routing_key", "exchange", "message_count", "payload", "payload_bytes"],
      ...["payload_encoding", "redelivered", ""],
    ]);
    expect(get.out).toMatch(/\n\| q +\| +\| 0 +\| hi +\| 2 +\| string +\| False +\|\n/);
    const file = temporaryFile();
    const toFile = ["get", "queue=q", `payload_file=${file}`, "ackmode=ack_requeue_false"];
    expect(await admin(...V, "-f", "tsv", ...toFile)).toEqual(
      printed(
        "routing_key\texchange\tmessage_count\tpayload_bytes\tredelivered",
        "q\t\t0\t2\tTrue",
      ),
    );
    expect(readFileSync(file, "utf8")).toBe("hi");
  });

  one(
    "declare and delete vhost, user, permission, policy, operator_policy, parameter and vhost_limit",
    async () => {
      const [vhost, user] = [virtualHostName(), userName()];
      const V = ["-V", vhost];
      const steps: readonly (readonly [args: readonly string[], says: string])[] = [
        [["declare", "vhost", `name=${vhost}`], "vhost declared"],
        [["declare", "user", `name=${user}`, "password=x", "tags=monitoring"], "user declared"],
        [
          [
            ...["declare", "permission", `vhost=${vhost}`, `user=${user}`],
            ...["configure=.*", "write=.*", "read="],
          ],
          "permission declared",
        ],
        [
          [...V, "declare", "policy", "name=p", "pattern=^q", 'definition={"max-length":1}'],
          "policy declared",
        ],
        [
          [...V, "declare", "operator_policy", "name=o", "pattern=^q", 'definition={"expires":9}'],
          "operator_policy declared",
        ],
        [
          [...V, "declare", "parameter", "component=vhost-limits", "name=limits", "value={}"],
          "parameter declared",
        ],
        [
          ["declare", "vhost_limit", `vhost=${vhost}`, "name=max-queues", "value=9"],
          "vhost_limit declared",
        ],
      ];
      for (const [args, says] of steps) expect(await admin(...args)).toEqual(printed(says));
      const there = await api();
      expect((await there.get(`policies/${vhost}/p`)).body).toMatchObject({
        ...{ pattern: "^q", definition: { "max-length": 1 }, priority: 0 },
      });
      const policies = await admin("-f", "tsv", "list", "policies", "vhost", "name", "definition");
      expect(policies.out.split("\n")).toContain(`${vhost}\tp\t{"max-length": 1}`);
      const users = await admin("-f", "tsv", "list", "users", "name", "tags");
      expect(users.out.split("\n")).toContain(`${user}\tmonitoring`);
      const gone: readonly (readonly [args: readonly string[], noun: string])[] = [
        [[`vhost=${vhost}`, "name=max-queues"], "vhost_limit"],
        [["name=o"], "operator_policy"],
        [["name=p"], "policy"],
        [[`vhost=${vhost}`, `user=${user}`], "permission"],
        [[`name=${user}`], "user"],
        [[`name=${vhost}`], "vhost"],
      ];
      for (const [args, noun] of gone)
        expect(await admin(...V, "delete", noun, ...args)).toEqual(printed(`${noun} deleted`));
    },
  );

  one("export and import", async () => {
    const vhost = await newVirtualHost();
    const file = temporaryFile();
    await admin("-V", vhost, "declare", "queue", "name=q");
    const { hostname } = new URL((await target()).http);
    expect(await admin("-V", vhost, "export", file)).toEqual(
      printed(`Exported definitions for ${hostname} to "${file}"`),
    );
    expect(JSON.parse(readFileSync(file, "utf8")).queues).toMatchObject([{ name: "q" }]);
    await admin("-V", vhost, "delete", "queue", "name=q");
    expect(await admin("-q", "-V", vhost, "import", file)).toEqual(printed());
    expect((await (await api()).get(`queues/${vhost}/q`)).status).toBe(200);
  });

  one(
    "show overview, list vhosts, nodes, exchanges, permissions, connections and channels",
    async () => {
      const overview = await admin("-f", "tsv", "show", "overview");
      expect(overview.out.split("\n")[0]).toBe(
        "rabbitmq_version\tcluster_name\tqueue_totals.messages\tobject_totals.queues",
      );
      for (const noun of [
        ...["vhosts", "nodes", "exchanges", "permissions", "connections", "channels"],
        ...["parameters", "operator_policies", "vhost_limits"],
      ])
        expect(await admin("list", noun)).toMatchObject({ code: 0, error: "" });
      const nodes = await admin("-f", "tsv", "list", "nodes");
      expect(nodes.out).toMatch(/^name\ttype\tmem_used\n\w+@localhost\tdisc\t\d+\n$/);
    },
  );

  one("what is wrong ends with 1", async () => {
    const { user } = await newUser("");
    expect(await admin()).toEqual(usage("Action not specified"));
    expect(await admin("frob")).toEqual(usage("Action frob not understood"));
    expect(await admin("declare", "foo", "name=x")).toEqual(usage("Type foo not recognised"));
    expect(await admin("list", "foo")).toEqual(usage("Don't know how to list foo"));
    expect(await admin("declare", "queue")).toEqual(usage('mandatory argument "name" is required'));
    expect(await admin("declare", "queue", "foo")).toEqual(
      usage('Argument "foo" not in the name=value format'),
    );
    expect(await admin("declare", "queue", "name=q", "foo=1")).toEqual(
      usage('Argument "foo" is not recognised'),
    );
    expect(await admin("-u", user, "-p", "wrong", "list", "queues")).toEqual(
      refused(1, [], "*** Access refused: /api/queues?columns=name,messages", ""),
    );
    expect(await admin("-P", "1", "list", "queues")).toMatchObject({
      code: 1,
      error: expect.stringMatching(/^\*\*\* Could not connect: /),
    });
    expect(await admin("--version")).toMatchObject({
      out: expect.stringMatching(/^rabbitmqadmin \d/),
    });
  });
});

describe.skipIf(isForeign)("G7 rabbitmqadmin, as the Rust program writes it:", () => {
  test("declare, list, purge and delete a queue, without a word where all is well", async () => {
    const vhost = await newVirtualHost();
    const V = ["--vhost", vhost];
    const more = ["--type", "quorum", "--durable", "true", "--arguments", '{"x-max-length":3}'];
    expect(await ours(...V, "declare", "queue", "--name", "q", ...more)).toEqual(printed());
    const { body } = await (await api()).get(`queues/${vhost}/q`);
    expect(body).toMatchObject({ durable: true, arguments: { "x-queue-type": "quorum" } });
    expect(await ours(...V, "queues", "declare", "--name", "r")).toEqual(printed());
    expect(await ours(...V, "--non-interactive", "list", "queues", "name", "durable")).toEqual(
      printed("q True ", "r True "),
    );
    const framed = await ours(...V, "--table-style", "modern", "queues", "list", "name");
    expect(framed).toEqual(
      printed("┌──────┐", "│ name │", "├──────┤", "│ q    │", "├──────┤", "│ r    │", "└──────┘"),
    );
    expect(await ours(...V, "queues", "purge", "--name", "r")).toEqual(printed());
    expect(await ours(...V, "delete", "queue", "--name", "q")).toEqual(printed());
    expect(await ours(...V, "delete", "queue", "--name", "q")).toMatchObject({ code: 65, out: "" });
    expect(await ours(...V, "delete", "queue", "--name", "q", "--idempotently")).toEqual(printed());
  });

  test("declare exchange, binding, vhost, user, permissions, policy, parameter and limits", async () => {
    const [vhost, user] = [virtualHostName(), userName()];
    const V = ["-V", vhost];
    const steps: readonly string[][] = [
      ["declare", "vhost", "--name", vhost, "--default-queue-type", "quorum"],
      ["declare", "user", "--name", user, "--password", "p4ss", "--tags", "monitoring"],
      [
        ...[...V, "declare", "permissions", "--user", user, "--configure", ".*"],
        ...["--read", ".*", "--write", ".*"],
      ],
      [...V, "declare", "exchange", "--name", "x", "--type", "topic"],
      [...V, "declare", "queue", "--name", "q"],
      [
        ...[...V, "declare", "binding", "--source", "x", "--destination-type", "queue"],
        ...["--destination", "q", "--routing-key", "a.#"],
      ],
      [
        ...[...V, "policies", "declare", "--name", "p", "--pattern", "^q", "--apply-to", "queues"],
        ...["--priority", "3", "--definition", '{"max-length":4}'],
      ],
      [
        ...V,
        "parameters",
        "set",
        "--component",
        "vhost-limits",
        "--name",
        "limits",
        "--value",
        "{}",
      ],
      [...V, "declare", "vhost_limit", "--name", "max-queues", "--value", "9"],
      ["declare", "user_limit", "--user", user, "--name", "max-channels", "--value", "9"],
    ];
    for (const step of steps) expect([step, await ours(...step)]).toEqual([step, printed()]);
    const there = await api();
    expect((await there.as(user, "p4ss").get("whoami")).status).toBe(200);
    expect((await there.get(`policies/${vhost}/p`)).body).toMatchObject({
      ...{ priority: 3, "apply-to": "queues", definition: { "max-length": 4 } },
    });
    const bindings = `bindings/${vhost}/e/x/q/q`;
    expect((await there.get(bindings)).body).toMatchObject([{ routing_key: "a.#" }]);
    const gone: readonly string[][] = [
      [
        ...[...V, "delete", "binding", "--source", "x", "--destination-type", "queue"],
        ...["--destination", "q", "--routing-key", "a.#"],
      ],
      ["delete", "user_limit", "--user", user, "--name", "max-channels"],
      [...V, "policies", "delete", "--name", "p"],
      ["users", "delete", "--name", user],
      ["delete", "vhost", "--name", vhost],
    ];
    for (const step of gone) expect([step, await ours(...step)]).toEqual([step, printed()]);
  });

  test("publish message and get messages", async () => {
    const vhost = await newVirtualHost();
    const V = ["--vhost", vhost];
    await ours(...V, "declare", "queue", "--name", "q");
    const publish = ["publish", "message", "--routing-key", "q", "--payload", "hi"];
    expect(await ours(...V, ...publish)).toEqual(
      printed("Message published and routed successfully"),
    );
    const get = ["get", "messages", "--queue", "q", "--ack-mode", "ack_requeue_false"];
    const { out } = await ours(...V, ...get, "--count", "2");
    expect(out).toContain("│ hi ");
    expect((await (await api()).get(`queues/${vhost}/q`)).body.messages).toBe(0);
  });

  test("definitions export and import", async () => {
    const { code, out } = await ours("definitions", "export", "--stdout");
    expect({ code, users: JSON.parse(out).users }).toMatchObject({ code: 0, users: [{}] });
    const file = temporaryFile();
    const name = virtualHostName();
    writeFileSync(file, JSON.stringify({ vhosts: [{ name }] }));
    expect(await ours("definitions", "import", "--file", file)).toEqual(printed());
    expect((await (await api()).get(`vhosts/${name}`)).status).toBe(200);
  });

  test("health_check, show churn, show endpoint, rebalance and feature_flags", async () => {
    const passed = printed("health check passed");
    for (const check of ["local_alarms", "cluster_wide_alarms", "node_is_quorum_critical"])
      expect(await ours("health_check", check)).toEqual(passed);
    const port = new URL((await target()).amqp).port;
    expect(await ours("health_check", "port_listener", "--port", port)).toEqual(passed);
    expect(await ours("health_check", "port_listener", "--port", "9")).toMatchObject({ code: 69 });
    expect(await ours("health_check", "protocol_listener", "--protocol", "amqp")).toEqual(passed);
    expect((await ours("--non-interactive", "show", "churn")).out).toMatch(
      /^channel_closed +\d+ *$/m,
    );
    expect((await ours("show", "endpoint")).out).toContain("http://127.0.0.1:");
    expect(await ours("rebalance", "queues")).toEqual(printed());
    expect((await ours("feature_flags", "list")).out).toContain("quorum_queue");
    expect(await ours("feature_flags", "enable", "--name", "quorum_queue")).toEqual(printed());
  });

  test("close connection and close user_connections", async () => {
    const connection = await connect((await target()).amqp);
    const closed = new Promise((resolve) => connection.on("close", resolve));
    const list = await ours("-f", "tsv", "-q", "list", "connections", "name");
    const name = list.out.split("\n").find((line) => line.includes(" -> "))!;
    expect(await ours("close", "connection", "--name", name)).toEqual(printed());
    await closed;
    expect(await ours("close", "connection", "--name", name)).toMatchObject({ code: 65 });
    expect(await ours("close", "user_connections", "--username", "nobody")).toEqual(printed());
  });

  test("parameters, global_parameters, permissions and the lists of what is seldom looked at", async () => {
    const vhost = await newVirtualHost();
    const { user } = await newUser("");
    const [V, name] = [["-V", vhost], newName("parameter")];
    const limits = ["--component", "vhost-limits", "--name", "limits"];
    const steps: readonly string[][] = [
      [...V, "parameters", "set", ...limits, "--value", '{"max-queues":3}'],
      [...V, "parameters", "clear", ...limits],
      ["global_parameters", "set", "--name", name, "--value", '{"a":1}'],
      [
        ...[...V, "declare", "permissions", "--user", user, "--configure", ".*"],
        ...["--read", ".*", "--write", ".*"],
      ],
      [...V, "delete", "permissions", "--user", user],
    ];
    for (const step of steps) expect([step, await ours(...step)]).toEqual([step, printed()]);
    const list = await ours("-f", "tsv", "list", "global_parameters", "name", "value");
    expect(list.out.split("\n")).toContain(`${name}\t{"a": 1}`);
    expect(await ours("global_parameters", "clear", "--name", name)).toEqual(printed());
    for (const noun of ["user_limits", "deprecated_features"])
      expect(await ours("list", noun)).toMatchObject({ code: 0, error: "" });
  });

  test("what is wrong ends with the codes of sysexits.h", async () => {
    expect(await ours("declare", "queue", "--bogus", "1", "--name", "q")).toMatchObject({
      ...{ code: 64, out: "" },
    });
    expect(await ours("queues", "declare")).toMatchObject({ code: 64 });
    expect(await shim(["-P", "1", "--non-interactive", "list", "queues"])).toMatchObject({
      code: 74,
    });
  });
});

describe.skipIf(isForeign)("G6 G7 rabbitmqadmin", () => {
  test("takes hosts and users from a file with sections", async () => {
    const file = temporaryFile();
    const { hostname, port } = new URL((await target()).http);
    writeFileSync(
      file,
      `[default]\nhostname = nowhere\n[mine]\nhostname = "${hostname}"\nport = ${port}\nusername = guest\npassword = wrong\n`,
    );
    const refusedUser = await shim(["-c", file, "-N", "mine", "list", "queues"]);
    expect(refusedUser).toMatchObject({
      code: 1,
      error: expect.stringContaining("Access refused"),
    });
    const args = ["-c", file, "-N", "mine", "-p", "guest", "-f", "tsv", "list", "users", "name"];
    expect(await shim(args)).toMatchObject({ code: 0 });
  });

  test("help has every action", async () => {
    const { out } = await ours("help");
    for (const { verb, noun } of actions) expect(out).toContain(`\n  ${`${verb} ${noun}`.trim()}`);
  });

  test("does in the tests above everything that its table has", () => {
    const missing = actions.filter((action) => !done.has(action));
    expect(missing.map(({ verb, noun }) => `${verb} ${noun}`)).toEqual([]);
  });
});
