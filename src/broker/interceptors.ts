/**
 * What the broker writes into messages when they are published, if its settings say so: when they came, and through which node
 * [RabbitMQ: message interceptors]. Without such settings no message is looked at.
 */

import { type FieldTable, type FieldValue, longstr } from "../amqp/field-table.ts";
import type { Clock } from "../clock.ts";
import type { Settings } from "../config.ts";
import type { Publication } from "./publication.ts";

const TIMESTAMP_HEADER = "timestamp_in_ms";
const NODE_HEADER = "x-routed-by";

/** Changes a message before it is routed. */
export type Intercept = (publication: Publication) => void;

type InterceptorSettings = Pick<Settings, "messageTimestampOverwrite" | "messageNodeOverwrite">;

/** Undefined when there is nothing to be written. */
export function interceptorOf(
  settings: InterceptorSettings,
  nodeName: string,
  clock: Clock,
): Intercept | undefined {
  const { messageTimestampOverwrite: timestamp, messageNodeOverwrite: node } = settings;
  if (timestamp === undefined && node === undefined) return undefined;
  return (publication) => {
    const headers = publication.decodeHeaders();
    const nowMs = clock.now();
    if (node !== undefined) set(headers, NODE_HEADER, longstr(nodeName), node);
    if (timestamp === undefined) {
      publication.rewrite({ headers });
      return;
    }
    set(headers, TIMESTAMP_HEADER, { type: "l", value: BigInt(nowMs) }, timestamp);
    const isKept = !timestamp && publication.decodeProperty("timestamp") !== undefined;
    publication.rewrite({ headers, ...(!isKept && { timestamp: Math.floor(nowMs / 1000) }) });
  };
}

function set(headers: FieldTable, name: string, value: FieldValue, overwrite: boolean): void {
  if (overwrite || !headers.has(name)) headers.set(name, value);
}
