/**
 * What makes a message a duplicate of another: the value of its header `x-deduplication-header`.
 *
 * Two values are the same when their kind and value are, whatever their width; tables and arrays are no keys, so that a
 * message with one is never a duplicate [RabbitMQ: message deduplication].
 */

import { createHash } from "node:crypto";
import { integerValue } from "../amqp/field-equality.ts";
import type { FieldTable } from "../amqp/field-table.ts";

/** A longer text is kept as its digest, so that a key has a size. */
const TEXT_BYTES_MAX = 64;

/** Undefined when the message cannot be a duplicate. */
export function deduplicationKey(headers: FieldTable): string | undefined {
  const field = headers.get("x-deduplication-header");
  if (field === undefined) return undefined;
  if (integerValue(field) !== undefined || field.type === "T") return `integer ${field.value}`;
  switch (field.type) {
    case "S":
    case "x":
      return field.value.length <= TEXT_BYTES_MAX
        ? `text ${field.value.toString("latin1")}`
        : `digest ${createHash("sha256").update(field.value).digest("base64")}`;
    case "f":
    case "d":
      return `float ${field.value}`;
    case "t":
    case "V":
      return `${field.value}`;
    default:
      return undefined;
  }
}
