/**
 * Reading from clients, into one buffer for all of them.
 *
 * For each read Node.js allocates 64 KiB, which is most of what a large message costs, in collections of garbage. A socket
 * that connects can be given a buffer instead (`onread` of net.connect), one that was accepted cannot, though it is the same
 * object. So it is given one here in the way in which `net.Socket` does it for itself; where Node.js has changed that, and on
 * streams of other kinds, chunks come as ever.
 */

import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** Larger than Node's: whole messages of 64 KiB fit, and fewer calls are needed; much more would leave the caches. */
const READ_BYTES = 1 << 18;

let shared: Buffer | undefined;

interface Handle {
  useUserBuffer(buffer: Buffer): void;
}

interface SocketFields {
  _handle?: Partial<Handle> | null;
  [field: symbol]: unknown;
}

const [bufferField, callbackField] = fieldsOf(new Socket());

/** The fields of a socket that say where to read to, and whom to tell. */
function fieldsOf(socket: Socket): readonly (symbol | undefined)[] {
  const fields = Object.getOwnPropertySymbols(socket);
  return ["kBuffer", "kBufferCb"].map((name) => fields.find((field) => field.description === name));
}

/**
 * Calls `onChunk` with all that comes. A chunk is only lent: its bytes are others' when the call has returned. Whether
 * that is so is said by the answer; when it is false they stay as they are.
 */
export function readChunks(stream: Duplex, onChunk: (chunk: Buffer) => void): boolean {
  const isPlain = Object.getPrototypeOf(stream) === Socket.prototype;
  const socket = stream as unknown as SocketFields;
  if (
    !isPlain ||
    bufferField === undefined ||
    callbackField === undefined ||
    socket._handle?.useUserBuffer === undefined
  ) {
    stream.on("data", onChunk);
    return false;
  }
  shared ??= Buffer.allocUnsafeSlow(READ_BYTES);
  socket._handle.useUserBuffer(shared);
  socket[bufferField] = shared;
  socket[callbackField] = (bytes: number, buffer: Buffer): boolean => {
    onChunk(buffer.subarray(0, bytes));
    return true;
  };
  return true;
}
