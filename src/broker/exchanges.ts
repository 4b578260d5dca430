/**
 * The exchanges of a virtual host and the bindings between them and to queues.
 *
 * Guarantees that no binding outlives its source or destination. Each change raises `generation`, by which whoever
 * remembers a route sees that it may be out of date.
 */

import { AmqpError } from "../amqp/errors.ts";
import type { FieldTable } from "../amqp/field-table.ts";
import { erlangAtom, typeName, valueText } from "../amqp/type-names.ts";
import type { Clock } from "../clock.ts";
import { type Destination, Exchange, type ExchangeType, type Shelf } from "../exchange/exchange.ts";
import { exchangeTypes } from "../exchange/types.ts";
import { checkEquivalence, inequivalent } from "../queue/settings.ts";
import type { Access } from "./access.ts";
import type { EffectivePolicy } from "./effective-policy.ts";
import { checkReservedPrefix, exchangeIn, stripLineEnds } from "./names.ts";
import type { PolicySubject } from "./policies.ts";
import type { ShelfSpec } from "./shelves.ts";
import {
  type BindingEnds,
  bindingEntry,
  exchangeEntry,
  type TopologyEntry,
  type TopologyRecorder,
} from "./topology.ts";

export interface ExchangeDeclaration {
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: FieldTable;
  /** Of one that was there before a restart. */
  readonly shelfId?: number;
}

/** Who makes the shelves of exchanges, and is told who binds to them. */
export interface ShelfKeeper {
  readonly clock: Clock;
  make(spec: ShelfSpec): Shelf | undefined;
  bound(source: Exchange, destination: Destination): void;
}

/** What the virtual host has to say about its exchanges. */
export interface ExchangeRules {
  /** Throws when there must not be one more. */
  checkNewExchange(name: string): void;
  readonly shelves: ShelfKeeper;
  policyFor(subject: PolicySubject): EffectivePolicy;
}

const predeclared = [
  ["amq.direct", "direct", false],
  ["amq.fanout", "fanout", false],
  ["amq.topic", "topic", false],
  ["amq.headers", "headers", false],
  ["amq.match", "headers", false],
  ["amq.rabbitmq.trace", "topic", true],
] as const;

const DEFAULT_EXCHANGE = "";
const NO_ARGUMENTS: FieldTable = new Map();

/** Every queue is bound to the default exchange by its name: it asks for the queue instead of keeping bindings. */
function defaultExchangeType(findQueue: (name: string) => Destination | undefined): ExchangeType {
  const none: readonly Destination[] = [];
  return {
    name: "direct",
    createMatcher: () => ({
      usesHeaders: false,
      add: () => undefined,
      remove: () => undefined,
      match: (routingKey) => {
        const queue = findQueue(routingKey);
        return queue === undefined ? none : [queue];
      },
    }),
  };
}

export class Exchanges {
  /** Raised by every change of exchanges and bindings; queues raise it too when they come and go. */
  generation = 0;
  readonly #vhost: string;
  readonly #byName = new Map<string, Exchange>();
  /** The exchanges in which a destination is bound, so that its end needs no search through all of them. */
  readonly #sources = new Map<Destination, Set<Exchange>>();

  readonly #recorder: TopologyRecorder;
  readonly #rules: ExchangeRules;

