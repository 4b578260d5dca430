/** Frames out of a byte stream, however the stream was cut; what is wrong with a broken one, in RabbitMQ's words. */
import { describe, expect, test } from "vitest";
import { AmqpError } from "../../src/amqp/errors.ts";
import { FrameParser } from "../../src/amqp/frame-parser.ts";
import { type Random, seeded } from "../seeded.ts";
import { type FrameEvent, FrameRecorder } from "./frame-recorder.ts";
import { arrivals, frame, wire } from "./wire.ts";

const FRAME_MAX = 4096;

/** Feeds chunks, and spoils each one once it has been pushed: nothing of it may be kept. */
function parse(chunks: readonly Buffer[], frameMax = FRAME_MAX) {
  const recorder = new FrameRecorder();
  const parser = new FrameParser(recorder, frameMax);
  let error: unknown;
  try {
    for (const chunk of chunks) {
      parser.push(chunk);
      chunk.fill(0xce);
    }
  } catch (thrown) {
    error = thrown;
  }
  return { events: recorder.events, error };
}

function expectFrames(stream: Buffer, expected: FrameEvent[], frameMax = FRAME_MAX): void {
  for (const { how, chunks } of arrivals(stream)) {
    const { events, error } = parse(chunks, frameMax);
    expect({ how, events, error }).toEqual({ how, events: expected, error: undefined });
  }
}

const publish = wire(1, 0, 1, 0, 0, 0, 11, 0, 60, 0, 40, 0, 0, 0, 3, "key", 0xce);
const publishEvent: FrameEvent = ["method", 1, "003c002800000003".concat("6b6579")];
const header = wire(2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0xce);
const headerEvent: FrameEvent = ["header", 1, "003c000000000000000000050000"];
const heartbeat = wire(8, 0, 0, 0, 0, 0, 0, 0xce);
const heartbeatEvent: FrameEvent = ["heartbeat", 0, ""];
const body = (text: string, channel = 1) => frame(3, channel, Buffer.from(text));
const bodyEvent = (text: string, channel = 1): FrameEvent => [
  "body",
  channel,
  Buffer.from(text).toString("hex"),
];

describe("frames come out the same whole, cut in two at every byte, and byte by byte:", () => {
  test.each<[string, Buffer[], FrameEvent[]]>([
    ["a method", [publish], [publishEvent]],
    ["a heartbeat", [heartbeat], [heartbeatEvent]],
    [
      "a message",
      [publish, header, body("abcde")],
      [publishEvent, headerEvent, bodyEvent("abcde")],
    ],
    [
      "a body in many frames",
      [publish, header, body("a"), body("bc"), body("d"), body("e"), publish],
      [publishEvent, headerEvent, bodyEvent("abcde"), publishEvent],
    ],
    [
      "a body that looks like frame ends",
      [body("\u00ce\u00ce"), frame(3, 1, Buffer.alloc(6, 0xce)), heartbeat],
      [["body", 1, "c38ec38e".concat("ce".repeat(6))], heartbeatEvent],
    ],
    [
      "a frame of a body that is empty",
      [header, body(""), publish],
      [headerEvent, bodyEvent(""), publishEvent],
    ],
    [
      "nothing but empty bodies",
      [body(""), body("", 2), body("")],
      [bodyEvent(""), bodyEvent("", 2), bodyEvent("")],
    ],
    [
      "bodies of two channels in turn",
      [body("ab"), body("xy", 2), heartbeat, body("cd"), body("z", 258)],
      [bodyEvent("ab"), bodyEvent("xy", 2), heartbeatEvent, bodyEvent("cd"), bodyEvent("z", 258)],
    ],
    ["the highest channel", [frame(1, 0xffff, wire(1, 2, 3, 4))], [["method", 0xffff, "01020304"]]],
    [
      "a method larger than what is kept at first",
      [frame(1, 3, Buffer.alloc(300, 7)), heartbeat],
      [["method", 3, "07".repeat(300)], heartbeatEvent],
    ],
    [
      "the shortest method and content header",
      [frame(1, 1, Buffer.alloc(4)), frame(2, 1, Buffer.alloc(12))],
      [
        ["method", 1, "00".repeat(4)],
        ["header", 1, "00".repeat(12)],
      ],
    ],
  ])("%s", (_, frames, expected) => {
    expectFrames(Buffer.concat(frames), expected);
  });

  test("a frame of the largest size", () => {
    const stream = Buffer.concat([
      frame(1, 1, Buffer.alloc(56, 1)),
      frame(3, 1, Buffer.alloc(56, 2)),
    ]);
    expectFrames(
      stream,
      [
        ["method", 1, "01".repeat(56)],
        ["body", 1, "02".repeat(56)],
      ],
      64,
    );
  });
});

