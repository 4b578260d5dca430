/**
 * What every conformance test stands on: which broker is under test, connections that close themselves,
 * names that are unique to one test, and promises for what a server says unasked.
 *
 * The same tests run against any broker: BROKER_URL names one, otherwise an embedded Leveret is started
 * once per test file. So this file imports the broker only when it has to, and knows it only by its URL.
 *
 * It guarantees that after each test its connections are closed and the queues and exchanges named by
 * `unique` are gone, also on a broker that other people use at the same time.
 */
import { randomBytes } from "node:crypto";
import {
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  type ConsumeMessage,
  connect as connectAmqplib,
  type Options,
} from "amqplib";
import { afterAll, onTestFinished, TestRunner } from "vitest";
import type { Broker } from "../../src/index.ts";

/** How long a test waits for something the broker owes it, before it says what is missing. */
export const DEADLINE_MS = 5_000;

/** Why the server closed a channel or a connection: the fields of its close method. */
export interface CloseReason {
  code: number;
  classId: number;
  methodId: number;
  /** The reply text as it was on the wire, such as "NOT_FOUND - no queue 'x' in vhost '/'". */
  message: string;
}

export interface ConnectOptions {
  username?: string;
  password?: string;
  vhost?: string;
  channelMax?: number;
  frameMax?: number;
  /** Seconds. */
  heartbeat?: number;
  clientProperties?: Record<string, unknown>;
}

// ---------------------------------------------------------------------------------------------------
// The broker under test

let embedded: Promise<Broker> | undefined;

async function startEmbedded(): Promise<Broker> {
  const { Broker } = await import("../../src/index.ts");
  return Broker.start({ port: 0 });
}

/** The URL of the broker under test: BROKER_URL, or an embedded broker that lives as long as the test file. */
export async function brokerUrl(): Promise<string> {
  const { BROKER_URL: given } = process.env;
  if (given !== undefined && given !== "") return given;
  return (await embeddedBroker()).url;
}

/** The embedded broker itself, for what clients cannot ask for; only where BROKER_URL names no other. */
export function embeddedBroker(): Promise<Broker> {
  embedded ??= startEmbedded();
  return embedded;
}

/** True when the broker under test calls itself a RabbitMQ older than 4. */
export async function isOldRabbitMQ(): Promise<boolean> {
  const { connection } = await ownConnection();
  const { product, version } = connection.connection.serverProperties;
  return product === "RabbitMQ" && Number.parseInt(version, 10) < 4;
}

// ---------------------------------------------------------------------------------------------------
// What belongs to a test, or to the whole file when it is made in beforeAll

interface Scope {
  closers: (() => Promise<void> | void)[];
  names: string[];
}

const fileScope: Scope = { closers: [], names: [] };
let testScope: Scope | undefined;

function scope(): Scope {
  if (TestRunner.getCurrentTest() === undefined) return fileScope;
  if (testScope === undefined) {
    const made: Scope = { closers: [], names: [] };
    testScope = made;
    onTestFinished(async () => {
      testScope = undefined;
      await cleanUp(made);
    });
  }
  return testScope;
}

/** Runs `close` when the current test has finished (or the file, in beforeAll), before names are deleted. */
export function closeAfterTest(close: () => Promise<void> | void): void {
  scope().closers.push(close);
}

async function cleanUp({ closers, names }: Scope): Promise<void> {
  // The latest first: a consumer goes before the connection that it needs.
  for (const close of closers.reverse()) await close();
  for (const name of names) {
    await onOwnChannel((channel) => channel.deleteQueue(name));
    await onOwnChannel((channel) => channel.deleteExchange(name));
  }
}

/** A name nobody else uses. A queue or an exchange of this name is deleted when the test has finished. */
export function unique(stem: string): string {
  const name = `${stem}-${randomBytes(6).toString("hex")}`;
  scope().names.push(name);
  return name;
}

// ---------------------------------------------------------------------------------------------------
// Connections and channels

const channelReasons = new WeakMap<Channel, Promise<CloseReason>>();
const connectionReasons = new WeakMap<ChannelModel, Promise<CloseReason>>();

/** The part of amqplib's insides that the harness needs, because its errors leave out class and method. */
interface ConnectionInsides {
  channels: { channel: { accept(frame: unknown): void } }[];
  stream: { destroy(): void };
}

interface CloseFields {
  replyCode: number;
  replyText: string;
  classId: number;
  methodId: number;
}

