/** Routing through several exchanges: every way is followed, no queue is found twice, nothing goes round for ever. */
import { describe, expect, test } from "vitest";
import type { Exchange } from "../../src/exchange/exchange.ts";
import { route, routeKeys } from "../../src/exchange/route.ts";
import { type Random, seeded } from "../seeded.ts";
import { exchange, fields, message, names, noArguments, queue } from "./fixtures.ts";

/** Exchanges that find each other by name. */
class Topology {
  readonly #byName = new Map<string, Exchange>();
  readonly find = (name: string): Exchange | undefined => this.#byName.get(name);

  add(type: string, name: string, alternate?: string): Exchange {
    const added = exchange(type, name, alternate);
    this.#byName.set(name, added);
    return added;
  }

  route(start: Exchange, key: string): string[] {
    const found = names(route(start, message(key), this.find));
    // One way of asking, and the other.
    expect(names(routeKeys(start, [key], message(key), this.find))).toEqual(found);
    return found;
  }
}

function bind(source: Exchange, destination: Exchange | string, key = ""): void {
  source.bind(typeof destination === "string" ? queue(destination) : destination, key, noArguments);
}

describe("a message", () => {
  test("follows bindings from exchange to exchange", () => {
    const topology = new Topology();
    const [a, b, c] = ["a", "b", "c"].map((name) => topology.add("direct", name));
    bind(a!, b!, "k");
    bind(b!, c!, "k");
    bind(b!, c!, "other");
    bind(a!, "of a", "k");
    bind(c!, "of c", "k");
    bind(c!, "not this", "other");
    expect(topology.route(a!, "k")).toEqual(["of a", "of c"]);
    expect(topology.route(b!, "k")).toEqual(["of c"]);
    expect(topology.route(a!, "other")).toEqual([]);
  });

  test("reaches a queue once, by however many ways", () => {
    const topology = new Topology();
    const [top, left, right, bottom] = ["top", "left", "right", "bottom"].map((name) =>
      topology.add("fanout", name),
    );
    const shared = queue("shared");
    for (const side of [left!, right!]) {
      bind(top!, side);
      bind(side, bottom!);
      side.bind(shared, "", noArguments);
    }
    top!.bind(shared, "", noArguments);
    bottom!.bind(shared, "a", noArguments);
    bottom!.bind(shared, "b", noArguments);
    bind(bottom!, "own");
    expect(topology.route(top!, "k")).toEqual(["own", "shared"]);
  });

  test("does not go round in a cycle of exchanges", () => {
    const topology = new Topology();
    const [a, b, c] = ["a", "b", "c"].map((name) => topology.add("fanout", name));
    bind(a!, b!);
    bind(b!, c!);
    bind(c!, a!);
    bind(a!, a!);
    for (const [at, name] of [
      [a!, "qa"],
      [b!, "qb"],
      [c!, "qc"],
    ] as const)
      bind(at, name);
    for (const start of [a!, b!, c!])
      expect(topology.route(start, "k")).toEqual(["qa", "qb", "qc"]);
  });
});

describe("the alternate exchange", () => {
  test("is asked when nothing was found, and only then", () => {
    const topology = new Topology();
    const first = topology.add("direct", "first", "second");
    const second = topology.add("fanout", "second");
    bind(first, "found", "k");
    bind(second, "alternate");
    expect(topology.route(first, "k")).toEqual(["found"]);
    expect(topology.route(first, "other")).toEqual(["alternate"]);
  });

  test("may have one itself, and so on", () => {
    const topology = new Topology();
    const first = topology.add("direct", "0", "1");
    for (let link = 1; link < 50; link++)
      topology.add("direct", String(link), link < 49 ? String(link + 1) : undefined);
    bind(topology.find("49")!, "last", "k");
    expect(topology.route(first, "k")).toEqual(["last"]);
    expect(topology.route(first, "other")).toEqual([]);
  });

  test("need not exist, and may be a cycle", () => {
    const topology = new Topology();
    const missing = topology.add("direct", "a", "missing");
    expect(topology.route(missing, "k")).toEqual([]);
    const itself = topology.add("direct", "b", "b");
    expect(topology.route(itself, "k")).toEqual([]);
    const [c, d] = [topology.add("direct", "c", "d"), topology.add("direct", "d", "c")];
    bind(d, "of d", "k");
    expect(topology.route(c, "k")).toEqual(["of d"]);
    expect(topology.route(c, "other")).toEqual([]);
  });

  test("of an exchange further on is asked too", () => {
    const topology = new Topology();
    const first = topology.add("fanout", "first");
    const second = topology.add("direct", "second", "third");
    const third = topology.add("fanout", "third");
    bind(first, second);
    bind(first, "of first");
    bind(third, "of third");
    expect(topology.route(first, "k")).toEqual(["of first", "of third"]);
  });

  test("is not asked when the message went on to an exchange that found nothing", () => {
    const topology = new Topology();
    const first = topology.add("fanout", "first", "alternate");
    bind(first, topology.add("fanout", "empty"));
    bind(topology.add("fanout", "alternate"), "q");
    expect(topology.route(first, "k")).toEqual([]);
  });
});

