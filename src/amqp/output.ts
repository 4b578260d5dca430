/**
 * What a connection has to say, in the order in which it was said, until the turn ends.
 *
 * Small things are copied into 64 KiB slabs, large bodies are referred to where they stand, so that a turn ends in one
 * write of few buffers. It knows frames and no sockets. The lanes for deliver and ack write their bytes by hand; every
 * other method goes through the generic codec, and a test holds the two equal.
 */

import { ByteWriter } from "./byte-writer.ts";
import {
  FRAME_BODY,
  FRAME_END,
  FRAME_HEADER,
  FRAME_HEADER_BYTES,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
} from "./frame-parser.ts";
import { encodeMethod } from "./method-codec.ts";
import { type MethodArguments, type MethodName, methods } from "./methods.ts";
import { copyBytes, type Room, roomOf } from "./room.ts";
import type { Keeper, StoredMessage } from "./stored-message.ts";

const SLAB_BYTES = 65_536;
/** From here on a payload is referred to instead of copied: measured, a 16 KiB body is a third faster by reference. */
const REFERENCE_BYTES_MIN = 4096;
/** Free slabs kept for reuse, in all: what a burst needed beyond them goes back to the garbage collector. */
const FREE_SLABS_MAX = 256;

const freeSlabs: Room[] = [];
const NO_KEEPERS: Keeper[] = [];

/** Buffers to be written, in order, to be given to `recycle` once they are written. */
export interface OutputBatch {
  parts: Buffer[];
  slabs: Room[];
  /** Those whose bytes are referred to. */
  keepers: Keeper[];
  bytes: number;
}

/** What a batch consists of has been written, or never will be: it may be used again. */
export function recycle(batch: OutputBatch): void {
  for (const slab of batch.slabs) {
    if (freeSlabs.length < FREE_SLABS_MAX) freeSlabs.push(slab);
  }
  for (const keeper of batch.keepers) keeper.giveBack();
}

/** The bytes of a delivery that do not change: frame header, ids and consumer tag. Size and tag are set each time. */
export function deliverTemplate(channel: number, consumerTag: string): Room {
  const writer = new ByteWriter(64);
  writer.octet(FRAME_METHOD);
  writer.short(channel);
  writer.long(0);
  const [classId, methodId] = methods["basic.deliver"].id;
  writer.short(classId);
  writer.short(methodId);
  writer.shortstr(consumerTag);
  return roomOf(writer.bytes());
}

const [BASIC, ACK] = methods["basic.ack"].id;
const NACK = methods["basic.nack"].id[1];
const methodWriter = new ByteWriter(4096);

export class Output {
  /** What has been said and not been taken yet. */
  bytes = 0;
  /** The peer's limit for a frame, overhead included. */
  frameMax: number;
  #slab: Room | undefined;
  /** In the slab: where the part that is being written begins, and where it ends. */
  #start = 0;
  #end = 0;
  #parts: Buffer[] = [];
  #slabs: Room[] = [];
  #keepers: Keeper[] = [];

  constructor(frameMax: number) {
    this.frameMax = frameMax;
  }

