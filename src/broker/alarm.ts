/**
 * Resources that run low: while one does, whoever publishes is held back, and whoever consumes goes on and makes room.
 *
 * A connection is blocked when it begins to publish under an alarm, so that connections that only consume never notice; that
 * publication waits as well [RabbitMQ: connection.blocked].
 */

export type Resource = "memory" | "disk";

/** A connection that publishes: declared here, implemented by the server's side. */
export interface Publisher {
  /** Nothing is to be read from it until `unblocked`. */
  blocked(reason: string): void;
  unblocked(): void;
}

export class Alarm {
  readonly #low = new Set<Resource>();
  readonly #blocked = new Set<Publisher>();

  get isSet(): boolean {
    return this.#low.size > 0;
  }

  isLow(resource: Resource): boolean {
    return this.#low.has(resource);
  }

  /** As RabbitMQ says it: `low on disk & memory`. */
  get reason(): string {
    const low = (["disk", "memory"] as const).filter((resource) => this.#low.has(resource));
    return `low on ${low.join(" & ")}`;
  }

  /** A resource runs low; whether that is news. */
  raise(resource: Resource): boolean {
    if (this.#low.has(resource)) return false;
    this.#low.add(resource);
    return true;
  }

  /** There is enough again; whether that is news. Blocked publishers go on when no resource is low any more. */
  clear(resource: Resource): boolean {
    if (!this.#low.delete(resource)) return false;
    if (this.isSet) return true;
    const publishers = [...this.#blocked];
    this.#blocked.clear();
    for (const publisher of publishers) publisher.unblocked();
    return true;
  }

  /** Blocks a connection that publishes under the alarm. */
  block(publisher: Publisher): void {
    if (this.#blocked.has(publisher)) return;
    this.#blocked.add(publisher);
    publisher.blocked(this.reason);
  }

  /** The connection is gone. */
  forget(publisher: Publisher): void {
    this.#blocked.delete(publisher);
  }
}
