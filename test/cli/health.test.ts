/** Checks that health checks of containers call, and what the node says of itself. */
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { newVirtualHost, target } from "../management/api.ts";
import { areForeign, printed, rabbitmqctl, rabbitmqDiagnostics, refused, run } from "./tools.ts";

/** A port at which nobody is. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function amqpPort(): Promise<number> {
  return Number(new URL((await target()).amqp).port);
}

test("G4 ping", async () => {
  const says =
    "Will ping NODE. This only checks if the OS process is running and registered with epmd. Timeout: 60000 ms.";
  expect(await rabbitmqDiagnostics("ping")).toEqual(printed(says, "Ping succeeded"));
  expect(await rabbitmqDiagnostics("-q", "ping")).toEqual(printed("Ping succeeded"));
  expect(await rabbitmqctl("ping", "--quiet")).toEqual(printed("Ping succeeded"));
});

test.skipIf(areForeign)("G4 ping, and all others, fail with 69 when nobody is there", async () => {
  const environment = { LEVERET_MANAGEMENT_URL: `http://127.0.0.1:${await closedPort()}` };
  expect(await run("rabbitmq-diagnostics", ["-q", "ping"], { environment })).toEqual(
    refused(69, [], "Error:", "Failed to connect and authenticate to NODE in 60000 ms"),
  );
  const start = "Error: unable to perform an operation on node 'NODE'.";
  for (const command of ["status", "check_running", "check_port_connectivity", "list_queues"]) {
    const outcome = await run("rabbitmq-diagnostics", ["-q", command], { environment });
    expect(outcome).toMatchObject({ code: 69, out: "", error: expect.stringContaining(start) });
    expect(outcome.error).toContain("does not answer: ECONNREFUSED");
  }
});

test.skipIf(areForeign)("G4 ping needs no password; the others say whose is refused", async () => {
  const environment = { LEVERET_MANAGEMENT_PASSWORD: "wrong" };
  expect(await run("rabbitmq-diagnostics", ["-q", "ping"], { environment })).toEqual(
    printed("Ping succeeded"),
  );
  expect(await run("rabbitmqctl", ["-q", "list_queues"], { environment })).toMatchObject({
    code: 69,
    error: expect.stringContaining("refuses this user: Login failed"),
  });
});

test("G4 check_running, is_running and is_booting", async () => {
  const running = "RabbitMQ on node NODE is fully booted and running";
  expect(await rabbitmqDiagnostics("check_running")).toEqual(
    printed("Checking if RabbitMQ is running on node NODE ...", running),
  );
  expect(await rabbitmqDiagnostics("check_running", "--formatter", "json")).toEqual(
    printed(`{"message":"${running}"}`),
  );
  expect(await rabbitmqDiagnostics("is_running")).toEqual(
    printed("Asking node NODE for its status ...", running),
  );
  const json = await rabbitmqDiagnostics("is_running", "--formatter", "json");
  expect(JSON.parse(json.out)).toEqual({ message: running, result: true });
  expect(await rabbitmqDiagnostics("is_booting")).toEqual(
    printed(
      "Asking node NODE for its boot status ...",
      "RabbitMQ on node NODE is fully booted (check with is_running), stopped or has not started booting yet",
    ),
  );
});

test("G4 check_port_connectivity", async () => {
  const { code, out } = await rabbitmqDiagnostics("check_port_connectivity");
  expect(code).toBe(0);
  const [says, done] = out.split("\n");
  expect(says).toBe("Testing TCP connections to all active listeners on node NODE ...");
  expect(done).toMatch(/^Successfully connected to ports \d+(, \d+)* on node NODE\.$/);
  expect(done).toContain(` ${await amqpPort()}`);
});

test("G4 check_local_alarms, check_alarms and alarms, when there are none", async () => {
  const asking = "Asking node NODE to report any local resource alarms ...";
  expect(await rabbitmqDiagnostics("check_local_alarms")).toEqual(
    printed(asking, "Node NODE reported no local alarms"),
  );
  const none = "Node NODE reported no alarms, local or clusterwide";
  expect(await rabbitmqDiagnostics("check_alarms")).toEqual(printed(asking, none));
  expect(await rabbitmqDiagnostics("check_alarms", "--formatter", "json")).toEqual(
    printed('{"result":"ok"}'),
  );
  expect(await rabbitmqDiagnostics("alarms")).toEqual(
    printed("Asking node NODE to report any known resource alarms ...", none),
  );
  const json = await rabbitmqDiagnostics("alarms", "--formatter", "json");
  expect(JSON.parse(json.out)).toMatchObject({ alarms: [], result: "ok" });
});

test("G4 check_virtual_hosts", async () => {
  await newVirtualHost();
  expect(await rabbitmqDiagnostics("check_virtual_hosts")).toEqual(
    printed(
      "Checking if all vhosts are running on node NODE ...",
      "Node NODE reported all vhosts as running",
    ),
  );
});

test("G4 check_port_listener", async () => {
  const port = String(await amqpPort());
  const asking = (which: string): string =>
    `Asking node NODE if there's an active listener on port ${which} ...`;
  expect(await rabbitmqDiagnostics("check_port_listener", port)).toEqual(
    printed(asking(port), `A listener for port ${port} is running on node NODE.`),
  );
  expect(await rabbitmqDiagnostics("check_port_listener", "9")).toMatchObject({
    code: 69,
    out: `${asking("9")}\n`,
    error: expect.stringMatching(
      /^No listener for port 9 is active on node NODE\. Found listeners that use the following ports: \d+/,
    ),
  });
  expect(await rabbitmqDiagnostics("check_port_listener", "x")).toMatchObject({
    code: 65,
    error: expect.stringContaining(
      "Error (argument validation): Bad argument: Argument must be a positive integer\n",
    ),
  });
});

test("G4 check_protocol_listener", async () => {
  const asking = (which: string): string =>
    `Asking node NODE if there's an active listener for protocol ${which} ...`;
  expect(await rabbitmqDiagnostics("check_protocol_listener", "amqp")).toEqual(
    printed(asking("amqp"), "A listener for protocol amqp is running on node NODE."),
  );
  expect(await rabbitmqDiagnostics("check_protocol_listener", "amqps")).toMatchObject({
    code: 69,
    error: expect.stringMatching(
      /^Error:\nNo listener for protocol amqp\/ssl is active on node NODE\. Found listeners for the following protocols: amqp/,
    ),
  });
});

test("G4 check_certificate_expiration and check_if_node_is_quorum_critical", async () => {
  const checking = "Checking certificate expiration on node NODE ...";
  expect(await rabbitmqDiagnostics("check_certificate_expiration")).toEqual(
    printed(checking, "No certificates are expiring within 4 weeks."),
  );
  const month = ["--within", "1", "--unit", "months"];
  expect(await rabbitmqDiagnostics("check_certificate_expiration", ...month)).toEqual(
    printed(checking, "No certificates are expiring within 1 month."),
  );
  expect(await rabbitmqDiagnostics("check_if_node_is_quorum_critical")).toEqual(
    printed(
      "Checking if node NODE is critical for quorum of any quorum queues ...",
      "Node NODE seems to be the only one in a single node cluster, the check does not apply",
    ),
  );
});

test("G4 listeners and server_version", async () => {
  const { out } = await rabbitmqDiagnostics("listeners");
  const lines = out.split("\n");
  expect(lines[0]).toBe("Asking node NODE to report its protocol listeners ...");
  const amqp = `Interface: 127.0.0.1, port: ${await amqpPort()}, protocol: amqp, purpose: AMQP 0-9-1`;
  expect(lines.some((line) => line.startsWith(amqp))).toBe(true);
  const json = JSON.parse((await rabbitmqDiagnostics("listeners", "--formatter", "json")).out);
  expect(json).toMatchObject({ result: "ok" });
  expect(Object.keys(json.listeners[0]).sort()).toEqual([
    ...["interface", "node", "port", "protocol", "purpose"],
  ]);
  const version = await rabbitmqDiagnostics("server_version");
  expect(version.out).toMatch(/^Asking node NODE for its RabbitMQ version\.\.\.\n\d+\.\d+\.\d+\n$/);
});

/** The headings of sections: lines with an empty one before and after. */
function headings(text: string): string[] {
  return [...text.matchAll(/(?:^|\n\n|\.\.\.\n)([A-Z][^:\n]*)(?=\n\n)/g)].flatMap(([, title]) =>
    title === "NODE" ? [] : [title!],
  );
}

