/**
 * Input that a broker has to refuse, by kind: truncated, oversized, garbage, out of order, undecodable. A kind
 * says how far the connection comes first, makes its bytes from randomness, and names the reply codes that fit.
 */
import { BAD_TABLES, goodTable } from "./bad-tables.ts";
import type { Random } from "./random.ts";
import {
  bits,
  frame,
  headerFrame,
  longstr,
  methodFrame,
  PROTOCOL_HEADER,
  publishFrame,
  shortstr,
  table,
  u8,
  u16,
  u32,
  u64,
} from "./raw-client.ts";

export interface BadInput {
  kind: string;
  /** Bare socket, after connection.start, or with channel 1 open. */
  stage: "tcp" | "started" | "open";
  /** The codes of a connection.close that fit this damage. */
  codes: readonly number[];
  /** The damage is that the rest is missing: the client ends its stream right after it. */
  isCutOff: boolean;
  /** The ways to be wrong. */
  makes: ((random: Random) => Buffer)[];
}

/** The largest frame agreed to; the limit of RabbitMQ lets the eight bytes around a payload pass. */
const FRAME_MAX = 131_072;

type Fields = (random: Random) => Buffer[];

/** Methods a client may send on a channel, with fields that are fine. */
const CHANNEL_METHODS: [classId: number, methodId: number, fields: Fields][] = [
  [20, 20, () => [bits(true)]],
  [30, 10, () => [shortstr("/data"), bits()]],
  [40, 10, (r) => [u16(0), shortstr("x"), shortstr("direct"), bits(true), goodTable(r)]],
  [40, 20, () => [u16(0), shortstr("no-such-exchange"), bits()]],
  [50, 10, (r) => [u16(0), shortstr("no-such-queue"), bits(true), goodTable(r)]],
  [50, 20, (r) => [u16(0), shortstr("q"), shortstr("x"), shortstr("k"), bits(), goodTable(r)]],
  [50, 30, () => [u16(0), shortstr("no-such-queue"), bits()]],
  [50, 40, () => [u16(0), shortstr("no-such-queue"), bits()]],
  [50, 50, (r) => [u16(0), shortstr("q"), shortstr("x"), shortstr("k"), goodTable(r)]],
  [60, 10, () => [u32(0), u16(10), bits()]],
  [60, 20, (r) => [u16(0), shortstr("no-such-queue"), shortstr(""), bits(), goodTable(r)]],
  [60, 30, () => [shortstr("no-such-consumer"), bits()]],
  [60, 70, () => [u16(0), shortstr("no-such-queue"), bits()]],
  [60, 80, () => [u64(1), bits()]],
  [60, 110, () => [bits(true)]],
  [85, 10, () => [bits()]],
];

/** Methods only a server sends, none of which carries content. */
const SERVER_METHODS: [classId: number, methodId: number, fields: Buffer[]][] = [
  [20, 11, [longstr("")]],
  [40, 11, []],
  [40, 51, []],
  [50, 11, [shortstr("q"), u32(0), u32(0)]],
  [50, 41, [u32(0)]],
  [60, 11, []],
  [60, 21, [shortstr("tag")]],
  [60, 72, [shortstr("")]],
  [85, 11, []],
  [90, 21, []],
];

const publish = publishFrame(1, "", "no-such-queue");

function concat(...parts: Buffer[]): Buffer {
  return Buffer.concat(parts);
}

function anyMethod(random: Random, channel: number): Buffer {
  const [classId, methodId, fields] = random.pick(CHANNEL_METHODS);
  return methodFrame(channel, classId, methodId, ...fields(random));
}

function anyFrame(random: Random): Buffer {
  const kind = random.between(0, 3);
  if (kind === 0) return publish;
  if (kind === 1) return headerFrame(1, random.between(0, 1_000));
  if (kind === 2) return frame(3, 1, random.bytes(random.between(1, 200)));
  return anyMethod(random, 1);
}

function startOk(clientProperties: Buffer): Buffer {
  const response = longstr("\0guest\0guest");
  return methodFrame(0, 10, 11, clientProperties, shortstr("PLAIN"), response, shortstr("en_US"));
}

function cut(random: Random, bytes: Buffer): Buffer {
  return bytes.subarray(0, random.between(1, bytes.length - 1));
}

function declare(args: Buffer): Buffer {
  return methodFrame(1, 50, 10, u16(0), shortstr(""), bits(false, false, true), args);
}

function message(properties: Buffer): Buffer {
  return concat(publish, headerFrame(1, 0, properties));
}

// Out of order: each of these is well formed, and may not come now.

const OUT_OF_ORDER: ((random: Random) => Buffer)[] = [
  (random) => headerFrame(random.between(1, 9), random.between(0, 9)),
  (random) => frame(3, random.between(1, 9), random.bytes(random.between(0, 9))),
  (random) => anyMethod(random, random.between(2, 2_000)),
  (random) => anyMethod(random, 0),
  () => methodFrame(1, 20, 10, shortstr("")),
  () => methodFrame(0, 10, 31, u16(10), u32(4_096), u16(0)),
  () => methodFrame(0, 10, 40, shortstr("/"), shortstr(""), bits()),
  () => startOk(table()),
  (random) => concat(publish, anyMethod(random, 1)),
  () => concat(publish, publish),
  (random) => concat(publish, frame(3, 1, random.bytes(3))),
  (random) => concat(publish, headerFrame(1, 10), anyMethod(random, 1)),
  () => concat(publish, headerFrame(1, 10), headerFrame(1, 10)),
  (random) => frame(8, random.between(1, 9), Buffer.alloc(0)),
  (random) => frame(random.pick([2, 3]), 0, random.bytes(14)),
  (random) => {
    const [classId, methodId, fields] = random.pick(SERVER_METHODS);
    return methodFrame(1, classId, methodId, ...fields);
  },
];

