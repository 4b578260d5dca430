/** The command line as people and tools meet it: what it prints, what it refuses, and how it ends. */
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { connect } from "amqplib";
import { describe, expect, onTestFinished, test } from "vitest";
import { version } from "../../src/config.ts";
import { BrokerCommand, temporaryFolder } from "./broker-command.ts";

const inMemory = ["--port", "0", "--memory"];

function messages(command: BrokerCommand): string[] {
  return command.lines.map((line) => (JSON.parse(line) as { msg: string }).msg);
}

async function client(url: string) {
  const connection = await connect(url);
  connection.on("error", () => undefined);
  onTestFinished(() => connection.close().catch(() => undefined));
  return connection;
}

/** A broker with a client that says its header and then neither reads nor answers. */
async function withSilentClient(): Promise<BrokerCommand> {
  const command = new BrokerCommand(inMemory);
  const { port } = new URL(await command.url());
  const socket = connectTcp(Number(port), "127.0.0.1");
  socket.on("error", () => undefined);
  onTestFinished(() => void socket.destroy());
  socket.write("AMQP\0\0\u0009\u0001");
  await once(socket, "data");
  socket.pause();
  return command;
}

describe("leveret", () => {
  test("--version is the version, and --help is of use", async () => {
    const [asked, helped] = [new BrokerCommand(["--version"]), new BrokerCommand(["-h"])];
    expect(await asked.ended).toBe(0);
    expect(asked.lines).toEqual([version]);
    expect(await helped.ended).toBe(0);
    expect(helped.lines.join("\n")).toContain("--port PORT");
    expect(helped.lines.join("\n")).toContain("Examples:");
  });

  test.each([
    [["--port", "no"], /^leveret: --port no: allowed is a port from 0 to 65535, [^\n]*\n$/],
    [["--prot", "1"], /^leveret: Unknown option '--prot'; see leveret --help\n$/],
    [["start"], /^leveret: start: there is no such command; see leveret --help\n$/],
    [["--config", "none.conf"], /^leveret: [^\n]*none.conf: there is no such file[^\n]*\n$/],
    [["--port", "off"], /^leveret: there is no port to listen on: all are off\n$/],
    [["--tls-port", "0"], /^leveret: a TLS listener needs a certificate and its key: [^\n]*\n$/],
  ])("%j ends with 1 and one line", async (args, line) => {
    const command = new BrokerCommand(["--memory", ...args]);
    expect(await command.ended).toBe(1);
    expect(command.errorOutput).toMatch(line);
  });

  test("a port that is taken ends with 1 and a word on what to do", async () => {
    const first = new BrokerCommand(inMemory);
    const { port } = new URL(await first.url());
    const second = new BrokerCommand(["--port", port, "--memory"]);
    expect(await second.ended).toBe(1);
    expect(second.errorOutput).toContain(`EADDRINUSE: address already in use 127.0.0.1:${port}`);
    expect(second.errorOutput).toContain("try --port 0");
  });

  test("G14 says the lines that tools wait for, at every level of the log but silent", async () => {
    const command = new BrokerCommand([...inMemory, "--log-level", "error"]);
    const { port } = new URL(await command.url());
    await command.line("Server startup complete");
    expect(messages(command)).toEqual([
      expect.stringMatching(/^Starting Leveret /),
      "nothing is kept: --memory",
      `started TCP listener on 127.0.0.1:${port}`,
      `Leveret ${version} accepts connections at amqp://guest:guest@127.0.0.1:${port}`,
      "Starting broker... completed with 0 plugins.",
      "Server startup complete; 0 plugins started.",
    ]);
  });

  const hasIpv6 = Object.values(networkInterfaces())
    .flat()
    .some((one) => one?.family === "IPv6");
  test.skipIf(!hasIpv6)("G14 writes an address for all as RabbitMQ does", async () => {
    const command = new BrokerCommand([...inMemory, "--host", "::"]);
    const { hostname, port } = new URL(await command.url());
    expect(hostname).toBe("127.0.0.1");
    expect(messages(command)).toContain(`started TCP listener on [::]:${port}`);
    const channel = await (await client(await command.url())).createChannel();
    await channel.assertQueue("q");
  });

  test("G10 counts the plugins whose work is built in, and warns of the others", async () => {
    const folder = temporaryFolder();
    writeFileSync(
      join(folder, "enabled_plugins"),
      "[rabbitmq_auth_mechanism_ssl,rabbitmq_shovel].",
    );
    const command = new BrokerCommand([...inMemory, "--config", folder]);
    await command.line("Server startup complete; 1 plugins started.");
    const warning = await command.line("plugin rabbitmq_shovel is not offered by this version");
    expect(JSON.parse(warning)).toMatchObject({ level: 40 });
  });

  test("G8 G12 serves as rabbitmq.conf and the environment say", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "conf.d"));
    writeFileSync(
      join(folder, "rabbitmq.conf"),
      "listeners.tcp.1 = 127.0.0.1:0\nlisteners.tcp.2 = 127.0.0.1:0\nnot_a_key = 1\n",
    );
    writeFileSync(join(folder, "conf.d", "user.conf"), "default_user = me\ndefault_pass = other\n");
    const command = new BrokerCommand(["--memory"], {
      RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq.conf"),
      RABBITMQ_DEFAULT_PASS: "s3cret",
    });
    await command.line("Server startup complete");
    expect(await command.url()).toMatch(/^amqp:\/\/me:\*\*\*@127\.0\.0\.1:/);
    const notice = `${join(folder, "rabbitmq.conf")}:3: not_a_key has no effect: there is no setting with that name`;
    expect(JSON.parse(await command.line("not_a_key"))).toMatchObject({ level: 40, msg: notice });
    const ports = messages(command).flatMap((message) => {
      const port = /^started TCP listener on 127\.0\.0\.1:(\d+)$/.exec(message)?.[1];
      return port === undefined ? [] : [port];
    });
    expect(ports).toHaveLength(2);
    for (const port of ports) await client(`amqp://me:s3cret@127.0.0.1:${port}`);
    await expect(client(`amqp://me:other@127.0.0.1:${ports[0]}`)).rejects.toThrow("ACCESS_REFUSED");
    await command.line("PLAIN login refused: user 'me' - invalid credentials");
    for (const line of command.lines) expect(line).not.toMatch(/s3cret|other/);
  });
});

