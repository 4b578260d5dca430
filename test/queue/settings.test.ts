/** A queue's arguments: what each may hold, what it comes to, and when two declarations agree. */
import { describe, expect, test } from "vitest";
import { AmqpError } from "../../src/amqp/errors.ts";
import { type FieldTable, type FieldValue, longstr } from "../../src/amqp/field-table.ts";
import { typeName, valueText } from "../../src/amqp/type-names.ts";
import { checkArgumentsEquivalence, queueSettings } from "../../src/queue/settings.ts";

const QUEUE = "queue 'q' in vhost '/'";
const TEN_YEARS_MS = 315_360_000_000;

function int(value: number): FieldValue {
  return Number.isSafeInteger(value) && Math.abs(value) > 2 ** 31
    ? { type: "l", value: BigInt(value) }
    : { type: "I", value };
}

const bool = (value: boolean): FieldValue => ({ type: "t", value });

function args(entries: Record<string, FieldValue>): FieldTable {
  return new Map(Object.entries(entries));
}

function settings(entries: Record<string, FieldValue>) {
  return queueSettings(args(entries), QUEUE);
}

function refusal(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (!(error instanceof AmqpError)) throw error;
    expect([error.replyCode, error.closes]).toEqual([406, "channel"]);
    return error.message;
  }
}

test("without arguments a queue is classic and has no limits", () => {
  expect(settings({})).toEqual({
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
    deliveryLimit: 20,
    delayedRetry: "disabled",
    retryDelayMinMs: 0,
    retryDelayMaxMs: Number.POSITIVE_INFINITY,
    consumerTimeoutMs: undefined,
    deduplicates: false,
  });
});

test("every argument comes to a setting", () => {
  const all = settings({
    "x-queue-type": longstr("classic"),
    "x-message-ttl": int(TEN_YEARS_MS),
    "x-expires": { type: "u", value: 65_535 },
    "x-max-length": { type: "b", value: 0 },
    "x-max-length-bytes": { type: "L", value: 2n ** 40n },
    "x-overflow": longstr("reject-publish-dlx"),
    "x-max-priority": { type: "B", value: 255 },
    "x-dead-letter-exchange": longstr(""),
    "x-dead-letter-routing-key": longstr("dead"),
    "x-single-active-consumer": bool(true),
    "x-consumer-timeout": int(90_000),
    "x-message-deduplication": bool(true),
  });
  expect(all).toEqual({
    type: "classic",
    messageTtlMs: TEN_YEARS_MS,
    expiresMs: 65_535,
    lengthMax: 0,
    bodyBytesMax: 2 ** 40,
    overflow: "reject-publish-dlx",
    priorityMax: 255,
    deadLetterExchange: "",
    deadLetterRoutingKey: "dead",
    deadLetterStrategy: "at-most-once",
    singleActiveConsumer: true,
    deliveryLimit: 20,
    delayedRetry: "disabled",
    retryDelayMinMs: 0,
    retryDelayMaxMs: Number.POSITIVE_INFINITY,
    consumerTimeoutMs: 90_000,
    deduplicates: true,
  });
});

test("Q14 a stream is refused as any type that nobody knows, and the log says what there is", () => {
  try {
    settings({ "x-queue-type": longstr("stream") });
  } catch (error) {
    expect(error).toMatchObject({
      message: `invalid arg 'x-queue-type' for ${QUEUE}: "unsupported queue type 'stream'"`,
      advice: expect.stringContaining("there are no streams here"),
    });
    return;
  }
  throw new Error("it was not refused");
});

test("Q27 a quorum queue's arguments say what has to wait, and how long", () => {
  const retries = (entries: Record<string, FieldValue>) =>
    settings({ "x-queue-type": longstr("quorum"), ...entries });
  expect(
    retries({
      "x-delayed-retry-type": longstr("failed"),
      "x-delayed-retry-min": int(100),
      "x-delayed-retry-max": int(1000),
    }),
  ).toMatchObject({ delayedRetry: "failed", retryDelayMinMs: 100, retryDelayMaxMs: 1000 });
  expect(refusal(() => retries({ "x-delayed-retry-type": longstr("some") }))).toContain(
    "invalid arg 'x-delayed-retry-type'",
  );
  expect(refusal(() => retries({ "x-delayed-retry-min": int(-1) }))).toContain(
    "{value_negative,-1}",
  );
});

test("Q26 a delivery limit below 0 is no limit, and so is one that is no integer", () => {
  const typed = (value: FieldValue) =>
    settings({ "x-queue-type": longstr("quorum"), "x-delivery-limit": value }).deliveryLimit;
  expect(typed(longstr("5"))).toBe(Number.POSITIVE_INFINITY);
  const limit = (value: number) =>
    settings({ "x-queue-type": longstr("quorum"), "x-delivery-limit": int(value) }).deliveryLimit;
  expect([0, 3, -1, -2].map(limit)).toEqual([
    0,
    3,
    Number.POSITIVE_INFINITY,
    Number.POSITIVE_INFINITY,
  ]);
});

