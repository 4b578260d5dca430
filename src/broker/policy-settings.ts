/**
 * The settings that a policy can hold: what their values may be, which queues know them, what an operator may set, and how
 * they are merged with each other and with a queue's arguments [RabbitMQ: policies].
 *
 * One row a setting. A limit is the lowest of what arguments, policy and operator policy say; of everything else the
 * arguments count before the policy.
 */

import type { FieldTable } from "../amqp/field-table.ts";
import type {
  DeadLetterStrategy,
  DelayedRetry,
  Overflow,
  QueueSettings,
  QueueType,
} from "../queue/settings.ts";
import { erlangPairs, erlangTerm, type Json, sortedEntries } from "./erlang-term.ts";

/** Settings by name, checked. */
export type PolicyDefinition = Readonly<Record<string, Json>>;

/** What a policy's value does to a queue; `isArgument` when the queue's arguments hold the same. */
type Apply = (settings: QueueSettings, value: never, isArgument: boolean) => void;

interface SettingRule {
  readonly isValid: (value: Json) => boolean;
  /** The refusal, after the value. */
  readonly refusal: string;
  /** The value that counts when the policy and the operator's both have one; absent where an operator may set nothing. */
  readonly merge?: (value: Json, operatorValue: Json) => Json;
  /** A policy with a setting that a type of queue does not know does not apply to these queues at all. */
  readonly unknownTo?: readonly QueueType[];
  readonly apply?: Apply;
}

function isText(value: Json): boolean {
  return typeof value === "string";
}

function isIntegerFrom(least: number, most = Number.POSITIVE_INFINITY) {
  return (value: Json): boolean =>
    typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
}

function isOneOf(...values: readonly Json[]) {
  return (value: Json): boolean => values.includes(value);
}

function lower(value: Json, operatorValue: Json): Json {
  return Math.min(value as number, operatorValue as number);
}

function operatorWins(_value: Json, operatorValue: Json): Json {
  return operatorValue;
}

const isCount = isIntegerFrom(0);

/** Applies a limit: the lowest counts. */
function limit(
  setting: "messageTtlMs" | "expiresMs" | "lengthMax" | "bodyBytesMax" | "consumerTimeoutMs",
): Apply {
  return (settings, value: number) => {
    settings[setting] = Math.min(settings[setting] ?? Number.POSITIVE_INFINITY, value);
  };
}

function applyText(setting: "deadLetterExchange" | "deadLetterRoutingKey"): Apply {
  return (settings, value: string, isArgument) => {
    if (!isArgument) settings[setting] = value;
  };
}

function applyStrategy(
  settings: QueueSettings,
  value: DeadLetterStrategy,
  isArgument: boolean,
): void {
  if (!isArgument) settings.deadLetterStrategy = value;
}

/** The policy of a quorum queue counts before its argument, and what it does not know is drop-head. */
function applyOverflow(settings: QueueSettings, value: Overflow, isArgument: boolean): void {
  if (settings.type === "quorum")
    settings.overflow = value === "reject-publish-dlx" ? "drop-head" : value;
  else if (!isArgument) settings.overflow = value;
}

/** A negative one is none; without an argument the policy's is in place of the default. */
function applyDeliveryLimit(settings: QueueSettings, value: number, isArgument: boolean): void {
  const limit = value < 0 ? Number.POSITIVE_INFINITY : value;
  settings.deliveryLimit = isArgument ? Math.min(settings.deliveryLimit, limit) : limit;
}

const classic = ["classic"] as const;
const quorum = ["quorum"] as const;
/** Settings of streams. */
const allQueues = ["classic", "quorum"] as const;