  /** All that was said since the last call. */
  take(): OutputBatch {
    this.#cut();
    const keepers = this.#keepers.length > 0 ? this.#keepers : NO_KEEPERS;
    const batch = { parts: this.#parts, slabs: this.#slabs, keepers, bytes: this.bytes };
    this.#parts = [];
    this.#slabs = [];
    if (keepers !== NO_KEEPERS) this.#keepers = [];
    this.#slab = undefined;
    this.bytes = 0;
    return batch;
  }

  /** Makes the part of the slab that is being written a part of the batch. */
  #cut(): void {
    if (this.#slab === undefined || this.#start === this.#end) return;
    this.#parts.push(this.#slab.buffer.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }

  /** A slab with room for `bytes` bytes at `#end`. */
  #room(bytes: number): Room {
    const slab = this.#slab;
    if (slab !== undefined && this.#end + bytes <= SLAB_BYTES) return slab;
    this.#cut();
    const next = freeSlabs.pop() ?? roomOf(Buffer.allocUnsafeSlow(SLAB_BYTES));
    this.#slab = next;
    this.#slabs.push(next);
    this.#start = 0;
    this.#end = 0;
    return next;
  }

  /** Bytes as they are. `buffer` is kept until written when the range is large, else borrowed. */
  raw(buffer: Buffer, start: number, end: number): void {
    const bytes = end - start;
    this.bytes += bytes;
    if (bytes >= REFERENCE_BYTES_MIN) {
      this.#cut();
      this.#parts.push(buffer.subarray(start, end));
      return;
    }
    const slab = this.#room(bytes);
    buffer.copy(slab.buffer, this.#end, start, end);
    this.#end += bytes;
  }

  /** A frame around a range of bytes, which are kept or borrowed as `raw` has it. */
  frame(type: number, channel: number, buffer: Buffer, start: number, end: number): void {
    this.#frameHeader(type, channel, end - start);
    this.raw(buffer, start, end);
    this.#room(1).buffer[this.#end++] = FRAME_END;
    this.bytes++;
  }

  #frameHeader(type: number, channel: number, payloadBytes: number): void {
    const { view } = this.#room(FRAME_HEADER_BYTES);
    const at = this.#end;
    view.setUint8(at, type);
    view.setUint16(at + 1, channel);
    view.setUint32(at + 3, payloadBytes);
    this.#end = at + FRAME_HEADER_BYTES;
    this.bytes += FRAME_HEADER_BYTES;
  }

  /** Any method. */
  method<Name extends MethodName>(channel: number, name: Name, args: MethodArguments<Name>): void {
    methodWriter.end = 0;
    encodeMethod(methodWriter, name, args);
    this.frame(FRAME_METHOD, channel, methodWriter.bytes(), 0, methodWriter.end);
  }

  /** basic.ack */
  ack(channel: number, deliveryTag: number, multiple: boolean): void {
    this.#confirm(channel, ACK, deliveryTag, multiple);
  }

  /** basic.nack without requeue, as it answers a publish. */
  nack(channel: number, deliveryTag: number, multiple: boolean): void {
    this.#confirm(channel, NACK, deliveryTag, multiple);
  }

  #confirm(channel: number, methodId: number, deliveryTag: number, multiple: boolean): void {
    this.#frameHeader(FRAME_METHOD, channel, 13);
    const { view } = this.#room(14);
    const at = this.#end;
    view.setUint16(at, BASIC);
    view.setUint16(at + 2, methodId);
    setLongLong(view, at + 4, deliveryTag);
    view.setUint8(at + 12, multiple ? 1 : 0);
    view.setUint8(at + 13, FRAME_END);
    this.#end = at + 14;
    this.bytes += 14;
  }

  /** basic.deliver with its content, by a template of `deliverTemplate`. */
  deliver(template: Room, deliveryTag: number, redelivered: boolean, message: StoredMessage): void {
    const routingBytes = message.routingEnd - message.routingStart;
    const templateBytes = template.buffer.length;
    const bytes = templateBytes + 9 + routingBytes + 1;
    const slab = this.#room(bytes);
    const { view } = slab;
    let at = this.#end;
    copyBytes(slab, at, template, 0, templateBytes);
    view.setUint32(at + 3, bytes - FRAME_OVERHEAD_BYTES);
    at += templateBytes;
    setLongLong(view, at, deliveryTag);
    view.setUint8(at + 8, redelivered ? 1 : 0);
    at += 9;
    copyBytes(slab, at, message, message.routingStart, message.routingEnd);
    at += routingBytes;
    view.setUint8(at, FRAME_END);
    this.#end = at + 1;
    this.bytes += bytes;
    this.content(template.view.getUint16(1), message);
  }

  /** A message's content header and body, in frames no larger than the peer's limit. */
  content(channel: number, message: StoredMessage): void {
    const { buffer, contentStart, headerBytes, bodyBytes, shownHeader } = message;
    if (shownHeader !== undefined) {
      this.#borrow(message.keeper);
      this.frame(FRAME_HEADER, channel, shownHeader, 0, shownHeader.length);
      this.#body(channel, message);
      return;
    }
    const headerFrameBytes = headerBytes + FRAME_OVERHEAD_BYTES;
    const bytes = headerFrameBytes + (bodyBytes === 0 ? 0 : bodyBytes + FRAME_OVERHEAD_BYTES);
    if (bytes >= REFERENCE_BYTES_MIN || bodyBytes + FRAME_OVERHEAD_BYTES > this.frameMax) {
      this.#borrow(message.keeper);
      this.frame(FRAME_HEADER, channel, buffer, message.headerStart, message.headerEnd);
      this.#body(channel, message);
      return;
    }
    const slab = this.#room(bytes);
    const at = this.#end;
    copyBytes(slab, at, message, contentStart, contentStart + bytes);
    slab.view.setUint16(at + 1, channel);
    if (bodyBytes > 0) slab.view.setUint16(at + headerFrameBytes + 1, channel);
    this.#end = at + bytes;
    this.bytes += bytes;
  }

  /** The bytes of a message stay as they are until they are written. */
  #borrow(keeper: Keeper | undefined): void {
    if (keeper === undefined || keeper === this.#keepers.at(-1)) return;
    keeper.borrow();
    this.#keepers.push(keeper);
  }

  #body(channel: number, message: StoredMessage): void {
    const { buffer, bodyBytes } = message;
    const pieceBytes = this.frameMax - FRAME_OVERHEAD_BYTES;
    const end = message.bodyStart + bodyBytes;
    for (let from = message.bodyStart; from < end; from += pieceBytes) {
      this.frame(FRAME_BODY, channel, buffer, from, Math.min(end, from + pieceBytes));
    }
  }
}

function setLongLong(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value);
}
