/** Transactions over amqplib, which has no method of its own for them. */
import type { Channel } from "amqplib";

const CLASS_TX = 90;
const methodIds = { select: 10, commit: 20, rollback: 30 } as const;

/** What amqplib builds its own methods on: sends a method and waits for the one that answers it. */
interface RpcChannel {
  rpc(method: number, fields: object, answer: number): Promise<unknown>;
}

/** tx.select, tx.commit or tx.rollback; resolves with its answer. */
export async function transaction(channel: Channel, method: keyof typeof methodIds): Promise<void> {
  const id = CLASS_TX * 2 ** 16 + methodIds[method];
  await (channel as unknown as RpcChannel).rpc(id, {}, id + 1);
}
