/** Errors: their codes, what they close, and a text that fits into a shortstr. */
import { describe, expect, test } from "vitest";
import {
  AmqpError,
  DecodeError,
  FrameError,
  type ReplyName,
  replies,
} from "../../src/amqp/errors.ts";

/** RabbitMQ's hard and soft errors. */
const specified: Record<"channel" | "connection", Record<string, number>> = {
  channel: {
    CONTENT_TOO_LARGE: 311,
    NO_ROUTE: 312,
    NO_CONSUMERS: 313,
    ACCESS_REFUSED: 403,
    NOT_FOUND: 404,
    RESOURCE_LOCKED: 405,
    PRECONDITION_FAILED: 406,
  },
  connection: {
    CONNECTION_FORCED: 320,
    INVALID_PATH: 402,
    FRAME_ERROR: 501,
    SYNTAX_ERROR: 502,
    COMMAND_INVALID: 503,
    CHANNEL_ERROR: 504,
    UNEXPECTED_FRAME: 505,
    RESOURCE_ERROR: 506,
    NOT_ALLOWED: 530,
    NOT_IMPLEMENTED: 540,
    INTERNAL_ERROR: 541,
  },
};

test("the table of replies has every error of the protocol, with its code and what it closes", () => {
  const expected = Object.entries(specified).flatMap(([scope, codes]) =>
    Object.entries(codes).map(([name, code]) => [name, { code, scope }]),
  );
  expect(replies).toEqual(Object.fromEntries(expected));
});

test("an error carries its code, its scope, and its name before its text", () => {
  const error = new AmqpError("NOT_FOUND", "no queue 'q' in vhost '/'");
  expect(error).toMatchObject({
    replyCode: 404,
    closes: "channel",
    replyText: "NOT_FOUND - no queue 'q' in vhost '/'",
    logText: "NOT_FOUND - no queue 'q' in vhost '/'",
    method: undefined,
  });
});

test("the log may be told something else than the client", () => {
  const error = new AmqpError("SYNTAX_ERROR", 'response <<"secret">> invalid', {
    logText: "malformed response",
  });
  expect(error.replyText).toContain("secret");
  expect(error.logText).toBe("SYNTAX_ERROR - malformed response");
});

test("a broken frame belongs to no method, a broken method to its own", () => {
  expect(new FrameError("x")).toMatchObject({ replyCode: 501, method: [0, 0] });
  expect(new DecodeError("x")).toMatchObject({ replyCode: 501, method: undefined });
});

describe("a reply text", () => {
  const prefixBytes = "NOT_FOUND - ".length;
  const textOf = (text: string, name: ReplyName = "NOT_FOUND") =>
    new AmqpError(name, text).replyText;

  test("of up to 255 bytes stays as it is", () => {
    const text = "q".repeat(255 - prefixBytes);
    expect(textOf(text)).toBe(`NOT_FOUND - ${text}`);
    const accents = "é".repeat((255 - prefixBytes - 1) / 2);
    expect(textOf(`${accents}q`)).toBe(`NOT_FOUND - ${accents}q`);
  });

  test("of more is cut to 255 bytes of which the last three are dots", () => {
    expect(textOf("q".repeat(256 - prefixBytes))).toBe(
      `NOT_FOUND - ${"q".repeat(252 - prefixBytes)}...`,
    );
    expect(textOf("q".repeat(10_000))).toHaveLength(255);
  });

  test.each([
    ["é", 2],
    ["漢", 3],
    ["🐇", 4],
  ])("is not cut within a character such as %s", (character, bytes) => {
    for (let shift = 0; shift < bytes; shift++) {
      const text = textOf("q".repeat(shift) + character.repeat(200));
      expect(text.endsWith(`${character}...`)).toBe(true);
      expect(text).not.toContain("\ufffd");
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(255);
      expect(Buffer.byteLength(text)).toBeGreaterThan(255 - bytes);
      expect(Buffer.from(text).toString()).toBe(text);
    }
  });
});
