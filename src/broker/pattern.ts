/**
 * Regular expressions that answer yes or no in bounded time, whatever they are asked.
 *
 * The tree of a pattern becomes a list of instructions, and a text is matched by following all ways through it at once: a
 * step for each instruction and byte, where a matcher that tries one way after the other can take years. Patterns are
 * not anchored: one that is found anywhere in the text matches [RabbitMQ: permissions].
 *
 * The work for a text of n bytes is at most n times the number of instructions, and with assertions that look ahead or
 * behind that much again for each of them and each byte.
 */

import { type ByteSet, isWordByte } from "./byte-set.ts";
import { type Assertion, PatternError, type PatternNode, parsePattern } from "./pattern-syntax.ts";

/** Repetitions with numbers are written out, so that a short pattern can become long. */
const INSTRUCTIONS_MAX = 2000;
const LOOKS_MAX = 10;

type Instruction =
  | { readonly kind: "byte"; readonly bytes: ByteSet }
  | { readonly kind: "assert"; readonly assertion: Assertion }
  | { readonly kind: "look"; readonly look: Look }
  /** Goes on at both places. */
  | { readonly kind: "fork"; a: number; b: number }
  | { readonly kind: "jump"; to: number }
  | { readonly kind: "accept" };

interface Look {
  readonly ahead: boolean;
  readonly holds: boolean;
  /** Where its own instructions begin; they end with an accept. */
  readonly start: number;
  /** Which of the pattern's looks it is. */
  readonly index: number;
}

class Compiler {
  readonly instructions: Instruction[] = [];
  lookCount = 0;

  #emit<Kind extends Instruction>(instruction: Kind): Kind {
    if (this.instructions.length === INSTRUCTIONS_MAX) {
      throw new PatternError(`it comes to more than ${INSTRUCTIONS_MAX} steps`);
    }
    this.instructions.push(instruction);
    return instruction;
  }

  compile(node: PatternNode): void {
    switch (node.kind) {
      case "byte":
        this.#emit({ kind: "byte", bytes: node.bytes });
        break;
      case "assert":
        this.#emit({ kind: "assert", assertion: node.assertion });
        break;
      case "sequence":
        for (const item of node.items) this.compile(item);
        break;
      case "choice":
        this.#choice(node.options);
        break;
      case "repeat":
        this.#repeat(node.item, node.least, node.most);
        break;
      case "look":
        this.#look(node);
        break;
    }
  }

  #choice(options: readonly PatternNode[]): void {
    const ends: { to: number }[] = [];
    for (const [index, option] of options.entries()) {
      if (index === options.length - 1) {
        this.compile(option);
        break;
      }
      const fork = this.#fork();
      this.compile(option);
      ends.push(this.#emit({ kind: "jump", to: -1 }));
      fork.b = this.instructions.length;
    }
    for (const end of ends) end.to = this.instructions.length;
  }

  #fork(): { a: number; b: number } {
    return this.#emit({ kind: "fork", a: this.instructions.length + 1, b: -1 });
  }

  #repeat(item: PatternNode, least: number, most: number): void {
    for (let time = 0; time < least; time++) this.compile(item);
    if (most === Number.POSITIVE_INFINITY) {
      const start = this.instructions.length;
      const fork = this.#fork();
      this.compile(item);
      this.#emit({ kind: "jump", to: start });
      fork.b = this.instructions.length;
      return;
    }
    const forks: { b: number }[] = [];
    for (let time = least; time < most; time++) {
      forks.push(this.#fork());
      this.compile(item);
    }
    for (const fork of forks) fork.b = this.instructions.length;
  }

  #look({ ahead, holds, item }: Extract<PatternNode, { kind: "look" }>): void {
    if (this.lookCount === LOOKS_MAX) {
      throw new PatternError(`it looks ahead or behind in more than ${LOOKS_MAX} places`);
    }
    const index = this.lookCount++;
    const skip = this.#emit({ kind: "jump", to: -1 });
    const start = this.instructions.length;
    this.compile(item);
    this.#emit({ kind: "accept" });
    skip.to = this.instructions.length;
    this.#emit({ kind: "look", look: { ahead, holds, start, index } });
  }
}

/** A compiled regular expression. */
export class Pattern {
  readonly source: string;
  readonly #instructions: readonly Instruction[];
  readonly #lookCount: number;

