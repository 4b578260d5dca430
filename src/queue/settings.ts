/**
 * A queue's arguments: which there are, what they may hold, and what they come to.
 *
 * One row an argument; one more is one line here and the rule that uses it. Unknown arguments are kept, shown and ignored
 * [RabbitMQ].
 */

import { AmqpError } from "../amqp/errors.ts";
import { equivalentValues, integerValue } from "../amqp/field-equality.ts";
import type { FieldTable, FieldValue } from "../amqp/field-table.ts";
import { typeName, valueText } from "../amqp/type-names.ts";

export type Overflow = "drop-head" | "reject-publish" | "reject-publish-dlx";
export type DeadLetterStrategy = "at-most-once" | "at-least-once";
/** Of what comes back, what has to wait: what a client gave back, what it failed at, all or nothing. */
export type DelayedRetry = "disabled" | "all" | "failed" | "returned";
export const queueTypes = ["classic", "quorum"] as const;
export type QueueType = (typeof queueTypes)[number];

/** What the rules of a queue go by. Lengths count ready messages only; times are in milliseconds. */
export interface QueueSettings {
  type: QueueType;
  messageTtlMs: number | undefined;
  /** How long the queue may stay unused before it is deleted. */
  expiresMs: number | undefined;
  lengthMax: number;
  bodyBytesMax: number;
  overflow: Overflow;
  /** 0 when the queue has no priorities. */
  priorityMax: number;
  deadLetterExchange: string | undefined;
  deadLetterRoutingKey: string | undefined;
  /** What is asked for; `losesNoDeadLetters` says whether it can be had. */
  deadLetterStrategy: DeadLetterStrategy;
  singleActiveConsumer: boolean;
  /** How often a message of a quorum queue may come back; infinity is without limit. */
  deliveryLimit: number;
  delayedRetry: DelayedRetry;
  /** Milliseconds for each time that a message has come back, and in all. */
  retryDelayMinMs: number;
  retryDelayMaxMs: number;
  /** How long a delivery may stay unsettled; undefined leaves it to the broker's setting. */
  consumerTimeoutMs: number | undefined;
  /** Whether a message is kept out while another with the same deduplication header is in the queue. */
  deduplicates: boolean;
}

interface ArgumentRule {
  /** What is wrong with a value, as RabbitMQ's Erlang term shows it, or undefined; without it no value is. */
  readonly check?: (value: FieldValue, args: FieldTable) => string | undefined;
  readonly apply?: (settings: QueueSettings, value: FieldValue) => void;
  /** The queue types that know it; all when absent. */
  readonly types?: readonly QueueType[];
  /** A second declaration may have another value, as of arguments that RabbitMQ does not know as such. */
  readonly isFree?: boolean;
}

/** Ten years: no time in a queue's arguments may be longer [RabbitMQ]. */
const TIME_MS_MAX = 315_360_000_000;

/** Of a quorum queue that says nothing else [RabbitMQ 4]. */
const DELIVERY_LIMIT = 20;

/** Names and routing keys are shortstrs. */
const NAME_BYTES_MAX = 255;

function unacceptable(value: FieldValue): string {
  return `{unacceptable_type,${typeName(value)}}`;
}

function checkInteger(value: FieldValue): string | undefined {
  return integerValue(value) === undefined
    ? `"expected integer, got ${typeName(value)}"`
    : undefined;
}

function checkCount(value: FieldValue): string | undefined {
  const wrong = checkInteger(value);
  if (wrong !== undefined) return wrong;
  const count = integerValue(value)!;
  return count < 0 ? `{value_negative,${value.value}}` : undefined;
}

function checkTime(value: FieldValue): string | undefined {
  const wrong = checkCount(value);
  if (wrong !== undefined) return wrong;
  return integerValue(value)! > TIME_MS_MAX ? `{value_too_large,${value.value}}` : undefined;
}

function checkGroupSize(value: FieldValue): string | undefined {
  return checkInteger(value) === undefined && integerValue(value) === 0
    ? "{value_zero,0}"
    : checkCount(value);
}

function checkQueueVersion(value: FieldValue): string | undefined {
  const wrong = checkCount(value);
  if (wrong !== undefined) return wrong;
  const version = integerValue(value)!;
  return version === 1 || version === 2 ? undefined : `"unsupported queue version '${version}'"`;
}

