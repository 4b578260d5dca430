/** A content put together from its frames: in order or not, from one chunk or many, small or too large. */

import { describe, expect, test } from "vitest";
import { Content, EXPECT_METHOD, unexpectedFrameFor } from "../../src/amqp/content.ts";
import { AmqpError } from "../../src/amqp/errors.ts";
import { type FrameHandler, FrameParser } from "../../src/amqp/frame-parser.ts";
import { type Random, seeded } from "../seeded.ts";
import { memories } from "./memories.ts";
import { arrivals, frame, wire } from "./wire.ts";

const publish = wire(0, 60, 0, 40, 0, 0, 2, "ex", 3, "key", 0b01);

function header(bodyBytes: number, classId = 60, weight = 0): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16BE(classId, 0);
  bytes.writeUInt16BE(weight, 2);
  bytes.writeBigUInt64BE(BigInt(bodyBytes), 4);
  bytes.writeUInt16BE(0x0800, 12);
  bytes[14] = 7;
  return bytes.subarray(0, 15);
}

interface Whole {
  routing: string;
  header: string;
  body: string;
  mandatory: boolean;
  immediate: boolean;
}

/** Copies what a complete content holds. */
function taken(content: Content): Whole {
  const { routingBuffer, headerBuffer, bodyBuffer, mandatory, immediate } = content;
  return {
    routing: routingBuffer.toString("latin1", content.routingStart, content.routingEnd),
    header: headerBuffer.toString("hex", content.headerStart, content.headerEnd),
    body: bodyBuffer.toString("latin1", content.bodyStart, content.bodyEnd),
    mandatory,
    immediate,
  };
}

function whole(body: string): Whole {
  return {
    routing: "\u0002ex\u0003key",
    header: header(body.length).toString("hex"),
    body,
    mandatory: true,
    immediate: false,
  };
}

const add = {
  publish: (content: Content, bytes: Buffer) => content.begin(bytes, 0, bytes.length),
  header: (content: Content, bytes: Buffer) => content.addHeader(bytes, 0, bytes.length),
  body: (content: Content, bytes: Buffer) => content.addBody(bytes, 0, bytes.length),
};

