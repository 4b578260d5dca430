/** CONFIGURATION.md, made from the table of settings. */

import { defaultText } from "../../src/settings/help.ts";
import { brokerSettings, type Setting, settingRows, variableOf } from "../../src/settings/table.ts";

const introduction = `# Configuration

This page is made from the table in [src/settings/table.ts](src/settings/table.ts) by \`npm run configuration\`; a test holds it to it.

A flag is stronger than a variable of the environment, a variable stronger than a file, a file stronger than the default. A
value that is not allowed ends the start with one line that says where it stands and what is allowed. An empty variable is
none.

## Files

\`--config\` (or \`LEVERET_CONFIG\`, \`RABBITMQ_CONFIG_FILE\`) names a \`rabbitmq.conf\`, or the folder it is in. After it come the
files of the folder \`conf.d\` beside it that end in \`.conf\`, in the order of their names; the last line with a key counts. No
file is read that is not named, so that a RabbitMQ on the same machine keeps its own.

\`\`\`
# A comment. Units of memory and disk: k, M, G and KiB, MiB, GiB are powers of 1024, kB, MB, GB of 1000.
listeners.tcp.default = 5672
default_pass = 'a#b'             # in single quotes a value may hold #
default_user = $(BROKER_USER)    # a variable of the environment
\`\`\`

A key that is unknown, or known to RabbitMQ alone, is a warning in the log, and the broker starts. \`enabled_plugins\` beside
\`rabbitmq.conf\` (or where \`RABBITMQ_ENABLED_PLUGINS_FILE\` says) is read too: nothing is loaded for it, but the log says which
plugins' work is built in and which are not offered. \`RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS\` counts as a last file, as far as it
sets what these keys set (\`-rabbit consumer_timeout 3600000\`). \`advanced.config\` and \`rabbitmq-env.conf\` are not read.

Two defaults differ from RabbitMQ's: without \`--host\` only this machine can connect, and \`guest\` may log in from everywhere
where clients can connect at all, as in RabbitMQ's container image. \`loopback_users.guest = true\` is RabbitMQ's own default.

## Settings

The first name is the one in \`Broker.start({ ... })\`, where there is one.

`;

function code(text: string): string {
  return `\`${text}\``;
}

function part(title: string, values: readonly string[]): string[] {
  return values.length === 0 ? [] : [`  ${title}: ${values.map(code).join(", ")}`];
}

function settingPart(name: string, row: Setting<unknown>): string {
  const { flag, environment = [], environmentFile, keys = [], kind, help } = row;
  const variables = [...(flag === undefined ? [] : [variableOf(flag)]), ...environment];
  const title = Object.hasOwn(brokerSettings, name) ? name : flag ? `--${flag}` : variables[0];
  const value = defaultText(row);
  const lines = [
    `- **${title}**: ${help}`,
    `  Allowed: ${kind.allowed}${value === "" ? "" : `; default ${code(value)}`}`,
    ...part("Flag", flag === undefined ? [] : [`--${flag} ${kind.placeholder}`.trim()]),
    ...part("Variable", variables),
    ...part("Variable that names a file", environmentFile === undefined ? [] : [environmentFile]),
    ...part("Key", keys),
  ];
  return lines.join("\\\n");
}

export function configurationPage(): string {
  const parts = settingRows.map(([name, row]) => settingPart(name, row));
  return `${introduction}${parts.join("\n")}\n`;
}