function checkExpires(value: FieldValue): string | undefined {
  return checkInteger(value) === undefined && integerValue(value) === 0
    ? "{value_zero,0}"
    : checkTime(value);
}

function checkPriorityMax(value: FieldValue): string | undefined {
  const wrong = checkCount(value);
  if (wrong !== undefined) return wrong;
  return integerValue(value)! > 255 ? `{max_value_exceeded,${value.value}}` : undefined;
}

function checkText(value: FieldValue): string | undefined {
  return value.type === "S" ? undefined : unacceptable(value);
}

/** What is longer could be matched with bindings, but no delivery could say it. */
function checkRoutingKey(value: FieldValue): string | undefined {
  if (value.type !== "S") return unacceptable(value);
  return value.value.length > NAME_BYTES_MAX
    ? `{max_value_exceeded,${value.value.length}}`
    : undefined;
}

function checkBoolean(value: FieldValue): string | undefined {
  return value.type === "t" ? undefined : unacceptable(value);
}

function checkOneOf(allowed: readonly string[], otherwise: (text: string) => string) {
  return (value: FieldValue): string | undefined => {
    if (value.type !== "S") return unacceptable(value);
    const text = value.value.toString();
    return allowed.includes(text) ? undefined : otherwise(text);
  };
}

function text(value: FieldValue): string {
  return (value.value as Buffer).toString();
}

const delayedRetries = ["disabled", "all", "failed", "returned"] as const;
const overflows = ["drop-head", "reject-publish", "reject-publish-dlx"] as const;
const classic = ["classic"] as const;
const quorum = ["quorum"] as const;
const stream = [] as const;
const leaderLocators = ["client-local", "balanced", "random", "least-leaders"] as const;

const QUEUE_TYPE = "x-queue-type";

/** In the order in which they are checked, and compared with those of a queue that is there: of several RabbitMQ names the first. */
const ruleTable: Readonly<Record<string, ArgumentRule>> = {
  [QUEUE_TYPE]: {
    check: checkOneOf(queueTypes, (type) => `"unsupported queue type '${type}'"`),
    apply: (settings, value) => {
      settings.type = text(value) as QueueType;
    },
  },
  "x-expires": {
    check: checkExpires,
    apply: (settings, value) => {
      settings.expiresMs = integerValue(value);
    },
  },
  "x-message-ttl": {
    check: checkTime,
    apply: (settings, value) => {
      settings.messageTtlMs = integerValue(value);
    },
  },
  "x-dead-letter-exchange": {
    check: checkText,
    apply: (settings, value) => {
      settings.deadLetterExchange = text(value);
    },
  },
  "x-dead-letter-routing-key": {
    check: (value, args) => {
      const wrong = checkRoutingKey(value);
      if (wrong !== undefined) return wrong;
      return args.has("x-dead-letter-exchange") ? undefined : "routing_key_but_no_dlx_defined";
    },
    apply: (settings, value) => {
      settings.deadLetterRoutingKey = text(value);
    },
  },
  "x-dead-letter-strategy": {
    check: checkOneOf(["at-most-once", "at-least-once"], () => "invalid_dlx_strategy"),
    apply: (settings, value) => {
      settings.deadLetterStrategy = text(value) as DeadLetterStrategy;
    },
    types: quorum,
  },
  "x-max-length": {
    check: checkCount,
    apply: (settings, value) => {
      settings.lengthMax = integerValue(value)!;
    },
  },
  "x-max-length-bytes": {
    check: checkCount,
    apply: (settings, value) => {
      settings.bodyBytesMax = integerValue(value)!;
    },
  },
  "x-max-in-memory-length": { check: checkCount, types: quorum },
  "x-max-in-memory-bytes": { check: checkCount, types: quorum },
  "x-max-priority": {
    check: checkPriorityMax,
    apply: (settings, value) => {
      settings.priorityMax = integerValue(value)!;
    },
    types: classic,
  },
  "x-overflow": {
    check: checkOneOf(overflows, () => "invalid_overflow"),
    apply: (settings, value) => {
      settings.overflow = text(value) as Overflow;
    },
  },
  "x-queue-mode": {
    check: checkOneOf(["default", "lazy"], (mode) => `"unsupported queue mode '${mode}'"`),
    types: classic,
  },
  "x-queue-version": { check: checkQueueVersion, types: classic },
  "x-single-active-consumer": {
    check: checkBoolean,
    apply: (settings, value) => {
      settings.singleActiveConsumer = value.value === true;
    },
  },
  // Not checked: what is no number is no limit [RabbitMQ].
  "x-delivery-limit": {
    apply: (settings, value) => {
      const limit = integerValue(value) ?? -1;
      settings.deliveryLimit = limit < 0 ? Number.POSITIVE_INFINITY : limit;
    },
    types: quorum,
  },
  "x-delayed-retry-type": {
    check: checkOneOf(delayedRetries, () => "invalid_delayed_retry_type"),
    apply: (settings, value) => {
      settings.delayedRetry = text(value) as DelayedRetry;
    },
    types: quorum,
  },
  "x-delayed-retry-min": {
    check: checkTime,
    apply: (settings, value) => {
      settings.retryDelayMinMs = integerValue(value)!;
    },
    types: quorum,
  },
  "x-delayed-retry-max": {
    check: checkTime,
    apply: (settings, value) => {
      settings.retryDelayMaxMs = integerValue(value)!;
    },
    types: quorum,
  },
  "x-consumer-timeout": {
    apply: (settings, value) => {
      const timeoutMs = integerValue(value) ?? -1;
      if (timeoutMs >= 0) settings.consumerTimeoutMs = timeoutMs;
    },
    isFree: true,
  },
  "x-message-deduplication": {
    apply: (settings, value) => {
      settings.deduplicates = value.type === "t" ? value.value : value.type !== "V";
    },
    isFree: true,
  },
  "x-queue-master-locator": { check: checkText, types: classic },
  "x-quorum-initial-group-size": { check: checkGroupSize, types: quorum },
  "x-queue-leader-locator": {
    check: checkOneOf(leaderLocators, () => "invalid_queue_locator_arg"),
  },
  "x-initial-cluster-size": { types: stream },
  "x-max-age": { types: stream },
  "x-stream-max-segment-size-bytes": { types: stream },
  "x-stream-filter-size-bytes": { types: stream },
};

