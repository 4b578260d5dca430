/** A message as it is kept: its layout in literal bytes, and what is written comes back. */
import { describe, expect, test } from "vitest";
import { deliverTemplate, Output } from "../../src/amqp/output.ts";
import {
  type Envelope,
  type MessageSource,
  messageBytes,
  StoredMessage,
  writeMessage,
} from "../../src/amqp/stored-message.ts";
import { type Random, seeded } from "../seeded.ts";
import { encodeModel, randomHeader, shortstr } from "./header-model.ts";
import { randomText } from "./random-values.ts";
import { frame, wire } from "./wire.ts";

const GUARD = 0x5a;

function roomOf(bytes: number) {
  const buffer = Buffer.alloc(bytes, GUARD);
  return { buffer, view: new DataView(buffer.buffer, buffer.byteOffset, bytes) };
}

interface Parts {
  routing: Buffer;
  header: Buffer;
  body: Buffer;
}

/** Parts in buffers of their own, with other bytes around them. */
function apart({ routing, header, body }: Parts): MessageSource {
  const around = (bytes: Buffer) => Buffer.concat([wire("<<"), bytes, wire(">>>")]);
  return {
    ...{ routingBuffer: around(routing), routingStart: 2, routingEnd: 2 + routing.length },
    ...{ headerBuffer: around(header), headerStart: 2, headerEnd: 2 + header.length },
    ...{ bodyBuffer: around(body), bodyStart: 2, bodyEnd: 2 + body.length },
    contiguous: false,
  };
}

/** Header and body as their sender framed them, on `channel`. */
function together({ routing, header, body }: Parts, channel: number): MessageSource {
  const chunk = Buffer.concat([wire("<<<"), frame(2, channel, header), frame(3, channel, body)]);
  const [headerStart, bodyStart] = [10, 10 + header.length + 8];
  return {
    ...{ routingBuffer: routing, routingStart: 0, routingEnd: routing.length },
    ...{ headerBuffer: chunk, headerStart, headerEnd: headerStart + header.length },
    ...{ bodyBuffer: chunk, bodyStart, bodyEnd: bodyStart + body.length },
    contiguous: true,
  };
}

/** Writes into a room with guards on both sides, and says what is between them. */
function written(source: MessageSource, envelope: Envelope, arrivalMs: number, offset = 7) {
  const bytes = messageBytes(source, envelope);
  const room = roomOf(offset + bytes + 9);
  writeMessage(room, offset, source, envelope, arrivalMs);
  const guards = [...room.buffer.subarray(0, offset), ...room.buffer.subarray(offset + bytes)];
  expect(guards.every((octet) => octet === GUARD)).toBe(true);
  return { room, offset, record: room.buffer.subarray(offset, offset + bytes) };
}

const plain: Envelope = { ttlMs: -1, hasDeaths: false, hiddenKeys: undefined };

const parts: Parts = {
  routing: wire(2, "ex", 3, "key"),
  header: wire(0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0x08, 0, 5),
  body: wire("body"),
};

describe("the bytes of a kept message", () => {
  test("are counts, arrival, routing, header frame and body frame", () => {
    const { record } = written(apart(parts), plain, 0x0001_0203_0405);
    expect(record).toEqual(
      wire(
        ...[4, 0, 0, 0, 15, 0, 0, 0, 7, 0],
        ...[0x01, 0x00, 0x05, 0x04, 0x03, 0x02],
        ...[2, "ex", 3, "key"],
        ...[2, 0, 0, 0, 0, 0, 15, parts.header, 0xce],
        ...[3, 0, 0, 0, 0, 0, 4, "body", 0xce],
      ),
    );
  });

  test("have a time to live and a mark of deaths only where there are any", () => {
    const { record } = written(apart(parts), { ...plain, ttlMs: 1500, hasDeaths: true }, 5);
    const float = Buffer.alloc(8);
    float.writeDoubleLE(1500);
    expect(record.subarray(0, 31)).toEqual(
      wire(4, 0, 0, 0, 15, 0, 0, 0, 7, 0xc0, 0, 0, 5, 0, 0, 0, float, 2, "ex", 3, "key"),
    );
  });

  test("have the routing keys that nobody may see where there are any", () => {
    const hiddenKeys = wire(1, "h", 2, "id");
    const { record } = written(apart(parts), { ...plain, hiddenKeys }, 0);
    expect(record.subarray(8, 32)).toEqual(
      wire(7, 0x20, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, hiddenKeys, 2, "ex", 3, "key"),
    );
  });

  test("have no body frame when there is no body", () => {
    const empty = { ...parts, body: wire() };
    const { record } = written(apart(empty), plain, 0);
    expect(record.subarray(23)).toEqual(wire(2, 0, 0, 0, 0, 0, 15, parts.header, 0xce));
  });

  test("are copied at once where the sender's frames stand side by side", () => {
    const { record } = written(together(parts, 0x0102), plain, 0);
    expect(record.subarray(23)).toEqual(
      wire(2, 1, 2, 0, 0, 0, 15, parts.header, 0xce, 3, 1, 2, 0, 0, 0, 4, "body", 0xce),
    );
  });
});

