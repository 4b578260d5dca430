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
/** What `get` would otherwise make anew for each message. */
const NO_OPTIONS = {};

class Node {
  /** A `#`: it stays reached whatever the next word is. */
  readonly isHash: boolean;
  readonly children = new Map<string, Node>();
  /** Of the patterns that end here. */
  readonly destinations = new DestinationCounts();

  constructor(isHash: boolean) {
    this.isHash = isHash;
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
    this.#remembered?.clear();
  }

  remove(binding: Binding): void {
    this.#removeFrom(this.#root, words(binding.routingKey), 0, binding.destination);
    this.#remembered?.clear();
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
    this.#remembered.set(routingKey, destinations);
    return destinations;
  }

  /**
   * Walks the key's words and keeps the set of nodes that the words so far can have led to, so that patterns with many
   * `#` cost nodes times words and not a power of them.
   */
  #search(key: string[]): Destination[] {
    let reached = new Set<Node>();
    reach(this.#root, reached);
    for (const word of key) {
      const next = new Set<Node>();
      for (const node of reached) step(node, word, next);
      reached = next;
    }
    const found = new Set<Destination>();
    for (const node of reached) {
      for (const destination of node.destinations.all) found.add(destination);
    }
    return [...found];
  }
}

/** A node is reached, and with it, since `#` may stand for no word, the `#` below it. */
function reach(node: Node, reached: Set<Node>): void {
  if (reached.has(node)) return;
  reached.add(node);
  const hash = node.children.get("#");
  if (hash !== undefined) reach(hash, reached);
}

function step(node: Node, word: string, next: Set<Node>): void {
  if (node.isHash) reach(node, next);
  const literal = node.children.get(word);
  // A routing key may hold the words "*" and "#" too; as words they take only the pattern's own wildcard.
  if (literal !== undefined && word !== "#") reach(literal, next);
  const star = node.children.get("*");
  if (star !== undefined) reach(star, next);
}

export const topic: ExchangeType = { name: "topic", createMatcher: () => new TopicMatcher() };
