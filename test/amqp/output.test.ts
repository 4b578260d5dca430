/** What a connection says, in order: frames no larger than agreed, large bodies by reference, slabs filled and reused. */
import { describe, expect, test } from "vitest";
import { FrameParser } from "../../src/amqp/frame-parser.ts";
import { decodeMethod } from "../../src/amqp/method-codec.ts";
import { deliverTemplate, Output, recycle } from "../../src/amqp/output.ts";
import type { StoredMessage } from "../../src/amqp/stored-message.ts";
import { type Random, seeded } from "../seeded.ts";
import { type FrameEvent, FrameRecorder } from "./frame-recorder.ts";
import { randomHeader } from "./header-model.ts";
import { randomText } from "./random-values.ts";
import { storedMessage } from "./stored.ts";
import { frame, wire } from "./wire.ts";

const FRAME_MAX = 131_072;

function parsed(bytes: Buffer, frameMax = FRAME_MAX): FrameEvent[] {
  const recorder = new FrameRecorder();
  new FrameParser(recorder, frameMax).push(bytes);
  return recorder.events;
}

/** Sizes of the body frames in a stream, headers and methods left out. */
function bodyFrameBytes(bytes: Buffer): number[] {
  const sizes: number[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at + 3) + 8) {
    if (bytes[at] === 3) sizes.push(bytes.readUInt32BE(at + 3));
  }
  return sizes;
}

function said(output: Output): Buffer {
  const batch = output.take();
  const bytes = Buffer.concat(batch.parts);
  expect(bytes.length).toBe(batch.bytes);
  return bytes;
}

function contentEvents(channel: number, message: StoredMessage): FrameEvent[] {
  const { buffer, bodyStart, bodyBytes } = message;
  const header = buffer.toString("hex", message.headerStart, message.headerEnd);
  if (bodyBytes === 0) return [["header", channel, header]];
  const body = buffer.toString("hex", bodyStart, bodyStart + bodyBytes);
  return [
    ["header", channel, header],
    ["body", channel, body],
  ];
}

describe("a method", () => {
  test("is a frame on its channel", () => {
    const output = new Output(FRAME_MAX);
    output.method(258, "basic.qos-ok", {});
    output.method(1, "basic.consume-ok", { consumerTag: "t" });
    expect(output.bytes).toBe(12 + 14);
    expect(said(output)).toEqual(
      wire(
        1,
        1,
        2,
        0,
        0,
        0,
        4,
        0,
        60,
        0,
        11,
        0xce,
        1,
        0,
        1,
        0,
        0,
        0,
        6,
        0,
        60,
        0,
        21,
        1,
        "t",
        0xce,
      ),
    );
    expect([output.bytes, output.take().parts]).toEqual([0, []]);
  });

  test("may be larger than what is copied, and is not changed by the next one", () => {
    const output = new Output(FRAME_MAX);
    const challenges = [7, 8, 9].map((octet) => Buffer.alloc(5000, octet));
    for (const challenge of challenges) output.method(0, "connection.secure", { challenge });
    expect(parsed(said(output)).map(([, , payload]) => payload)).toEqual(
      challenges.map((challenge) =>
        wire(0, 10, 0, 20, 0, 0, 0x13, 0x88, challenge).toString("hex"),
      ),
    );
  });
});

describe("a body is cut into frames", () => {
  test.each([
    [0, []],
    [1, [1]],
    [4087, [4087]],
    [4088, [4088]],
    [4089, [4088, 1]],
    [2 * 4088, [4088, 4088]],
    [2 * 4088 + 1, [4088, 4088, 1]],
    [20_000, [4088, 4088, 4088, 4088, 3648]],
  ])("as large as the peer takes them: %i bytes become %j", (bodyBytes, sizes) => {
    const output = new Output(4096);
    const message = storedMessage({ body: Buffer.alloc(bodyBytes, "b") });
    output.content(3, message);
    const bytes = said(output);
    expect(bodyFrameBytes(bytes)).toEqual(sizes);
    expect(parsed(bytes, 4096)).toEqual(contentEvents(3, message));
  });

  seeded("whose bytes are those of the body", 100, (random) => {
    const frameMax = random.pick([4096, 8192, 10_000, 131_072]);
    const output = new Output(frameMax);
    const body = random.bytes(random.below(3 * Math.min(frameMax, 12_000)));
    const message = storedMessage({ body });
    output.content(1, message);
    const bytes = said(output);
    expect(Math.max(0, ...bodyFrameBytes(bytes))).toBeLessThanOrEqual(frameMax - 8);
    expect(parsed(bytes, frameMax)).toEqual(contentEvents(1, message));
  });

  test("by the limit of the moment, which the handshake may have lowered", () => {
    const output = new Output(FRAME_MAX);
    output.frameMax = 4096;
    output.content(1, storedMessage({ body: Buffer.alloc(5000) }));
    expect(bodyFrameBytes(said(output))).toEqual([4088, 912]);
  });
});

