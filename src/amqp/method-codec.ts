/**
 * The generic codec: any method, by walking its row in the method table.
 *
 * The few methods of the message path have hand-written lanes beside it (content.ts, output.ts); a test holds them equal.
 */

import { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { AmqpError, DecodeError } from "./errors.ts";
import { type FieldTable, readTable, writeTable } from "./field-table.ts";
import {
  type FieldType,
  type Method,
  type MethodArguments,
  type MethodName,
  methodName,
  methods,
} from "./methods.ts";
import { erlangBinary } from "./type-names.ts";

/** Class id and method id. */
const METHOD_ID_BYTES = 4;

type Value =
  | MethodArguments<MethodName>[keyof MethodArguments<MethodName>]
  | boolean
  | number
  | string
  | Buffer;

type Fields = readonly (readonly [name: string, type: FieldType])[];

/** The fields of the methods that have come or gone so far. */
const known = new Map<MethodName, Fields>();

function fieldsOf(name: MethodName): Fields {
  let fields = known.get(name);
  if (fields === undefined) {
    fields = Object.entries(methods[name].fields) as [string, FieldType][];
    known.set(name, fields);
  }
  return fields;
}

/** Consecutive bits share octets, the first bit lowest. */
class BitReader {
  #octet = 0;
  #used = 8;

  next(reader: ByteReader): boolean {
    if (this.#used === 8) {
      this.#octet = reader.octet();
      this.#used = 0;
    }
    return ((this.#octet >> this.#used++) & 1) === 1;
  }

  /** What follows is not a bit: the rest of the octet is not used. */
  end(): void {
    this.#used = 8;
  }
}

function readField(
  reader: ByteReader,
  type: Exclude<FieldType, "bit">,
): number | string | Buffer | FieldTable {
  return type === "table" ? readTable(reader) : reader[type]();
}

/**
 * Decodes a method frame's payload, at least four bytes. What it returns holds no reference to `buffer`. An unknown method
 * is a COMMAND_INVALID; arguments that do not fit are a FRAME_ERROR that shows their bytes as RabbitMQ does.
 */
export function decodeMethod(buffer: Buffer, start: number, end: number): Method {
  const name = methodName(buffer.readUInt16BE(start), buffer.readUInt16BE(start + 2));
  if (name === undefined) throw new AmqpError("COMMAND_INVALID", "unimplemented method");
  const reader = new ByteReader(buffer, start + METHOD_ID_BYTES, end);
  try {
    const args = readArguments(reader, fieldsOf(name));
    if (reader.remaining > 0) throw new DecodeError("bytes left after the arguments");
    return { name, arguments: args } as unknown as Method;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const shown = erlangBinary(buffer.subarray(start + METHOD_ID_BYTES, end));
    throw new AmqpError("FRAME_ERROR", `cannot decode ${shown}`, {
      logText: `${error.message} (${name})`,
    });
  }
}

function readArguments(reader: ByteReader, fields: Fields): Record<string, Value | FieldTable> {
  const bits = new BitReader();
  const values: Record<string, Value | FieldTable> = {};
  for (const [field, type] of fields) {
    if (type === "bit") {
      values[field] = bits.next(reader);
    } else {
      bits.end();
      values[field] = readField(reader, type);
    }
  }
  return values;
}

function writeField(writer: ByteWriter, type: Exclude<FieldType, "bit">, value: unknown): void {
  switch (type) {
    case "table":
      writeTable(writer, value as FieldTable);
      break;
    case "shortstr":
      writer.shortstr(value as string);
      break;
    case "longstr":
      writer.longstr(value as Buffer);
      break;
    default:
      writer[type](value as number);
      break;
  }
}

/** Appends a method frame's payload: class id, method id, arguments. */
export function encodeMethod<Name extends MethodName>(
  writer: ByteWriter,
  name: Name,
  args: MethodArguments<Name>,
): void {
  const { id } = methods[name];
  writer.short(id[0]);
  writer.short(id[1]);
  const values = args as unknown as Record<string, unknown>;
  let octetAt = -1;
  let bitsUsed = 8;
  for (const [field, type] of fieldsOf(name)) {
    if (type !== "bit") {
      bitsUsed = 8;
      writeField(writer, type, values[field]);
      continue;
    }
    if (bitsUsed === 8) {
      octetAt = writer.hole(1);
      writer.buffer[octetAt] = 0;
      bitsUsed = 0;
    }
    if (values[field] === true) writer.buffer[octetAt]! |= 1 << bitsUsed;
    bitsUsed++;
  }
}
