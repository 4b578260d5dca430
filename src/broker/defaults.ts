/**
 * What a broker has from its first start: a virtual host, and a user who may do everything there [RabbitMQ: default user].
 */

import type { Settings } from "../config.ts";
import type { Log } from "../log.ts";
import type { Permissions } from "./permissions.ts";
import type { Users } from "./users.ts";
import type { VirtualHosts } from "./virtual-hosts.ts";

/** Whose defaults they are. */
export interface Defaulted {
  readonly settings: Settings;
  readonly log: Log;
  readonly users: Users;
  readonly permissions: Permissions;
  readonly virtualHosts: VirtualHosts;
}

/** Makes what is missing; `found` are the virtual hosts that were there before. */
export function makeDefaults(broker: Defaulted, found: Iterable<string>, makesUser: boolean): void {
  const { settings, virtualHosts } = broker;
  const { defaultVhost } = settings;
  for (const name of found) virtualHosts.change(name, {});
  if (virtualHosts.find(defaultVhost) === undefined) virtualHosts.add(defaultVhost);
  if (makesUser) makeDefaultUser(broker);
}

function makeDefaultUser({ settings, users, permissions }: Defaulted): void {
  const { defaultUser, defaultPassword, defaultVhost, defaultUserTags } = settings;
  const spec = { password: defaultPassword, tags: defaultUserTags };
  if (users.find(defaultUser) === undefined) users.add(defaultUser, spec);
  permissions.set(defaultUser, defaultVhost, {
    configure: settings.defaultPermissionConfigure,
    write: settings.defaultPermissionWrite,
    read: settings.defaultPermissionRead,
  });
}

/** Who starts a broker on a folder that knows other users should hear why he cannot log in. */
export function checkDefaults({ settings, users, log }: Defaulted): void {
  const { defaultUser, defaultPassword } = settings;
  if (users.authenticate(defaultUser, Buffer.from(defaultPassword)) !== undefined) return;
  log.warn(
    { user: defaultUser },
    "the data folder has its own users: the default user of the settings is not among them, or has another password",
  );
}