function randomFrame(random: Random): { bytes: Buffer; event: FrameEvent } {
  const channel = random.below(4);
  const payload = random.bytes(random.chance(10) ? random.between(250, 900) : random.below(40));
  if (random.chance(10)) return { bytes: heartbeat, event: heartbeatEvent };
  const [type, kind] = random.pick([
    [1, "method"],
    [2, "header"],
    [3, "body"],
    [3, "body"],
  ] as const);
  const long = type === 3 ? payload : Buffer.concat([Buffer.alloc(12), payload]);
  return { bytes: frame(type, channel, long), event: [kind, channel, long.toString("hex")] };
}

/** As the recorder does it. */
function merged(events: FrameEvent[]): FrameEvent[] {
  const all: FrameEvent[] = [];
  for (const event of events) {
    const last = all.at(-1);
    if (event[0] === "body" && last?.[0] === "body" && last[1] === event[1]) last[2] += event[2];
    else all.push([...event]);
  }
  return all;
}

seeded("random frames come out of chunks of random sizes as they went in", 300, (random) => {
  const frames = Array.from({ length: random.between(1, 20) }, () => randomFrame(random));
  const stream = Buffer.concat(frames.map(({ bytes }) => bytes));
  const chunks: Buffer[] = [];
  const largest = random.pick([1, 3, 10, 100, 5000]);
  for (let at = 0; at < stream.length; at += chunks.at(-1)!.length) {
    const size = random.between(1, largest);
    chunks.push(Buffer.from(stream.subarray(at, at + size)));
  }
  const { events, error } = parse(chunks);
  expect(error).toBeUndefined();
  expect(events).toEqual(merged(frames.map(({ event }) => event)));
});

describe("a body frame", () => {
  test("is handed over in the pieces in which it arrives, before it is whole", () => {
    const recorder = new FrameRecorder();
    const parser = new FrameParser(recorder, FRAME_MAX);
    parser.push(wire(3, 0, 1, 0, 0, 0, 6, "ab"));
    expect(recorder.events).toEqual([bodyEvent("ab")]);
    parser.push(wire("cde"));
    expect(recorder.events).toEqual([bodyEvent("abcde")]);
    parser.push(wire("f", 0xce));
    expect(recorder.events).toEqual([bodyEvent("abcdef")]);
  });

  test("whose end alone is missing is handed over once", () => {
    const pieces: string[] = [];
    const recorder = new FrameRecorder();
    recorder.onBodyBytes = (_channel, buffer, start, end) => {
      pieces.push(buffer.toString("latin1", start, end));
    };
    const parser = new FrameParser(recorder, FRAME_MAX);
    parser.push(wire(3, 0, 1, 0, 0, 0, 2, "ab"));
    parser.push(wire(0xce, 3, 0, 1, 0, 0, 0, 0));
    parser.push(wire(0xce, 3, 0, 1, 0, 0, 0, 1, "c", 0xce));
    expect(pieces).toEqual(["ab", "", "c"]);
  });
});

/** What is wrong, and how many good frames come before. */
type Broken = [what: string, stream: Buffer, text: string, goodFrames: number];

