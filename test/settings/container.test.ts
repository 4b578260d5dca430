/** What starts the broker in a container: the entry point and the health check, run without one. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { runProgram } from "../interop/run-program.ts";
import { BrokerCommand, main, temporaryFolder } from "./broker-command.ts";

const entryPoint = fileURLToPath(new URL("../../docker/entrypoint.sh", import.meta.url));

function start(args: string[], environment: NodeJS.ProcessEnv = {}): BrokerCommand {
  const env = { LEVERET_MAIN: main, LEVERET_DATA_DIR: temporaryFolder(), ...environment };
  return new BrokerCommand(args, env, ["sh", entryPoint]);
}

describe("G13 the container's entry point", () => {
  test.each([[[]], [["leveret"]], [["rabbitmq-server"]], [["--log-level", "warn"]]])(
    "G13 %j starts a broker for all addresses, as the variables of RabbitMQ's image say",
    async (args) => {
      const command = start(args, {
        RABBITMQ_NODE_PORT: "0",
        RABBITMQ_DEFAULT_USER: "me",
        RABBITMQ_DEFAULT_PASS: "s3cret",
      });
      expect(await command.url()).toMatch(/^amqp:\/\/me:\*\*\*@127\.0\.0\.1:\d+$/);
      await command.line(/started TCP listener on (\[::\]|0\.0\.0\.0):\d+/);
      command.signal("SIGTERM");
      expect(await command.ended).toBe(0);
    },
  );

  test("G13 an address, a folder and a file that are given stay what they are", async () => {
    const folder = temporaryFolder();
    const conf = join(folder, "rabbitmq.conf");
    writeFileSync(conf, "listeners.tcp.default = 0\n");
    const command = start([], {
      RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
      RABBITMQ_CONFIG_FILE: conf,
      LEVERET_DATA_DIR: "",
      RABBITMQ_MNESIA_BASE: folder,
    });
    await command.line(`data folder: ${folder}`);
    await command.line(`configuration file: ${conf}`);
    await command.line("started TCP listener on 127.0.0.1:");
  });

  test("G13 another command is run in its place", async () => {
    const { code, lines } = await runProgram("sh", [entryPoint, "echo", "hello", "-v"]);
    expect({ code, lines }).toEqual({ code: 0, lines: ["hello -v"] });
  });
});

describe("G3 G4 G5 the tools in the container", () => {
  const tools = fileURLToPath(new URL("../../docker/bin", import.meta.url));
  const program = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));
  const call = (name: string, args: string[], env: NodeJS.ProcessEnv = {}) =>
    runProgram(join(tools, name), args, { env: { LEVERET_CLI: program, ...env } });

  test.each([
    "rabbitmqctl",
    "rabbitmq-diagnostics",
    "rabbitmq-plugins",
    "rabbitmq-queues",
    "rabbitmq-upgrade",
  ])("%s goes by its name", async (name) => {
    expect(await call(name, ["version"])).toMatchObject({ code: 0, lines: ["4.2.0"] });
    const { code, transcript } = await call(name, ["no-such-command"]);
    expect({ code, transcript }).toEqual({
      code: 64,
      transcript: expect.stringContaining(`Use '${name} help <command>'`),
    });
  });

  test("whoever has read enough of them may go", async () => {
    const script = `'${join(tools, "rabbitmqctl")}' help | true; '${join(tools, "rabbitmqctl")}' help | head -c 1`;
    const { code, transcript } = await runProgram("sh", ["-c", script], {
      env: { LEVERET_CLI: program },
    });
    expect({ code, transcript }).toEqual({ code: 0, transcript: "\n" });
  });

  test("they talk to the broker as the user that the image's variables name", async () => {
    const variables = { RABBITMQ_DEFAULT_USER: "me", RABBITMQ_DEFAULT_PASS: "s3cret" };
    const command = start(["--management-port", "0"], { RABBITMQ_NODE_PORT: "0", ...variables });
    const [, port = ""] = /HTTP .* port (\d+)/.exec(await command.line(/Management plugin/)) ?? [];
    const env = { ...variables, LEVERET_MANAGEMENT_PORT: port };
    expect(await call("rabbitmqctl", ["-s", "list_users"], env)).toMatchObject({
      code: 0,
      lines: ["me\t[administrator]"],
    });
  });

  test.each(["0", "off"])(
    "G13 the health check tells whether the broker runs, with the management port %s",
    async (management) => {
      const folder = temporaryFolder();
      const environment = { RABBITMQ_NODE_PORT: "0", LEVERET_DATA_DIR: folder };
      const command = start(["--management-port", management], environment);
      await command.line("Server startup complete");
      const ping = () => call("rabbitmq-diagnostics", ["-q", "ping"], environment);
      expect(await ping()).toMatchObject({ code: 0, lines: ["Ping succeeded"] });
      command.signal("SIGTERM");
      await command.ended;
      const env = { ...environment, LEVERET_MANAGEMENT_URL: "http://127.0.0.1:9" };
      expect(await call("rabbitmq-diagnostics", ["-q", "ping"], env)).toMatchObject({ code: 69 });
    },
  );

  test("G13 rabbitmq-server starts the broker for a script, and rabbitmqctl wait finds it by its pid file", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "run", "rabbitmq.pid");
    const environment = {
      ...{ RABBITMQ_NODE_PORT: "0", RABBITMQ_PID_FILE: file, LEVERET_DATA_DIR: folder },
    };
    const waiting = call("rabbitmqctl", ["wait", "--timeout", "10", file], environment);
    const command = new BrokerCommand(
      ["--management-port", "0"],
      { LEVERET_MAIN: main, ...environment },
      ["sh", join(tools, "rabbitmq-server")],
    );
    const { code, lines } = await waiting;
    expect({ code, last: lines.at(-1) }).toEqual({
      ...{
        code: 0,
        last: "Applications 'rabbit_and_plugins' are running on node 'rabbit@localhost'",
      },
    });
    command.signal("SIGTERM");
    expect(await command.ended).toBe(0);
    expect(existsSync(file)).toBe(false);
  });
});
