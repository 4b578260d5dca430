/** AMQP over TLS: who is let in, who the client is by its certificate, and what the log says of those who are not. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { connect, credentials } from "amqplib";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { Broker, type BrokerOptions } from "../../src/index.ts";
import { BrokerCommand, temporaryFolder } from "./broker-command.ts";
import { type Certificate, Certificates, hasOpenssl, KEY_PASSWORD, pem } from "./certificates.ts";
import { LogLines } from "./log-lines.ts";

let certificates: Certificates;
let server: Certificate;
let client: Certificate;

beforeAll(() => {
  if (!hasOpenssl) return;
  const folder = mkdtempSync(join(tmpdir(), "leveret-test-"));
  certificates = new Certificates(folder);
  server = certificates.signed("server", "/CN=localhost");
  client = certificates.signed("client", "/O=Meadow/CN=hare");
  return () => rmSync(folder, { recursive: true });
});

interface Started {
  readonly broker: Broker;
  readonly log: LogLines;
}

async function start(options: BrokerOptions = {}): Promise<Started> {
  const log = new LogLines();
  const tls = { tlsPort: 0, tlsCertFile: server.cert, tlsKeyFile: server.key };
  const broker = await Broker.start({ port: "off", ...tls, log, ...options });
  onTestFinished(() => broker.close());
  return { broker, log };
}

async function open(url: string, options: object = {}) {
  const ca = [readFileSync(certificates.ca.cert)];
  const connection = await connect(url, { ca, ...options });
  connection.on("error", () => undefined);
  onTestFinished(() => connection.close().catch(() => undefined));
  return connection;
}

describe.skipIf(!hasOpenssl)("N23 TLS", () => {
  test("N23 serves clients that trust the CA, and says where in RabbitMQ's words", async () => {
    const { broker, log } = await start();
    expect(broker.url).toBe(`amqps://guest:guest@127.0.0.1:${broker.port}`);
    await log.line(`started TLS (SSL) listener on 127.0.0.1:${broker.port}`);
    const channel = await (await open(broker.url)).createConfirmChannel();
    await channel.assertQueue("q");
    // More than one record of TLS, and more than one frame.
    const body = Buffer.alloc(300_000, "leveret");
    channel.sendToQueue("q", body);
    await channel.waitForConfirms();
    const message = await channel.get("q", { noAck: true });
    if (message === false) throw new Error("there is no message");
    expect(message.content.equals(body)).toBe(true);
  });

  test("N23 serves with and without TLS, on several ports", async () => {
    const { broker } = await start({ port: [{ port: 0 }, { host: "127.0.0.1", port: 0 }] });
    expect(broker.listeners.map(({ tls }) => tls)).toEqual([false, false, true]);
    const [first, second, secure] = broker.listeners.map(({ port }) => port);
    const urls = [`amqp://127.0.0.1:${first}`, `amqp://127.0.0.1:${second}`];
    for (const url of [...urls, `amqps://127.0.0.1:${secure}`]) await open(url);
  });

  test("N23 a client that does not trust the CA is named in the log", async () => {
    const { broker, log } = await start();
    await expect(connect(broker.url)).rejects.toThrow(/unable to|self.signed/);
    // It goes without a word, sooner or later; openssl says why.
    await log.line(
      /^(TLS handshake failed|closing AMQP connection) \(127.*\): .*not trust the cert/,
    );
    const args = ["s_client", "-connect", `127.0.0.1:${broker.port}`, "-verify_return_error"];
    const openssl = spawn("openssl", args, { stdio: "ignore" });
    await once(openssl, "close");
    await log.line(
      /^TLS handshake failed \(127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+\): .*: the client does not trust/,
    );
  });

  test("N23 plain AMQP on the port for TLS gets a line that says so", async () => {
    const { broker, log } = await start();
    await expect(connect(`amqp://127.0.0.1:${broker.port}`)).rejects.toThrow();
    await log.line(/^TLS handshake failed .*: the client does not speak TLS: it needs amqps:\/\//);
  });

  test("N23 an HTTP request on the port for TLS gets a line that says so", async () => {
    const { broker, log } = await start();
    const socket = connectTcp(broker.port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.end("GET / HTTP/1.1\r\n\r\n");
    await log.line(/^TLS handshake failed .*: http request: the client speaks HTTP/);
  });

  test("N23 TLS on the port without it gets a line that says so", async () => {
    const { broker, log } = await start({ port: 0 });
    const socket = connectTls({ port: broker.port, host: "127.0.0.1" });
    await once(socket, "error");
    await log.line(
      /^closing AMQP connection \(.*\): bad protocol header .*: this is TLS on a port/,
    );
  });

  test("N5 N23 a client that does not go on with the handshake is dropped in time", async () => {
    const { broker, log } = await start({ handshakeTimeoutMs: 50 });
    const socket = connectTcp(broker.port, "127.0.0.1").resume();
    socket.on("error", () => undefined);
    await once(socket, "close");
    await log.line(/^TLS handshake failed .*did not say enough in time$/);
  });

  test("a broker that closes does not wait for a handshake without end", async () => {
    const { broker } = await start();
    const socket = connectTcp(broker.port, "127.0.0.1");
    socket.on("error", () => undefined);
    onTestFinished(() => void socket.destroy());
    await once(socket, "connect");
    await broker.close();
  });

  test("N23 only the versions that are asked for are spoken", async () => {
    const { broker, log } = await start({ tlsVersions: ["tlsv1.3"] });
    await open(broker.url);
    const old = open(broker.url, { maxVersion: "TLSv1.2" });
    await expect(old).rejects.toThrow(/protocol version/i);
    await log.line(/^TLS handshake failed .*: unsupported protocol: .*version of TLS/);
  });

  test("N23 the key may have a password", async () => {
    const secured = certificates.signed("secured", "/CN=localhost", KEY_PASSWORD);
    const files = { tlsCertFile: secured.cert, tlsKeyFile: secured.key };
    const { broker } = await start({ ...files, tlsKeyPassword: KEY_PASSWORD });
    await open(broker.url);
    await expect(start({ ...files, tlsKeyPassword: "wrong" })).rejects.toThrow(
      "the TLS certificate or key cannot be used",
    );
  });

  test.each([
    [
      "a key that is not there",
      { tlsKeyFile: "/no/such.key" },
      /^the TLS key cannot be read: ENOENT/,
    ],
    [
      "a certificate that is none",
      { tlsCertFile: import.meta.filename },
      /^the TLS certificate or key/,
    ],
    ["no certificate", { tlsCertFile: undefined }, /^a TLS listener needs a certificate/],
  ])("%s is an error of the start", async (_, options, message) => {
    await expect(start(options)).rejects.toThrow(message);
  });
});

describe.skipIf(!hasOpenssl)("N3 N23 certificates of clients", () => {
  const strict = (): BrokerOptions => ({
    tlsVerify: "verify_peer",
    tlsFailIfNoPeerCert: true,
    tlsCaFile: certificates.ca.cert,
    authMechanisms: ["PLAIN", "EXTERNAL"],
    defaultUser: "CN=hare,O=Meadow",
  });
  const asHare = () => ({ ...pem(client), credentials: credentials.external() });
  const bare = (broker: Broker) => `amqps://127.0.0.1:${broker.port}`;

  test("N23 a client without a certificate, or with a stranger's, is refused", async () => {
    const { broker, log } = await start(strict());
    await expect(open(bare(broker))).rejects.toThrow();
    await log.line(/^TLS connection .* refused: the client sent no certificate: /);
    const stranger = pem(certificates.stranger("/O=Meadow/CN=hare"));
    await expect(open(bare(broker), stranger)).rejects.toThrow();
    await log.line(
      /^TLS connection .* refused: the client's certificate is not valid: .*SELF_SIGNED/,
    );
  });

  test("N3 N23 EXTERNAL logs in as the certificate's distinguished name", async () => {
    const { broker, log } = await start(strict());
    const connection = await open(bare(broker), asHare());
    await connection.createChannel();
    await log.line(/: user 'CN=hare,O=Meadow' authenticated and granted access to vhost '\/'$/);
  });

  test("N3 N23 EXTERNAL logs in as the common name when asked to", async () => {
    const settings = { tlsLoginFrom: "common_name", defaultUser: "hare" } as const;
    const { broker, log } = await start({ ...strict(), ...settings });
    await open(bare(broker), asHare());
    await log.line(/: user 'hare' authenticated/);
  });

  test("N3 N23 EXTERNAL does not make users: an unknown name is refused", async () => {
    const { broker, log } = await start({ ...strict(), defaultUser: "fox" });
    await expect(open(bare(broker), asHare())).rejects.toThrow("ACCESS_REFUSED");
    await log.line(/EXTERNAL login refused: user 'CN=hare,O=Meadow' - /);
  });

  test("N3 EXTERNAL is not offered to a client without a certificate", async () => {
    const { broker, log } = await start({ ...strict(), tlsFailIfNoPeerCert: false });
    const external = open(bare(broker), { credentials: credentials.external() });
    await expect(external).rejects.toThrow(/EXTERNAL/);
    const password = credentials.plain("CN=hare,O=Meadow", "guest");
    await open(bare(broker), { credentials: password });
    // Optional, but not to be forged.
    const stranger = pem(certificates.stranger("/O=Meadow/CN=hare"));
    await expect(open(bare(broker), stranger)).rejects.toThrow();
    await log.line("the client's certificate is not valid");
  });

  test("N3 EXTERNAL is not offered unless it is among the mechanisms", async () => {
    const { broker } = await start({ ...strict(), authMechanisms: ["PLAIN"] });
    await expect(open(bare(broker), asHare())).rejects.toThrow(/EXTERNAL/);
  });

  test("G8 N23 the command line takes it all from rabbitmq.conf", async () => {
    const conf = `${temporaryFolder()}/rabbitmq.conf`;
    const lines = [
      "listeners.tcp = none",
      "listeners.ssl.default = 0",
      `ssl_options.cacertfile = ${certificates.ca.cert}`,
      `ssl_options.certfile = ${server.cert}`,
      `ssl_options.keyfile = ${server.key}`,
      "ssl_options.verify = verify_peer",
      "ssl_options.fail_if_no_peer_cert = true",
      "ssl_options.versions.1 = tlsv1.3",
      "ssl_cert_login_from = common_name",
      "auth_mechanisms.1 = EXTERNAL",
      "default_user = hare",
    ];
    writeFileSync(conf, lines.join("\n"));
    const command = new BrokerCommand(["--memory", "--config", conf]);
    const { port } = new URL(await command.url());
    await command.line(`started TLS (SSL) listener on 127.0.0.1:${port}`);
    await open(`amqps://127.0.0.1:${port}`, asHare());
    await command.line("user 'hare' authenticated");
  });
});
