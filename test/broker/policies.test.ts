/** Policies apart from what they do: which of several applies, how they are merged, and how refusals are worded. */
import { expect, test } from "vitest";
import { type FieldTable, longstr } from "../../src/amqp/field-table.ts";
import type { AdministrationEntry } from "../../src/broker/administration.ts";
import { effectivePolicy } from "../../src/broker/effective-policy.ts";
import { erlangPairs, erlangTerm, type Json } from "../../src/broker/erlang-term.ts";
import { Policies, type PolicySpec, type PolicySubject } from "../../src/broker/policies.ts";
import {
  mergeDefinitions,
  type PolicyDefinition,
  settingsUnderPolicy,
  withoutMirroring,
} from "../../src/broker/policy-settings.ts";
import { queueSettings } from "../../src/queue/settings.ts";

class Bench {
  readonly recorded: AdministrationEntry[] = [];
  readonly changed: string[] = [];
  nowMs = 100;
  readonly policies = this.#registry("policy");
  readonly operatorPolicies = this.#registry("operator-policy");

  #registry(kind: "policy" | "operator-policy"): Policies {
    return new Policies(kind, {
      record: (entry) => this.recorded.push(entry),
      nowMs: () => this.nowMs,
      hasVirtualHost: (name) => name !== "missing",
      changed: (vhost) => this.changed.push(vhost),
    });
  }

  set(name: string, priority: number, spec: Partial<PolicySpec> = {}): void {
    this.policies.set("/", name, { pattern: "^q", definition: { expires: 1 }, priority, ...spec });
  }

  applied(subject: PolicySubject): string | undefined {
    return this.policies.match("/", subject)?.name;
  }
}

const classic: PolicySubject = { kind: "queue", name: "q", type: "classic" };

