/**
 * The way to the broker: its management HTTP API, as one user.
 *
 * Every answer is JSON. A refusal is a `ManagementError`; a broker that is not there is one with status 0.
 */

import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

/** Of an answer that does not come; listing a great many queues takes a while. */
const TIMEOUT_MS = 60_000;

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** The operator's. */
export interface Key {
  readonly key: string;
}

export type Row = Readonly<Record<string, unknown>>;

export class ManagementError extends Error {
  override readonly name = "ManagementError";
  readonly status: number;
  /** What was asked for. */
  readonly path: string;

  /** `status` is 0 when there was no answer. */
  constructor(status: number, reason: string, path = "") {
    super(reason);
    this.status = status;
    this.path = path;
  }
}

/** The parts of a path, each escaped: `apiPath("queues", "/", "q")` is `/api/queues/%2F/q`. */
export function apiPath(...parts: readonly string[]): string {
  return `/api/${parts.map(encodeURIComponent).join("/")}`;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** The words of an error's body. */
function reasonOf({ status, text }: Answer): string {
  try {
    const { reason } = JSON.parse(text) as { reason?: unknown };
    if (reason !== undefined) return typeof reason === "string" ? reason : JSON.stringify(reason);
  } catch {
    // Not JSON: whatever it is says most.
  }
  return text === "" ? `the management API answers with status ${status}` : text;
}

export class Management {
  readonly url: URL;
  readonly #credentials: Credentials | Key;

  constructor(url: URL, credentials: Credentials | Key) {
    this.url = url;
    this.#credentials = credentials;
  }

  get #authorization(): string {
    if ("key" in this.#credentials) return `Bearer ${this.#credentials.key}`;
    const { user, password } = this.#credentials;
    return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  }

  /** The same broker, as somebody else. */
  as(credentials: Credentials): Management {
    return new Management(this.url, credentials);
  }

  async get<Value = Row>(path: string): Promise<Value> {
    return (await this.#json("GET", path)) as Value;
  }

  async list(path: string): Promise<readonly Row[]> {
    return (await this.#json("GET", path)) as readonly Row[];
  }

  /** Undefined where there is nothing at this path. */
  async find(path: string): Promise<Row | undefined> {
    try {
      return await this.get(path);
    } catch (error) {
      if (error instanceof ManagementError && error.status === 404) return undefined;
      throw error;
    }
  }

  put(path: string, body: unknown = {}): Promise<unknown> {
    return this.#json("PUT", path, JSON.stringify(body));
  }

  post(path: string, body: unknown): Promise<unknown> {
    return this.#json("POST", path, typeof body === "string" ? body : JSON.stringify(body));
  }

  delete(path: string, headers: Readonly<Record<string, string>> = {}): Promise<unknown> {
    return this.#json("DELETE", path, undefined, headers);
  }

  async #json(method: string, path: string, ...rest: [body?: string, headers?: object]) {
    const answer = await this.#ask(method, path, ...rest);
    if (answer.status < 200 || answer.status > 299)
      throw new ManagementError(answer.status, reasonOf(answer), path);
    return answer.text === "" ? undefined : (JSON.parse(answer.text) as unknown);
  }

  #ask(method: string, path: string, body = "", headers: object = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const unreachable = ({ code, message }: NodeJS.ErrnoException): void =>
        reject(new ManagementError(0, code ?? message, path));
      const request = this.url.protocol === "https:" ? httpsRequest : httpRequest;
      const outgoing = request(
        new URL(path, this.url),
        {
          method,
          timeout: TIMEOUT_MS,
          headers: {
            authorization: this.#authorization,
            "content-type": "application/json",
            "content-length": Buffer.byteLength(body),
            ...headers,
          },
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
          incoming.on("error", unreachable);
          incoming.on("end", () =>
            resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
          );
        },
      );
      outgoing.on("timeout", () => outgoing.destroy(new Error("timed out")));
      outgoing.on("error", unreachable);
      outgoing.end(body);
    });
  }
}