const time: [FieldValue, string][] = [
  [int(-1), "{value_negative,-1}"],
  [int(TEN_YEARS_MS + 1), "{value_too_large,315360000001}"],
  [{ type: "l", value: 2n ** 63n - 1n }, "{value_too_large,9223372036854775807}"],
  [longstr("100"), '"expected integer, got longstr"'],
  [{ type: "d", value: 5 }, '"expected integer, got double"'],
  [{ type: "T", value: 5n }, '"expected integer, got timestamp"'],
  [bool(true), '"expected integer, got bool"'],
  [{ type: "V", value: undefined }, '"expected integer, got void"'],
];
const count: [FieldValue, string][] = [
  [int(-1), "{value_negative,-1}"],
  [{ type: "l", value: -(2n ** 63n) }, "{value_negative,-9223372036854775808}"],
  [longstr("1"), '"expected integer, got longstr"'],
  [{ type: "f", value: 1 }, '"expected integer, got float"'],
];
const text: [FieldValue, string][] = [
  [int(1), "{unacceptable_type,signedint}"],
  [bool(true), "{unacceptable_type,bool}"],
  [{ type: "A", value: [] }, "{unacceptable_type,array}"],
];
const tooLongForAName: [FieldValue, string][] = [
  // It would not fit into a shortstr when it is used.
  [longstr("é".repeat(128)), "{max_value_exceeded,256}"],
];

const refusals: Record<string, [FieldValue, string][]> = {
  "x-message-ttl": time,
  "x-expires": [[int(0), "{value_zero,0}"], ...time],
  "x-max-length": count,
  "x-max-length-bytes": count,
  "x-max-priority": [[int(256), "{max_value_exceeded,256}"], ...count],
  "x-overflow": [...text, [longstr("explode"), "invalid_overflow"]],
  "x-queue-type": [...text, [longstr("fast"), "\"unsupported queue type 'fast'\""]],
  "x-queue-mode": [...text, [longstr("fast"), "\"unsupported queue mode 'fast'\""]],
  "x-single-active-consumer": [
    [longstr("true"), "{unacceptable_type,longstr}"],
    [int(1), "{unacceptable_type,signedint}"],
  ],
  "x-dead-letter-exchange": text,
  "x-dead-letter-routing-key": [
    ...text,
    ...tooLongForAName,
    [longstr("key"), "routing_key_but_no_dlx_defined"],
  ],
};

/** For the names of tests. */
function shown(value: FieldValue | undefined): string {
  return value === undefined ? "none" : `${typeName(value)} ${valueText(value)}`;
}

describe.each(Object.entries(refusals))("the argument %s", (name, rows) => {
  test.each(rows.map((row) => [shown(row[0]), ...row] as const))(
    "is refused as %s",
    (_, value, reason) => {
      expect(refusal(() => settings({ [name]: value }))).toBe(
        `invalid arg '${name}' for ${QUEUE}: ${reason}`,
      );
    },
  );
});

const accepted: [string, FieldValue][] = [
  ["x-message-ttl", int(0)],
  ["x-expires", int(1)],
  ["x-max-length", int(0)],
  ["x-max-length-bytes", int(0)],
  ["x-max-priority", int(0)],
  ["x-overflow", longstr("drop-head")],
  ["x-overflow", longstr("reject-publish")],
  ["x-queue-mode", longstr("lazy")],
  ["x-queue-mode", longstr("default")],
  ["x-queue-version", int(2)],
  ["x-queue-master-locator", longstr("min-masters")],
  ["x-queue-leader-locator", longstr("client-local")],
  ["x-single-active-consumer", bool(false)],
];

test.each(accepted.map(([name, value]) => [name, shown(value), value] as const))(
  "the argument %s may be %s",
  (name, _, value) => {
    expect(refusal(() => settings({ [name]: value }))).toBeUndefined();
  },
);

describe("arguments that nobody knows", () => {
  test.each([
    "",
    "colour",
    "x-nobody-knows",
    // Every object of the language has these, and none of them is an argument.
    "constructor",
    "toString",
    "hasOwnProperty",
    "__proto__",
    "valueOf",
  ])("are kept and ignored: %o", (name) => {
    const unknown: FieldTable = new Map([[name, longstr("anything")]]);
    expect(queueSettings(unknown, QUEUE)).toEqual(settings({}));
    expect(refusal(() => checkArgumentsEquivalence(unknown, new Map(), QUEUE))).toBeUndefined();
    expect(refusal(() => checkArgumentsEquivalence(new Map(), unknown, QUEUE))).toBeUndefined();
  });
});

