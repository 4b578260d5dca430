/**
 * Where the broker is, and who the tools are there.
 *
 * What the environment says comes first. Then the file in the broker's data folder, which makes the tools the operator, as
 * RabbitMQ's are who share the node's secret; and where there is none, the broker's default user. The key of that file goes
 * to the address of that file and nowhere else.
 */

import { type OperatorFile, readOperatorFile } from "../operator-file.ts";
import { readEnvironment } from "../settings/sources.ts";
import { settings } from "../settings/table.ts";
import { type Credentials, Management } from "./management.ts";

/** What a running broker has noted of itself in its data folder. */
export function operatorFileOf(environment: NodeJS.ProcessEnv): OperatorFile | undefined {
  const { LEVERET_MANAGEMENT_URL: url, LEVERET_MANAGEMENT_USER: user } = environment;
  if (url || user) return undefined;
  const folder = readEnvironment(environment).get("dataDir")?.[0]?.text;
  return readOperatorFile(folder ?? settings.dataDir.default);
}

/** Those of the default user, where the environment names no other. */
export function credentialsOf(environment: NodeJS.ProcessEnv): Credentials {
  const source = readEnvironment(environment);
  const { LEVERET_MANAGEMENT_USER: user, LEVERET_MANAGEMENT_PASSWORD: password } = environment;
  return {
    user: user || (source.get("defaultUser")?.[0]?.text ?? settings.defaultUser.default),
    password:
      password || (source.get("defaultPassword")?.[0]?.text ?? settings.defaultPassword.default),
  };
}

function portOf(text: string | undefined): number {
  const port = /^(?:.*:)?(\d{1,5})$/.exec(text ?? "")?.[1];
  return port === undefined ? Number(settings.managementPort.default) : Number(port);
}

/** Asks nobody yet. */
export function managementOf(environment: NodeJS.ProcessEnv): Management {
  const noted = operatorFileOf(environment);
  if (noted?.management !== undefined)
    return new Management(new URL(noted.management), { key: noted.key });
  const { LEVERET_MANAGEMENT_URL: url, LEVERET_MANAGEMENT_PORT: port } = environment;
  return new Management(
    new URL(url || `http://127.0.0.1:${portOf(port)}`),
    credentialsOf(environment),
  );
}

/** What the node is called in texts: as it was given, or as the environment calls it. */
export function nodeName(given: string | undefined, environment: NodeJS.ProcessEnv): string {
  const name = given ?? environment["RABBITMQ_NODENAME"] ?? "";
  if (name === "") return "rabbit@localhost";
  return name.includes("@") ? name : `${name}@localhost`;
}
