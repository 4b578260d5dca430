/**
 * An embedded broker with a data folder, to be stopped and started again: what is there afterwards is what was kept.
 *
 * The folder is a temporary one. Broker, connections and folder are gone after the test.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  connect,
  type GetMessage,
} from "amqplib";
import { onTestFinished } from "vitest";
import { Broker, type BrokerOptions } from "../../src/index.ts";

/** A folder that is removed after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "durability-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export class KeptBroker {
  readonly folder: string;
  /** What the log warned of, and its errors. */
  readonly warnings: string[] = [];
  readonly #options: BrokerOptions;
  #broker: Broker | undefined;

  private constructor(folder: string, options: BrokerOptions) {
    this.folder = folder;
    this.#options = options;
  }

  static async start(options: BrokerOptions = {}): Promise<KeptBroker> {
    const kept = new KeptBroker(await temporaryFolder(), options);
    onTestFinished(() => kept.stop());
    await kept.start();
    return kept;
  }

  /** The one that runs now. */
  get broker(): Broker {
    if (this.#broker === undefined) throw new Error("the broker is stopped");
    return this.#broker;
  }

  async connection(): Promise<ChannelModel> {
    const connection = await connect(this.broker.url, { noDelay: true });
    connection.on("error", () => undefined);
    onTestFinished(async () => {
      await connection.close().catch(() => undefined);
    });
    return connection;
  }

  /** A channel with confirms, on a connection of its own. */
  async channel(): Promise<ConfirmChannel> {
    const channel = await (await this.connection()).createConfirmChannel();
    channel.on("error", () => undefined);
    return channel;
  }

  async stop(): Promise<void> {
    const broker = this.#broker;
    this.#broker = undefined;
    await broker?.close();
  }

  /** Starts it on the same folder. */
  async start(options: BrokerOptions = {}): Promise<void> {
    const note = (fields: object, message: string): void => {
      this.warnings.push(`${message} ${JSON.stringify(fields)}`);
    };
    this.#broker = await Broker.start({
      port: 0,
      dataDir: this.folder,
      log: { debug: () => undefined, info: () => undefined, warn: note, error: note },
      ...this.#options,
      ...options,
    });
  }

  /** Stops and starts it; returns a channel of the new one. */
  async restart(options: BrokerOptions = {}): Promise<ConfirmChannel> {
    await this.stop();
    await this.start(options);
    return this.channel();
  }
}

/** All that is ready in a queue, taken out of it. */
export async function drain(channel: Channel, queue: string): Promise<GetMessage[]> {
  const messages: GetMessage[] = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (message === false) return messages;
    messages.push(message);
  }
}

export async function drainTexts(channel: Channel, queue: string): Promise<string[]> {
  return (await drain(channel, queue)).map(({ content }) => content.toString());
}

/** Publishes a persistent message for each text, and waits for the confirms. */
export async function sendTexts(
  channel: ConfirmChannel,
  queue: string,
  texts: readonly string[],
): Promise<void> {
  for (const text of texts) channel.sendToQueue(queue, Buffer.from(text), { persistent: true });
  await channel.waitForConfirms();
}

/** From `prefix`0 to `prefix`(`count` - 1). */
export function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}

/** How many messages are ready. */
export async function readyCount(channel: Channel, queue: string): Promise<number> {
  return (await channel.checkQueue(queue)).messageCount;
}