  /** Throws `PatternError` when the pattern is not one, or cannot be matched in bounded time. */
  constructor(source: string) {
    this.source = source;
    const compiler = new Compiler();
    compiler.compile(parsePattern(source));
    this.#instructions = [...compiler.instructions, { kind: "accept" }];
    this.#lookCount = compiler.lookCount;
  }

  /** Whether the pattern is found in the text. */
  matches(text: string): boolean {
    return new Match(this.#instructions, Buffer.from(text), this.#lookCount).find(0, 0, true);
  }
}

/** One text against one program. */
class Match {
  readonly #instructions: readonly Instruction[];
  readonly #text: Buffer;
  /** Of each look and position: 0 not looked yet, 1 found nothing, 2 found something. */
  readonly #looked: Uint8Array;

  constructor(instructions: readonly Instruction[], text: Buffer, lookCount: number) {
    this.#instructions = instructions;
    this.#text = text;
    this.#looked = new Uint8Array(lookCount * (text.length + 1));
  }

  /**
   * Whether an accept is reached from instruction `start`, beginning at the byte `from`, or at any byte from there on when
   * it is `anywhere`; the accept must be reached at `at` if that is given.
   */
  find(start: number, from: number, anywhere: boolean, at = -1): boolean {
    const text = this.#text;
    const last = at < 0 ? text.length : at;
    let now = new Ways(this.#instructions.length);
    let next = new Ways(this.#instructions.length);
    for (let position = from; ; position++) {
      if (anywhere || position === from) now.add(start);
      // The list grows while it is worked through.
      for (let index = 0; index < now.count; index++) {
        if (this.#follow(now, next, now.list[index]!, position) && (at < 0 || position === at))
          return true;
      }
      if (position === last || (next.count === 0 && !anywhere)) return false;
      [now, next] = [next, now];
      next.clear();
    }
  }

  /** Follows one way from a position; true when it has reached its end. */
  #follow(now: Ways, next: Ways, index: number, position: number): boolean {
    const instruction = this.#instructions[index]!;
    switch (instruction.kind) {
      case "byte":
        if (position < this.#text.length && instruction.bytes[this.#text[position]!] === 1)
          next.add(index + 1);
        return false;
      case "assert":
        if (holds(instruction.assertion, this.#text, position)) now.add(index + 1);
        return false;
      case "look":
        if (this.#look(instruction.look, position) === instruction.look.holds) now.add(index + 1);
        return false;
      case "fork":
        now.add(instruction.a);
        now.add(instruction.b);
        return false;
      case "jump":
        now.add(instruction.to);
        return false;
      case "accept":
        return true;
    }
  }

  #look({ ahead, start, index }: Look, position: number): boolean {
    const slot = index * (this.#text.length + 1) + position;
    if (this.#looked[slot] === 0) {
      const found = ahead ? this.find(start, position, false) : this.find(start, 0, true, position);
      this.#looked[slot] = found ? 2 : 1;
    }
    return this.#looked[slot] === 2;
  }
}

/** The instructions at which the ways are that have come as far as a position, each once. */
class Ways {
  readonly list: Uint16Array;
  readonly #isIn: Uint8Array;
  count = 0;

  constructor(instructions: number) {
    this.list = new Uint16Array(instructions);
    this.#isIn = new Uint8Array(instructions);
  }

  add(index: number): void {
    if (this.#isIn[index] === 1) return;
    this.#isIn[index] = 1;
    this.list[this.count++] = index;
  }

  clear(): void {
    this.#isIn.fill(0);
    this.count = 0;
  }
}

const LINE_FEED = 10;

function holds(assertion: Assertion, text: Buffer, at: number): boolean {
  switch (assertion) {
    case "textStart":
      return at === 0;
    case "textEnd":
      return at === text.length;
    case "textEndOrLastLine":
      return at === text.length || (at === text.length - 1 && text[at] === LINE_FEED);
    case "lineStart":
      // After a line feed at the very end no line begins.
      return at === 0 || (at < text.length && text[at - 1] === LINE_FEED);
    case "lineEnd":
      return at === text.length || text[at] === LINE_FEED;
    case "wordBoundary":
      return isAtWord(text, at - 1) !== isAtWord(text, at);
    case "notWordBoundary":
      return isAtWord(text, at - 1) === isAtWord(text, at);
  }
}

function isAtWord(text: Buffer, at: number): boolean {
  return at >= 0 && at < text.length && isWordByte(text[at]!);
}