describe("an argument of another type of queue", () => {
  const quorum = longstr("quorum");

  test.each<[string, FieldValue]>([
    ["x-max-priority", int(5)],
    ["x-queue-mode", longstr("lazy")],
    ["x-queue-version", int(2)],
  ])("is refused for a quorum queue: %s, before or after the type", (name, value) => {
    const expected = `invalid arg '${name}' for ${QUEUE} of queue type rabbit_quorum_queue`;
    expect(refusal(() => settings({ "x-queue-type": quorum, [name]: value }))).toBe(expected);
    expect(refusal(() => settings({ [name]: value, "x-queue-type": quorum }))).toBe(expected);
  });

  test.each<[string, FieldValue]>([
    ["x-delivery-limit", int(20)],
    ["x-quorum-initial-group-size", int(3)],
    ["x-max-in-memory-length", int(3)],
    ["x-max-in-memory-bytes", int(3)],
    ["x-dead-letter-strategy", longstr("at-least-once")],
  ])("is refused for a classic queue: %s", (name, value) => {
    const expected = `invalid arg '${name}' for ${QUEUE} of queue type rabbit_classic_queue`;
    expect(refusal(() => settings({ [name]: value }))).toBe(expected);
    expect(refusal(() => settings({ "x-queue-type": quorum, [name]: value }))).toBeUndefined();
  });

  test("is refused before its value is looked at, and after the values of its own", () => {
    const wrong = { "x-queue-type": quorum, "x-queue-mode": int(1) };
    const ofMode = `invalid arg 'x-queue-mode' for ${QUEUE} of queue type rabbit_quorum_queue`;
    expect(refusal(() => settings(wrong))).toBe(ofMode);
    expect(refusal(() => settings({ ...wrong, "x-expires": int(0) }))).toBe(
      `invalid arg 'x-expires' for ${QUEUE}: {value_zero,0}`,
    );
  });

  test("can be ignored, as any that is not valid", () => {
    const errors: string[] = [];
    const given = args({
      "x-queue-type": longstr("stream"),
      "x-max-length": longstr("many"),
      "x-delivery-limit": int(3),
      "x-expires": int(5),
    });
    const made = queueSettings(given, QUEUE, ({ message }) => void errors.push(message));
    expect(made).toEqual(settings({ "x-expires": int(5) }));
    expect(errors).toEqual([
      `invalid arg 'x-queue-type' for ${QUEUE}: "unsupported queue type 'stream'"`,
      `invalid arg 'x-max-length' for ${QUEUE}: "expected integer, got longstr"`,
      `invalid arg 'x-delivery-limit' for ${QUEUE} of queue type rabbit_classic_queue`,
    ]);
  });
});

describe("a second declaration", () => {
  function difference(received: Record<string, FieldValue>, current: Record<string, FieldValue>) {
    return refusal(() => checkArgumentsEquivalence(args(received), args(current), QUEUE));
  }

  test.each<[string, Record<string, FieldValue>, Record<string, FieldValue>]>([
    ["nothing and nothing", {}, {}],
    [
      "integers of another width",
      { "x-max-length": int(10) },
      { "x-max-length": { type: "l", value: 10n } },
    ],
    ["the type classic and none", { "x-queue-type": longstr("classic") }, {}],
    ["no type and classic", {}, { "x-queue-type": longstr("classic") }],
    ["arguments that nobody knows", { a: int(1) }, { a: int(2), b: int(3) }],
    [
      "arguments in another order",
      { "x-max-length": int(1), "x-expires": int(2) },
      { "x-expires": int(2), "x-max-length": int(1) },
    ],
  ])("agrees in %s", (_, received, current) => {
    expect(difference(received, current)).toBeUndefined();
  });

  const differing: [string, FieldValue | undefined, FieldValue | undefined, string][] = [
    ["x-max-length", int(20), int(10), "received '20' but current is '10'"],
    [
      "x-expires",
      int(1000),
      undefined,
      "received the value '1000' of type 'signedint' but current is none",
    ],
    [
      "x-expires",
      undefined,
      { type: "l", value: 2_592_000_000n },
      "received none but current is the value '2592000000' of type 'long'",
    ],
    ["x-max-length", longstr("10"), int(10), "received '10' but current is '10'"],
    ["x-max-length", { type: "d", value: 10 }, int(10), "received '10.0' but current is '10'"],
    [
      "x-dead-letter-exchange",
      longstr("dlx"),
      undefined,
      "received the value 'dlx' of type 'longstr' but current is none",
    ],
    ["x-single-active-consumer", bool(true), bool(false), "received 'true' but current is 'false'"],
    [
      "x-queue-type",
      longstr("quorum"),
      longstr("classic"),
      "received 'quorum' but current is 'classic'",
    ],
    [
      "x-queue-type",
      undefined,
      longstr("quorum"),
      "received none but current is the value 'quorum' of type 'longstr'",
    ],
  ];
  const rows = differing.map(
    ([name, received, current, difference]) =>
      [name, shown(received), shown(current), { received, current, difference }] as const,
  );

  test.each(rows)("does not agree: %s is %s, where it was %s", (name, _, __, row) => {
    const table = (value: FieldValue | undefined) => (value === undefined ? {} : { [name]: value });
    expect(difference(table(row.received), table(row.current))).toBe(
      `inequivalent arg '${name}' for ${QUEUE}: ${row.difference}`,
    );
  });
});
