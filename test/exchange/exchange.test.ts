/** An exchange's bindings: what makes two of them the same, and what their end leaves. */
import { describe, expect, test } from "vitest";
import { longstr } from "../../src/amqp/field-table.ts";
import { exchange, fields, matched, names, noArguments, queue } from "./fixtures.ts";

const one = longstr("1");

describe("a binding", () => {
  test("is there once, however often it is made", () => {
    const direct = exchange("direct");
    const destination = queue("q");
    expect(direct.bind(destination, "k", noArguments)).toBe(true);
    expect(direct.bind(destination, "k", noArguments)).toBe(false);
    expect([...direct.bindings]).toHaveLength(1);
    expect(direct.unbind(destination, "k", noArguments)).toBe(true);
    expect(direct.unbind(destination, "k", noArguments)).toBe(false);
    expect(matched(direct, "k")).toEqual([]);
    expect(direct.isUnused).toBe(true);
  });

  test("tells its source, destination, key and arguments", () => {
    const direct = exchange("direct");
    const [destination, args] = [queue("q"), fields({ a: one })];
    direct.bind(destination, "k", args);
    expect([...direct.bindings]).toEqual([
      { source: direct, destination, routingKey: "k", arguments: args },
    ]);
  });

  test("is another one with another key, other arguments or another destination", () => {
    const direct = exchange("direct");
    const [q, x] = [queue("n"), exchange("fanout", "n")];
    expect(direct.bind(q, "k", noArguments)).toBe(true);
    expect(direct.bind(q, "K", noArguments)).toBe(true);
    expect(direct.bind(q, "k", fields({ a: one }))).toBe(true);
    expect(direct.bind(q, "k", fields({ a: { type: "I", value: 1 } }))).toBe(true);
    expect(direct.bind(q, "k", fields({ a: one, b: one }))).toBe(true);
    expect(direct.bind(x, "k", noArguments)).toBe(true);
    expect([...direct.bindings]).toHaveLength(6);
  });

  test("is the same one whatever the order of its arguments", () => {
    const direct = exchange("direct");
    direct.bind(queue("q"), "k", fields({ a: one, b: longstr("2") }));
    expect(direct.bind(queue("q"), "k", fields({ b: longstr("2"), a: one }))).toBe(false);
    expect(direct.unbind(queue("q"), "k", fields({ b: longstr("2"), a: one }))).toBe(true);
  });

  test("is not another's because a name or a key holds odd characters", () => {
    const direct = exchange("direct");
    expect(direct.bind(queue("q"), "a\0b", noArguments)).toBe(true);
    expect(direct.bind(queue("q\0a"), "b", noArguments)).toBe(true);
    expect(names([...direct.bindings].map(({ destination }) => destination))).toEqual([
      "q",
      "q\0a",
    ]);
    expect(direct.unbind(queue("q\0a\0b"), "", noArguments)).toBe(false);
    direct.bind(queue("r"), "k", fields({ "": { type: "V", value: undefined } }));
    expect(direct.bind(queue("r"), "k\0\0\0\0\u0002\0V", noArguments)).toBe(true);
  });
});

describe("when a destination goes", () => {
  test("all its bindings go with it, and those of others stay", () => {
    const direct = exchange("direct");
    const [going, staying] = [queue("going"), queue("staying")];
    for (const key of ["a", "b"]) {
      direct.bind(going, key, noArguments);
      direct.bind(staying, key, noArguments);
    }
    direct.bind(going, "a", fields({ a: one }));
    expect(direct.unbindDestination(going)).toBe(true);
    expect(matched(direct, "a")).toEqual(["staying"]);
    expect(matched(direct, "b")).toEqual(["staying"]);
    expect(direct.unbindDestination(going)).toBe(false);
    expect(direct.unbindDestination(staying)).toBe(true);
    expect(direct.isUnused).toBe(true);
  });
});

describe("a message may go on to other exchanges", () => {
  test("while one is bound", () => {
    const source = exchange("fanout");
    const target = exchange("fanout", "target");
    source.bind(queue("q"), "", noArguments);
    expect([source.leadsToExchanges, source.routesByKeyAlone]).toEqual([false, true]);
    source.bind(target, "a", noArguments);
    source.bind(target, "b", noArguments);
    expect([source.leadsToExchanges, source.routesByKeyAlone]).toEqual([true, false]);
    source.unbind(target, "a", noArguments);
    expect(source.leadsToExchanges).toBe(true);
    source.unbindDestination(target);
    expect([source.leadsToExchanges, source.routesByKeyAlone]).toEqual([false, true]);
  });

  test("and its queues depend on more than its key with headers or an alternate exchange", () => {
    expect(exchange("headers").routesByKeyAlone).toBe(false);
    expect(exchange("direct", "x", "alternate").routesByKeyAlone).toBe(false);
    expect(exchange("topic").routesByKeyAlone).toBe(true);
  });
});
