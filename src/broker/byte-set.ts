/** Sets of bytes, as character classes name them; letters are those of ASCII. */

/** 256 flags, 1 for a byte that belongs to it. */
export type ByteSet = Readonly<Uint8Array>;

export function set(has: (byte: number) => boolean): ByteSet {
  return Uint8Array.from({ length: 256 }, (_, byte) => (has(byte) ? 1 : 0));
}

const between = (byte: number, first: string, last: string): boolean =>
  byte >= first.charCodeAt(0) && byte <= last.charCodeAt(0);
const isDigit = (byte: number): boolean => between(byte, "0", "9");
const isLower = (byte: number): boolean => between(byte, "a", "z");
const isUpper = (byte: number): boolean => between(byte, "A", "Z");
const isLetter = (byte: number): boolean => isLower(byte) || isUpper(byte);
const isBlank = (byte: number): boolean => byte === 0x20 || byte === 0x09;
const isSpace = (byte: number): boolean => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
const isGraph = (byte: number): boolean => byte > 0x20 && byte < 0x7f;

/** Letters, digits and the underscore. */
export function isWordByte(byte: number): boolean {
  return isLetter(byte) || isDigit(byte) || byte === 0x5f;
}

/** The same letter, small for great and great for small; any other byte itself. */
export function otherCase(byte: number): number {
  return isLetter(byte) ? byte ^ 0x20 : byte;
}

/** By the letter after the backslash. */
export const shorthands: ReadonlyMap<string, ByteSet> = new Map([
  ["d", set(isDigit)],
  ["D", set((byte) => !isDigit(byte))],
  ["w", set(isWordByte)],
  ["W", set((byte) => !isWordByte(byte))],
  ["s", set(isSpace)],
  ["S", set((byte) => !isSpace(byte))],
  ["h", set(isBlank)],
  ["H", set((byte) => !isBlank(byte))],
]);

/** By the name between `[:` and `:]`. */
export const classByName: ReadonlyMap<string, ByteSet> = new Map([
  ["alnum", set((byte) => isLetter(byte) || isDigit(byte))],
  ["alpha", set(isLetter)],
  ["ascii", set((byte) => byte < 0x80)],
  ["blank", set(isBlank)],
  ["cntrl", set((byte) => byte < 0x20 || byte === 0x7f)],
  ["digit", set(isDigit)],
  ["graph", set(isGraph)],
  ["lower", set(isLower)],
  ["print", set((byte) => isGraph(byte) || byte === 0x20)],
  ["punct", set((byte) => isGraph(byte) && !isLetter(byte) && !isDigit(byte))],
  ["space", set(isSpace)],
  ["upper", set(isUpper)],
  ["word", set(isWordByte)],
  ["xdigit", set((byte) => isDigit(byte) || between(byte | 0x20, "a", "f"))],
]);
