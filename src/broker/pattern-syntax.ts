/**
 * The syntax of the regular expressions of permissions and policies, read into a tree: what people use of PCRE, byte by byte, as
 * Erlang's `re` takes it without options.
 *
 * It says no, and why, to what cannot be matched in bounded time or has no use in a yes-or-no question: back-references,
 * recursion, conditions, atomic groups and possessive quantifiers. Whether a quantifier is lazy makes no difference here.
 */

import { type ByteSet, classByName, otherCase, set, shorthands } from "./byte-set.ts";

export type Assertion =
  | "textStart"
  | "textEnd"
  | "textEndOrLastLine"
  | "lineStart"
  | "lineEnd"
  | "wordBoundary"
  | "notWordBoundary";

export type PatternNode =
  | { readonly kind: "byte"; readonly bytes: ByteSet }
  | { readonly kind: "sequence"; readonly items: readonly PatternNode[] }
  | { readonly kind: "choice"; readonly options: readonly PatternNode[] }
  /** `most` may be Infinity. */
  | {
      readonly kind: "repeat";
      readonly item: PatternNode;
      readonly least: number;
      readonly most: number;
    }
  | { readonly kind: "assert"; readonly assertion: Assertion }
  | {
      readonly kind: "look";
      readonly ahead: boolean;
      readonly holds: boolean;
      readonly item: PatternNode;
    };

/** A regular expression that cannot be used: what is wrong with it, and at which byte if it is somewhere. */
export class PatternError extends Error {
  override readonly name = "PatternError";
  readonly what: string;
  readonly offset: number | undefined;

  constructor(what: string, offset?: number) {
    super(offset === undefined ? what : `${what} at offset ${offset}`);
    this.what = what;
    this.offset = offset;
  }
}

/** Groups within groups. */
const DEPTH_MAX = 50;
/** As PCRE has it. */
const REPEAT_MAX = 65_535;

interface Flags {
  ignoreCase: boolean;
  multiline: boolean;
  dotAll: boolean;
}

const flagNames: Readonly<Record<string, keyof Flags>> = {
  i: "ignoreCase",
  m: "multiline",
  s: "dotAll",
};

/** Escapes that stand for one byte. */
const byteEscapes: Readonly<Record<string, number>> = { a: 7, e: 27, f: 12, n: 10, r: 13, t: 9 };

const assertionEscapes: Readonly<Record<string, Assertion>> = {
  A: "textStart",
  b: "wordBoundary",
  B: "notWordBoundary",
  Z: "textEndOrLastLine",
  z: "textEnd",
};

const anyByte = set(() => true);
const anyButLineFeed = set((byte) => byte !== 10);
const nothing: PatternNode = { kind: "sequence", items: [] };

/** Reads a pattern; throws `PatternError`. */
export function parsePattern(source: string): PatternNode {
  return new PatternParser(source).parse();
}

class PatternParser {
  /** One character a byte: the pattern in UTF-8. */
  readonly #text: string;
  #at = 0;
  #depth = 0;
  #flags: Flags = { ignoreCase: false, multiline: false, dotAll: false };
  /** Within \Q...\E every character stands for itself. */
  #quoting = false;

  constructor(source: string) {
    this.#text = Buffer.from(source).toString("latin1");
  }

