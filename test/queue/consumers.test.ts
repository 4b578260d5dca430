/** Whose turn it is, against a model that looks at everybody. */
import { describe, expect, test } from "vitest";
import { type Consumer, Consumers } from "../../src/queue/consumers.ts";
import { type Random, seeded } from "../seeded.ts";

class FakeConsumer implements Consumer {
  readonly name: string;
  readonly priority: number;
  readonly exclusive: boolean;
  noAck = false;
  rotates = false;
  unackedCount = 0;
  credit = Number.POSITIVE_INFINITY;

  constructor(name: string, priority = 0, exclusive = false) {
    this.name = name;
    this.priority = priority;
    this.exclusive = exclusive;
  }

  hasCredit(): boolean {
    return this.credit > 0;
  }

  deliver(): void {}
  pass(): void {}
  queueDeleted(): void {}
}

function added(singleActive: boolean, ...consumers: FakeConsumer[]): Consumers {
  return addedTo(new Consumers(singleActive, false), consumers);
}

function addedTo(all: Consumers, consumers: readonly FakeConsumer[]): Consumers {
  for (const consumer of consumers) all.add(consumer);
  return all;
}

function turns(consumers: Consumers, count: number): (string | undefined)[] {
  return Array.from({ length: count }, () => (consumers.next() as FakeConsumer | undefined)?.name);
}

describe("consumers", () => {
  test("take turns in the order in which they came", () => {
    const consumers = added(false, ...["a", "b", "c"].map((name) => new FakeConsumer(name)));
    expect(turns(consumers, 7)).toEqual(["a", "b", "c", "a", "b", "c", "a"]);
    expect(consumers.count).toBe(3);
  });

  test("settle all they take at once while there is none among them that acknowledges", () => {
    const [one, other] = [new FakeConsumer("one"), new FakeConsumer("other")];
    one.noAck = true;
    const consumers = added(false, one);
    expect(consumers.noAck).toBe(true);
    consumers.add(other);
    expect(consumers.noAck).toBe(false);
    consumers.remove(other);
    consumers.remove(other);
    expect(consumers.noAck).toBe(true);
  });

  test("of a higher priority go first while they have credit", () => {
    const [low, high, highest] = [
      new FakeConsumer("low", -1),
      new FakeConsumer("high", 5),
      new FakeConsumer("highest", 2_000_000_000),
    ];
    const consumers = added(false, low, highest, high);
    expect(turns(consumers, 2)).toEqual(["highest", "highest"]);
    highest.credit = 0;
    expect(turns(consumers, 2)).toEqual(["high", "high"]);
    high.credit = 0;
    expect(turns(consumers, 2)).toEqual(["low", "low"]);
    highest.credit = 1;
    consumers.activate(highest);
    expect(turns(consumers, 1)).toEqual(["highest"]);
  });

  test("without credit are passed over, and are back when they say so", () => {
    const [a, b] = [new FakeConsumer("a"), new FakeConsumer("b")];
    const consumers = added(false, a, b);
    a.credit = 0;
    expect(turns(consumers, 2)).toEqual(["b", "b"]);
    expect([a.rotates, b.rotates]).toEqual([false, true]);
    b.credit = 0;
    expect(turns(consumers, 2)).toEqual([undefined, undefined]);
    a.credit = 1;
    consumers.activate(a);
    consumers.activate(a);
    expect(turns(consumers, 2)).toEqual(["a", "a"]);
  });

  test("leave, even in the midst of the turns, and nobody loses a turn by it", () => {
    const [a, b, c] = [new FakeConsumer("a"), new FakeConsumer("b"), new FakeConsumer("c")];
    const consumers = added(false, a, b, c);
    expect(turns(consumers, 1)).toEqual(["a"]);
    consumers.remove(b);
    expect(turns(consumers, 3)).toEqual(["c", "a", "c"]);
    consumers.remove(a);
    consumers.remove(a);
    expect(turns(consumers, 2)).toEqual(["c", "c"]);
    consumers.remove(c);
    expect([consumers.next(), consumers.count]).toEqual([undefined, 0]);
  });

  test("have the queue for themselves when one of them is exclusive", () => {
    const [shared, exclusive] = [new FakeConsumer("s"), new FakeConsumer("x", 0, true)];
    const consumers = added(false, shared);
    expect(consumers.exclusive).toBe(false);
    consumers.add(exclusive);
    expect(consumers.exclusive).toBe(true);
    consumers.remove(exclusive);
    expect(consumers.exclusive).toBe(false);
  });
});

describe("a single active consumer", () => {
  test("is the first that came, whatever the others' priority, until it leaves", () => {
    const [a, b, c] = [new FakeConsumer("a"), new FakeConsumer("b", 9), new FakeConsumer("c")];
    const consumers = added(true, a, b, c);
    expect(turns(consumers, 3)).toEqual(["a", "a", "a"]);
    consumers.remove(b);
    expect(turns(consumers, 1)).toEqual(["a"]);
    consumers.remove(a);
    expect(turns(consumers, 2)).toEqual(["c", "c"]);
  });

  test("without credit is waited for", () => {
    const [a, b] = [new FakeConsumer("a"), new FakeConsumer("b")];
    const consumers = added(true, a, b);
    a.credit = 0;
    expect(turns(consumers, 2)).toEqual([undefined, undefined]);
    consumers.activate(b);
    expect(turns(consumers, 1)).toEqual([undefined]);
    a.credit = 1;
    consumers.activate(a);
    expect(turns(consumers, 1)).toEqual(["a"]);
    a.credit = 0;
    expect(turns(consumers, 1)).toEqual([undefined]);
    consumers.remove(a);
    expect(turns(consumers, 1)).toEqual(["b"]);
  });
});