function insides(connection: ChannelModel): ConnectionInsides {
  return connection.connection as unknown as ConnectionInsides;
}

/** A connection that closes itself when the test has finished; `errors` collects its 'error' events. */
export async function connect(
  options: ConnectOptions = {},
): Promise<{ connection: ChannelModel; errors: Error[] }> {
  const opened = await open(options);
  closeAfterTest(() => closeQuietly(opened.connection));
  return opened;
}

async function open(options: ConnectOptions) {
  const url = new URL(await brokerUrl());
  const { clientProperties, ...rest } = options;
  const target: Options.Connect = {
    protocol: "amqp",
    hostname: url.hostname,
    port: Number(url.port),
    username: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    vhost: url.pathname.length > 1 ? url.pathname.slice(1) : "/",
    ...rest,
  };
  const connection = await connectAmqplib(target, {
    noDelay: true,
    ...(clientProperties && { clientProperties }),
  });
  const errors: Error[] = [];
  connection.on("error", (error) => errors.push(error));
  watchConnection(connection);
  watchNewChannels(connection);
  return { connection, errors };
}

async function closeQuietly(connection: ChannelModel): Promise<void> {
  const deadline = deferred<void>();
  const timer = setTimeout(() => deadline.resolve(), DEADLINE_MS);
  await Promise.race([connection.close().catch(() => {}), deadline.promise]);
  clearTimeout(timer);
  // RabbitMQ may keep the socket open long after its close-ok.
  insides(connection).stream.destroy();
}

function watchConnection(connection: ChannelModel): void {
  const reason = deferred<CloseReason>();
  const control = insides(connection).channels[0]!.channel;
  const accept = control.accept;
  control.accept = (frame) => {
    const { fields } = frame as { fields?: CloseFields | { replyCode?: undefined } };
    if (fields?.replyCode !== undefined) {
      const { replyCode: code, classId, methodId, replyText: message } = fields;
      reason.resolve({ code, classId, methodId, message });
    }
    accept(frame);
  };
  connection.on("close", () =>
    reason.reject(new Error("the connection ended without a close method")),
  );
  connectionReasons.set(connection, reason.promise);
}

function watchNewChannels(connection: ChannelModel): void {
  const createChannel = connection.createChannel.bind(connection);
  const createConfirmChannel = connection.createConfirmChannel.bind(connection);
  connection.createChannel = async (options) => watchChannel(await createChannel(options));
  connection.createConfirmChannel = async (options) =>
    watchChannel(await createConfirmChannel(options));
}

function watchChannel<T extends Channel>(channel: T): T {
  const reason = deferred<CloseReason>();
  channel.on("error", (error: Error & Partial<CloseReason>) => {
    const text = /with message "(.*)"$/s.exec(error.message)?.[1];
    if (error.code === undefined || text === undefined) {
      reason.reject(error);
      return;
    }
    const { code, classId = 0, methodId = 0 } = error;
    reason.resolve({ code, classId, methodId, message: text });
  });
  channel.on("close", () => reason.reject(new Error("the channel closed without an error")));
  channelReasons.set(channel, reason.promise);
  return channel;
}

/** A channel on a connection of its own. */
export async function openChannel(): Promise<Channel> {
  const { connection } = await connect();
  return connection.createChannel();
}

/** A channel in confirm mode on a connection of its own. */
export async function openConfirmChannel(): Promise<ConfirmChannel> {
  const { connection } = await connect();
  return connection.createConfirmChannel();
}

/** Why the server closed the channel, or will within the deadline; also when it was closed before the call. */
export function channelError(channel: Channel): Promise<CloseReason> {
  const reason = channelReasons.get(channel);
  if (reason === undefined) throw new Error("not a channel of a connection from connect()");
  return within(reason, "the server to close the channel");
}

/** Why the server closed the connection, or will within the deadline; also when it was closed before the call. */
export function connectionError(connection: ChannelModel): Promise<CloseReason> {
  const reason = connectionReasons.get(connection);
  if (reason === undefined) throw new Error("not a connection from connect()");
  return within(reason, "the server to close the connection");
}

/** The outcome of a request that must fail by closing its channel: `await refused(channel, channel.checkQueue("x"))`. */
export async function refused(channel: Channel, request: Promise<unknown>): Promise<CloseReason> {
  const succeeded = Symbol("succeeded");
  const outcome = await request.then(
    () => succeeded,
    () => undefined,
  );
  if (outcome === succeeded) throw new Error("the request succeeded; it should have been refused");
  return channelError(channel);
}

