/** The OpenAPI document: what the table of routes says, in the form that tools for HTTP APIs read. */

import { version } from "../config.ts";
import type { Route } from "./route.ts";

/** `/api/queues/{vhost}/{queue}` */
function openApiPath(path: string): string {
  return path.replaceAll(/:(\w+)/g, "{$1}");
}

function parametersOf(path: string): object[] {
  return [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
}

const replies: Readonly<Record<Route["method"], object>> = {
  GET: { "200": { description: "What was asked for" } },
  PUT: { "201": { description: "It is new" }, "204": { description: "It was there" } },
  POST: {
    "200": { description: "Done" },
    "201": { description: "It is new" },
    "204": { description: "Done" },
  },
  DELETE: { "204": { description: "It is gone" } },
};

const refusals = {
  "400": { description: "The request is wrong; `reason` says why" },
  "401": { description: "No log-in, or not allowed" },
  "404": { description: "There is nothing of that name" },
};

function operation({ method, path, needs, summary }: Route): object {
  const hasBody = method === "PUT" || method === "POST";
  return {
    summary,
    description:
      needs === "nothing" ? "Needs no log-in." : `Needs the tag ${needs}, or one above it.`,
    tags: [path.split("/")[2]],
    security: needs === "nothing" ? [] : [{ basic: [] }],
    ...(path.includes(":") && { parameters: parametersOf(path) }),
    ...(hasBody && {
      requestBody: { content: { "application/json": { schema: { type: "object" } } } },
    }),
    responses: { ...replies[method], ...refusals },
  };
}

export function openApiDocument(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = openApiPath(route.path);
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Leveret's management API",
      version,
      description: "RabbitMQ's management HTTP API, as far as it makes sense on one node.",
    },
    components: { securitySchemes: { basic: { type: "http", scheme: "basic" } } },
    paths,
  };
}