describe("several routing keys", () => {
  test("reach the queues of each, every queue once", () => {
    const topology = new Topology();
    const direct = topology.add("direct", "x", "alternate");
    bind(topology.add("fanout", "alternate"), "alternate");
    const both = queue("both");
    bind(direct, "a", "a");
    direct.bind(both, "a", noArguments);
    direct.bind(both, "b", noArguments);
    const found = (keys: string[]) =>
      names(routeKeys(direct, keys, message(keys[0]!), topology.find));
    expect(found(["a", "b"])).toEqual(["a", "both"]);
    expect(found(["none", "b", "none"])).toEqual(["both"]);
    expect(found(["none", "nothing"])).toEqual(["alternate"]);
  });

  test("are all carried on to other exchanges", () => {
    const topology = new Topology();
    const [first, second] = [topology.add("direct", "1"), topology.add("direct", "2")];
    bind(first, second, "a");
    bind(second, "q", "b");
    expect(names(routeKeys(first, ["a", "b"], message("a"), topology.find))).toEqual(["q"]);
  });
});

test("headers decide on the way as they do at its start", () => {
  const topology = new Topology();
  const first = topology.add("fanout", "first");
  const second = topology.add("headers", "second");
  bind(first, second);
  second.bind(queue("q"), "", fields({ a: { type: "I", value: 1 } }));
  const sent = (value: number) => message("k", fields({ a: { type: "I", value } }));
  expect(names(route(first, sent(1), topology.find))).toEqual(["q"]);
  expect(names(route(first, sent(2), topology.find))).toEqual([]);
});

interface Row {
  name: string;
  type: string;
  alternate: string | undefined;
  bindings: { key: string; to: string }[];
}

function randomRows(random: Random): Row[] {
  const exchanges = ["x0", "x1", "x2", "x3", "x4"];
  return exchanges.map((name) => ({
    name,
    type: random.pick(["direct", "fanout"]),
    alternate: random.chance(40) ? random.pick([...exchanges, "missing"]) : undefined,
    bindings: Array.from({ length: random.below(4) }, () => ({
      key: random.pick(["a", "b"]),
      to: random.chance(50) ? random.pick(exchanges) : random.pick(["q0", "q1", "q2", "q3"]),
    })),
  }));
}

/** Adds what is reached until nothing is new. */
function reachable(rows: Row[], start: string, keys: readonly string[]): string[] {
  const reached = new Set([start]);
  for (const name of reached) {
    const row = rows.find((one) => one.name === name);
    if (row === undefined) continue;
    const fitting = row.bindings.filter(({ key }) => row.type === "fanout" || keys.includes(key));
    for (const { to } of fitting) reached.add(to);
    if (fitting.length === 0 && row.alternate !== undefined) reached.add(row.alternate);
  }
  return [...reached].filter((name) => name.startsWith("q")).sort();
}

seeded("random topologies are routed to whatever can be reached", 300, (random) => {
  const rows = randomRows(random);
  const topology = new Topology();
  for (const { name, type, alternate } of rows) topology.add(type, name, alternate);
  const queues = new Map(["q0", "q1", "q2", "q3"].map((name) => [name, queue(name)]));
  for (const { name, bindings } of rows) {
    for (const { key, to } of bindings)
      topology.find(name)!.bind(queues.get(to) ?? topology.find(to)!, key, noArguments);
  }
  for (const { name } of rows) {
    const start = topology.find(name)!;
    for (const key of ["a", "b", "c"])
      expect([name, key, topology.route(start, key)]).toEqual([
        name,
        key,
        reachable(rows, name, [key]),
      ]);
    const keys = ["a", "b"];
    expect(names(routeKeys(start, keys, message("a"), topology.find))).toEqual(
      reachable(rows, name, keys),
    );
  }
});
