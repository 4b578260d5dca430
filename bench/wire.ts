/**
 * Encodes AMQP 0-9-1 frames: the primitive field types, and frames around payloads.
 *
 * Written a second time, apart from the broker's own codec, on purpose: a load generator that
 * shared the codec would share its mistakes. Encoding is not done per message; the generator
 * encodes its frames once and patches them (publisher.ts, consumer.ts).
 */

export const FRAME_METHOD = 1;
export const FRAME_HEADER = 2;
export const FRAME_BODY = 3;
export const FRAME_HEARTBEAT = 8;
export const FRAME_END = 0xce;

/** Type, channel and size before a payload. */
export const FRAME_HEADER_BYTES = 7;
/** What a frame has besides its payload: the seven octets before it and the end octet after. */
export const FRAME_OVERHEAD_BYTES = FRAME_HEADER_BYTES + 1;
/** The frame_max the generator asks for: what brokers offer, and what client libraries take. */
export const FRAME_BYTES_MAX = 131_072;

export function frame(type: number, channel: number, ...payload: Buffer[]): Buffer {
  const body = Buffer.concat(payload);
  const bytes = Buffer.alloc(body.length + FRAME_OVERHEAD_BYTES);
  bytes.writeUInt8(type, 0);
  bytes.writeUInt16BE(channel, 1);
  bytes.writeUInt32BE(body.length, 3);
  body.copy(bytes, FRAME_HEADER_BYTES);
  bytes.writeUInt8(FRAME_END, bytes.length - 1);
  return bytes;
}

export function u8(value: number): Buffer {
  return Buffer.from([value]);
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

export function shortString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([u8(bytes.length), bytes]);
}

export function longString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([u32(bytes.length), bytes]);
}

/** Packed bits, the first in the lowest position. */
export function bits(...flags: boolean[]): Buffer {
  let octet = 0;
  flags.forEach((flag, position) => {
    if (flag) octet |= 1 << position;
  });
  return u8(octet);
}

/**
 * A field value with its type octet in front; anything the generator has no use for is left out.
 */
export type FieldValue = string | number | boolean | Date | { readonly [name: string]: FieldValue };

/** A field table with its length in front. A whole number becomes a signed 32-bit integer ('I'). */
export function table(fields: { readonly [name: string]: FieldValue }): Buffer {
  const encoded: Buffer[] = [];
  for (const [name, value] of Object.entries(fields)) {
    encoded.push(shortString(name), fieldValue(value));
  }
  const body = Buffer.concat(encoded);
  return Buffer.concat([u32(body.length), body]);
}

function fieldValue(value: FieldValue): Buffer {
  if (typeof value === "string") return Buffer.concat([Buffer.from("S"), longString(value)]);
  if (typeof value === "boolean") return Buffer.concat([Buffer.from("t"), u8(value ? 1 : 0)]);
  if (typeof value === "number") return numberField(value);
  if (value instanceof Date) {
    return Buffer.concat([Buffer.from("T"), u64(Math.floor(value.getTime() / 1000))]);
  }
  return Buffer.concat([Buffer.from("F"), table(value)]);
}

function numberField(value: number): Buffer {
  const whole = Number.isInteger(value);
  const bytes = Buffer.alloc(whole ? 5 : 9);
  bytes.write(whole ? "I" : "d");
  if (whole) bytes.writeInt32BE(value, 1);
  else bytes.writeDoubleBE(value, 1);
  return bytes;
}

/** Reads what `u32` wrote. By hand, because `readUInt32BE` checks its arguments each time. */
export function u32At(buffer: Buffer, at: number): number {
  const high = buffer[at]! * 0x100_0000;
  return high + ((buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!);
}

/** Reads what `u64` wrote; numbers here stay below 2^53. */
export function u64At(buffer: Buffer, at: number): number {
  return u32At(buffer, at) * 0x1_0000_0000 + u32At(buffer, at + 4);
}
