/**
 * Where the broker is, and who the tools are there, as the environment says it. RabbitMQ's tools need no password, since they
 * share a secret with their node; these are the broker's default user unless they are told otherwise.
 */

import { readEnvironment } from "../settings/sources.ts";
import { settings } from "../settings/table.ts";
import { type Credentials, Management } from "./management.ts";

function portOf(text: string | undefined): number {
  const port = /^(?:.*:)?(\d{1,5})$/.exec(text ?? "")?.[1];
  return port === undefined ? Number(settings.managementPort.default) : Number(port);
}

function credentialsOf(environment: NodeJS.ProcessEnv): Credentials {
  const source = readEnvironment(environment);
  const { LEVERET_MANAGEMENT_USER: user, LEVERET_MANAGEMENT_PASSWORD: password } = environment;
  return {
    user: user || (source.get("defaultUser")?.[0]?.text ?? settings.defaultUser.default),
    password:
      password || (source.get("defaultPassword")?.[0]?.text ?? settings.defaultPassword.default),
  };
}

/** Asks nobody yet. */
export function managementOf(environment: NodeJS.ProcessEnv): Management {
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
