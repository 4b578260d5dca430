/** Definitions over HTTP: as JSON, or as a file that a form sends. */

import { exportDefinitions, exportVirtualHost } from "./definitions-export.ts";
import { importDefinitions, importVirtualHost } from "./definitions-import.ts";
import { badRequest } from "./http-error.ts";
import { isObject, type JsonObject, parseObject } from "./input.ts";
import { chosenColumns } from "./listing.ts";
import { type Call, done, ok, type Reply, type Route } from "./route.ts";

/** A broker with some ten thousand queues. */
export const DEFINITIONS_BYTES_MAX = 32 * 1024 * 1024;

/** With `download` it is to be saved under that name. */
function download(call: Call, definitions: Record<string, unknown>): Reply {
  const name = call.query.get("download");
  const body = chosenColumns(definitions, call.query);
  if (name === undefined || name === "") return ok(body);
  const safe = name.replace(/[^\w.-]/g, "_");
  return { ...ok(body), headers: { "content-disposition": `attachment; filename=${safe}` } };
}

/** The file of a form, `multipart/form-data`: the part with the name `file`. */
function fileOf(body: Buffer, boundary: string): Buffer {
  const delimiter = `\r\n--${boundary}`;
  // So that the first one begins as the others do.
  const all = Buffer.concat([Buffer.from("\r\n"), body]);
  let at = all.indexOf(delimiter);
  while (at >= 0) {
    const start = at + delimiter.length;
    const end = all.indexOf(delimiter, start);
    if (end < 0) break;
    const headEnd = all.indexOf("\r\n\r\n", start);
    const head = all.toString("latin1", start, headEnd);
    if (headEnd >= 0 && headEnd < end && /;\s*name="?file"?\s*(;|\r\n|$)/i.test(head))
      return all.subarray(headEnd + 4, end);
    at = end;
  }
  throw badRequest("failed_to_parse_json");
}

function definitionsOf({ body, headers }: Call): JsonObject {
  const type = String(headers["content-type"] ?? "");
  const boundary = /^multipart\/form-data;.*boundary="?([^";]+)"?/i.exec(type)?.[1];
  try {
    const definitions = parseObject(boundary === undefined ? body : fileOf(body, boundary));
    if (isObject(definitions)) return definitions;
  } catch {
    // The words are others here.
  }
  throw badRequest("failed_to_parse_json");
}

export const definitionRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/definitions",
    needs: "administrator",
    summary: "Everything but messages, in the format of RabbitMQ's definitions",
    handle: (call) => download(call, exportDefinitions(call.host)),
  },
  {
    method: "POST",
    path: "/api/definitions",
    needs: "administrator",
    summary: "Makes what definitions say",
    bodyBytesMax: DEFINITIONS_BYTES_MAX,
    handle: (call) => {
      importDefinitions(call.host, definitionsOf(call));
      return done;
    },
  },
  {
    method: "GET",
    path: "/api/definitions/:vhost",
    needs: "administrator",
    summary: "What is in a virtual host, in the format of RabbitMQ's definitions",
    handle: (call) => download(call, exportVirtualHost(call.host, call.vhost)),
  },
  {
    method: "POST",
    path: "/api/definitions/:vhost",
    needs: "administrator",
    summary: "Makes what definitions say in a virtual host",
    bodyBytesMax: DEFINITIONS_BYTES_MAX,
    handle: (call) => {
      importVirtualHost(call.host, definitionsOf(call), call.parameter("vhost"));
      return done;
    },
  },
];
