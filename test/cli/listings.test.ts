/** Lists of what there is in a broker, in the forms of output, and what is done to queues and connections. */
import { connect } from "amqplib";
import { expect, onTestFinished, test } from "vitest";
import { api, eventually, newVirtualHost, target } from "../management/api.ts";
import { areForeign, newName, printed, type Ran, rabbitmqctl, refused } from "./tools.ts";

async function vhostWithQueues(): Promise<string> {
  const vhost = await newVirtualHost();
  const there = await api();
  await there.put(`queues/${vhost}/q1`, {
    durable: true,
    arguments: { "x-max-length": 10, "x-dead-letter-exchange": "x" },
  });
  await there.put(`queues/${vhost}/q2`, {
    durable: true,
    arguments: { "x-queue-type": "quorum" },
  });
  return vhost;
}

async function connected(vhost = "/") {
  const connection = await connect(`${(await target()).amqp}/${encodeURIComponent(vhost)}`);
  const closed = new Promise<string>((resolve) =>
    connection.on("close", (error?: Error) => resolve(String(error))),
  );
  onTestFinished(() => connection.close().catch(() => undefined));
  return { connection, closed };
}

const says = (vhost: string): string[] => [
  "Timeout: 60.0 seconds ...",
  `Listing queues for vhost ${vhost} ...`,
];

/** RabbitMQ has no order in its lists. */
function sorted({ code, out, error }: Ran): object {
  return { code, error, lines: out.split("\n").sort() };
}

test("G3 list_queues lists names and messages, quietly too", async () => {
  const vhost = await vhostWithQueues();
  const rows = ["q1\t0", "q2\t0"];
  const list = async (...args: string[]) =>
    sorted(await rabbitmqctl("list_queues", "-p", vhost, ...args));
  const lines = (...all: string[]) => sorted(printed(...all));
  expect(await list()).toEqual(lines(...says(vhost), "name\tmessages", ...rows));
  expect(await list("-q")).toEqual(lines("name\tmessages", ...rows));
  expect(await list("--silent")).toEqual(lines(...rows));
  expect(await list("--no-table-headers")).toEqual(lines(...says(vhost), ...rows));
  expect(await list("--online")).toEqual(lines(...says(vhost), "name\tmessages", ...rows));
  expect(await list("--timeout", "5", "name")).toEqual(
    lines("Timeout: 5.0 seconds ...", says(vhost)[1]!, "name", "q1", "q2"),
  );
  const args = ["-q", "-p", vhost, "list_queues", "name,messages"];
  expect(sorted(await rabbitmqctl(...args))).toEqual(lines("name\tmessages", ...rows));
});

test("G3 list_queues lists the columns that are chosen, in every form", async () => {
  const vhost = await vhostWithQueues();
  const list = (...args: string[]) => rabbitmqctl("list_queues", "-p", vhost, ...args);
  const lines = async (...args: string[]) => (await list(...args)).out.split("\n").sort();
  const columns = ["name", "durable", "auto_delete", "type", "policy", "state", "arguments"];
  const [q1, q2] = [
    '[{"x-dead-letter-exchange","x"},{"x-max-length",10}]',
    '[{"x-queue-type","quorum"}]',
  ];
  expect(await lines("-s", ...columns)).toEqual([
    "",
    `q1\ttrue\tfalse\tclassic\t\trunning\t${q1}`,
    `q2\ttrue\tfalse\tquorum\t\trunning\t${q2}`,
  ]);
  const json = await list("--formatter", "json", "name", "messages", "arguments");
  expect(json.out).toMatch(/^\[\n\{"name":.*\}\n,\{"name":.*\}\n\]\n$/);
  expect(JSON.parse(json.out)).toContainEqual({
    ...{ name: "q1", messages: 0 },
    arguments: [
      ["x-dead-letter-exchange", "longstr", "x"],
      ["x-max-length", "long", 10],
    ],
  });
  expect(await lines("--formatter=csv", "name", "arguments")).toEqual([
    "",
    '"name","arguments"',
    `"q1","${q1.replaceAll('"', '""')}"`,
    `"q2","${q2.replaceAll('"', '""')}"`,
  ]);
  const erlang = await list("-q", "--formatter", "erlang", "name");
  expect(erlang.out.replaceAll(/\s/g, "")).toMatch(
    /^\[\[\{name,<<"q[12]">>\}\],\[\{name,<<"q[12]">>\}\]\]$/,
  );
});

