/**
 * The HTTP application: every route of the table, behind its log-in.
 *
 * It opens no port: whoever has one hands it requests. A request that is wrong gets a 4xx that says why; what fails otherwise
 * is the broker's own fault, goes to its log, and is a 500 that says nothing. It is loaded with the first request, so
 * that a broker whose API nobody uses pays nothing for it.
 */

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import fastify, {
  type FastifyHttpOptions,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from "fastify";
import { User } from "../broker/users.ts";
import { authenticate, authorise, CHALLENGE, unauthenticated } from "./authentication.ts";
import type { ManagementContext } from "./context.ts";
import { badRequest, HttpError, httpErrorOf, nothingThere } from "./http-error.ts";
import type { Query } from "./listing.ts";
import { Call, type HttpMethod, type Reply, type Route } from "./route.ts";
import { routes } from "./routes.ts";

/** Of a request, where its route does not say otherwise. */
export const BODY_BYTES_MAX = 1024 * 1024;
/** Names in a path: three bytes for each of their at most 255, and twice for properties keys. */
const PARAMETER_BYTES_MAX = 2048;

const noCompilers = {
  buildValidator: () => () => () => true,
  buildSerializer: () => () => JSON.stringify,
} as unknown as CompilersFactory;

type CompilersFactory = NonNullable<
  NonNullable<FastifyHttpOptions<Server>["schemaController"]>["compilersFactory"]
>;

const NO_BODY = Buffer.alloc(0);

/** Of routes that need no log-in. */
const nobody = new User("", undefined, [], {});

function queryOf(url: string): Query {
  const at = url.indexOf("?");
  return new Map(at < 0 ? [] : new URLSearchParams(url.slice(at + 1)));
}

function send(reply: FastifyReply, { status, body, headers }: Reply): FastifyReply {
  reply.code(status).headers({ "cache-control": "no-cache", ...headers });
  if (body === undefined) return reply.send();
  return reply.type("application/json").send(JSON.stringify(body));
}

function sendError(reply: FastifyReply, error: HttpError): FastifyReply {
  const headers: Record<string, string> = {};
  if (error.status === 401) headers["www-authenticate"] = CHALLENGE;
  const body = error === unauthenticated ? undefined : error.body;
  return send(reply, { status: error.status, body, headers });
}

/** Errors of Fastify's own, which has read the request: their status is right, and their words are ours. */
function readingError(error: unknown): HttpError | undefined {
  const { statusCode, message, code } = error as { [name: string]: unknown };
  if (typeof code !== "string" || typeof statusCode !== "number") return undefined;
  if (statusCode < 400 || statusCode >= 500) return undefined;
  return new HttpError(statusCode, { error: "bad_request", reason: String(message) });
}

export type Handle = (request: IncomingMessage, response: ServerResponse) => void;

export class Application {
  readonly #context: ManagementContext;
  readonly #fastify: FastifyInstance;
  /** Parts of the path of each route, and its method: for those that are asked for with another one. */
  readonly #methods: readonly (readonly [parts: readonly string[], method: HttpMethod])[];

  private constructor(context: ManagementContext) {
    this.#context = context;
    this.#methods = routes.map(({ path, method }) => [path.split("/"), method]);
    this.#fastify = fastify({
      bodyLimit: BODY_BYTES_MAX,
      exposeHeadRoutes: true,
      routerOptions: { ignoreTrailingSlash: true, maxParamLength: PARAMETER_BYTES_MAX },
      frameworkErrors: (_, __, reply) => void sendError(reply, badRequest("malformed path")),
      // Bodies are checked by their handlers, and replies are written by us: nothing of that kind need be loaded.
      schemaController: { compilersFactory: noCompilers },
    } as FastifyHttpOptions<Server>);
  }

  static async create(context: ManagementContext): Promise<Application> {
    const application = new Application(context);
    application.#set();
    await application.#fastify.ready();
    return application;
  }

  /** Answers a request. */
  get handle(): Handle {
    return (request, response) => this.#fastify.routing(request, response);
  }

  #set(): void {
    const app = this.#fastify;
    app.removeAllContentTypeParsers();
    // JSON is taken whatever it is called, as curl calls it a form [RabbitMQ].
    app.addContentTypeParser("*", { parseAs: "buffer" }, (_, body, parsed) => parsed(null, body));
    app.setErrorHandler((error, request, reply) => this.#fail(error, request, reply));
    app.setNotFoundHandler((request, reply) => this.#notFound(request, reply));
    for (const route of routes) this.#add(route);
  }

  #add(route: Route): void {
    const { host, operatorKey } = this.#context;
    const { needs, bodyBytesMax: bodyLimit = BODY_BYTES_MAX } = route;
    this.#fastify.route({
      method: route.method,
      url: route.path,
      bodyLimit,
      // Before the body is read: a stranger's is not.
      onRequest: (request, _, next) => {
        const user =
          needs === "nothing"
            ? nobody
            : authenticate(host, request.headers.authorization, request.ip, operatorKey);
        const { vhost } = request.params as Record<string, string | undefined>;
        authorise(host, user, route, vhost);
        (request as { user?: unknown }).user = user;
        next();
      },
      handler: async (request, reply) => {
        const { user } = request as unknown as { user: User };
        const call = new Call({
          context: this.#context,
          user,
          parameters: request.params as Record<string, string>,
          query: queryOf(request.url),
          body: (request.body as Buffer | undefined) ?? NO_BODY,
          headers: request.headers,
        });
        return send(reply, await route.handle(call));
      },
    });
  }

  #fail(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const known = httpErrorOf(error) ?? readingError(error);
    if (known !== undefined) return sendError(reply, known);
    const { method, url } = request;
    this.#context.host.log.error(
      { error, method, path: url.split("?")[0] },
      "an HTTP request failed",
    );
    return send(reply, {
      status: 500,
      body: { error: "internal_server_error", reason: "the broker's log says more" },
    });
  }

  #notFound(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const allowed = this.#allowedMethods(request.url.split("?")[0]!);
    if (allowed.length === 0) return sendError(reply, nothingThere());
    const headers = { allow: allowed.join(", ") };
    return send(reply, { status: request.method === "OPTIONS" ? 200 : 405, headers });
  }

  /** The methods that a path can be asked for with. */
  #allowedMethods(url: string): string[] {
    const parts = url.replace(/\/$/, "").split("/");
    const methods = this.#methods
      .filter(([pattern]) => fits(parts, pattern))
      .map(([, method]) => method);
    if (methods.length === 0) return [];
    return [...new Set([...(methods.includes("GET") ? ["HEAD"] : []), ...methods, "OPTIONS"])];
  }
}

function fits(parts: readonly string[], pattern: readonly string[]): boolean {
  return (
    parts.length === pattern.length &&
    pattern.every((part, index) =>
      part.startsWith(":") ? parts[index] !== "" : part === parts[index],
    )
  );
}