const rules: ReadonlyMap<string, ArgumentRule> = new Map(Object.entries(ruleTable));

/** Refused or not, each type of queue has a module's name in RabbitMQ's texts. */
const typeModules: Record<QueueType, string> = {
  classic: "rabbit_classic_queue",
  quorum: "rabbit_quorum_queue",
};

function knows(type: QueueType, rule: ArgumentRule): boolean {
  return rule.types?.includes(type) ?? true;
}

function refuse(error: AmqpError): never {
  throw error;
}

/**
 * What the arguments come to. `queue` is how the text of an error names it: `queue 'q' in vhost '/'`. An argument that is not
 * valid is refused with PRECONDITION_FAILED, or ignored when `onInvalid` does not throw.
 */
export function queueSettings(
  args: FieldTable,
  queue: string,
  onInvalid: (error: AmqpError) => void = refuse,
): QueueSettings {
  const settings: QueueSettings = {
    type: "classic",
    messageTtlMs: undefined,
    expiresMs: undefined,
    lengthMax: Number.POSITIVE_INFINITY,
    bodyBytesMax: Number.POSITIVE_INFINITY,
    overflow: "drop-head",
    priorityMax: 0,
    deadLetterExchange: undefined,
    deadLetterRoutingKey: undefined,
    deadLetterStrategy: "at-most-once",
    singleActiveConsumer: false,
    deliveryLimit: DELIVERY_LIMIT,
    delayedRetry: "disabled",
    retryDelayMinMs: 0,
    retryDelayMaxMs: Number.POSITIVE_INFINITY,
    consumerTimeoutMs: undefined,
    deduplicates: false,
  };
  // The type comes first: it says which of the others count.
  for (const [name, rule] of rules) {
    const value = args.get(name);
    if (value === undefined || !knows(settings.type, rule)) continue;
    const wrong = rule.check?.(value, args);
    if (wrong === undefined) rule.apply?.(settings, value);
    else onInvalid(invalidArgument(name, queue, wrong, adviceOn(name, value)));
  }
  for (const name of args.keys()) {
    const rule = rules.get(name);
    if (rule !== undefined && !knows(settings.type, rule)) {
      const module = typeModules[settings.type];
      const text = `invalid arg '${name}' for ${queue} of queue type ${module}`;
      onInvalid(new AmqpError("PRECONDITION_FAILED", text));
    }
  }
  // Accepted, and as good as none [RabbitMQ].
  if (settings.type === "quorum" && settings.overflow === "reject-publish-dlx")
    settings.overflow = "drop-head";
  return settings;
}

