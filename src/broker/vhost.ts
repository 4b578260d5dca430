/**
 * A virtual host: exchanges and queues that see each other and nobody else, and the way of a message between them.
 *
 * Routing chooses the queues, the store takes the message once, every queue gets its position. Dead letters take the same
 * way. It knows connections only as the owners of exclusive queues.
 */

import { AmqpError } from "../amqp/errors.ts";
import type { FieldTable } from "../amqp/field-table.ts";
import { messageBytes, StoredMessage, standingAt, writeMessage } from "../amqp/stored-message.ts";
import type { Clock } from "../clock.ts";
import { deduplicationKey } from "../exchange/deduplication-key.ts";
import type { Destination } from "../exchange/exchange.ts";
import { type FindExchange, route, routeKeys } from "../exchange/route.ts";
import type { Log } from "../log.ts";
import { ChannelCounts, QueueCounts } from "../queue/counts.ts";
import type { DeadLetterReason, Queue, QueueOwner } from "../queue/queue.ts";
import { entryBits } from "../queue/ready.ts";
import { losesNoDeadLetters, settingsAdvice } from "../queue/settings.ts";
import { isDiskError } from "../store/disk.ts";
import type { ReceiveRun, RecoveredRun } from "../store/journal-recovery.ts";
import type { Holder, MessageStore } from "../store/message-store.ts";
import type { Turn } from "../turn.ts";
import type { Access } from "./access.ts";
import type { Churn } from "./churn.ts";
import { DeadLetters } from "./dead-letters.ts";
import {
  type EffectivePolicy,
  effectivePolicy,
  type PolicyRegistries,
} from "./effective-policy.ts";
import { type ExchangeRules, Exchanges } from "./exchanges.ts";
import { Firehose } from "./firehose.ts";
import { KnownRoutings } from "./known-routings.ts";
import type { Counted, ObjectLimits, VirtualHostLimits } from "./limits.ts";
import { queueIn } from "./names.ts";
import type { PolicySubject } from "./policies.ts";
import type { Publication } from "./publication.ts";
import { type QueueDeclaration, type QueueRules, Queues } from "./queues.ts";
import { ReadRetries } from "./read-retries.ts";
import { restoreEntry } from "./restore.ts";
import { type Receiver, Shelves } from "./shelves.ts";
import { forgetful, type TopologyEntry, type TopologyRecorder } from "./topology.ts";
import { noProperties, type VirtualHostProperties } from "./virtual-hosts.ts";

export interface VirtualHostContext {
  readonly store: MessageStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly turn: Turn;
  /** What the broker is called. */
  readonly nodeName: string;
  readonly objectLimits: ObjectLimits;
  readonly churn: Churn;
  readonly policies: PolicyRegistries;
}

/** One for all: a message that passes is gone when the next one comes. */
const passing = new StoredMessage();

/** A message's label in the store is the bits of its entry and, above these, its priority. */
const LABEL_PRIORITY = 2 ** 32;

const NO_QUEUES: readonly Queue[] = [];

/** Whether a message is to outlive the process in this queue, or others like it are to be kept away. */
function mustStore(publication: Publication, queue: Queue): boolean {
  return (
    queue.unique !== undefined || (queue.persists && (publication.persistent || queue.isQuorum))
  );
}

/** Whether it keeps messages over a restart whatever their delivery mode. */
function keepsAll(receiver: Receiver): boolean {
  return receiver.kind === "shelf" || receiver.isQuorum;
}