const brokenFrames: Broken[] = [
  [
    "an unknown type",
    wire(publish, 9, 0, 1, 0, 0, 0, 3, "xyz", 0xce),
    'FRAME_ERROR - type 9, all octets = <<"xyz">>: unknown_frame',
    1,
  ],
  [
    "an unknown type with a long payload",
    frame(4, 1, wire("abcdefghijklmnopqrstuvwxyz")),
    'FRAME_ERROR - type 4, first 16 octets = <<"abcdefghijklmnop">>: unknown_frame',
    0,
  ],
  [
    "a wrong end octet",
    wire(heartbeat, 1, 0, 1, 0, 0, 0, 4, 0, 1, 2, 255, 0x7b),
    "FRAME_ERROR - type 1, all octets = <<0,1,2,255>>: {invalid_frame_end_marker,123}",
    1,
  ],
  [
    "a wrong end octet behind a long payload",
    wire(1, 0, 1, 0, 0, 0, 20, Buffer.alloc(20, "q"), 0),
    'FRAME_ERROR - type 1, first 16 octets = <<"qqqqqqqqqqqqqqqq">>: {invalid_frame_end_marker,0}',
    0,
  ],
  [
    "an end octet missing, so that the next frame's type stands there",
    wire(8, 0, 0, 0, 0, 0, 0, publish),
    "FRAME_ERROR - type 8, all octets = <<>>: {invalid_frame_end_marker,1}",
    0,
  ],
  [
    "a method without ids",
    frame(1, 1, wire(0, 60, 0)),
    "FRAME_ERROR - type 1, all octets = <<0,60,0>>: unknown_frame",
    0,
  ],
  [
    "a content header without fields",
    wire(publish, frame(2, 1, wire(0, 60))),
    "FRAME_ERROR - type 2, all octets = <<0,60>>: unknown_frame",
    1,
  ],
  [
    "a heartbeat with a payload",
    frame(8, 0, wire("x")),
    'FRAME_ERROR - type 8, all octets = <<"x">>: unknown_frame',
    0,
  ],
  [
    "a heartbeat on a channel",
    wire(publish, heartbeat, 8, 0, 1, 0, 0, 0, 0, 0xce),
    "UNEXPECTED_FRAME - type 8, all octets = <<>>",
    2,
  ],
  [
    "a frame too large, refused before its payload has come",
    wire(heartbeat, 1, 0, 1, 0, 1, 0, 0),
    "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,65536,4088}",
    1,
  ],
  [
    "a frame of 4 GiB of an unknown type",
    wire(77, 0, 1, 0xff, 0xff, 0xff, 0xff),
    "FRAME_ERROR - type 77, all octets = <<>>: {frame_too_large,4294967295,4088}",
    0,
  ],
  [
    "a frame too large whose payload has begun to come",
    wire(3, 0, 1, 0, 3, 0x0d, 0x40, Buffer.alloc(40, "q")),
    "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,200000,4088}",
    0,
  ],
];

describe("refused however it arrives:", () => {
  test.each(brokenFrames)("%s", (_, stream, text, goodFrames) => {
    for (const { how, chunks } of arrivals(stream)) {
      const { events, error } = parse(chunks);
      expect(error).toBeInstanceOf(AmqpError);
      const { replyText, replyCode, method } = error as AmqpError;
      const code = text.startsWith("FRAME_ERROR") ? 501 : 505;
      expect({ how, replyText, replyCode, method }).toEqual({
        how,
        replyText: text,
        replyCode: code,
        method: [0, 0],
      });
      expect(events).toHaveLength(goodFrames);
    }
  });

  test("a body with a wrong end octet", () => {
    const stream = wire(3, 0, 1, 0, 0, 0, 2, "ab", 7);
    const whole = parse([Buffer.from(stream)]);
    expect((whole.error as AmqpError).replyText).toBe(
      'FRAME_ERROR - type 3, all octets = <<"ab">>: {invalid_frame_end_marker,7}',
    );
    expect(whole.events).toEqual([]);
    for (const { how, chunks } of arrivals(stream)) {
      // What was handed over before is not at hand any more to be shown.
      const { error } = parse(chunks);
      const ends = (error as AmqpError).replyText.endsWith(": {invalid_frame_end_marker,7}");
      expect([how, ends]).toEqual([how, true]);
    }
  });
});