describe("a body that is", () => {
  test("small is copied, so that its segment may be written over within the turn", () => {
    const output = new Output(FRAME_MAX);
    const message = storedMessage({ body: Buffer.from("small") });
    const expected = contentEvents(1, message);
    output.content(1, message);
    message.buffer.fill(0);
    expect(parsed(said(output))).toEqual(expected);
  });

  test("large is referred to where it stands", () => {
    const output = new Output(FRAME_MAX);
    const message = storedMessage({ body: Buffer.alloc(50_000, "x") });
    output.content(1, message);
    const { parts, slabs } = output.take();
    const own = parts.filter((part) => part.buffer === message.buffer.buffer);
    expect(own.map(({ length }) => length)).toEqual([50_000]);
    expect(slabs).toHaveLength(1);
  });
});

type Step = (output: Output) => FrameEvent[];

function randomStep(random: Random): Step {
  const channel = random.between(1, 300);
  const tag = random.next();
  const hex = (bytes: Buffer) => bytes.toString("hex");
  const kind = random.below(10);
  if (kind === 0) {
    return (output) => {
      output.ack(channel, tag, true);
      const tagBytes = tag.toString(16).padStart(16, "0");
      return [["method", channel, `003c0050${tagBytes}01`]];
    };
  }
  if (kind === 1) {
    const payload = random.bytes(random.pick([12, 100, 4095, 4096, 9000]));
    return (output) => {
      output.frame(2, channel, payload, 0, payload.length);
      return [["header", channel, hex(payload)]];
    };
  }
  if (kind === 2) {
    const queue = randomText(random);
    return (output) => {
      output.method(channel, "queue.declare-ok", { queue, messageCount: tag, consumerCount: 1 });
      const counts = `${tag.toString(16).padStart(8, "0")}00000001`;
      return [
        ["method", channel, `0032000b${hex(wire(Buffer.byteLength(queue), queue))}${counts}`],
      ];
    };
  }
  const { properties } = randomHeader(random);
  const body = random.bytes(random.pick([0, 16, 100, 1000, 3000, 4080, 4096, 7000]));
  const message = storedMessage({ exchange: "e", routingKey: "k", properties, body });
  return (output) => {
    output.deliver(deliverTemplate(channel, "tag"), tag, true, message);
    const tagBytes = tag.toString(16).padStart(16, "0");
    const method = `003c003c${hex(wire(3, "tag"))}${tagBytes}01${hex(wire(1, "e", 1, "k"))}`;
    return [["method", channel, method], ...contentEvents(channel, message)];
  };
}

seeded("whatever is said in whatever order comes out as it was said", 20, (random) => {
  const output = new Output(random.pick([4096, FRAME_MAX]));
  for (let turn = 0; turn < 3; turn++) {
    const expected: FrameEvent[] = [];
    for (let steps = random.below(120); steps > 0; steps--)
      expected.push(...randomStep(random)(output));
    const batch = output.take();
    const bytes = Buffer.concat(batch.parts);
    expect(bytes.length).toBe(batch.bytes);
    // A body frame of the next delivery never follows another one's: between them stands its method.
    expect(parsed(bytes)).toEqual(expected);
    recycle(batch);
  }
});

