/**
 * Exchanges and their bindings.
 *
 * An exchange knows which bindings it has and leaves to its matcher, which depends on its type, which of them a message
 * takes. It does not know queues: whatever can be bound is a `Destination`.
 */

import { ByteWriter } from "../amqp/byte-writer.ts";
import { type FieldTable, writeTable } from "../amqp/field-table.ts";
import type { DecodableProperty } from "../amqp/properties.ts";
import type { Clock } from "../clock.ts";

/** What a binding leads to: a queue, or another exchange. And what an exchange leads to by itself: its shelf. */
export interface Destination {
  readonly kind: "queue" | "exchange" | "shelf";
  readonly name: string;
  /** Whether it outlives the process; a binding does when both its ends do. */
  readonly persists: boolean;
  /** Of a queue, where that matters to an exchange type. */
  readonly queueType?: string;
}

/** Where an exchange keeps messages that are in no queue, or not yet; made by whoever has the exchanges. */
export interface Shelf extends Destination {
  readonly kind: "shelf";
  /** How many messages it keeps. */
  readonly length: number;
  /** Lets go of all of them: the exchange is gone. */
  discard(): void;
}

/** What a message is routed by. */
export interface Routable {
  readonly routingKey: string;
  /** Decoded when asked for: only headers exchanges and their like need them. */
  decodeHeaders(): FieldTable;
  /** A property as text, a timestamp in decimal digits; undefined when the message has none. */
  decodeProperty(name: DecodableProperty): string | undefined;
  /** Asks for a copy on the shelf, wherever else the message goes: that counts as no destination. */
  remember(shelf: Shelf): void;
}

export interface Binding {
  readonly source: Exchange;
  readonly destination: Destination;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

/** The routing of one exchange: holds its bindings in the shape in which they are found fast. */
export interface Matcher {
  add(binding: Binding): void;
  remove(binding: Binding): void;
  /** Whether the answer depends on more than the routing key and the bindings. */
  readonly usesHeaders: boolean;
  /** The destinations that a message with this key takes, each once. The array belongs to the matcher. */
  match(routingKey: string, message: Routable): readonly Destination[];
  /** The same for a message with several keys, where the answer is not what each key takes. */
  matchKeys?(routingKeys: readonly string[], message: Routable): readonly Destination[];
}

/** What a matcher may need besides bindings. */
export interface MatcherContext {
  /** There is one for a type that keeps messages. */
  readonly shelf: Shelf | undefined;
  readonly clock: Clock;
}

/** One row of the table of exchange types. */
export interface ExchangeType {
  readonly name: string;
  /** What its exchanges keep on a shelf: messages until they are due, or the last ones. */
  readonly keeps?: "delayed" | "recent";
  /** For an exchange with these arguments, which are valid. */
  createMatcher(args: FieldTable, context: MatcherContext): Matcher;
  /** Throws an `AmqpError` when an exchange cannot have such arguments. */
  validate?(args: FieldTable): void;
  /** Throws an `AmqpError` when such a binding cannot be made to an exchange with these arguments. */
  validateBinding?(
    routingKey: string,
    args: FieldTable,
    destination: Destination,
    exchangeArgs: FieldTable,
  ): void;
}

export interface ExchangeSpec extends MatcherContext {
  readonly name: string;
  readonly type: ExchangeType;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: FieldTable;
  /** Where messages go that find no destination here; need not exist. */
  readonly alternateExchange: string | undefined;
}

export class Exchange implements Destination {
  readonly kind = "exchange";
  readonly name: string;
  readonly type: ExchangeType;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: FieldTable;
  /** As `ExchangeSpec` has it; a policy can change it. */
  alternateExchange: string | undefined;
  readonly matcher: Matcher;
  readonly shelf: Shelf | undefined;
  /** Messages that clients have published here, and the queues that took them, as counts that only grow. */
  publishedIn = 0;
  publishedOut = 0;
  /** Bindings of which this exchange is the source. */
  readonly #bindings = new Map<string, Binding>();
  /** The same by their destinations, so that the end of one needs no search. */
  readonly #byDestination = new Map<Destination, Set<Binding>>();
  #exchangeDestinations = 0;

  constructor(spec: ExchangeSpec) {
    this.name = spec.name;
    this.type = spec.type;
    this.durable = spec.durable;
    this.autoDelete = spec.autoDelete;
    this.internal = spec.internal;
    this.arguments = spec.arguments;
    this.alternateExchange = spec.alternateExchange;
    this.shelf = spec.shelf;
    this.matcher = spec.type.createMatcher(spec.arguments, spec);
  }

  get persists(): boolean {
    return this.durable;
  }

  get bindings(): Iterable<Binding> {
    return this.#bindings.values();
  }

  get isUnused(): boolean {
    return this.#bindings.size === 0;
  }

  /** Whether a message may go on from here to other exchanges. */
  get leadsToExchanges(): boolean {
    return this.#exchangeDestinations > 0;
  }

  /** Whether the queues of a message depend on nothing but this exchange's bindings and the routing key. */
  get routesByKeyAlone(): boolean {
    return (
      !this.matcher.usesHeaders && !this.leadsToExchanges && this.alternateExchange === undefined
    );
  }

  /** Adds a binding; false when there is one with the same destination, key and arguments already. */
  bind(destination: Destination, routingKey: string, args: FieldTable): boolean {
    const key = bindingKey(destination, routingKey, args);
    if (this.#bindings.has(key)) return false;
    const binding = { source: this, destination, routingKey, arguments: args };
    this.#bindings.set(key, binding);
    const siblings = this.#byDestination.get(destination);
    if (siblings === undefined) this.#byDestination.set(destination, new Set([binding]));
    else siblings.add(binding);
    if (destination.kind === "exchange") this.#exchangeDestinations++;
    this.matcher.add(binding);
    return true;
  }

  isBound(destination: Destination, routingKey: string, args: FieldTable): boolean {
    return this.#bindings.has(bindingKey(destination, routingKey, args));
  }

  /** Whether there is any binding to it. */
  leadsTo(destination: Destination): boolean {
    return this.#byDestination.has(destination);
  }

  /** Removes a binding; false when there was none. */
  unbind(destination: Destination, routingKey: string, args: FieldTable): boolean {
    const key = bindingKey(destination, routingKey, args);
    const binding = this.#bindings.get(key);
    if (binding === undefined) return false;
    this.#bindings.delete(key);
    const siblings = this.#byDestination.get(binding.destination)!;
    siblings.delete(binding);
    if (siblings.size === 0) this.#byDestination.delete(binding.destination);
    if (binding.destination.kind === "exchange") this.#exchangeDestinations--;
    this.matcher.remove(binding);
    return true;
  }

  /** Removes every binding to a destination that is going away; returns whether there was one. */
  unbindDestination(destination: Destination): boolean {
    const bindings = this.#byDestination.get(destination);
    if (bindings === undefined) return false;
    for (const { routingKey, arguments: args } of [...bindings])
      this.unbind(destination, routingKey, args);
    return true;
  }
}

/** Arguments belong to a binding's identity, whatever their order. */
function bindingKey(destination: Destination, routingKey: string, args: FieldTable): string {
  // With the lengths, so that no character in a name can pass for the end of it.
  const { kind, name } = destination;
  const key = `${kind} ${name.length} ${routingKey.length} ${name}${routingKey}`;
  if (args.size === 0) return key;
  const writer = new ByteWriter();
  writeTable(writer, new Map([...args].sort(([a], [b]) => (a < b ? -1 : 1))));
  return `${key}\0${writer.bytes().toString("latin1")}`;
}