test("G3 G4 status says what the node is, and report has all of it", async () => {
  const { code, out } = await rabbitmqctl("status");
  expect(code).toBe(0);
  expect(out.split("\n")[0]).toBe("Status of node NODE ...");
  expect(headings(out)).toEqual([
    ...["Runtime", "Plugins", "Data directory", "Config files", "Log file(s)", "Alarms", "Memory"],
    ...["File Descriptors", "Free Disk Space", "Totals", "Listeners"],
  ]);
  expect(out).toMatch(/^OS PID: \d+$/m);
  expect(out).toMatch(/^RabbitMQ version: \d+\.\d+\.\d+$/m);
  expect(out).toMatch(/^Queue count: \d+$/m);
  const json = JSON.parse((await rabbitmqctl("status", "--formatter", "json")).out);
  expect(json).toMatchObject({
    alarms: [],
    listeners: expect.any(Array),
    pid: expect.any(Number),
    rabbitmq_version: expect.any(String),
    totals: { connection_count: expect.any(Number), queue_count: expect.any(Number) },
    uptime: expect.any(Number),
  });
  const report = await rabbitmqDiagnostics("report");
  expect(report).toMatchObject({ code: 0, error: "" });
  for (const part of [
    "Reporting server status of node NODE ...",
    "Status of node NODE ...",
    "Listing connections ...",
    "Listing queues for vhost / ...",
    'Listing policies for vhost "/" ...',
    "Listing global runtime parameters ...",
  ])
    expect(report.out).toContain(`\n${part}\n`.replace(/^\n(?=Reporting)/, ""));
});

test("G3 G4 cluster_status", async () => {
  const { out } = await rabbitmqDiagnostics("cluster_status");
  expect(out.split("\n")[0]).toBe("Cluster status of node NODE ...");
  expect(headings(out)).toEqual([
    ...["Basics", "Disk Nodes", "Running Nodes", "Versions", "Maintenance status", "Alarms"],
    ...["Network Partitions", "Listeners", "Feature flags"],
  ]);
  expect(out).toMatch(/^Flag: quorum_queue, state: enabled$/m);
  const json = JSON.parse((await rabbitmqctl("cluster_status", "--formatter", "json")).out);
  expect(json).toMatchObject({
    partitions: {},
    ram_nodes: [],
    running_nodes: [expect.any(String)],
  });
});

test("G4 memory_breakdown", async () => {
  const { out } = await rabbitmqDiagnostics("memory_breakdown", "--unit", "mb");
  const lines = out.split("\n");
  expect(lines[0]).toBe("Reporting memory breakdown on node NODE...");
  expect(lines[1]).toMatch(/^\w+: \d+\.\d+ mb \(\d+\.\d+%\)$/);
  expect(await rabbitmqDiagnostics("memory_breakdown", "--unit", "kx")).toMatchObject({
    code: 64,
    error: expect.stringContaining(
      "\"unit 'kx' is not supported. Please use one of: bytes, mb, gb\"",
    ),
  });
});