export class VirtualHost implements QueueOwner, QueueRules, ExchangeRules, Counted {
  readonly name: string;
  readonly exchanges: Exchanges;
  readonly queues: Queues;
  readonly shelves: Shelves;
  readonly store: MessageStore;
  readonly clock: Clock;
  properties: VirtualHostProperties = noProperties;
  /** Whether messages are traced: asked for each of them, before anything is told to the firehose. Not kept [RabbitMQ]. */
  tracing = false;
  readonly firehose: Firehose;
  readonly #log: Log;
  readonly #objectLimits: ObjectLimits;
  readonly #churn: Churn;
  /** What channels have counted that are closed now. */
  readonly closedChannels = new ChannelCounts();
  /** What queues have counted that are gone now, by their type. */
  readonly goneQueues = { classic: new QueueCounts(), quorum: new QueueCounts() };
  readonly #policies: PolicyRegistries;
  readonly #readRetries: ReadRetries;
  readonly #deadLetters: DeadLetters;
  readonly #knownRoutings = new WeakMap<Access, KnownRoutings>();
  #recorder: TopologyRecorder = forgetful;
  readonly #findExchange: FindExchange = (name) => this.exchanges.find(name);

  constructor(name: string, context: VirtualHostContext) {
    this.name = name;
    this.store = context.store;
    this.clock = context.clock;
    this.#log = context.log;
    this.#objectLimits = context.objectLimits;
    this.#churn = context.churn;
    this.#policies = context.policies;
    const recorder: TopologyRecorder = {
      record: (entry) => this.#recorder.record(entry),
      note: (entry) => this.#recorder.note(entry),
    };
    this.queues = new Queues(
      name,
      { store: context.store, clock: context.clock, owner: this },
      recorder,
      this,
    );
    this.shelves = new Shelves(this, context.log, context.turn);
    this.exchanges = new Exchanges(name, (queue) => this.queues.reach(queue), recorder, this);
    this.firehose = new Firehose(this, context.nodeName, context.turn, context.log);
    this.#readRetries = new ReadRetries(context.clock, context.log);
    this.#deadLetters = new DeadLetters({
      ...{ vhost: name, store: context.store, clock: context.clock },
      ...{ log: context.log, turn: context.turn, retries: this.#readRetries },
      findExchange: this.#findExchange,
      enqueue: (publication, queues) => this.enqueue(publication, queues),
    });
  }

  get limits(): VirtualHostLimits {
    return this.properties.limits;
  }

  get defaultQueueType(): string | undefined {
    return this.properties.defaultQueueType;
  }

  checkNewQueue(name: string): void {
    this.#objectLimits.checkNewQueue(this, name);
  }

  argumentsIgnored(queue: string, errors: readonly string[]): void {
    this.#log.warn(
      { vhost: this.name, queue, errors },
      `arguments of ${queueIn(this.name, queue)} are not valid and are ignored: ${errors.join("; ")}`,
    );
  }

  checkNewExchange(name: string): void {
    this.#objectLimits.checkNewExchange(this, name);
  }

  policyFor(subject: PolicySubject): EffectivePolicy {
    return effectivePolicy(this.#policies, this.name, subject);
  }

  /** Which policies apply to a queue or an exchange, and what they come to; undefined when it is not there. */
  effectivePolicy(kind: "queue" | "exchange", name: string): EffectivePolicy | undefined {
    if (kind === "queue") {
      const queue = this.queues.find(name);
      return queue && this.queues.policyOf(queue);
    }
    const exchange = this.exchanges.find(name);
    return exchange && this.exchanges.policyOf(exchange);
  }

  /** What exists goes by the policies as they are now. */
  policiesChanged(): void {
    this.exchanges.policiesChanged();
    for (const queue of this.queues.policiesChanged()) this.#advise(queue);
  }

  #advise(queue: Queue): void {
    const advice = settingsAdvice(queue.settings, queueIn(this.name, queue.name));
    if (advice !== undefined) this.#log.warn({ vhost: this.name, queue: queue.name }, advice);
  }

  /** From now on changes of what is durable are told. */
  recordTo(recorder: TopologyRecorder): void {
    this.#recorder = recorder;
  }

  /** Makes what an entry of the log says; what it refers to may have gone with a later entry. */
  restore(entry: TopologyEntry): void {
    restoreEntry(
      this.exchanges,
      this.queues,
      entry,
      (queue) => void this.#removeQueue(queue, true),
    );
  }

  /** Entries that say all that is durable now. */
  *entries(): Iterable<TopologyEntry> {
    yield* this.queues.entries();
    yield* this.exchanges.entries();
    yield* this.exchanges.bindingEntries();
  }

  /**
   * Gives queues back what they held before the restart. What was a deleted queue's is let go, unless it is to be kept because
   * the queue may be unknown for another reason. Returns how many there are of both.
   */
  recover(
    forEachRun: (receive: ReceiveRun) => void,
    keepsUnknown = false,
  ): { messages: number; unknown: number } {
    const byId = new Map<number, Receiver>();
    for (const queue of this.queues.all()) byId.set(queue.id, queue);
    for (const shelf of this.shelves.delayed()) byId.set(shelf.id, shelf);
    const orphans: RecoveredRun[] = [];
    let messages = 0;
    forEachRun((run) => {
      const { queueId, position, count, label, deliveries } = run;
      const receiver = byId.get(queueId);
      if (receiver === undefined) {
        orphans.push(run);
        return;
      }
      messages += count;
      if (receiver.kind === "shelf") {
        for (let at = 0; at < count; at++) receiver.recover(position + at, label);
        return;
      }
      const bits = label % LABEL_PRIORITY;
      const priority = Math.floor(label / LABEL_PRIORITY);
      for (let at = 0; at < count; at++)
        receiver.recover(position + at, bits, priority, deliveries);
    });
    // Not while the store goes through its messages.
    let unknown = 0;
    for (const { queueId, position, count } of orphans) {
      unknown += count;
      // A crash can take a queue's declaration and leave its messages: no later queue may find them.
      this.queues.reserveIds(queueId + 1);
      if (keepsUnknown) continue;
      const holder = { id: queueId, persists: true };
      this.store.forget(holder);
      for (let at = 0; at < count; at++) this.store.release(position + at, holder);
    }
    for (const receiver of byId.values()) {
      if (receiver.kind === "queue") receiver.recovered();
      else receiver.start();
    }
    return { messages, unknown };
  }

  /** A number that every change of what routes messages, or of who may publish them, raises. */
  get generation(): number {
    return this.exchanges.generation;
  }

  /** What somebody may do here is not what it was. */
  accessChanged(): void {
    this.exchanges.generation++;
  }

  /** Nothing happens here by itself any more. */
  stop(): void {
    this.#deadLetters.stop();
    this.#readRetries.stop();
    for (const queue of this.queues.all()) queue.stop();
    for (const shelf of this.shelves.delayed()) shelf.stop();
  }

  declareQueue(declaration: QueueDeclaration, connection: object, access: Access): Queue {
    const { queue, created } = this.queues.declare(declaration, connection, access);
    this.#churn.queueDeclared++;
    if (created) {
      this.#churn.queueCreated++;
      this.exchanges.generation++;
      this.#advise(queue);
    }
    return queue;
  }

  /** A queue for the replies to one consumer; its name leads there through the default exchange, and nothing else does. */
  addReplyQueue(name: string): Queue {
    this.exchanges.generation++;
    return this.queues.addReplyQueue(name);
  }

  removeReplyQueue(queue: Queue): void {
    this.queues.removeReplyQueue(queue);
    this.exchanges.forget(queue);
    queue.delete();
  }

  /** Deletes a queue with its messages and bindings; returns how many messages were ready [queue.delete]. */
  deleteQueue(queue: Queue, ifUnused: boolean, ifEmpty: boolean): number {
    if (queue.settings.type === "quorum") this.#checkNoConditions(queue, ifUnused, ifEmpty);
    if (ifEmpty && queue.readyCount > 0) {
      throw new AmqpError("PRECONDITION_FAILED", `${queueIn(this.name, queue.name)} not empty`);
    }
    if (ifUnused && queue.consumerCount > 0) {
      throw new AmqpError("PRECONDITION_FAILED", `${queueIn(this.name, queue.name)} in use`);
    }
    const readyCount = this.#removeQueue(queue, false);
    this.#churn.queueDeleted++;
    return readyCount;
  }

  #checkNoConditions(queue: Queue, ifUnused: boolean, ifEmpty: boolean): void {
    if (!ifUnused && !ifEmpty) return;
    const flag = ifUnused ? "if-unused" : "if-empty";
    throw new AmqpError(
      "NOT_IMPLEMENTED",
      `cannot delete ${queueIn(this.name, queue.name)}. queue.delete operations with ${flag} flag set are not supported by quorum queues`,
    );
  }

  #removeQueue(queue: Queue, ofItself: boolean): number {
    const { readyCount } = queue;
    this.queues.remove(queue, ofItself);
    this.exchanges.forget(queue);
    queue.delete();
    this.goneQueues[queue.settings.type].addQueue(queue.counts);
    this.#deadLetters.forget(queue);
    return readyCount;
  }

  bindQueue(queue: Queue, exchange: string, routingKey: string, args: FieldTable): void {
    this.exchanges.bind(exchange, queue, routingKey, args);
  }

  /** A connection has ended: its exclusive queues go. */
  connectionClosed(connection: object): void {
    for (const queue of this.queues.takeExclusive(connection)) this.#goneOfItself(queue);
  }

  queueUnused(queue: Queue): void {
    if (!queue.deleted) this.#goneOfItself(queue);
  }

  /**
   * As `Queue.take`. Throws PRECONDITION_FAILED when the disk does not give the message now: whoever gets it asks again, as what
   * consumers wait for is tried again.
   */
  take(queue: Queue, message: StoredMessage): ReturnType<Queue["take"]> {
    try {
      return queue.take(message);
    } catch (error) {
      if (!isDiskError(error)) throw error;
      const text = `the first message of ${queueIn(this.name, queue.name)} cannot be read now: ${error.message}`;
      throw new AmqpError("PRECONDITION_FAILED", text);
    }
  }

  unreadable(queue: Queue, error: unknown): void {
    this.#readRetries.later(queue, error);
  }

  #goneOfItself(queue: Queue): void {
    this.#removeQueue(queue, true);
    this.#churn.queueDeleted++;
  }

  /** Who takes a message by its routing key, or by several, each once. The array is not to be changed or kept. */
  route(publication: Publication, routingKeys?: readonly string[]): readonly Receiver[] {
    const { exchange } = publication;
    const found: readonly Destination[] =
      routingKeys === undefined
        ? route(exchange, publication, this.#findExchange)
        : routeKeys(exchange, routingKeys, publication, this.#findExchange);
    return found as readonly Receiver[];
  }

  /** What is remembered of the routes of a user's messages. */
  knownRoutings(access: Access): KnownRoutings {
    let known = this.#knownRoutings.get(access);
    if (known === undefined) {
      known = new KnownRoutings();
      this.#knownRoutings.set(access, known);
    }
    return known;
  }

  /** Whether a sync has to make it true that these have taken the message. */
  promisesSync(publication: Publication, receivers: readonly Receiver[]): boolean {
    for (const receiver of receivers)
      if (receiver.persists && (publication.persistent || keepsAll(receiver))) return true;
    return false;
  }

  /** Stores a message and hands it to those who take it, if any. False when a queue refused it because it is full. */
  enqueue(publication: Publication, receivers: readonly Receiver[]): boolean {
    const { bodyBytes, remembering } = publication;
    if (remembering.length > 0) this.shelves.remember(publication);
    let refusing = 0;
    let waiting = 0;
    let unique = 0;
    for (const receiver of receivers) {
      if (receiver.kind === "shelf") waiting++;
      else if (receiver.refuses(bodyBytes)) refusing++;
      else if (receiver.unique !== undefined) unique++;
    }
    let queues = receivers as readonly Queue[];
    if (waiting > 0) queues = this.#delay(publication, receivers);
    if (unique > 0) queues = this.#withoutDuplicates(publication, queues);
    if (refusing > 0) {
      this.#enqueueWhereAccepted(publication, queues);
      return false;
    }
    queues = this.#pass(publication, queues);
    if (queues.length > 0) this.#append(publication, queues);
    return true;
  }

  /** Hands a message to those who settle it at once, for whom it need not be stored; returns the queues that are left. */
  #pass(publication: Publication, queues: readonly Queue[]): readonly Queue[] {
    let passed = 0;
    let left: Queue[] | undefined;
    for (let at = 0; at < queues.length; at++) {
      const queue = queues[at]!;
      if (
        queue.passes &&
        !mustStore(publication, queue) &&
        (passed > 0 || passing.openPassing(publication.source)) &&
        queue.pass(passing)
      ) {
        if (passed === 0 && at > 0) left = queues.slice(0, at);
        passed++;
      } else if (passed > 0) {
        left ??= [];
        left.push(queue);
      }
    }
    return passed === 0 ? queues : (left ?? NO_QUEUES);
  }

  /** Those of the queues in which there is no other message with the same key; a full one refuses it anyhow. */
  #withoutDuplicates(publication: Publication, queues: readonly Queue[]): readonly Queue[] {
    const { bodyBytes } = publication;
    const key = deduplicationKey(publication.decodeHeaders());
    publication.deduplicationKey = key;
    return queues.filter((queue) => !queue.unique?.has(key) || queue.refuses(bodyBytes));
  }

  /** Puts a message where it has to wait; returns the queues that get it at once. */
  #delay(publication: Publication, receivers: readonly Receiver[]): readonly Queue[] {
    const queues: Queue[] = [];
    for (const receiver of receivers) {
      if (receiver.kind === "queue") queues.push(receiver);
      else this.shelves.delay(publication, receiver);
    }
    return queues;
  }

  #append(publication: Publication, queues: readonly Queue[]): void {
    const position = this.#store(publication, queues);
    const bits = entryBits(publication.bodyBytes, publication.entryFlags);
    const { priority } = publication.properties;
    // All have it before one of them, in which it expires at once or has no room, passes it on to another [RabbitMQ].
    const waits = queues.length > 1 && this.#deadLetters.pause();
    for (const queue of queues) {
      queue.unique?.add(position, publication.deduplicationKey);
      queue.enqueue(position, bits, priority);
    }
    if (waits) this.#deadLetters.resume();
  }

  #store(publication: Publication, holders: readonly Queue[]): number {
    const label =
      entryBits(publication.bodyBytes, publication.entryFlags) +
      publication.properties.priority * LABEL_PRIORITY;
    const persistent = publication.persistent || holders.some(keepsAll);
    return this.keep(publication, holders, persistent, label);
  }

  /** Stores a message as it is, for these holders; the label is what a restart will say of it. */
  keep(
    publication: Publication,
    holders: readonly Holder[],
    persistent: boolean,
    label: number,
  ): number {
    const { store } = this;
    const { source } = publication;
    const bytes = messageBytes(source, publication);
    const at = standingAt(source, bytes);
    const position = store.append(bytes, holders, persistent, label, at);
    const place = store.locate(position);
    writeMessage(place, place.offset, source, publication, this.clock.now());
    return position;
  }

  #enqueueWhereAccepted(publication: Publication, queues: readonly Queue[]): void {
    const { bodyBytes } = publication;
    const full = queues.filter((queue) => queue.refuses(bodyBytes));
    const accepting = queues.filter((queue) => !full.includes(queue));
    for (const queue of full) {
      if (
        queue.settings.overflow !== "reject-publish-dlx" ||
        queue.settings.deadLetterExchange === undefined
      )
        continue;
      const position = this.#store(publication, [queue]);
      this.deadLetter(queue, position, "maxlen");
    }
    if (accepting.length > 0) this.#append(publication, accepting);
  }

  deadLetter(queue: Queue, position: number, reason: DeadLetterReason): void {
    const isSafe = losesNoDeadLetters(queue.settings);
    queue.counts.died(reason, isSafe ? "at_least_once" : "at_most_once");
    this.#deadLetters.publish(queue, position, reason);
  }
}