// Damaged frames

function oversized(random: Random): Buffer {
  const size = random.pick([FRAME_MAX + 1, FRAME_MAX + random.between(2, 0xffff), 0xffff_ffff]);
  const start = concat(u8(random.pick([1, 2, 3, 8, 77])), u16(random.between(0, 9)), u32(size));
  return concat(start, random.bytes(random.between(0, 100)));
}

function badEnd(random: Random): Buffer {
  const whole = anyFrame(random);
  return concat(whole.subarray(0, -1), u8(random.between(0, 0xcd)));
}

function unknownFrameType(random: Random): Buffer {
  const type = random.pick([0, 4, 5, 6, 7, 9, random.between(10, 255)]);
  return frame(type, random.between(0, 9), random.bytes(random.between(0, 50)));
}

/** Fields cut short, or followed by bytes that are no field. */
function badFields(random: Random): Buffer {
  const [classId, methodId, fields] = random.pick(CHANNEL_METHODS);
  const bytes = Buffer.concat(fields(random));
  const isLonger = random.between(0, 1) === 0;
  const damaged = isLonger ? concat(bytes, random.bytes(random.between(1, 9))) : cutField(bytes);
  return methodFrame(1, classId, methodId, damaged);

  function cutField(whole: Buffer): Buffer {
    return whole.subarray(0, random.between(0, whole.length - 1));
  }
}

function unknownMethod(random: Random): Buffer {
  const ids = random.pick([
    [random.between(91, 0xffff), random.between(0, 0xffff)],
    [random.pick([10, 20, 30, 40, 50, 60, 85, 90]), random.between(121, 0xffff)],
  ]);
  return methodFrame(1, ids[0] ?? 0, ids[1] ?? 0, random.bytes(random.between(0, 20)));
}

function badProperties(random: Random): Buffer {
  // Each begins with a short string, a table or a timestamp: of 255 bytes, of 2^32 less one, of eight,
  // and there are never that many.
  const flags = random.pick([0x8000, 0x4000, 0x2000, 0x0400, 0x0040, 0xf000, 0xfffc]);
  return message(concat(u16(flags), Buffer.alloc(random.between(0, 4), 0xff)));
}

const OPEN = { stage: "open", isCutOff: false } as const;
/** A frame that may not come now may be refused before all of it is there. */
const CUT_OFF = { stage: "open", isCutOff: true, codes: [501, 505] } as const;
/** RabbitMQ calls properties it cannot read an error of its own. */
const UNDECODABLE = [501, 502, 541];

/** Input that may look like anything: whatever is said about it, the connection ends. */
const ANY_ERROR = [403, 501, 502, 503, 504, 505, 530, 540, 541];

export const BAD_INPUT: BadInput[] = [
  { kind: "oversized frame", ...OPEN, codes: [501], makes: [oversized] },
  { kind: "bad end octet", ...OPEN, codes: [501], makes: [badEnd] },
  { kind: "unknown frame type", ...OPEN, codes: [501], makes: [unknownFrameType] },
  {
    kind: "frame out of order",
    ...OPEN,
    codes: [501, 503, 504, 505],
    makes: OUT_OF_ORDER,
  },
  { kind: "bad fields", ...OPEN, codes: [501, 502], makes: [badFields] },
  { kind: "unknown method", ...OPEN, codes: [501, 503], makes: [unknownMethod] },
  { kind: "bad properties", ...OPEN, codes: UNDECODABLE, makes: [badProperties] },
  { kind: "truncated frame", ...CUT_OFF, makes: [(random) => cut(random, anyFrame(random))] },
  {
    kind: "truncated message",
    ...CUT_OFF,
    makes: [
      (random) => cut(random, concat(publish, headerFrame(1, 500), frame(3, 1, random.bytes(500)))),
    ],
  },
  {
    kind: "garbage",
    ...CUT_OFF,
    codes: ANY_ERROR,
    makes: [(random) => random.bytes(random.between(1, 500))],
  },
  {
    kind: "garbage in a frame",
    ...OPEN,
    codes: ANY_ERROR,
    makes: [(random) => frame(1, 1, concat(u16(0xff00), random.bytes(random.between(0, 200))))],
  },
  {
    kind: "garbage for a protocol header",
    stage: "tcp",
    isCutOff: true,
    codes: [],
    makes: [(random) => random.bytes(random.between(1, 200))],
  },
  {
    kind: "truncated protocol header",
    stage: "tcp",
    isCutOff: true,
    codes: [],
    makes: [(random) => cut(random, PROTOCOL_HEADER)],
  },
  {
    kind: "truncated start-ok",
    stage: "started",
    isCutOff: true,
    codes: [501, 502],
    makes: [(random) => cut(random, startOk(goodTable(random)))],
  },
  {
    kind: "garbage for start-ok",
    stage: "started",
    isCutOff: true,
    codes: ANY_ERROR,
    makes: [(random) => random.bytes(random.between(1, 200))],
  },
  {
    kind: "bad table for arguments",
    ...OPEN,
    codes: [501, 502],
    makes: BAD_TABLES.map((make) => (random) => declare(make(random))),
  },
  {
    kind: "bad table for headers",
    ...OPEN,
    codes: UNDECODABLE,
    makes: BAD_TABLES.map((make) => (random) => message(concat(u16(0x2000), make(random)))),
  },
  {
    kind: "bad table for client properties",
    stage: "started",
    isCutOff: false,
    codes: [501, 502],
    makes: BAD_TABLES.map((make) => (random) => startOk(make(random))),
  },
];
