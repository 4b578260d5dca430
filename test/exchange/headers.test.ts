/** Headers exchanges: the modes of x-match, which keys count, and when values are the same. */
import { describe, expect, test } from "vitest";
import { AmqpError } from "../../src/amqp/errors.ts";
import { type FieldTable, type FieldValue, longstr } from "../../src/amqp/field-table.ts";
import { type Random, seeded } from "../seeded.ts";
import { exchange, fields, matched, noArguments, queue, typeNamed } from "./fixtures.ts";

const [one, two] = [longstr("1"), longstr("2")];
const nothing: FieldValue = { type: "V", value: undefined };

function takes(args: FieldTable, headers: FieldTable): boolean {
  const headersExchange = exchange("headers");
  headersExchange.bind(queue("q"), "ignored", args);
  return matched(headersExchange, "", headers).length === 1;
}

/** Text values only: `{ a: "1" }`. */
function texts(entries: Record<string, string>): FieldTable {
  return new Map(Object.entries(entries).map(([key, text]) => [key, longstr(text)]));
}

describe("a binding with x-match", () => {
  test.each<[string | undefined, Record<string, string>, boolean]>([
    [undefined, { a: "1", "x-b": "2", c: "1" }, true],
    [undefined, { a: "1" }, true],
    [undefined, { "x-b": "2" }, false],
    ["all", { a: "1" }, true],
    ["all", { a: "2", "x-b": "2" }, false],
    ["all", {}, false],
    ["any", { a: "1" }, true],
    ["any", { "x-b": "2" }, false],
    ["any", { a: "2", "x-b": "2" }, false],
    ["all-with-x", { a: "1", "x-b": "2" }, true],
    ["all-with-x", { a: "1" }, false],
    ["all-with-x", { a: "1", "x-b": "1" }, false],
    ["any-with-x", { a: "2", "x-b": "2" }, true],
    ["any-with-x", { a: "1" }, true],
    ["any-with-x", { a: "2", "x-b": "1" }, false],
    ["any-with-x", {}, false],
  ])("%s for a=1 and x-b=2, given %j: %s", (mode, headers, expected) => {
    const wanted = { a: "1", "x-b": "2" };
    const args = texts(mode === undefined ? wanted : { ...wanted, "x-match": mode });
    expect(takes(args, texts(headers))).toBe(expected);
  });

  test.each([
    ["all", true],
    ["any", false],
    ["all-with-x", true],
    ["any-with-x", false],
  ])("%s and nothing to match takes every message: %s", (mode, expected) => {
    const args = fields({ "x-match": longstr(mode) });
    for (const headers of [noArguments, fields({ a: one }), fields({ "x-match": longstr(mode) })])
      expect(takes(args, headers)).toBe(expected);
  });

  test("is not itself a header to be found", () => {
    const args = fields({ "x-match": longstr("any-with-x"), a: one });
    expect(takes(args, fields({ "x-match": longstr("any-with-x") }))).toBe(false);
  });
});

describe("a header", () => {
  test("without a value in the binding has only to be there", () => {
    for (const value of [one, nothing, { type: "t", value: false }] as FieldValue[])
      expect(takes(fields({ a: nothing }), fields({ a: value }))).toBe(true);
    expect(takes(fields({ a: nothing }), fields({ b: one }))).toBe(false);
  });

  test("with a value in the binding is not met by one without", () => {
    expect(takes(fields({ a: one }), fields({ a: nothing }))).toBe(false);
  });

  test.each<[string, FieldValue, FieldValue]>([
    ["text and a number", one, { type: "I", value: 1 }],
    ["a number and a boolean", { type: "I", value: 1 }, { type: "t", value: true }],
    ["an integer and a float", { type: "I", value: 1 }, { type: "d", value: 1 }],
    ["text in another case", longstr("a"), longstr("A")],
    ["text and more of it", longstr("a"), longstr("ab")],
    [
      "64-bit integers that differ in the last bit",
      { type: "l", value: 2n ** 53n },
      { type: "l", value: 2n ** 53n + 1n },
    ],
  ])("is not another: %s", (_, wanted, given) => {
    expect(takes(fields({ a: wanted }), fields({ a: given }))).toBe(false);
    expect(takes(fields({ a: given }), fields({ a: wanted }))).toBe(false);
  });

  test.each<[string, FieldValue, FieldValue]>([
    ["whole numbers of any width", { type: "b", value: 1 }, { type: "l", value: 1n }],
    ["floats of any width", { type: "f", value: 1.5 }, { type: "d", value: 1.5 }],
    ["64-bit integers", { type: "l", value: 2n ** 53n + 1n }, { type: "L", value: 2n ** 53n + 1n }],
    ["text", longstr("é"), longstr("é")],
  ])("is the same: %s", (_, wanted, given) => {
    expect(takes(fields({ a: wanted }), fields({ a: given }))).toBe(true);
    expect(takes(fields({ a: given }), fields({ a: wanted }))).toBe(true);
  });
});

