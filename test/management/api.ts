/**
 * The management API under test: that of an embedded broker, or the one at MANAGEMENT_URL, whose broker BROKER_URL names.
 *
 * What a test makes with `newVirtualHost` and `newUser` is gone after it, so that the tests can share a RabbitMQ.
 */
import { randomBytes } from "node:crypto";
import { onTestFinished } from "vitest";
import type { Broker } from "../../src/index.ts";

export interface Answer {
  readonly status: number;
  // Whatever the broker says: tests look at it with their matchers.
  // biome-ignore lint/suspicious/noExplicitAny: the JSON of an answer has no type
  readonly body: any;
  readonly text: string;
  readonly headers: Headers;
}

export interface Target {
  readonly amqp: string;
  readonly http: string;
}

const DEADLINE_MS = 10_000;

let embedded: Promise<Broker> | undefined;

/** The broker inside this process; only where MANAGEMENT_URL names no other. */
export function embeddedBroker(): Promise<Broker> {
  embedded ??= import("../../src/index.ts").then(({ Broker }) =>
    Broker.start({ port: 0, managementPort: 0 }),
  );
  return embedded;
}

/** Whether the tests are run against a RabbitMQ. */
const { MANAGEMENT_URL: givenUrl = "", BROKER_URL: givenBroker = "" } = process.env;
export const isForeign = givenUrl !== "" && givenBroker !== "";

/** That RabbitMQ, for tests that put Leveret beside it. */
export const rabbitmq: Target | undefined = isForeign
  ? { amqp: givenBroker, http: new URL(givenUrl).origin }
  : undefined;

export async function target(): Promise<Target> {
  if (rabbitmq !== undefined) return rabbitmq;
  const broker = await embeddedBroker();
  return { amqp: broker.url, http: broker.managementUrl! };
}

/** One user's way to the API. */
export class Api {
  readonly #url: string;
  readonly #credentials: string | null;

  /** `name:password`, or null for none. */
  constructor(url: string, credentials: string | null = "guest:guest") {
    this.#url = url;
    this.#credentials = credentials;
  }

  as(name: string, password: string): Api {
    return new Api(this.#url, `${name}:${password}`);
  }

  async request(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const response = await fetch(`${this.#url}/api/${path}`, {
      method,
      headers: {
        ...(this.#credentials !== null && {
          authorization: `Basic ${Buffer.from(this.#credentials).toString("base64")}`,
        }),
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      ...(body !== undefined && {
        body: typeof body === "string" || body instanceof Buffer ? body : JSON.stringify(body),
      }),
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json") && text !== "";
    return {
      status: response.status,
      body: isJson ? JSON.parse(text) : undefined,
      text,
      headers: response.headers,
    };
  }

  get(path: string): Promise<Answer> {
    return this.request("GET", path);
  }

  put(path: string, body?: unknown): Promise<Answer> {
    return this.request("PUT", path, body);
  }

  post(path: string, body?: unknown): Promise<Answer> {
    return this.request("POST", path, body);
  }

  delete(path: string, headers?: Record<string, string>): Promise<Answer> {
    return this.request("DELETE", path, undefined, headers);
  }
}

/** As the administrator guest. */
export async function api(): Promise<Api> {
  return new Api((await target()).http);
}

/** Without a log-in. */
export async function stranger(): Promise<Api> {
  return new Api((await target()).http, null);
}

function name(stem: string): string {
  return `${stem}-${randomBytes(6).toString("hex")}`;
}

/** A virtual host for this test alone, in which guest may do everything. */
export async function newVirtualHost(): Promise<string> {
  const vhost = name("vhost");
  await (await api()).put(`vhosts/${vhost}`, {});
  onTestFinished(async () => void (await (await api()).delete(`vhosts/${vhost}`)));
  return vhost;
}

/** A user for this test alone, and its way to the API. */
export async function newUser(tags: string): Promise<{ user: string; as: Api }> {
  const user = name("user");
  await (await api()).put(`users/${user}`, { password: "correct horse", tags });
  onTestFinished(async () => void (await (await api()).delete(`users/${user}`)));
  return { user, as: (await api()).as(user, "correct horse") };
}

/** Lets a user do everything in a virtual host. */
export async function permit(user: string, vhost: string): Promise<void> {
  await (await api()).put(`permissions/${vhost}/${user}`, {
    configure: ".*",
    write: ".*",
    read: ".*",
  });
}

/** The answer once it is as wanted: RabbitMQ's statistics come late. */
export async function eventually(
  ask: () => Promise<Answer>,
  isWanted: (answer: Answer) => boolean,
): Promise<Answer> {
  const end = Date.now() + 2 * DEADLINE_MS;
  for (;;) {
    const answer = await ask();
    if (isWanted(answer) || Date.now() > end || !isForeign) return answer;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
