/**
 * The kinds of values that a setting can have: how each is written in a file, a variable or a flag, and what is allowed.
 *
 * A kind knows no setting and no source. Units are those of RabbitMQ.
 */

import { parseDuration } from "../clock.ts";

export interface Kind<Value> {
  /** Completes the sentence "allowed is ...". */
  readonly allowed: string;
  /** What stands for a value in the help: `BYTES`. */
  readonly placeholder: string;
  /** Undefined when the text is no such value. */
  parse(text: string): Value | undefined;
}

/** Where to listen; without `host` it is the setting `host`. */
export interface Address {
  readonly host?: string;
  readonly port: number;
}

/** One port on the setting `host`, several addresses, or none. */
export type Ports = number | "off" | readonly Address[];

const PORT_MAX = 65_535;

function wholeNumber(text: string): number | undefined {
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

function parsePort(text: string): number | undefined {
  const port = wholeNumber(text);
  return port !== undefined && port <= PORT_MAX ? port : undefined;
}

/** `5672`, `127.0.0.1:5672`, `::1:5672` or `[::1]:5672`. */
function parseAddress(text: string): Address | undefined {
  const parts = /^(?:\[([^\]]+)\]|(.+)):(\d+)$/.exec(text);
  const port = parsePort(parts === null ? text : parts[3]!);
  if (port === undefined) return undefined;
  return parts === null ? { port } : { host: (parts[1] ?? parts[2])!, port };
}

export const ports: Kind<Ports> = {
  allowed: `a port from 0 to ${PORT_MAX}, ADDRESS:PORT, several of them with commas between, or off`,
  placeholder: "PORT",
  parse(text) {
    if (text === "off" || text === "none") return "off";
    const port = parsePort(text);
    if (port !== undefined) return port;
    const addresses = text.split(",").map((part) => parseAddress(part.trim()));
    return addresses.includes(undefined) ? undefined : (addresses as Address[]);
  },
};

/** The addresses to listen on. */
export function addressesOf(value: Ports): readonly Address[] {
  if (value === "off") return [];
  return typeof value === "number" ? [{ port: value }] : value;
}

const anyText = (allowed: string, placeholder: string): Kind<string> => ({
  allowed,
  placeholder,
  parse: (text) => (text === "" ? undefined : text),
});

export const text = anyText("any text but an empty one", "TEXT");
export const address = anyText("an address or a host name", "ADDRESS");
export const path = anyText("a path", "PATH");

/** For settings that may be left out. */
export function optional<Value>(kind: Kind<Value>): Kind<Value | undefined> {
  return kind;
}

export const boolean: Kind<boolean> = {
  allowed: "true or false",
  placeholder: "",
  parse: (text) => (text === "true" ? true : text === "false" ? false : undefined),
};

export function choice<const Value extends string>(
  allowed: readonly Value[],
  /** Other words for them. */
  synonyms: Readonly<Record<string, Value>> = {},
): Kind<Value> {
  return {
    allowed: `one of ${allowed.join(", ")}`,
    placeholder: allowed.join("|"),
    parse: (text) =>
      allowed.find((value) => value === text) ??
      (Object.hasOwn(synonyms, text) ? synonyms[text] : undefined),
  };
}

/** Several values with commas between; `none` for none at all. */
export function listOf<Item>(item: Kind<Item>): Kind<readonly Item[]> {
  return {
    allowed: `${item.allowed}, or several with commas between, or none`,
    placeholder: `${item.placeholder},...`,
    parse(text) {
      if (text === "none") return [];
      const items = text.split(",").map((part) => item.parse(part.trim()));
      return items.includes(undefined) ? undefined : (items as Item[]);
    },
  };
}

export function count(least: number, most: number): Kind<number> {
  return {
    allowed: `a number from ${least} to ${most}`,
    placeholder: "N",
    parse(text) {
      const value = wholeNumber(text);
      return value !== undefined && value >= least && value <= most ? value : undefined;
    },
  };
}

/** How many of something there may be. */
export const limit: Kind<number> = {
  allowed: "a number, or infinity",
  placeholder: "N",
  parse: (text) => (text === "infinity" ? Number.POSITIVE_INFINITY : wholeNumber(text)),
};

/** k and MiB are powers of 1024, kB and MB powers of 1000, in any case [RabbitMQ: memory and disk limits]. */
const unitBytes: Readonly<Record<string, number>> = Object.fromEntries(
  ["k", "m", "g", "t"].flatMap((letter, index) => [
    [letter, 1024 ** (index + 1)],
    [`${letter}i`, 1024 ** (index + 1)],
    [`${letter}ib`, 1024 ** (index + 1)],
    [`${letter}b`, 1000 ** (index + 1)],
  ]),
);

function limitsText(least: number, most: number): string {
  return most === Number.MAX_SAFE_INTEGER ? "" : ` from ${least} to ${most}`;
}

function bytesWith(
  units: Readonly<Record<string, number>>,
  least: number,
  most: number,
): Kind<number> {
  return {
    allowed: `a number of bytes${limitsText(least, most)}, with a unit if you like: 500000, 64MiB, 2GB`,
    placeholder: "BYTES",
    parse(text) {
      const parts = /^(\d+)([a-z]*)$/.exec(text.toLowerCase());
      if (parts === null) return undefined;
      const unit = parts[2] === "" ? 1 : units[parts[2]!];
      const value = Number(parts[1]) * (unit ?? Number.NaN);
      return value >= least && value <= most ? value : undefined;
    },
  };
}

export function bytes(least: number, most: number): Kind<number> {
  return bytesWith(unitBytes, least, most);
}

/** Of memory: up to 1 it is a fraction of all there is, above it bytes. */
export const watermark: Kind<number> = {
  allowed:
    "a fraction of the memory such as 0.6 or 60%, a number of bytes such as 2GB, or infinity",
  placeholder: "FRACTION|BYTES",
  parse(text) {
    if (text === "infinity") return Number.POSITIVE_INFINITY;
    const percent = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
    const fraction = percent === undefined ? text : String(Number(percent) / 100);
    if (/^\d*\.\d+$|^[01]$/.test(fraction))
      return Number(fraction) <= 1 ? Number(fraction) : undefined;
    return bytes(2, Number.MAX_SAFE_INTEGER).parse(fraction);
  },
};

/** How many times something is to be taken. */
export const multiple: Kind<number> = {
  allowed: "a number such as 1.5",
  placeholder: "N",
  parse: (text) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined),
};

/** As `bytes`, but kB, MB and GB are powers of 1024 too [RabbitMQ: frame_max]. */
export function binaryBytes(least: number, most: number): Kind<number> {
  const units = { ...unitBytes, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 };
  return bytesWith(units, least, most);
}

/** A number is milliseconds. */
export const milliseconds: Kind<number> = {
  allowed: 'a number of milliseconds, or one with a unit such as "10s" or "2m", or infinity',
  placeholder: "TIME",
  parse(text) {
    if (text === "infinity") return Number.POSITIVE_INFINITY;
    const value = wholeNumber(text);
    if (value !== undefined) return value;
    return /^\d+(ms|s|m|h|d)$/.test(text) ? parseDuration(text) : undefined;
  },
};

/** A number is seconds; at most `most`. */
export function seconds(most: number): Kind<number> {
  return {
    allowed: `a number of seconds from 0 to ${most}, with a unit if you like: 60, 60s, 2m`,
    placeholder: "SECONDS",
    parse(text) {
      const value = wholeNumber(text) ?? (milliseconds.parse(text) ?? Number.NaN) / 1000;
      return Number.isInteger(value) && value <= most ? value : undefined;
    },
  };
}