  constructor(
    vhost: string,
    findQueue: (name: string) => Destination | undefined,
    recorder: TopologyRecorder,
    rules: ExchangeRules,
  ) {
    this.#vhost = vhost;
    this.#recorder = recorder;
    this.#rules = rules;
    const spec = {
      durable: true,
      autoDelete: false,
      arguments: NO_ARGUMENTS,
      alternateExchange: undefined,
      shelf: undefined,
      clock: rules.shelves.clock,
    };
    this.#byName.set(
      DEFAULT_EXCHANGE,
      new Exchange({
        ...spec,
        name: DEFAULT_EXCHANGE,
        type: defaultExchangeType(findQueue),
        internal: false,
      }),
    );
    for (const [name, type, internal] of predeclared) {
      this.#byName.set(
        name,
        new Exchange({ ...spec, name, type: exchangeTypes.get(type)!, internal }),
      );
    }
    this.policiesChanged();
  }

  find(name: string): Exchange | undefined {
    return this.#byName.get(name);
  }

  /** The exchange, or NOT_FOUND. */
  get(name: string): Exchange {
    const exchange = this.#byName.get(name);
    if (exchange === undefined)
      throw new AmqpError("NOT_FOUND", `no ${exchangeIn(this.#vhost, name)}`);
    return exchange;
  }

  all(): Iterable<Exchange> {
    return this.#byName.values();
  }

  get count(): number {
    return this.#byName.size;
  }

  /**
   * Declares an exchange, or checks that the one that exists is equivalent [exchange.declare]; by whoever has `access`, or
   * by the broker itself.
   */
  declare(declaration: ExchangeDeclaration, access?: Access): Exchange {
    const type = exchangeTypes.get(declaration.type);
    if (type === undefined) {
      throw new AmqpError("PRECONDITION_FAILED", `unknown exchange type '${declaration.type}'`);
    }
    const name = stripLineEnds(declaration.name);
    this.#checkNotDefault(name);
    access?.check("configure", "exchange", name);
    const existing = this.#byName.get(name);
    if (existing !== undefined) {
      this.#checkEquivalent(existing, declaration);
      return existing;
    }
    checkReservedPrefix("exchange", name);
    const alternateExchange = this.#alternateExchange(name, declaration.arguments);
    if (alternateExchange !== undefined) {
      access?.check("read", "exchange", name);
      access?.check("write", "exchange", alternateExchange);
    }
    type.validate?.(declaration.arguments);
    if (access !== undefined) this.#rules.checkNewExchange(name);
    const { shelves } = this.#rules;
    const shelf = shelves.make({ ...declaration, name, type });
    const exchange = new Exchange({
      ...declaration,
      ...{ name, type, alternateExchange, shelf, clock: shelves.clock },
    });
    if (exchange.durable) this.#recorder.record(exchangeEntry(this.#vhost, exchange));
    this.#applyPolicy(exchange);
    this.#byName.set(name, exchange);
    this.generation++;
    return exchange;
  }

  policyOf({ name }: Exchange): EffectivePolicy {
    return this.#rules.policyFor({ kind: "exchange", name });
  }

  /** Policies are not what they were: exchanges go by what applies to them now. */
  policiesChanged(): void {
    this.generation++;
    for (const exchange of this.#byName.values()) this.#applyPolicy(exchange);
  }

  /** An argument counts before a policy, and the default exchange has no other. */
  #applyPolicy(exchange: Exchange): void {
    if (exchange.name === DEFAULT_EXCHANGE || exchange.arguments.has("alternate-exchange")) return;
    const alternate = this.policyOf(exchange).definition["alternate-exchange"];
    exchange.alternateExchange = typeof alternate === "string" ? alternate : undefined;
  }

  #checkNotDefault(name: string): void {
    if (name === DEFAULT_EXCHANGE) {
      throw new AmqpError("ACCESS_REFUSED", "operation not permitted on the default exchange");
    }
  }

  #alternateExchange(name: string, args: FieldTable): string | undefined {
    const alternate = args.get("alternate-exchange");
    if (alternate === undefined) return undefined;
    if (alternate.type === "S") return valueText(alternate);
    throw new AmqpError(
      "PRECONDITION_FAILED",
      `invalid type '${typeName(alternate)}' for arg 'alternate-exchange' in ${exchangeIn(this.#vhost, name)}`,
    );
  }

  #checkEquivalent(existing: Exchange, declaration: ExchangeDeclaration): void {
    const of = exchangeIn(this.#vhost, existing.name);
    const properties = [
      ["type", erlangAtom(declaration.type), erlangAtom(existing.type.name)],
      ["durable", declaration.durable, existing.durable],
      ["auto_delete", declaration.autoDelete, existing.autoDelete],
      ["internal", declaration.internal, existing.internal],
    ] as const;
    for (const [property, received, current] of properties) {
      if (received !== current)
        throw inequivalent(
          property,
          of,
          `received '${received}' but current is '${current}'`,
          existing.arguments,
        );
    }
    checkEquivalence("alternate-exchange", declaration.arguments, existing.arguments, of);
  }

  /** Deletes an exchange and its bindings; one that does not exist is as good as deleted [exchange.delete]. */
  delete(givenName: string, ifUnused: boolean, access?: Access): void {
    const name = stripLineEnds(givenName);
    this.#checkNotDefault(name);
    if (name.startsWith("amq.")) {
      throw new AmqpError(
        "ACCESS_REFUSED",
        `deletion of system ${exchangeIn(this.#vhost, name)} not allowed`,
      );
    }
    access?.check("configure", "exchange", name);
    const exchange = this.#byName.get(name);
    if (exchange === undefined) return;
    if (ifUnused && !exchange.isUnused) {
      throw new AmqpError("PRECONDITION_FAILED", `${exchangeIn(this.#vhost, name)} in use`);
    }
    this.#remove(exchange, "record");
  }

  #remove(exchange: Exchange, how: keyof TopologyRecorder): void {
    const entry: TopologyEntry = {
      op: "delete-exchange",
      vhost: this.#vhost,
      name: exchange.name,
    };
    if (exchange.durable) this.#recorder[how](entry);
    this.#byName.delete(exchange.name);
    for (const { destination } of exchange.bindings) this.#noLongerSource(exchange, destination);
    exchange.shelf?.discard();
    this.forget(exchange);
  }

  /** Binds, which changes nothing when there is such a binding already [queue.bind, exchange.bind]. */
  bind(sourceName: string, destination: Destination, routingKey: string, args: FieldTable): void {
    const source = this.named(sourceName);
    source.type.validateBinding?.(routingKey, args, destination, source.arguments);
    if (source.isBound(destination, routingKey, args)) return;
    this.#recordBinding("bind", source, destination, { routingKey, arguments: args });
    source.bind(destination, routingKey, args);
    let sources = this.#sources.get(destination);
    if (sources === undefined) {
      sources = new Set();
      this.#sources.set(destination, sources);
    }
    sources.add(source);
    this.generation++;
    this.#rules.shelves.bound(source, destination);
  }

  /** Whether there is such a binding. */
  isBound(
    sourceName: string,
    destination: Destination,
    routingKey: string,
    args: FieldTable,
  ): boolean {
    this.#checkNotDefault(sourceName);
    return (
      this.#byName.get(stripLineEnds(sourceName))?.isBound(destination, routingKey, args) ?? false
    );
  }

  /** An exchange other than the default: NOT_FOUND when it is missing, ACCESS_REFUSED for the default one. */
  named(name: string): Exchange {
    this.#checkNotDefault(name);
    return this.get(stripLineEnds(name));
  }

  /** Unbinds; neither the binding nor its source need exist [queue.unbind, exchange.unbind]. */
  unbind(sourceName: string, destination: Destination, routingKey: string, args: FieldTable): void {
    this.#checkNotDefault(sourceName);
    const source = this.#byName.get(stripLineEnds(sourceName));
    if (source === undefined || !source.isBound(destination, routingKey, args)) return;
    this.#recordBinding("unbind", source, destination, { routingKey, arguments: args });
    source.unbind(destination, routingKey, args);
    if (!source.leadsTo(destination)) this.#noLongerSource(source, destination);
    this.generation++;
    this.#afterUnbind(source);
  }

  #noLongerSource(source: Exchange, destination: Destination): void {
    const sources = this.#sources.get(destination);
    sources?.delete(source);
    if (sources?.size === 0) this.#sources.delete(destination);
  }

  #recordBinding(
    op: "bind" | "unbind",
    source: Exchange,
    destination: Destination,
    how: Pick<BindingEnds, "routingKey" | "arguments">,
  ): void {
    if (!source.persists || !destination.persists) return;
    this.#recorder.record(
      bindingEntry(op, this.#vhost, { ...how, source: source.name, destination }),
    );
  }

  /** An entry for every durable exchange that was declared. */
  *entries(): Iterable<TopologyEntry> {
    for (const exchange of this.#byName.values()) {
      if (
        exchange.durable &&
        exchange.name !== DEFAULT_EXCHANGE &&
        !exchange.name.startsWith("amq.")
      )
        yield exchangeEntry(this.#vhost, exchange);
    }
  }

  /** An entry for every durable binding. */
  *bindingEntries(): Iterable<TopologyEntry> {
    for (const { bindings, persists } of this.#byName.values()) {
      if (!persists) continue;
      for (const binding of bindings) {
        if (!binding.destination.persists) continue;
        yield bindingEntry("bind", this.#vhost, { ...binding, source: binding.source.name });
      }
    }
  }

  /** An auto-delete exchange goes with its last binding. */
  #afterUnbind(source: Exchange): void {
    if (source.autoDelete && source.isUnused && this.#byName.get(source.name) === source)
      this.#remove(source, "note");
  }

  /** Removes every binding to a destination that is gone. */
  forget(destination: Destination): void {
    this.generation++;
    const sources = this.#sources.get(destination);
    this.#sources.delete(destination);
    for (const source of sources ?? []) {
      if (source.unbindDestination(destination)) this.#afterUnbind(source);
    }
  }
}
