/** How far a client is read in a turn. */
import { expect, test } from "vitest";
import { basicPublish, CHANNEL, contentHeader } from "../../bench/methods.ts";
import { properties } from "../../bench/properties.ts";
import { FRAME_BODY, frame } from "../../bench/wire.ts";
import { CountedBroker } from "../performance/counted-broker.ts";

const BODY = Buffer.alloc(65_000);
/** More than 64,000 bytes, to nobody. */
const publication = Buffer.concat([
  basicPublish("", "nobody"),
  contentHeader(BODY.length, properties("none", "guest")),
  frame(FRAME_BODY, CHANNEL, BODY),
]);

test("a client that sends much is read on in the next turn", () => {
  const broker = new CountedBroker();
  const client = broker.connect();
  const reading: string[] = [];
  client.pause = () => void reading.push("pauses");
  client.resume = () => void reading.push("goes on");
  for (let chunks = 0; chunks < 3; chunks++) broker.arrive(client, publication);
  expect(reading).toEqual([]);
  // In one turn, as no turn ends before `arrive` has returned.
  for (let chunks = 0; chunks < 4; chunks++) client.emit("data", publication);
  expect(reading).toEqual([]);
  client.emit("data", publication);
  client.emit("data", publication);
  expect(reading).toEqual(["pauses"]);
  broker.arrive(client, publication);
  expect(reading).toEqual(["pauses", "goes on"]);
  broker.arrive(client, publication);
  expect(reading).toEqual(["pauses", "goes on"]);
});

test("a large body that has begun is read to its end", () => {
  const broker = new CountedBroker();
  const client = broker.connect();
  const large = Buffer.concat([
    basicPublish("", "nobody"),
    contentHeader(600_000, properties("none", "guest")),
    ...Array.from({ length: 6 }, () => frame(FRAME_BODY, CHANNEL, Buffer.alloc(100_000))),
  ]);
  for (let from = 0; from < large.length; from += 250_000) {
    expect(client.isPaused).toBe(false);
    client.emit("data", large.subarray(from, from + 250_000));
  }
  expect(client.isPaused).toBe(true);
});
