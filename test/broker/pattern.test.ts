/**
 * The regular expressions of permissions: what they match, against JavaScript's on random patterns; what they refuse; and
 * that no text makes them slow.
 */
import { describe, expect, test } from "vitest";
import { Pattern } from "../../src/broker/pattern.ts";
import { type Random, seeded } from "../seeded.ts";

function matches(pattern: string, text: string): boolean {
  return new Pattern(pattern).matches(text);
}

describe("A6 a pattern", () => {
  test.each([
    // Not anchored, as permissions are not.
    ["b", "abc", true],
    ["", "anything", true],
    ["^$", "", true],
    ["^$", "a", false],
    [".*", "", true],
    ["^amq\\.", "amq.direct", true],
    ["^amq\\.", "amqXdirect", false],
    ["^(?!amq\\.).*", "amq.topic", false],
    ["^(?!amq\\.).*", "orders", true],
    ["^(?!.*secret)", "top-secret", false],
    ["^(a|b)-.+$", "b-1", true],
    ["^(amq\\.gen.*|amq\\.default)$", "amq.default", true],
    ["(?i)^ORDERS$", "oRders", true],
    ["^a(?i)b|c$", "xC", true],
    ["^(?i:a)b$", "Ab", true],
    ["^(?i:a)b$", "AB", false],
    ["(?i)[a-c]+$", "XABC", true],
    ["^(?i)a(?-i)b$", "AB", false],
    ["^[[:alpha:]_]+\\d{2,3}$", "ab_123", true],
    ["^[[:^digit:]]+$", "ab1", false],
    ["^[]a]+$", "a]", true],
    ["^[^]a]+$", "b]", false],
    ["^[\\w.-]+$", "a-b.c_1", true],
    ["^[a\\-z]+$", "b", false],
    ["^\\Qa.b*\\E+$", "a.b**", true],
    ["^\\Qa.b\\E$", "axb", false],
    ["^\\x41\\x{42}\\t\\n$", "AB\t\n", true],
    ["^a{2}$", "aa", true],
    ["^a{,2}$", "a{,2}", true],
    ["^a{x}$", "a{x}", true],
    ["^(?<year>\\d{4})(?P<month>\\d\\d)$", "202611", true],
    ["(?<=a)b", "ab", true],
    ["(?<!a)b", "ab", false],
    ["(?<=^(a|bc))d$", "bcd", true],
    ["\\bword\\b", "a word.", true],
    ["\\bword\\b", "swords", false],
    ["^a.c$", "a\nc", false],
    ["(?s)^a.c$", "a\nc", true],
    // A line feed at the end is no end for \z alone.
    ["a$", "a\n", true],
    ["a\\Z", "a\n", true],
    ["a\\z", "a\n", false],
    ["(?m)^b$", "a\nb\nc", true],
    ["^b$", "a\nb\nc", false],
    ["^a(?#nothing to see)b$", "ab", true],
    ["^(?:)*$", "", true],
    ["^(a*)*$", "aaa", true],
    ["^(?=(?!b).)a", "a", true],
    // Names are bytes in UTF-8.
    ["^é$", "é", true],
    ["^..$", "é", true],
    ["^日本-.*$", "日本-1", true],
  ])("%j on %j: %j", (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected);
  });

  test.each([
    ["(", "missing closing parenthesis at offset 0"],
    ["a)", "unmatched closing parenthesis at offset 1"],
    ["*", "nothing to repeat at offset 0"],
    ["a|*", "nothing to repeat at offset 2"],
    ["[a", "missing terminating ] for [ at offset 0"],
    ["[b-a]", "range out of order in character class at offset 2"],
    ["[[:foo:]]", "unknown POSIX class name at offset 1"],
    ["a\\", "\\ at the end of the pattern at offset 1"],
    ["a{3,2}", "numbers out of order in {} quantifier at offset 1"],
    ["a{70000}", "number too big in {} quantifier at offset 1"],
    ["(a)\\1", "\\1 is not supported at offset 3"],
    ["(?>a)", "this kind of group is not supported at offset 0"],
    ["(?R)", "option (?R) is not supported at offset 0"],
    ["a++", "a possessive quantifier is not supported at offset 2"],
    ["(*UTF8)a", "a verb such as (*UTF8) is not supported at offset 0"],
    ["(a{500}){500}", "it comes to more than 2000 steps"],
    [`${"(?!a)".repeat(11)}`, "it looks ahead or behind in more than 10 places"],
    ["(".repeat(60), "groups are nested too deep at offset 50"],
  ])("%j is refused: %s", (pattern, reason) => {
    expect(() => new Pattern(pattern)).toThrow(
      expect.objectContaining({ name: "PatternError", message: reason }),
    );
  });

  test("that makes a backtracking matcher hang is answered all the same", () => {
    const name = `${"a".repeat(254)}!`;
    for (const pattern of [
      "^(a+)+$",
      "^(a|a)*$",
      "^(a*)*b$",
      "(a*a*a*a*a*a*a*a*a*)*c",
      "(?=(a+)+$)b",
      "^(?!(a|a)*$)(?!(a|aa)+$)(a+)+$",
    ]) {
      expect(matches(pattern, name)).toBe(false);
    }
    expect(matches("(a+)+!(?<=(a|a)+!)$", name)).toBe(true);
  });
});

const atoms = ["a", "b", "c", ".", "\\w", "[ab]", "[^a]", "\\b", "^", "$", "a", "b"];

function randomPattern(random: Random, depth: number): string {
  const items = Array.from({ length: random.between(0, 3) }, () => {
    const atom =
      depth > 0 && random.chance(40)
        ? `${random.pick(["(", "(?:", "(?=", "(?!", "(?<=", "(?<!"])}${randomPattern(random, depth - 1)})`
        : random.pick(atoms);
    // JavaScript has no repeated assertions.
    if (/^(\(\?[=!<]|\\b|\^|\$)/.test(atom)) return atom;
    return atom + random.pick(["", "", "", "*", "+", "?", "{2}", "{1,2}", "{1,}", "*?"]);
  });
  const sequence = items.join("");
  return random.chance(25) ? `${sequence}|${randomPattern(random, depth - 1)}` : sequence;
}

seeded("A6 random patterns match what JavaScript's do", 3000, (random) => {
  const source = randomPattern(random, 2);
  const pattern = new Pattern(source);
  const model = new RegExp(source);
  for (let count = 0; count < 20; count++) {
    const text = Array.from({ length: random.below(7) }, () =>
      random.pick(["a", "b", "c", "-"]),
    ).join("");
    if (pattern.matches(text) !== model.test(text))
      throw new Error(`/${source}/ on ${JSON.stringify(text)}: it should be ${model.test(text)}`);
  }
});
