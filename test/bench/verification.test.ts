/** The load generator's own checks: what it reads must not depend on chunks, and damage must be noticed. */

import { expect, test } from "vitest";
import { BodyCheck, bodyTemplate } from "../../bench/body.ts";
import { ConfirmWindow } from "../../bench/confirms.ts";
import { contentHeader } from "../../bench/methods.ts";
import { type FrameHandler, FrameReader } from "../../bench/reader.ts";
import { FRAME_BODY, FRAME_METHOD, frame, u16, u32 } from "../../bench/wire.ts";

/** Puts together again what the reader hands over, body pieces included. */
class Recorder implements FrameHandler {
  readonly seen: string[] = [];

  onMethod(method: number, buffer: Buffer, start: number, end: number): void {
    this.seen.push(`method ${method} ${buffer.toString("hex", start, end)}`);
  }

  onHeader(buffer: Buffer, start: number, end: number): void {
    this.seen.push(`header ${buffer.toString("hex", start, end)}`);
  }

  onBody(buffer: Buffer, start: number, end: number): void {
    const piece = buffer.toString("hex", start, end);
    const last = this.seen.at(-1) ?? "";
    if (last.startsWith("body ")) this.seen[this.seen.length - 1] = last + piece;
    else this.seen.push(`body ${piece}`);
  }
}

const message = Buffer.concat([
  frame(FRAME_METHOD, 1, u32(0x003c003c), Buffer.from("0563746167310000000000000001000000", "hex")),
  contentHeader(24, u16(0)),
  frame(FRAME_BODY, 1, bodyTemplate(24, 7).subarray(0, 16)),
  frame(FRAME_BODY, 1, bodyTemplate(24, 7).subarray(16)),
]);
const stream = Buffer.concat([message, message]);

function readInChunks(...chunks: Buffer[]): string[] {
  const recorder = new Recorder();
  const reader = new FrameReader(recorder);
  for (const chunk of chunks) reader.read(Buffer.from(chunk));
  return recorder.seen;
}

test("frames are the same however the chunks cut them", () => {
  const whole = readInChunks(stream);
  expect(whole.map((line) => line.split(" ")[0])).toEqual([
    ...["method", "header", "body"],
    ...["method", "header", "body"],
  ]);
  expect(whole[2]).toBe(`body ${bodyTemplate(24, 7).toString("hex")}`);
  for (let cut = 1; cut < stream.length; cut++) {
    expect(readInChunks(stream.subarray(0, cut), stream.subarray(cut))).toEqual(whole);
  }
  const octets = Array.from(stream, (_, at) => stream.subarray(at, at + 1));
  expect(readInChunks(...octets)).toEqual(whole);
});

test("a frame without its end octet is refused", () => {
  for (const type of [FRAME_METHOD, FRAME_BODY]) {
    const broken = frame(type, 1, Buffer.alloc(16));
    broken[broken.length - 1] = 0;
    expect(() => readInChunks(broken)).toThrow("without its end octet");
  }
});

function check(bodies: readonly Buffer[], stream = 7): void {
  const bodyCheck = new BodyCheck(32, stream);
  for (const body of bodies) {
    bodyCheck.begin(body.length);
    bodyCheck.piece(body, 0, body.length);
  }
}

function numbered(...sequences: number[]): Buffer[] {
  return sequences.map((sequence) => {
    const body = bodyTemplate(32, 7);
    body.writeUInt32BE(sequence, 0);
    return body;
  });
}

test("bodies in order and intact pass, in whatever pieces", () => {
  check(numbered(0, 1, 2));
  for (let cut = 1; cut < 32; cut++) {
    const bodyCheck = new BodyCheck(32, 7);
    for (const body of numbered(0, 1)) {
      bodyCheck.begin(32);
      expect(bodyCheck.piece(body, 0, cut)).toBe(false);
      expect(bodyCheck.piece(body, cut, 32)).toBe(true);
    }
  }
});

test("queues that are published to in turn keep an order each", () => {
  const bodyCheck = new BodyCheck(32, 7, 3);
  const read = (body: Buffer): void => {
    bodyCheck.begin(body.length);
    bodyCheck.piece(body, 0, body.length);
  };
  for (const body of numbered(1, 4, 0, 2, 3, 7, 5)) read(body);
  expect(bodyCheck.sequence).toBe(6);
  expect(() => numbered(9).forEach(read)).toThrow(
    "lost or reordered: message 9 arrived instead of 6",
  );
  expect(() => numbered(4).forEach(read)).toThrow("duplicated or reordered: message 4");
});

test("lost, duplicated, reordered, strayed, cut and damaged bodies are noticed", () => {
  expect(() => check(numbered(0, 2))).toThrow("lost or reordered: message 2");
  expect(() => check(numbered(0, 0))).toThrow("duplicated or reordered: message 0");
  expect(() => check(numbered(1, 0))).toThrow("lost or reordered: message 1");
  expect(() => check(numbered(0), 8)).toThrow("stream 7 in the queue of stream 8");
  expect(() => check([bodyTemplate(31, 7)])).toThrow("31 octets instead of 32");
  const damaged = bodyTemplate(32, 7);
  damaged[31]! ^= 1;
  expect(() => check([damaged])).toThrow("corrupted at octet 31");
});

test("confirms settle each message once, one by one or together, in any order", () => {
  const window = new ConfirmWindow(8);
  window.onPublished(6);
  window.onConfirm(3, false);
  window.onConfirm(2, true);
  expect(window.outstanding).toBe(3);
  window.onConfirm(6, true);
  expect(window.outstanding).toBe(0);
  expect(() => window.onConfirm(3, false)).toThrow("came twice");
  expect(() => window.onConfirm(7, false)).toThrow("nothing published");
});

test("a confirm that comes twice ahead of a lower one is noticed", () => {
  const window = new ConfirmWindow(8);
  window.onPublished(4);
  window.onConfirm(3, false);
  expect(() => window.onConfirm(3, false)).toThrow("came twice");
});