test.skipIf(areForeign)("G3 list_queues draws a table with --formatter pretty_table", async () => {
  const vhost = await vhostWithQueues();
  const args = ["-q", "-p", vhost, "--formatter", "pretty_table", "name", "messages"];
  expect(await rabbitmqctl("list_queues", ...args)).toEqual(
    printed(
      "┌──────┬──────────┐",
      "│ name │ messages │",
      "├──────┼──────────┤",
      "│ q1   │ 0        │",
      "├──────┼──────────┤",
      "│ q2   │ 0        │",
      "└──────┴──────────┘",
    ),
  );
});

test("G3 list_queues of an empty virtual host, and of none, is empty", async () => {
  const vhost = await newVirtualHost();
  expect(await rabbitmqctl("list_queues", "-p", vhost)).toEqual(printed(...says(vhost)));
  expect(await rabbitmqctl("list_queues", "-p", vhost, "--formatter", "json")).toEqual(
    printed("[", "]"),
  );
  const nowhere = newName("nowhere");
  expect(await rabbitmqctl("list_queues", "-p", nowhere)).toEqual(printed(...says(nowhere)));
});

test("G3 list_queues writes names that would break a line apart with escapes", async () => {
  const vhost = await newVirtualHost();
  await (await api()).put(`queues/${vhost}/${encodeURIComponent("a\tb\\ü")}`, {});
  expect(await rabbitmqctl("-s", "list_queues", "-p", vhost, "name")).toEqual(
    printed(areForeign ? "a\tb\\ü" : "a\\011b\\ü"),
  );
});

test("G3 list_queues refuses columns and options that it does not have", async () => {
  const start = "Error (argument validation): ";
  const given = "Arguments given:\n\t";
  expect(await rabbitmqctl("list_queues", "name", "bogus")).toMatchObject({
    code: 64,
    out: "",
    error: expect.stringContaining(
      `${start}Info key(s) bogus are not supported\n${given}list_queues name bogus\n\nUsage\n\nrabbitmqctl [--node <node>] [--longnames] [--quiet] list_queues [--vhost <vhost>]`,
    ),
  });
  expect(await rabbitmqctl("list_queues", "--bogus")).toMatchObject({
    code: 64,
    error: expect.stringContaining(
      `${start}Invalid options for this command:\n--bogus : \n${given}list_queues --bogus\n`,
    ),
  });
});

test("G3 list_exchanges and list_bindings", async () => {
  const vhost = await vhostWithQueues();
  const exchanges = await rabbitmqctl("list_exchanges", "-p", vhost);
  const lines = exchanges.out.split("\n");
  expect(lines.slice(0, 2)).toEqual([`Listing exchanges for vhost ${vhost} ...`, "name\ttype"]);
  expect(lines.slice(2).sort()).toEqual(
    [
      ...["\tdirect", "amq.direct\tdirect", "amq.fanout\tfanout", "amq.headers\theaders"],
      ...["amq.match\theaders", "amq.rabbitmq.trace\ttopic", "amq.topic\ttopic", ""],
    ].sort(),
  );
  const columns = ["name", "durable", "auto_delete", "internal", "arguments", "policy"];
  const more = await rabbitmqctl("-s", "list_exchanges", "-p", vhost, ...columns);
  expect(more.out.split("\n")).toContain("amq.rabbitmq.trace\ttrue\tfalse\ttrue\t[]\t");
  const bindings = await rabbitmqctl("list_bindings", "-p", vhost);
  const heading =
    "source_name\tsource_kind\tdestination_name\tdestination_kind\trouting_key\targuments";
  expect(sorted(bindings)).toEqual(
    sorted(
      printed(
        `Listing bindings for vhost ${vhost}...`,
        heading,
        "\texchange\tq1\tqueue\tq1\t[]",
        "\texchange\tq2\tqueue\tq2\t[]",
      ),
    ),
  );
});

