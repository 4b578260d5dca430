/**
 * What a broker is when nobody is connected: its users and its virtual hosts, its clock, its log, its settings.
 */

import type { Clock } from "../clock.ts";
import type { Settings } from "../config.ts";
import type { Log } from "../log.ts";
import { MemoryStore } from "../store/memory-store.ts";
import type { Turn } from "../turn.ts";
import { Users } from "./users.ts";
import { VirtualHost } from "./vhost.ts";

export interface HostContext {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly log: Log;
}

export class Host {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly log: Log;
  readonly users = new Users();
  readonly #vhosts = new Map<string, VirtualHost>();

  constructor(context: HostContext) {
    this.settings = context.settings;
    this.clock = context.clock;
    this.turn = context.turn;
    this.log = context.log;
    this.addVirtualHost(this.settings.defaultVhost);
    this.users.add(this.settings.defaultUser, this.settings.defaultPassword, ["administrator"]);
  }

  addVirtualHost(name: string): VirtualHost {
    const { clock, log } = this;
    const vhost = new VirtualHost(name, { store: new MemoryStore(this.turn), clock, log });
    this.#vhosts.set(name, vhost);
    return vhost;
  }

  virtualHost(name: string): VirtualHost | undefined {
    return this.#vhosts.get(name);
  }
}