describe("signals", () => {
  test.each(["SIGTERM", "SIGINT"] as const)(
    "G15 N25 %s tells every client why, keeps what it has, and ends with 0",
    async (signal) => {
      const folder = temporaryFolder();
      const args = ["--port", "0", "--data-dir", folder];
      const command = new BrokerCommand(args);
      const connection = await client(await command.url());
      const channel = await connection.createConfirmChannel();
      await channel.assertQueue("q");
      channel.sendToQueue("q", Buffer.from("kept"), { persistent: true });
      await channel.waitForConfirms();
      // Not confirmed yet, and yet to be in the journal when it has been confirmed by the end.
      const confirmed = new Promise<boolean>((resolve) => {
        channel.sendToQueue("q", Buffer.from("last"), { persistent: true }, (error) =>
          resolve(error === null),
        );
      });
      const closed = once(connection, "close");
      command.signal(signal);
      const [error] = await closed;
      expect(String(error)).toContain(
        "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
      );
      expect(await command.ended).toBe(0);
      const again = new BrokerCommand(args);
      const channelAgain = await (await client(await again.url())).createChannel();
      const { messageCount } = await channelAgain.checkQueue("q");
      expect(messageCount).toBeGreaterThanOrEqual((await confirmed) ? 2 : 1);
    },
  );

  test("G15 a second one ends it at once, whoever has not answered yet", async () => {
    const command = await withSilentClient();
    command.signal("SIGTERM");
    await command.line("SIGTERM received");
    command.signal("SIGTERM");
    expect(await command.ended).toBe(1);
  });

  test("G15 a client that does not answer is not waited for longer than a second or two", async () => {
    const command = await withSilentClient();
    command.signal("SIGTERM");
    expect(await command.ended).toBe(0);
  });
});

describe("the log", () => {
  test("is for people when asked for, with what a client chose made harmless", async () => {
    const command = new BrokerCommand([...inMemory, "--log-format", "pretty"]);
    const url = await command.url();
    const connection = await connect(url, {
      clientProperties: { connection_name: "a\nb\u001b[31m" },
    });
    await connection.close();
    const line = await command.line("authenticated");
    expect(line).toMatch(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \[info\] connection 127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+ - a\\u000ab\\u001b\[31m: user 'guest' authenticated and granted access to vhost '\/'$/,
    );
  });
});
