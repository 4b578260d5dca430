/** Collects what a frame parser hands over: copies, because the ranges are only borrowed. */
import type { FrameHandler } from "../../src/amqp/frame-parser.ts";

/** `payload` in hexadecimal; a body's pieces that follow each other are one. */
export type FrameEvent = [kind: string, channel: number, payload: string];

export class FrameRecorder implements FrameHandler {
  readonly events: FrameEvent[] = [];
  /** Called after each event. */
  afterEvent: (() => void) | undefined;

  #note(kind: string, channel: number, buffer: Buffer, start: number, end: number): void {
    this.events.push([kind, channel, buffer.toString("hex", start, end)]);
    this.afterEvent?.();
  }

  onMethodFrame(channel: number, buffer: Buffer, start: number, end: number): void {
    this.#note("method", channel, buffer, start, end);
  }

  onHeaderFrame(channel: number, buffer: Buffer, start: number, end: number): void {
    this.#note("header", channel, buffer, start, end);
  }

  onBodyBytes(channel: number, buffer: Buffer, start: number, end: number): void {
    const last = this.events.at(-1);
    if (last?.[0] === "body" && last[1] === channel) {
      last[2] += buffer.toString("hex", start, end);
      this.afterEvent?.();
    } else {
      this.#note("body", channel, buffer, start, end);
    }
  }

  onHeartbeat(): void {
    this.events.push(["heartbeat", 0, ""]);
    this.afterEvent?.();
  }
}
