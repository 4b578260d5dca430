/** Bytes on the wire, written out: octets as numbers, text as itself; and the ways in which a stream can arrive. */

/** `wire(0, 50, 0, 10, 1, "q")`: a number is an octet, a string its UTF-8, a buffer its bytes. */
export function wire(...parts: readonly (number | string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    parts.map((part) => (typeof part === "number" ? Buffer.of(part) : Buffer.from(part))),
  );
}

/** A frame around a payload. */
export function frame(type: number, channel: number, payload: Buffer): Buffer {
  const start = Buffer.alloc(7);
  start.writeUInt8(type, 0);
  start.writeUInt16BE(channel, 1);
  start.writeUInt32BE(payload.length, 3);
  return Buffer.concat([start, payload, Buffer.of(0xce)]);
}

/** A field table: the length of its entries, then them. */
export function table(...entries: readonly (number | string | Uint8Array)[]): Buffer {
  const bytes = wire(...entries);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** The ways in which a stream is fed to a parser, each a list of chunks: whole, cut in two at every byte, byte by byte. */
export function* arrivals(stream: Buffer): Generator<{ how: string; chunks: Buffer[] }> {
  const cut = (start: number, end: number) => Buffer.from(stream.subarray(start, end));
  yield { how: "whole", chunks: [cut(0, stream.length)] };
  for (let at = 1; at < stream.length; at++) {
    yield { how: `cut at byte ${at}`, chunks: [cut(0, at), cut(at, stream.length)] };
  }
  const bytes = Array.from(stream, (_, index) => cut(index, index + 1));
  yield { how: "byte by byte", chunks: bytes };
}
