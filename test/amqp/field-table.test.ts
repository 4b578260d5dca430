/** Field tables: every type in literal bytes, there and back; nesting; damaged input; skipping as strict as reading. */
import { describe, expect, test } from "vitest";
import { ByteReader } from "../../src/amqp/byte-reader.ts";
import { ByteWriter } from "../../src/amqp/byte-writer.ts";
import { AmqpError } from "../../src/amqp/errors.ts";
import {
  type FieldTable,
  type FieldValue,
  NESTING_MAX,
  readTable,
  readTableEntries,
  tableEnd,
  writeTable,
} from "../../src/amqp/field-table.ts";
import { seeded } from "../seeded.ts";
import { randomTable, randomValue } from "./random-values.ts";
import { table, wire } from "./wire.ts";

function skipTable(reader: ByteReader): void {
  reader.offset = tableEnd(reader.buffer, reader.offset, reader.end);
}

function encode(fields: FieldTable): Buffer {
  const writer = new ByteWriter();
  writeTable(writer, fields);
  return writer.bytes();
}

/** What becomes of reading or skipping: where it ended, or the AMQP error; any other error is a failure. */
function outcome(work: (reader: ByteReader) => void, bytes: Buffer): string {
  const reader = new ByteReader(Buffer.concat([bytes, Buffer.alloc(64, 0x41)]), 0, bytes.length);
  try {
    work(reader);
    return `ends at ${reader.offset}`;
  } catch (error) {
    if (error instanceof AmqpError) return "refused";
    throw error;
  }
}

const literals: [letter: string, bytes: Buffer, value: FieldValue][] = [
  ["t", wire(1), { type: "t", value: true }],
  ["t", wire(0), { type: "t", value: false }],
  ["b", wire(0x80), { type: "b", value: -128 }],
  ["B", wire(0x80), { type: "B", value: 128 }],
  ["s", wire(0x80, 0x01), { type: "s", value: -32_767 }],
  ["u", wire(0x80, 0x01), { type: "u", value: 32_769 }],
  ["I", wire(0x80, 0, 0, 1), { type: "I", value: -2_147_483_647 }],
  ["i", wire(0x80, 0, 0, 1), { type: "i", value: 2_147_483_649 }],
  ["l", wire(0x80, 0, 0, 0, 0, 0, 0, 1), { type: "l", value: -9_223_372_036_854_775_807n }],
  ["L", wire(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe), { type: "L", value: -2n }],
  ["T", wire(0x80, 0, 0, 0, 0, 0, 0, 1), { type: "T", value: 9_223_372_036_854_775_809n }],
  ["f", wire(0xbf, 0xc0, 0, 0), { type: "f", value: -1.5 }],
  ["d", wire(0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a), { type: "d", value: 0.1 }],
  ["D", wire(2, 0, 0, 0x30, 0x39), { type: "D", value: { scale: 2, unscaled: 12_345 } }],
  ["S", wire(0, 0, 0, 3, "ab", 0xff), { type: "S", value: wire("ab", 0xff) }],
  ["x", wire(0, 0, 0, 1, 0), { type: "x", value: wire(0) }],
  ["V", wire(), { type: "V", value: undefined }],
  [
    "A",
    wire(0, 0, 0, 7, "t", 1, "I", 0, 0, 0, 5),
    {
      type: "A",
      value: [
        { type: "t", value: true },
        { type: "I", value: 5 },
      ],
    },
  ],
  ["A", wire(0, 0, 0, 0), { type: "A", value: [] }],
  [
    "F",
    table(1, "k", "V"),
    { type: "F", value: new Map([["k", { type: "V", value: undefined }]]) },
  ],
];

describe("the type of letter", () => {
  test.each(literals)("%s is %o on the wire", (letter, bytes, value) => {
    const wireTable = table(3, "key", letter, bytes);
    expect(readTable(new ByteReader(wireTable))).toEqual(new Map([["key", value]]));
    expect(encode(new Map([["key", value]]))).toEqual(wireTable);
  });

  test("that no type has is refused by name", () => {
    for (const octet of [0, 0x43, 0x7a, 0xff]) {
      const bytes = table(1, "k", octet, 0, 0, 0, 0);
      const read = () => readTable(new ByteReader(bytes));
      expect(read).toThrow(`unknown field table type ${octet}`);
      expect(() => skipTable(new ByteReader(bytes))).toThrow(`unknown field table type ${octet}`);
    }
  });
});

test("a boolean is true for any octet but 0", () => {
  const read = readTable(new ByteReader(table(1, "k", "t", 7)));
  expect(read.get("k")).toEqual({ type: "t", value: true });
});

test("entries keep their order, and of two with one key the later counts", () => {
  const read = readTable(
    new ByteReader(table(1, "z", "B", 1, 1, "a", "B", 2, 0, "B", 3, 1, "z", "B", 4)),
  );
  expect([...read]).toEqual([
    ["z", { type: "B", value: 4 }],
    ["a", { type: "B", value: 2 }],
    ["", { type: "B", value: 3 }],
  ]);
});

test("entries without a length before them go on to the end", () => {
  const entries = wire(5, "LOGIN", "S", 0, 0, 0, 2, "me", 1, "n", "V");
  const read = readTableEntries(new ByteReader(entries));
  expect([...read.keys()]).toEqual(["LOGIN", "n"]);
  for (let length = 1; length < entries.length; length++) {
    if (length === 13) continue; // the first entry, whole
    const cut = () => readTableEntries(new ByteReader(entries, 0, length));
    expect(cut).toThrow(AmqpError);
  }
});

