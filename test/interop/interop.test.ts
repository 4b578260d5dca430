/**
 * Runs one program per client library, in the library's own language, against the broker under test, and
 * checks that each got through all of its steps. A program stops at the first surprise, so the steps it
 * prints say how far it came.
 *
 * The libraries are those of Debian's packages. One that is not installed is skipped, and the test's name
 * says which package it needs.
 */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { brokerUrl } from "../conformance/harness.ts";
import { type Outcome, runProgram } from "./run-program.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const DEADLINE_MS = 60_000;

/** What every client does, as their lines say it. */
const steps = [
  "ok: connect",
  "ok: declare an exchange, a durable queue with arguments and a binding",
  "ok: publish 1000 messages with publisher confirms",
  "ok: hold 50 unacked under a prefetch of 50, 950 stay ready",
  "ok: consume 1000 messages in order with acks",
  "ok: reject into the dead letter queue with x-death",
  "ok: return a mandatory message that has no queue",
  "ok: get one message, then find the queue empty",
  "ok: miss a queue with 404 and go on with the connection",
  "ok: round-trip headers of several types",
  "ok: round-trip a body of 1 MiB",
  "ok: purge and delete",
  "ok: close",
];

/** What kombu does besides, on behalf of Celery. */
const celerySteps = [
  "ok: pass messages through a SimpleQueue",
  "ok: run tasks by priority",
  "ok: command a worker through its pidbox",
];

/** amqp-tools can do less; what is missing stands at the top of its script. */
const shellSteps = [
  "ok: declare a durable queue twice",
  "ok: differ in durable and be refused with 406",
  "ok: publish 1000 messages",
  "ok: consume 1000 messages in order with acks",
  "ok: get a message again that was not acked",
  "ok: get messages, then find the queue empty",
  "ok: subscribe to a topic exchange",
  "ok: miss a queue with 404",
  "ok: miss an exchange with 404",
  "ok: round-trip a body of 1 MiB",
  "ok: delete, but not what must be empty and is not",
];

/** Debian's packages are for Debian's Python, which need not be the first one in the path. */
const PYTHON = "/usr/bin/python3";

/** Without modules, Go finds the library where Debian's package puts its source. */
const GO_ENVIRONMENT = { GO111MODULE: "off", GOPATH: "/usr/share/gocode", GOFLAGS: undefined };
const GO_LIBRARY = "github.com/rabbitmq/amqp091-go";

interface Client {
  library: string;
  debianPackage: string;
  /** A command that succeeds if the library is installed. */
  probe: [command: string, ...args: string[]];
  run(url: string): Promise<Outcome>;
  steps: string[];
}

const clients: Client[] = [
  {
    library: "pika (Python)",
    debianPackage: "python3-pika",
    probe: [PYTHON, "-c", "import pika"],
    run: (url) => runHere(PYTHON, "pika-client.py", url),
    steps,
  },
  {
    library: "kombu (Python)",
    debianPackage: "python3-kombu",
    probe: [PYTHON, "-c", "import kombu"],
    run: (url) => runHere(PYTHON, "kombu-client.py", url),
    steps: steps.toSpliced(-1, 0, ...celerySteps),
  },
  {
    library: "Bunny (Ruby)",
    debianPackage: "ruby-bunny",
    probe: ["ruby", "-e", 'require "bunny"'],
    run: (url) => runHere("ruby", "bunny-client.rb", url),
    steps,
  },
  {
    library: "php-amqplib (PHP)",
    debianPackage: "php-amqplib",
    probe: ["php", "-r", "require 'PhpAmqpLib/autoload.php';"],
    run: (url) => runHere("php", "php-amqplib-client.php", url),
    steps,
  },
  {
    library: "amqp091-go (Go)",
    debianPackage: "golang-github-rabbitmq-amqp091-go-dev",
    probe: ["go", "list", GO_LIBRARY],
    run: buildAndRunGo,
    steps,
  },
  {
    library: "rabbitmq-c (C)",
    debianPackage: "amqp-tools",
    probe: ["amqp-publish", "--usage"],
    run: (url) => runHere("sh", "amqp-tools.sh", url),
    steps: shellSteps,
  },
];

function isInstalled({ probe: [command, ...args] }: Client): boolean {
  const env = { ...process.env, ...GO_ENVIRONMENT };
  // A command that does not exist has no exit status.
  return spawnSync(command, args, { env, stdio: "ignore" }).status === 0;
}

function runHere(command: string, ...args: string[]): Promise<Outcome> {
  return runProgram(command, args, { cwd: folder, deadlineMs: DEADLINE_MS });
}

/** `go run` would leave the program behind when it is killed; so it is built, and run as any other. */
async function buildAndRunGo(url: string): Promise<Outcome> {
  const temporary = await mkdtemp(join(tmpdir(), "interop-go-"));
  onTestFinished(() => rm(temporary, { recursive: true }));
  const binary = join(temporary, "client");
  const build = await runProgram("go", ["build", "-o", binary, "amqp091-go-client.go"], {
    cwd: folder,
    env: GO_ENVIRONMENT,
    deadlineMs: DEADLINE_MS,
  });
  return build.code === 0 ? runHere(binary, url) : build;
}

for (const client of clients) {
  const installed = isInstalled(client);
  const name = installed
    ? `${client.library} gets through every step`
    : `${client.library} is not installed: apt-get install ${client.debianPackage}`;

  test.skipIf(!installed)(name, { timeout: 2 * DEADLINE_MS }, async () => {
    const { code, lines, transcript } = await client.run(await brokerUrl());
    expect(lines, transcript).toEqual(client.steps);
    expect(code, transcript).toBe(0);
  });
}
