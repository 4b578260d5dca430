/**
 * Adds and deletes users and virtual hosts, as somebody who embeds the broker does, and notes what is certain: a change when its
 * turn has ended, the end of a virtual host at once, and of what was refused that nothing has changed.
 */
import { AdministrationError } from "../../src/broker/administration.ts";
import type { Host } from "../../src/broker/host.ts";
import type { Random } from "../seeded.ts";

export class Administrator {
  readonly #random: Random;
  readonly #topology: Map<string, boolean | undefined>;
  /** What is certain when the turn has ended. */
  readonly #changed = new Map<string, boolean>();

  constructor(random: Random, topology: Map<string, boolean | undefined>) {
    this.#random = random;
    this.#topology = topology;
  }

  act({ users, virtualHosts }: Host): void {
    const name = `administered${this.#random.below(3)}`;
    if (this.#random.chance(70)) {
      const exists = users.find(name) !== undefined;
      this.#change(`user ${name}`, !exists, () => {
        if (exists) users.delete(name);
        else users.add(name, { password: name });
      });
      return;
    }
    const key = `vhost ${name}`;
    if (virtualHosts.find(name) === undefined) {
      this.#change(key, true, () => void virtualHosts.add(name));
    } else if (this.#change(key, false, () => virtualHosts.delete(name))) {
      this.#topology.set(key, false);
    }
  }

  /** Whether it was done. */
  #change(key: string, value: boolean, act: () => void): boolean {
    const before = this.#topology.get(key);
    this.#topology.set(key, undefined);
    try {
      act();
    } catch (error) {
      if (!(error instanceof AdministrationError) || error.code !== "UNAVAILABLE") throw error;
      // Refused: all is as it was, unless it was refused because the process has ended.
      this.#changed.set(key, this.#changed.get(key) ?? before ?? !value);
      return false;
    }
    this.#changed.set(key, value);
    return true;
  }

  turnEnded(): void {
    for (const [key, value] of this.#changed) this.#topology.set(key, value);
    this.#changed.clear();
  }
}
