/** Stopping and starting nodes, their watermarks, and the key by which the tools need no user: on brokers of their own. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "amqplib";
import { describe, expect, onTestFinished, test } from "vitest";
import { Broker, type BrokerOptions } from "../../src/index.ts";
import { BrokerCommand } from "../settings/broker-command.ts";
import { areForeign, printed, type Ran, refused, run } from "./tools.ts";

type Tool = "rabbitmqctl" | "rabbitmq-diagnostics";

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "control-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function started(options: BrokerOptions = {}) {
  const broker = await Broker.start({ port: 0, managementPort: 0, ...options });
  onTestFinished(() => broker.close());
  const environment = { LEVERET_MANAGEMENT_URL: broker.managementUrl! };
  const tool = (name: Tool, ...args: string[]): Promise<Ran> => run(name, args, { environment });
  return { broker, tool };
}

/** The command `leveret` on a data folder, and the tools that know the folder alone. */
async function process(...args: string[]) {
  const dataDir = folder();
  const ports = ["--port", "0", "--prometheus-port", "off", "--data-dir", dataDir];
  const command = new BrokerCommand([...ports, ...args]);
  await command.line("Server startup complete");
  const environment = { LEVERET_DATA_DIR: dataDir, LEVERET_MANAGEMENT_URL: "" };
  const tool = (name: Tool, ...rest: string[]): Promise<Ran> => run(name, rest, { environment });
  return { command, tool, file: join(dataDir, "operator") };
}

describe.skipIf(areForeign)("G3 G22 rabbitmqctl", () => {
  test("stop_app, reset, force_reset and start_app", async () => {
    const { broker, tool } = await started();
    broker.virtualHosts.add("v");
    const stopping = "Stopping rabbit application on node NODE ...";
    expect(await tool("rabbitmqctl", "reset")).toMatchObject({
      code: 64,
      error: expect.stringContaining(
        "Error: this command requires the 'rabbit' app to be stopped on the target node. Stop it with 'rabbitmqctl stop_app'.\nArguments given:\n\treset\n",
      ),
    });
    expect(await tool("rabbitmqctl", "stop_app")).toEqual(printed(stopping));
    expect(await tool("rabbitmq-diagnostics", "-q", "check_running")).toEqual(
      refused(
        ...([69, [], "Error:"] as const),
        "RabbitMQ on node NODE is not running or has not fully booted yet (check with is_booting)",
      ),
    );
    await expect(connect(broker.url)).rejects.toThrow("ECONNREFUSED");
    expect(await tool("rabbitmqctl", "reset")).toEqual(printed("Resetting node NODE ..."));
    expect(await tool("rabbitmqctl", "force_reset")).toEqual(
      printed("Forcefully resetting node NODE ..."),
    );
    expect(await tool("rabbitmqctl", "start_app")).toEqual(printed("Starting node NODE ..."));
    expect((await tool("rabbitmqctl", "-s", "list_vhosts")).out).toBe("/\n");
    await (await connect(broker.url)).close();
  });

  test("suspend_listeners and resume_listeners", async () => {
    const { broker, tool } = await started();
    expect(await tool("rabbitmqctl", "suspend_listeners")).toEqual(
      printed(
        "Will suspend client connection listeners on node NODE. The node will no longer accept client connections",
      ),
    );
    await expect(connect(broker.url)).rejects.toThrow("ECONNREFUSED");
    expect(await tool("rabbitmqctl", "resume_listeners")).toEqual(
      printed(
        "Will resume client connection listeners on node NODE. The node will now accept client connections",
      ),
    );
    await (await connect(broker.url)).close();
  });

  test("set_vm_memory_high_watermark sets an alarm, which check_local_alarms, check_alarms and alarms name", async () => {
    const { tool } = await started();
    const set = (...args: string[]) => tool("rabbitmqctl", "set_vm_memory_high_watermark", ...args);
    expect(await set("0.0")).toEqual(printed("Setting memory threshold on NODE to 0.0 ..."));
    const alarm = "Memory alarm on node NODE";
    for (const check of ["check_local_alarms", "check_alarms"])
      expect(await tool("rabbitmq-diagnostics", "-q", check)).toEqual(
        refused(69, [], "Error:", alarm),
      );
    expect(await tool("rabbitmq-diagnostics", "-q", "alarms")).toEqual(printed(alarm));
    expect(await set("absolute", "64GB")).toEqual(
      printed("Setting memory threshold on NODE to 64GB bytes ..."),
    );
    expect(await tool("rabbitmq-diagnostics", "-q", "check_alarms")).toMatchObject({ code: 0 });
    expect(await set("x")).toMatchObject({
      code: 65,
      error: expect.stringContaining("Bad argument."),
    });
    expect(await set("5")).toMatchObject({
      code: 65,
      error: expect.stringContaining(
        "Error (argument validation): Bad argument: The threshold should be a fraction between 0.0 and 1.0\n",
      ),
    });
  });

  test("eval sets and clears an alarm, as RabbitMQ's client suites write it", async () => {
    const { tool } = await started();
    const memory = "resource_limit, memory, node()";
    const evaluate = (expression: string) => tool("rabbitmqctl", "eval", expression);
    expect(await evaluate(`rabbit_alarm:set_alarm({{${memory}}, []}).`)).toEqual(printed("ok"));
    expect(await tool("rabbitmq-diagnostics", "check_alarms")).toMatchObject({ code: 69 });
    expect(await evaluate(`rabbit_alarm:clear_alarm({${memory}}).`)).toEqual(printed("ok"));
    expect(await tool("rabbitmq-diagnostics", "check_alarms")).toMatchObject({ code: 0 });
  });

  test("set_disk_free_limit sets an alarm where there is a disk", async () => {
    const { tool } = await started({ dataDir: folder() });
    const set = (...args: string[]) => tool("rabbitmqctl", "set_disk_free_limit", ...args);
    expect(await set("9000TB")).toMatchObject({ code: 0 });
    expect(await tool("rabbitmq-diagnostics", "-q", "alarms")).toEqual(
      printed("Free disk space alarm on node NODE"),
    );
    expect(await set("mem_relative", "0.0")).toEqual(
      printed("Setting disk free limit on NODE to 0.0 times the total RAM ..."),
    );
    expect(await tool("rabbitmq-diagnostics", "check_alarms")).toMatchObject({ code: 0 });
    expect(await set("50000000")).toEqual(
      printed("Setting disk free limit on NODE to 50000000 bytes ..."),
    );
    expect(await set("xx")).toMatchObject({ code: 65 });
  });
});

