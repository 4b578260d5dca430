/** What `leveret --help` says, from the table of settings. */

import { version } from "../config.ts";
import { type Setting, settingRows } from "./table.ts";

const OPTION_WIDTH = 26;

const examples = [
  ["leveret", "on 127.0.0.1:5672, data in ./leveret-data"],
  ["leveret --port 0 --memory", "a free port, nothing is kept: for tests"],
  ["leveret --host :: --port 5672,5673", "two ports, open to the network"],
  ["leveret --tls-port 5671 --tls-cert server.pem --tls-key server.key", "and with TLS"],
  ["leveret --config /etc/rabbitmq/rabbitmq.conf --data-dir /var/lib/leveret", "as a service"],
] as const;

function optionLine(option: string, help: string): string {
  const left = `  ${option}`;
  return left.length < OPTION_WIDTH
    ? `${left.padEnd(OPTION_WIDTH)}${help}`
    : `${left}\n${" ".repeat(OPTION_WIDTH)}${help}`;
}

/** A default as it would be written; empty when there is none. */
export function defaultText({ default: value }: Setting<unknown>): string {
  if (value === undefined || value === false) return "";
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.join(",");
  return String(value);
}

function settingLine(row: Setting<unknown>): string {
  const value = defaultText(row);
  const shown = value === "" ? row.help : `${row.help} (${value})`;
  return optionLine(`--${row.flag} ${row.kind.placeholder}`.trimEnd(), shown);
}

export function helpText(): string {
  const settings = settingRows.filter(([, row]) => row.flag !== undefined);
  return `leveret ${version}: a light message broker that speaks AMQP 0-9-1 like RabbitMQ

Usage: leveret [options]          serves until SIGINT or SIGTERM; a second one ends it at once
       leveret check DIR          says what is in a data folder, and whether it is sound

${settings.map(([, row]) => settingLine(row)).join("\n")}
${optionLine("-h, --help", "this text")}
${optionLine("-v, --version", "the version")}

PORT is a number, ADDRESS:PORT, several of them with commas between, or off.

Every option is a variable of the environment too: --tls-port is LEVERET_TLS_PORT. Variables of
RabbitMQ and of its image (RABBITMQ_DEFAULT_USER, RABBITMQ_DEFAULT_PASS, RABBITMQ_NODE_PORT, ...)
and the keys of rabbitmq.conf are understood; CONFIGURATION.md lists them all. An option is
stronger than a variable, a variable stronger than a file.

Examples:
${examples.map(([command, effect]) => `  ${command}\n      ${effect}`).join("\n")}

Clients connect with amqp://guest:guest@127.0.0.1:5672
`;
}