describe("bytes that are referred to", () => {
  class CountingKeeper {
    borrowers = 0;
    borrow(): void {
      this.borrowers++;
    }
    giveBack(): void {
      this.borrowers--;
    }
  }

  function kept(bodyBytes: number, keeper: CountingKeeper): StoredMessage {
    const message = storedMessage({ body: Buffer.alloc(bodyBytes, 1) });
    message.keeper = keeper;
    return message;
  }

  test("are borrowed until their batch has been written, from each keeper by each batch", () => {
    const output = new Output(FRAME_MAX);
    const [one, other] = [new CountingKeeper(), new CountingKeeper()];
    const borrowers = (): number[] => [one.borrowers, other.borrowers];
    output.content(1, kept(4096, one));
    output.content(1, kept(200_000, other));
    expect(borrowers().every((count) => count > 0)).toBe(true);
    const first = output.take();
    const nothing = output.take();
    output.content(1, kept(5000, one));
    const second = output.take();
    recycle(nothing);
    recycle(first);
    expect(borrowers()).toEqual([1, 0]);
    recycle(second);
    expect(borrowers()).toEqual([0, 0]);
  });

  test("are not those of small messages, which are copied", () => {
    const output = new Output(FRAME_MAX);
    const keeper = new CountingKeeper();
    output.content(1, kept(1000, keeper));
    expect([keeper.borrowers, output.take().keepers]).toEqual([0, []]);
  });
});

describe("slabs of 64 KiB", () => {
  const template = deliverTemplate(1, "consumer");

  test("are crossed by deliveries of every size without a byte lost", () => {
    for (let bodyBytes = 0; bodyBytes < 3900; bodyBytes += 263) {
      const output = new Output(FRAME_MAX);
      const message = storedMessage({ routingKey: "key", body: Buffer.alloc(bodyBytes, "b") });
      const deliveries = Math.ceil(200_000 / (bodyBytes + 60));
      for (let tag = 1; tag <= deliveries; tag++) output.deliver(template, tag, false, message);
      const batch = output.take();
      expect(batch.slabs.length).toBeGreaterThan(2);
      const events = parsed(Buffer.concat(batch.parts));
      const methods = events.filter(([kind]) => kind === "method");
      const tags = methods.map(([, , payload]) => {
        const bytes = Buffer.from(payload, "hex");
        const method = decodeMethod(bytes, 0, bytes.length);
        return method.name === "basic.deliver" ? method.arguments.deliveryTag : undefined;
      });
      expect(tags).toEqual(Array.from({ length: deliveries }, (_, index) => index + 1));
      const bodies = events.filter(([kind]) => kind === "body");
      expect(bodies).toHaveLength(bodyBytes === 0 ? 0 : deliveries);
      expect(new Set(bodies.map(([, , payload]) => payload)).size).toBeLessThanOrEqual(1);
      recycle(batch);
    }
  });

  test("are filled to their last byte and no further", () => {
    // Frames of 10 octets with their overhead, one octet up to the end.
    for (let first = 1; first <= 24; first++) {
      const output = new Output(FRAME_MAX);
      const expected: Buffer[] = [];
      const say = (payload: Buffer) => {
        output.frame(1, 1, payload, 0, payload.length);
        expected.push(frame(1, 1, payload));
      };
      say(Buffer.alloc(first, 1));
      while (output.bytes < 66_000) say(Buffer.alloc(1000, 2));
      expect(said(output).equals(Buffer.concat(expected))).toBe(true);
    }
  });

  test("are used again only after they were given back", () => {
    const output = new Output(FRAME_MAX);
    output.method(1, "tx.select-ok", {});
    const first = output.take();
    const before = Buffer.concat(first.parts);
    output.method(2, "basic.consume-ok", { consumerTag: "something else" });
    const second = output.take();
    expect(second.slabs[0]).not.toBe(first.slabs[0]);
    expect(Buffer.concat(first.parts)).toEqual(before);
    recycle(first);
    output.method(3, "tx.select-ok", {});
    expect(output.take().slabs[0]).toBe(first.slabs[0]);
  });

  test("are one to a batch of little, and none to a batch of nothing", () => {
    const output = new Output(FRAME_MAX);
    expect(output.take()).toEqual({ parts: [], slabs: [], keepers: [], bytes: 0 });
    for (let tag = 1; tag < 100; tag++) output.ack(1, tag, false);
    const { parts, slabs } = output.take();
    expect([parts.length, slabs.length]).toEqual([1, 1]);
  });
});
