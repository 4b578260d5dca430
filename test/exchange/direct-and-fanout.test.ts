/** Direct and fanout exchanges against a list of bindings that is searched. */
import { describe, expect, test } from "vitest";
import { exchangeTypes } from "../../src/exchange/types.ts";
import { seeded } from "../seeded.ts";
import { exchange, matched, message, noArguments, queue } from "./fixtures.ts";

test("each type of exchange is there under its own name", () => {
  expect([...exchangeTypes.keys()].slice(0, 4)).toEqual(["direct", "fanout", "topic", "headers"]);
  for (const [name, type] of exchangeTypes) expect(type.name).toBe(name);
});

test("of the protocol's own types only headers exchanges look at more than the routing key", () => {
  const uses = [...exchangeTypes]
    .slice(0, 4)
    .map(([name]) => [name, exchange(name).matcher.usesHeaders]);
  expect(Object.fromEntries(uses)).toEqual({
    direct: false,
    fanout: false,
    topic: false,
    headers: true,
  });
});

describe.each([
  ["direct", (bound: string, key: string) => bound === key],
  ["fanout", () => true],
])("a %s exchange", (type, fits: (bound: string, key: string) => boolean) => {
  seeded("takes the destinations of the bindings that fit, each once", 80, (random) => {
    const under = exchange(type);
    const queues = ["q0", "q1", "q2", "q3"].map(queue);
    const keys = ["", "a", "A", "a.b", "a.*", "#", "constructor"];
    const bound: { key: string; name: string }[] = [];
    for (let step = 0; step < 80; step++) {
      const [key, destination] = [random.pick(keys), random.pick(queues)];
      const known = bound.findIndex((one) => one.key === key && one.name === destination.name);
      if (random.chance(50)) {
        expect(under.unbind(destination, key, noArguments)).toBe(known >= 0);
        if (known >= 0) bound.splice(known, 1);
      } else {
        expect(under.bind(destination, key, noArguments)).toBe(known < 0);
        if (known < 0) bound.push({ key, name: destination.name });
      }
      const asked = random.pick(keys);
      const fitting = bound.filter((one) => fits(one.key, asked));
      const expected = [...new Set(fitting.map(({ name }) => name))].sort();
      expect([asked, matched(under, asked)]).toEqual([asked, expected]);
    }
  });

  test("answers with an array that a later binding does not change", () => {
    const under = exchange(type);
    under.bind(queue("q0"), "k", noArguments);
    const before = under.matcher.match("k", message("k"));
    under.bind(queue("q1"), "k", noArguments);
    expect(before).toHaveLength(1);
    expect(matched(under, "k")).toEqual(["q0", "q1"]);
  });
});
