/** Delayed-message exchanges: which delays count, and what routes a message that may pass. */
import { describe, expect, test } from "vitest";
import { type FieldTable, type FieldValue, longstr } from "../../src/amqp/field-table.ts";
import { VirtualClock } from "../../src/clock.ts";
import { delayMs, negateDelay } from "../../src/exchange/delayed-message.ts";
import { Exchange, type Shelf } from "../../src/exchange/exchange.ts";
import { fields, matched, noArguments, queue, typeNamed } from "./fixtures.ts";

const delays: [FieldValue, number][] = [
  [{ type: "I", value: 5000 }, 5000],
  [{ type: "b", value: 7 }, 7],
  [{ type: "B", value: 200 }, 200],
  [{ type: "s", value: 300 }, 300],
  [{ type: "u", value: 40_000 }, 40_000],
  [{ type: "i", value: 2 ** 32 - 1 }, 2 ** 32 - 1],
  [{ type: "l", value: 2n ** 32n - 1n }, 2 ** 32 - 1],
  [{ type: "l", value: 2n ** 32n }, 0],
  [{ type: "l", value: 2n ** 62n }, 0],
  [{ type: "I", value: 0 }, 0],
  [{ type: "I", value: -5000 }, 0],
  [{ type: "d", value: 1500.9 }, 1500],
  [{ type: "f", value: 0.5 }, 0],
  [{ type: "d", value: -2.5 }, 0],
  [{ type: "d", value: Number.NaN }, 0],
  [{ type: "d", value: Number.POSITIVE_INFINITY }, 0],
  [longstr("5000"), 5000],
  [longstr("+60"), 60],
  [longstr("-5000"), 0],
  [longstr("5s"), 0],
  [longstr("1.5"), 0],
  [longstr(""), 0],
  [{ type: "t", value: true }, 0],
  [{ type: "V", value: undefined }, 0],
  [{ type: "T", value: 5000n }, 0],
];

describe("X26 x-delay", () => {
  test.each(delays.map(([value, expected]) => [value.type, String(value.value), expected, value]))(
    "of type %s and value '%s' makes a message wait %d ms",
    (_type, _text, expected, value) => {
      expect(delayMs(fields({ "x-delay": value as FieldValue }))).toBe(expected);
    },
  );

  test("is no delay when it is not there", () => {
    expect(delayMs(noArguments)).toBe(0);
  });

  test("has a minus when the message has waited, and lets it pass then", () => {
    for (const [value, delay] of delays) {
      const headers: FieldTable = new Map([["x-delay", value]]);
      negateDelay(headers);
      const after = headers.get("x-delay");
      if (delay === 0) expect(after).toBe(value);
      else expect(Number(after?.value)).toBe(-delay);
      expect(delayMs(headers)).toBe(0);
    }
  });
});

function delaying(type: string, more: Record<string, FieldValue> = {}): Exchange {
  const shelf: Shelf = {
    ...{ kind: "shelf", name: "shelf", persists: false, length: 0 },
    discard: () => undefined,
  };
  return new Exchange({
    ...{ name: "x", type: typeNamed("x-delayed-message"), alternateExchange: undefined },
    ...{ durable: false, autoDelete: false, internal: false, shelf, clock: new VirtualClock() },
    arguments: fields({ "x-delayed-type": longstr(type), ...more }),
  });
}

describe("X26 a delayed-message exchange", () => {
  const delayed = fields({ "x-delay": { type: "I", value: 1 } });
  const waited = fields({ "x-delay": { type: "I", value: -1 } });

  test("keeps what is delayed, bindings or not, and routes the rest by its type", () => {
    const of = delaying("topic");
    expect(matched(of, "a.b", delayed)).toEqual(["shelf"]);
    expect(matched(of, "a.b")).toEqual([]);
    of.bind(queue("q"), "a.*", noArguments);
    expect(matched(of, "a.b", waited)).toEqual(["q"]);
    expect(matched(of, "b", waited)).toEqual([]);
    expect(matched(of, "a.b", delayed)).toEqual(["shelf"]);
    of.unbind(of.bindings[Symbol.iterator]().next().value!.destination, "a.*", noArguments);
    expect(matched(of, "a.b", waited)).toEqual([]);
  });

  test("takes several keys as its type takes them", () => {
    const message = {
      ...{ routingKey: "a", decodeHeaders: () => noArguments },
      ...{ decodeProperty: () => undefined, remember: () => undefined },
    };
    const direct = delaying("direct");
    for (const name of ["a", "b"]) direct.bind(queue(name), name, noArguments);
    expect(direct.matcher.matchKeys?.(["a", "b", "a"], message)).toHaveLength(2);
    const hashing = delaying("x-consistent-hash");
    for (const name of ["a", "b"]) hashing.bind(queue(name), "1", noArguments);
    expect(hashing.matcher.matchKeys?.(["a", "b", "a"], message)).toHaveLength(1);
  });

  test("asks its type about arguments and bindings", () => {
    const { validate, validateBinding } = typeNamed("x-delayed-message");
    const hashing = fields({
      ...{ "x-delayed-type": longstr("x-consistent-hash"), "hash-property": longstr("app_id") },
    });
    expect(() => validate?.(hashing)).toThrow("Unsupported property: app_id");
    expect(() => validateBinding?.("key", noArguments, queue("q"), hashing)).toThrow(
      "The binding key must be an integer",
    );
  });

  test.each<[Record<string, FieldValue>, string]>([
    [{}, "Invalid argument, 'x-delayed-type' must be an existing exchange type"],
    [
      { "x-delayed-type": { type: "I", value: 1 } },
      "Invalid argument, 'x-delayed-type' must be an existing exchange type",
    ],
    [{ "x-delayed-type": longstr("nonsense") }, "unknown exchange type 'nonsense'"],
    [
      { "x-delayed-type": longstr("x-delayed-message") },
      "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'",
    ],
  ])("is refused with the arguments %j", (args, text) => {
    expect(() => typeNamed("x-delayed-message").validate?.(fields(args))).toThrow(text);
  });
});