test("G3 list_connections, list_channels and list_consumers", async () => {
  const vhost = await vhostWithQueues();
  const { connection } = await connected(vhost);
  const channel = await connection.createChannel();
  await channel.prefetch(7);
  await channel.consume("q1", () => undefined, { consumerTag: "me" });
  const connections = await rabbitmqctl("list_connections");
  expect(connections.out).toMatch(
    /^Listing connections \.\.\.\nuser\tpeer_host\tpeer_port\tstate\n(.*\n)*guest\t127\.0\.0\.1\t\d+\trunning\n/,
  );
  const columns = ["-s", "vhost", "user", "channels", "protocol", "ssl"];
  const rows = (await rabbitmqctl("list_connections", ...columns)).out.split("\n");
  expect(rows).toContain(`${vhost}\tguest\t1\t{0,9,1}\tfalse`);
  const channels = await rabbitmqctl("list_channels");
  expect(channels.out).toMatch(
    /^Listing channels \.\.\.\npid\tuser\tconsumer_count\tmessages_unacknowledged\n(.*\n)*.+\tguest\t1\t0\n/,
  );
  const consumers = await rabbitmqctl("list_consumers", "-p", vhost);
  const heading =
    "queue_name\tchannel_pid\tconsumer_tag\tack_required\tprefetch_count\tactive\targuments";
  expect(consumers.out.split("\n")).toEqual([
    `Listing consumers in vhost ${vhost} ...`,
    heading,
    expect.stringMatching(/^q1\t.+\tme\ttrue\t7\ttrue\t\[\]$/),
    "",
  ]);
});

test("G3 delete_queue and purge_queue", async () => {
  const vhost = await newVirtualHost();
  const there = await api();
  await there.put(`queues/${vhost}/q`, { durable: true });
  const publish = () =>
    there.post(`exchanges/${vhost}/amq.default/publish`, {
      ...{ properties: {}, routing_key: "q", payload: "x", payload_encoding: "string" },
    });
  await publish();
  const conditional = [`Deleting queue 'q' on vhost '${vhost}' if queue is empty ...`];
  expect(await rabbitmqctl("delete_queue", "-p", vhost, "--if-empty", "q")).toEqual(
    refused(64, conditional, "Error:", "Queue is not empty"),
  );
  expect(await rabbitmqctl("purge_queue", "-p", vhost, "q")).toEqual(
    printed(`Purging queue 'q' in vhost '${vhost}' ...`),
  );
  await publish();
  const deleting = `Deleting queue 'q' on vhost '${vhost}' ...`;
  expect(await rabbitmqctl("delete_queue", "-p", vhost, "q")).toEqual(
    printed(deleting, "Queue was successfully deleted with 1 ready messages"),
  );
  expect(await rabbitmqctl("delete_queue", "-p", vhost, "q")).toEqual(
    refused(64, [deleting], "Error:", "Queue not found"),
  );
  expect(await rabbitmqctl("purge_queue", "-p", vhost, "q")).toEqual(
    refused(69, [`Purging queue 'q' in vhost '${vhost}' ...`], "Error:", "not_found"),
  );
});

test("G3 delete_queue --if-unused leaves one that somebody uses", async () => {
  const vhost = await vhostWithQueues();
  const { connection } = await connected(vhost);
  await (await connection.createChannel()).consume("q1", () => undefined);
  expect(await rabbitmqctl("-q", "delete_queue", "-p", vhost, "q1", "--if-unused")).toEqual(
    refused(64, [], "Error:", "Queue is in use"),
  );
});

test("G3 close_all_connections closes those of a virtual host, with the reason", async () => {
  const vhost = await newVirtualHost();
  const { closed } = await connected(vhost);
  await eventually(
    async () => await (await api()).get(`vhosts/${vhost}/connections`),
    ({ body }) => body.length > 0,
  );
  expect(await rabbitmqctl("close_all_connections", "-p", vhost, "for a while")).toEqual(
    printed(
      `Closing all connections in vhost ${vhost}, reason: for a while...`,
      "Closed 1 connections",
    ),
  );
  expect(await closed).toContain("for a while");
});

test("G3 close_connection closes the one that list_connections names", async () => {
  const vhost = await newVirtualHost();
  const { closed } = await connected(vhost);
  const { out } = await rabbitmqctl("-s", "list_connections", "vhost", "pid");
  const row = out.split("\n").find((line) => line.startsWith(`${vhost}\t`))!;
  const { RABBITMQ_NODENAME: node = "" } = process.env;
  const pid = row.split("\t")[1]!.replace("NODE", node);
  expect(await rabbitmqctl("close_connection", pid, "enough")).toMatchObject({ code: 0 });
  await closed;
  const gone = "<rabbit@localhost.1.2.3>";
  expect(await rabbitmqctl("-q", "close_connection", gone, "why")).toMatchObject({
    code: 0,
    out: "",
  });
  expect(await rabbitmqctl("-q", "close_connection", "nobody", "why")).toMatchObject({ code: 69 });
});

test("G3 close_all_user_connections closes those of a user", async () => {
  const says = "Closing connections of user nobody, reason: why...";
  expect(await rabbitmqctl("close_all_user_connections", "nobody", "why")).toEqual(printed(says));
});