const ruleTable: Readonly<Record<string, SettingRule>> = {
  "alternate-exchange": { isValid: isText, refusal: "is not a valid alternate exchange name" },
  "consumer-timeout": {
    isValid: isCount,
    refusal: "is not a valid consumer timeout",
    apply: limit("consumerTimeoutMs"),
  },
  "dead-letter-exchange": {
    isValid: isText,
    refusal: "is not a valid dead letter exchange name",
    apply: applyText("deadLetterExchange"),
  },
  "dead-letter-routing-key": {
    isValid: isText,
    refusal: "is not a valid dead letter routing key",
    apply: applyText("deadLetterRoutingKey"),
  },
  "dead-letter-strategy": {
    isValid: isOneOf("at-most-once", "at-least-once"),
    refusal: "is not a valid dead letter strategy",
    unknownTo: classic,
    apply: applyStrategy,
  },
  "delayed-retry-max": {
    isValid: isCount,
    refusal: "is not a valid delayed retry maximum",
    unknownTo: classic,
    apply: (settings, value: number, isArgument) => {
      if (!isArgument) settings.retryDelayMaxMs = value;
    },
  },
  "delayed-retry-min": {
    isValid: isCount,
    refusal: "is not a valid delayed retry minimum",
    unknownTo: classic,
    apply: (settings, value: number, isArgument) => {
      if (!isArgument) settings.retryDelayMinMs = value;
    },
  },
  "delayed-retry-type": {
    isValid: isOneOf("disabled", "all", "failed", "returned"),
    refusal: "is not a valid delayed retry type",
    unknownTo: classic,
    apply: (settings, value: DelayedRetry, isArgument) => {
      if (!isArgument) settings.delayedRetry = value;
    },
  },
  "delivery-limit": {
    isValid: isIntegerFrom(Number.NEGATIVE_INFINITY),
    refusal: "is not a valid delivery limit",
    merge: (value, operatorValue) =>
      (value as number) < 0 || (operatorValue as number) < 0
        ? Math.max(value as number, operatorValue as number)
        : lower(value, operatorValue),
    unknownTo: classic,
    apply: applyDeliveryLimit,
  },
  expires: {
    isValid: isIntegerFrom(1),
    refusal: "is not a valid queue expiry",
    merge: lower,
    apply: limit("expiresMs"),
  },
  "federation-upstream": { isValid: isText, refusal: "is not a valid upstream" },
  "federation-upstream-set": { isValid: isText, refusal: "is not a valid upstream set" },
  "initial-cluster-size": {
    isValid: isCount,
    refusal: "is not a valid cluster size",
    unknownTo: classic,
  },
  "max-age": {
    isValid: (value) => typeof value === "string" && /^\d+[YMDhms]$/.test(value),
    refusal: "is not a valid max age",
    unknownTo: allQueues,
  },
  "max-in-memory-bytes": {
    isValid: isCount,
    refusal: "is not a valid maximum memory in bytes",
    merge: lower,
    unknownTo: classic,
  },
  "max-in-memory-length": {
    isValid: isCount,
    refusal: "is not a valid maximum memory in bytes",
    merge: lower,
    unknownTo: classic,
  },
  "max-length": {
    isValid: isCount,
    refusal: "is not a valid maximum length",
    merge: lower,
    apply: limit("lengthMax"),
  },
  "max-length-bytes": {
    isValid: isCount,
    refusal: "is not a valid maximum length in bytes",
    merge: lower,
    apply: limit("bodyBytesMax"),
  },
  "message-ttl": {
    isValid: isCount,
    refusal: "is not a valid message TTL",
    merge: lower,
    apply: limit("messageTtlMs"),
  },
  overflow: {
    isValid: isOneOf("drop-head", "reject-publish", "reject-publish-dlx"),
    refusal: "is not a valid overflow value",
    merge: operatorWins,
    apply: applyOverflow,
  },
  "queue-leader-locator": {
    isValid: isOneOf("client-local", "balanced", "random", "least-leaders"),
    refusal: "is not a valid queue leader locator value",
  },
  "queue-mode": {
    isValid: isOneOf("default", "lazy"),
    refusal: "is not a valid queue-mode value",
    unknownTo: quorum,
  },
  "queue-version": {
    isValid: isOneOf(1, 2),
    refusal: "is not a valid queue-version value",
    merge: operatorWins,
  },
  "stream-filter-size-bytes": {
    isValid: isIntegerFrom(16, 255),
    refusal: "is not a valid filter size. Valid range is 16-255",
    unknownTo: allQueues,
  },
  "stream-max-segment-size-bytes": {
    isValid: isCount,
    refusal: "is not a valid segment size",
    unknownTo: allQueues,
  },
  "target-group-size": {
    isValid: isIntegerFrom(1),
    refusal: "is not a valid qq target count value",
    unknownTo: classic,
  },
};

const rules: ReadonlyMap<string, SettingRule> = new Map(Object.entries(ruleTable));
/** Mirroring, which no RabbitMQ has since 4.0, and which many an old definition still asks for. */
const MIRRORING = "ha-";

/** What is wrong with a definition, in RabbitMQ's words, or undefined. */
export function definitionError(definition: Json, ofOperator: boolean): string | undefined {
  if (typeof definition !== "object" || definition === null) {
    const validator = ofOperator ? "operator_policy_validator" : "policy_validator";
    return `parse error while reading policy definition: ${erlangTerm(definition)}. Validator: ${validator}.`;
  }
  if (Object.keys(definition).length === 0) return "no policy provided";
  if (Array.isArray(definition))
    return `definition must be a dictionary: ${erlangTerm(definition)}`;
  const unknown: [string, Json][] = [];
  for (const [name, value] of sortedEntries(definition as PolicyDefinition)) {
    const rule = rules.get(name);
    if (rule === undefined || (ofOperator && rule.merge === undefined)) unknown.push([name, value]);
    else if (!rule.isValid(value)) return `${erlangTerm(value)} ${rule.refusal}`;
  }
  if (unknown.length === 0) return undefined;
  return `${erlangPairs(unknown)} are not recognised policy settings`;
}

/** Without what asked for mirrored queues, for definitions of an older RabbitMQ; `dropped` are the names of what is gone. */
export function withoutMirroring(definition: PolicyDefinition): {
  definition: PolicyDefinition;
  dropped: string[];
} {
  const names = Object.keys(definition);
  const dropped = names.filter((name) => name.startsWith(MIRRORING));
  const kept = Object.entries(definition).filter(([name]) => !dropped.includes(name));
  return { definition: Object.fromEntries(kept), dropped };
}

/** Whether a policy with these settings can apply to queues of this type [RabbitMQ: unsupported policies]. */
export function suitsQueue(definition: PolicyDefinition, type: QueueType): boolean {
  return Object.keys(definition).every((name) => !rules.get(name)?.unknownTo?.includes(type));
}

/** What a policy and an operator policy come to, sorted by name. */
export function mergeDefinitions(
  definition: PolicyDefinition,
  operatorDefinition: PolicyDefinition,
): PolicyDefinition {
  const merged: Record<string, Json> = { ...definition };
  for (const [name, operatorValue] of Object.entries(operatorDefinition)) {
    const value = definition[name];
    merged[name] =
      value === undefined ? operatorValue : rules.get(name)!.merge!(value, operatorValue);
  }
  return Object.fromEntries(sortedEntries(merged));
}

/** What a queue goes by that has these arguments, and the settings that follow from them, under a policy. */
export function settingsUnderPolicy(
  ofArguments: QueueSettings,
  args: FieldTable,
  definition: PolicyDefinition,
): QueueSettings {
  const settings = { ...ofArguments };
  for (const [name, value] of Object.entries(definition))
    rules.get(name)?.apply?.(settings, value as never, args.has(`x-${name}`));
  return settings;
}