function refusal(spec: object, ofOperator = false): string {
  const bench = new Bench();
  const registry = ofOperator ? bench.operatorPolicies : bench.policies;
  try {
    registry.set("/", "p", { pattern: "", ...spec } as PolicySpec);
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

test("V6 the highest priority applies, and among equals the first by name", () => {
  const bench = new Bench();
  const names: [string, number][] = [
    ["b", 2],
    ["a", 2],
    ["low", -1],
    ["top", 7.5],
    ["c", 2],
  ];
  for (const [name, priority] of names) bench.set(name, priority);
  expect([...bench.policies.all("/")].map(({ name }) => name)).toEqual(
    ["top", "a", "b", "c", "low"], // as they would apply one after the other
  );
  for (const expected of ["top", "a", "b", "c", "low"]) {
    expect(bench.applied(classic)).toBe(expected);
    bench.policies.clear("/", expected);
  }
  expect(bench.applied(classic)).toBeUndefined();
  expect([...bench.policies.all("elsewhere")]).toEqual([]);
});

test("V6 each target takes what it is for", () => {
  const subjects: PolicySubject[] = [
    classic,
    { kind: "queue", name: "q", type: "quorum" },
    { kind: "exchange", name: "q" },
  ];
  const taken = (applyTo: PolicySpec["applyTo"]): boolean[] => {
    const bench = new Bench();
    bench.set("p", 0, applyTo === undefined ? {} : { applyTo });
    return subjects.map((subject) => bench.applied(subject) !== undefined);
  };
  expect(taken(undefined)).toEqual([true, true, true]);
  expect(taken("all")).toEqual([true, true, true]);
  expect(taken("queues")).toEqual([true, true, false]);
  expect(taken("classic_queues")).toEqual([true, false, false]);
  expect(taken("quorum_queues")).toEqual([false, true, false]);
  expect(taken("streams")).toEqual([false, false, false]);
  expect(taken("exchanges")).toEqual([false, false, true]);
});

test("V6 who sets the same policy again changes nothing", () => {
  const bench = new Bench();
  const definition = { expires: 1, "max-length": 2 };
  bench.set("p", 1, { definition });
  bench.set("p", 1, { definition: { "max-length": 2, expires: 1 } });
  expect(bench.recorded).toHaveLength(1);
  expect(bench.changed).toEqual(["/"]);
  bench.set("p", 2, { definition });
  expect(bench.recorded).toHaveLength(2);
});

test("V6 a time to live dates from when it was set, not from other changes of its policy", () => {
  const bench = new Bench();
  const since = (): number => effectivePolicy(bench, "/", classic).ttlSinceMs;
  bench.set("p", 1, { definition: { "message-ttl": 5 } });
  bench.nowMs = 200;
  bench.set("p", 1, { definition: { "message-ttl": 5, "max-length": 1 } });
  expect(since()).toBe(100);
  bench.set("p", 1, { definition: { "message-ttl": 6 } });
  expect(since()).toBe(200);
});

test("V6 what is kept of a policy does not change with what was given", () => {
  const bench = new Bench();
  const definition: Record<string, Json> = { expires: 1 };
  bench.set("p", 0, { definition });
  Object.assign(definition, { expires: 2 });
  expect(bench.policies.get("/", "p").definition).toEqual({ expires: 1 });
});

test("V6 a policy is missing, or its virtual host", () => {
  const bench = new Bench();
  expect(() => bench.policies.clear("/", "p")).toThrow("Parameter does not exist");
  expect(() => bench.policies.get("/", "p")).toThrow(
    expect.objectContaining({ code: "NOT_FOUND" }),
  );
  expect(() => bench.policies.set("missing", "p", { pattern: "", definition: {} })).toThrow(
    expect.objectContaining({ code: "NOT_FOUND" }),
  );
});

test("V8 of a policy and an operator policy the lower limit counts, and otherwise the operator", () => {
  const policy = { "max-length": 5, expires: 10, overflow: "drop-head", "queue-version": 1 };
  const operator = { "max-length": 7, expires: 9, "message-ttl": 3, "queue-version": 2 };
  const merged = mergeDefinitions(policy, { ...operator, overflow: "reject-publish" });
  expect(Object.entries(merged)).toEqual([
    ["expires", 9],
    ["max-length", 5],
    ["message-ttl", 3],
    ["overflow", "reject-publish"],
    ["queue-version", 2],
  ]);
});

function under(args: Record<string, Json>, definition: PolicyDefinition) {
  const table: FieldTable = new Map(
    Object.entries(args).map(([name, value]) => [
      name,
      typeof value === "string" ? longstr(value) : { type: "I", value: value as number },
    ]),
  );
  const ofArguments = queueSettings(table, "queue 'q'");
  return settingsUnderPolicy(ofArguments, table, definition);
}

test("V6 limits are the lower of argument and policy, whatever else there is is the argument's", () => {
  const definition = {
    "max-length": 5,
    "max-length-bytes": 50,
    "message-ttl": 500,
    expires: 5000,
    overflow: "reject-publish",
    "dead-letter-exchange": "policy",
    "dead-letter-routing-key": "policy",
  };
  expect(under({}, definition)).toMatchObject({
    ...{ lengthMax: 5, bodyBytesMax: 50, messageTtlMs: 500, expiresMs: 5000 },
    ...{ overflow: "reject-publish", deadLetterExchange: "policy", deadLetterRoutingKey: "policy" },
  });
  const args = {
    "x-max-length": 4,
    "x-max-length-bytes": 60,
    "x-message-ttl": 0,
    "x-expires": 9000,
  };
  expect(under({ ...args, "x-dead-letter-exchange": "argument" }, definition)).toMatchObject({
    ...{ lengthMax: 4, bodyBytesMax: 50, messageTtlMs: 0, expiresMs: 5000 },
    ...{ deadLetterExchange: "argument", deadLetterRoutingKey: "policy" },
  });
  expect(under({ "x-overflow": "drop-head" }, definition).overflow).toBe("drop-head");
  const timeouts = [1, 3].map((argument) =>
    under({ "x-consumer-timeout": argument }, { "consumer-timeout": 2 }),
  );
  expect(timeouts.map(({ consumerTimeoutMs }) => consumerTimeoutMs)).toEqual([1, 2]);
});

test("V6 overflow of a quorum queue is the policy's, and reject-publish-dlx is none of it", () => {
  const args = { "x-queue-type": "quorum", "x-overflow": "drop-head" };
  expect(under(args, { overflow: "reject-publish" }).overflow).toBe("reject-publish");
  expect(under({ "x-queue-type": "quorum" }, { overflow: "reject-publish-dlx" }).overflow).toBe(
    "drop-head",
  );
});

test("V6 QQ2 a delivery limit is the lower of argument and policy, and a negative one is none", () => {
  const limit = (argument: number | undefined, policy: number): number =>
    under(
      { "x-queue-type": "quorum", ...(argument !== undefined && { "x-delivery-limit": argument }) },
      { "delivery-limit": policy },
    ).deliveryLimit;
  expect([limit(undefined, 50), limit(3, 5), limit(5, 3)]).toEqual([50, 3, 3]);
  expect([limit(-1, 5), limit(5, -1)]).toEqual([5, 5]);
  expect([limit(-1, -1), limit(undefined, -1)]).toEqual([
    Number.POSITIVE_INFINITY,
    Number.POSITIVE_INFINITY,
  ]);
  const merged = [
    [2, 3],
    [-1, 3],
    [3, -1],
  ].map(([policy, operator]) =>
    mergeDefinitions({ "delivery-limit": policy! }, { "delivery-limit": operator! }),
  );
  expect(merged.map((definition) => definition["delivery-limit"])).toEqual([2, 3, 3]);
});

test.each([
  [{ "max-age": "1D" }, ""],
  [{ "max-age": "1d" }, '<<"1d">> is not a valid max age'],
  [{ "consumer-timeout": -1 }, "-1 is not a valid consumer timeout"],
  [{ "delivery-limit": -1 }, ""],
  [{ "target-group-size": 0 }, "0 is not a valid qq target count value"],
  [{ "stream-filter-size-bytes": 256 }, "256 is not a valid filter size. Valid range is 16-255"],
  [{ "max-length": "é" }, '<<"é"/utf8>> is not a valid maximum length'],
  [{ "queue-leader-locator": "balanced" }, ""],
  [{ "message-ttl": 1e20 }, ""],
  [3, "parse error while reading policy definition: 3. Validator: policy_validator."],
  [["x"], 'definition must be a dictionary: [<<"x">>]'],
  [undefined, 'Key "definition" not found in p'],
] as [Json | undefined, string][])(
  "V7 a policy with the definition %j, as in RabbitMQ 4.2",
  (definition, text) => {
    const lines = text === "" ? "" : `Validation failed\n\n${text}\n`;
    expect(refusal({ definition })).toBe(lines);
  },
);

test("V7 an unknown target, as in RabbitMQ 4.2", () => {
  expect(refusal({ definition: { expires: 1 }, applyTo: "none" })).toBe(
    "Validation failed\n\napply-to 'none' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'\n",
  );
});

test("V8 an operator may say what happens to excess, and may not say where dead letters go", () => {
  expect(refusal({ definition: { overflow: "drop-head", "queue-version": 2 } }, true)).toBe("");
  expect(refusal({ definition: { "dead-letter-exchange": "x", expires: 1 } }, true)).toBe(
    'Validation failed\n\n[{<<"dead-letter-exchange">>,<<"x">>}] are not recognised policy settings\n',
  );
});

test("Q35 what asked for mirrored queues can be taken out of a definition", () => {
  const definition = { "ha-mode": "all", "ha-sync-mode": "automatic", expires: 1 };
  expect(refusal({ definition })).toContain("are not recognised policy settings");
  expect(withoutMirroring(definition)).toEqual({
    definition: { expires: 1 },
    dropped: ["ha-mode", "ha-sync-mode"],
  });
});

test("V7 JSON is shown as the Erlang term that it is to RabbitMQ", () => {
  const shown: [Json, string][] = [
    [null, "null"],
    [-5, "-5"],
    [1e21, "1000000000000000000000"],
    [1e-7, "1.0e-7"],
    [2.5e-9, "2.5e-9"],
    ["", "<<>>"],
    ['a"b\\c\n', '<<"a\\"b\\\\c\\n">>'],
    ["\u0000", "<<0>>"],
    ["日本", '<<"日本"/utf8>>'],
    [[], "[]"],
    [[65, 66], '"AB"'],
    [[65, 5], "[65,5]"],
    [{}, "#{}"],
    [{ b: [true], a: {} }, '#{<<"a">> => #{},<<"b">> => [true]}'],
  ];
  for (const [value, text] of shown) expect(erlangTerm(value)).toBe(text);
  const long = "x".repeat(50);
  expect(erlangPairs([["a", { a: [long, long], q: { f: 1 } }]])).toBe(
    `[{<<"a">>,\n  #{<<"a">> =>\n        [<<"${long}">>,\n         <<"${long}">>],\n    <<"q">> => #{<<"f">> => 1}}}]`,
  );
});