test("what was read keeps nothing of the chunk", () => {
  const bytes = table(1, "S", "S", 0, 0, 0, 2, "ab", 1, "x", "x", 0, 0, 0, 1, "c");
  const expected = Buffer.from(bytes);
  const read = readTable(new ByteReader(bytes));
  bytes.fill(0);
  expect(encode(read)).toEqual(expected);
});

test.each<[string, Buffer]>([
  ["a key that runs past the table's end", table(50, "ab")],
  ["a value that runs past the table's end", table(1, "k", "S", 0, 0, 0, 9)],
  ["a value that runs past the inner table's end", table(1, "k", "F", table(1, "l", "I", 1, 2))],
  ["an inner table longer than the outer one", table(1, "k", "F", 0, 0, 0, 9)],
  ["a value that runs past the array's end", table(1, "k", "A", 0, 0, 0, 3, "I", 0, 0, 0, 1)],
  ["an array longer than its table", table(1, "k", "A", 0, 0, 0, 9, "t", 1)],
  ["a length and nothing else", wire(0, 0, 0, 1)],
  ["a length that is cut", wire(0, 0, 0)],
  ["a length of 4 GiB", wire(0xff, 0xff, 0xff, 0xff, 0, 0)],
  ["a key without a value", table(1, "k")],
])("%s is refused, read or skipped", (_, bytes) => {
  expect(outcome(readTable, bytes)).toBe("refused");
  expect(outcome(skipTable, bytes)).toBe("refused");
});

function nestedTables(levels: number): Buffer {
  let bytes = table();
  for (let level = 0; level < levels; level++) bytes = table(1, "k", "F", bytes);
  return bytes;
}

function nestedArrays(levels: number): Buffer {
  let value = wire();
  for (let level = 0; level < levels; level++) value = wire("A", table(value));
  return levels === 0 ? table() : table(1, "k", value);
}

function nestedInTurn(levels: number): Buffer {
  let value = wire("V");
  for (let level = 0; level < levels; level++) {
    value = level % 2 === 0 ? wire("A", table(value)) : wire("F", table(1, "k", value));
  }
  return table(1, "k", value);
}

describe.each([
  ["tables", nestedTables],
  ["arrays", nestedArrays],
  ["tables and arrays", nestedInTurn],
])("%s within each other", (_, nested) => {
  test.each([
    ["read", (reader: ByteReader) => void readTable(reader)],
    ["skipped", (reader: ByteReader) => skipTable(reader)],
  ])(`are %s up to ${NESTING_MAX} deep and refused beyond`, (_how, work) => {
    for (const levels of [0, 1, NESTING_MAX - 1, NESTING_MAX]) {
      const bytes = nested(levels);
      expect([levels, outcome(work, bytes)]).toEqual([levels, `ends at ${bytes.length}`]);
    }
    for (const levels of [NESTING_MAX + 1, NESTING_MAX + 2, 1000]) {
      expect([levels, outcome(work, nested(levels))]).toEqual([levels, "refused"]);
    }
  });
});

test("nesting meant to exhaust the stack is refused like any other", () => {
  const levels = 26_000;
  const value = Buffer.alloc(levels * 5);
  for (let level = 0; level < levels; level++) {
    value[level * 5] = 0x41;
    value.writeUInt32BE((levels - level - 1) * 5, level * 5 + 1);
  }
  const bytes = table(1, "k", value);
  expect(outcome(readTable, bytes)).toBe("refused");
  expect(outcome(skipTable, bytes)).toBe("refused");
});

describe("random tables", () => {
  seeded("come back from their bytes, to the same bytes", 500, (random) => {
    const fields = randomTable(random, 4);
    const bytes = encode(fields);
    const read = readTable(new ByteReader(Buffer.concat([bytes, wire(0)]), 0, bytes.length));
    expect(read).toEqual(fields);
    expect(encode(read)).toEqual(bytes);
  });

  seeded("are skipped as far as they are read", 300, (random) => {
    const bytes = Buffer.concat([encode(randomTable(random, 4)), random.bytes(5)]);
    expect(outcome(skipTable, bytes)).toBe(outcome(readTable, bytes));
  });

  seeded("are refused wherever they are cut", 30, (random) => {
    const bytes = encode(new Map([["k", randomValue(random, 3)]]));
    for (let length = 0; length < bytes.length; length++) {
      expect(outcome(readTable, bytes.subarray(0, length))).toBe("refused");
      expect(outcome(skipTable, bytes.subarray(0, length))).toBe("refused");
    }
  });

  seeded("that are damaged are skipped if and only if they can be read", 3000, (random) => {
    const bytes = encode(randomTable(random, 3));
    for (let changes = random.between(1, 3); changes > 0; changes--) {
      const at = random.below(bytes.length);
      bytes[at] = random.chance(50) ? random.next() : bytes[at]! ^ (1 << random.below(8));
    }
    expect([bytes.toString("hex"), outcome(skipTable, bytes)]).toEqual([
      bytes.toString("hex"),
      outcome(readTable, bytes),
    ]);
  });

  seeded("of plain noise are skipped if and only if they can be read", 2000, (random) => {
    const letters = [..."tbBsuIilLTfdDSxAFV"];
    const noise = Array.from({ length: random.below(30) }, () =>
      random.chance(40) ? random.pick(letters) : random.below(6),
    );
    const bytes = table(...noise);
    expect([bytes.toString("hex"), outcome(skipTable, bytes)]).toEqual([
      bytes.toString("hex"),
      outcome(readTable, bytes),
    ]);
  });
});
