/**
 * What clients know of the messages they have sent: which must be where after a crash, which must not, and which may.
 *
 * Of a message in a queue the publisher knows whether it is confirmed, and the consumer whether it is certainly settled:
 * confirmed and not settled, it must be there; certainly settled, it must not; all else is uncertain. Messages that were
 * made by one act (a fan-out, a transaction) must agree with each other.
 */

export type Settled = "no" | "maybe" | "certain";

/** A message in a queue. */
export interface Entry {
  readonly id: string;
  readonly queue: string;
  confirmed: boolean;
  settled: Settled;
  /** A client has received it. */
  delivered: boolean;
  /** It was sent since the last start of the broker. */
  fresh: boolean;
}

/** What a queue was found to hold. */
export interface Found {
  readonly id: string;
  readonly redelivered: boolean;
}

/** A transaction: counts wholly or not at all. */
export interface TransactionNote {
  state: "open" | "commit sent" | "committed" | "rolled back";
  readonly published: Entry[];
  readonly acked: Entry[];
}

/** A message that was rejected and so moves from one queue to another. */
interface Rejection {
  readonly from: Entry;
  readonly to: Entry;
}

/** The body that belongs to an id: whoever has the id can tell whether it is whole. */
export function bodyOf(id: string): Buffer {
  const bytes = Number(id.split("-")[2]);
  return Buffer.alloc(bytes, `${id}|`);
}

export class MessageLedger {
  readonly #queues = new Map<string, Map<string, Entry>>();
  #fanOuts: Entry[][] = [];
  #rejections: Rejection[] = [];
  #transactions: TransactionNote[] = [];
  /** Queues that somebody consumed from since the last start. */
  readonly consumed = new Set<string>();
  /** After a crash nothing is learned any more. */
  closed = false;

  of(queue: string): Map<string, Entry> {
    let entries = this.#queues.get(queue);
    if (entries === undefined) {
      entries = new Map();
      this.#queues.set(queue, entries);
    }
    return entries;
  }