// ---------------------------------------------------------------------------------------------------
// Consuming

/** What a consumer has received, as something to await. */
export interface Inbox {
  consumerTag: string;
  /** Messages that arrived and were not taken yet. */
  readonly count: number;
  /** Resolves when the server cancels the consumer (basic.cancel). */
  readonly cancelled: Promise<void>;
  next(): Promise<ConsumeMessage>;
  take(n: number): Promise<ConsumeMessage[]>;
  /** Fails when a message is here or arrives within `ms`. A sentinel message that follows proves more. */
  none(ms: number): Promise<void>;
}

/** Consumes into an inbox. Acknowledges nothing and cancels nothing by itself. */
export async function consume(
  channel: Channel,
  queue: string,
  options: Options.Consume = {},
): Promise<Inbox> {
  const arrived: ConsumeMessage[] = [];
  const waiting: ((message: ConsumeMessage) => void)[] = [];
  const cancelled = deferred<void>();
  const { consumerTag } = await channel.consume(
    queue,
    (message) => {
      if (message === null) cancelled.resolve();
      else if (waiting.length > 0) waiting.shift()?.(message);
      else arrived.push(message);
    },
    options,
  );
  const next = async () => {
    const here = arrived.shift();
    if (here !== undefined) return here;
    const message = new Promise<ConsumeMessage>((resolve) => waiting.push(resolve));
    return within(message, `a message from ${queue}`);
  };
  return {
    consumerTag,
    get count() {
      return arrived.length;
    },
    cancelled: cancelled.promise,
    next,
    async take(n) {
      const messages: ConsumeMessage[] = [];
      while (messages.length < n) messages.push(await next());
      return messages;
    },
    async none(ms) {
      await new Promise((resolve) => setTimeout(resolve, ms));
      const first = arrived[0]?.content.toString();
      if (first !== undefined) throw new Error(`expected no message from ${queue}, got: ${first}`);
    },
  };
}

/** Takes one message with basic.get; its body as text, or undefined when the queue was empty. */
export async function getBody(channel: Channel, queue: string): Promise<string | undefined> {
  const message = await channel.get(queue, { noAck: true });
  return message === false ? undefined : message.content.toString();
}

/** Takes every message that is ready; their bodies as text. */
export async function drain(channel: Channel, queue: string): Promise<string[]> {
  const bodies: string[] = [];
  for (;;) {
    const body = await getBody(channel, queue);
    if (body === undefined) return bodies;
    bodies.push(body);
  }
}

/**
 * Waits until `n` messages are ready in the queue. It looks from a connection of the harness's own, which
 * an exclusive queue refuses: for such a queue, give the connection that owns it.
 */
export async function untilReady(queue: string, n: number, owner?: ChannelModel): Promise<void> {
  const connection = owner ?? (await ownConnection()).connection;
  const channel = await connection.createChannel();
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const { messageCount } = await channel.checkQueue(queue);
    if (messageCount === n) break;
    if (Date.now() > end) throw new Error(`${messageCount} ready in ${queue}, expected ${n}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await channel.close();
}

// ---------------------------------------------------------------------------------------------------
// The harness's own connection: one a file, for cleaning up and looking

let own: ReturnType<typeof open> | undefined;
let ownChannel: Channel | undefined;

async function ownConnection(): ReturnType<typeof open> {
  own ??= open({});
  return own;
}

/** A refusal (an exclusive queue somebody else still holds) costs the channel, not the clean-up. */
async function onOwnChannel(request: (channel: Channel) => Promise<unknown>): Promise<void> {
  const { connection } = await ownConnection();
  ownChannel ??= await connection.createChannel();
  try {
    await request(ownChannel);
  } catch {
    ownChannel = undefined;
  }
}

afterAll(async () => {
  await cleanUp(fileScope);
  if (own !== undefined) await closeQuietly((await own).connection);
  await (await embedded)?.close();
});

// ---------------------------------------------------------------------------------------------------
// Promises

interface Deferred<T> {
  promise: Promise<T>;
  resolve(value: T): void;
  reject(error: Error): void;
}

/** A promise settled from outside. One that fails with nobody waiting is no unhandled rejection. */
export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<T>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** The promise, or an error that says what was waited for. */
export async function within<T>(promise: Promise<T>, what: string, ms = DEADLINE_MS): Promise<T> {
  const late = deferred<never>();
  const timer = setTimeout(() => late.reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