describe.skipIf(areForeign)("G3 G4 the tools, where the broker's data folder is,", () => {
  test("need no user, and end with the broker by stop", async () => {
    const { command, tool, file } = await process("--management-port", "0");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await tool("rabbitmqctl", "delete_user", "guest")).toMatchObject({ code: 0 });
    expect(await tool("rabbitmqctl", "-q", "list_users")).toEqual(printed(""));
    expect(await tool("rabbitmqctl", "add_vhost", "v")).toMatchObject({ code: 0 });
    expect(await tool("rabbitmq-diagnostics", "-q", "check_port_connectivity")).toMatchObject({
      code: 0,
    });
    expect(await tool("rabbitmqctl", "stop")).toEqual(
      printed("Stopping and halting node NODE ..."),
    );
    expect(await command.ended).toBe(0);
    expect(() => statSync(file)).toThrow("ENOENT");
  });

  test("wait for it to end with shutdown", async () => {
    const { command, tool } = await process("--management-port", "0");
    const { code, out } = await tool("rabbitmqctl", "shutdown");
    expect({ code, lines: out.replaceAll(/\d+/g, "N").split("\n") }).toEqual({
      code: 0,
      lines: [
        "Shutting down RabbitMQ node NODE running at PID N",
        "Waiting for PID N to terminate",
        "RabbitMQ node NODE running at PID N successfully shut down",
        "",
      ],
    });
    expect(await command.ended).toBe(0);
  });

  test("ping and check_port_connectivity do without a management API", async () => {
    const { command, tool } = await process("--management-port", "off");
    expect(await tool("rabbitmq-diagnostics", "-q", "ping")).toEqual(printed("Ping succeeded"));
    const { out } = await tool("rabbitmq-diagnostics", "-q", "check_port_connectivity");
    expect(out).toMatch(/^Successfully connected to ports \d+ on node NODE\.\n$/);
    command.signal("SIGTERM");
    await command.ended;
    expect(await tool("rabbitmq-diagnostics", "-q", "ping")).toMatchObject({ code: 69 });
  });
});
