/**
 * What an administrator does to the broker under test: users, permissions, virtual hosts, limits, policies, parameters,
 * closing connections.
 *
 * The same tests run on any broker: an embedded Leveret is asked through its interface, a RabbitMQ through its management
 * HTTP API at MANAGEMENT_URL, by default BROKER_URL's host with the port 10,000 higher. Where neither is to be had, tests
 * skip and say so.
 *
 * It guarantees that what a test makes with `newVirtualHost` and `newUser` is gone after it.
 */
import { randomBytes } from "node:crypto";
import { beforeEach } from "vitest";
import type {
  Broker,
  Json,
  PermissionTriple,
  PolicySpec,
  TopicPermission,
} from "../../src/index.ts";
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

export type PolicyKind = "policies" | "operator-policies";

/** As the HTTP API has it, and untyped, as the outside is. */
export interface PolicyOptions {
  pattern?: Json;
  definition?: Json;
  priority?: Json;
  "apply-to"?: Json;
}

/** Which policies apply to a queue or an exchange; `definition` is what they come to. */
export interface AppliedPolicies {
  policy: string | undefined;
  operatorPolicy: string | undefined;
  definition?: object;
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
  /** A refusal of a policy or a parameter is an error whose message is RabbitMQ's reason. */
  setPolicy(kind: PolicyKind, vhost: string, name: string, policy: PolicyOptions): Promise<void>;
  clearPolicy(kind: PolicyKind, vhost: string, name: string): Promise<void>;
  /** RabbitMQ shows those of a queue only some seconds later, and of an exchange only the policy's name. */
  appliedTo(kind: "queue" | "exchange", vhost: string, name: string): Promise<AppliedPolicies>;
  setParameter(vhost: string, component: string, name: string, value: Json): Promise<void>;
  clearParameter(vhost: string, component: string, name: string): Promise<void>;
  /** The values, by names. */
  parameters(vhost: string, component: string): Promise<Record<string, Json>>;
  setGlobalParameter(name: string, value: Json): Promise<void>;
  clearGlobalParameter(name: string): Promise<void>;
  globalParameters(): Promise<Record<string, Json>>;
  // Whatever else an administrator sets belongs here, with a method in both classes below.
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

