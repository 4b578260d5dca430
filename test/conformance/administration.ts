/**
 * What an administrator does to the broker under test: users, permissions, virtual hosts, limits, closing connections.
 *
 * The same tests run on any broker: an embedded Leveret is asked through its interface, a RabbitMQ through its management
 * HTTP API at MANAGEMENT_URL, by default BROKER_URL's host with the port 10,000 higher. Where neither is to be had, tests
 * skip and say so.
 *
 * It guarantees that what a test makes with `newVirtualHost` and `newUser` is gone after it.
 */
import { randomBytes } from "node:crypto";
import { beforeEach } from "vitest";
import type { Broker, PermissionTriple, TopicPermission } from "../../src/index.ts";
import { brokerUrl, closeAfterTest, DEADLINE_MS, embeddedBroker } from "./harness.ts";

export interface VirtualHostOptions {
  description?: string;
  defaultQueueType?: string;
}

export interface UserOptions {
  password?: string;
  /** base64 */
  passwordHash?: string;
  hashingAlgorithm?: string;
  tags?: string[];
}

export interface Administration {
  /** The tests' own user has all permissions in it. */
  addVirtualHost(name: string, options?: VirtualHostOptions): Promise<void>;
  deleteVirtualHost(name: string): Promise<void>;
  setVirtualHostLimit(
    name: string,
    limit: "max-connections" | "max-queues",
    n: number,
  ): Promise<void>;
  addUser(name: string, options: UserOptions): Promise<void>;
  deleteUser(name: string): Promise<void>;
  setUserLimit(name: string, limit: "max-connections" | "max-channels", n: number): Promise<void>;
  setPermissions(user: string, vhost: string, permissions: PermissionTriple): Promise<void>;
  clearPermissions(user: string, vhost: string): Promise<void>;
  setTopicPermission(
    user: string,
    vhost: string,
    exchange: string,
    permission: TopicPermission,
  ): Promise<void>;
  clearTopicPermissions(user: string, vhost: string): Promise<void>;
  /** Without a reason the broker gives its own. */
  closeConnection(name: string, reason?: string): Promise<void>;
  // Policies, parameters and whatever else an administrator sets belong here, with a method in both classes below.
}

class EmbeddedAdministration implements Administration {
  readonly #broker: Broker;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  async addVirtualHost(name: string, options: VirtualHostOptions = {}) {
    this.#broker.virtualHosts.add(name, options);
    await this.setPermissions("guest", name, { configure: ".*", write: ".*", read: ".*" });
  }

  async deleteVirtualHost(name: string) {
    this.#broker.virtualHosts.delete(name);
  }

  async setVirtualHostLimit(name: string, limit: "max-connections" | "max-queues", n: number) {
    const limits = limit === "max-connections" ? { maxConnections: n } : { maxQueues: n };
    this.#broker.virtualHosts.change(name, { limits });
  }

  async addUser(name: string, options: UserOptions) {
    this.#broker.users.add(name, options);
  }

  async deleteUser(name: string) {
    this.#broker.users.delete(name);
  }

  async setUserLimit(name: string, limit: "max-connections" | "max-channels", n: number) {
    const limits = limit === "max-connections" ? { maxConnections: n } : { maxChannels: n };
    this.#broker.users.change(name, { limits });
  }

  async setPermissions(user: string, vhost: string, permissions: PermissionTriple) {
    this.#broker.permissions.set(user, vhost, permissions);
  }

  async clearPermissions(user: string, vhost: string) {
    this.#broker.permissions.clear(user, vhost);
  }

  async setTopicPermission(
    user: string,
    vhost: string,
    exchange: string,
    permission: TopicPermission,
  ) {
    this.#broker.permissions.setTopic(user, vhost, exchange, permission);
  }

  async clearTopicPermissions(user: string, vhost: string) {
    this.#broker.permissions.clearTopic(user, vhost);
  }

  async closeConnection(name: string, reason?: string) {
    this.#broker.connections.close(name, reason);
  }
}

/** RabbitMQ's management HTTP API. */
class HttpAdministration implements Administration {
  readonly #url: URL;

  constructor(url: URL) {
    this.#url = url;
  }