function errorOf(action: () => unknown): AmqpError {
  try {
    action();
  } catch (error) {
    if (error instanceof AmqpError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("a content", () => {
  test("without body is complete with its header", () => {
    const content = new Content(100, memories);
    add.publish(content, publish);
    expect(add.header(content, header(0))).toBe(true);
    expect(taken(content)).toEqual(whole(""));
    expect(content.state).toBe(EXPECT_METHOD);
  });

  test("with a body is complete with its last byte", () => {
    const content = new Content(100, memories);
    add.publish(content, publish);
    expect(add.header(content, header(5))).toBe(false);
    expect(add.body(content, wire("ab"))).toBe(false);
    expect(add.body(content, wire())).toBe(false);
    expect(add.body(content, wire("cd"))).toBe(false);
    expect(add.body(content, wire("e"))).toBe(true);
    expect(taken(content)).toEqual(whole("abcde"));
  });

  test("may be followed by the next one, which takes nothing over from it", () => {
    const content = new Content(100, memories);
    for (const body of ["abcde", "", "x", "yz"]) {
      add.publish(content, publish);
      let complete = add.header(content, header(body.length));
      for (const character of body) complete = add.body(content, wire(character));
      expect([complete, taken(content)]).toEqual([true, whole(body)]);
      content.release();
    }
  });

  test("points into the chunk while all of it is there, and nothing is copied", () => {
    const chunk = Buffer.concat([publish, header(3), wire("abc")]);
    const headerStart = publish.length;
    const bodyStart = headerStart + header(3).length;
    const content = new Content(100, memories);
    content.begin(chunk, 0, headerStart);
    content.addHeader(chunk, headerStart, bodyStart);
    content.addBody(chunk, bodyStart, chunk.length);
    expect(content.routingBuffer).toBe(chunk);
    expect(content.headerBuffer).toBe(chunk);
    expect(content.bodyBuffer).toBe(chunk);
  });

  test.each([
    [0b00, false, false],
    [0b01, true, false],
    [0b10, false, true],
    [0b11, true, true],
  ])("with the flags %i is mandatory: %s, immediate: %s", (flags, mandatory, immediate) => {
    const content = new Content(100, memories);
    add.publish(content, wire(0, 60, 0, 40, 0, 0, 0, 0, flags));
    expect([content.mandatory, content.immediate]).toEqual([mandatory, immediate]);
  });

  test("lets go of its buffers when it is released", () => {
    const content = new Content(100, memories);
    add.publish(content, publish);
    add.header(content, header(1));
    add.body(content, wire("x"));
    content.release();
    const { routingBuffer, headerBuffer, bodyBuffer } = content;
    expect([routingBuffer, headerBuffer, bodyBuffer].map(({ length }) => length)).toEqual([
      0, 0, 0,
    ]);
  });
});

describe("a content whose chunk ends", () => {
  const frames: [keyof typeof add, Buffer][] = [
    ["publish", publish],
    ["header", header(6)],
    ["body", wire("ab")],
    ["body", wire("cde")],
    ["body", wire("f")],
  ];

  // Each bit says whether the chunk ends behind the frame of its number.
  test.each(Array.from({ length: 16 }, (_, bits) => [bits.toString(2).padStart(4, "0"), bits]))(
    "behind the frames %s is kept through detach",
    (_, bits) => {
      const content = new Content(100, memories);
      let chunk: Buffer[] = [];
      for (const [index, [kind, bytes]] of frames.entries()) {
        const own = Buffer.from(bytes);
        chunk.push(own);
        const complete = add[kind](content, own);
        expect(complete ?? false).toBe(index === frames.length - 1);
        if (index === frames.length - 1 || ((bits as number) & (1 << index)) === 0) continue;
        content.detach();
        for (const spoiled of chunk) spoiled.fill(0xff);
        chunk = [];
      }
      expect(taken(content)).toEqual(whole("abcdef"));
    },
  );

  test("may be detached twice, and at rest", () => {
    const content = new Content(100, memories);
    content.detach();
    const bytes = Buffer.from(publish);
    add.publish(content, bytes);
    content.detach();
    bytes.fill(0);
    content.detach();
    add.header(content, header(1));
    add.body(content, wire("x"));
    content.detach();
    expect(taken(content)).toEqual(whole("x"));
  });
});

/** A parser in front of one content, as on a connection with one channel. */
class Receiver implements FrameHandler {
  readonly content: Content;
  readonly received: Whole[] = [];
  readonly #parser = new FrameParser(this, 4096);

  constructor(bodyBytesMax: number) {
    this.content = new Content(bodyBytesMax, memories);
  }

  push(chunk: Buffer): void {
    this.#parser.push(chunk);
    this.content.detach();
    chunk.fill(0xaa);
  }

  #complete(complete: boolean): void {
    if (complete) this.received.push(taken(this.content));
  }

  onMethodFrame(_channel: number, buffer: Buffer, start: number, end: number): void {
    this.content.begin(buffer, start, end);
  }

  onHeaderFrame(_channel: number, buffer: Buffer, start: number, end: number): void {
    this.#complete(this.content.addHeader(buffer, start, end));
  }

  onBodyBytes(_channel: number, buffer: Buffer, start: number, end: number): void {
    this.#complete(this.content.addBody(buffer, start, end));
  }

  onHeartbeat(): void {}
}

function message(body: string, pieces: readonly number[] = []): Buffer {
  const frames = [frame(1, 1, publish), frame(2, 1, header(body.length))];
  let at = 0;
  for (const bytes of pieces) {
    frames.push(frame(3, 1, Buffer.from(body.slice(at, at + bytes))));
    at += bytes;
  }
  if (at < body.length) frames.push(frame(3, 1, Buffer.from(body.slice(at))));
  return Buffer.concat(frames);
}

test("messages are the same whole, cut in two at every byte, and byte by byte", () => {
  const stream = Buffer.concat([
    message("hello"),
    message(""),
    message("in many frames", [1, 0, 5, 2]),
    message("bye"),
  ]);
  const expected = ["hello", "", "in many frames", "bye"].map(whole);
  for (const { how, chunks } of arrivals(stream)) {
    const receiver = new Receiver(1000);
    for (const chunk of chunks) receiver.push(chunk);
    expect({ how, received: receiver.received }).toEqual({ how, received: expected });
  }
});

function randomMessage(random: Random): { body: string; bytes: Buffer } {
  const body = random.bytes(random.pick([0, 1, 10, 300, 9000])).toString("hex");
  const pieces: number[] = [];
  let left = body.length;
  while (left > 4000 || (left > 0 && random.chance(50))) {
    pieces.push(random.below(Math.min(left, 4000)));
    left -= pieces.at(-1)!;
  }
  return { body, bytes: message(body, pieces) };
}

seeded("random messages in chunks of random sizes arrive as they were sent", 100, (random) => {
  const messages = Array.from({ length: random.between(1, 6) }, () => randomMessage(random));
  const stream = Buffer.concat(messages.map(({ bytes }) => bytes));
  const receiver = new Receiver(100_000);
  for (let at = 0; at < stream.length; ) {
    const end = at + random.between(1, random.pick([2, 50, 3000, 60_000]));
    receiver.push(Buffer.from(stream.subarray(at, end)));
    at = end;
  }
  expect(receiver.received).toEqual(messages.map(({ body }) => whole(body)));
});

describe("a body larger than allowed", () => {
  test.each([
    ["whole", [11]],
    ["in pieces", [4, 4, 3]],
  ])("is counted to its end and not kept: %s", (_, pieces) => {
    const content = new Content(10, memories);
    add.publish(content, publish);
    add.header(content, header(11));
    expect(content.tooLarge).toBe(true);
    const results = pieces.map((bytes) => add.body(content, Buffer.alloc(bytes)));
    expect(results).toEqual(pieces.map((_piece, index) => index === pieces.length - 1));
    expect([content.bodyBytes, content.bodyEnd, content.bodyBuffer.length]).toEqual([11, 0, 0]);
  });

  test("begins with the first byte too many", () => {
    const content = new Content(10, memories);
    add.publish(content, publish);
    add.header(content, header(10));
    expect(content.tooLarge).toBe(false);
    add.body(content, wire("0123456789"));
    expect(taken(content).body).toBe("0123456789");
  });

  test("is no concern of the message after it", () => {
    const receiver = new Receiver(10);
    receiver.push(Buffer.concat([message("much too large"), message("small")]));
    expect(receiver.received).toEqual([{ ...whole("much too large"), body: "" }, whole("small")]);
  });
});

test("a promise of a large body takes no memory before the body comes", () => {
  const content = new Content(2 ** 29, memories);
  add.publish(content, publish);
  add.header(content, header(2 ** 29));
  expect(content.bodyBuffer.length).toBe(0);
  add.body(content, wire("the first bytes"));
  expect(content.bodyBuffer.length).toBeLessThanOrEqual(1 << 20);
});

describe("refused", () => {
  const expectedHeader =
    "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead";
  const expectedBody =
    "UNEXPECTED_FRAME - expected content body, got non content body frame instead";
  const expectedMethod = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";

  /** A content in which a header, or a body, is due. */
  const due = {
    method: () => new Content(100, memories),
    header: () => {
      const content = new Content(100, memories);
      add.publish(content, publish);
      return content;
    },
    body: () => {
      const content = due.header();
      add.header(content, header(5));
      add.body(content, wire("ab"));
      return content;
    },
  };

  test.each<[string, () => unknown, string, readonly number[]]>([
    ["a header out of nowhere", () => add.header(due.method(), header(1)), expectedMethod, [0, 0]],
    ["a body out of nowhere", () => add.body(due.method(), wire("x")), expectedMethod, [0, 0]],
    ["an empty body out of nowhere", () => add.body(due.method(), wire()), expectedMethod, [0, 0]],
    [
      "a body where a header is due",
      () => add.body(due.header(), wire("x")),
      expectedHeader,
      [60, 40],
    ],
    [
      "a header where a body is due",
      () => add.header(due.body(), header(1)),
      expectedBody,
      [60, 40],
    ],
    [
      "a header with a weight",
      () => add.header(due.header(), header(1, 60, 1)),
      expectedHeader,
      [60, 40],
    ],
    [
      "a header of another class",
      () => add.header(due.header(), header(1, 50)),
      "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
      [60, 40],
    ],
  ])("is %s", (_, action, text, method) => {
    expect(errorOf(action)).toMatchObject({ replyText: text, replyCode: 505, method });
  });

  test("is a method in the midst of a content", () => {
    expect(unexpectedFrameFor(due.header().state).replyText).toBe(expectedHeader);
    expect(unexpectedFrameFor(due.body().state).replyText).toBe(expectedBody);
  });

  test("is more body than announced, in one frame or in the last of many", () => {
    const text = "FRAME_ERROR - content body frame exceeds remaining content size";
    expect(errorOf(() => add.body(due.body(), wire("cdef"))).replyText).toBe(text);
    const content = due.header();
    add.header(content, header(3));
    expect(errorOf(() => add.body(content, wire("abcd"))).replyText).toBe(text);
  });

  test("is more body than announced even where it is too large to be kept", () => {
    const content = new Content(2, memories);
    add.publish(content, publish);
    add.header(content, header(5));
    add.body(content, wire("abcd"));
    expect(errorOf(() => add.body(content, wire("ef"))).replyCode).toBe(501);
  });

  test.each([536_870_913, 2 ** 32, Number.MAX_SAFE_INTEGER])(
    "is an announcement of %i bytes, which no setting allows",
    (bytes) => {
      expect(errorOf(() => add.header(due.header(), header(bytes))).replyText).toBe(
        `FRAME_ERROR - content body size ${bytes} exceeds maximum allowed size 536870912`,
      );
      expect(() => add.header(due.header(), header(536_870_912))).not.toThrow();
    },
  );

  test("is a header too short for its fields", () => {
    const whole14 = header(0).subarray(0, 14);
    for (let length = 0; length < 14; length++) {
      const error = errorOf(() => add.header(due.header(), whole14.subarray(0, length)));
      expect(error.closes).toBe("connection");
    }
    expect(add.header(due.header(), whole14)).toBe(true);
  });
});

describe("header and body", () => {
  function contiguousIn(chunks: Buffer[]): boolean {
    const content = new Content(1000, memories);
    let contiguous: boolean | undefined;
    const parser = new FrameParser(
      {
        onMethodFrame: (_channel, ...range) => content.begin(...range),
        onHeaderFrame: (_channel, ...range) => void content.addHeader(...range),
        onBodyBytes: (_channel, ...range) => {
          if (content.addBody(...range)) contiguous = content.contiguous;
        },
        onHeartbeat: () => undefined,
      },
      4096,
    );
    for (const chunk of chunks) {
      parser.push(chunk);
      content.detach();
    }
    if (contiguous === undefined) throw new Error("the content is not complete");
    return contiguous;
  }

  test("are contiguous when one chunk has them side by side with the frames' ends", () => {
    const stream = message("hello");
    expect(contiguousIn([stream])).toBe(true);
    expect(contiguousIn([Buffer.concat([stream, message("x").subarray(0, 12)])])).toBe(true);
  });

  test("are not when anything is between them, or in another chunk", () => {
    const heartbeat = frame(8, 0, Buffer.alloc(0));
    const [method, head, body] = [
      frame(1, 1, publish),
      frame(2, 1, header(4)),
      frame(3, 1, wire("body")),
    ];
    expect(contiguousIn([Buffer.concat([method, head, heartbeat, body])])).toBe(false);
    expect(contiguousIn([Buffer.concat([method, head]), body])).toBe(false);
    expect(contiguousIn([message("body", [2])])).toBe(false);
    expect(contiguousIn([message("body", [0])])).toBe(false);
    for (const { how, chunks } of arrivals(Buffer.concat([method, head, body]))) {
      // A cut within the publish frame leaves the other two whole.
      if (how !== "whole" && chunks[0]!.length > method.length)
        expect(contiguousIn(chunks)).toBe(false);
    }
  });
});

describe("a body that came in pieces", () => {
  /** Puts a body of one letter together, in two pieces; returns the buffer that holds it. */
  function collect(content: Content, letter: string): Buffer {
    add.publish(content, publish);
    add.header(content, header(200));
    add.body(content, Buffer.alloc(150, letter));
    add.body(content, Buffer.alloc(50, letter));
    return content.bodyBuffer.subarray(content.bodyStart, content.bodyEnd);
  }

  test("stays as it is while its content is in use", () => {
    const [one, other] = [new Content(1000, memories), new Content(1000, memories)];
    const kept = collect(one, "a");
    expect(collect(other, "b").toString()).toBe("b".repeat(200));
    expect(kept.toString()).toBe("a".repeat(200));
  });

  test("that will not be finished is not waited for", () => {
    const content = new Content(1000, memories);
    add.publish(content, publish);
    add.header(content, header(200));
    add.body(content, Buffer.alloc(150, "a"));
    expect(content.bytesLeft).toBe(50);
    content.release();
    expect(content.bytesLeft).toBe(0);
  });

  test("gives its buffer to the next one afterwards", () => {
    const content = new Content(1000, memories);
    const first = collect(content, "a");
    content.release();
    expect(collect(content, "b").buffer).toBe(first.buffer);
  });
});