  parse(): PatternNode {
    if (this.#text.startsWith("(*"))
      throw this.#error("a verb such as (*UTF8) is not supported", 0);
    const node = this.#choice();
    if (this.#at < this.#text.length) throw this.#error("unmatched closing parenthesis", this.#at);
    return node;
  }

  #error(what: string, at: number): PatternError {
    return new PatternError(what, at);
  }

  #takes(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #choice(): PatternNode {
    const options = [this.#sequence()];
    while (this.#takes("|")) options.push(this.#sequence());
    return options.length === 1 ? options[0]! : { kind: "choice", options };
  }

  #sequence(): PatternNode {
    const items: PatternNode[] = [];
    while (this.#at < this.#text.length) {
      if (!this.#quoting && (this.#text[this.#at] === "|" || this.#text[this.#at] === ")")) break;
      const atom = this.#atom();
      items.push(this.#quoting ? atom : this.#repeated(atom));
    }
    return items.length === 1 ? items[0]! : { kind: "sequence", items };
  }

  #atom(): PatternNode {
    const start = this.#at;
    const character = this.#text[this.#at++]!;
    if (this.#quoting) return this.#quoted(character);
    switch (character) {
      case "(":
        return this.#group(start);
      case "[":
        return this.#class(start);
      case "\\":
        return this.#escape(start);
      case ".":
        return { kind: "byte", bytes: this.#flags.dotAll ? anyByte : anyButLineFeed };
      case "^":
        return { kind: "assert", assertion: this.#flags.multiline ? "lineStart" : "textStart" };
      case "$":
        return {
          kind: "assert",
          assertion: this.#flags.multiline ? "lineEnd" : "textEndOrLastLine",
        };
      case "*":
      case "+":
      case "?":
        throw this.#error("nothing to repeat", start);
      default:
        return this.#literal(character.charCodeAt(0));
    }
  }

  #quoted(character: string): PatternNode {
    if (character === "\\" && this.#takes("E")) {
      this.#quoting = false;
      return nothing;
    }
    // At once, so that a quantifier behind it finds the last character.
    if (this.#takes("\\E")) this.#quoting = false;
    return this.#literal(character.charCodeAt(0));
  }

  #literal(byte: number): PatternNode {
    const { ignoreCase } = this.#flags;
    const other = ignoreCase ? otherCase(byte) : byte;
    return { kind: "byte", bytes: set((candidate) => candidate === byte || candidate === other) };
  }

  // -- quantifiers

  #repeated(item: PatternNode): PatternNode {
    let node = item;
    for (let range = this.#quantifier(); range !== undefined; range = this.#quantifier()) {
      if (item === nothing) throw this.#error("nothing to repeat", this.#at - 1);
      node = { kind: "repeat", item: node, least: range[0], most: range[1] };
      if (this.#takes("?")) continue;
      if (this.#takes("+"))
        throw this.#error("a possessive quantifier is not supported", this.#at - 1);
    }
    return node;
  }

  #quantifier(): readonly [least: number, most: number] | undefined {
    if (this.#takes("*")) return [0, Number.POSITIVE_INFINITY];
    if (this.#takes("+")) return [1, Number.POSITIVE_INFINITY];
    if (this.#takes("?")) return [0, 1];
    // Braces with anything else between them stand for themselves.
    const braces = /^\{(\d+)(,?)(\d*)\}/.exec(this.#text.slice(this.#at, this.#at + 24));
    if (braces === null) return undefined;
    const least = Number(braces[1]);
    const open = braces[3] === "" ? Number.POSITIVE_INFINITY : Number(braces[3]);
    const most = braces[2] === "" ? least : open;
    if (braces[2] === "" && braces[3] !== "") return undefined;
    if (least > REPEAT_MAX || (most !== Number.POSITIVE_INFINITY && most > REPEAT_MAX))
      throw this.#error("number too big in {} quantifier", this.#at);
    if (most < least) throw this.#error("numbers out of order in {} quantifier", this.#at);
    this.#at += braces[0].length;
    return [least, most];
  }

  // -- groups

  #group(start: number): PatternNode {
    const options = /^\?([a-zA-Z]*)(?:-([a-zA-Z]+))?\)/.exec(this.#text.slice(this.#at));
    if (options !== null) {
      this.#at += options[0].length;
      this.#setFlags(options[1]!, options[2], start);
      return nothing;
    }
    if (++this.#depth > DEPTH_MAX) throw this.#error("groups are nested too deep", start);
    // Options set within a group end with it.
    const outer = { ...this.#flags };
    const node = this.#takes("?") ? this.#specialGroup(start) : this.#inner(start);
    this.#flags = outer;
    this.#depth--;
    return node;
  }

  #inner(start: number): PatternNode {
    const node = this.#choice();
    if (!this.#takes(")")) throw this.#error("missing closing parenthesis", start);
    // A group of nothing can be repeated, other than nothing itself.
    return { kind: "sequence", items: [node] };
  }

  #specialGroup(start: number): PatternNode {
    if (this.#takes("#")) return this.#comment(start);
    for (const [text, ahead, holds] of looks) {
      if (this.#takes(text)) return { kind: "look", ahead, holds, item: this.#inner(start) };
    }
    const name = /^(?:P?<[A-Za-z_]\w*>|'[A-Za-z_]\w*')/.exec(this.#text.slice(this.#at));
    if (name !== null) {
      this.#at += name[0].length;
      return this.#inner(start);
    }
    const options = /^([a-zA-Z]*)(?:-([a-zA-Z]+))?:/.exec(this.#text.slice(this.#at));
    if (options === null) throw this.#error("this kind of group is not supported", start);
    this.#at += options[0].length;
    this.#setFlags(options[1]!, options[2], start);
    return this.#inner(start);
  }

  #setFlags(on: string, off: string | undefined, start: number): void {
    for (const letter of on) this.#flags[this.#flagNamed(letter, start)] = true;
    for (const letter of off ?? "") this.#flags[this.#flagNamed(letter, start)] = false;
  }

  #flagNamed(letter: string, start: number): keyof Flags {
    const flag = flagNames[letter];
    if (flag === undefined) throw this.#error(`option (?${letter}) is not supported`, start);
    return flag;
  }

  #comment(start: number): PatternNode {
    const end = this.#text.indexOf(")", this.#at);
    if (end < 0) throw this.#error("missing closing parenthesis", start);
    this.#at = end + 1;
    return nothing;
  }

  // -- escapes

  #escape(start: number): PatternNode {
    const character = this.#text[this.#at];
    if (character === undefined) throw this.#error("\\ at the end of the pattern", start);
    const assertion = assertionEscapes[character];
    if (assertion !== undefined) {
      this.#at++;
      return { kind: "assert", assertion };
    }
    if (character === "Q" || character === "E") {
      this.#at++;
      this.#quoting = character === "Q";
      return nothing;
    }
    const bytes = shorthands.get(character);
    if (bytes !== undefined) {
      this.#at++;
      return { kind: "byte", bytes };
    }
    return this.#literal(this.#escapedByte(start));
  }

  /** What follows a backslash, where it stands for one byte. */
  #escapedByte(start: number): number {
    const character = this.#text[this.#at++]!;
    const byte = byteEscapes[character];
    if (byte !== undefined) return byte;
    if (character === "x") return this.#hexadecimal(start);
    if (character === "0") {
      const octal = /^[0-7]{0,2}/.exec(this.#text.slice(this.#at))![0];
      this.#at += octal.length;
      return Number.parseInt(`0${octal}`, 8);
    }
    if (/[1-9cCGKLNPRUXgklpu]/.test(character))
      throw this.#error(`\\${character} is not supported`, start);
    return character.charCodeAt(0);
  }

  #hexadecimal(start: number): number {
    const digits = /^(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{0,2}))/.exec(this.#text.slice(this.#at))!;
    this.#at += digits[0].length;
    const value = Number.parseInt(digits[1] ?? `0${digits[2]}`, 16);
    if (value > 255) throw this.#error("character value in \\x{} too large", start);
    return value;
  }

  // -- classes

  #class(start: number): PatternNode {
    const negated = this.#takes("^");
    const members = new Uint8Array(256);
    // A bracket that comes first stands for itself.
    let isFirst = true;
    for (;;) {
      if (this.#at >= this.#text.length) throw this.#error("missing terminating ] for [", start);
      if (!isFirst && !this.#quoting && this.#takes("]")) break;
      isFirst = false;
      this.#classMember(members);
    }
    if (this.#flags.ignoreCase) {
      for (let byte = 0; byte < 256; byte++) {
        if (members[byte] === 1) members[otherCase(byte)] = 1;
      }
    }
    return { kind: "byte", bytes: set((byte) => (members[byte] === 1) !== negated) };
  }

  #classMember(members: Uint8Array): void {
    const from = this.#classAtom(members);
    if (from === undefined || this.#quoting) return;
    const start = this.#at;
    const next = this.#text[this.#at + 1];
    if (this.#text[this.#at] !== "-" || next === undefined || next === "]") {
      members[from] = 1;
      return;
    }
    this.#at++;
    const to = this.#classAtom(members);
    if (to === undefined) {
      // As in [a-\d]: the hyphen stands for itself.
      members[from] = 1;
      members[0x2d] = 1;
      return;
    }
    if (to < from) throw this.#error("range out of order in character class", start);
    members.fill(1, from, to + 1);
  }

  /** One byte of a class; or undefined, when what stands there was more, or nothing, and has been added. */
  #classAtom(members: Uint8Array): number | undefined {
    const start = this.#at;
    if (this.#quoting) {
      if (this.#takes("\\E")) this.#quoting = false;
      else members[this.#text.charCodeAt(this.#at++)] = 1;
      return undefined;
    }
    const named = /^\[:(\^?)([a-z]+):\]/.exec(this.#text.slice(this.#at, this.#at + 16));
    if (named !== null) {
      const bytes = classByName.get(named[2]!);
      if (bytes === undefined) throw this.#error("unknown POSIX class name", start);
      this.#at += named[0].length;
      addAll(members, bytes, named[1] === "^");
      return undefined;
    }
    if (!this.#takes("\\")) return this.#text.charCodeAt(this.#at++);
    return this.#classEscape(members, start);
  }

  #classEscape(members: Uint8Array, start: number): number | undefined {
    const character = this.#text[this.#at];
    if (character === undefined) throw this.#error("\\ at the end of the pattern", start);
    if (this.#takes("b")) return 8;
    if (character === "Q" || character === "E") {
      this.#at++;
      this.#quoting = character === "Q";
      return undefined;
    }
    const bytes = shorthands.get(character);
    if (bytes === undefined) return this.#escapedByte(start);
    this.#at++;
    addAll(members, bytes, false);
    return undefined;
  }
}

const looks = [
  ["=", true, true],
  ["!", true, false],
  ["<=", false, true],
  ["<!", false, false],
] as const;

function addAll(members: Uint8Array, bytes: ByteSet, negated: boolean): void {
  for (let byte = 0; byte < 256; byte++) {
    if ((bytes[byte] === 1) !== negated) members[byte] = 1;
  }
}
