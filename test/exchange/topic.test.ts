/** Topic exchanges against a matcher that tries everything, with patterns and keys out of the same few words. */
import { describe, expect, test } from "vitest";
import { type Random, seeded } from "../seeded.ts";
import { exchange, matched, message, noArguments, queue } from "./fixtures.ts";

function words(key: string): string[] {
  return key === "" ? [] : key.split(".");
}

/** Tries every number of words for every `#`. */
function matches(pattern: readonly string[], key: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return key.length === 0;
  if (first === "#") {
    return Array.from({ length: key.length + 1 }, (_, taken) => key.slice(taken)).some((left) =>
      matches(rest, left),
    );
  }
  const [word, ...others] = key;
  return word !== undefined && (first === "*" || first === word) && matches(rest, others);
}

function taken(pattern: string, key: string): boolean {
  const topic = exchange("topic");
  topic.bind(queue("q"), pattern, noArguments);
  const found = matched(topic, key).length === 1;
  expect([pattern, key, found]).toEqual([pattern, key, matches(words(pattern), words(key))]);
  return found;
}

describe("the pattern", () => {
  test.each([
    ["a.b", ["a.b"], ["", "a", "b", "a.b.c", "a.b.", ".a.b", "A.b", "a.*", "a.#", "ab"]],
    ["*", ["a", "*", "#", "word with spaces"], ["", "a.b", ".", "a."]],
    ["*.*", ["a.b", ".", "a.", ".b", "#.#"], ["", "a", "a.b.c"]],
    ["#", ["", "a", "a.b", ".", "a..b", "#", "*"], []],
    ["a.#", ["a", "a.", "a.b", "a.b.c", "a.#"], ["", "b", "ab", ".a"]],
    ["#.a", ["a", ".a", "b.a", "a.a"], ["", "a.", "a.b"]],
    ["#.#", ["", "a", "a.b"], []],
    ["*.#", ["a", "a.b", ".", "a."], [""]],
    ["#.*", ["a", "a.b", "."], [""]],
    ["a.*.c", ["a.b.c", "a..c", "a.*.c"], ["a.c", "a.b.b.c"]],
    ["a.#.c", ["a.c", "a.b.c", "a.b.b.c", "a.c.c"], ["a", "c", "a.b", "a.c.b"]],
    ["#.a.#", ["a", "a.a", "b.a.c", "b.b.a"], ["", "b", "b.c"]],
    ["", [""], ["a", "."]],
    [".", ["."], ["", "a", ".."]],
    ["a.", ["a."], ["a", "a.b"]],
    ["a*", ["a*"], ["a", "ab"]],
    ["a#", ["a#"], ["a", "ab", "a.b"]],
  ])("%o takes %j and not %j", (pattern, takes, leaves) => {
    for (const key of takes) expect([key, taken(pattern, key)]).toEqual([key, true]);
    for (const key of leaves) expect([key, taken(pattern, key)]).toEqual([key, false]);
  });

  test("of a hundred # is no work of centuries", () => {
    const pattern = Array.from({ length: 100 }, () => "#.a").join(".");
    const topic = exchange("topic");
    topic.bind(queue("q"), pattern, noArguments);
    expect(matched(topic, "a.".repeat(120).concat("b"))).toEqual([]);
    expect(matched(topic, "a.".repeat(119).concat("a"))).toEqual(["q"]);
  });
});

/** Few words, so that they meet: empty ones, wildcards, and literal text in keys that looks like them. */
function randomPattern(random: Random): string {
  const length = random.below(5);
  return Array.from({ length }, () => random.pick(["a", "b", "", "*", "#"])).join(".");
}

function randomKey(random: Random): string {
  const length = random.below(6);
  return Array.from({ length }, () => random.pick(["a", "b", "c", "", "*", "#"])).join(".");
}

seeded("one pattern takes a key if and only if trying everything finds a way", 400, (random) => {
  taken(randomPattern(random), randomKey(random));
});

seeded(
  "bindings come and go, and each key takes the destinations of those that are there",
  30,
  (random) => {
    const topic = exchange("topic");
    const queues = ["q0", "q1", "q2", "q3"].map(queue);
    const bound: { pattern: string; name: string }[] = [];
    for (let step = 0; step < 60; step++) {
      if (bound.length > 0 && random.chance(40)) {
        const [gone] = bound.splice(random.below(bound.length), 1);
        const destination = queues.find(({ name }) => name === gone!.name)!;
        expect(topic.unbind(destination, gone!.pattern, noArguments)).toBe(true);
      } else {
        const [pattern, destination] = [randomPattern(random), random.pick(queues)];
        const isNew = !bound.some(
          (one) => one.pattern === pattern && one.name === destination.name,
        );
        expect(topic.bind(destination, pattern, noArguments)).toBe(isNew);
        if (isNew) bound.push({ pattern, name: destination.name });
      }
      // The second look is answered from memory.
      const keys = [randomKey(random), randomKey(random)];
      for (const key of [...keys, ...keys]) {
        const fitting = bound.filter(({ pattern }) => matches(words(pattern), words(key)));
        const expected = [...new Set(fitting.map(({ name }) => name))].sort();
        expect([key, matched(topic, key)]).toEqual([key, expected]);
      }
    }
  },
);

test("what keys took is not remembered without limit", () => {
  const topic = exchange("topic");
  topic.bind(queue("q"), "#.9999", noArguments);
  for (let key = 0; key < 10_000; key++) matched(topic, `k.${key}`);
  expect(matched(topic, "k.9999")).toEqual(["q"]);
  expect(matched(topic, "k.1")).toEqual([]);
});

test("a destination bound by several patterns stays until the last of them is gone", () => {
  const topic = exchange("topic");
  const destination = queue("q");
  const patterns = ["a.*", "a.#", "*.b", "a.b"];
  for (const pattern of patterns) topic.bind(destination, pattern, noArguments);
  expect(topic.matcher.match("a.b", message("a.b"))).toEqual([destination]);
  for (const pattern of patterns) {
    expect(matched(topic, "a.b")).toEqual(["q"]);
    topic.unbind(destination, pattern, noArguments);
  }
  expect(matched(topic, "a.b")).toEqual([]);
});

test("the same pattern with other arguments is another binding", () => {
  const topic = exchange("topic");
  const destination = queue("q");
  topic.bind(destination, "a", noArguments);
  topic.bind(destination, "a", new Map([["n", { type: "I", value: 1 }]]));
  topic.unbind(destination, "a", noArguments);
  expect(matched(topic, "a")).toEqual(["q"]);
});
