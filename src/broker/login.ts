/** Logging in, on whatever way a client comes: by name and password, or by a name that a certificate vouches for. */

import type { Settings } from "../config.ts";
import type { User, Users } from "./users.ts";

export interface Credentials {
  readonly userName: string;
  /** Undefined when something else vouches for the name. */
  readonly password: Buffer | undefined;
}

interface LoginContext {
  readonly users: Pick<Users, "authenticate" | "find">;
  readonly settings: Pick<Settings, "loopbackUsers">;
}

/** Whether an address is this machine's. */
export function isLoopback(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127\./.test(address);
}

/** The user, or why not: for the log, and never for the client, who might be a stranger. */
export function login(
  { users, settings }: LoginContext,
  { userName, password }: Credentials,
  address: string,
): User | string {
  const user = password ? users.authenticate(userName, password) : users.find(userName);
  if (user === undefined) return "invalid credentials";
  if (!isLoopback(address) && settings.loopbackUsers.includes(user.name))
    return `user '${user.name}' can only connect via localhost`;
  return user;
}