function randomParts(random: Random): Parts {
  return {
    routing: Buffer.concat([shortstr(randomText(random)), shortstr(randomText(random))]),
    header: encodeModel(randomHeader(random)),
    body: random.bytes(random.pick([0, 0, 1, 95, 96, 97, 1000])),
  };
}

seeded("whatever was written is there when it is opened", 150, (random) => {
  const message = new StoredMessage();
  for (let round = 0; round < 3; round++) {
    const given = randomParts(random);
    const ttlMs = random.pick([-1, 0, 1, 315_360_000_000]);
    const arrivalMs = random.pick([0, 1_700_000_000_123, 2 ** 32 - 1, 2 ** 32, 2 ** 48 - 1]);
    const hiddenKeys = random.chance(30) ? shortstr(randomText(random)) : undefined;
    const envelope = { ttlMs, hasDeaths: random.chance(50), hiddenKeys };
    const source =
      given.body.length > 0 && random.chance(50)
        ? together(given, random.below(65_536))
        : apart(given);
    const { room, offset } = written(source, envelope, arrivalMs, random.below(50));
    message.open(room, offset);
    const { buffer, routingStart, routingEnd, headerStart, headerEnd, bodyStart } = message;
    expect({ ...envelope, hiddenKeys: hiddenKeys?.toString("hex"), arrivalMs }).toEqual({
      ttlMs: message.ttlMs,
      hasDeaths: message.hasDeaths,
      hiddenKeys: message.hiddenKeys?.toString("hex"),
      arrivalMs: message.arrivalMs,
    });
    const found: Parts = {
      routing: buffer.subarray(routingStart, routingEnd),
      header: buffer.subarray(headerStart, headerEnd),
      body: buffer.subarray(bodyStart, bodyStart + message.bodyBytes),
    };
    for (const part of ["routing", "header", "body"] as const)
      expect([part, found[part].toString("hex")]).toEqual([part, given[part].toString("hex")]);
    const exchangeBytes = given.routing[0]!;
    expect(message.exchange).toBe(given.routing.toString("utf8", 1, 1 + exchangeBytes));
    expect(message.routingKey).toBe(given.routing.toString("utf8", 2 + exchangeBytes));
  }
});

describe("a message that passes", () => {
  /** A whole publication in one chunk. */
  function chunked(given: Parts): MessageSource {
    const source = together(given, 0x0102);
    const { headerBuffer, headerStart, headerEnd, bodyStart, bodyEnd } = source;
    const chunk = Buffer.concat([given.routing, headerBuffer]);
    const shift = given.routing.length;
    return {
      ...{ routingBuffer: chunk, routingStart: 0, routingEnd: shift },
      ...{ headerBuffer: chunk, headerStart: headerStart + shift, headerEnd: headerEnd + shift },
      ...{ bodyBuffer: chunk, bodyStart: bodyStart + shift, bodyEnd: bodyEnd + shift },
      contiguous: true,
    };
  }

  seeded("is delivered as if it had been kept", 100, (random) => {
    const given = { ...randomParts(random), body: random.bytes(random.between(1, 500)) };
    const [kept, passing] = [new StoredMessage(), new StoredMessage()];
    const { room, offset } = written(chunked(given), plain, 0);
    kept.open(room, offset);
    expect(passing.openPassing(chunked(given))).toBe(true);
    const [one, other] = [kept, passing].map((message) => {
      const output = new Output(131_072);
      output.deliver(deliverTemplate(3, "tag"), 77, false, message);
      return Buffer.concat(output.take().parts).toString("hex");
    });
    expect(one).toBe(other);
  });

  test("stands in one chunk, is small, and has a body", () => {
    const passing = new StoredMessage();
    expect(passing.openPassing(apart(parts))).toBe(false);
    expect(passing.openPassing(together(parts, 1))).toBe(false);
    expect(passing.openPassing({ ...chunked(parts), contiguous: false })).toBe(false);
    expect(passing.openPassing(chunked({ ...parts, body: Buffer.alloc(3000) }))).toBe(false);
  });
});

test("the longest exchange name and routing key there can be are kept", () => {
  const routing = Buffer.concat([shortstr("e".repeat(255)), shortstr("k".repeat(255))]);
  const source = apart({ ...parts, routing });
  const { room, offset } = written(source, { ...plain, ttlMs: 0, hasDeaths: true }, 0);
  const message = new StoredMessage();
  message.open(room, offset);
  expect([message.exchange, message.routingKey]).toEqual(["e".repeat(255), "k".repeat(255)]);
  expect([message.ttlMs, message.hasDeaths]).toEqual([0, true]);
});
