/** How values of settings are written: units, limits, and what is refused. */
import { describe, expect, test } from "vitest";
import {
  addressesOf,
  binaryBytes,
  boolean,
  bytes,
  choice,
  count,
  type Kind,
  listOf,
  milliseconds,
  multiple,
  ports,
  seconds,
  watermark,
} from "../../src/settings/kinds.ts";

const anyBytes = bytes(0, Number.MAX_SAFE_INTEGER);

const written: [what: string, kind: Kind<unknown>, text: string, value: unknown][] = [
  ["port", ports, "5672", 5672],
  ["port", ports, "0", 0],
  ["port", ports, "65535", 65_535],
  ["port", ports, "65536", undefined],
  ["port", ports, "-1", undefined],
  ["port", ports, "5672x", undefined],
  ["port", ports, "", undefined],
  ["port", ports, "off", "off"],
  ["port", ports, "none", "off"],
  ["port", ports, "127.0.0.1:5672", [{ host: "127.0.0.1", port: 5672 }]],
  ["port", ports, "::1:5672", [{ host: "::1", port: 5672 }]],
  ["port", ports, "[::1]:5672", [{ host: "::1", port: 5672 }]],
  ["port", ports, "localhost:5672", [{ host: "localhost", port: 5672 }]],
  ["port", ports, "5672, 127.0.0.1:5673", [{ port: 5672 }, { host: "127.0.0.1", port: 5673 }]],
  ["port", ports, "5672,", undefined],
  ["port", ports, "127.0.0.1:65536", undefined],
  // As RabbitMQ's rabbit_resource_monitor_misc reads them.
  ["bytes", anyBytes, "1", 1],
  ["bytes", anyBytes, "1k", 1024],
  ["bytes", anyBytes, "1K", 1024],
  ["bytes", anyBytes, "1kb", 1000],
  ["bytes", anyBytes, "1KB", 1000],
  ["bytes", anyBytes, "1M", 1_048_576],
  ["bytes", anyBytes, "1MB", 1_000_000],
  ["bytes", anyBytes, "1Mb", 1_000_000],
  ["bytes", anyBytes, "1MiB", 1_048_576],
  ["bytes", anyBytes, "2GB", 2_000_000_000],
  ["bytes", anyBytes, "2GiB", 2_147_483_648],
  ["bytes", anyBytes, "1 GB", undefined],
  ["bytes", anyBytes, "1.5GB", undefined],
  ["bytes", anyBytes, "1B", undefined],
  ["bytes", anyBytes, "many", undefined],
  ["bytes within limits", bytes(10, 20), "9", undefined],
  ["bytes within limits", bytes(10, 20), "20", 20],
  ["multiple", multiple, "1.5", 1.5],
  ["multiple", multiple, "2", 2],
  ["multiple", multiple, "-1", undefined],
  ["multiple", multiple, "1.", undefined],
  ["watermark", watermark, "0.6", 0.6],
  ["watermark", watermark, ".6", 0.6],
  ["watermark", watermark, "60%", 0.6],
  ["watermark", watermark, "0", 0],
  ["watermark", watermark, "1", 1],
  ["watermark", watermark, "100%", 1],
  ["watermark", watermark, "2", 2],
  ["watermark", watermark, "1GB", 1e9],
  ["watermark", watermark, "infinity", Number.POSITIVE_INFINITY],
  ["watermark", watermark, "1.5", undefined],
  ["watermark", watermark, "120%", undefined],
  ["watermark", watermark, "-0.5", undefined],
  ["watermark", watermark, "much", undefined],
  // As RabbitMQ's cuttlefish_bytesize reads it.
  ["frame size", binaryBytes(0, 2 ** 31), "1kb", 1024],
  ["frame size", binaryBytes(0, 2 ** 31), "1MB", 1_048_576],
  ["time", milliseconds, "10000", 10_000],
  ["time", milliseconds, "10s", 10_000],
  ["time", milliseconds, "2m", 120_000],
  ["time", milliseconds, "infinity", Number.POSITIVE_INFINITY],
  ["time", milliseconds, "10 s", undefined],
  ["time", milliseconds, "soon", undefined],
  ["seconds", seconds(65_535), "60", 60],
  ["seconds", seconds(65_535), "2m", 120],
  ["seconds", seconds(65_535), "1500ms", undefined],
  ["seconds", seconds(65_535), "65536", undefined],
  ["seconds", seconds(65_535), "infinity", undefined],
  ["boolean", boolean, "true", true],
  ["boolean", boolean, "false", false],
  ["boolean", boolean, "yes", undefined],
  ["boolean", boolean, "constructor", undefined],
  ["count", count(1, 10), "0", undefined],
  ["count", count(1, 10), "10", 10],
  ["choice", choice(["a", "b"], { c: "b" }), "a", "a"],
  ["choice", choice(["a", "b"], { c: "b" }), "c", "b"],
  ["choice", choice(["a", "b"], { c: "b" }), "toString", undefined],
  ["list", listOf(choice(["a", "b"])), "b, a", ["b", "a"]],
  ["list", listOf(choice(["a", "b"])), "none", []],
  ["list", listOf(choice(["a", "b"])), "a,x", undefined],
];

describe("values as they are written", () => {
  test.each(written)("%s %#", (_, kind, text, value) => {
    expect(kind.parse(text)).toEqual(value);
  });

  test("a port alone, several addresses and none become a list of addresses", () => {
    expect(addressesOf(5672)).toEqual([{ port: 5672 }]);
    expect(addressesOf([{ host: "::1", port: 1 }, { port: 2 }])).toHaveLength(2);
    expect(addressesOf("off")).toEqual([]);
  });
});
