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
  singleActiveConsumer: boolean;
  /** How often a message of a quorum queue may come back; infinity is without limit. */
  deliveryLimit: number;
}

interface ArgumentRule {
  /** What is wrong with a value, as RabbitMQ's Erlang term shows it, or undefined. */
  readonly check: (value: FieldValue, args: FieldTable) => string | undefined;
  readonly apply?: (settings: QueueSettings, value: FieldValue) => void;
  /** The queue types that know it; all when absent. */
  readonly types?: readonly QueueType[];
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

const overflows = ["drop-head", "reject-publish", "reject-publish-dlx"] as const;
const classic = ["classic"] as const;
const quorum = ["quorum"] as const;

const ruleTable: Readonly<Record<string, ArgumentRule>> = {
  "x-queue-type": {
    check: checkOneOf(queueTypes, (type) => `"unsupported queue type '${type}'"`),
    apply: (settings, value) => {
      settings.type = text(value) as QueueType;
    },
  },
  "x-message-ttl": {
    check: checkTime,
    apply: (settings, value) => {
      settings.messageTtlMs = integerValue(value);
    },
  },
  "x-expires": {
    check: checkExpires,
    apply: (settings, value) => {
      settings.expiresMs = integerValue(value);
    },
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
  "x-overflow": {
    check: checkOneOf(overflows, () => "invalid_overflow"),
    apply: (settings, value) => {
      settings.overflow = text(value) as Overflow;
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
      const wrong = checkText(value);
      if (wrong !== undefined) return wrong;
      return args.has("x-dead-letter-exchange") ? undefined : "routing_key_but_no_dlx_defined";
    },
    apply: (settings, value) => {
      settings.deadLetterRoutingKey = text(value);
    },
  },
  "x-dead-letter-strategy": {
    check: checkOneOf(["at-most-once", "at-least-once"], () => "invalid_dlx_strategy"),
    types: quorum,
  },
  "x-max-priority": {
    check: checkPriorityMax,
    apply: (settings, value) => {
      settings.priorityMax = integerValue(value)!;
    },
    types: classic,
  },
  "x-single-active-consumer": {
    check: checkBoolean,
    apply: (settings, value) => {
      settings.singleActiveConsumer = value.value === true;
    },
  },
  "x-delivery-limit": {
    check: checkInteger,
    apply: (settings, value) => {
      const limit = integerValue(value)!;
      settings.deliveryLimit = limit < 0 ? Number.POSITIVE_INFINITY : limit;
    },
    types: quorum,
  },
  "x-queue-mode": {
    check: checkOneOf(["default", "lazy"], (mode) => `"unsupported queue mode '${mode}'"`),
    types: classic,
  },
  "x-queue-version": { check: checkCount, types: classic },
  "x-queue-master-locator": { check: checkText, types: classic },
  "x-queue-leader-locator": { check: checkText },
  "x-quorum-initial-group-size": { check: checkCount, types: quorum },
  "x-initial-cluster-size": { check: checkCount, types: quorum },
  "x-max-in-memory-length": { check: checkCount, types: quorum },
  "x-max-in-memory-bytes": { check: checkCount, types: quorum },
};

const rules: ReadonlyMap<string, ArgumentRule> = new Map(Object.entries(ruleTable));

/** Refused or not, each type of queue has a module's name in RabbitMQ's texts. */
const typeModules: Record<QueueType, string> = {
  classic: "rabbit_classic_queue",
  quorum: "rabbit_quorum_queue",
};

/** Throws PRECONDITION_FAILED for a bad argument; `queue` is how the text names it: `queue 'q' in vhost '/'`. */
export function queueSettings(args: FieldTable, queue: string): QueueSettings {
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
    singleActiveConsumer: false,
    deliveryLimit: DELIVERY_LIMIT,
  };
  for (const [name, value] of args) {
    const rule = rules.get(name);
    if (rule === undefined) continue;
    const wrong = rule.check(value, args);
    if (wrong !== undefined) throw invalidArgument(name, queue, wrong);
    rule.apply?.(settings, value);
  }
  for (const name of args.keys()) {
    const types = rules.get(name)?.types;
    if (types !== undefined && !types.includes(settings.type)) {
      throw new AmqpError(
        "PRECONDITION_FAILED",
        `invalid arg '${name}' for ${queue} of queue type ${typeModules[settings.type]}`,
      );
    }
  }
  if (settings.type === "quorum" && settings.overflow === "reject-publish-dlx") {
    throw invalidArgument("x-overflow", queue, "invalid_overflow");
  }
  return settings;
}

function invalidArgument(name: string, queue: string, wrong: string): AmqpError {
  return new AmqpError("PRECONDITION_FAILED", `invalid arg '${name}' for ${queue}: ${wrong}`);
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

/** As `checkEquivalence`, for every argument that a queue can have. `classic` is as good as no type. */
export function checkArgumentsEquivalence(
  received: FieldTable,
  current: FieldTable,
  queue: string,
): void {
  const typeOf = (args: FieldTable): string => {
    const type = args.get("x-queue-type");
    return type === undefined ? "classic" : valueText(type);
  };
  for (const name of rules.keys()) {
    if (name === "x-queue-type" && typeOf(received) === typeOf(current)) continue;
    checkEquivalence(name, received, current, queue);
  }
}