/** Whether a dead letter is held until somebody takes it. A queue that drops what is too much would not be bounded by that. */
export function losesNoDeadLetters(settings: QueueSettings): boolean {
  const { type, deadLetterStrategy, overflow, deadLetterExchange } = settings;
  return (
    type === "quorum" &&
    deadLetterStrategy === "at-least-once" &&
    overflow === "reject-publish" &&
    deadLetterExchange !== undefined
  );
}

/** What somebody should hear who has asked for something that these settings do not give; RabbitMQ's words. */
export function settingsAdvice(settings: QueueSettings, queue: string): string | undefined {
  if (settings.deadLetterStrategy !== "at-least-once" || losesNoDeadLetters(settings))
    return undefined;
  return settings.deadLetterExchange === undefined
    ? `Disabling dead-lettering for ${queue} despite configured dead-letter-strategy 'at-least-once' because dead-letter-exchange is not configured.`
    : `Falling back to dead-letter-strategy at-most-once for ${queue} because configured dead-letter-strategy at-least-once is incompatible with effective overflow strategy ${settings.overflow}. To enable dead-letter-strategy at-least-once, set overflow strategy to reject-publish.`;
}

/** For the log, where the text alone would leave somebody helpless. */
function adviceOn(name: string, value: FieldValue): string | undefined {
  return name === QUEUE_TYPE && valueText(value) === "stream"
    ? "there are no streams here: a quorum queue keeps messages as safely, for one reading"
    : undefined;
}

function invalidArgument(
  name: string,
  queue: string,
  wrong: string,
  advice: string | undefined,
): AmqpError {
  const text = `invalid arg '${name}' for ${queue}: ${wrong}`;
  return new AmqpError("PRECONDITION_FAILED", text, { advice });
}

function describe(value: FieldValue | undefined): string {
  return value === undefined
    ? "none"
    : `the value '${valueText(value)}' of type '${typeName(value)}'`;
}

/** Throws PRECONDITION_FAILED unless the known arguments are equivalent, as a second declaration must have it. */
export function checkEquivalence(
  name: string,
  received: FieldTable,
  current: FieldTable,
  of: string,
): void {
  const a = received.get(name);
  const b = current.get(name);
  if (a === b) return;
  if (a !== undefined && b !== undefined) {
    if (equivalentValues(a, b)) return;
    throw inequivalent(
      name,
      of,
      `received '${valueText(a)}' but current is '${valueText(b)}'`,
      current,
    );
  }
  throw inequivalent(name, of, `received ${describe(a)} but current is ${describe(b)}`, current);
}

function listArguments(table: FieldTable): string {
  const all = [...table].map(([name, value]) => `${name}=${valueText(value)}`);
  return all.length === 0 ? "no arguments" : `the arguments ${all.join(", ")}`;
}

/** The error of a second declaration that does not agree with the first, which had the arguments `current`. */
export function inequivalent(
  name: string,
  of: string,
  difference: string,
  current: FieldTable,
): AmqpError {
  return new AmqpError(
    "PRECONDITION_FAILED",
    `inequivalent arg '${name}' for ${of}: ${difference}`,
    {
      advice: `it exists with ${listArguments(current)}: declare it like that, or delete it first`,
    },
  );
}

/** As `checkEquivalence`, for every argument that the existing queue can have. `classic` is as good as no type. */
export function checkArgumentsEquivalence(
  received: FieldTable,
  current: FieldTable,
  queue: string,
): void {
  const typeOf = (args: FieldTable): string => {
    const type = args.get(QUEUE_TYPE);
    return type === undefined ? "classic" : valueText(type);
  };
  const type = typeOf(current) as QueueType;
  for (const [name, rule] of rules) {
    if (rule.isFree || !knows(type, rule)) continue;
    if (name === QUEUE_TYPE && typeOf(received) === type) continue;
    checkEquivalence(name, received, current, queue);
  }
}