  get queues(): string[] {
    return [...this.#queues.keys()];
  }

  /** A message is about to be sent to queues. */
  sending(id: string, ...queues: string[]): Entry[] {
    const entries = queues.map((queue) => this.#add(id, queue));
    if (queues.length > 1) this.#fanOuts.push(entries);
    return entries;
  }

  #add(id: string, queue: string): Entry {
    const entry: Entry = {
      id,
      queue,
      confirmed: false,
      settled: "no",
      delivered: false,
      fresh: true,
    };
    this.of(queue).set(id, entry);
    return entry;
  }

  /** A message is about to be rejected, which brings it to `target`. */
  rejecting(from: Entry, target: string): Entry {
    from.settled = "maybe";
    const to = this.#add(from.id, target);
    this.#rejections.push({ from, to });
    return to;
  }

  transaction(): TransactionNote {
    const note: TransactionNote = { state: "open", published: [], acked: [] };
    this.#transactions.push(note);
    return note;
  }

  /** Without power what was delivered may be forgotten: that was only written. */
  forgetDelivered(): void {
    for (const entries of this.#queues.values())
      for (const entry of entries.values()) entry.delivered = false;
  }

  learn(apply: () => void): void {
    if (!this.closed) apply();
  }

  /** What is wrong with what the queues were found to hold. Empty: nothing. */
  verify(found: ReadonlyMap<string, readonly Found[]>): string[] {
    const ids = new Map(
      [...found].map(([queue, list]) => [queue, new Set(list.map(({ id }) => id))]),
    );
    const isThere = (entry: Entry): boolean => ids.get(entry.queue)?.has(entry.id) ?? false;
    return [
      ...[...found].flatMap(([queue, list]) => this.#strangers(queue, list)),
      ...this.#wrongEntries(isThere),
      ...this.#fanOuts.flatMap((entries) => tornFanOut(entries, isThere)),
      ...this.#rejections.flatMap((rejection) => lostRejection(rejection, isThere)),
      ...this.#transactions.flatMap((note) => tornTransaction(note, isThere)),
    ];
  }

  #strangers(queue: string, list: readonly Found[]): string[] {
    const entries = this.of(queue);
    const wrong: string[] = [];
    const seen = new Set<string>();
    const last = new Map<string, number>();
    for (const { id, redelivered } of list) {
      const entry = entries.get(id);
      if (entry === undefined) wrong.push(`${queue}: ${id} was never sent here`);
      if (seen.has(id)) wrong.push(`${queue}: ${id} is there twice`);
      seen.add(id);
      const { publisher, number } = parseId(id);
      if (queue !== "dead" && number < (last.get(publisher) ?? 0)) {
        wrong.push(`${queue}: ${id} is behind ${publisher}-${last.get(publisher)}`);
      }
      last.set(publisher, number);
      if (entry?.delivered && !redelivered) wrong.push(`${queue}: ${id} is not marked redelivered`);
      if (redelivered && entry?.fresh && !this.consumed.has(queue)) {
        wrong.push(`${queue}: ${id} is marked redelivered and was never delivered`);
      }
    }
    return wrong;
  }

  *#wrongEntries(isThere: (entry: Entry) => boolean): Iterable<string> {
    for (const entries of this.#queues.values()) {
      for (const entry of entries.values()) {
        const there = isThere(entry);
        const { queue, id, settled, confirmed } = entry;
        if (confirmed && settled === "no" && !there)
          yield `${queue}: ${id} was confirmed and is lost`;
        if (settled === "certain" && there) yield `${queue}: ${id} was settled and is back`;
      }
    }
  }

  /** Messages that stand in their old queue and in that of the dead letters. */
  inBoth(found: ReadonlyMap<string, readonly Found[]>): number {
    const ids = new Map(
      [...found].map(([queue, list]) => [queue, new Set(list.map(({ id }) => id))]),
    );
    const isThere = ({ queue, id }: Entry): boolean => ids.get(queue)?.has(id) ?? false;
    return this.#rejections.filter(({ from, to }) => isThere(from) && isThere(to)).length;
  }

  /** From now on what was found is what is known. */
  settleOn(found: ReadonlyMap<string, readonly Found[]>): void {
    this.#queues.clear();
    this.#fanOuts = [];
    this.#rejections = [];
    this.#transactions = [];
    this.consumed.clear();
    for (const [queue, list] of found) {
      for (const { id } of list) {
        const entry = this.#add(id, queue);
        Object.assign(entry, { confirmed: true, delivered: true, fresh: false });
      }
    }
    this.closed = false;
  }
}

function parseId(id: string): { publisher: string; number: number } {
  const [publisher = "", number = ""] = id.split("-");
  return { publisher, number: Number(number) };
}

function tornFanOut(entries: readonly Entry[], isThere: (entry: Entry) => boolean): string[] {
  const untouched = entries.filter(({ settled }) => settled === "no");
  const there = untouched.filter(isThere).length;
  if (there === 0 || there === untouched.length) return [];
  return [`${entries[0]?.id} is in ${there} of ${untouched.length} queues that took it`];
}

function lostRejection({ from, to }: Rejection, isThere: (entry: Entry) => boolean): string[] {
  if (to.settled !== "no") return [];
  if (from.confirmed && !isThere(from) && !isThere(to)) {
    return [`${from.id} is neither in ${from.queue} nor in ${to.queue}`];
  }
  if (from.settled === "certain" && !isThere(to)) return [`${to.queue}: ${to.id} is lost`];
  return [];
}

function tornTransaction(note: TransactionNote, isThere: (entry: Entry) => boolean): string[] {
  const { state, published, acked } = note;
  const done = published.filter(isThere).length + acked.filter((entry) => !isThere(entry)).length;
  const all = published.length + acked.length;
  const counts = `${published.filter(isThere).length} of ${published.length} published and ${acked.filter((entry) => !isThere(entry)).length} of ${acked.length} acked messages of a transaction count`;
  if (state === "commit sent" && done !== 0 && done !== all) return [`${counts}, torn`];
  if (state === "committed" && done !== all) return [`${counts} though it was committed`];
  if ((state === "open" || state === "rolled back") && done !== 0)
    return [`${counts} though it was ${state}`];
  return [];
}