  /** `segments` come after `/api`; throws what the broker says when it does not do it. */
  async #request(method: string, segments: string[], body?: object, headers = {}) {
    const { protocol, host, username, password } = this.#url;
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    const path = segments.map(encodeURIComponent).join("/");
    const response = await fetch(`${protocol}//${host}/api/${path}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(credentials).toString("base64")}`,
        "content-type": "application/json",
        ...headers,
      },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  }

  async isThere(): Promise<boolean> {
    return this.#request("GET", ["whoami"]).then(
      () => true,
      () => false,
    );
  }

  addVirtualHost(name: string, { description, defaultQueueType }: VirtualHostOptions = {}) {
    const body = {
      ...(description !== undefined && { description }),
      ...(defaultQueueType !== undefined && { default_queue_type: defaultQueueType }),
    };
    // Whoever makes it has all permissions in it.
    return this.#request("PUT", ["vhosts", name], body);
  }

  deleteVirtualHost(name: string) {
    return this.#request("DELETE", ["vhosts", name]);
  }

  setVirtualHostLimit(name: string, limit: string, n: number) {
    return this.#request("PUT", ["vhost-limits", name, limit], { value: n });
  }

  addUser(name: string, { password, passwordHash, hashingAlgorithm, tags = [] }: UserOptions) {
    return this.#request("PUT", ["users", name], {
      ...(password === undefined ? { password_hash: passwordHash ?? "" } : { password }),
      ...(hashingAlgorithm !== undefined && { hashing_algorithm: hashingAlgorithm }),
      tags: tags.join(),
    });
  }

  deleteUser(name: string) {
    return this.#request("DELETE", ["users", name]);
  }

  setUserLimit(name: string, limit: string, n: number) {
    return this.#request("PUT", ["user-limits", name, limit], { value: n });
  }

  setPermissions(user: string, vhost: string, permissions: PermissionTriple) {
    return this.#request("PUT", ["permissions", vhost, user], permissions);
  }

  clearPermissions(user: string, vhost: string) {
    return this.#request("DELETE", ["permissions", vhost, user]);
  }

  setTopicPermission(user: string, vhost: string, exchange: string, permission: TopicPermission) {
    return this.#request("PUT", ["topic-permissions", vhost, user], { exchange, ...permission });
  }

  clearTopicPermissions(user: string, vhost: string) {
    return this.#request("DELETE", ["topic-permissions", vhost, user]);
  }

  /** It takes RabbitMQ a moment to know of a connection here. */
  async closeConnection(name: string, reason?: string) {
    const end = Date.now() + DEADLINE_MS;
    const headers = reason === undefined ? {} : { "X-Reason": reason };
    for (;;) {
      try {
        await this.#request("DELETE", ["connections", name], undefined, headers);
        return;
      } catch (error) {
        if (Date.now() > end) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }
}

async function find(): Promise<Administration | undefined> {
  const { BROKER_URL: given, MANAGEMENT_URL: management } = process.env;
  if (given === undefined || given === "")
    return new EmbeddedAdministration(await embeddedBroker());
  const url = new URL(management ?? (await brokerUrl()).replace(/^amqp:/, "http:"));
  if (management === undefined) url.port = String(Number(url.port) + 10_000);
  const http = new HttpAdministration(url);
  return (await http.isThere()) ? http : undefined;
}

let found: Promise<Administration | undefined> | undefined;

/** To be called once at the top of a test file: its tests are skipped where there is nobody to ask. */
export function needsAdministration(): void {
  beforeEach(async (context) => {
    found ??= find();
    if ((await found) === undefined) {
      context.skip("the broker has no management API: set MANAGEMENT_URL, or enable its plugin");
    }
  });
}

/** What an administrator can do to the broker under test. */
export async function administration(): Promise<Administration> {
  found ??= find();
  const there = await found;
  if (there === undefined) throw new Error("needsAdministration() is to be called in this file");
  return there;
}

function name(stem: string): string {
  return `${stem}-${randomBytes(6).toString("hex")}`;
}

/** A virtual host for this test alone. */
export async function newVirtualHost(options?: VirtualHostOptions): Promise<string> {
  const administrator = await administration();
  const vhost = name("vhost");
  await administrator.addVirtualHost(vhost, options);
  closeAfterTest(() => administrator.deleteVirtualHost(vhost).catch(() => {}));
  return vhost;
}

export interface NewUser {
  username: string;
  password: string;
}

/** A user for this test alone. */
export async function newUser(options: UserOptions = {}): Promise<NewUser> {
  const administrator = await administration();
  const user = { username: name("user"), password: "correct horse" };
  const hasHash = options.passwordHash !== undefined;
  await administrator.addUser(user.username, {
    ...(hasHash ? {} : { password: user.password }),
    ...options,
  });
  closeAfterTest(() => administrator.deleteUser(user.username).catch(() => {}));
  return user;
}

/** A user who may do this much in a virtual host, all of it unless it says otherwise. */
export async function newUserIn(
  vhost: string,
  permissions: Partial<PermissionTriple> = {},
  options: UserOptions = {},
): Promise<NewUser> {
  const user = await newUser(options);
  const all = { configure: ".*", write: ".*", read: ".*" };
  const administrator = await administration();
  await administrator.setPermissions(user.username, vhost, { ...all, ...permissions });
  return user;
}
