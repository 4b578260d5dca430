/**
 * The queues of a virtual host: declaring, finding and deleting them, and who may touch an exclusive one.
 */

import { AmqpError } from "../amqp/errors.ts";
import { type FieldTable, longstr } from "../amqp/field-table.ts";
import { typeName, valueText } from "../amqp/type-names.ts";
import { Queue, type QueueContext } from "../queue/queue.ts";
import {
  checkArgumentsEquivalence,
  inequivalent,
  type QueueSettings,
  queueSettings,
} from "../queue/settings.ts";
import type { Access } from "./access.ts";
import type { EffectivePolicy } from "./effective-policy.ts";
import { checkReservedPrefix, generateName, queueIn, stripLineEnds } from "./names.ts";
import type { PolicySubject } from "./policies.ts";
import { settingsUnderPolicy } from "./policy-settings.ts";
import { queueEntry, type TopologyEntry, type TopologyRecorder } from "./topology.ts";

export interface QueueDeclaration {
  /** Empty: the broker chooses. */
  readonly name: string;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly arguments: FieldTable;
}

/** What the virtual host has to say about its queues. */
export interface QueueRules {
  /** For those that are declared without a type; undefined leaves it at that. */
  readonly defaultQueueType: string | undefined;
  /** Throws when there must not be one more. */
  checkNewQueue(name: string): void;
  /** A queue that was there before the restart has arguments that are not valid any more: they are ignored. */
  argumentsIgnored(queue: string, errors: readonly string[]): void;
  policyFor(subject: PolicySubject): EffectivePolicy;
}

const NO_ARGUMENTS: FieldTable = new Map();
/** Values of x-queue-type that are as good as none [RabbitMQ]. */
const NO_TYPE = ["", "undefined"];

/** The client may say how a name made by the server begins. */
const NAME_PREFIX = "x-name-prefix";
const NAME_PREFIX_BYTES_MAX = 64;

function generatedPrefix(args: FieldTable): string {
  const given = args.get(NAME_PREFIX);
  if (given?.type !== "S") return "amq.gen-";
  const prefix = stripLineEnds(valueText(given));
  if (given.value.length > NAME_PREFIX_BYTES_MAX) {
    throw new AmqpError(
      "PRECONDITION_FAILED",
      `Queue name prefix '${prefix}' exceeds the ${NAME_PREFIX_BYTES_MAX}-byte limit`,
    );
  }
  checkReservedPrefix("queue", prefix);
  return `${prefix}-`;
}

/** Whether the queue is to be durable: an exclusive one never is, and may be declared either way [RabbitMQ]. */
function outlivesConnection({ durable, exclusive }: QueueDeclaration): boolean {
  return durable && !exclusive;
}

function isSame(a: QueueSettings, b: QueueSettings): boolean {
  return Object.entries(a).every(([name, value]) => b[name as keyof QueueSettings] === value);
}

export class Queues {
  readonly #vhost: string;
  readonly #context: QueueContext;
  readonly #byName = new Map<string, Queue>();
  readonly #replyQueues = new Map<string, Queue>();
  /** Of each connection, the queues that go with it. */
  readonly #exclusive = new Map<object, Set<Queue>>();
  #nextId = 1;

  readonly #recorder: TopologyRecorder;
  readonly #rules: QueueRules;

  constructor(vhost: string, context: QueueContext, recorder: TopologyRecorder, rules: QueueRules) {
    this.#vhost = vhost;
    this.#recorder = recorder;
    this.#context = context;
    this.#rules = rules;
  }

  /** How many clients have declared. */
  get count(): number {
    return this.#byName.size;
  }

  find(name: string): Queue | undefined {
    return this.#byName.get(name);
  }

  /** The queue, for a connection that may use it: NOT_FOUND, or RESOURCE_LOCKED when it is another's alone. */
  get(name: string, connection: object): Queue {
    const queue = this.#byName.get(name);
    if (queue === undefined) throw new AmqpError("NOT_FOUND", `no ${queueIn(this.#vhost, name)}`);
    this.checkAccess(queue, connection);
    return queue;
  }

  /** Throws RESOURCE_LOCKED when the queue is exclusive to another connection. */
  checkAccess(queue: Queue, connection: object): void {
    if (queue.exclusiveOwner !== undefined && queue.exclusiveOwner !== connection)
      throw this.#locked(queue.name);
  }

