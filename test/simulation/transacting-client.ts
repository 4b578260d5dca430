/** A client that uses transactions: what it publishes and acks in one counts wholly or not at all. */
import { bodyOf, type TransactionNote } from "../durability/message-ledger.ts";
import { checkedId, Ids, WorkingClient, type World } from "./clients.ts";
import type { Message } from "./simulated-client.ts";

/** Publishes several messages and acks some in one transaction after the other; some are rolled back. */
export class TransactingClient extends WorkingClient {
  readonly #ids: Ids;
  #note: TransactionNote | undefined;
  /** Those of which nobody has said how they ended. */
  readonly #lost: TransactionNote[] = [];
  #gets = 0;
  #highestTag = 0;
  /** In this transaction. */
  #acked = 0;
  #ending = false;

  constructor(world: World) {
    super(world);
    this.#ids = new Ids(`tx${world.life}`, world.random);
    world.ledger.consumed.add("txinput");
  }

  protected begin(): void {
    this.client.ask("tx.select", {});
  }

  protected lost(): void {
    if (this.#note !== undefined) this.#lost.push(this.#note);
    this.#note = undefined;
    this.#gets = 0;
    this.#ending = false;
  }

  get waits(): boolean {
    return this.#ending;
  }

  protected work(): void {
    if (this.#ending || this.#gets > 0) return;
    if (this.#note === undefined) this.#start();
    else this.#end(this.#note);
  }

  #start(): void {
    const { ledger, random } = this.world;
    const note = ledger.transaction();
    this.#note = note;
    this.#acked = 0;
    for (let count = random.between(1, 8); count > 0; count--) {
      const id = this.#ids.next();
      const queue = random.pick(["tx1", "tx2"]);
      note.published.push(...ledger.sending(id, queue));
      this.client.publish("", queue, { id, body: bodyOf(id), persistent: true });
    }
    for (let count = random.below(4); count > 0; count--) {
      this.#gets++;
      this.client.get("txinput", (message) => this.#got(note, message));
    }
  }

  #got(note: TransactionNote, message: Message | undefined): void {
    this.#gets--;
    if (message === undefined) return;
    const { ledger } = this.world;
    const id = checkedId(message, (text) => this.world.trouble(text));
    const entry = ledger.of("txinput").get(id);
    if (entry === undefined || entry.settled === "certain") {
      this.world.trouble(`txinput: ${id} was delivered and is not here`);
      return;
    }
    entry.settled = "no";
    entry.delivered = true;
    // That it is here shows that no transaction before has acked it.
    for (const { acked } of this.#lost)
      if (acked.includes(entry)) acked.splice(acked.indexOf(entry), 1);
    // What is not confirmed may go in a crash, whether or not this counts.
    if (entry.confirmed) note.acked.push(entry);
    else entry.settled = "maybe";
    this.#acked++;
    this.#highestTag = message.deliveryTag;
    this.client.say("basic.ack", { deliveryTag: message.deliveryTag });
  }

  #end(note: TransactionNote): void {
    this.#ending = true;
    const over = (): void => {
      this.#note = undefined;
      this.#ending = false;
    };
    if (this.world.random.chance(15)) {
      const acked = this.#acked;
      // What was acked in it is unacked again.
      note.acked.length = 0;
      note.state = "rolled back";
      this.client.ask("tx.rollback", {});
      const requeue = { deliveryTag: this.#highestTag, multiple: true, requeue: true };
      if (acked > 0) this.client.say("basic.nack", requeue);
      this.client.ask("tx.commit", {}, over);
      return;
    }
    note.state = "commit sent";
    for (const entry of note.acked) entry.settled = "maybe";
    this.client.ask("tx.commit", {}, () => {
      note.state = "committed";
      for (const entry of note.published) entry.confirmed = true;
      for (const entry of note.acked) entry.settled = "certain";
      over();
    });
  }
}