  #registry(kind: PolicyKind) {
    return kind === "policies" ? this.#broker.policies : this.#broker.operatorPolicies;
  }

  async setPolicy(kind: PolicyKind, vhost: string, name: string, policy: PolicyOptions) {
    const { "apply-to": applyTo, ...others } = policy;
    const spec = { ...others, ...(applyTo !== undefined && { applyTo }) } as unknown;
    this.#registry(kind).set(vhost, name, spec as PolicySpec);
  }

  async clearPolicy(kind: PolicyKind, vhost: string, name: string) {
    this.#registry(kind).clear(vhost, name);
  }

  async appliedTo(kind: "queue" | "exchange", vhost: string, name: string) {
    const applied = this.#broker.virtualHosts.get(vhost).effectivePolicy(kind, name)!;
    const { policy, operatorPolicy, definition } = applied;
    return { policy, operatorPolicy, definition };
  }

  async setParameter(vhost: string, component: string, name: string, value: Json) {
    this.#broker.parameters.set(vhost, component, name, value);
  }

  async clearParameter(vhost: string, component: string, name: string) {
    this.#broker.parameters.clear(vhost, component, name);
  }

  async parameters(vhost: string, component: string) {
    const all = [...this.#broker.parameters.all()];
    return byName(all.filter((one) => one.vhost === vhost && one.component === component));
  }

  async setGlobalParameter(name: string, value: Json) {
    this.#broker.globalParameters.set(name, value);
  }

  async clearGlobalParameter(name: string) {
    this.#broker.globalParameters.clear(name);
  }

  async globalParameters() {
    return byName([...this.#broker.globalParameters.all()]);
  }

  async closeConnection(name: string, reason?: string) {
    this.#broker.connections.close(name, reason);
  }
}

function byName(parameters: readonly { name: string; value: Json }[]): Record<string, Json> {
  return Object.fromEntries(parameters.map(({ name, value }) => [name, value]));
}

/** The reason of a refusal as it was before the HTTP API made it fit for a web page. */
function plain(body: string): string {
  const { reason } = JSON.parse(body) as { reason: string };
  return reason.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
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
    if (!response.ok) {
      const isRefusal = response.status === 400 && text.startsWith("{");
      throw new Error(isRefusal ? plain(text) : `${method} ${path}: ${response.status} ${text}`);
    }
    return text;
  }

  async #put(segments: string[], body: object) {
    await this.#request("PUT", segments, body);
  }

  async #delete(segments: string[]) {
    await this.#request("DELETE", segments);
  }

  async #get<Body>(segments: string[]): Promise<Body> {
    return JSON.parse(await this.#request("GET", segments)) as Body;
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
    return this.#put(["vhosts", name], body);
  }

  deleteVirtualHost(name: string) {
    return this.#delete(["vhosts", name]);
  }

  setVirtualHostLimit(name: string, limit: string, n: number) {
    return this.#put(["vhost-limits", name, limit], { value: n });
  }

  addUser(name: string, { password, passwordHash, hashingAlgorithm, tags = [] }: UserOptions) {
    return this.#put(["users", name], {
      ...(password === undefined ? { password_hash: passwordHash ?? "" } : { password }),
      ...(hashingAlgorithm !== undefined && { hashing_algorithm: hashingAlgorithm }),
      tags: tags.join(),
    });
  }

  deleteUser(name: string) {
    return this.#delete(["users", name]);
  }

  setUserLimit(name: string, limit: string, n: number) {
    return this.#put(["user-limits", name, limit], { value: n });
  }

  setPermissions(user: string, vhost: string, permissions: PermissionTriple) {
    return this.#put(["permissions", vhost, user], permissions);
  }

  clearPermissions(user: string, vhost: string) {
    return this.#delete(["permissions", vhost, user]);
  }

  setTopicPermission(user: string, vhost: string, exchange: string, permission: TopicPermission) {
    return this.#put(["topic-permissions", vhost, user], { exchange, ...permission });
  }

  clearTopicPermissions(user: string, vhost: string) {
    return this.#delete(["topic-permissions", vhost, user]);
  }

  setPolicy(kind: PolicyKind, vhost: string, name: string, policy: PolicyOptions) {
    return this.#put([kind, vhost, name], policy);
  }

  clearPolicy(kind: PolicyKind, vhost: string, name: string) {
    return this.#delete([kind, vhost, name]);
  }

  async appliedTo(kind: "queue" | "exchange", vhost: string, name: string) {
    const { policy, operator_policy, effective_policy_definition } = await this.#get<{
      policy?: string | null;
      operator_policy?: string | null;
      effective_policy_definition?: object;
    }>([`${kind}s`, vhost, name]);
    return {
      policy: policy ?? undefined,
      operatorPolicy: operator_policy ?? undefined,
      ...(effective_policy_definition && { definition: effective_policy_definition }),
    };
  }

  setParameter(vhost: string, component: string, name: string, value: Json) {
    return this.#put(["parameters", component, vhost, name], { value });
  }

  clearParameter(vhost: string, component: string, name: string) {
    return this.#delete(["parameters", component, vhost, name]);
  }

  async parameters(vhost: string, component: string) {
    return byName(await this.#get(["parameters", component, vhost]));
  }

  setGlobalParameter(name: string, value: Json) {
    return this.#put(["global-parameters", name], { value });
  }

  clearGlobalParameter(name: string) {
    return this.#delete(["global-parameters", name]);
  }

  async globalParameters() {
    return byName(await this.#get(["global-parameters"]));
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
  const broker = new URL((await brokerUrl()).replace(/^amqp:/, "http:"));
  const url = new URL(management ?? broker);
  if (management === undefined) url.port = String(Number(url.port) + 10_000);
  // Without a user of its own it is asked as the broker is.
  if (url.username === "")
    Object.assign(url, { username: broker.username, password: broker.password });
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

/** Where the tests' own connections are. */
async function ownVirtualHost(): Promise<string> {
  const { pathname } = new URL(await brokerUrl());
  return pathname.length > 1 ? decodeURIComponent(pathname.slice(1)) : "/";
}

/** Sets a policy in the tests' own virtual host, for one queue or exchange by default; cleared after the test. */
export async function newPolicy(
  of: string,
  definition: Record<string, Json>,
  options: PolicyOptions & { kind?: PolicyKind; name?: string } = {},
): Promise<{ name: string; clear(): Promise<void> }> {
  const { kind = "policies", name: given, ...others } = options;
  const administrator = await administration();
  const vhost = await ownVirtualHost();
  const policy = given ?? name("policy");
  await administrator.setPolicy(kind, vhost, policy, { pattern: `^${of}$`, definition, ...others });
  closeAfterTest(() => administrator.clearPolicy(kind, vhost, policy).catch(() => {}));
  return { name: policy, clear: () => administrator.clearPolicy(kind, vhost, policy) };
}