describe("Q25 a single active consumer by priority", () => {
  const byPriority = (...consumers: FakeConsumer[]) =>
    addedTo(new Consumers(true, true), consumers);

  test("is the first of the highest priority", () => {
    const [a, b, c] = [new FakeConsumer("a"), new FakeConsumer("b", 9), new FakeConsumer("c", 9)];
    const consumers = byPriority(a, b, c);
    expect(turns(consumers, 2)).toEqual(["b", "b"]);
    consumers.remove(b);
    expect(turns(consumers, 2)).toEqual(["c", "c"]);
    consumers.remove(c);
    expect(turns(consumers, 2)).toEqual(["a", "a"]);
    consumers.remove(a);
    expect(turns(consumers, 1)).toEqual([undefined]);
  });

  test("gives way to one of higher priority only when it has settled everything, and gets nothing till then", () => {
    const [a, b] = [new FakeConsumer("a"), new FakeConsumer("b", 1)];
    const consumers = byPriority(a);
    a.unackedCount = 1;
    consumers.add(b);
    expect(turns(consumers, 1)).toEqual([undefined]);
    consumers.activate(a);
    consumers.activate(b);
    expect(turns(consumers, 1)).toEqual([undefined]);
    a.unackedCount = 0;
    consumers.activate(a);
    expect(turns(consumers, 2)).toEqual(["b", "b"]);
  });

  test("goes on when the one that it was to give way to has left", () => {
    const [a, b] = [new FakeConsumer("a"), new FakeConsumer("b", 1)];
    const consumers = byPriority(a);
    a.unackedCount = 1;
    consumers.add(b);
    consumers.remove(b);
    expect(turns(consumers, 2)).toEqual(["a", "a"]);
  });
});

interface Member {
  consumer: FakeConsumer;
  active: boolean;
}

/** Everybody in the order of joining the rotation, and of each priority the one whose turn it is. */
class Model {
  members: Member[] = [];
  readonly #turn = new Map<number, Member | undefined>();

  rotating(priority: number): Member[] {
    return this.members.filter(({ consumer, active }) => active && consumer.priority === priority);
  }

  join(consumer: FakeConsumer): void {
    const known = this.members.find((member) => member.consumer === consumer);
    if (known?.active) return;
    if (known !== undefined) this.members.splice(this.members.indexOf(known), 1);
    const member = { consumer, active: true };
    this.members.push(member);
    const { priority } = consumer;
    // Whoever joins an empty rotation is next.
    if (this.rotating(priority).length === 1) this.#turn.set(priority, member);
  }

  /** Takes somebody out of the turns; if it was theirs, the one behind them is next. */
  rest(member: Member): void {
    const { priority } = member.consumer;
    const group = this.rotating(priority);
    if (this.#turn.get(priority) === member)
      this.#turn.set(priority, group[(group.indexOf(member) + 1) % group.length]);
    member.active = false;
  }

  leave(consumer: FakeConsumer): void {
    const member = this.members.find((one) => one.consumer === consumer)!;
    if (member.active) this.rest(member);
    this.members.splice(this.members.indexOf(member), 1);
  }

  next(): FakeConsumer | undefined {
    const priorities = [...new Set(this.members.map(({ consumer }) => consumer.priority))];
    for (const priority of priorities.sort((a, b) => b - a)) {
      for (let group = this.rotating(priority); group.length > 0; group = this.rotating(priority)) {
        const member = this.#turn.get(priority)!;
        if (!member.consumer.hasCredit()) {
          this.rest(member);
          continue;
        }
        this.#turn.set(priority, group[(group.indexOf(member) + 1) % group.length]);
        return member.consumer;
      }
    }
    return undefined;
  }
}

function deliver(consumers: Consumers, model: Model): void {
  const expected = model.next();
  const consumer = consumers.next() as FakeConsumer | undefined;
  expect(consumer?.name).toBe(expected?.name);
  if (consumer !== undefined) consumer.credit--;
}

function changeCredit(consumers: Consumers, model: Model, random: Random): void {
  const { consumer } = random.pick(model.members);
  consumer.credit = random.below(4);
  if (consumer.credit === 0) return;
  consumers.activate(consumer);
  model.join(consumer);
}

seeded(
  "consumers come and go, run out of credit and get it again, and the turns are right",
  150,
  (random) => {
    const consumers = new Consumers(false, false);
    const model = new Model();
    for (let step = 0; step < 250; step++) {
      const action = random.below(10);
      if (action === 0 || model.members.length === 0) {
        const consumer = new FakeConsumer(`c${step}`, random.pick([0, 0, 0, 1, -1]));
        consumer.credit = random.below(5);
        consumers.add(consumer);
        model.join(consumer);
      } else if (action === 1) {
        const { consumer } = random.pick(model.members);
        consumers.remove(consumer);
        model.leave(consumer);
      } else if (action <= 4) {
        changeCredit(consumers, model, random);
      } else {
        deliver(consumers, model);
      }
      expect(consumers.count).toBe(model.members.length);
    }
  },
);

seeded("among consumers with credit nobody waits longer than one round", 60, (random) => {
  const all = Array.from(
    { length: random.between(1, 9) },
    (_, index) => new FakeConsumer(`${index}`),
  );
  const consumers = added(false, ...all);
  for (let start = random.below(20); start > 0; start--) consumers.next();
  const round = turns(consumers, all.length);
  expect(new Set(round).size).toBe(all.length);
  expect(turns(consumers, all.length)).toEqual(round);
});