  #locked(name: string): AmqpError {
    return new AmqpError(
      "RESOURCE_LOCKED",
      `cannot obtain exclusive access to locked ${queueIn(this.#vhost, name)}. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.`,
    );
  }

  /**
   * Declares a queue, or checks that the one that exists is equivalent [queue.declare]; tells whether it is new. `access` is
   * that of the user whose connection it is.
   */
  declare(
    given: QueueDeclaration,
    connection: object,
    access: Access,
  ): { queue: Queue; created: boolean } {
    const givenName = stripLineEnds(given.name);
    // Even the own server-named queue cannot be declared again but passively [RabbitMQ].
    checkReservedPrefix("queue", givenName);
    const name = givenName === "" ? generateName(generatedPrefix(given.arguments)) : givenName;
    access.check("configure", "queue", name);
    const declaration = this.#withType(given);
    const existing = this.#byName.get(name);
    if (existing !== undefined) {
      this.#checkEquivalent(existing, declaration, connection);
      existing.use();
      return { queue: existing, created: false };
    }
    this.#checkDeadLetters(name, declaration.arguments, access);
    return { queue: this.#create(name, declaration, connection), created: true };
  }

  /** With the virtual host's type where none was given, as far as that can hold any queue [RabbitMQ: default queue type]. */
  #withType(declaration: QueueDeclaration): QueueDeclaration {
    const { durable, exclusive, autoDelete, arguments: given } = declaration;
    const type = given.get("x-queue-type");
    if (type !== undefined && !(type.type === "S" && NO_TYPE.includes(valueText(type))))
      return declaration;
    const { defaultQueueType } = this.#rules;
    const isEligible = durable && !exclusive && !autoDelete;
    if (type === undefined && !(isEligible && defaultQueueType !== undefined)) return declaration;
    const args = new Map(given);
    args.delete("x-queue-type");
    if (isEligible && defaultQueueType !== undefined)
      args.set("x-queue-type", longstr(defaultQueueType));
    return { ...declaration, arguments: args };
  }

  /** Who has dead letters published must be allowed to read the one and to write to the other [RabbitMQ]. */
  #checkDeadLetters(name: string, args: FieldTable, access: Access): void {
    const exchange = args.get("x-dead-letter-exchange");
    if (exchange === undefined) return;
    if (exchange.type !== "S") {
      throw new AmqpError(
        "PRECONDITION_FAILED",
        `invalid type '${typeName(exchange)}' for arg 'x-dead-letter-exchange' in ${queueIn(this.#vhost, name)}`,
      );
    }
    access.check("read", "queue", name);
    access.check("write", "exchange", valueText(exchange));
  }

  #create(name: string, declaration: QueueDeclaration, connection: object): Queue {
    const settings = queueSettings(declaration.arguments, queueIn(this.#vhost, name));
    if (settings.type === "quorum") this.#checkQuorum(name, declaration);
    this.#rules.checkNewQueue(name);
    const exclusiveOwner = declaration.exclusive ? connection : undefined;
    const { autoDelete, arguments: args } = declaration;
    const durable = outlivesConnection(declaration);
    const spec = { id: this.#nextId, name, durable, autoDelete, exclusiveOwner, arguments: args };
    if (durable && exclusiveOwner === undefined)
      this.#recorder.record(queueEntry(this.#vhost, spec));
    this.#nextId++;
    const { definition } = this.#rules.policyFor({ kind: "queue", name, type: settings.type });
    const underPolicy = settingsUnderPolicy(settings, args, definition);
    const queue = new Queue({ ...spec, settings: underPolicy }, this.#context);
    this.#byName.set(name, queue);
    if (exclusiveOwner !== undefined) this.#own(exclusiveOwner, queue);
    return queue;
  }

  /** A queue that was there before the restart, under the id that it had. What it was declared with cannot keep it away. */
  restore(id: number, name: string, autoDelete: boolean, args: FieldTable): void {
    const errors: string[] = [];
    const settings = queueSettings(args, queueIn(this.#vhost, name), ({ message }) =>
      errors.push(message),
    );
    if (errors.length > 0) this.#rules.argumentsIgnored(name, errors);
    const spec = {
      id,
      name,
      durable: true,
      autoDelete,
      exclusiveOwner: undefined,
      arguments: args,
    };
    const queue = new Queue({ ...spec, settings }, this.#context);
    this.#byName.set(name, queue);
    this.reserveIds(id + 1);
    const { definition, ttlSinceMs } = this.policyOf(queue);
    queue.apply(settingsUnderPolicy(settings, args, definition), ttlSinceMs);
  }

  policyOf({ name, settings }: Queue): EffectivePolicy {
    return this.#rules.policyFor({ kind: "queue", name, type: settings.type });
  }

  /** Policies are not what they were: queues go by what applies to them now. Those for which that is something else. */
  policiesChanged(): Queue[] {
    const changed: Queue[] = [];
    for (const queue of [...this.#byName.values()]) {
      const of = queueIn(this.#vhost, queue.name);
      // What is not valid any more was ignored when the queue came back.
      const ofArguments = queueSettings(queue.arguments, of, () => undefined);
      const { definition } = this.policyOf(queue);
      const settings = settingsUnderPolicy(ofArguments, queue.arguments, definition);
      if (isSame(settings, queue.settings)) continue;
      queue.apply(settings);
      changed.push(queue);
    }
    return changed;
  }

  /** An id for whoever holds messages as a queue does. */
  takeId(): number {
    return this.#nextId++;
  }

  /** Ids below `next` have been given out. */
  reserveIds(next: number): void {
    this.#nextId = Math.max(this.#nextId, next);
  }

  /** Entries for every queue that outlives the process, and for the ids that have been given out. */
  *entries(): Iterable<TopologyEntry> {
    yield { op: "ids", vhost: this.#vhost, next: this.#nextId };
    for (const queue of this.#byName.values()) {
      if (queue.persists) yield queueEntry(this.#vhost, queue);
    }
  }

  all(): Iterable<Queue> {
    return this.#byName.values();
  }

  /** A transient queue that nobody finds: messages reach it through the default exchange, by its name. */
  addReplyQueue(name: string): Queue {
    const settings = queueSettings(NO_ARGUMENTS, queueIn(this.#vhost, name));
    const spec = {
      id: this.#nextId++,
      name,
      durable: false,
      autoDelete: false,
      arguments: NO_ARGUMENTS,
    };
    const queue = new Queue({ ...spec, exclusiveOwner: undefined, settings }, this.#context);
    this.#replyQueues.set(name, queue);
    return queue;
  }

  removeReplyQueue(queue: Queue): void {
    this.#replyQueues.delete(queue.name);
  }

  hasReplyQueue(name: string): boolean {
    return this.#replyQueues.has(name);
  }

  /** What a message reaches by this name through the default exchange. */
  reach(name: string): Queue | undefined {
    return this.#byName.get(name) ?? this.#replyQueues.get(name);
  }

  /** A quorum queue is durable, shared and named. */
  #checkQuorum(name: string, declaration: QueueDeclaration): void {
    // In the order in which RabbitMQ looks.
    const refused = [
      ["auto-delete", declaration.autoDelete],
      ["exclusive-owner", declaration.exclusive],
      ["non-durable", !declaration.durable],
    ] as const;
    for (const [property, holds] of refused) {
      if (holds) {
        throw new AmqpError(
          "PRECONDITION_FAILED",
          `invalid property '${property}' for ${queueIn(this.#vhost, name)}`,
        );
      }
    }
    if (stripLineEnds(declaration.name) === "") {
      throw new AmqpError(
        "PRECONDITION_FAILED",
        "Cannot declare a server-named queue for type rabbit_quorum_queue",
      );
    }
  }

  #own(connection: object, queue: Queue): void {
    let owned = this.#exclusive.get(connection);
    if (owned === undefined) {
      owned = new Set();
      this.#exclusive.set(connection, owned);
    }
    owned.add(queue);
  }

  #checkEquivalent(existing: Queue, declaration: QueueDeclaration, connection: object): void {
    const owner = declaration.exclusive ? connection : undefined;
    if (existing.exclusiveOwner !== owner) throw this.#locked(existing.name);
    const of = queueIn(this.#vhost, existing.name);
    const properties = [
      ["durable", outlivesConnection(declaration), existing.durable],
      ["auto_delete", declaration.autoDelete, existing.autoDelete],
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
    checkArgumentsEquivalence(declaration.arguments, existing.arguments, of);
  }

  /** Takes a queue out; its end itself is the caller's. Unless it goes of itself, its removal can be refused. */
  remove(queue: Queue, ofItself: boolean): void {
    const entry: TopologyEntry = { op: "delete-queue", vhost: this.#vhost, name: queue.name };
    if (queue.persists) this.#recorder[ofItself ? "note" : "record"](entry);
    this.#byName.delete(queue.name);
    if (queue.exclusiveOwner !== undefined)
      this.#exclusive.get(queue.exclusiveOwner)?.delete(queue);
  }

  /** The queues that go with a connection that has ended; they are no longer its own after the call. */
  takeExclusive(connection: object): Iterable<Queue> {
    const owned = this.#exclusive.get(connection) ?? new Set();
    this.#exclusive.delete(connection);
    return [...owned];
  }
}
