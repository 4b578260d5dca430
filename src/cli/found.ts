/** Things that must be there before a command goes on, and what RabbitMQ's tools say when they are not. */

import type { Call } from "./command.ts";
import { failed, noVirtualHost } from "./failure.ts";
import { apiPath, type Row } from "./management.ts";

export async function foundUser({ management }: Call, name: string): Promise<Row> {
  const user = await management.find(apiPath("users", name));
  if (user === undefined) throw failed("noUser", `User "${name}" does not exist`);
  return user;
}

export async function foundVirtualHost({ management }: Call, name: string): Promise<Row> {
  const vhost = await management.find(apiPath("vhosts", name));
  if (vhost === undefined) throw noVirtualHost(name);
  return vhost;
}

/** The value that a JSON text stands for. */
export function decoded(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw failed("unavailable", "JSON decoding error. Reason: badarg");
  }
}

/** The same, when it must be an object. */
export function decodedObject(text: string): Row {
  const value = decoded(text);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Row;
  throw failed("unavailable", `${text} is no JSON object`);
}
