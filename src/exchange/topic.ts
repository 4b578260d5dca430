/**
 * Topic exchanges: a binding key is words between dots; `*` stands for exactly one word, `#` for any number of them.
 *
 * Patterns are kept in a trie by their words, so that the work for a key depends on the patterns that it can take and
 * not on how many there are. What a key takes is remembered until a binding changes. The empty routing key is no word at
 * all, while `"a."` is two words of which the second is empty [RabbitMQ].
 */

import { LRUCache } from "lru-cache";
import { DestinationCounts } from "./destination-counts.ts";
import type { Binding, Destination, ExchangeType, Matcher } from "./exchange.ts";

/** Keys whose destinations an exchange remembers. */
const REMEMBERED_KEYS_MAX = 4096;
/** When there are more keys than that one in so many takes an old one's place: those that are remembered are found all the same. */
const ADMITTED_ONE_IN = 64;
/** What `get` would otherwise make anew for each message. */
const NO_OPTIONS = {};

class Node {
  /** A `#`: it stays reached whatever the next word is. */
  readonly isHash: boolean;
  readonly children = new Map<string, Node>();
  /** Of the patterns that end here. */
  readonly destinations = new DestinationCounts();
  /** The number of the set of nodes that it was added to last: so that it is in none twice. */
  setNumber = 0;

  constructor(isHash: boolean) {
    this.isHash = isHash;
  }
}

/** Nodes, each once; in order. */
class NodeSet {
  /** Of all sets together, so that a number is never another set's. */
  static #last = 0;
  readonly nodes: Node[] = [];
  #number = 0;

  /** It is empty again. */
  begin(): void {
    this.nodes.length = 0;
    this.#number = ++NodeSet.#last;
  }

  /** False when it is there. */
  add(node: Node): boolean {
    if (node.setNumber === this.#number) return false;
    node.setNumber = this.#number;
    this.nodes.push(node);
    return true;
  }
}

function words(key: string): string[] {
  return key === "" ? [] : key.split(".");
}

class TopicMatcher implements Matcher {
  readonly usesHeaders = false;
  readonly #root = new Node(false);
  /** Made at the first message: an exchange that routes nothing needs none. */
  #remembered: LRUCache<string, readonly Destination[]> | undefined;
  /** Keys that were not remembered because there were too many. */
  #crowded = 0;
  /** Sets of nodes, used again by each search. */
  #reached = new NodeSet();
  #next = new NodeSet();

  add(binding: Binding): void {
    let node = this.#root;
    for (const word of words(binding.routingKey)) {
      let child = node.children.get(word);
      if (child === undefined) {
        child = new Node(word === "#");
        node.children.set(word, child);
      }
      node = child;
    }
    node.destinations.add(binding.destination);
    this.#forget();
  }

  remove(binding: Binding): void {
    this.#removeFrom(this.#root, words(binding.routingKey), 0, binding.destination);
    this.#forget();
  }

  /** Of many changes in a row only the first has something to clear, which takes as long as room for it all. */
  #forget(): void {
    if (this.#remembered !== undefined && this.#remembered.size > 0) this.#remembered.clear();
  }

  /** Removes, and cuts the branches that have become empty. */
  #removeFrom(node: Node, pattern: string[], depth: number, destination: Destination): void {
    const word = pattern[depth];
    if (word === undefined) {
      node.destinations.remove(destination);
      return;
    }
    const child = node.children.get(word);
    if (child === undefined) return;
    this.#removeFrom(child, pattern, depth + 1, destination);
    if (child.children.size === 0 && child.destinations.isEmpty) node.children.delete(word);
  }

  match(routingKey: string): readonly Destination[] {
    this.#remembered ??= new LRUCache({ max: REMEMBERED_KEYS_MAX });
    const known = this.#remembered.get(routingKey, NO_OPTIONS);
    if (known !== undefined) return known;
    const destinations = this.#search(words(routingKey));
    const isFull = this.#remembered.size === REMEMBERED_KEYS_MAX;
    if (!isFull || this.#crowded++ % ADMITTED_ONE_IN === 0)
      this.#remembered.set(routingKey, destinations);
    return destinations;
  }

  /**
   * Walks the key's words and keeps the set of nodes that the words so far can have led to, so that patterns with many
   * `#` cost nodes times words and not a power of them.
   */
  #search(key: string[]): readonly Destination[] {
    this.#reached.begin();
    reach(this.#root, this.#reached);
    for (const word of key) {
      const reached = this.#reached;
      const next = this.#next;
      next.begin();
      for (const node of reached.nodes) step(node, word, next);
      this.#reached = next;
      this.#next = reached;
    }
    const ends = this.#reached.nodes.filter(({ destinations }) => !destinations.isEmpty);
    if (ends.length === 1) return ends[0]!.destinations.all;
    const found = new Set<Destination>();
    for (const { destinations } of ends) {
      for (const destination of destinations.all) found.add(destination);
    }
    return [...found];
  }
}

/** A node is reached, and with it, since `#` may stand for no word, the `#` below it. */
function reach(node: Node, reached: NodeSet): void {
  if (!reached.add(node)) return;
  const hash = node.children.get("#");
  if (hash !== undefined) reach(hash, reached);
}

function step(node: Node, word: string, next: NodeSet): void {
  if (node.isHash) reach(node, next);
  const literal = node.children.get(word);
  // A routing key may hold the words "*" and "#" too; as words they take only the pattern's own wildcard.
  if (literal !== undefined && word !== "#") reach(literal, next);
  const star = node.children.get("*");
  if (star !== undefined) reach(star, next);
}

export const topic: ExchangeType = { name: "topic", createMatcher: () => new TopicMatcher() };