describe("the size of frames", () => {
  /** RabbitMQ lets pass eight bytes more than it agreed to. */
  const payloadMax = FRAME_MAX;

  test("may be as large as RabbitMQ takes it, and not a byte larger", () => {
    for (const type of [1, 3]) {
      const accepted = parse([frame(type, 1, Buffer.alloc(payloadMax))]);
      expect(accepted.error).toBeUndefined();
      expect(accepted.events).toHaveLength(1);
      const { error } = parse([frame(type, 1, Buffer.alloc(payloadMax + 1))]);
      expect((error as AmqpError).replyText).toContain(`{frame_too_large,${payloadMax + 1},4088}`);
    }
  });

  test("is limited anew once the peers have agreed on it", () => {
    const recorder = new FrameRecorder();
    const parser = new FrameParser(recorder, FRAME_MAX);
    parser.limitFrames(65_536);
    parser.push(frame(1, 1, Buffer.alloc(60_000)));
    expect(recorder.events).toHaveLength(1);
    parser.limitFrames(FRAME_MAX);
    expect(() => parser.push(frame(1, 1, Buffer.alloc(60_000)))).toThrow("{frame_too_large,60000,");
  });
});

test("after stop nothing is handed over, wherever in the stream that happens", () => {
  const stream = Buffer.concat([publish, header, body("abc"), body("de"), publish, heartbeat]);
  const all = parse([Buffer.from(stream)]).events.length + 1; // two body frames are two events
  for (let stopAfter = 1; stopAfter <= all; stopAfter++) {
    for (const { how, chunks } of arrivals(stream)) {
      const recorder = new FrameRecorder();
      const parser = new FrameParser(recorder, FRAME_MAX);
      let calls = 0;
      recorder.afterEvent = () => {
        calls++;
        if (calls === stopAfter) parser.stop();
      };
      for (const chunk of chunks) parser.push(chunk);
      parser.push(publish);
      expect([how, calls]).toEqual([how, stopAfter]);
    }
  }
});

test("paused, it hands over nothing, and on resume all that came meanwhile, wherever in the stream that happens", () => {
  const stream = Buffer.concat([publish, header, body("abc"), body("de"), publish, heartbeat]);
  const expected = parse([Buffer.from(stream)]).events;
  for (let pauseAfter = 1; pauseAfter <= expected.length; pauseAfter++) {
    for (const { how, chunks } of arrivals(stream)) {
      const recorder = new FrameRecorder();
      const parser = new FrameParser(recorder, FRAME_MAX);
      let calls = 0;
      recorder.afterEvent = () => {
        calls++;
        if (calls === pauseAfter) parser.pause();
      };
      for (const chunk of chunks) parser.push(chunk);
      expect([how, calls]).toEqual([how, pauseAfter]);
      parser.resume();
      expect([how, recorder.events]).toEqual([how, expected]);
    }
  }
});

test("what a handler throws comes out of push", () => {
  const recorder = new FrameRecorder();
  recorder.onMethodFrame = () => {
    throw new Error("of the handler");
  };
  expect(() => new FrameParser(recorder, FRAME_MAX).push(publish)).toThrow("of the handler");
});

test("bytes in the middle of nowhere end in an AMQP error or wait for more", () => {
  for (let octet = 0; octet < 256; octet++) {
    const { error } = parse([Buffer.alloc(600, octet)]);
    expect(error === undefined || error instanceof AmqpError).toBe(true);
  }
});
