/** The formats of rabbitmq.conf and enabled_plugins, as RabbitMQ reads them. */
import { describe, expect, test } from "vitest";
import { parseEnabledPlugins, sortPlugins } from "../../src/settings/plugins.ts";
import { ConfSyntaxError, parseConf } from "../../src/settings/rabbitmq-conf.ts";

function keysAndValues(content: string, environment = {}): [string, string][] {
  return parseConf(content, environment).map(({ key, value }) => [key.join(" "), value]);
}

const lines: [line: string, key: string, value: string][] = [
  ["a = 1", "a", "1"],
  ["a=1", "a", "1"],
  ["\ta.b.c  =  1  ", "a b c", "1"],
  ["a = two words # and a comment", "a", "two words"],
  ["a = 1#2", "a", "1"],
  ["a = b = c", "a", "b = c"],
  ["a-b_c.1 = x\ty", "a-b_c 1", "x\ty"],
  ["a\\.b = 1", "a.b", "1"],
  ["a.b\\.c = 1", "a b.c", "1"],
  ["a = 'x # y' # z", "a", "x # y"],
  ["a = ' x '", "a", " x "],
  ["a = 'x'y", "a", "'x'y"],
  ["a = it's", "a", "it's"],
  ['a = "x"', "a", '"x"'],
  ["a = é", "a", "é"],
];

describe("G8 rabbitmq.conf", () => {
  test.each(lines)("G8 %j has a key and a value", (line, key, value) => {
    expect(keysAndValues(line)).toEqual([[key, value]]);
  });

  test("G8 comments and blank lines count as lines only, with line ends of both kinds", () => {
    const entries = parseConf("# c\r\n\r\n  # c\na = 1\r\n\nb = 2", {});
    expect(entries).toEqual([
      { key: ["a"], value: "1", line: 4 },
      { key: ["b"], value: "2", line: 6 },
    ]);
  });

  test.each([
    "foo bar",
    "a =",
    "a = # b",
    "a b = c",
    "= 5",
    "a/b = c",
    "a..b = c",
    "include x.conf",
  ])("G8 %j is refused with its line", (line) => {
    const parse = () => parseConf(`ok = 1\n${line}\n`, {});
    expect(parse).toThrow(ConfSyntaxError);
    expect(parse).toThrow(expect.objectContaining({ line: 2 }));
  });

  test("G8 what is refused is not repeated, as there may be a password in it", () => {
    const parse = () => parseConf("default_pass: s3cret", {});
    expect(parse).toThrow(/^a line is KEY = VALUE, or a comment that begins with #$/);
  });

  test("G8 $(NAME) stands for a variable, and there has to be one", () => {
    const content = "default_user = $(WHO)-$(WHERE)";
    expect(keysAndValues(content, { WHO: "me", WHERE: "here" })).toEqual([
      ["default_user", "me-here"],
    ]);
    expect(() => keysAndValues(content, { WHO: "me" })).toThrow("$(WHERE)");
  });
});

describe("G10 enabled_plugins", () => {
  test("G10 is an Erlang list of names", () => {
    expect(parseEnabledPlugins("[rabbitmq_management,rabbitmq_prometheus].\n")).toEqual([
      "rabbitmq_management",
      "rabbitmq_prometheus",
    ]);
    expect(parseEnabledPlugins("% mine\n[\n  rabbitmq_top % why\n].")).toEqual(["rabbitmq_top"]);
    expect(parseEnabledPlugins("[].")).toEqual([]);
  });

  test.each(["", "rabbitmq_management", "[a,b]", "[a b].", "[a,].", "[A]."])(
    "G10 %j is none",
    (content) => {
      expect(parseEnabledPlugins(content)).toBeUndefined();
    },
  );

  test("G10 what a plugin adds is built in or not offered, and parts of plugins are neither", () => {
    const names = ["rabbitmq_auth_mechanism_ssl", "rabbitmq_web_dispatch", "my_plugin"];
    expect(sortPlugins(names)).toEqual({
      builtIn: ["rabbitmq_auth_mechanism_ssl"],
      notOffered: ["my_plugin"],
    });
  });
});