describe("refused is an x-match", () => {
  const validate = (value: FieldValue) =>
    typeNamed("headers").validateBinding!(
      "",
      fields({ "x-match": value }),
      queue("q"),
      noArguments,
    );

  test.each([
    ["some", longstr("some"), 'value <<"some">>; expected all, any, all-with-x, or any-with-x'],
    ["All", longstr("All"), 'value <<"All">>; expected all, any, all-with-x, or any-with-x'],
    ["1", { type: "I", value: 1 } as FieldValue, "type signedint (value 1); expected longstr"],
    ["true", { type: "t", value: true } as FieldValue, "type bool (value true); expected longstr"],
  ])("of %s", (_, value, text) => {
    expect(() => validate(value)).toThrow(AmqpError);
    expect(() => validate(value)).toThrow(`Invalid x-match field ${text}`);
  });

  test("but none of the four modes", () => {
    for (const mode of ["all", "any", "all-with-x", "any-with-x"])
      expect(() => validate(longstr(mode))).not.toThrow();
  });
});

const keys = ["a", "b", "x-a", "x-b"];
const values: FieldValue[] = [one, two, { type: "I", value: 1 }, nothing];

function randomFields(random: Random): FieldTable {
  return new Map(keys.flatMap((key) => (random.chance(40) ? [[key, random.pick(values)]] : [])));
}

/** By the rule as it is written down. */
function model(args: FieldTable, headers: FieldTable): boolean {
  const mode = args.get("x-match")?.value?.toString() ?? "all";
  const counting = keys.filter(
    (key) => args.has(key) && (mode.endsWith("-with-x") || !key.startsWith("x-")),
  );
  const fitting = counting.filter((key) => {
    const [wanted, given] = [args.get(key)!, headers.get(key)];
    if (given === undefined) return false;
    return wanted.type === "V" || `${wanted.type}${wanted.value}` === `${given.type}${given.value}`;
  });
  return mode.startsWith("any") ? fitting.length > 0 : fitting.length === counting.length;
}

seeded("bindings come and go, and each message takes those whose rule it meets", 60, (random) => {
  const headersExchange = exchange("headers");
  const bound: { args: FieldTable; name: string }[] = [];
  const queues = ["q0", "q1", "q2"].map(queue);
  for (let step = 0; step < 50; step++) {
    if (bound.length > 0 && random.chance(40)) {
      const [gone] = bound.splice(random.below(bound.length), 1);
      const destination = queues.find(({ name }) => name === gone!.name)!;
      expect(headersExchange.unbind(destination, "", gone!.args)).toBe(true);
    } else {
      const args = randomFields(random);
      const mode = random.pick([undefined, "all", "any", "all-with-x", "any-with-x"]);
      if (mode !== undefined) args.set("x-match", longstr(mode));
      const destination = random.pick(queues);
      if (headersExchange.bind(destination, "", args)) bound.push({ args, name: destination.name });
    }
    const headers = randomFields(random);
    const fitting = bound.filter(({ args }) => model(args, headers));
    const expected = [...new Set(fitting.map(({ name }) => name))].sort();
    expect(matched(headersExchange, "any key", headers)).toEqual(expected);
  }
});
